//! Real containers, which tests/containers/run.sh starts and removes, as the kernel and ctr-ps show them.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::process::limited;
use super::{applet, program, project, skip, stderr, stdout, until};

// --- what ctr-ps says --------------------------------------------------------------------------------------

pub struct Listing(pub Vec<Value>);

pub fn processes() -> Listing {
    let output = limited(applet("ctr-ps").arg("--json"));
    assert!(output.status.success(), "{}", stderr(&output));
    let mut json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    match json["processes"].take() {
        Value::Array(records) => Listing(records),
        other => panic!("processes: {other}"),
    }
}

impl Listing {
    pub fn of(&self, pid: i32) -> &Value {
        let mut found = self.0.iter().filter(|record| record["pid"] == pid);
        let record = found.next().unwrap_or_else(|| panic!("no process {pid} in ctr-ps --json"));
        assert!(found.next().is_none(), "{pid} is listed twice");
        record
    }

    pub fn there(&self, pid: i32) -> bool {
        self.0.iter().any(|record| record["pid"] == pid)
    }

    pub fn of_container(&self, runtime: &str, id: &str) -> BTreeSet<i32> {
        let tagged = self.0.iter().filter(|record| record["runtime"] == runtime && record["id"] == id);
        tagged.map(|record| i32::try_from(record["pid"].as_i64().expect("a pid")).expect("a pid")).collect()
    }
}

pub fn value(text: &Option<String>) -> Value {
    text.clone().map_or(Value::Null, Value::from)
}

// --- what the kernel says ----------------------------------------------------------------------------------

pub fn link(pid: i32, kind: &str) -> String {
    super::process::link(&pid.to_string(), kind)
}

pub fn host_link(kind: &str) -> String {
    link(this(), kind)
}

pub fn pids() -> impl Iterator<Item = i32> {
    let proc = std::fs::read_dir("/proc").expect("/proc");
    proc.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The processes in the control group that the runtime named after the container, if it did; and those in its
/// pid namespace, if it has one.
pub fn members(row: &Row) -> BTreeSet<i32> {
    let hex = row.id.len() == 64;
    let in_group = |pid: &i32| {
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        cgroup.lines().any(|line| match row.id.contains('/') {
            true => line.ends_with(&format!("/{}", row.id)),
            false => hex && line.contains(&row.id),
        })
    };
    let of = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = of(row.pid).filter(|own| Some(own) != of(this()).as_ref());
    let in_namespace = |pid: &i32| own.is_some() && of(*pid) == own;
    pids().filter(|pid| in_group(pid) || in_namespace(pid)).collect()
}

pub fn this() -> i32 {
    i32::try_from(std::process::id()).expect("a pid")
}

/// The result is the same before and after ctr-ps ran.
pub fn settled(row: &Row) -> (BTreeSet<i32>, Listing) {
    let mut result = None;
    until("a container without comings and goings", || {
        let before = members(row);
        let listing = processes();
        let settled = before == members(row);
        result = Some((before, listing));
        settled
    });
    result.expect("at least one look")
}

/// Of /proc/PID/status: PPid, and the last of NSpid.
pub fn parent_and_innermost(pid: i32) -> (i32, i32) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let last = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
        line.split_whitespace().next_back().expect("a number").parse().expect("a number")
    };
    (last("PPid:"), last("NSpid:"))
}

/// Daemons that do not answer, until the value is dropped.
pub struct Stopped(pub Vec<i32>);

impl Stopped {
    pub fn new(pids: Vec<i32>) -> Stopped {
        let stopped = Stopped(pids);
        for &pid in &stopped.0 {
            kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("a daemon");
            until("a daemon to stop", || {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                status.contains("State:\tT")
            });
        }
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for &pid in &self.0 {
            let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
        }
    }
}

// --- the containers ----------------------------------------------------------------------------------------

pub struct Row {
    /// As run.sh calls it: Kubernetes is `cri`.
    pub runtime: &'static str,
    pub name: String,
    pub id: String,
    pub pid: i32,
}

impl Row {
    pub fn full_name(&self, runtime: &str) -> String {
        format!("{runtime}:{}", self.name)
    }

    /// The image comes from the runtime: one process, and no programs to run in it.
    pub fn is_bare(&self) -> bool {
        self.name.ends_with("/POD")
    }
}

/// The containers of one `run.sh hold`. It removes them when its stdin ends: with this value or this process.
pub struct Up {
    pub runtime: &'static str,
    pub prefix: String,
    pub rows: Vec<Row>,
    hold: Child,
}

/// The prefix of the names of a test's containers: no other test and no other run has it.
pub fn prefix(test: &str) -> String {
    format!("cbt{}{test}", std::process::id())
}

fn script(verb: &str, runtime: &str, prefix: &str) -> Command {
    let mut command = program(project("tests/containers/run.sh").to_str().expect("a plain path"));
    command.args([verb, runtime]).env("CTRBOX_TEST_PREFIX", prefix);
    command
}

impl Up {
    /// None if this runtime cannot run here; the reason was printed.
    pub fn new(runtime: &'static str, prefix: &str) -> Option<Up> {
        let mut command = script("hold", runtime, prefix);
        // ^C at a terminal is for the tests; the script then sees its stdin end.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut hold = match command.spawn() {
            Ok(hold) => hold,
            Err(error) => {
                skip(runtime, &format!("{error}: {:?}", command.get_program()));
                return None;
            }
        };
        let mut table = String::new();
        hold.stdout.take().expect("a pipe").read_to_string(&mut table).expect("text");
        let rows: Vec<Row> = table.lines().map(|line| row(runtime, line)).collect();
        if !rows.is_empty() {
            return Some(Up { runtime, prefix: prefix.to_owned(), rows, hold });
        }
        let output = hold.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(77), "{command:?}: {}", stderr(&output));
        skip(runtime, stderr(&output).trim().trim_start_matches(&format!("{runtime}: ")));
        None
    }

    pub fn row(&self, name: &str) -> &Row {
        let name = format!("{}-{name}", self.prefix);
        self.rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no container {name}"))
    }

    pub fn image(&self) -> String {
        format!("localhost/ctrbox-test:{}", self.prefix)
    }

    /// Adds a shell with a child to the container; its PID.
    pub fn exec(&self, row: &Row) -> i32 {
        let before = members(row);
        // (a `:` after it, for the shell would become the sleep)
        let shell = ["/bin/sh", "-c", "sleep 1000002; :"];
        let output = limited(script("exec", self.runtime, &self.prefix).arg(&row.id).args(shell));
        assert!(output.status.success(), "exec in {}: {}", row.name, stderr(&output));
        let wanted = shell.join("\0") + "\0";
        let mut added = None;
        until("the added process", || {
            let is_it = |pid: &i32| {
                std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|argv| argv == wanted.as_bytes())
            };
            added = members(row).into_iter().filter(|pid| !before.contains(pid)).find(is_it);
            added.is_some()
        });
        added.expect("a pid")
    }

    pub fn daemons(&self) -> Vec<i32> {
        let output = limited(&mut script("daemons", self.runtime, &self.prefix));
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).split_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
    }
}

fn row(runtime: &'static str, line: &str) -> Row {
    match line.split('\t').collect::<Vec<_>>()[..] {
        [_, name, id, pid] => {
            Row { runtime, name: name.to_owned(), id: id.to_owned(), pid: pid.parse().expect("a pid") }
        }
        _ => panic!("run.sh printed {line:?}"),
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.hold.stdin.take());
        let mut message = String::new();
        if let Some(mut stderr) = self.hold.stderr.take() {
            let _ = stderr.read_to_string(&mut message);
        }
        let ended_well = self.hold.wait().is_ok_and(|status| status.success());
        // (if even the script was killed)
        let clean = ended_well || limited(&mut script("down", self.runtime, &self.prefix)).status.success();
        assert!(clean || std::thread::panicking(), "containers of {} are left: {message}", self.prefix);
    }
}

/// No finding of a container with the runtime's defaults is of high severity, and what is medium is true. The sections
/// that need few processes are the same in a report for which all are read.
pub fn is_nothing_odd(row: &Row) {
    let report = |options: &[&str]| {
        let output = limited(applet("ctr-inspect").arg("-J").args(options).arg(row.pid.to_string()));
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json["containers"][0].clone()
    };
    let all = report(&[]);
    assert_eq!(all["identity"]["pid"], row.pid, "{}", row.name);
    for finding in all["findings"].as_array().expect("a list") {
        let is_true = finding["severity"] == "note"
            || (finding["severity"] == "medium"
                && match finding["id"].as_str() {
                    Some("pid1-drops-sigterm") => all["processes"]["init"]["stops"] == false,
                    Some("seccomp-off") => all["privileges"]["seccomp"] == "off",
                    // LXC without a configuration that drops capabilities
                    Some("dangerous-capability") => {
                        all["identity"]["runtime"] == "lxc"
                            && all["privileges"]["added"] != Value::Array(Vec::new())
                    }
                    Some("shares-host-net") => link(row.pid, "net") == host_link("net"),
                    Some("shares-host-pid") => link(row.pid, "pid") == host_link("pid"),
                    _ => false,
                });
        assert!(is_true, "{}: {finding}", row.name);
    }
    let few = report(&["-s", "identity,namespaces,limits,privileges,processes"]);
    for (section, keys) in [
        ("identity", &["container", "id", "how", "owner", "status", "pid", "cpid", "shim_pid"][..]),
        ("namespaces", &["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "hostname", "foreign"]),
        ("privileges", &["bounding", "baseline", "seccomp", "root_on_host", "masked"]),
        ("processes", &["count", "init"]),
    ] {
        for key in keys {
            assert_eq!(few[section][key], all[section][key], "{}: {section}.{key}", row.name);
        }
    }
    assert_eq!(few["limits"]["cgroup"], all["limits"]["cgroup"], "{}", row.name);
}
