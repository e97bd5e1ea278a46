//! A process that may signal the processes of ctrbox, or freeze the groups that they join, cannot make them wait
//! forever in silence.

use crate::common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::cgexec::{cgexec, mounted};
use crate::common::nsenter::{in_scratch, of, script};
use crate::common::process::{Holder, children, failure, namespaces, printed};
use crate::common::{HANG, Scratch, program, skip, stdout, unique, until};

/// A frozen group with a holder in it, thawed and removed with the value.
struct Frozen {
    directory: PathBuf,
    file: &'static str,
    thawed: &'static str,
    holder: Option<Holder>,
}

impl Frozen {
    /// In the hierarchy of that controller; none for v2.
    fn new(controller: &str) -> Option<Frozen> {
        let (at, v2) = mounted(controller)?;
        let directory = at.join(unique("attacks-frozen"));
        std::fs::create_dir(&directory).ok()?;
        let (file, frozen, thawed) =
            if v2 { ("cgroup.freeze", "1", "0") } else { ("freezer.state", "FROZEN", "THAWED") };
        let mut group = Frozen { directory, file, thawed, holder: None };
        if !group.directory.join(file).exists() {
            return None;
        }
        let holder = Holder::new(&["-u", "-p", "-f"], "");
        std::fs::write(group.directory.join("cgroup.procs"), holder.pid.to_string()).expect("a member");
        group.holder = Some(holder);
        std::fs::write(group.directory.join(file), frozen).expect("a frozen group");
        Some(group)
    }

    fn thaw(&self) {
        std::fs::write(self.directory.join(self.file), self.thawed).expect("a thawed group");
    }

    fn holder(&self) -> &Holder {
        self.holder.as_ref().expect("a holder")
    }

    /// The processes in it, without the holder.
    fn members(&self) -> Vec<i32> {
        let text = std::fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default();
        let all = text.lines().filter_map(|line| line.parse().ok());
        all.filter(|pid| *pid != self.holder().pid).collect()
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = std::fs::write(self.directory.join(self.file), self.thawed);
        self.holder = None;
        let start = Instant::now();
        while self.directory.exists() && start.elapsed() < HANG {
            let _ = std::fs::remove_dir(&self.directory);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

/// Groups of both versions, as far as they can be made here.
fn frozen(test: &str) -> Vec<Frozen> {
    if !namespaces(test) {
        return Vec::new();
    }
    let found: Vec<Frozen> = ["freezer", ""].into_iter().filter_map(Frozen::new).collect();
    if found.is_empty() {
        skip(test, "no group can be frozen here");
    }
    found
}

#[test]
fn a_frozen_group_is_not_joined() {
    for group in frozen("attacks-frozen") {
        let shown = group.directory.display().to_string();
        let expected = format!("control group {shown} of the target is frozen (paused): ");
        for options in [&["-u", "--join-cgroup"][..], &["-u", "-p", "--join-cgroup"], &["--as-container"]] {
            let (status, said) = failure(of(group.holder()).args(options).args(["echo", "started"]));
            assert_eq!(status, Some(1), "{options:?}: {said}");
            assert!(said.starts_with(&format!("nsenter: {expected}")), "{options:?}: {said}");
        }
        let like = group.holder().pid.to_string();
        let (status, said) = failure(cgexec().args(["--like", &like, "echo", "started"]));
        assert_eq!(status, Some(125), "{said}");
        assert!(said.starts_with(&format!("cgexec: {expected}")), "{said}");
        assert!(group.members().is_empty(), "nobody is left in it");
        assert_eq!(printed(of(group.holder()).args(["-a", "echo", "started"])), "started\n", "not joined");
        // A group below is frozen too.
        let below = group.directory.join("below");
        std::fs::create_dir(&below).expect("a group");
        group.thaw();
        std::fs::write(below.join("cgroup.procs"), like.as_bytes()).expect("a member");
        let frozen = if group.thawed == "0" { "1" } else { "FROZEN" };
        std::fs::write(group.directory.join(group.file), frozen).expect("frozen again");
        let (status, said) = failure(of(group.holder()).args(["-u", "-p", "-c", "echo", "started"]));
        assert_eq!((status, said.contains("is frozen (paused)")), (Some(1), true), "{said}");
        group.thaw();
        std::fs::write(group.directory.join("cgroup.procs"), like.as_bytes()).expect("a member");
        std::fs::remove_dir(below).expect("an empty group");
    }
}

/// nsenter that waits for a frozen group: it prints that, and stays outside of the group itself.
fn waiting(group: &Frozen, options: &[&str], program: &[&str]) -> (std::process::Child, String) {
    use std::io::{BufRead, BufReader};
    let mut command = of(group.holder());
    command.args(options).arg("--force").args(program);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("nsenter");
    let mut said = String::new();
    BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut said).expect("a line");
    (child, said)
}

#[test]
fn a_group_that_is_frozen_while_it_is_joined_is_named() {
    for group in frozen("attacks-frozen-meanwhile") {
        for options in [&["-p", "--join-cgroup"][..], &["--as-container"]] {
            let (child, said) = waiting(&group, options, &["echo", "started"]);
            let expected = format!(
                "nsenter: the program starts when control group {} is thawed\n",
                group.directory.display()
            );
            assert_eq!(said, expected, "{options:?}");
            // A stop signal to its process in addition, which only the sender takes back.
            let between = group.members();
            assert_eq!(between, children(i32::try_from(child.id()).expect("a pid")), "{options:?}");
            kill(Pid::from_raw(between[0]), Signal::SIGSTOP).expect("a signal");
            group.thaw();
            let output = child.wait_with_output().expect("its end");
            assert!(output.status.success() && stdout(&output) == "started\n", "{options:?}: {output:?}");
            let frozen = if group.thawed == "0" { "1" } else { "FROZEN" };
            std::fs::write(group.directory.join(group.file), frozen).expect("frozen again");
        }
    }
}

/// A start that was given up does not happen later.
#[test]
fn an_interrupted_wait_for_a_frozen_group_starts_nothing() {
    for group in frozen("attacks-frozen-interrupted") {
        let scratch = Scratch::new("attacks-frozen-interrupted");
        let trace = in_scratch(&scratch, "trace");
        for signal in [Signal::SIGINT, Signal::SIGKILL] {
            let (mut child, _) = waiting(&group, &["-p", "--join-cgroup"], &["touch", &trace]);
            kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal).expect("a signal");
            child.wait().expect("its end");
            group.thaw();
            until("its process ends", || group.members().is_empty());
            assert!(!Path::new(&trace).exists(), "{signal}");
            let frozen = if group.thawed == "0" { "1" } else { "FROZEN" };
            std::fs::write(group.directory.join(group.file), frozen).expect("frozen again");
        }
    }
}

/// A program in place of newuidmap, which acts on the helper process that started it.
fn mapper(act: &str) -> (Option<i32>, String) {
    let scratch = Scratch::new("attacks-mapper");
    let path = scratch.0.display().to_string();
    for name in ["newuidmap", "newgidmap"] {
        script(&in_scratch(&scratch, name), &format!("#!/bin/sh\n{act}\n"), 0o755);
    }
    let binary = scratch.0.join("ctrbox");
    common::process::copy_of_binary(&binary);
    let mut command = program("setpriv");
    command.args([
        "--reuid=4242",
        "--regid=4242",
        "--clear-groups",
        "env",
        &format!("PATH={path}:/usr/bin:/bin"),
    ]);
    command.arg(binary).args(["unshare", "-U", "--map-users=0,4242,1", "true"]);
    failure(&mut command)
}

#[test]
fn helpers_of_unshare_are_continued_and_their_death_is_reported() {
    if !namespaces("attacks-helpers") || !common::there("setpriv") {
        return;
    }
    let stopped = mapper("kill -STOP $PPID; exit 3");
    assert_eq!(stopped, (Some(3), String::new()));
    let killed = mapper("kill -KILL $PPID; exit 3");
    assert_eq!(killed, (Some(1), "unshare: the helper process was killed\n".to_owned()));
}

/// The processes of ctrbox below this one, at any depth.
fn steps(pid: i32, found: &mut BTreeSet<i32>) {
    let binary = std::fs::canonicalize(common::binary()).expect("the binary");
    for child in children(pid) {
        steps(child, found);
        let exe = std::fs::read_link(format!("/proc/{child}/exe")).unwrap_or_default();
        if exe == binary || exe.to_string_lossy().contains("memfd:") || exe == Path::new("/") {
            found.insert(child);
        }
    }
}

fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Runs it while each of its steps gets the signal; nsenter itself is continued when it stops with the program.
fn stormed(command: &mut Command, signal: Signal, hits: &AtomicUsize) -> std::process::Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nsenter");
    let pid = i32::try_from(child.id()).expect("a pid");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            let mut had = BTreeSet::new();
            while !ended.load(Ordering::SeqCst) {
                let mut found = BTreeSet::new();
                steps(pid, &mut found);
                for step in found {
                    // A process that was stopped before is left alone.
                    if had.insert(step) && kill(Pid::from_raw(step), signal).is_ok() {
                        hits.fetch_add(1, Ordering::SeqCst);
                    }
                }
                if state(pid) == Some('T') {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
                }
                if start.elapsed() > HANG {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        });
        let output = child.wait_with_output().expect("its end");
        ended.store(true, Ordering::SeqCst);
        output
    })
}

const ENTRIES: [&[&str]; 9] = [
    &["-a"],
    &["-p", "--new-tty"],
    &["--as-container"],
    &["--as", "7:8"],
    &["-a", "--host-root", "--force"],
    &["-a", "--applet"],
    &["-p", "-m", "--mount-proc"],
    &["-p", "-c", "--new-tty"],
    &["-u", "--host-root"],
];

/// As a process that shares the pid namespace of nsenter may: root of a container with `--pid=host`, or its user.
#[test]
fn a_step_that_is_stopped_is_continued() {
    if !namespaces("attacks-stopped") {
        return;
    }
    let holder = Holder::by_child(program("unshare").args(["-u", "-p", "-f", "-m", "--mount-proc"]));
    let hits = AtomicUsize::new(0);
    for options in ENTRIES {
        for _ in 0..rounds() {
            let mut command = of(&holder);
            command.args(options).arg(if options.contains(&"--applet") { "getpcaps" } else { "true" });
            if options.contains(&"--applet") {
                command.arg("1");
            }
            let output = stormed(&mut command, Signal::SIGSTOP, &hits);
            assert!(output.status.success(), "{options:?}: {output:?}");
        }
    }
    assert!(hits.load(Ordering::SeqCst) > 0, "no step was seen");
}

#[test]
fn a_step_that_is_killed_ends_the_entry() {
    if !namespaces("attacks-killed") {
        return;
    }
    let holder = Holder::by_child(program("unshare").args(["-u", "-p", "-f", "-m", "--mount-proc"]));
    let hits = AtomicUsize::new(0);
    for options in ENTRIES {
        for _ in 0..rounds() {
            let before = hits.load(Ordering::SeqCst);
            let mut command = of(&holder);
            command.args(options).args(["getpcaps", "1"]);
            let output = stormed(&mut command, Signal::SIGKILL, &hits);
            let killed = hits.load(Ordering::SeqCst) > before;
            assert!(killed || output.status.code().is_some(), "{options:?}: {output:?}");
        }
    }
    assert_eq!(printed(of(&holder).args(["-a", "echo", "there"])), "there\n", "the container is as before");
}

/// Entries for each combination of options; more for a long run.
fn rounds() -> u32 {
    std::env::var("CTRBOX_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}
