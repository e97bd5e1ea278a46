//! System calls that fail: right message, right status, and never a wrong answer. A seccomp filter refuses them.
#![allow(unsafe_code)] // pre_exec, and the calls in it

use crate::common;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use crate::common::process::limited;
use crate::common::{applet, binary, project, skip, stderr, stdout};
use libc::{c_long, sock_filter};

/// A system call that the filter refuses; with an argument and its position, only for that value.
#[derive(Clone, Copy)]
struct Refused(c_long, Option<(u32, u32)>);

fn all(calls: &[c_long]) -> Vec<Refused> {
    calls.iter().map(|&call| Refused(call, None)).collect()
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("a code"), jt, jf, k }
}

fn filter(refused: &[Refused], errno: i32) -> Vec<sock_filter> {
    let load = |offset| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    let equal = |k, jf| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k, 0, jf);
    let ret = |k| instruction(libc::BPF_RET | libc::BPF_K, k, 0, 0);
    let fail = ret(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs());
    let low = if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut program = Vec::new();
    for Refused(call, argument) in refused {
        let call = u32::try_from(*call).expect("a number");
        match argument {
            None => program.extend([load(0), equal(call, 1), fail]),
            Some((at, value)) => {
                program.extend([load(0), equal(call, 3), load(16 + 8 * at + low), equal(*value, 1), fail]);
            }
        }
    }
    program.push(ret(libc::SECCOMP_RET_ALLOW));
    program
}

fn failed(result: c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The command, for which these calls fail.
fn without<'c>(command: &'c mut Command, refused: &[Refused], errno: i32) -> &'c mut Command {
    let mut program = filter(refused, errno);
    let act = move || {
        // Descriptors that cannot be closed stay open, so the limit is raised.
        let mut files = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        let len = u16::try_from(program.len()).unwrap_or(0);
        let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
        // SAFETY: the kernel reads and writes what it is given; these calls are safe after fork.
        unsafe {
            failed(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut files).into())?;
            files.rlim_cur = files.rlim_max;
            failed(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files).into())?;
            failed(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
            failed(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program))
        }
    };
    // SAFETY: it allocates nothing and takes no lock.
    unsafe { command.pre_exec(act) }
}

fn of(name: &str, arguments: &[&str]) -> Command {
    let mut command = applet(name);
    command.args(arguments);
    command
}

fn fixture() -> String {
    project("tests/fixtures/systemd-v2/root").to_str().expect("text").to_owned()
}

/// Commands whose output is the same in each run.
fn commands() -> Vec<Command> {
    let root = fixture();
    let proc = format!("{root}/proc");
    vec![
        of("ctr-ps", &["--root", &root]),
        of("ctr-ps", &["-l", "--root", &root]),
        of("ctr-ps", &["-J", "--forest", "--root", &root]),
        of("lsns", &["--proc-root", &proc]),
        of("getpcaps", &["--table", "0"]),
        of("capsh", &["--print"]),
        of("capsh", &["--explain=cap_chown"]),
    ]
}

#[track_caller]
fn no_abort(command: &Command, output: &Output) {
    let words = stderr(output);
    assert!(output.status.code().is_some(), "{command:?}: {:?}: {words}", output.status);
    for word in ["panicked", "backtrace", "memory allocation", "os error", "I/O error"] {
        assert!(!words.contains(word), "{command:?}: {words}");
    }
}

#[track_caller]
fn same_without(refused: &[c_long]) {
    for (mut free, mut command) in commands().into_iter().zip(commands()) {
        let (free, output) = (limited(&mut free), limited(without(&mut command, &all(refused), libc::EIO)));
        no_abort(&command, &output);
        assert_eq!((output.status, stderr(&output)), (free.status, stderr(&free)), "{command:?}");
        let answer =
            |output| stdout(output).lines().filter(|line| !varies(line)).collect::<Vec<_>>().join("\n");
        assert_eq!(answer(&output), answer(&free), "{command:?}");
    }
}

/// Output that the test's filter itself changes, and ages.
fn varies(line: &str) -> bool {
    line.contains("no-new-privs") || line.contains(" ago ") || line.starts_with("0 (")
}

#[test]
fn no_random_numbers_are_needed() {
    same_without(&[libc::SYS_getrandom]);
}

#[test]
fn a_directory_that_cannot_be_closed_ends_no_listing() {
    same_without(&[libc::SYS_close]);
}

#[test]
fn ids_are_asked_for_by_calls_that_can_say_that_they_failed() {
    same_without(&[libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid]);
    for (call, arguments, what) in [
        (libc::SYS_getresuid, &["--print"][..], "cannot read the user ids"),
        (libc::SYS_getresgid, &["--print"], "cannot read the group ids"),
        (libc::SYS_getgroups, &["--print"], "cannot read the groups"),
        (libc::SYS_getresuid, &["--is-uid=0"], "cannot read the user ids"),
        (libc::SYS_getresgid, &["--is-gid=0"], "cannot read the group ids"),
    ] {
        refused("capsh", arguments, &all(&[call]), 1, &format!("capsh: {what}: Input/output error\n"));
    }
}

#[track_caller]
fn refused(name: &str, arguments: &[&str], calls: &[Refused], status: i32, words: &str) {
    let mut command = of(name, arguments);
    let output = limited(without(&mut command, calls, libc::EIO));
    assert_eq!(
        (output.status.code(), stdout(&output).as_str(), stderr(&output).as_str()),
        (Some(status), "", words),
        "{command:?}"
    );
}

#[test]
fn capabilities_that_the_kernel_does_not_tell_are_not_made_up() {
    let read = [Refused(libc::SYS_prctl, Some((0, libc::PR_CAPBSET_READ.unsigned_abs())))];
    let words =
        |name| format!("{name}: cannot find out which capabilities the kernel has: Input/output error\n");
    for arguments in [&["0"][..], &["--iab", "0"], &["--table", "0"], &["--json", "0"], &["--tree"]] {
        refused("getpcaps", arguments, &read, 1, &words("getpcaps"));
    }
    for arguments in [&["--print"][..], &["--print=1"], &["--has-b=cap_chown"], &["--decode=1"]] {
        refused("capsh", arguments, &read, 1, &words("capsh"));
    }
    let ambient = [Refused(libc::SYS_prctl, Some((0, libc::PR_CAP_AMBIENT.unsigned_abs())))];
    for arguments in ["--print", "--current", "--has-ambient", "--has-a=cap_chown", "--noamb"] {
        refused(
            "capsh",
            &[arguments],
            &ambient,
            1,
            match arguments {
                "--print" | "--current" => "capsh: cannot read the ambient set: Input/output error\n",
                _ => "cannot read the ambient set: Input/output error\n",
            },
        );
    }
    if common::root() {
        // Without this call all permitted capabilities would be lost without an error.
        let keep = [Refused(libc::SYS_prctl, Some((0, libc::PR_SET_KEEPCAPS.unsigned_abs())))];
        let words = "Failed to cap_setuid(65534): Input/output error\n";
        refused("capsh", &["--cap-uid=65534", "--current"], &keep, 1, words);
    }
    let none = [Refused(libc::SYS_prctl, Some((0, libc::PR_GET_NO_NEW_PRIVS.unsigned_abs())))];
    refused("capsh", &["--has-no-new-privs"], &none, 1, "cannot read no_new_privs: Input/output error\n");
}

#[test]
fn a_lock_that_cannot_be_given_back_leaves_the_programs_status() {
    if !common::cgexec::possible("failing_calls") {
        return;
    }
    let unlock = [Refused(libc::SYS_flock, Some((1, libc::LOCK_UN.unsigned_abs())))];
    let mut command = of("cgexec", &["--create", "--pids=50", "sh", "-c", "exit 7"]);
    let output = limited(without(&mut command, &unlock, libc::EIO));
    no_abort(&command, &output);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(7), ""), "{command:?}");
}

#[test]
fn a_pipe_that_cannot_be_closed_is_not_waited_for() {
    if !common::cgexec::possible("failing_calls") {
        return;
    }
    for (name, arguments) in [
        ("cgexec", &["--create", "--pids=50", "/bin/true"][..]),
        ("unshare", &["--user", "--map-users=all", "/bin/true"]),
    ] {
        let mut command = of(name, arguments);
        let output = limited(without(&mut command, &all(&[libc::SYS_close]), libc::EIO));
        no_abort(&command, &output);
    }
}

#[test]
fn a_pause_that_fails_ends_the_watch() {
    let mut command = of("ctr-ps", &["--watch=1", "--root", &fixture()]);
    let calls = all(&[libc::SYS_nanosleep, libc::SYS_clock_nanosleep]);
    let output = limited(without(&mut command, &calls, libc::EIO));
    let words = "ctr-ps: cannot wait: Input/output error\n";
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), words));
}

#[test]
fn an_unprinted_output_is_a_failure_before_the_shell() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = of("capsh", &["--current", "--", "-c", "echo ran >&2"]);
    let output = command.stdout(full).output().expect("capsh");
    let words = "capsh: write error: No space left on device\n";
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), words));
}

/// A list without the entries that could not be read would be wrong without an error.
#[test]
fn a_host_that_fails_is_no_short_list() {
    if !common::root() {
        return skip("root", "others' namespaces are read");
    }
    let mut command = of("lsns", &[]);
    let output = limited(without(&mut command, &all(&[libc::SYS_readlinkat]), libc::EIO));
    let words = stderr(&output);
    assert!(words.starts_with("lsns: cannot read /proc/"), "{words}");
    assert!(words.ends_with("/ns: Input/output error\n"), "{words}");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    // Nor would be an owner of 0: that means that there is none.
    let mut command = of("lsns", &["-r", "-o", "NS,ONS"]);
    let output = limited(without(&mut command, &all(&[libc::SYS_ioctl]), libc::EMFILE));
    let words = stderr(&output);
    assert!(words.starts_with("lsns: cannot read the owner of "), "{words}");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    let root = fixture();
    let mut command = of("ctr-ps", &["--root", &root]);
    let output = limited(without(&mut command, &all(&[libc::SYS_openat, libc::SYS_openat2]), libc::EIO));
    let words = stderr(&output);
    assert!(words.starts_with("ctr-ps: cannot ") && words.ends_with(": Input/output error\n"), "{words}");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
}

/// Only a static binary reaches its own allocator without memory.
#[test]
fn without_memory_there_is_one_line_and_the_applets_status() {
    if std::env::var_os("CTRBOX_BIN").is_none() {
        return skip("static", "CTRBOX_BIN names no static binary");
    }
    for (name, status) in [
        ("capsh", 1),
        ("cgexec", 125),
        ("ctr-ps", 1),
        ("getpcaps", 1),
        ("lsns", 1),
        ("nsenter", 1),
        ("unshare", 1),
        ("ctrbox", 1),
    ] {
        let mut command = Command::new(binary());
        command.arg0(name).arg("--help");
        let output = limited(without(&mut command, &all(&[libc::SYS_mmap]), libc::ENOMEM));
        let words = format!("{name}: out of memory\n");
        assert_eq!((output.status.code(), stderr(&output)), (Some(status), words), "{name}");
    }
}

#[test]
fn every_errno_has_the_words_of_the_c_library() {
    if !common::process::python() {
        return;
    }
    let script = "import os\nfor n in range(1, 140): print(os.strerror(n))";
    let output = common::run(common::program("python3").args(["-c", script]));
    let words: Vec<String> = (1..140).map(ctrbox::testing::errno::strerror).collect();
    assert_eq!(stdout(&output).lines().collect::<Vec<_>>(), words);
}

/// A kernel without sock_diag(7), or without netlink(7) at all.
#[test]
fn what_the_kernel_does_not_list_is_unknown() {
    const SOCKET_DIAGNOSIS: u32 = 4;
    let socket = |number| [Refused(libc::SYS_socket, Some((2, number)))];
    for (word, refused, kind) in [
        ("@ctrbox-nobody", &socket(SOCKET_DIAGNOSIS)[..], "socket"),
        (":1", &socket(SOCKET_DIAGNOSIS), "port"),
        ("10.255.255.7", &[Refused(libc::SYS_socket, Some((0, 16)))], "address"),
        ("if:ctrbox-nobody", &[Refused(libc::SYS_socket, Some((0, 16)))], "interface"),
    ] {
        let mut command = of("ctr-whose", &["-J", word]);
        let output = limited(without(&mut command, refused, libc::EPROTONOSUPPORT));
        let text = stdout(&output);
        let json: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        let thing = &json["things"][0];
        assert_eq!((output.status.code(), &thing["kind"]), (Some(1), &serde_json::json!(kind)), "{text}");
        let unknown = thing["unknown"].as_str().unwrap_or_default();
        assert!(unknown.contains("Protocol not supported"), "{word}: {text}{}", stderr(&output));
        // Said once.
        assert!(!stderr(&output).contains("Protocol not supported"), "{}", stderr(&output));
        assert!(!stderr(&output).contains("nothing found"), "{}", stderr(&output));
    }
}
