//! The program that unshare runs: its status, environment, descriptors, signals and capabilities; the login shell without one.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::common::process::{Inherited, executable, executed, fed, inheriting, limited, printed};
use crate::common::unshare::{Public, STRANGER, apart, failure, possible, replace, unshare};
use crate::common::{Scratch, UNPRIVILEGED_UID, binary, program, stderr, stdout, there};
use nix::sys::signal::Signal;

#[test]
fn the_status_is_that_of_the_program() {
    if !possible("unshare-status") {
        return;
    }
    for options in [&["-u"][..], &["-f"], &["-p", "-f"], &["--kill-child"], &["--forward-signals"], &["-rf"]]
    {
        for status in [0, 3, 255] {
            let output = limited(unshare().args(options).args(["sh", "-c", &format!("exit {status}")]));
            assert_eq!((output.status.code(), stderr(&output)), (Some(status), String::new()), "{options:?}");
        }
        let said = |why: &str| format!("unshare: failed to execute {why}\n");
        for (name, status, why) in [
            ("no-such-program", 127, "no-such-program: No such file or directory"),
            ("/etc/passwd", 126, "/etc/passwd: Permission denied"),
            ("/etc/passwd/x", 126, "/etc/passwd/x: Not a directory"),
            ("", 127, ": No such file or directory"),
        ] {
            let expected = (Some(status), said(why));
            assert_eq!(failure(unshare().args(options).args(["--", name])), expected, "{options:?}");
        }
    }
}

#[test]
fn the_environment() {
    let env = |options: &[&str]| {
        let mut command = Command::new(binary());
        command.arg("unshare").env_clear().envs([("A", "1"), ("B", "2"), ("C", "x=y"), ("E", "")]);
        printed(command.args(options).arg("/usr/bin/env"))
    };
    assert_eq!(env(&[]).lines().count(), 4);
    assert_eq!(env(&["--clear-env"]), "");
    assert_eq!(env(&["--whitelist-env=A,B"]), "B=2\nA=1\n");
    assert_eq!(env(&["--whitelist-env", "B,A,C,E"]), "E=\nC=x=y\nA=1\nB=2\n");
    assert_eq!(env(&["--whitelist-env=A", "--whitelist-env=B"]), "B=2\nA=1\n");
    assert_eq!(env(&["--whitelist-env=A,B,A", "--whitelist-env=B"]), "B=2\nA=1\n");
    assert_eq!(env(&["--whitelist-env=,A,,NONE,", "--clear-env"]), "A=1\n");
    assert_eq!(env(&["--clear-env", "--whitelist-env=A"]), "A=1\n");
    assert_eq!(env(&["--whitelist-env=A ,a,AA"]), "");
    assert_eq!(env(&["--whitelist-env=NONE"]), "", "what matches nothing clears all the same");
    assert_eq!(env(&["--whitelist-env="]), "");
    // Without PATH the default of the C library is used.
    let found = printed(unshare().args(["--clear-env", "env"]));
    assert_eq!(found, "");
    let expected = (Some(127), "unshare: failed to execute no-such: No such file or directory\n".to_owned());
    assert_eq!(failure(unshare().args(["--clear-env", "no-such"])), expected);
}

/// The environment of /bin/cat when `unshare`, started with this environment, executes it.
fn passed_on(environ: &[&str], option: &str) -> String {
    let mut command = program("true");
    let argv = ["unshare", option, "/bin/cat", "/proc/self/environ"];
    executed(&mut command, &binary(), &argv, environ);
    let output = limited(&mut command);
    assert_eq!(stderr(&output), "");
    stdout(&output)
}

#[test]
fn the_environment_in_its_order_and_twice_the_same() {
    for option in ["--", "-f"] {
        assert_eq!(passed_on(&["B=2", "A=1", "A=2", "C=", "B=3"], option), "B=2\0A=1\0A=2\0C=\0B=3\0");
    }
}

#[test]
fn odd_entries_of_the_environment_are_the_programs_too() {
    for option in ["--", "-f"] {
        assert_eq!(passed_on(&["A=1", "PLAIN", "=x", "", "B=2"], option), "A=1\0PLAIN\0=x\0\0B=2\0");
    }
}

#[test]
fn without_a_program_a_login_shell() {
    if !possible("unshare-shell") {
        return;
    }
    let public = Public::new("unshare-shell");
    let own = public.at("own").to_str().expect("text").to_owned();
    let granted = public.at("granted").to_str().expect("text").to_owned();
    for path in [&own, &granted] {
        std::os::unix::fs::symlink("/bin/sh", path).expect("a link");
    }
    apart(|| {
        let passwd = format!("root:x:0:0::/:{granted}\nown:x:65534:65534::/:\n");
        replace(&public.at(""), "/etc/passwd", &passwd);
        let said = |command: &mut Command, shell: Option<&str>, options: &[&str]| {
            command.env_remove("SHELL").env_remove("ENV").args(options);
            command.envs(shell.map(|shell| ("SHELL", shell)));
            let output = fed(command, Some(b"echo $0 $#; exit 4"));
            (stdout(&output) + &stderr(&output), output.status.code())
        };
        let shell = |name: &str| (format!("-{name} 0\n"), Some(4));
        for options in [&[][..], &["-f"], &["-u"], &["-p", "-f", "--"]] {
            assert_eq!(said(&mut unshare(), Some(&own), options), shell("own"));
            assert_eq!(said(&mut unshare(), None, options), shell("granted"));
            assert_eq!(said(&mut unshare(), Some(""), options), shell("granted"));
            // The shell of the real user. The passwd file has no shell for this user, and no line for the other.
            assert_eq!(said(&mut public.unshare(UNPRIVILEGED_UID), None, &[]), shell("sh"));
            assert_eq!(said(&mut public.unshare(STRANGER), None, &[]), shell("sh"));
        }
        assert_eq!(said(&mut unshare(), Some(&own), &["--clear-env"]), shell("granted"));
        assert_eq!(said(&mut unshare(), Some(&own), &["--whitelist-env=SHELL"]), shell("own"));
        assert_eq!(said(&mut public.unshare(STRANGER), None, &["-r"]), shell("granted"));
        let wrong = |shell: &str, why: &str, status| {
            let expected = (format!("unshare: failed to execute {shell}: {why}\n"), Some(status));
            let mut command = unshare();
            command.env("SHELL", shell).env_remove("ENV");
            let output = limited(&mut command);
            assert_eq!((stderr(&output), output.status.code()), expected, "{shell}");
        };
        wrong("/no/such/shell", "No such file or directory", 127);
        wrong("sh", "No such file or directory", 127); // no search
        wrong("/etc", "Permission denied", 126);
    });
}

const RUNS: [&[&str]; 9] = [
    &[],
    &["-f"],
    &["-r"],
    &["-mf", "--mount-proc"],
    &["--kill-child"],
    &["--forward-signals"],
    &["-r", "--keep-caps", "--kill-child", "-T", "--monotonic=1"],
    &["--map-users=0:0:9", "--map-groups=0:0:9", "-f", "-S", "1", "-G", "1"],
    &["--owner=0:0", "-r"],
];

#[test]
fn descriptors_are_as_they_were() {
    if !possible("unshare-descriptors") {
        return;
    }
    let shown =
        ["sh", "-c", "for fd in 0 1 2 3 4 5 6 7 8 9; do test -e /proc/$$/fd/$fd && echo $fd; done; true"];
    for (closed, open) in [(vec![], vec![]), (vec![0], vec![]), (vec![2], vec![7]), (vec![0, 2], vec![])] {
        let inherited = Inherited { closed, open, ..Inherited::default() };
        let plain = stdout(&limited(inheriting(program(shown[0]).args(&shown[1..]), &inherited)));
        assert!(plain.contains('1'), "{plain}");
        for options in RUNS {
            let mut command = unshare();
            let output = limited(inheriting(command.args(options).args(shown), &inherited));
            assert_eq!(stdout(&output), plain, "{options:?} {inherited:?} {}", stderr(&output));
        }
    }
}

#[test]
fn signals_are_as_they_were() {
    if !possible("unshare-signals") {
        return;
    }
    // Without 32 and 33, which the C library uses itself.
    let shown = ["sed", "-nE", "s/^Sig(Blk|Ign):.*(.{7})$/\\1 \\2/p", "/proc/self/status"];
    let signals = vec![Signal::SIGPIPE, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    for inherited in [
        Inherited::default(),
        Inherited { ignored: signals.clone(), ..Inherited::default() },
        Inherited { blocked: [&signals[..], &[Signal::SIGCHLD]].concat(), ..Inherited::default() },
    ] {
        let plain = printed(inheriting(program(shown[0]).args(&shown[1..]), &inherited));
        assert_eq!(plain.lines().count(), 2, "{plain}");
        for options in RUNS {
            assert_eq!(
                printed(inheriting(unshare().args(options).args(shown), &inherited)),
                plain,
                "{options:?} {inherited:?}"
            );
        }
    }
    // All signals except SIGCHLD: a process that waits for a child must not ignore it.
    let inherited = Inherited { ignored: vec![Signal::SIGCHLD], ..Inherited::default() };
    let plain = printed(program(shown[0]).args(&shown[1..]));
    for options in RUNS {
        assert_eq!(
            printed(inheriting(unshare().args(options).args(shown), &inherited)),
            plain,
            "{options:?}"
        );
        let mut command = unshare();
        let output = limited(inheriting(command.args(options).args(["sh", "-c", "exit 6"]), &inherited));
        assert_eq!(output.status.code(), Some(6), "{options:?} {}", stderr(&output));
    }
}

#[test]
fn capabilities_are_kept_for_a_program_that_is_not_roots() {
    if !possible("unshare-keep-caps") {
        return;
    }
    let public = Public::new("unshare-keep-caps");
    let caps = |command: &mut Command| {
        let text = printed(command.args(["grep", "-E", "^Cap(Eff|Amb):", "/proc/self/status"]));
        let numbers = text.lines().map(|line| line.split_whitespace().last().expect("a number").to_owned());
        numbers.map(|digits| u64::from_str_radix(&digits, 16).expect("hexadecimal")).collect::<Vec<_>>()
    };
    let lost = caps(public.unshare(STRANGER).arg("-c"));
    assert_eq!(lost, [0, 0]);
    for options in [&["-c"][..], &["-U"], &["--map-user=7"], &["-c", "-f"], &["-c", "--kill-child"]] {
        let kept = caps(public.unshare(STRANGER).args(options).arg("--keep-caps"));
        assert!(kept[0] != 0 && kept[0] == kept[1], "{options:?} {kept:?}");
    }
    // Without a user namespace nothing changes.
    assert_eq!(caps(public.unshare(STRANGER).arg("--keep-caps")), [0, 0]);
    assert_eq!(caps(unshare().arg("--keep-caps"))[1], 0);
    if there("hostname") {
        let set = ["-c", "-u", "--keep-caps", "sh", "-c", "hostname inner && hostname"];
        assert_eq!(printed(public.unshare(STRANGER).args(set)), "inner\n");
    }
}

#[test]
fn a_script_without_an_interpreter_line_is_the_shells() {
    let scratch = Scratch::new("unshare-script");
    let path = scratch.0.join("script");
    executable(&path, b"echo \"$0 $*\"", 0o755);
    let shown = printed(unshare().arg(&path).args(["a", "b c"]));
    assert_eq!(shown, format!("{} a b c\n", path.display()));
    assert_eq!(limited(unshare().args(["sh", "-c", "kill -USR1 $$"])).status.signal(), Some(10));
}
