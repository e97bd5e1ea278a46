//! The environment that nsenter takes from its target.

use std::path::Path;

use crate::common::nsenter::nsenter;
use crate::common::process::{Piped, executed, failure, namespaces, printed};
use crate::common::program;

#[test]
fn the_environment_of_the_target() {
    if !namespaces("nsenter-env") {
        return;
    }
    let with = |environ: &[&str]| {
        let mut command = program("cat");
        executed(&mut command, Path::new("/bin/cat"), &["cat"], environ);
        Piped::new(&mut command)
    };
    let shown = |target: &Piped| {
        // Not a new namespace, but one that may be entered: the environment is tested here.
        let mut command = nsenter();
        command.args(["-t", &target.pid().to_string(), "-u", "-e", "/usr/bin/env"]).env("OURS", "1");
        printed(&mut command)
    };
    // In reverse order; the last entry of a name counts; an entry without a name is dropped.
    assert_eq!(shown(&with(&["A=1", "B=2", "C=3"])), "C=3\nB=2\nA=1\n");
    assert_eq!(shown(&with(&["A=1", "B=2", "A=3"])), "A=3\nB=2\n");
    assert_eq!(shown(&with(&["A=1=2", "B=", "rubbish", "=x", "C=a b\tc"])), "C=a b\tc\nB=\nA=1=2\n");
    assert_eq!(shown(&with(&[])), "");
    let huge = format!("HUGE={}", "x".repeat(100_000));
    assert_eq!(shown(&with(&["A=1", &huge])), format!("{huge}\nA=1\n"));

    let target = with(&["PATH=/no/such/directory", "SHELL=/no/such/shell"]);
    let of_target =
        |args: &[&str]| failure(nsenter().args(["-t", &target.pid().to_string(), "-u", "-e"]).args(args));
    let missing =
        |what: &str| (Some(127), format!("nsenter: failed to execute {what}: No such file or directory\n"));
    assert_eq!(of_target(&["true"]), missing("true"), "PATH is that of the target");
    assert_eq!(of_target(&[]), missing("/no/such/shell"), "and so is SHELL");
    let target = with(&[]);
    let mut command = nsenter();
    command.args(["-t", &target.pid().to_string(), "--env", "-u", "sh", "-c", "echo found"]);
    assert_eq!(printed(&mut command), "found\n", "no PATH at all: the C library's");
}

#[test]
fn the_environment_of_a_target_that_executes_programs() {
    if !namespaces("nsenter-env-exec") {
        return;
    }
    let mut command = program("sh");
    command.args(["-c", "echo ready; exec sh -c \"$0\" \"$0\"", "exec sh -c \"$0\" \"$0\""]);
    let mut target = Piped::new(command.env("MARK", "always"));
    assert_eq!(target.line(), "ready");
    for run in 0..100 {
        let mut command = nsenter();
        command.args(["-t", &target.pid().to_string(), "-u", "-e", "sh", "-c", "echo $MARK"]);
        assert_eq!(printed(&mut command), "always\n", "run {run}");
    }
}
