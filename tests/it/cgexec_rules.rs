//! cgexec: the rules of cgrules.conf(5), the daemon, and libcgroup's files for systemd; in a test's own /etc
//! and /run.

use crate::common;
use crate::common::process::{failure, printed};

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::common::cgexec::{Name, cgexec, path_in, possible};
use crate::common::unshare::{apart, bind};
use crate::common::{HANG, Scratch};

const SHOW: [&str; 2] = ["cat", "/proc/self/cgroup"];

/// Directories of the scratch over /etc and /var/run: of this thread and what it starts.
fn with_files(test: &str, work: impl FnOnce(&Scratch) + Send) {
    let Ok(run) = std::fs::canonicalize("/var/run") else {
        return common::skip(test, "there is no /var/run");
    };
    let scratch = Scratch::new(test);
    for directory in ["etc", "run"] {
        std::fs::create_dir(scratch.0.join(directory)).expect("a directory");
    }
    let passwd = "root:x:0:0::/root:/bin/sh\nother:x:4242:4242::/:/bin/sh\n";
    std::fs::write(scratch.0.join("etc/passwd"), passwd).expect("passwd");
    std::fs::write(scratch.0.join("etc/group"), "root:x:0:\nteam:x:77:root\n").expect("group");
    apart(|| {
        bind(&scratch.0.join("etc"), Path::new("/etc"));
        bind(&scratch.0.join("run"), &run);
        work(&scratch);
    });
}

/// Where rules put `cat`: the path of the group below the test's own, or nothing.
fn sent(name: &Name, rules: &str, words: &[&str]) -> Option<String> {
    std::fs::write("/etc/cgrules.conf", rules.replace('@', &name.0).replace("GROUP:", "@")).expect("rules");
    let groups = printed(cgexec().args(words));
    let path = path_in(&groups, "pids").expect("pids");
    path.strip_prefix(&format!("/{}", name.0)).map(str::to_owned)
}

#[test]
fn rules_choose_the_group() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("rules");
    for below in ["", "a", "b"] {
        name.make("pids", below);
    }
    with_files("cgexec-rules", |_| {
        let of_cat = |rules: &str| sent(&name, rules, &SHOW);
        assert_eq!(of_cat("* pids @/a\n").as_deref(), Some("/a"));
        assert_eq!(of_cat("other pids @/a\n* pids /@/b/ # x\n").as_deref(), Some("/b"));
        assert_eq!(of_cat("root:ls pids @/a\nroot:cat pids @/b\n").as_deref(), Some("/b"));
        assert_eq!(of_cat("GROUP:team pids \"@/a\"\n").as_deref(), Some("/a"));
        assert_eq!(of_cat("root pids @/a ignore\n* pids @/b\n"), None);
        assert_eq!(of_cat("\n# nobody\n"), None);
        assert_eq!(of_cat("other pids @/a\n% pids @/b\n"), None);
        // Created on demand, and it stays.
        assert_eq!(of_cat("* pids @/a/%u-%P\n").as_deref(), Some("/a/0-cat"));
        assert!(name.at("pids", "a/0-cat").exists());

        std::fs::create_dir("/etc/cgrules.d").expect("a directory");
        std::fs::write("/etc/cgrules.d/x.conf", format!("* pids {}/a\n", name.0)).expect("rules");
        assert_eq!(of_cat("other pids @/b\n").as_deref(), Some("/a"));
        assert_eq!(of_cat("root pids @/b\n").as_deref(), Some("/b"));
    });
}

#[test]
fn mistakes_in_rules_are_reported_with_their_line() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("wrong");
    with_files("cgexec-wrong", |_| {
        let told = |command: &mut Command| failure(command);
        let (status, message) = told(cgexec().arg("true"));
        assert_eq!(status, Some(125));
        assert!(message.contains("/etc/cgrules.conf") && message.contains("-g"), "{message}");
        std::fs::write("/etc/cgrules.conf", "\n* pids\n").expect("rules");
        let (_, message) = told(cgexec().arg("true"));
        assert_eq!(
            message,
            "cgexec: /etc/cgrules.conf, line 2: expected user[:program] controllers destination [options]\n"
        );
        std::fs::write("/etc/cgrules.conf", format!("* pids {}\n", name.0)).expect("rules");
        let (status, message) = told(cgexec().arg("true"));
        assert_eq!(status, Some(125));
        assert!(message.contains(&format!("pids:/{}: cannot join", name.0)), "{message}");
        std::fs::write("/etc/cgrules.conf", "* pids a/../b\n").expect("rules");
        assert!(told(cgexec().arg("true")).1.contains("'..'"));
    });
}

#[test]
fn the_daemon_is_asked_to_leave_the_program_alone() {
    if !possible("cgexec") {
        return;
    }
    with_files("cgexec-daemon", |scratch| {
        let listener = UnixListener::bind(scratch.0.join("run/cgred.socket")).expect("a socket");
        let (told, seen) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for answer in [&b"SUCCESS_STORE_PID\0"[..], b"SUCCESS_STORE_PID", b"FAIL_FAIL_FAIL_FA"] {
                let (mut stream, _) = listener.accept().expect("a caller");
                let mut message = [0_u8; 8];
                stream.read_exact(&mut message).expect("a message");
                let _ = stream.write_all(answer);
                let number = |at: usize| i32::from_ne_bytes(message[at..at + 4].try_into().expect("four"));
                told.send((number(0), number(4))).expect("a listener");
            }
        });
        let pid = |options: &[&str]| -> i32 {
            let text = printed(cgexec().args(options).args(["-g", "pids:/", "sh", "-c", "echo $$"]));
            text.trim().parse().expect("a PID")
        };
        let (plain, sticky) = (pid(&[]), pid(&["--sticky"]));
        let (status, message) = failure(cgexec().args(["-s", "-g", "pids:/", "true"]));
        let next = || seen.recv_timeout(HANG).expect("the daemon is told");
        assert_eq!([next(), next()], [(plain, 0), (sticky, 1)]);
        assert_eq!(status, Some(125));
        assert!(message.contains("cannot register with cgrulesengd"), "{message}");
    });
}

#[test]
fn a_default_group_of_systemd_comes_before_paths() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("default");
    name.make("pids", "y.scope/g");
    with_files("cgexec-default", |scratch| {
        let directory = scratch.0.join("run/libcgroup");
        std::fs::create_dir(&directory).expect("a directory");
        std::fs::write(directory.join("systemd"), format!("{}/y.scope", name.0)).expect("a file");
        let joined = printed(cgexec().args(["-g", "pids:g"]).args(SHOW));
        assert_eq!(path_in(&joined, "pids"), Some(format!("/{}/y.scope/g", name.0).as_str()));
        let (_, message) = failure(cgexec().args(["-b", "-g", "pids:ctrbox-test-no-such", "true"]));
        assert!(message.contains("pids:/ctrbox-test-no-such"), "{message}");
        let spec = format!("pids:{}/y.scope/g", name.0);
        assert!(printed(cgexec().args(["-b", "-g", &spec]).args(SHOW)).contains("y.scope/g"));
    });
}

#[test]
fn the_idle_process_of_a_scope_is_replaced() {
    if !possible("cgexec") {
        return;
    }
    if !common::there("bash") {
        return common::skip("cgexec-idle", "needs bash, which can call a program by another name");
    }
    let name = Name::new("idle");
    let group = name.make("pids", "");
    let spec = name.spec("pids");
    let (status, message) = failure(cgexec().args(["-r", "-g", &spec, "true"]));
    assert_eq!(status, Some(125));
    assert!(message.contains("no libcgroup_systemd_idle_thread"), "{message}");
    let script = "exec -a libcgroup_systemd_idle_thread sleep 1000";
    let mut idle = common::Running(
        cgexec().args(["-g", &spec, "bash", "-c", script]).spawn().expect("the idle process"),
    );
    let is_idle = || {
        let arguments = std::fs::read(format!("/proc/{}/cmdline", idle.pid())).unwrap_or_default();
        arguments.starts_with(b"libcgroup_systemd_idle_thread\0")
    };
    common::until("it is idle", is_idle);
    assert!(group.exists());
    printed(cgexec().args(["-r", "-g", &spec, "true"]));
    let end = idle.0.wait().expect("its end");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&end), Some(15));
}
