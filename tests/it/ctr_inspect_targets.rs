//! `ctr-inspect`: a process inside a container by its PID there, and PIDs that name no process of a program.

use crate::common::ctr_inspect::{copy, inspect};
use crate::common::process::limited;
use crate::common::{applet, stderr};

#[test]
fn a_process_by_its_pid_inside() {
    let layout = copy::host("inspect-targets", &[1, 2]);
    let report = copy::report(&layout, &["-s", "identity", "c2@1"]);
    let identity = &report["identity"];
    assert_eq!((&identity["target_pid"], &identity["name"]), (&102.into(), &"c2".into()), "{identity}");
    for (word, problem) in [
        ("c2@7", "container docker:c2 has no process 7"),
        ("102@1", "is a PID, and only a container can be followed by @"),
        ("nobody@1", "nobody"),
    ] {
        let output = limited(applet("ctr-inspect").arg("--root").arg(layout.host.root()).arg(word));
        assert!(!output.status.success() && stderr(&output).contains(problem), "{word}: {}", stderr(&output));
    }
}

#[test]
fn pids_of_no_program() {
    let is_kernel_thread = std::fs::read("/proc/2/comm").is_ok_and(|name| name == b"kthreadd\n");
    let of_kernel = inspect(&["2"]);
    let said = stderr(&of_kernel);
    assert!(!is_kernel_thread || said.contains("process 2 is a thread of the kernel"), "{said}");
    let own = std::process::id();
    let other = inspect(&[&format!("{own}:1")]);
    assert!(!other.status.success(), "a PID with the number of another process");
}
