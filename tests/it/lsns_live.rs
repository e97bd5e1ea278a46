//! `lsns` on the /proc of this host: it changes, or shows only a part of the processes, or is not there.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::lsns::{fine, inode, lsns, said, says, settled};
use crate::common::process::{Holder, limited, link, namespaces, printed};
use crate::common::unshare::{Public, apart};
use crate::common::{Running, UNPRIVILEGED_UID, binary, program, root, skip, stderr, stdout, there};
use nix::mount::{MsFlags, mount};

#[test]
fn no_proc_at_all() {
    if !namespaces("lsns_no_proc") {
        return;
    }
    let output = apart(|| {
        mount(Some("lsns"), "/proc", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
        limited(&mut lsns(&[]))
    });
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(32), ""));
    assert!(stderr(&output).starts_with("lsns: failed to parse /proc/self/mountinfo"), "{}", stderr(&output));
}

#[test]
fn processes_that_come_and_go() {
    if !namespaces("lsns_vanishing") {
        return;
    }
    let holder = settled(Holder::new(&["-u"], ""));
    let ns = inode(&holder.link("uts"));
    let churn = "while :; do (exit 0) & (exit 0) & wait; done";
    let forking =
        || Running(program("sh").args(["-c", churn]).stdout(Stdio::null()).spawn().expect("a process"));
    let _both = [forking(), forking()];
    let expected = format!("{ns} uts 1 {} cat", holder.pid);
    for round in 0..8 {
        for arguments in
            [&["-l"][..], &["-T"], &["--no-fd-scan"], &["-l", "-Q", "COMMAND =~ \"x\" || ONS > 0"]]
        {
            let output = limited(lsns(arguments).args(["-r", "-n", "-o", "NS,TYPE,NPROCS,PID,COMMAND"]));
            let (status, out, message) = said(&output);
            assert_eq!((status, &*message), (Some(0), ""), "round {round} {arguments:?}");
            assert!(out.lines().any(|line| line.ends_with(&expected)), "{round} {arguments:?}: {out}");
        }
        // All namespaces that they share with others, while processes change.
        let top = inode(&link("self", "uts"));
        let (status, _, message) = says(&[&top, "-o", "PID,PPID,USER,COMMAND"]);
        assert_eq!((status, &*message), (Some(0), ""), "round {round}");
    }
}

/// `lsns` as user nobody.
fn by_nobody(public: &Public, arguments: &[&str]) -> Command {
    let mut command = program(public.at("ctrbox").to_str().expect("text"));
    command.arg("lsns").args(arguments).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID).current_dir("/");
    command
}

#[test]
fn an_ordinary_user() {
    let name = "lsns_user";
    if !namespaces(name) {
        return;
    }
    let public = Public::new("lsns-user");
    let holder = Holder::new(&["-u", "-n"], "");
    let pid = holder.pid.to_string();
    let ns = inode(&holder.link("uts"));
    // Root's processes are not visible, and no error is printed.
    assert_eq!(said(&limited(&mut by_nobody(&public, &["-p", &pid]))), fine(""));
    let missing = limited(&mut by_nobody(&public, &[&ns]));
    assert_eq!(said(&missing), (Some(1), String::new(), format!("lsns: not found namespace: {ns}\n")));
    // Its own are, in whatever is asked of them.
    let ids = [format!("--reuid={UNPRIVILEGED_UID}"), format!("--regid={UNPRIVILEGED_UID}")];
    let unshare = |options: &[&str]| {
        let mut command = program("setpriv");
        command.args(&ids).args(["--clear-groups", "unshare", "-U"]).args(options);
        command
    };
    if !there("setpriv") || !limited(&mut unshare(&["true"])).status.success() {
        return skip(name, "an ordinary user may not make user namespaces here");
    }
    let own = settled(Holder::by(&mut unshare(&["-r", "-u"]), ""));
    let pid = own.pid.to_string();
    for (kind, rest) in [("uts", ""), ("user", "0:65534:1")] {
        let arguments =
            ["-p", &pid, "-t", kind, "-r", "-n", "-l", "-o", "NS,TYPE,NPROCS,PID,UID,COMMAND,USERS"];
        let out = printed(&mut by_nobody(&public, &arguments));
        assert_eq!(out, format!("{} {kind} 1 {pid} {UNPRIVILEGED_UID} cat {rest}\n", inode(&own.link(kind))));
    }
    for arguments in [&["-T"][..], &["-J"], &["-P"], &["--output-all"], &["-t", "net"]] {
        assert_eq!(said(&limited(&mut by_nobody(&public, arguments))).2, "", "{arguments:?}");
    }
}

#[test]
fn hidden_processes() {
    let name = "lsns_hidepid";
    if !namespaces(name) {
        return;
    }
    let public = Public::new("lsns-hidepid");
    let point = public.at("proc");
    std::fs::create_dir(&point).expect("a directory");
    apart(|| {
        if mount(Some("proc"), &point, Some("proc"), MsFlags::empty(), Some("hidepid=2")).is_err() {
            return skip(name, "proc cannot be mounted with hidepid here");
        }
        let all = ["-r", "-n", "-l", "-o", "PID,USER", "--proc-root", path(&point)];
        let out = printed(&mut by_nobody(&public, &all));
        // At least itself, and only its own processes.
        assert!(
            !out.is_empty() && out.lines().all(|line| line.ends_with(" nobody") || line.starts_with(' ')),
            "{out}"
        );
    });
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn few_descriptors_suffice() {
    if !root() {
        return skip("lsns_few_descriptors", "as an ordinary user there is little to see");
    }
    let me = std::process::id().to_string();
    let binary = binary();
    let of = |limit: &str| {
        let line =
            format!("ulimit -n {limit}; exec {} lsns -p {me} -l -r -n -o NS,TYPE,ONS,PNS", binary.display());
        printed(program("sh").args(["-c", &line]))
    };
    assert_eq!(of("16"), of("256"));
    assert_eq!(of("16").lines().count(), 8);
}
