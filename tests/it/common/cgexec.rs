//! Helpers for the tests of cgexec: the groups of this host, groups of a test, and a program that
//! waits in its group until the test has read it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::process::{Piped, heeding, limited, namespaces};
use super::{HANG, applet, root, skip, stderr, there, unique};

pub fn cgexec() -> Command {
    applet("cgexec")
}

/// The mount point of a controller's hierarchy (`pids`, `name=systemd`, nothing for v2), and whether it is v2's.
pub fn mounted(controller: &str) -> Option<(PathBuf, bool)> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let mut v2 = None;
    for line in text.lines() {
        let (left, right) = line.split_once(" - ").expect("a line of mountinfo");
        let mount_point = PathBuf::from(left.split(' ').nth(4).expect("a mount point"));
        let mut fields = right.split(' ');
        let (kind, options) = (fields.next().expect("a type"), fields.nth(1).unwrap_or_default());
        match kind {
            "cgroup" if options.split(',').any(|option| option == controller) => {
                return Some((mount_point, false));
            }
            "cgroup2" => v2 = v2.or(Some(mount_point)),
            _ => {}
        }
    }
    let v2 = v2?;
    let has = std::fs::read_to_string(v2.join("cgroup.controllers")).ok()?;
    (controller.is_empty() || has.split_whitespace().any(|name| name == controller)).then_some((v2, true))
}

/// Can groups be made here? If not, prints the reason.
pub fn possible(test: &str) -> bool {
    let (Some((pids, _)), Some(_), Some(_)) = (mounted("pids"), mounted("memory"), mounted("cpu")) else {
        skip(test, "control groups of pids, memory and cpu are not mounted here");
        return false;
    };
    if !root() {
        skip(test, "needs root");
        return false;
    }
    let probe = pids.join(unique("probe"));
    if let Err(error) = std::fs::create_dir(&probe) {
        skip(test, &format!("no control group can be made here: {error}"));
        return false;
    }
    std::fs::remove_dir(&probe).expect("an empty group");
    true
}

/// A place where a group can be made for an ordinary user's process. If there is none, prints the reason.
pub fn controller(test: &str) -> Option<&'static str> {
    if !namespaces(test) {
        return None;
    }
    if !there("setpriv") {
        skip(test, "needs setpriv");
        return None;
    }
    let writable = |controller: &&str| {
        let probe = mounted(controller).map(|(at, _)| at.join(unique(test)));
        probe.is_some_and(|probe| {
            let made = std::fs::create_dir(&probe).is_ok();
            made && std::fs::remove_dir(&probe).is_ok()
        })
    };
    let found = ["", "pids"].into_iter().find(|controller| writable(controller));
    if found.is_none() {
        skip(test, "no control group can be made here");
    }
    found
}

/// A unique name for groups of one test; processes and groups with it are removed with the value.
pub struct Name(pub String);

impl Name {
    pub fn new(test: &str) -> Name {
        Name(unique(test))
    }

    /// The directory of the group, or one below it, there or not.
    pub fn at(&self, controller: &str, below: &str) -> PathBuf {
        let (mount_point, _) = mounted(controller).unwrap_or_else(|| panic!("{controller} is not mounted"));
        if below.is_empty() { mount_point.join(&self.0) } else { mount_point.join(&self.0).join(below) }
    }

    pub fn make(&self, controller: &str, below: &str) -> PathBuf {
        let path = self.at(controller, below);
        std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// `CONTROLLER:NAME`
    pub fn spec(&self, controllers: &str) -> String {
        format!("{controllers}:{}", self.0)
    }

    /// Of all hierarchies.
    pub fn all(&self) -> Vec<PathBuf> {
        let text = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let mounts = text.lines().filter(|line| line.contains(" - cgroup"));
        let paths =
            mounts.map(|line| Path::new(line.split(' ').nth(4).expect("a mount point")).join(&self.0));
        paths.filter(|path| path.exists()).collect()
    }

    fn clear(&self) {
        let start = Instant::now();
        while let Some(group) = self.all().first() {
            let below = tree(group);
            for pid in below.iter().flat_map(|group| processes(group)) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            below.iter().for_each(|group| _ = std::fs::remove_dir(group));
            if start.elapsed() > HANG {
                break;
            }
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The group and all below it, the deepest first.
fn tree(group: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut all: Vec<PathBuf> = below.flat_map(|entry| tree(&entry.path())).collect();
    all.push(group.to_path_buf());
    all
}

pub fn processes(group: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// `/a/b` of the line of a controller in `/proc/PID/cgroup`.
pub fn path_in<'a>(text: &'a str, controller: &str) -> Option<&'a str> {
    let (_, v2) = mounted(controller)?;
    text.lines().find_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (names, path) = line.split_once(':')?;
        let named = if v2 { names.is_empty() } else { names.split(',').any(|name| name == controller) };
        named.then_some(path)
    })
}

/// Where a program's group is, by what it printed of /proc/self/cgroup.
pub fn directory(text: &str, controller: &str) -> PathBuf {
    let (mount_point, _) = mounted(controller).expect("a mounted controller");
    let path = path_in(text, controller).unwrap_or_else(|| panic!("no {controller} in {text:?}"));
    mount_point.join(path.trim_start_matches('/'))
}

/// A cgexec whose program has printed its groups and waits for the end of its stdin.
pub struct Inside {
    pub piped: Piped,
    pub groups: String,
    /// The program's PID.
    pub pid: i32,
}

impl Inside {
    pub fn new(options: &[&str]) -> Inside {
        let script = "cat /proc/self/cgroup; echo $$; exec cat";
        let mut piped = Piped::new(heeding(cgexec().args(options).args(["sh", "-c", script])));
        let mut groups = String::new();
        loop {
            let line = piped.line();
            assert!(!line.is_empty(), "cgexec {options:?} did not start");
            match line.parse() {
                Ok(pid) => return Inside { piped, groups, pid },
                Err(_) => groups += &(line + "\n"),
            }
        }
    }

    pub fn directory(&self, controller: &str) -> PathBuf {
        directory(&self.groups, controller)
    }

    /// The content of a file of its group.
    pub fn reads(&self, controller: &str, file: &str) -> String {
        let path = self.directory(controller).join(file);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim_end().to_owned()
    }
}

/// Does that process exist, and is it not a zombie?
pub fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// The report as JSON, the last line on stderr.
pub fn report(command: &mut Command) -> serde_json::Value {
    let output = limited(command);
    let text = stderr(&output);
    let line =
        text.lines().rfind(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no report in {text:?}"));
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}
