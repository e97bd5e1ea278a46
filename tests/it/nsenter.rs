//! nsenter in real namespaces, which each test makes for itself with util-linux's unshare: the kinds, the
//! targets and files that name them, the options.

use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::nsenter::{ALL, KINDS, NO_PID, in_scratch, links, nsenter, of, readlinks, refused};
use crate::common::process::{
    Holder, Piped, failure, limited, link, namespaces, pidfd_inode, printed, traceable,
};
use crate::common::{Scratch, binary, kernel, program, root, skip, stderr, until};
use nix::unistd::Pid;

/// The sandbox is a process of the host; it is not a process of its container.
#[test]
fn a_sandbox_of_gvisor_is_not_the_container() {
    if !namespaces("nsenter-gvisor") {
        return;
    }
    let scratch = Scratch::new("nsenter-gvisor");
    let sandbox = scratch.0.join("runsc");
    std::fs::copy("/bin/cat", &sandbox).expect("a copy");
    let script = r#"exec 3<&0; unshare -m "$0" <&3 & echo $!; wait"#;
    let mut piped = Piped::new(program("sh").args(["-c", script]).arg(&sandbox));
    let pid = piped.line();
    until("the process executes the copy", || {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == sandbox)
    });
    let said = |hints: &str, option: &str| {
        stderr(&limited(nsenter().env("CTRBOX_HINTS", hints).args(["-t", &pid, option, "true"])))
    };
    assert!(said("always", "-m").contains("run on gVisor's own kernel"));
    assert_eq!(said("never", "-m"), "");
    assert_eq!(said("always", "-n"), "", "the network is the sandbox's");
    let mount = format!("/proc/{pid}/ns/mnt");
    assert_eq!(
        stderr(&limited(nsenter().env("CTRBOX_HINTS", "always").args([&format!("-m{mount}"), "true"]))),
        ""
    );
    // A user's program of that name does not count.
    std::os::unix::fs::chown(&sandbox, Some(1), None).expect("owned");
    assert_eq!(said("always", "-m"), "");
}

/// The pidfd says which namespaces `-a` means: no file of the target in /proc is read, and no process watches that.
/// The kernel counts on from here in the pid namespace of the writer.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// As with util-linux: files and namespaces are those of one process.
#[test]
fn a_number_is_that_of_a_process_in_proc() {
    if !namespaces("nsenter-other-proc") {
        return;
    }
    if !Path::new(LAST_PID).exists() {
        return skip("nsenter-other-proc", "the kernel gives no process a PID on demand");
    }
    let holder = Holder::new(&["-u"], "");
    // In its pid namespace the shell gives another process the same number.
    let script = format!(
        r#"echo $(($1 - 1)) >{LAST_PID}; cat <&3 & [ $! = $1 ] || exit 9
        "$0" nsenter -t $1 -u readlink /proc/self/ns/uts"#
    );
    let inside = ["-pfu", "--kill-child", "sh", "-c", &format!("exec 3<&0; {script}")];
    let mut command = program("unshare");
    command.args(inside).arg(binary()).arg(holder.pid.to_string()).stdin(Stdio::piped());
    assert_eq!(printed(&mut command).trim_end(), holder.link("uts"));
}

#[test]
fn all_namespaces_are_entered_by_the_pidfd_alone() {
    if !traceable("nsenter-all-by-pidfd") || kernel() < (6, 11) {
        return;
    }
    let (holder, scratch) = (Holder::new(&ALL, ""), Scratch::new("nsenter-all-by-pidfd"));
    let log = in_scratch(&scratch, "calls");
    let traced = |options: &[&str]| {
        let mut command = program("strace");
        command.args(["-f", "-o", &log, "-e", "signal=none"]).args(options).arg(binary());
        command.args(["nsenter", "-t", &holder.pid.to_string(), "-a"]);
        let seen = readlinks(&mut command);
        (seen, std::fs::read_to_string(&log).expect("the calls"))
    };
    let own = format!("/proc/{}/", holder.pid);
    let (seen, calls) = traced(&[]);
    assert_eq!(seen, links(&holder, &KINDS.map(|(_, _, name)| name)));
    assert!(!calls.contains(&own) && !calls.contains("lstat("), "{calls}");
    // A kernel without one of the kinds refuses all of them in one call. Those it has are entered then.
    let (seen, calls) = traced(&["-e", "inject=setns:error=EINVAL:when=1"]);
    assert_eq!(seen, links(&holder, &KINDS.map(|(_, _, name)| name)));
    assert!(calls.contains("/proc/self/ns/time") && !calls.contains(&own), "{calls}");
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
        // The file counts, wherever the other options are.
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

/// The program's process has closed the files of the options by number; it must not close them again.
#[test]
fn a_program_that_is_not_there_ends_a_child_that_entered_by_files() {
    if !namespaces("nsenter-files-closed") {
        return;
    }
    let holder = Holder::new(&ALL, "");
    let files = ["pid", "net"].map(|name| format!("--{name}={}", holder.file(&format!("ns/{name}"))));
    let output = limited(nsenter().args(&files).arg("/no/such/program"));
    assert_eq!(output.status.code(), Some(127), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
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
fn all_are_entered_but_the_callers_own_user_namespace() {
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
    // The ids of this process have no number inside.
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
    // A user namespace below another one: the outer one is entered.
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
    let gone = format!("{NO_PID}:{inode}");
    let expected = format!("failed to obtain a valid file descriptor for PID {NO_PID}: No such process");
    assert_eq!(failure(nsenter().args(["-u", "-t", &gone, "true"])), refused(&expected));
    for word in ["x", "", "-1", "1x", "99999999999999999999999"] {
        let (status, message) =
            failure(nsenter().args(["-u", "-t", &format!("{}:{word}", holder.pid), "true"]));
        assert_eq!(status, Some(1), "{word}: {message}");
        assert!(message.starts_with("nsenter: failed to parse "), "{word}: {message}");
    }
}

#[test]
fn invalid_targets() {
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
        let expected = refused(&format!("cannot open /proc/{NO_PID}/{file}: No such file or directory"));
        assert_eq!(failure(nsenter().args(["-t", NO_PID, option, "true"])), expected, "{option}");
    }
    let (status, message) = failure(nsenter().args(["-t", NO_PID, "-a", "true"]));
    assert_eq!(status, Some(1));
    assert_eq!(
        message,
        format!("nsenter: stat of /proc/{NO_PID}/ns/user failed: No such file or directory\n")
    );

    let own_at = format!("{own}@1");
    assert_eq!(
        failure(nsenter().args(["-t", &own_at, "-a", "true"])),
        refused(&format!("'{own}' is a PID, and only a container can be followed by @ and a PID"))
    );
    for args in [&["--as-container", "true"][..], &["--as", "root", "true"]] {
        assert_eq!(failure(nsenter().args(args)), refused("no target PID specified"), "{args:?}");
    }
    for args in
        [&["-u", "true"][..], &["-n", "-p"], &["--mount", "--wd", "x"], &["-u", "-r", "true"], &["-e", "-u"]]
    {
        assert_eq!(failure(nsenter().args(args)), refused("no target PID specified"), "{args:?}");
    }
    for args in [&[][..], &["true"], &["-t", &own, "true"], &["-F"], &["--preserve-credentials", "true"]] {
        assert_eq!(failure(nsenter().args(args)), refused("no namespace specified"), "{args:?}");
    }
    for args in [&["-w/", "true"][..], &["-r/", "-W/", "true"], &["-S0", "true"], &["-t", &own, "-e", "true"]]
    {
        assert_eq!(printed(nsenter().args(args)), "", "{args:?}");
    }
    let hinted = failure(nsenter().args(["-t", &own, "true"]).env("CTRBOX_HINTS", "always"));
    let hint = "hint: -a enters all namespaces of the target, -n only its network namespace (see --help)";
    assert_eq!(hinted, (Some(1), format!("nsenter: no namespace specified\n{hint}\n")));
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

/// A zombie has left its namespaces; its PID exists until its parent waits.
#[test]
fn a_process_that_has_ended_is_no_target() {
    if !namespaces("nsenter-zombie") {
        return;
    }
    let mut child = program("true").stdout(Stdio::null()).spawn().expect("it starts");
    // WNOWAIT: it has ended and stays a zombie.
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
fn invalid_files() {
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
    // The first of two mistakes is reported.
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
    // A complete name is not an abbreviation, although other names begin with it.
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
