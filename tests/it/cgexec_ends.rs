//! cgexec: its measurements, and that no process or group is left, however it ends.

use crate::common;

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::common::cgexec::{Inside, Name, cgexec, directory, mounted, possible, processes, report, runs};
use crate::common::process::{change_of, limited, printed};
use crate::common::{Running, stderr, stdout, until};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("a signal");
}

/// All directories of groups that the program of an `Inside` is in and that belong to it.
fn own_groups(inside: &Inside) -> Vec<PathBuf> {
    let controllers = ["pids", "memory", ""].into_iter().filter(|controller| mounted(controller).is_some());
    let all = controllers.map(|controller| inside.directory(controller));
    let own: Vec<PathBuf> = all.filter(|path| path.to_string_lossy().contains("/ctrbox/")).collect();
    assert!(!own.is_empty());
    own
}

fn gone(groups: &[PathBuf]) -> bool {
    groups.iter().all(|group| !group.exists())
}

#[test]
fn remaining_processes_are_killed() {
    if !possible("cgexec") {
        return;
    }
    // It has stdout open only while it lives; otherwise the reader would hang.
    let script = "cat /proc/self/cgroup; sleep 1000 & setsid sleep 1000 & exit 3";
    let output = limited(cgexec().args(["--kill", "--pids", "50", "sh", "-c", script]));
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(stderr(&output), "");
    assert!(!directory(&stdout(&output), "pids").exists());
}

#[test]
fn remaining_processes_may_run_on_and_their_group_ends_with_them() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("left");
    let group = name.at("pids", "");
    let script = "sleep 1000 >/dev/null 2>&1 & echo $!";
    let output = limited(cgexec().args(["-g", &name.spec("pids"), "--create", "sh", "-c", script]));
    let left: i32 = stdout(&output).trim().parse().expect("a PID");
    assert!(stderr(&output).contains("processes still run in"), "{}", stderr(&output));
    assert!(output.status.success() && processes(&group).contains(&left));
    signal(left, Signal::SIGKILL);
    until("the group of what was left goes", || !group.exists());
}

#[test]
fn signals_are_passed_on_and_the_end_is_the_programs() {
    if !possible("cgexec") {
        return;
    }
    for sent in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let inside = Inside::new(&["--pids", "20"]);
        let groups = own_groups(&inside);
        signal(inside.piped.pid(), sent);
        let end = change_of(inside.piped.pid());
        assert!(matches!(end, WaitStatus::Signaled(_, by, _) if by == sent), "{end:?}");
        assert!(gone(&groups) && !runs(inside.pid), "{sent}");
    }
}

#[test]
fn killed_it_leaves_nothing() {
    if !possible("cgexec") {
        return;
    }
    let inside = Inside::new(&["--kill", "--pids", "20"]);
    let groups = own_groups(&inside);
    signal(inside.piped.pid(), Signal::SIGKILL);
    until("the program is ended", || !runs(inside.pid));
    until("its groups go", || gone(&groups));

    // Without --kill the program continues, and its groups are removed when it ends.
    let mut inside = Inside::new(&["--pids", "20"]);
    let groups = own_groups(&inside);
    signal(inside.piped.pid(), Signal::SIGKILL);
    assert!(matches!(change_of(inside.piped.pid()), WaitStatus::Signaled(_, Signal::SIGKILL, _)));
    assert!(runs(inside.pid) && groups.iter().all(|group| group.exists()));
    inside.piped.end_of_input();
    until("its groups go", || gone(&groups));
}

#[test]
fn two_hundred_at_once_leave_no_group() {
    if !possible("cgexec") {
        return;
    }
    let start = |options: &[&str]| {
        let mut command = cgexec();
        command
            .args(options)
            .args(["cat", "/proc/self/cgroup"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("cgexec")
    };
    let all: Vec<_> = (0..200).map(|_| start(&["-m", "64M", "--pids", "20"])).collect();
    for child in all {
        let output = child.wait_with_output().expect("its end");
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
        for controller in ["pids", "memory"] {
            let group = directory(&stdout(&output), controller);
            assert!(!group.exists(), "{}", group.display());
        }
    }
    let name = Name::new("many");
    let spec = format!("pids:{}/x", name.0);
    let all: Vec<_> = (0..50).map(|_| start(&["-g", &spec, "--create", "--pids", "500"])).collect();
    for child in all {
        let output = child.wait_with_output().expect("its end");
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).contains(&format!("/{}/x\n", name.0)));
    }
    until("the groups that all shared go", || name.all().is_empty());
}

#[test]
fn a_failure_leaves_nothing() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("failure");
    let spec = format!("pids:{}/x", name.0);
    let output = limited(cgexec().args(["-g", &spec, "--create", "--set", "pids.max=many", "true"]));
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("cannot write 'many'"), "{}", stderr(&output));
    assert!(name.all().is_empty());
    let output = limited(cgexec().args(["-g", &spec, "--create", "--pids", "0", "true"]));
    assert!(name.all().is_empty(), "{}", stderr(&output));
}

#[test]
fn time_is_up() {
    if !possible("cgexec") {
        return;
    }
    let script = "cat /proc/self/cgroup; sleep 1000 & sleep 1000";
    // Longer each time, until the program has printed its group.
    let output = (0..9).map(|power| format!("{}", 0.3 * f64::from(1 << power))).find_map(|limit| {
        let output = limited(cgexec().args(["--pids", "20", "--timeout", &limit, "sh", "-c", script]));
        assert_eq!(output.status.code(), Some(124));
        let message = format!("cgexec: the program was ended after {limit} s (--timeout)\n");
        assert_eq!(stderr(&output), message);
        output.stdout.ends_with(b"\n").then_some(output)
    });
    let output = output.expect("the program prints its group");
    let group = directory(&stdout(&output), "pids");
    until("its group goes", || !group.exists());
    let output = limited(cgexec().args(["-g", "pids:/", "--timeout", "0.1s", "sleep", "1000"]));
    assert_eq!(output.status.code(), Some(124));
    assert!(limited(cgexec().args(["-g", "pids:/", "--timeout", "1h", "true"])).status.success());
}

#[test]
fn a_fork_bomb_is_held_and_counted() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("bomb");
    let spec = name.spec("pids");
    let group = name.at("pids", "");
    // Until the kernel has refused one process. No other process is needed for the check.
    let script = format!(
        "f() {{ f | f & }}; f 2>/dev/null
         until read -r _ refused <{}/pids.events && [ \"$refused\" -gt 0 ]; do :; done",
        group.display()
    );
    let options = ["-g", &spec, "--create", "--kill", "--pids", "10", "--report=json"];
    let report = report(cgexec().args(options).args(["sh", "-c", &script]));
    assert!(report["pids_refused"].as_u64().is_some_and(|times| times > 0), "{report}");
    if !report["pids_peak"].is_null() {
        assert_eq!(report["pids_peak"], 10);
    }
    assert!(name.all().is_empty());
}

#[test]
fn an_oom_kill_is_reported_with_the_group_of_the_limit() {
    if !possible("cgexec") {
        return;
    }
    if std::fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1) {
        return common::skip("memory hog", "this host swaps");
    }
    let hog = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"];
    let own = report(cgexec().args(["-m", "16M", "--report=json"]).args(hog));
    assert_eq!(own["signal"], "SIGKILL", "{own}");
    assert_eq!(own["oom_kills"], 1);
    let limit_of = own["oom_limit_of"].as_str().expect("a group");
    assert!(own["groups"].as_array().expect("groups").iter().any(|group| group == limit_of), "{own}");

    let name = Name::new("hog");
    let above = name.make("memory", "");
    let (file, v2) = match mounted("memory") {
        Some((_, true)) => ("memory.max", true),
        _ => ("memory.limit_in_bytes", false),
    };
    std::fs::write(above.join(file), "16M").expect("a limit");
    let spec = format!("memory:{}/below", name.0);
    let report = report(cgexec().args(["-g", &spec, "--create", "--report=json"]).args(hog));
    assert_eq!(report["signal"], "SIGKILL", "{report} {v2}");
    assert_eq!(report["oom_limit_of"], above.to_str().expect("text"), "{report}");
}

#[test]
fn a_program_killed_by_its_limit_says_so() {
    if !possible("cgexec") {
        return;
    }
    if std::fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1) {
        return common::skip("memory limit", "this host swaps");
    }
    let hog = "dd if=/dev/zero of=/dev/null bs=64M count=1";
    let run = |hints: &str, script: &str| {
        let mut command = cgexec();
        command.env("CTRBOX_HINTS", hints).args(["-m", "16M", "sh", "-c", script]);
        let output = limited(&mut command);
        let text = stderr(&output);
        let note = text.lines().find(|line| line.starts_with("cgexec: ")).map(str::to_owned);
        (output.status, note)
    };
    let (status, note) = run("always", &format!("exec {hog}"));
    assert_eq!(status.signal(), Some(9), "the status stays");
    let note = note.expect("a note");
    let group = note.strip_prefix("cgexec: killed by the memory limit of 16M: /").expect("the limit");
    assert!(group.contains("ctrbox/"), "{note}");
    let (status, note) = run("always", &format!("{hog}; exit 3"));
    assert_eq!(status.code(), Some(3));
    let note = note.expect("a note");
    assert!(note.starts_with("cgexec: 1 process was killed by the memory limit of 16M: /"), "{note}");
    let (status, note) = run("never", &format!("exec {hog}"));
    assert_eq!((status.signal(), note), (Some(9), None));
    let (status, note) = run("always", "kill -9 $$");
    assert_eq!((status.signal(), note), (Some(9), None), "not for lack of memory");
}

#[test]
fn a_busy_loop_is_throttled_and_reported() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("busy");
    let file = name.at("cpu", "cpu.stat");
    // The kernel counts how often before it counts how long: the loop waits for both. (v1 counts nanoseconds.)
    let script = format!(
        "until grep -Eq '^throttled_(usec|time) [0-9]{{4}}' {0} && grep -q '^nr_throttled [1-9]' {0}; do :; done",
        file.display()
    );
    let options = ["-g", &name.spec("cpu"), "--create", "--cpus", "0.1", "--report=json"];
    let report = report(cgexec().args(options).args(["sh", "-c", &script]));
    for field in ["throttled", "periods", "throttled_usec"] {
        assert!(report[field].as_u64().is_some_and(|count| count > 0), "{field}: {report}");
    }
    assert_eq!(report["status"], 0);
    assert!(report["memory_peak"].is_null() || mounted("cpu").expect("mounted").1, "not 0: {report}");
}

#[test]
fn a_missing_measurement_is_not_zero() {
    if !possible("cgexec") || mounted("pids").expect("mounted").1 {
        return;
    }
    let name = Name::new("measure");
    name.make("pids", "");
    let output = limited(cgexec().args(["-g", &name.spec("pids"), "--report", "true"]));
    let text = stderr(&output);
    for line in ["memory peak   not measured", "pids peak     not measured", "oom kills     not measured"] {
        assert!(text.lines().any(|other| other == line), "no '{line}' in {text}");
    }
    assert!(text.lines().any(|line| line == "pids refused  0"), "{text}");
    let scratch = common::Scratch::new("cgexec-report");
    let file = scratch.0.join("report");
    let mut command = cgexec();
    command.args(["--report=json", "--report-file"]).arg(&file).args(["sh", "-c", "exit 7"]);
    let output = limited(&mut command);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(7), ""));
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("a report")).expect("JSON");
    assert_eq!(report["status"], 7);
    assert!(report["memory_peak"].as_u64().is_some_and(|bytes| bytes > 0));
}

#[test]
fn descriptors_and_signals_are_as_they_were() {
    if !possible("cgexec") {
        return;
    }
    let script = "echo /proc/self/fd/*; grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let plain = printed(common::program("sh").args(["-c", script]));
    for options in [&["-g", "pids:/"][..], &["--pids", "20"]] {
        assert_eq!(printed(cgexec().args(options).args(["sh", "-c", script])), plain);
    }
    // Those that the C library of ctrbox uses itself, too.
    let blocked = |words: &[&str]| {
        let mut env = common::program("env");
        limited(env.arg("--block-signal").args(words).args(["grep", "SigBlk", "/proc/self/status"]))
    };
    let binary = common::binary();
    let words = [binary.to_str().expect("text"), "cgexec", "--pids", "20"];
    assert_eq!(stdout(&blocked(&words)), stdout(&blocked(&[])));
}

#[test]
fn a_background_program_holds_no_pipe_of_cgexec() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("pipe");
    let mut command = cgexec();
    command.args([
        "-g",
        &name.spec("pids"),
        "--create",
        "sh",
        "-c",
        "sleep 1000 >/dev/null 2>&1 </dev/null & :",
    ]);
    let child = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("cgexec"));
    let mut child = child;
    let mut text = String::new();
    let mut out = child.0.stdout.take().expect("a pipe");
    std::io::Read::read_to_string(&mut out, &mut text).expect("the end of it");
    assert_eq!(child.0.wait().expect("its end").into_raw(), 0);
}
