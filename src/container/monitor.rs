//! What root's monitor processes above a container say: the title of LXC's monitor names the container, and the working
//! directory of a shim of containerd is the bundle.
//!
//! Anybody can choose a title. It counts only for a process of root outside of all containers, and only for the
//! container below it. That of a user's monitor counts like a state file of that user.

use std::path::Path;

use nix::unistd::Pid;

use super::by_namespace::{ByNamespace, is_of_lxc, trusted_program};
use super::files::Files;
use super::runtimes::{LxcPath, of_monitor};
use super::verify::{belongs_to_owner, first_in_pid_ns, start_time};
use super::{Container, Runtime};
use crate::access::Lines;
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, Status, number};

/// The most processes that are remembered to have no shim above them.
const MOST_SEEN: usize = 4_096;
/// The deepest tree of processes that is searched.
const DEEPEST: usize = 64;
const TITLE: &[u8] = b"[lxc monitor] ";
const SHIM: &str = "containerd-shim";
/// How the names of the directories with containerd's tasks begin.
const TASKS: &str = "io.containerd.runtime.";

/// A process outside of all containers, and the user whose rights it has.
struct Outside {
    pid: Pid,
    owner: u32,
}

impl ByNamespace {
    /// The container that LXC's monitor above a process names, with its init process.
    pub(super) fn named_by_lxc(&self, proc: &ProcRoot, files: &Files, pid: Pid) -> Option<Container> {
        self.named_above(proc, files, pid).or_else(|| self.named_above(proc, files, entered(proc, pid)?))
    }

    fn named_above(&self, proc: &ProcRoot, files: &Files, pid: Pid) -> Option<Container> {
        let mut init = None;
        for (current, status) in ancestors(proc, pid) {
            if status.nspid.len() < 2 {
                let init = init.unwrap_or(pid);
                // With the host's pid namespace, other processes can be between the monitor and this one.
                let is_monitor = |outside: &Outside| outside.pid != pid && outside.may_say(proc, init);
                let outside = self.outside(proc, current, is_lxc).filter(is_monitor);
                match outside.and_then(|outside| self.lxc_container(proc, files, &outside)) {
                    Some(container) => {
                        return Some(Container {
                            init: Some(init),
                            init_start: start_time(proc, init),
                            ..container
                        });
                    }
                    None if init != pid => return None,
                    None => {}
                }
            } else if status.nspid.len() == 2 && status.nspid.last() == Some(&1) {
                init = Some(current);
            }
        }
        None
    }

    /// The init process above a process, or itself, whose monitor has ended, or is not in a copy of /proc.
    pub(super) fn init_without_monitor(&self, proc: &ProcRoot, pid: Pid) -> Option<Pid> {
        let is_first = |status: &Status| status.nspid.len() == 2 && status.nspid.last() == Some(&1);
        let (init, status) = ancestors(proc, pid).find(|(_, status)| is_first(status))?;
        let parent = Pid::from_raw(status.ppid.filter(|&parent| parent > 1).unwrap_or_default());
        (parent.as_raw() == 0 || proc.process(parent).status_text().is_err()).then_some(init)
    }

    /// The directory of all tasks of the containerd whose shim is above a process. Containers mostly share the processes
    /// above them: each of these is looked at once. `is_inside`: a process with a pid namespace of its own is no shim.
    pub(super) fn tasks_above(
        &mut self,
        proc: &ProcRoot,
        (pid, is_inside): (Pid, bool),
        known_parent: impl Fn(Pid) -> Option<i32>,
    ) -> Option<String> {
        let (mut next, mut seen) = (Some(pid), Vec::new());
        while let Some(current) = next.filter(|pid| seen.len() < DEEPEST && !self.below_no_shim.contains(pid))
        {
            let tasks = if is_inside && current == pid { None } else { self.tasks_of_shim(proc, current) };
            if tasks.is_some() {
                return tasks;
            }
            seen.push(current);
            let just_read =
                || self.parents.iter().find(|(pid, _)| *pid == current).map(|(_, parent)| *parent);
            let parent = known_parent(current)
                .or_else(just_read)
                .or_else(|| proc.process(current).status().ok()?.ppid);
            next = parent.filter(|&parent| parent > 0).map(Pid::from_raw);
        }
        if self.below_no_shim.len() < MOST_SEEN {
            self.below_no_shim.extend(seen);
        }
        None
    }

    fn tasks_of_shim(&self, proc: &ProcRoot, pid: Pid) -> Option<String> {
        // A shim can have been replaced by a newer version: then the name of its file ends in ` (deleted)`.
        let is_shim = exe_name(proc, pid)?.starts_with(SHIM);
        let is_outside = is_shim && proc.process(pid).status().ok()?.nspid.len() < 2;
        let shim = is_outside.then(|| self.outside(proc, pid, |name| name.starts_with(SHIM)))??;
        if shim.owner != 0 {
            return None;
        }
        let bundle = proc.link(&proc.path_of(pid, "cwd")).ok()?;
        let tasks = bundle.parent()?.parent()?;
        let is_tasks = tasks.is_absolute() && tasks.file_name()?.to_str()?.starts_with(TASKS);
        is_tasks.then(|| tasks.to_str().map(str::to_owned))?
    }

    /// The process, if it is in the initial user namespace, all its ids are those of one user, and either its mounts are
    /// the host's or it runs a wanted program from a file of root.
    fn outside(&self, proc: &ProcRoot, pid: Pid, is_wanted: impl Fn(&str) -> bool) -> Option<Outside> {
        let text = proc.process(pid).status_text().ok()?;
        let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
        let mut ids = line.split(u8::is_ascii_whitespace).filter(|id| !id.is_empty()).map(number::<u32>);
        let owner = ids.next()??;
        let is_host = self.is_in_host_ns(proc, pid, Kind::User)
            && (self.is_in_host_ns(proc, pid, Kind::Mnt)
                || trusted_program(proc, self.files(), pid, is_wanted).is_some());
        (is_host && ids.all(|id| id == Some(owner))).then_some(Outside { pid, owner })
    }

    fn lxc_container(&self, proc: &ProcRoot, files: &Files, monitor: &Outside) -> Option<Container> {
        let program = || exe_name(proc, monitor.pid).and_then(|name| Runtime::of_program(&name));
        let line = match monitor.owner {
            0 => proc.process(monitor.pid).command_line().ok()?,
            // A user can have any number of such processes, and block reads of their memory.
            user => {
                let is_lxc = exe_name(proc, monitor.pid).is_some_and(|name| is_lxc(&name));
                let may_read = is_lxc && files.of_user(user).may_check("LXC's monitor");
                may_read.then(|| Lines::one(proc, monitor.pid).ok())??
            }
        };
        let (path, name) = match line.strip_prefix(TITLE) {
            Some(title) => {
                let title = String::from_utf8_lossy(title);
                let title = title.trim_end_matches(['\0', ' ']);
                let split = |(at, _): (usize, &str)| (&title[..at], &title[at + 1..]);
                let is_there = |(path, name): &(&str, &str)| {
                    let files = if monitor.owner == 0 { files.clone() } else { files.of_user(monitor.owner) };
                    path.starts_with('/') && files.is_there(&format!("{path}/{name}"))
                };
                // Path and name can contain spaces.
                let mut all = title.rmatch_indices(' ').take(8).map(split);
                let (path, name) = all.find(is_there).or_else(|| title.rsplit_once(' '))?;
                (Some(path.to_owned()), name.to_owned())
            }
            None if program() == Some(Runtime::Lxc) => arguments(&line)?,
            None => return None,
        };
        let place = LxcPath { path: path.as_deref(), daemon: program() };
        of_monitor(files, monitor.owner, &place, &name)
    }
}

/// Is it a process of gVisor, whose guests run on a kernel of their own? Reads nothing of other programs.
#[must_use]
pub(crate) fn is_gvisor(proc: &ProcRoot, pid: Pid) -> bool {
    let is_its = |name: &str| Runtime::of_program(name) == Some(Runtime::Gvisor);
    let files = || Files::new(Path::new("/")).ok();
    exe_name(proc, pid).is_some_and(|name| is_its(&name))
        && files().is_some_and(|files| trusted_program(proc, &files, pid, is_its).is_some())
}

impl Outside {
    /// May it say what the container with this init process is?
    fn may_say(&self, proc: &ProcRoot, init: Pid) -> bool {
        belongs_to_owner(proc, init, self.owner)
    }
}

/// The first process of the pid namespace that a process entered: it is below the monitor.
fn entered(proc: &ProcRoot, pid: Pid) -> Option<Pid> {
    first_in_pid_ns(proc, pid).filter(|first| *first != pid)
}

/// Programs that have LXC's monitor as a child. Other programs can use its library.
fn is_lxc(name: &str) -> bool {
    Runtime::of_program(name).is_some_and(is_of_lxc)
}

/// A process and those above it.
fn ancestors(proc: &ProcRoot, pid: Pid) -> impl Iterator<Item = (Pid, Status)> {
    let mut next = Some(pid);
    std::iter::from_fn(move || {
        let current = next?;
        let status = proc.process(current).status().ok()?;
        next = status.ppid.filter(|&parent| parent > 0).map(Pid::from_raw);
        Some((current, status))
    })
    .take(DEEPEST)
}

fn exe_name(proc: &ProcRoot, pid: Pid) -> Option<String> {
    let path = proc.link(&proc.path_of(pid, "exe")).ok()?;
    Some(path.file_name()?.to_str()?.to_owned())
}

/// The path and the name in the arguments of lxc-start(1) or lxc-execute(1), which have no title in the foreground.
fn arguments(line: &[u8]) -> Option<(Option<String>, String)> {
    const WITH_VALUE: &str = "nPfolpcLsSugN";
    const LONG_WITH_VALUE: [&str; 11] = [
        "--name",
        "--lxcpath",
        "--rcfile",
        "--logfile",
        "--logpriority",
        "--pidfile",
        "--console",
        "--console-log",
        "--define",
        "--uid",
        "--gid",
    ];
    let line = String::from_utf8_lossy(line);
    let mut words = line.trim_end_matches('\0').split('\0');
    let is_start = words.next()?.rsplit('/').next() == Some("lxc-start");
    let (mut path, mut name, mut operand) = (None, None, None);
    let mut set = |option: &str, value: &str| match option {
        "--name" | "n" => name = Some(value.to_owned()),
        "--lxcpath" | "P" => path = Some(value.to_owned()),
        _ => {}
    };
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        } else if word.starts_with("--") {
            match word.split_once('=') {
                Some((option, value)) => set(option, value),
                None if LONG_WITH_VALUE.contains(&word) => set(word, words.next()?),
                None => {}
            }
        } else if let Some(letters) = word.strip_prefix('-') {
            let Some(at) = letters.find(|letter| WITH_VALUE.contains(letter)) else { continue };
            let value = &letters[at + 1..];
            set(&letters[at..=at], if value.is_empty() { words.next()? } else { value });
        } else if is_start && operand.is_none() {
            operand = Some(word.to_owned());
        } else if !is_start {
            break;
        }
    }
    Some((path, name.or(operand)?))
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(line: &[u8]) {
    _ = arguments(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_lxc_start_name_the_container() {
        let read = |line: &str| arguments(line.replace(' ', "\0").as_bytes());
        let found = |path: Option<&str>, name: &str| Some((path.map(str::to_owned), name.to_owned()));
        for (line, path, name) in [
            ("lxc-start -F -n web", None, "web"),
            ("/usr/bin/lxc-start -Fn web", None, "web"),
            ("lxc-start -F web", None, "web"),
            ("lxc-start -P /srv/lxc -f c -F web", Some("/srv/lxc"), "web"),
            ("lxc-start --foreground --lxcpath=/srv --name web", Some("/srv"), "web"),
            ("lxc-execute -nweb -P/srv sleep 9", Some("/srv"), "web"),
            ("lxc-execute -n web -- sleep -n 9", None, "web"),
        ] {
            assert_eq!(read(line), found(path, name), "{line}");
        }
        assert_eq!(read("lxc-start"), None);
        assert_eq!(read("lxc-start -n"), None);
    }
}
