//! unshare in real namespaces: which ones are new, the program and its status, its ids, environment and
//! descriptors. Files, maps, mounts and signals have their own test files.

use crate::common;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::common::process::{Inherited, executed, fed, inheriting, limited, link, printed};
use crate::common::unshare::{KINDS, Public, STRANGER, apart, failure, possible, refused, replace, unshare};
use crate::common::{UNPRIVILEGED_UID, program, stderr, stdout, there};
use nix::sys::signal::Signal;

fn links(command: &mut Command) -> String {
    printed(command.arg("readlink").args(KINDS.map(|(_, _, name)| format!("/proc/self/ns/{name}"))))
}

/// Which namespaces differ from those of this process?
fn new_kinds(command: &mut Command) -> Vec<&'static str> {
    let shown = links(command);
    let pairs = shown.lines().zip(KINDS);
    pairs.filter(|(shown, (_, _, name))| *shown != link("self", name)).map(|(_, (_, _, name))| name).collect()
}

#[test]
fn every_kind_and_no_other() {
    if !possible("unshare-kinds") {
        return;
    }
    assert_eq!(new_kinds(&mut unshare()), [""; 0]);
    for (short, long, name) in KINDS {
        let expected = if name == "pid" { vec![] } else { vec![name] };
        assert_eq!(new_kinds(unshare().args(["-f", short])), [name], "-f {short}");
        assert_eq!(new_kinds(unshare().args(["-f", long])), [name], "-f {long}");
        if name != "time" {
            // Whether execve enters the time namespace for children differs between kernels.
            assert_eq!(new_kinds(unshare().arg(short)), expected, "{short}");
            assert_eq!(new_kinds(unshare().arg(long)), expected, "{long}");
        }
    }
    let every = KINDS.map(|(_, _, name)| name);
    assert_eq!(new_kinds(unshare().arg("-fUCiunpmT")), every);
    assert_eq!(new_kinds(unshare().args(KINDS.map(|(_, long, _)| long)).arg("--fork")), every);
    assert_eq!(new_kinds(unshare().args(["-u", "-u", "--uts"])), ["uts"]);
}

#[test]
fn an_ordinary_user_needs_a_user_namespace() {
    if !possible("unshare-user") {
        return;
    }
    let public = Public::new("unshare-user");
    for user in [UNPRIVILEGED_UID, STRANGER] {
        for (short, _, name) in KINDS {
            let mut command = public.unshare(user);
            if name == "user" {
                continue;
            }
            let expected = refused("unshare failed: Operation not permitted");
            assert_eq!(failure(command.args([short, "true"])), expected, "{short}");
            assert_eq!(new_kinds(public.unshare(user).args(["-U", "-f", short])), ["user", name], "{short}");
        }
        assert_eq!(new_kinds(public.unshare(user).arg("-U")), ["user"]);
        assert_eq!(new_kinds(&mut public.unshare(user)), [""; 0]);
        assert_eq!(new_kinds(public.unshare(user).arg("-rfCiunpmT")), KINDS.map(|(_, _, name)| name));
    }
}

#[test]
fn options_that_imply_a_kind() {
    if !possible("unshare-implied") {
        return;
    }
    assert_eq!(new_kinds(unshare().arg("--mount-proc")), ["mnt"]);
    for option in ["-r", "-c", "--map-root-user", "--map-current-user", "--map-user=0", "--map-group=0"] {
        assert_eq!(new_kinds(unshare().arg(option)), ["user"], "{option}");
    }
    for option in ["--map-users=0:0:1", "--map-groups=0:0:1", "--map-users=all", "--owner=1:1"] {
        assert_eq!(new_kinds(unshare().arg(option)), ["user"], "{option}");
    }
    assert_eq!(new_kinds(unshare().arg("--hostname=x")), ["uts"]);
    assert_eq!(new_kinds(unshare().arg("--loopback")), ["net"]);
    for option in
        ["--keep-caps", "--propagation=slave", "-f", "--kill-child", "--forward-signals", "--clear-env"]
    {
        assert_eq!(new_kinds(unshare().arg(option)), [""; 0], "{option}");
    }
}

#[test]
fn a_host_name_and_the_loopback_device_are_set_in_the_new_namespaces_only() {
    if !possible("unshare-hostname") {
        return;
    }
    let show = ["cat", "/proc/sys/kernel/hostname"];
    let before = printed(program(show[0]).arg(show[1]));
    for options in [&[][..], &["-f"], &["-r"], &["--hostname=x"], &["-S", "1"], &["-n", "-u"]] {
        let set = unshare().args(options).args(["--hostname", "inner.example"]).args(show).output();
        assert_eq!(stdout(&set.expect("output")), "inner.example\n", "{options:?}");
    }
    // IFF_UP, IFF_LOOPBACK. A new network namespace has the device down, and proc shows it where sysfs may not.
    let routes = ["cat", "/proc/self/net/fib_trie"];
    for options in [&[][..], &["-f"], &["-r"], &["-S", "1"]] {
        let up = printed(unshare().args(options).arg("--loopback").args(routes));
        assert!(up.contains("127.0.0.1"), "{options:?} {up}");
    }
    assert!(!printed(unshare().arg("-n").args(routes)).contains("127.0.0.1"));
    let public = Public::new("unshare-hostname");
    let set = ["-c", "--hostname", "inner", "--loopback", "sh", "-c"];
    let script = "cat /proc/sys/kernel/hostname; grep -q 127.0.0.1 /proc/self/net/fib_trie && echo up";
    assert_eq!(printed(public.unshare(STRANGER).args(set).arg(script)), "inner\nup\n");
    let long = "x".repeat(65);
    let (status, message) = failure(unshare().args(["--hostname", &long, "true"]));
    let expected = format!("unshare: cannot set the host name to '{long}': Invalid argument\n");
    assert_eq!((status, message), (Some(1), expected));
    assert_eq!(printed(program(show[0]).arg(show[1])), before);
}

#[test]
fn only_a_child_is_in_a_new_pid_namespace() {
    if !possible("unshare-pid") {
        return;
    }
    // The shell is not in it. Its first child is process 1 there; after that has ended, no process can be made.
    let twice = "readlink /proc/self/ns/pid; sh -c 'echo $$'; sh -c 'echo $$'";
    let output = limited(unshare().args(["-p", "sh", "-c", &twice.replacen("readlink", ": ", 1)]));
    assert_eq!(stdout(&output), "1\n", "{}", stderr(&output));
    assert!(stderr(&output).contains("Cannot fork"), "{}", stderr(&output));
    assert_ne!(output.status.code(), Some(0));

    assert_eq!(printed(unshare().args(["-p", "-f", "sh", "-c", "echo $$; sh -c 'echo $$'"])), "1\n2\n");
    assert_eq!(printed(unshare().args(["-p", "--kill-child", "sh", "-c", "echo $$"])), "1\n");
    assert_eq!(printed(unshare().args(["-p", "--forward-signals", "sh", "-c", "echo $$"])), "1\n");
    // The processes left in it end with process 1, so the output is read to its end.
    assert_eq!(printed(unshare().args(["-p", "-f", "sh", "-c", "sleep 1000 & echo x"])), "x\n");
}

#[test]
fn a_child_only_with_fork() {
    if !possible("unshare-fork") {
        return;
    }
    let parent = ["sh", "-c", "cat /proc/$PPID/comm"];
    let own = printed(program("cat").arg("/proc/self/comm"));
    assert_eq!(own, "cat\n");
    for option in ["-f", "--fork", "--kill-child", "--kill-child=TERM", "--forward-signals"] {
        assert_eq!(printed(unshare().arg(option).args(parent)), "ctrbox\n", "{option}");
    }
    for option in ["-u", "-p", "-Ur", "--mount-proc"] {
        assert_ne!(printed(unshare().arg(option).args(parent)), "ctrbox\n", "{option}");
    }
}

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
fn ids_are_set_last() {
    if !possible("unshare-ids") {
        return;
    }
    let id = ["sh", "-c", "echo $(id -u):$(id -g):$(id -G)"];
    for options in [&[][..], &["-f"], &["-m", "--mount-proc"], &["--kill-child"]] {
        let by = |ids: &[&str]| printed(unshare().args(options).args(ids).args(id));
        assert_eq!(by(&["-S", "12"]).split(':').next(), Some("12"));
        assert_eq!(by(&["-S12", "-G34"]), "12:34:34\n");
        assert_eq!(by(&["-G", "34", "-S", "+12"]), "12:34:34\n");
        assert_eq!(by(&["--setgid=34", "--setuid", " 012"]), "12:34:34\n");
        assert_eq!(by(&["-G", "34"]), "0:34:34\n");
        assert_eq!(by(&["-S", "1", "-S", "2", "-G", "3", "-G", "4"]), "2:4:4\n");
        assert_eq!(by(&["-S", "4294967294", "-G", "4294967294"]), "4294967294:4294967294:4294967294\n");
    }
    // The capabilities of the new user namespace.
    let map = ["--map-users=0:1000:10", "--map-groups=0:2000:10"];
    assert_eq!(printed(unshare().args(map).args(["-S5", "-G7"]).args(id)), "5:7:7\n");
    assert_eq!(
        failure(unshare().args(map).args(["-S10", "true"])),
        refused("setuid() failed: Invalid argument")
    );
    assert_eq!(
        failure(unshare().args(map).args(["-G10", "true"])),
        refused("setgid() failed: Invalid argument")
    );
    assert_eq!(
        failure(unshare().args(["-r", "-G0", "true"])),
        refused("setgroups failed: Operation not permitted")
    );
    assert_eq!(printed(unshare().args(["-r", "-S0", "id", "-u"])), "0\n");
}

#[test]
fn invalid_ids() {
    for (option, name) in [("-S", "uid"), ("-G", "gid")] {
        for word in ["x", "", "12x", "0x10", "root", " ", "-", "1 "] {
            let expected = refused(&format!("failed to parse {name}: '{word}'"));
            assert_eq!(failure(unshare().args([option, word, "true"])), expected, "{option} {word}");
        }
        for word in ["-1", "4294967296", "18446744073709551616", "-99999999999999999999"] {
            let why = "Numerical result out of range";
            let expected = refused(&format!("failed to parse {name}: '{word}': {why}"));
            assert_eq!(failure(unshare().args([option, word, "true"])), expected, "{option} {word}");
        }
    }
    if !possible("unshare-no-id") {
        return;
    }
    // The kernel does not accept that number as an id.
    for (option, name) in [("-S", "setuid"), ("-G", "setgid")] {
        let expected = refused(&format!("{name}() failed: Invalid argument"));
        assert_eq!(failure(unshare().args([option, "4294967295", "true"])), expected, "{option}");
    }
    let public = Public::new("unshare-no-id");
    let denied = |what: &str| refused(&format!("{what} failed: Operation not permitted"));
    assert_eq!(failure(public.unshare(UNPRIVILEGED_UID).args(["-S0", "true"])), denied("setuid()"));
    assert_eq!(failure(public.unshare(UNPRIVILEGED_UID).args(["-G65534", "true"])), denied("setgroups"));
    assert_eq!(printed(public.unshare(UNPRIVILEGED_UID).args(["-S65534", "id", "-u"])), "65534\n");
}

#[test]
fn clocks() {
    if !possible("unshare-clocks") {
        return;
    }
    let offsets = |options: &[&str]| {
        let text = printed(unshare().args(options).args(["-fT", "cat", "/proc/self/timens_offsets"]));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(offsets(&[]), "monotonic 0 0 boottime 0 0");
    assert_eq!(offsets(&["--monotonic=5"]), "monotonic 5 0 boottime 0 0");
    assert_eq!(offsets(&["--boottime", "86400"]), "monotonic 0 0 boottime 86400 0");
    assert_eq!(offsets(&["--monotonic=-3", "--boottime=-2"]), "monotonic -3 0 boottime -2 0");
    assert_eq!(offsets(&["--monotonic", "-1", "--monotonic", " +8"]), "monotonic 8 0 boottime 0 0");
    let uptime = |options: &[&str]| {
        let text = printed(unshare().args(options).args(["-fT", "cat", "/proc/uptime"]));
        text.split('.').next().expect("seconds").parse::<u64>().expect("a number")
    };
    assert!(uptime(&["--boottime=1000000000"]) >= 1_000_000_000);
    // As the user of the new namespace.
    let public = Public::new("unshare-clocks");
    let shown = printed(public.unshare(STRANGER).args([
        "-rfT",
        "--boottime=7",
        "grep",
        "boottime",
        "/proc/self/timens_offsets",
    ]));
    assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), ["boottime", "7", "0"]);
}

#[test]
fn invalid_offsets() {
    let range = "Numerical result out of range";
    for clock in ["monotonic", "boottime"] {
        let option = |word: &str| format!("--{clock}={word}");
        for word in ["x", "", "- 5", "1.5", "--5", "0x5", "-"] {
            let expected = refused(&format!("failed to parse {clock} offset: '{word}'"));
            assert_eq!(failure(unshare().args(["-T", &option(word), "true"])), expected, "{word}");
        }
        for word in ["9223372036854775808", "-9223372036854775809", "99999999999999999999"] {
            let expected = refused(&format!("failed to parse {clock} offset: '{word}': {range}"));
            assert_eq!(failure(unshare().args(["-T", &option(word), "true"])), expected, "{word}");
        }
        let needed = "options --monotonic and --boottime require unsharing of a time namespace (-T)";
        assert_eq!(failure(unshare().args(["-u", &option("5"), "true"])), refused(needed));
        assert_eq!(failure(unshare().args([&option("0"), "no-such-program"])), refused(needed));
        if possible("unshare-offset") {
            for word in ["9223372036854775807", "-9223372036854775807", "-999999999999"] {
                let expected = refused(&format!("failed to write to /proc/self/timens_offsets: {range}"));
                assert_eq!(failure(unshare().args(["-T", &option(word), "true"])), expected, "{word}");
            }
        }
    }
}

#[test]
fn the_smallest_offset_is_for_the_kernel_to_refuse() {
    if !possible("unshare-smallest-offset") {
        return;
    }
    let expected = refused("failed to write to /proc/self/timens_offsets: Numerical result out of range");
    assert_eq!(failure(unshare().args(["-T", "--monotonic=-9223372036854775808", "true"])), expected);
}

#[test]
fn the_environment() {
    let env = |options: &[&str]| {
        let mut command = Command::new(common::binary());
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
    executed(&mut command, &common::binary(), &argv, environ);
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
            assert_eq!(said(&mut public.unshare(UNPRIVILEGED_UID), None, options[..0].as_ref()), shell("sh"));
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
    let scratch = common::Scratch::new("unshare-script");
    let path = scratch.0.join("script");
    common::process::executable(&path, b"echo \"$0 $*\"", 0o755);
    let shown = printed(unshare().arg(&path).args(["a", "b c"]));
    assert_eq!(shown, format!("{} a b c\n", path.display()));
    assert_eq!(limited(unshare().args(["sh", "-c", "kill -USR1 $$"])).status.signal(), Some(10));
}
