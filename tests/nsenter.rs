//! nsenter in real namespaces, which each test makes for itself with util-linux's unshare.
#![allow(unsafe_code)] // a thread of the test unshares

mod common;

use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::process::{
    Holder, Inherited, Piped, change_of, copy_of_binary, executable, executed, fed, inheriting, limited,
    link, namespaces, pidfd_inode,
};
use common::{Scratch, applet, program, root, skip, stderr, stdout, there};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

/// (short option, long option, name below /proc/PID/ns): all but user, which wants a test of its own.
const KINDS: [(&str, &str, &str); 7] = [
    ("-C", "--cgroup", "cgroup"),
    ("-i", "--ipc", "ipc"),
    ("-u", "--uts", "uts"),
    ("-n", "--net", "net"),
    ("-p", "--pid", "pid"),
    ("-m", "--mount", "mnt"),
    ("-T", "--time", "time"),
];
const ALL: [&str; 8] = ["-C", "-i", "-u", "-n", "-m", "-T", "-p", "-f"];
/// No process has it: the kernel's largest PID is one less.
const NOBODY: &str = "4194304";
const UNPRIVILEGED: u32 = 65534;

fn nsenter() -> Command {
    applet("nsenter")
}

fn of(holder: &Holder) -> Command {
    let mut command = nsenter();
    command.args(["-t", &holder.pid.to_string()]);
    command
}

/// What it prints when all is well.
fn printed(command: &mut Command) -> String {
    let output = limited(command);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{command:?}: {:?}: {}",
        output.status,
        stderr(&output)
    );
    stdout(&output)
}

/// Status and message of a failure; nothing is printed.
fn failure(command: &mut Command) -> (Option<i32>, String) {
    let output = limited(command);
    assert_eq!(stdout(&output), "", "{command:?}");
    (output.status.code(), stderr(&output))
}

fn refused(message: &str) -> (Option<i32>, String) {
    (Some(1), format!("nsenter: {message}\n"))
}

fn readlinks(command: &mut Command) -> String {
    command.arg("readlink");
    printed(command.args(KINDS.map(|(_, _, name)| format!("/proc/self/ns/{name}"))))
}

/// The links of all kinds: of the holder for those named, else our own.
fn links(holder: &Holder, inside: &[&str]) -> String {
    let of = |name| if inside.contains(&name) { holder.link(name) } else { link("self", name) };
    KINDS.map(|(_, _, name)| of(name) + "\n").concat()
}

fn in_scratch(scratch: &Scratch, name: &str) -> String {
    scratch.0.join(name).to_str().expect("text").to_owned()
}

fn script(path: &str, text: &str, mode: u32) {
    executable(Path::new(path), text.as_bytes(), mode);
}

#[test]
fn every_kind_by_target_and_by_file_and_no_other() {
    if !namespaces("nsenter-kinds") {
        return;
    }
    let holder = Holder::new(&ALL, "");
    let target = format!("--target={}", holder.pid);
    for (short, long, name) in KINDS {
        assert_ne!(holder.link(name), link("self", name), "{name}");
        let file = holder.file(&format!("ns/{name}"));
        let expected = links(&holder, &[name]);
        assert_eq!(readlinks(of(&holder).arg(short)), expected, "{short}");
        assert_eq!(readlinks(nsenter().args([long, &target])), expected, "{long}");
        assert_eq!(readlinks(nsenter().arg(format!("{short}{file}"))), expected, "{short}FILE");
        assert_eq!(readlinks(nsenter().arg(format!("{short}={file}"))), expected, "{short}=FILE");
        assert_eq!(readlinks(nsenter().arg(format!("{long}={file}"))), expected, "{long}=FILE");
        // The file counts, whatever else is said before or after.
        let own = format!("{long}=/proc/self/ns/{name}");
        if name == "pid" {
            continue; // /proc/self is nsenter, and its own pid namespace is no other to enter
        }
        assert_eq!(readlinks(of(&holder).args([short, &own])), links(&holder, &[]), "{own}");
        assert_eq!(readlinks(of(&holder).args([&own, short])), links(&holder, &[]), "{own}");
        let files = [own.as_str(), &format!("{long}={file}")];
        assert_eq!(readlinks(nsenter().args(files)), expected, "the last file of a kind counts");
    }
}

#[test]
fn several_kinds_at_once_from_target_and_files() {
    if !namespaces("nsenter-several") {
        return;
    }
    let holder = Holder::new(&ALL, "");
    assert_eq!(readlinks(of(&holder).args(["-u", "-n", "-i"])), links(&holder, &["uts", "net", "ipc"]));
    assert_eq!(readlinks(of(&holder).args(["-p", "-m"])), links(&holder, &["pid", "mnt"]));
    let net = format!("-n{}", holder.file("ns/net"));
    let mnt = format!("--mount={}", holder.file("ns/mnt"));
    assert_eq!(readlinks(nsenter().args([&net, &mnt])), links(&holder, &["net", "mnt"]));
    assert_eq!(readlinks(of(&holder).args([&net, "-T", "-C"])), links(&holder, &["net", "time", "cgroup"]));
    // A cluster's rest is a value: -un is not -u -n.
    assert_eq!(
        failure(of(&holder).args(["-un", "true"])),
        refused("cannot open n: No such file or directory")
    );
}

#[test]
fn all_are_entered_but_our_own_user_namespace() {
    if !namespaces("nsenter-all") {
        return;
    }
    let everything = KINDS.map(|(_, _, name)| name);
    let holder = Holder::new(&ALL, "mount -t proc proc /proc");
    let shown = |command: &mut Command| {
        let names = everything.iter().chain(&["user"]);
        printed(command.arg("readlink").args(names.map(|name| format!("/proc/self/ns/{name}"))))
    };
    let user = link("self", "user") + "\n";
    for all in ["-a", "--all"] {
        assert_eq!(shown(of(&holder).arg(all)), links(&holder, &everything) + &user);
    }
    assert_eq!(shown(of(&holder).args(["-a", "-n"])), links(&holder, &everything) + &user);
    let others: Vec<&str> = everything.into_iter().filter(|&name| name != "net").collect();
    assert_eq!(shown(of(&holder).args(["--net=/proc/self/ns/net", "-a"])), links(&holder, &others) + &user);

    let own_user = Holder::new(&["-U", "-r", "-n", "-u", "-m", "-p", "-f"], "mount -t proc proc /proc");
    let inside = ["net", "uts", "mnt", "pid"];
    assert_eq!(shown(of(&own_user).arg("-a")), links(&own_user, &inside) + &own_user.link("user") + "\n");
    assert_eq!(printed(of(&own_user).args(["-a", "id", "-u"])), "0\n");
    assert_eq!(printed(of(&own_user).args(["-a", "sh", "-c", "cat /proc/1/comm"])), "cat\n");
}

#[test]
fn the_user_namespace_and_its_root() {
    if !namespaces("nsenter-user") {
        return;
    }
    let holder = Holder::new(&["-U"], "");
    std::fs::write(holder.file("uid_map"), "0 100000 1000\n").expect("a uid map");
    std::fs::write(holder.file("gid_map"), "0 200000 1000\n").expect("a gid map");
    let id = ["sh", "-c", "readlink /proc/self/ns/user; id -u; id -g; id -G"];
    let inside = |ids: &str| format!("{}\n{ids}", holder.link("user"));
    let file = holder.file("ns/user");
    assert_eq!(printed(of(&holder).arg("-U").args(id)), inside("0\n0\n0\n"));
    assert_eq!(printed(nsenter().arg(format!("-U{file}")).args(id)), inside("0\n0\n0\n"));
    assert_eq!(printed(nsenter().arg(format!("--user={file}")).args(id)), inside("0\n0\n0\n"));
    assert_eq!(printed(of(&holder).args(["-U", "-S", "5", "-G7"]).args(id)), inside("5\n7\n7\n"));
    assert_eq!(printed(of(&holder).args(["-U", "--setuid=5"]).args(id)), inside("5\n0\n0\n"));
    // Ours have no number inside.
    let nobody = "65534\n65534\n";
    let kept = printed(of(&holder).args(["-U", "--preserve-credentials"]).args(id));
    assert!(kept.starts_with(&inside(nobody)), "{kept}");
    // 1000 is not mapped.
    let (status, message) = failure(of(&holder).args(["-U", "-S1000", "true"]));
    assert_eq!(status, Some(1), "{message}");
    assert!(message.ends_with(": Invalid argument\n"), "{message}");
    let own = failure(nsenter().args(["-U", "-t", &std::process::id().to_string(), "true"]));
    assert_eq!(own, refused("reassociate to namespaces failed: Invalid argument"));
}

#[test]
fn the_parent_of_a_user_namespace() {
    if !namespaces("nsenter-user-parent") {
        return;
    }
    // A user namespace within one: the outer is entered.
    let scratch = Scratch::new("nsenter-user-parent");
    let outer = in_scratch(&scratch, "outer");
    let setup = format!(
        "readlink /proc/self/ns/user >'{outer}'
        exec unshare -U -r sh -ec 'read -r pid rest </proc/self/stat; echo $pid; exec cat'"
    );
    let holder = Holder::new(&["-U", "-r"], &setup);
    let shown = printed(of(&holder).args(["--user-parent", "readlink", "/proc/self/ns/user"]));
    assert_eq!(shown, std::fs::read_to_string(&outer).expect("a link"));
    assert_ne!(shown.trim_end(), holder.link("user"));
    let file = format!("-U{}", holder.file("ns/user"));
    assert_eq!(printed(nsenter().args([&file, "--user-parent", "readlink", "/proc/self/ns/user"])), shown);
    assert_eq!(failure(nsenter().args(["--user-parent", "true"])), refused("no target PID specified"));
}

#[test]
fn a_process_is_named_with_the_inode_of_its_pidfd() {
    if !namespaces("nsenter-inode") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    let Some(inode) = pidfd_inode(holder.pid) else {
        skip("nsenter-inode", "the kernel has no pidfs (Linux 6.9)");
        return;
    };
    let target = |inode: u64| format!("{}:{inode}", holder.pid);
    assert_eq!(
        readlinks(nsenter().args(["-u", "-t", &target(inode)])),
        links(&holder, &["uts"]),
        "the right inode"
    );
    for wrong in [inode + 1, 0, u64::MAX >> 1] {
        let expected =
            format!("failed to obtain a valid file descriptor for PID {}: No such process", holder.pid);
        assert_eq!(failure(nsenter().args(["-u", "-t", &target(wrong), "true"])), refused(&expected));
    }
    let gone = format!("{NOBODY}:{inode}");
    let expected = format!("failed to obtain a valid file descriptor for PID {NOBODY}: No such process");
    assert_eq!(failure(nsenter().args(["-u", "-t", &gone, "true"])), refused(&expected));
    for word in ["x", "", "-1", "1x", "99999999999999999999999"] {
        let (status, message) =
            failure(nsenter().args(["-u", "-t", &format!("{}:{word}", holder.pid), "true"]));
        assert_eq!(status, Some(1), "{word}: {message}");
        assert!(message.starts_with("nsenter: failed to parse "), "{word}: {message}");
    }
}

#[test]
fn what_is_wrong_with_a_target() {
    let own = std::process::id().to_string();
    let parse = |word: &str, why: &str| refused(&format!("failed to parse PID argument '{word}': {why}"));
    for word in ["0", "-1", "-99999999999"] {
        let expected = parse(word, "Numerical result out of range");
        assert_eq!(failure(nsenter().args(["-u", "-t", word, "true"])), expected);
    }
    assert_eq!(failure(nsenter().args(["-u", "-t", "", "true"])), parse("", "Invalid argument"));
    let odd = std::ffi::OsStr::from_bytes(b"\xff\x1b");
    let expected = parse(r"\xff\x1b", "Invalid argument");
    assert_eq!(failure(nsenter().args(["-u", "-t"]).arg(odd).arg("true")), expected);

    let twice = refused("option --target may be given only once");
    assert_eq!(failure(nsenter().args(["-t", &own, "-t", &own, "-u", "true"])), twice);
    assert_eq!(failure(nsenter().args(["-t", &own, "--target=1", "-u", "true"])), twice);

    for (option, file) in [("-u", "ns/uts"), ("-n", "ns/net"), ("-w", "cwd"), ("-r", "root")] {
        let expected = refused(&format!("cannot open /proc/{NOBODY}/{file}: No such file or directory"));
        assert_eq!(failure(nsenter().args(["-t", NOBODY, option, "true"])), expected, "{option}");
    }
    let (status, message) = failure(nsenter().args(["-t", NOBODY, "-a", "true"]));
    assert_eq!(status, Some(1));
    assert_eq!(
        message,
        format!("nsenter: stat of /proc/{NOBODY}/ns/user failed: No such file or directory\n")
    );

    for args in
        [&["-u", "true"][..], &["-n", "-p"], &["--mount", "--wd", "x"], &["-u", "-r", "true"], &["-e", "-u"]]
    {
        assert_eq!(failure(nsenter().args(args)), refused("no target PID specified"), "{args:?}");
    }
    for args in
        [&[][..], &["true"], &["-t", &own, "true"], &["-w/", "true"], &["-r/", "-W/"], &["-F"], &["-S0"]]
    {
        assert_eq!(failure(nsenter().args(args)), refused("no namespace specified"), "{args:?}");
    }
    let (status, message) = failure(nsenter().args(["-t", "no-such\x1bcontainer\n", "-u", "true"]));
    assert_eq!(status, Some(1));
    assert!(message.contains(r"'no-such\x1bcontainer\x0a'"), "{message}");
}

#[test]
fn a_number_that_no_integer_holds_is_no_pid() {
    for word in ["-99999999999999999999", "-99999999999999999999:5", "99999999999999999999:5"] {
        let expected =
            refused(&format!("failed to parse PID argument '{word}': Numerical result out of range"));
        assert_eq!(failure(nsenter().args(["-u", "-t", word, "true"])), expected);
    }
}

/// A zombie has given up its namespaces; its PID is there until its parent looks.
#[test]
fn a_process_that_has_ended_is_no_target() {
    if !namespaces("nsenter-zombie") {
        return;
    }
    let mut child = program("true").stdout(Stdio::null()).spawn().expect("it starts");
    // WNOWAIT: it has ended and stays.
    let id = nix::sys::wait::Id::Pid(Pid::from_raw(i32::try_from(child.id()).expect("a pid")));
    let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(id, flags).expect("its end");
    for options in [&["-u"][..], &["-n", "-p"], &["-a"], &["-m", "-r", "-w"]] {
        let target = child.id().to_string();
        let (status, message) = failure(nsenter().args(["-t", &target]).args(options).arg("true"));
        assert_eq!(status, Some(1), "{options:?} {message}");
        assert!(message.starts_with("nsenter: "), "{message}");
    }
    child.wait().expect("its status");
}

#[test]
fn what_is_wrong_with_a_file() {
    let scratch = Scratch::new("nsenter-files");
    let missing = in_scratch(&scratch, "missing");
    let expected = refused(&format!("cannot open {missing}: No such file or directory"));
    for option in ["-n", "-n=", "--net=", "-u", "-U", "-r", "--root=", "-w", "--wd="] {
        assert_eq!(failure(nsenter().args([&format!("{option}{missing}"), "true"])), expected, "{option}");
    }
    assert_eq!(
        failure(nsenter().args(["--net=", "true"])),
        refused("cannot open : No such file or directory")
    );
    // The first of two mistakes is told.
    assert_eq!(failure(nsenter().args([&format!("-n{missing}"), "-Sx", "--foo"])), expected);
    if !root() {
        skip("nsenter-not-a-namespace", "needs root");
        return;
    }
    let plain = in_scratch(&scratch, "plain");
    std::fs::write(&plain, "").expect("a file");
    let expected = refused("reassociate to namespace 'ns/net' failed: Invalid argument");
    assert_eq!(failure(nsenter().args([&format!("--net={plain}"), "true"])), expected);
    // A namespace of another kind.
    assert_eq!(failure(nsenter().args(["--net=/proc/self/ns/uts", "true"])), expected);
}

#[test]
fn the_status_is_that_of_the_program() {
    if !namespaces("nsenter-status") {
        return;
    }
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    for options in [&["-u"][..], &["-p"], &["-p", "-F"], &["-a"]] {
        for status in [0, 3, 255] {
            let output = limited(of(&holder).args(options).args(["sh", "-c", &format!("exit {status}")]));
            assert_eq!((output.status.code(), stderr(&output)), (Some(status), String::new()), "{options:?}");
        }
    }
}

#[test]
fn a_signal_that_kills_the_program_kills_nsenter() {
    if !namespaces("nsenter-killed") {
        return;
    }
    let scratch = Scratch::new("nsenter-killed");
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    for options in [&["-u"][..], &["-p"]] {
        for signal in ["TERM", "INT", "HUP", "KILL", "PIPE", "USR1", "ALRM", "QUIT", "ABRT"] {
            let number = format!("SIG{signal}").parse::<Signal>().expect("a signal") as i32;
            let mut command = of(&holder);
            let dying = format!("ulimit -c 0; kill -{signal} $$");
            let output = limited(command.args(options).args(["sh", "-c", &dying]).current_dir(&scratch.0));
            assert_eq!(output.status.signal(), Some(number), "{options:?} {signal}: {:?}", output.status);
            assert_eq!(stderr(&output), "", "{options:?} {signal}");
        }
    }
}

/// nix knows no real-time signals: its waitpid gives EINVAL for such a status.
#[test]
fn a_real_time_signal_too() {
    if !namespaces("nsenter-killed-rt") {
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    for number in [34, 50, 64] {
        let output = limited(of(&holder).args(["-p", "sh", "-c", &format!("kill -{number} $$")]));
        assert_eq!((output.status.signal(), stderr(&output)), (Some(number), String::new()));
    }
}

/// The parent dies of it even where it was started with the signal ignored or blocked.
#[test]
fn dying_of_a_signal_that_was_ignored_or_blocked_at_the_start() {
    if !namespaces("nsenter-killed-ignored") {
        return;
    }
    if !there("perl") {
        skip("nsenter-killed-ignored", "needs perl");
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    let dies = "use POSIX; $SIG{TERM} = 'DEFAULT'; my $set = POSIX::SigSet->new(SIGTERM); \
                sigprocmask(SIG_UNBLOCK, $set); kill TERM => $$; exit 9";
    for inherited in [
        Inherited { ignored: vec![Signal::SIGTERM], ..Inherited::default() },
        Inherited { blocked: vec![Signal::SIGTERM], ..Inherited::default() },
        Inherited { ignored: vec![Signal::SIGTERM], blocked: vec![Signal::SIGTERM], ..Inherited::default() },
    ] {
        let output = limited(inheriting(of(&holder).args(["-p", "perl", "-e", dies]), &inherited));
        assert_eq!(
            output.status.signal(),
            Some(Signal::SIGTERM as i32),
            "{inherited:?}: {:?}",
            output.status
        );
    }
}

/// With SIGCHLD ignored the kernel keeps no status for the parent.
#[test]
fn an_ignored_sigchld_loses_no_status() {
    if !namespaces("nsenter-sigchld") {
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    let inherited = Inherited { ignored: vec![Signal::SIGCHLD], ..Inherited::default() };
    let output = limited(inheriting(of(&holder).args(["-p", "sh", "-c", "exit 3"]), &inherited));
    assert_eq!((output.status.code(), stderr(&output)), (Some(3), String::new()));
    let output = limited(inheriting(of(&holder).args(["-p", "sh", "-c", "kill -9 $$"]), &inherited));
    assert_eq!(output.status.signal(), Some(9));
}

#[test]
fn nsenter_stops_and_continues_with_the_program() {
    if !namespaces("nsenter-stop") {
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    let stops = "kill -STOP $$; echo once; kill -STOP $$; echo twice; exit 7";
    let mut piped = Piped::new(of(&holder).args(["-p", "sh", "-c", stops]));
    let pid = Pid::from_raw(piped.pid());
    for line in ["once", "twice"] {
        assert_eq!(change_of(piped.pid()), WaitStatus::Stopped(pid, Signal::SIGSTOP));
        kill(pid, Signal::SIGCONT).expect("it goes on");
        assert_eq!(piped.line(), line);
    }
    assert_eq!(change_of(piped.pid()), WaitStatus::Exited(pid, 7));
}

/// A signal to the waiting parent alone ends the parent; the program is not taken with it. As the original.
#[test]
fn a_signal_to_the_waiting_parent_leaves_the_program() {
    if !namespaces("nsenter-parent") {
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    let mut piped =
        Piped::new(of(&holder).args(["-p", "sh", "-c", "echo ready; read -r word; echo \"$word\""]));
    assert_eq!(piped.line(), "ready");
    let pid = Pid::from_raw(piped.pid());
    kill(pid, Signal::SIGTERM).expect("sent");
    assert_eq!(change_of(piped.pid()), WaitStatus::Signaled(pid, Signal::SIGTERM, false));
    piped.end_of_input();
    assert_eq!(piped.line(), "", "it was there to read to the end, and printed an empty line");
}

#[test]
fn mask_and_dispositions_of_signals_are_inherited_unchanged() {
    if !namespaces("nsenter-signals") {
        return;
    }
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    let signals = |command: &mut Command, inherited: &Inherited| {
        let status = printed(inheriting(command.args(["cat", "/proc/self/status"]), inherited));
        let lines = status.lines().filter(|line| line.starts_with("SigBlk") || line.starts_with("SigIgn"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    for inherited in [
        Inherited::default(),
        Inherited { ignored: vec![Signal::SIGPIPE], ..Inherited::default() },
        Inherited { blocked: vec![Signal::SIGUSR1, Signal::SIGINT, Signal::SIGTERM], ..Inherited::default() },
        Inherited {
            ignored: vec![Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP],
            blocked: vec![Signal::SIGCHLD, Signal::SIGPIPE],
            ..Inherited::default()
        },
    ] {
        let expected = signals(&mut program("env"), &inherited);
        assert_eq!(expected.lines().count(), 2, "{expected}");
        for options in [&["-u"][..], &["-p"], &["-p", "-F"], &["-a"]] {
            assert_eq!(signals(of(&holder).args(options), &inherited), expected, "{options:?} {inherited:?}");
        }
    }
}

#[test]
fn descriptors_are_inherited_and_none_is_added() {
    if !namespaces("nsenter-descriptors") {
        return;
    }
    let scratch = Scratch::new("nsenter-descriptors");
    let wd = in_scratch(&scratch, "");
    // Its /proc is ours still, so that /proc/self is there whatever is entered.
    let holder = Holder::new(&ALL, "");
    let of_user = Holder::new(&["-U", "-r", "-u"], "");
    let file = format!("--uts={}", holder.file("ns/uts"));
    let open = |command: &mut Command, inherited: &Inherited| {
        printed(inheriting(command.args(["sh", "-c", "echo /proc/self/fd/*"]), inherited))
    };
    for inherited in [
        Inherited::default(),
        Inherited { closed: vec![0], ..Inherited::default() },
        Inherited { closed: vec![0, 2], ..Inherited::default() },
        Inherited { open: vec![5, 9], ..Inherited::default() },
        Inherited { open: vec![3, 4, 7], closed: vec![2], ..Inherited::default() },
    ] {
        let expected = open(&mut program("env"), &inherited);
        for options in [
            &["-n"][..],
            &["-a"],
            &["-m", "-r", "-w"],
            &["-m", "-W/"],
            &["-u", "-r/", &format!("-w{wd}")],
            &["-u", "-e"],
            &["-p", "-F", "-u"],
            &["-m", "-p"],
            &[&file],
            &[&file, "-n", "-S", "follow"],
        ] {
            let shown = open(of(&holder).args(options), &inherited);
            assert_eq!(shown, expected, "{options:?} {inherited:?}");
        }
        for options in [&["-U"][..], &["-U", "-u", "--keep-caps"], &["--user-parent", "-u"], &["-a"]] {
            let mut command = of(&of_user);
            // The parent of its user namespace is ours, which is not to be entered.
            if options[0] == "--user-parent" {
                let user = format!("-U{}", of_user.file("ns/user"));
                assert_eq!(failure(command.args([options[0], &user, "true"])).0, Some(1));
                continue;
            }
            assert_eq!(open(command.args(options), &inherited), expected, "{options:?} {inherited:?}");
        }
    }
}

/// A thread of this test opens a socket in a network namespace of its own.
#[test]
fn the_network_namespace_of_a_socket() {
    if !namespaces("nsenter-socket") {
        return;
    }
    let opened = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        let link = std::fs::read_link("/proc/thread-self/ns/net").expect("its namespace");
        (socket, format!("{}\n", link.display()))
    });
    let (socket, expected) = opened.join().expect("the thread");
    let (own, fd) = (std::process::id().to_string(), socket.as_raw_fd().to_string());
    let net = ["readlink", "/proc/self/ns/net"];
    assert_ne!(expected.trim_end(), link("self", "net"));
    assert_eq!(printed(nsenter().args(["-t", &own, "-N", &fd]).args(net)), expected);
    assert_eq!(printed(nsenter().args([&format!("--net-socket={fd}"), "-t", &own]).args(net)), expected);

    // It leaves no descriptor behind.
    let open = ["sh", "-c", "echo /proc/self/fd/*"];
    let inside = printed(nsenter().args(["-t", &own, "-N", &fd]).args(open));
    assert_eq!(inside, printed(program("env").args(open)));

    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    let (status, message) =
        failure(nsenter().args(["-t", &own, "-N", &null.as_raw_fd().to_string(), "true"]));
    assert_eq!(status, Some(1));
    assert!(message.ends_with(", SIOCGSKNS): Inappropriate ioctl for device\n"), "{message}");
    let (status, message) = failure(nsenter().args(["-t", &own, "-N", "1000000", "true"]));
    assert_eq!(status, Some(1));
    assert!(message.ends_with(", 1000000): Bad file descriptor\n"), "{message}");
    assert_eq!(failure(nsenter().args(["-N", &fd, "true"])), refused("no target PID specified"));
    let expected = refused("failed to parse file descriptor: 'x'");
    assert_eq!(failure(nsenter().args(["-t", &own, "-N", "x", "true"])), expected);
}

/// The shell of root in a file like /etc/passwd.
fn shell_of_root(passwd: &str) -> Option<String> {
    let text = std::fs::read_to_string(passwd).ok()?;
    let of_root = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() == 7 && fields[2] == "0").then(|| fields[6].to_owned())
    };
    text.lines().find_map(of_root).filter(|shell| !shell.is_empty())
}

#[test]
fn without_a_program_a_login_shell_runs() {
    if !namespaces("nsenter-shell") {
        return;
    }
    let scratch = Scratch::new("nsenter-shell");
    let holder = Holder::new(&["-u"], "");
    // HOME: no profile of the user's may join in.
    let shell = |shell: Option<&str>| {
        let mut command = of(&holder);
        command.arg("-u").env("HOME", &scratch.0).env_remove("ENV");
        match shell {
            Some(shell) => command.env("SHELL", shell),
            None => command.env_remove("SHELL"),
        };
        command
    };
    let last_line = |command: &mut Command| {
        let output = fed(command, Some(b"echo \"$0\" $#\nexit 3\n"));
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        stdout(&output).lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(last_line(&mut shell(Some("/bin/sh"))), "-sh 0");
    let odd = in_scratch(&scratch, "odd shell");
    symlink("/bin/sh", &odd).expect("a link");
    assert_eq!(last_line(&mut shell(Some(&odd))), "-odd shell 0");
    if let Some(of_root) = shell_of_root("/etc/passwd").filter(|shell| shell.ends_with("sh")) {
        let base = of_root.rsplit('/').next().unwrap_or_default();
        assert_eq!(last_line(&mut shell(Some(""))), format!("-{base} 0"), "an empty SHELL is none");
        assert_eq!(last_line(&mut shell(None)), format!("-{base} 0"));
    }

    let plain = in_scratch(&scratch, "plain");
    script(&plain, "#!/bin/sh\n", 0o644);
    let denied = |file: &str| (Some(126), format!("nsenter: failed to execute {file}: Permission denied\n"));
    assert_eq!(failure(&mut shell(Some(&plain))), denied(&plain));
    assert_eq!(failure(&mut shell(Some("/etc"))), denied("/etc"));
    for missing in ["/no/such/shell", "sh", "no-such-shell"] {
        // Never looked for in PATH.
        let expected = format!("nsenter: failed to execute {missing}: No such file or directory\n");
        assert_eq!(failure(shell(Some(missing)).current_dir(&scratch.0)), (Some(127), expected));
    }
}

/// The passwd that counts is the one inside; so is the environment.
#[test]
fn the_shell_is_looked_for_inside() {
    if !namespaces("nsenter-shell-inside") {
        return;
    }
    let scratch = Scratch::new("nsenter-shell-inside");
    let (passwd, shell, other) =
        (in_scratch(&scratch, "passwd"), in_scratch(&scratch, "shell"), in_scratch(&scratch, "other"));
    script(&shell, "#!/bin/sh\necho the shell of passwd\n", 0o755);
    script(&other, "#!/bin/sh\necho the shell of the target\n", 0o755);
    std::fs::write(&passwd, format!("x:x:0\nroot:x:0:0:root:/root:{shell}\nroot:x:0:0::/:/bin/false\n"))
        .expect("a file");
    let setup = format!("mount --bind '{passwd}' /etc/passwd");
    let mut unshare = program("unshare");
    let holder = Holder::by(unshare.args(["-m"]).env("SHELL", &other), &setup);
    let without = |options: &[&str]| printed(of(&holder).args(options).env_remove("SHELL"));
    assert_eq!(without(&["-m"]), "the shell of passwd\n");
    assert_eq!(without(&["-m", "-e"]), "the shell of the target\n");
    assert_eq!(
        printed(of(&holder).args(["-m", "-e"]).env("SHELL", "/bin/false")),
        "the shell of the target\n"
    );
    std::fs::write(&passwd, "root:x:0:0:root:/root:\n").expect("a file");
    assert_eq!(fed(of(&holder).arg("-m").env_remove("SHELL"), Some(b"exit 5\n")).status.code(), Some(5));
    for hostile in [&b""[..], b"\xff\n\0:::::::\nroot:x:0", &[b':'; 100_000]] {
        std::fs::write(&passwd, hostile).expect("a file");
        let output = fed(of(&holder).arg("-m").env_remove("SHELL"), Some(b"exit 5\n"));
        assert_eq!(output.status.code(), Some(5), "/bin/sh when passwd is rubbish: {}", stderr(&output));
    }
}

#[test]
fn a_program_that_cannot_be_executed() {
    if !namespaces("nsenter-exec") {
        return;
    }
    let scratch = Scratch::new("nsenter-exec");
    let at = |name: &str| in_scratch(&scratch, name);
    script(&at("no-x"), "#!/bin/sh\n", 0o644);
    script(&at("no-interpreter"), "#!/no/such/interpreter\n", 0o755);
    script(&at("no-bang"), "echo \"$0\" \"$@\"\n", 0o755);
    script(&at("empty"), "", 0o755);
    std::fs::create_dir(at("directory")).expect("a directory");
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    let path = format!("/no/such/directory:{}:/usr/bin:/bin", in_scratch(&scratch, ""));
    for option in ["-u", "-p"] {
        let with = |search: &str, program: &str| {
            let mut command = of(&holder);
            command.args([option, program, "one", "two words"]).env("PATH", search);
            command
        };
        let why = |search: &str, program: &str| {
            let (status, message) = failure(&mut with(search, program));
            let cause = message.trim_end().rsplit(": ").next().unwrap_or_default().to_owned();
            assert_eq!(message, format!("nsenter: failed to execute {program}: {cause}\n"));
            (status.unwrap_or(-1), cause)
        };
        let not_there = || (127, "No such file or directory".to_owned());
        let denied = || (126, "Permission denied".to_owned());
        assert_eq!(why(&path, "no-such-program"), not_there());
        assert_eq!(why(&path, &at("missing")), not_there());
        assert_eq!(why(&path, ""), not_there());
        assert_eq!(why(&path, &at("no-interpreter")), not_there());
        assert_eq!(why(&path, &at("directory")), denied());
        assert_eq!(why(&path, &at("no-x")), denied());
        // EACCES on the way is remembered, also when the search ends elsewhere.
        assert_eq!(why(&path, "no-x"), denied());
        assert_eq!(why(&path, "directory"), denied());
        assert_eq!(why("/etc/passwd", "x"), (126, "Not a directory".to_owned()));
        assert_eq!(why(&path, "/etc/passwd/x"), (126, "Not a directory".to_owned()));

        let script = at("no-bang");
        assert_eq!(printed(&mut with(&path, &script)), format!("{script} one two words\n"));
        assert!(printed(&mut with(&path, "no-bang")).ends_with("/no-bang one two words\n"));
        assert_eq!(printed(&mut with(&path, &at("empty"))), "");
        // An empty element of PATH is the working directory.
        let mut here = with(":/no/such", "no-bang");
        assert_eq!(printed(here.current_dir(&scratch.0)), "no-bang one two words\n");
        // Without PATH the C library has one.
        assert_eq!(printed(of(&holder).args([option, "echo", "x"]).env_remove("PATH")), "x\n");
        let odd = std::ffi::OsStr::from_bytes(b"\x1b[31m\n\xff");
        let expected = "nsenter: failed to execute \\x1b[31m\\x0a\\xff: No such file or directory\n";
        assert_eq!(failure(of(&holder).arg(option).arg(odd)), (Some(127), expected.to_owned()));
    }
    let long = "x".repeat(5000);
    assert_eq!(failure(of(&holder).args(["-u", &long])).0, Some(126), "ENAMETOOLONG");
    assert_eq!(failure(of(&holder).args(["-u", &format!("/{long}")])).0, Some(126), "ENAMETOOLONG");
}

/// A holder in a root directory of its own (`new`), with its working directory (`new/work`) there.
struct Rooted {
    holder: Holder,
    scratch: Scratch,
}

impl Rooted {
    fn new(name: &str) -> Rooted {
        let scratch = Scratch::new(name);
        let new = in_scratch(&scratch, "new");
        std::fs::create_dir(&new).expect("a directory");
        let setup = format!(
            "mount -t tmpfs tmpfs '{new}' && cd '{new}' && mkdir usr proc work etc
            mount --rbind /usr usr && mount -t proc proc proc
            for name in bin sbin lib lib32 lib64 libx32; do
                if [ -L /$name ]; then ln -s usr/$name $name
                elif [ -d /$name ]; then mkdir $name && mount --rbind /$name $name; fi
            done
            echo inside >mark && echo working >work/mark
            exec chroot . sh -ec 'cd /work && echo \"$0\" && exec cat' \"$pid\""
        );
        Rooted { holder: Holder::new(&["-m"], &setup), scratch }
    }

    /// The working directory of the program, as device and inode.
    fn directory(&self, options: &[&str], cwd: &Path) -> String {
        printed(of(&self.holder).args(options).args(["stat", "-c", "%d:%i", "."]).current_dir(cwd))
    }
}

fn identity(path: impl AsRef<Path>) -> String {
    let meta = std::fs::metadata(path.as_ref()).expect("a directory");
    format!("{}:{}\n", meta.dev(), meta.ino())
}

#[test]
fn root_and_working_directory() {
    if !namespaces("nsenter-root") {
        return;
    }
    let rooted = Rooted::new("nsenter-root");
    let outside = &rooted.scratch.0;
    let of_target = |name: &str| identity(rooted.holder.file(name));
    let (inner_root, inner_work) = (of_target("root"), of_target("cwd"));
    let mark = |options: &[&str]| printed(of(&rooted.holder).args(options).args(["cat", "/mark"]));

    // Without -r the root is that of the mount namespace, and the directory its root.
    assert!(!limited(of(&rooted.holder).args(["-m", "cat", "/mark"])).status.success());
    for options in [&["-m", "-r"][..], &["--mount", "--root"], &["-m", "-r", "-w"], &["-m", "-r", "-W/"]] {
        assert_eq!(mark(options), "inside\n", "{options:?}");
    }
    let by_path = format!("-r{}", rooted.holder.file("root"));
    assert_eq!(mark(&["-m", &by_path]), "inside\n");
    assert_eq!(mark(&["-u", &by_path]), "inside\n", "without its mount namespace too");
    let long = format!("--root={}", rooted.holder.file("root"));
    assert_eq!(mark(&["-m", &long]), "inside\n");
    // -r is the one that forgives no sign after the letter.
    let expected = refused("cannot open =/: No such file or directory");
    assert_eq!(failure(of(&rooted.holder).args(["-u", "-r=/", "true"])), expected);

    // -w: the target's, or one that is opened outside.
    assert_eq!(rooted.directory(&["-m", "-r", "-w"], outside), inner_work);
    assert_eq!(rooted.directory(&["-u", "-w"], outside), inner_work);
    let here = format!("-w{}", outside.display());
    assert_eq!(rooted.directory(&["-m", "-r", &here], Path::new("/")), identity(outside));
    let here = format!("-w={}", outside.display());
    assert_eq!(rooted.directory(&["-u", &here], Path::new("/")), identity(outside));
    assert_eq!(rooted.directory(&["-u", "-wnew"], outside), identity(outside.join("new")));
    assert_eq!(rooted.directory(&["-u", "--wd=."], outside), identity(outside));
    // -W: once inside.
    assert_eq!(rooted.directory(&["-m", "-r", "-W/work"], outside), inner_work);
    assert_eq!(rooted.directory(&["-m", "-r", "-W=/work"], outside), inner_work);
    assert_eq!(rooted.directory(&["-m", "-r", "--wdns=work"], outside), inner_work, "below the new root");
    assert_eq!(rooted.directory(&["-m", "-r", "-W."], outside), inner_root);
    let expected = refused("cannot open current working directory: No such file or directory");
    assert_eq!(failure(of(&rooted.holder).args(["-u", "-W/no/such", "true"])), expected);
    let expected = refused("cannot open /no/such: No such file or directory");
    assert_eq!(failure(of(&rooted.holder).args(["-u", "-w/no/such", "true"])), expected);

    // A new root alone leaves the directory where it is: outside.
    assert_eq!(rooted.directory(&["-u", "-r"], outside), identity(outside));
    // Entering a mount namespace leads to its root.
    assert_eq!(rooted.directory(&["-m"], outside), identity("/"));
    assert_eq!(rooted.directory(&["-u"], outside), identity(outside));
}

#[test]
fn one_working_directory_is_enough() {
    let expected = |a: &str, b: &str| refused(&format!("options {a} and {b} cannot be combined"));
    let own = std::process::id().to_string();
    let both = |args: [&str; 2]| failure(nsenter().args(["-t", &own, "-u"]).args(args).arg("true"));
    assert_eq!(both(["-w/", "-W/"]), expected("--wd", "--wdns"));
    assert_eq!(both(["--wdns=/", "-w"]), expected("--wdns", "--wd"));
}

#[test]
fn a_root_that_is_no_directory() {
    if !namespaces("nsenter-root-file") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    for option in ["-r/etc/passwd", "-w/etc/passwd", "-W/etc/passwd"] {
        let (status, message) = failure(of(&holder).args(["-u", option, "true"]));
        assert_eq!(status, Some(1), "{option}");
        assert!(message.ends_with(": Not a directory\n"), "{option}: {message}");
    }
}

#[test]
fn credentials() {
    if !namespaces("nsenter-credentials") {
        return;
    }
    let mut unshare = program("unshare");
    unshare.args(["-u"]).uid(0).gid(0);
    let holder = Holder::by(&mut unshare, "");
    let mut other = program("unshare");
    let other = if there("setpriv") {
        let dropping = ["setpriv", "--reuid=1234", "--regid=4321", "--clear-groups"];
        Some(Holder::by(other.args(["-u"]).args(dropping), ""))
    } else {
        skip("nsenter-follow", "needs setpriv(1) of util-linux");
        None
    };
    // std drops the groups when the uid is set; -G has some to drop.
    let ids = |holder: &Holder, options: &[&str]| {
        let id = ["sh", "-c", "echo $(id -u) $(id -g) $(id -G)"];
        printed(of(holder).args(options).args(id))
    };
    let own = printed(program("sh").args(["-c", "echo $(id -u) $(id -g) $(id -G)"]));
    assert_eq!(ids(&holder, &["-u"]), own, "nothing changes without need");
    assert_eq!(ids(&holder, &["-u", "--preserve-credentials"]), own);
    let groups = own.trim_end().splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
    let gid = own.split(' ').nth(1).unwrap_or_default();
    assert_eq!(ids(&holder, &["-u", "-S", "1234"]), format!("1234 {gid} {groups}\n"));
    assert_eq!(ids(&holder, &["-u", "-G", "4321"]), "0 4321 4321\n", "-G drops the other groups");
    assert_eq!(ids(&holder, &["-u", "-S1234", "-G4321"]), "1234 4321 4321\n");
    assert_eq!(ids(&holder, &["-u", "--setgid=4321", "--setuid", "0"]), "0 4321 4321\n");
    assert_eq!(ids(&holder, &["-u", "-S1", "-S2", "-G3", "-G4"]), "2 4 4\n", "the last counts");
    assert_eq!(ids(&holder, &["-u", "-S", " +0007"]), format!("7 {gid} {groups}\n"));
    if let Some(other) = other {
        assert_eq!(ids(&other, &["-u", "-S", "follow", "-G", "follow"]), "1234 4321 4321\n");
        assert_eq!(ids(&other, &["-u", "--setgid=follow"]), "0 4321 4321\n");
    }
    for option in ["-Sfollow", "-Gfollow"] {
        let file = format!("-u{}", holder.file("ns/uts"));
        assert_eq!(failure(nsenter().args([&file, option, "true"])), refused("no target PID specified"));
    }
}

#[test]
fn ids_that_are_none() {
    for (option, what) in [("-S", "uid"), ("-G", "gid")] {
        let with = |word: &str| failure(nsenter().args([option, word, "true"]));
        for word in ["", "x", "0x10", "5 ", "5x", "root", "Follow", "1.5", "+-5"] {
            assert_eq!(with(word), refused(&format!("failed to parse {what}: '{word}'")), "{option}");
        }
        // 4294967296 is root's number to the original: it takes the lower 32 bits.
        for word in ["4294967296", "-1", "18446744073709551615", "99999999999999999999999"] {
            let why = "Numerical result out of range";
            assert_eq!(with(word), refused(&format!("failed to parse {what}: '{word}': {why}")), "{option}");
        }
    }
    if !namespaces("nsenter-ids") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    for (option, call) in [("-S", "setuid"), ("-G", "setgid")] {
        let (status, message) = failure(of(&holder).args(["-u", option, "4294967295", "true"]));
        assert_eq!(status, Some(1));
        assert!(message.contains(call) && message.ends_with(": Invalid argument\n"), "{message}");
    }
}

#[test]
fn an_ordinary_user_enters_namespaces_of_their_own() {
    if !namespaces("nsenter-user-unprivileged") {
        return;
    }
    let scratch = Scratch::new("nsenter-unprivileged");
    let copy = scratch.0.join("ctrbox");
    copy_of_binary(&copy);
    let unprivileged = |path: &str| {
        let mut command = program(path);
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED).current_dir("/");
        command
    };
    if !limited(unprivileged("unshare").args(["-U", "true"])).status.success() {
        skip("nsenter-user-unprivileged", "users may not make user namespaces here");
        return;
    }
    let mut unshare = unprivileged("unshare");
    let holder = Holder::by(unshare.args(["-U", "-r", "-n", "-u"]), "");
    let mine = || {
        let mut command = unprivileged(copy.to_str().expect("text"));
        command.args(["nsenter", "-t", &holder.pid.to_string()]);
        command
    };
    let inside = |names: [&str; 3]| names.map(|name| holder.link(name) + "\n").concat();
    let shown = ["sh", "-c", "readlink /proc/self/ns/user /proc/self/ns/net /proc/self/ns/uts; id -u"];
    let expected = inside(["user", "net", "uts"]) + "0\n";
    assert_eq!(printed(mine().args(["-U", "-n", "-u", "--preserve-credentials"]).args(shown)), expected);
    let files = [("user", "-U"), ("net", "-n"), ("uts", "-u")];
    let files = files.map(|(name, option)| format!("{option}{}", holder.file(&format!("ns/{name}"))));
    let mut by_files = unprivileged(copy.to_str().expect("text"));
    by_files.arg("nsenter").args(&files).arg("--preserve-credentials");
    assert_eq!(printed(by_files.args(shown)), expected);
    let mut unshare = unprivileged("unshare");
    let whole = Holder::by(unshare.args(["-U", "-r"]).args(ALL), "");
    let mut all = unprivileged(copy.to_str().expect("text"));
    all.args(["nsenter", "-t", &whole.pid.to_string(), "-a", "--preserve-credentials", "readlink"]);
    all.args(KINDS.map(|(_, _, name)| format!("/proc/self/ns/{name}")));
    assert_eq!(printed(&mut all), links(&whole, &KINDS.map(|(_, _, name)| name)));
    // setgroups(2) is denied in there, and without the namespace too.
    let expected = refused("setgroups failed: Operation not permitted");
    assert_eq!(failure(mine().args(["-U", "-n", "true"])), expected);

    // Capabilities: those of the namespace's root, and kept by others only when asked for.
    let effective = |options: &[&str]| {
        let status = printed(mine().args(options).args(["cat", "/proc/self/status"]));
        let line = status.lines().find(|line| line.starts_with("CapEff:")).unwrap_or_default().to_owned();
        u64::from_str_radix(line.rsplit('\t').next().unwrap_or_default(), 16).expect("a mask")
    };
    assert_ne!(effective(&["-U", "--preserve-credentials"]), 0, "root of the namespace");

    // Somebody else's are not ours to enter.
    let others = Holder::new(&["-n", "-u"], "");
    let pid = others.pid.to_string();
    let theirs = |options: &[&str]| {
        let mut command = unprivileged(copy.to_str().expect("text"));
        failure(command.args(["nsenter", "-t", &pid]).args(options).arg("true"))
    };
    assert_eq!(theirs(&["-n"]), refused("reassociate to namespaces failed: Operation not permitted"));
    let expected = format!("cannot open /proc/{pid}/root: Permission denied");
    assert_eq!(theirs(&["-n", "-r"]), refused(&expected));
    let expected = format!("cannot open /proc/{pid}/environ: Permission denied");
    assert_eq!(theirs(&["-n", "-e"]), refused(&expected));
    let expected = format!("stat of /proc/{pid}/ns/user failed: Permission denied");
    assert_eq!(theirs(&["-a"]), refused(&expected));
}

#[test]
fn capabilities_are_kept_when_asked_for() {
    if !namespaces("nsenter-keep-caps") {
        return;
    }
    // Nobody is mapped: the program is no root inside, and would lose all.
    let holder = Holder::new(&["-U"], "");
    let effective = |options: &[&str]| {
        let status = printed(of(&holder).args(options).args(["cat", "/proc/self/status"]));
        let line = status.lines().find(|line| line.starts_with("CapEff:")).unwrap_or_default().to_owned();
        u64::from_str_radix(line.rsplit('\t').next().unwrap_or_default(), 16).expect("a mask")
    };
    assert_eq!(effective(&["-U", "--preserve-credentials"]), 0);
    let kept = effective(&["-U", "--preserve-credentials", "--keep-caps"]);
    let net_admin = 1 << 12;
    assert!(kept & net_admin != 0, "{kept:x}");
    // Without a user namespace entered it means nothing.
    let own = Holder::new(&["-u"], "");
    assert_eq!(limited(of(&own).args(["-u", "--keep-caps", "true"])).status.code(), Some(0));
}

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
        // Not a new namespace, but one that may be entered: env is what counts here.
        let mut command = nsenter();
        command.args(["-t", &target.pid().to_string(), "-u", "-e", "/usr/bin/env"]).env("OURS", "1");
        printed(&mut command)
    };
    // Turned round; of one name the last counts; no name, no variable.
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
fn with_no_fork_only_children_are_in_the_pid_namespace() {
    if !namespaces("nsenter-no-fork") {
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    let both = ["readlink", "/proc/self/ns/pid", "/proc/self/ns/pid_for_children"];
    let (own, inner) = (link("self", "pid"), holder.link("pid"));
    for option in ["-F", "--no-fork"] {
        assert_eq!(printed(of(&holder).args(["-p", option]).args(both)), format!("{own}\n{inner}\n"));
    }
    assert_eq!(printed(of(&holder).arg("-p").args(both)), format!("{inner}\n{inner}\n"));
    // It is nsenter itself that became the program, and a child of it that did not.
    let own_pid = "read -r pid rest </proc/self/stat; echo $pid; read -r word";
    let mut without = Piped::new(of(&holder).args(["-p", "-F", "sh", "-c", own_pid]));
    assert_eq!(without.line(), without.pid().to_string());
    let mut with = Piped::new(of(&holder).args(["-p", "sh", "-c", own_pid]));
    let child = with.line();
    assert_ne!(child, with.pid().to_string());
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).expect("its status");
    assert!(status.contains(&format!("PPid:\t{}\n", with.pid())), "{status}");
    with.end_of_input();
}

/// Control groups made below those of this test, one in each hierarchy where that is allowed.
struct Groups {
    directories: Vec<PathBuf>,
}

impl Groups {
    fn new(name: &str) -> Groups {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut directories = Vec::new();
        for line in own.lines() {
            let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else { continue };
            let mounted = mounts.lines().find_map(|line| {
                let (mount, kind) = line.split_once(" - ")?;
                let fields: Vec<&str> = mount.split(' ').collect();
                let (kind, options) = (kind.split(' ').next()?, kind.split(' ').nth(2)?);
                let same = match controllers {
                    "" => kind == "cgroup2",
                    name => {
                        kind == "cgroup" && name.split(',').all(|one| options.split(',').any(|o| o == one))
                    }
                };
                (same && fields[3] == "/").then(|| fields[4].to_owned())
            });
            let Some(mounted) = mounted else { continue };
            // A new group of cpuset has no cpus, and takes no process.
            if controllers.split(',').any(|one| one == "cpuset") {
                continue;
            }
            let directory = Path::new(&mounted).join(path.trim_start_matches('/')).join(name);
            if std::fs::create_dir(&directory).is_ok() {
                directories.push(directory);
            }
        }
        Groups { directories }
    }

    fn join(&self, pid: i32) {
        for directory in &self.directories {
            let procs = directory.join("cgroup.procs");
            std::fs::write(&procs, pid.to_string()).unwrap_or_else(|e| panic!("{}: {e}", procs.display()));
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // A process that was killed can be in its group for a moment after its parent has gone.
        let gone = |directory: &PathBuf| std::fs::remove_dir(directory).is_ok() || !directory.exists();
        let start = std::time::Instant::now();
        while !self.directories.iter().all(gone) && start.elapsed().as_secs() < 10 {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

#[test]
fn the_control_groups_of_the_target_are_joined_by_the_program_alone() {
    if !namespaces("nsenter-cgroup") {
        return;
    }
    let name = format!("ctrbox-test-{}", std::process::id());
    let groups = Groups::new(&name); // first, so that it ends last
    if groups.directories.is_empty() {
        skip("nsenter-cgroup", "no control group can be made below our own");
        return;
    }
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    groups.join(holder.pid);
    let cgroup_of =
        |process: &str| std::fs::read_to_string(format!("/proc/{process}/cgroup")).expect("a file");
    let inside = cgroup_of(&holder.pid.to_string());
    assert!(inside.contains(&name), "{inside}");
    for options in [&["-u", "-c"][..], &["-p", "--join-cgroup"], &["-u", "-c", "-S", "1234"], &["-a", "-c"]] {
        assert_eq!(
            printed(of(&holder).args(options).args(["cat", "/proc/self/cgroup"])),
            inside,
            "{options:?}"
        );
    }
    let without = printed(of(&holder).args(["-p", "cat", "/proc/self/cgroup"]));
    assert_eq!(without, cgroup_of("self"));

    let script = "read -r pid rest </proc/self/stat; echo $pid; read -r word";
    let mut piped = Piped::new(of(&holder).args(["-p", "-c", "sh", "-c", script]));
    let child = piped.line();
    assert_eq!(cgroup_of(&child), inside);
    assert_eq!(cgroup_of(&piped.pid().to_string()), cgroup_of("self"), "the waiting parent stays");
    piped.end_of_input();
    assert!(matches!(change_of(piped.pid()), WaitStatus::Exited(..)));

    // The original hands the program /proc/PID/cgroup as stdin.
    let mut reads = of(&holder);
    assert_eq!(stdout(&fed(reads.args(["-u", "-c", "cat"]), Some(b"hello\n"))), "hello\n");
    let open = ["sh", "-c", "echo /proc/self/fd/*"];
    assert_eq!(printed(of(&holder).args(["-u", "-c"]).args(open)), printed(program("env").args(open)));
    let expected = refused("no target PID specified");
    assert_eq!(failure(nsenter().args([&format!("-u{}", holder.file("ns/uts")), "-c", "true"])), expected);
}

#[test]
fn abbreviations() {
    if !namespaces("nsenter-abbreviations") {
        return;
    }
    let holder = Holder::new(&["-u", "-n"], "");
    let pid = holder.pid.to_string();
    let target = format!("--targ={pid}");
    let uts = links(&holder, &["uts"]);
    for args in [
        &[&target, "--ut"][..],
        &["--t", &pid, "--uts"].map(|word| if word == "--t" { "--ta" } else { word }),
        &[&target, "--ut", "--pres"],
        &[&target, "--ut", "--no-f", "--keep"],
        &[&target, "--ut", "--wdn=/"],
        &[&target, "--ut", "--setu", "0"],
    ] {
        assert_eq!(readlinks(nsenter().args(args)), uts, "{args:?}");
    }
    // A name that is whole is no abbreviation, though others begin so.
    for args in [&[&target, "--net"][..], &[&target, "--net", "--wd=/"]] {
        assert_eq!(readlinks(nsenter().args(args)), links(&holder, &["net"]), "{args:?}");
    }
    for (option, names) in [
        ("--us", "'--user' '--user-parent'"),
        ("--w", "'--wd' '--wdns'"),
        ("--ne", "'--net' '--net-socket'"),
        ("--set", "'--setuid' '--setgid'"),
    ] {
        let expected = format!(
            "nsenter: option '{option}' is ambiguous; possibilities: {names}\nTry 'nsenter --help' for more \
             information.\n"
        );
        assert_eq!(failure(nsenter().arg(option)), (Some(1), expected));
    }
}

#[test]
fn options_end_at_the_program() {
    if !namespaces("nsenter-operands") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    assert_eq!(printed(of(&holder).args(["-u", "echo", "-n", "--foo", "--"])), "--foo --");
    assert_eq!(printed(of(&holder).args(["-u", "--", "echo", "-t"])), "-t\n");
    assert_eq!(printed(of(&holder).args(["--uts", "echo", "x"])), "x\n", "a value must be glued");
    let odd = std::ffi::OsStr::from_bytes(b"\xff \n");
    let output = limited(of(&holder).args(["-u", "printf", "%s"]).arg(odd));
    assert_eq!(output.stdout, b"\xff \n");
    // Many arguments, and one that is empty.
    let many: Vec<String> = (0..5000).map(|i| i.to_string()).collect();
    assert_eq!(printed(of(&holder).args(["-u", "sh", "-c", "echo $#", ""]).args(&many)), "5000\n");
}
