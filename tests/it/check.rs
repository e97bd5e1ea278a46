//! `ctrbox check` on hosts that have all, and on hosts that lack something.

use std::process::Command;

use serde_json::Value;

use crate::common::process::limited;
use crate::common::{applet, ctrbox, program, root, skip, stderr, stdout};

fn checks(command: &mut Command) -> (i32, Vec<Value>) {
    let output = limited(command);
    let text = stdout(&output);
    let whole: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", stderr(&output)));
    (output.status.code().expect("a status"), whole["checks"].as_array().expect("an array").clone())
}

fn state<'a>(rows: &'a [Value], what: &str) -> &'a str {
    let mut found = rows.iter().filter(|row| row["what"] == what);
    found.next().unwrap_or_else(|| panic!("no row {what} in {rows:?}"))["state"].as_str().expect("a state")
}

/// In a process that `options` of unshare(1) of the host prepare.
fn within(options: &[&str]) -> Command {
    let mut command = program("unshare");
    command.args(options).arg(crate::common::binary());
    command
}

#[test]
fn every_row_has_a_state_and_what_lacks_it() {
    let (_, rows) = checks(ctrbox().args(["check", "-J"]));
    for row in &rows {
        let state = row["state"].as_str().expect("a state");
        assert!(matches!(state, "works" | "missing" | "fails"), "{row}");
        assert_eq!(state == "works", row["without"].is_null(), "{row}");
    }
    for what in ["version", "openat2(2)", "new user", "/proc", "user", "mounted", "newuidmap"] {
        state(&rows, what);
    }
}

#[test]
fn the_text_has_the_same_states() {
    let output = limited(ctrbox().arg("check"));
    let text = stdout(&output);
    for head in ["kernel", "processes", "rights", "control groups", "programs", "state files"] {
        assert!(text.lines().any(|line| line == head), "{head}: {text}");
    }
    assert!(!text.contains('\x1b'), "no colour in a pipe");
}

/// What a user may not is missing, and not a failure.
#[test]
fn a_user_lacks_rights() {
    if !root() {
        return skip("root", "only root becomes another user");
    }
    let mut command = program("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let (status, rows) = checks(command.arg(crate::common::binary()).args(["check", "-J"]));
    assert_eq!(status, 0, "{rows:?}");
    assert_eq!(state(&rows, "cap_sys_admin"), "missing");
    assert_eq!(state(&rows, "new net"), "missing");
}

#[test]
fn what_the_own_namespaces_hide_is_said() {
    if !root() {
        return skip("root", "needs root, for namespaces");
    }
    let (_, rows) = checks(within(&["-p", "-f", "--mount-proc"]).args(["check", "-J"]));
    assert_eq!(state(&rows, "the host's processes"), "missing");
    let (_, rows) = checks(within(&["-U", "-r"]).args(["check", "-J"]));
    assert_eq!(state(&rows, "the first user namespace"), "missing");
    // Nothing is mounted on /proc.
    let script = "mount -t tmpfs none /proc && exec \"$0\" check -J";
    let mut command = program("unshare");
    let (status, rows) = checks(command.args(["-m", "sh", "-c", script]).arg(crate::common::binary()));
    assert_eq!(status, 1, "{rows:?}");
    assert_eq!(state(&rows, "/proc"), "fails");
}

/// What a limit prevents is no missing feature.
#[test]
fn what_cannot_be_tried_is_said() {
    let mut command = program("sh");
    command.args(["-c", "ulimit -n 5 && exec \"$0\" check -J"]).arg(crate::common::binary());
    let (_, rows) = checks(&mut command);
    let of_limit =
        |row: &&Value| row["detail"].as_str().is_some_and(|detail| detail.contains("Too many open files"));
    for row in rows.iter().filter(of_limit).filter(|row| row["area"] == "kernel") {
        assert!(row["detail"].as_str().is_some_and(|detail| detail.starts_with("not tried")), "{row}");
    }
}

#[test]
fn a_root_that_is_not_there_fails() {
    let (status, rows) = checks(ctrbox().args(["check", "-J", "--root", "/nonexistent"]));
    assert_eq!((status, state(&rows, "/nonexistent")), (1, "fails"));
}

#[test]
fn wrong_arguments_are_refused() {
    let output = limited(ctrbox().args(["check", "x"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("unrecognized argument 'x'"), "{}", stderr(&output));
    assert!(stdout(&limited(ctrbox().args(["check", "--help"]))).contains("Usage: ctrbox check"));
    assert_eq!(limited(applet("check").arg("--root")).status.code(), Some(1));
}
