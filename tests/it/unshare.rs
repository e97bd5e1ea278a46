//! unshare in real namespaces: which ones are new, its ids and clocks. Files, maps, mounts, signals and the program have their
//! own test files.

use std::process::Command;

use crate::common::process::{limited, link, printed};
use crate::common::unshare::{KINDS, Public, STRANGER, failure, possible, refused, unshare};
use crate::common::{UNPRIVILEGED_UID, program, stderr, stdout};

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
