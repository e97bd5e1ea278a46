//! `ctr-inspect` on processes: their tree, zombies, and what the first one does with signals.

use crate::common::ctr_inspect::{finding, inspect, of, report};
use crate::common::process::{Holder, Piped, limited, namespaces, python};
use crate::common::{applet, program, stderr, stdout, until};

/// Of `sh -c`, a first process with a handler, and one that waits with sigtimedwait(2) or does not.
#[test]
fn signals_of_the_first_process() {
    let test = "what_the_first_process_does_with_signals";
    if !namespaces(test) {
        return;
    }
    let signals = |holder: &Holder| {
        let init = of(holder)["processes"]["init"].clone();
        assert_eq!(init["is_init"], true, "{init}");
        init["signals"].clone()
    };
    let plain = Holder::new(&["-m", "-p", "-f"], "trap - TERM HUP");
    assert_eq!(signals(&plain)["TERM"], "dropped");
    let ignoring = Holder::new(&["-m", "-p", "-f"], "trap '' TERM");
    assert_eq!(
        (&signals(&ignoring)["TERM"], &signals(&ignoring)["HUP"]),
        (&"ignored".into(), &"dropped".into())
    );
    let host = report(&["-s", "processes", &std::process::id().to_string()]);
    assert_eq!(host["processes"]["init"]["is_init"], false);
    assert_eq!(host["processes"]["count"], 1);
}

/// Python runs the script as the first process of a pid namespace. proc is the host's, so /proc/self is the PID there.
fn first_process(script: &str) -> Piped {
    Piped::new(program("unshare").args(["-m", "-p", "-f", "--kill-child", "python3", "-c", script]))
}

#[test]
fn a_wait_for_signals_counts_as_a_handler() {
    let test = "a_wait_for_signals_counts_as_a_handler";
    if !namespaces(test) || !python() {
        return;
    }
    let script = "import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n\
        print(os.readlink('/proc/self'), flush=True)\nsignal.sigtimedwait([signal.SIGTERM], 1000000)\n";
    let mut piped = first_process(script);
    let pid = piped.line();
    let waits = || {
        let place = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        place.starts_with("do_sigtimedwait")
    };
    crate::common::until("the wait", waits);
    let init = report(&["-s", "processes", &pid])["processes"]["init"].clone();
    assert_eq!(init["signals"]["TERM"], "handled", "{init}");
    assert_eq!(init["signals"]["HUP"], "dropped", "{init}");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid.parse().expect("a PID")),
        nix::sys::signal::Signal::SIGKILL,
    )
    .expect("killed");
}

#[test]
fn the_tree_of_processes_and_how_they_came() {
    if !namespaces("the_tree_of_processes_and_how_they_came") {
        return;
    }
    let holder = Holder::new(&["-m", "-p", "-f"], "sleep 1000 & :");
    let guest = Holder::by(program("nsenter").args(["-t", &holder.pid.to_string(), "-m", "-p"]), "");
    let processes = &report(&["-s", "processes", &holder.pid.to_string()])["processes"];
    let list = processes["list"].as_array().expect("a list");
    let via = |pid: i32| list.iter().find(|one| one["pid"] == pid).map(|one| one["via"].clone());
    assert_eq!(via(holder.pid), Some("init".into()), "{list:?}");
    assert_eq!(via(guest.pid), Some("ns".into()), "{list:?}");
    assert!(list.iter().any(|one| one["via"] == "fork" && one["ppid"] == holder.pid), "{list:?}");
    assert_eq!(list[0]["cpid"], 1);
    assert!(list[0]["fds"].as_u64().is_some_and(|fds| fds >= 3), "{list:?}");
    assert_eq!(processes["count"], list.len());
    // A PID means its container, with the namespaces of that process.
    let of_guest = of(&guest);
    assert_eq!(of_guest["identity"]["pid"], holder.pid);
    assert_eq!(of_guest["identity"]["target_pid"], guest.pid);
    let text = stdout(&inspect(&[&guest.pid.to_string()]));
    assert!(text.contains(&format!("process    {}", guest.pid)), "{text}");
    drop(guest);
}

#[test]
fn zombies_of_the_first_process_are_found() {
    let test = "zombies_of_the_first_process_are_found";
    if !namespaces(test) || !python() {
        return;
    }
    let script = "import os\n\
        child = os.fork()\n\
        if child == 0: os._exit(0)\n\
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)\n\
        print(os.readlink('/proc/self'), flush=True)\nimport sys\nsys.stdin.read()\n";
    let mut piped = first_process(script);
    let pid = piped.line();
    let found = report(&["-s", "limits,processes", &pid]);
    assert_eq!(found["processes"]["zombies"], 1, "{}", found["processes"]);
    assert_eq!(found["limits"]["pids"]["zombies"], 1);
    assert_eq!(finding(&found, "pid1-does-not-reap").expect("a finding")["severity"], "medium");
    piped.end_of_input();
}

/// The kernel removes its links and files, so what it had is unknown.
#[test]
fn of_a_zombie_most_is_unknown_for_one_reason() {
    let mut child = program("true").spawn().expect("started");
    let stat = format!("/proc/{}/stat", child.id());
    until("a zombie", || std::fs::read_to_string(&stat).is_ok_and(|text| text.contains(") Z ")));
    let output =
        limited(applet("ctr-inspect").args(["-s", "identity,namespaces,files"]).arg(child.id().to_string()));
    child.wait().expect("ended");
    let text = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(text.matches("is a zombie").count(), 1, "{text}");
    for wrong in ["nothing of its own", "Invalid argument", "No such file"] {
        assert!(!text.contains(wrong), "{text}");
    }
}
