//! No proc is mounted on /proc, or it does not show the processes of other users: what is not seen is not there for sure.

use std::net::TcpListener;
use std::process::{Command, Output};

use crate::common::process::{limited, namespaces};
use crate::common::unshare::{Public, STRANGER};
use crate::common::{binary, kernel, program, skip, stderr, stdout, there};

/// In a pid and a mount namespace of its own, after this command of the shell.
fn after(command: &str, words: &[&str]) -> Output {
    let script = format!("{command} || exit 99; exec \"$@\"");
    let mut unshare: Command = program("unshare");
    unshare.args(["-p", "-f", "-m", "--kill-child", "sh", "-c", &script, "sh"]).args(words);
    limited(&mut unshare)
}

#[test]
fn processes_that_are_hidden_may_have_what_is_looked_for() {
    if !namespaces("hidepid") {
        return;
    }
    if !there("setpriv") {
        return skip("hidepid", "there is no setpriv");
    }
    let public = Public::new("whose-hidepid");
    let ctrbox = public.at("ctrbox");
    let user = format!("--reuid={STRANGER}");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = format!(":{}", listener.local_addr().expect("an address").port());
    let whose = |mode: &str, thing: &str| {
        let proc = format!("mount -t proc -o {mode} none /proc");
        let ctrbox = ctrbox.to_str().expect("text");
        after(&proc, &["setpriv", &user, "--regid=65534", "--clear-groups", ctrbox, "ctr-whose", thing])
    };
    // It listens outside of the pid namespace: nobody is found, and nobody can say whether that is all.
    let hidden = "processes of other users: /proc is mounted with hidepid=";
    for thing in [&*port, ":1", "pid:100000"] {
        let output = whose("hidepid=2", thing);
        let text = stdout(&output);
        if output.status.code() == Some(99) {
            return skip("hidepid", "proc cannot be mounted with hidepid here");
        }
        assert!(text.contains("unknown") && text.contains(hidden), "{thing}: {text}{}", stderr(&output));
    }
    let output = whose("hidepid=0", "pid:100000");
    assert!(stderr(&output).contains("nothing found, as pid"), "{}", stderr(&output));
}

#[test]
fn without_proc_nothing_is_said_about_processes() {
    if !namespaces("no-proc") {
        return;
    }
    let binary = binary();
    let binary = binary.to_str().expect("text");
    for (words, status) in [
        (&["getpcaps", "--tree"][..], 1),
        (&["getpcaps", "--table", "1"], 1),
        (&["getpcaps", "web"], 1),
        (&["capsh", "--print=1"], 1),
        (&["ctr-whose", "1"], 1),
        (&["ctr-whose", "web"], 1),
        (&["ctr-ps"], 1),
        (&["ctr-inspect", "web"], 1),
        (&["nsenter", "-t", "web", "-n", "true"], 1),
        (&["cgexec", "--like", "web", "true"], 125),
    ] {
        let output = after("mount -t tmpfs none /proc", &[&[binary], words].concat());
        let message = stderr(&output);
        assert_eq!(
            (output.status.code(), stdout(&output)),
            (Some(status), String::new()),
            "{words:?} {message}"
        );
        assert!(
            message.contains("there are no processes in /proc: is proc mounted there?")
                || message.contains("cannot read /proc/self/mountinfo"),
            "{words:?}: {message}"
        );
    }
}

/// The number is that of the own pid namespace then, and a pidfd needs no proc.
#[test]
fn without_proc_a_namespace_is_entered_by_its_process() {
    if !namespaces("no-proc-entered") || kernel() < (5, 8) {
        return;
    }
    let binary = binary();
    let words = [binary.to_str().expect("text"), "nsenter", "-t", "1", "-n", "true"];
    let output = after("mount -t tmpfs none /proc", &words);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}
