//! Each system call of a typical run of each applet fails in turn: strace(1) injects the error. The run must not panic,
//! must not succeed with a wrong answer, must say why it fails, and must leave nothing behind.
//!
//! `make test` injects a sample, one call of each name; `make soak`, with CTRBOX_FAULTS=all, every call of every run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::common::cgexec::{Name, possible};
use crate::common::process::limited;
use crate::common::{Scratch, binary, program, project, root, skip, stderr, there};

/// A run, and its name in [`ACCEPTED`].
struct Run {
    name: &'static str,
    words: &'static [&'static str],
    /// Does it start a program, which answers?
    executes: bool,
}

const RUNS: &[Run] = &[
    run("ctr-ps", &["ctr-ps", "-n", "-o", "cmd,container"]),
    run("ctr-ps-root", &["ctr-ps", "-J", "--forest", "-o", "pid,container,user", "--root", "FIXTURE"]),
    run("ctr-ps-l", &["ctr-ps", "-l", "-o", "container,id,image", "--root", "FIXTURE"]),
    run("lsns", &["lsns", "-r", "-n", "-o", "TYPE,NPROCS"]),
    run("getpcaps", &["getpcaps", "1"]),
    run("capsh", &["capsh", "--print"]),
    run("ctr-inspect", &["ctr-inspect", "1", "-s", "namespaces,privileges", "-J"]),
    run("ctr-whose", &["ctr-whose", "1"]),
    run("ctr-top", &["ctr-top", "-r", "-n", "1", "-d", "0.1", "--root", "HOST", "-o", TOP_COLUMNS]),
    run("check", &["check"]),
    executing("unshare", &["unshare", "-n", "true"]),
    executing("unshare-fork", &["unshare", "-fp", "--mount-proc", "true"]),
    executing("unshare-map", &["unshare", "-Ur", "true"]),
    executing("nsenter", &["nsenter", "-t", "1", "-n", "true"]),
    executing("nsenter-all", &["nsenter", "-t", "1", "-a", "true"]),
    executing("cgexec", &["cgexec", "--like", "1", "true"]),
    executing("cgexec-create", &["cgexec", "--create", "-g", "pids:GROUP", "true"]),
];

/// Those whose values do not change, with which a lack of knowledge would be shown as another value.
const TOP_COLUMNS: &str = "name,status,own,cpus,cpus_by,memory,usage,limit,limit_by,anon,file,shmem,oom_kills,pids,pids_limit,\
    io_by,psi_cpu,psi_memory";

const fn run(name: &'static str, words: &'static [&'static str]) -> Run {
    Run { name, words, executes: false }
}

const fn executing(name: &'static str, words: &'static [&'static str]) -> Run {
    Run { name, words, executes: true }
}

/// The errors that are injected into a call.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "read" | "pread64" => &["error=EIO", "error=EINTR", "error=EACCES", "retval=0"],
        "write" | "writev" => &["error=EIO", "error=ENOSPC", "error=EINTR", "error=EPIPE"],
        "open" | "openat" => &["error=EMFILE", "error=EACCES", "error=ENOMEM", "error=EINTR", "error=EIO"],
        "openat2" | "pidfd_open" | "clone3" | "statx" | "close_range" | "open_tree" | "move_mount"
        | "mount_setattr" | "pidfd_getfd" | "faccessat2" | "name_to_handle_at" | "open_by_handle_at" => {
            &["error=ENOSYS", "error=EPERM", "error=EMFILE"]
        }
        "brk" | "mmap" | "mremap" => &["error=ENOMEM"],
        "poll" | "ppoll" | "wait4" | "waitid" | "flock" => &["error=EINTR"],
        "ioctl" => &["error=ENOTTY", "error=EPERM", "error=EACCES"],
        "fork" | "vfork" | "clone" => &["error=EAGAIN", "error=ENOMEM", "error=ENOSYS"],
        "socket" | "socketpair" | "pipe2" | "dup" | "dup2" | "dup3" => {
            &["error=EMFILE", "error=ENOMEM", "error=EACCES"]
        }
        _ => &["error=EPERM", "error=ENOMEM", "error=EIO"],
    }
}

/// Calls that do not fail, or whose error nobody could act on.
const WITHOUT_ERRORS: &[&str] = &[
    "exit",
    "exit_group",
    "rt_sigreturn",
    "getpid",
    "gettid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "arch_prctl",
    "set_tid_address",
    "munmap",
    "restart_syscall",
    "rt_sigprocmask",
    "rt_sigaction",
    "madvise",
    "sigaltstack",
    // The kernel has closed the descriptor also when it reports an error.
    "close",
];

/// Answers that differ without a message, and are right: run (empty: each), call, reason.
const ACCEPTED: &[(&str, &str, &str)] = &[
    ("", "write", "EPIPE: nobody reads, which is no error"),
    ("check", "", "it reports what fails"),
    ("ctr-inspect", "", "it lists as unknown what it cannot read"),
];

/// The words of an answer that a lack of knowledge does not explain. A file that cannot be read is like one that is not
/// there: a list then has fewer processes, ids in place of names, `?` behind a name that is not confirmed. It has no other
/// name.
/// `numbers`: is another number another answer?
fn other_words(seen: &str, clean: &str, numbers: bool) -> BTreeSet<String> {
    let words = |text: &str| -> BTreeSet<String> {
        let is_part = |letter: char| letter.is_alphanumeric() || "-_.:/@?".contains(letter);
        text.split(|letter| !is_part(letter)).map(|word| word.trim_start_matches(':').to_owned()).collect()
    };
    let known = words(clean);
    let is_known = |part: &str| known.iter().any(|word| word.rsplit([':', '/']).next() == Some(part));
    let mut all = words(seen);
    all.retain(|word| {
        let is_number = !numbers && word.bytes().all(|b| b.is_ascii_digit());
        // The id in place of the name, and the directory in place of the id.
        let is_id = word.split_once(':').is_some_and(|(_, id)| {
            id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()) && is_known(id)
        });
        let is_directory = word.starts_with('/') && word.rsplit('/').next().is_some_and(is_known);
        !known.contains(word)
            && !is_number
            && !is_id
            && !is_directory
            && !word.ends_with('?')
            && !matches!(word.as_str(), "-" | "null" | "unknown" | HOST_NAME)
    });
    all
}

/// The host name of a container of the fixture. ctr-ps prints it in parentheses if it does not know the container's name.
const HOST_NAME: &str = "rt-web-host";

fn strace(run: &Run, scratch: &Path, group: &Name, inject: Option<&str>) -> Result<Seen, String> {
    let file = |name: &str| scratch.join(name).to_str().expect("text").to_owned();
    let fixture = project("tests/fixtures/systemd-v2/root").to_str().expect("text").to_owned();
    let mut words = ["strace", "-f", "-qq", "-o", &file("log")].map(str::to_owned).to_vec();
    words.extend(inject.into_iter().flat_map(|inject| ["-e".to_owned(), format!("inject={inject}")]));
    words.push(binary().to_str().expect("text").to_owned());
    let place = |word: &&str| {
        // ctr-top looks twice at all that there is: of few containers the calls can be counted.
        let word = word.replace("FIXTURE", &fixture).replace("HOST", &file("host"));
        word.replace("GROUP", &group.0)
    };
    words.extend(run.words.iter().map(place));
    // What remains is seen by the first process of the pid namespace, which waits for the run.
    let script = r#"cat /proc/self/mountinfo >"$LEFT.before"; "$@" >"$OUT" 2>"$ERR"; status=$?
                    cat /proc/self/mountinfo >"$LEFT.after"; echo /proc/[0-9]* >"$LEFT"; exit $status"#;
    // A run that hangs is a fault of its own; no run takes nearly as long.
    let mut command = program("timeout");
    command
        .args([
            "-s",
            "KILL",
            "60",
            "unshare",
            "-p",
            "-f",
            "-m",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .args(words);
    command.env("OUT", file("out")).env("ERR", file("err")).env("LEFT", file("left"));
    let output = limited(&mut command);
    let read = |name: &str| {
        std::fs::read(scratch.join(name)).map(|text| String::from_utf8_lossy(&text).into_owned())
    };
    let status = output.status.code().filter(|status| *status != 137).ok_or("it hangs, or was killed")?;
    let processes = read("left").map_err(|error| format!("{error}: {}", stderr(&output)))?;
    let mounts = |name: &str| read(name).map(|text| points(&text)).map_err(|error| error.to_string());
    let (mut before, after) = (mounts("left.before")?, mounts("left.after")?);
    // The kernel also removes a mount when another test removes the directory that it is on.
    before.retain(|id, point| after.contains_key(id) || Path::new(point).exists());
    Ok(Seen {
        status,
        out: without_inodes(&read("out").map_err(|error| error.to_string())?),
        err: read("err").map_err(|error| error.to_string())?,
        left: (processes.split(' ').count(), before != after),
        group: !group.all().is_empty(),
    })
}

/// Mounts by id, as several can be on one point, each with its point.
fn points(text: &str) -> BTreeMap<String, String> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').map(str::to_owned);
        Some((fields.next()?, fields.nth(3)?))
    };
    text.lines().filter_map(mount).collect()
}

/// Each run has other namespaces.
fn without_inodes(text: &str) -> String {
    let mut shown = String::new();
    let mut digits = String::new();
    for letter in text.chars().chain(std::iter::once('\0')) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        shown.push_str(if digits.len() >= 9 { "N" } else { &digits });
        digits.clear();
        shown.push(letter);
    }
    shown
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: i32,
    out: String,
    err: String,
    /// How many processes are there, and are the mounts others?
    left: (usize, bool),
    /// Is the group that it made still there?
    group: bool,
}

/// A call in a log of strace.
struct Logged<'a> {
    process: &'a str,
    call: &'a str,
    /// Is it a call of the program that the run starts, and not of ctrbox?
    of_program: bool,
    is_injected: bool,
}

fn logged(log: &str) -> Vec<Logged<'_>> {
    let (mut executing, mut programs) = (BTreeSet::new(), BTreeSet::new());
    let mut all = Vec::new();
    for line in log.lines() {
        let (process, rest) = line.split_once(' ').unwrap_or_default();
        let rest = rest.trim_start();
        let of_program = programs.contains(process);
        if rest.starts_with("execve(") {
            executing.remove(process);
            executing.extend(rest.contains("[\"true\"]").then_some(process));
        }
        if rest.contains("execve") && rest.ends_with(" = 0") && executing.contains(process) {
            programs.insert(process);
        }
        let is_injected = rest.ends_with("(INJECTED)");
        match rest.split_once('(') {
            Some((call, _)) if call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                all.push(Logged { process, call, of_program, is_injected });
            }
            _ => {
                let call = rest.strip_prefix("<... ").and_then(|rest| rest.split(' ').next());
                let begun = |one: &&mut Logged<'_>| one.process == process && Some(one.call) == call;
                if let Some(begun) = all.iter_mut().rev().find(begun) {
                    begun.is_injected |= is_injected;
                }
            }
        }
    }
    all
}

/// How often the run makes each call, at most in one process.
fn counts(log: &str) -> BTreeMap<String, usize> {
    let mut by_process: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let all = logged(log);
    for one in all.iter().filter(|one| !one.of_program) {
        *by_process.entry((one.process, one.call)).or_default() += 1;
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for ((_, call), count) in by_process {
        let most = counts.entry(call.to_owned()).or_default();
        *most = count.max(*most);
    }
    counts
}

/// What is wrong with a run into which an error was injected.
fn fault(run: &Run, call: &str, clean: &Seen, seen: &Seen) -> Option<String> {
    // strace ends by the signal that ends its program; 128 and more is another way to say it.
    for word in ["panicked", "backtrace", "stack overflow"] {
        if seen.err.contains(word) {
            return Some(seen.err.clone());
        }
    }
    if seen.status >= 128 {
        return Some(format!("status {}: {}", seen.status, seen.err));
    }
    if seen.left != clean.left {
        return Some(format!("processes, other mounts: {:?}; {:?} without the error", seen.left, clean.left));
    }
    let accepts = |(name, accepted, _): &(&str, &str, &str)| {
        (name.is_empty() || *name == run.name) && (accepted.is_empty() || *accepted == call)
    };
    let is_silent = seen.err == clean.err && !ACCEPTED.iter().any(accepts);
    if seen.group && is_silent {
        return Some("its group is left without a message".to_owned());
    }
    if seen.status != clean.status {
        return is_silent.then(|| format!("status {} without a message", seen.status));
    }
    if seen.out == clean.out || !is_silent {
        return None;
    }
    let other = other_words(&seen.out, &clean.out, run.name == "ctr-top");
    (run.executes || !other.is_empty()).then(|| format!("another answer, and no word: {other:?}"))
}

/// Injects every error into every call, or for a sample into one call of each name.
fn inject_all(runs: &[&str]) {
    if !root() {
        return skip("root", "needs root, for namespaces");
    }
    if !there("strace") || !limited(program("strace").args(["-o", "/dev/null", "true"])).status.success() {
        return skip("strace", "needs strace(1) that may trace");
    }
    let all = std::env::var_os("CTRBOX_FAULTS").is_some_and(|value| value == "all");
    let (mut injected, mut faults) = (0_usize, Vec::new());
    for run in RUNS.iter().filter(|run| runs.contains(&run.name)) {
        let scratch = Scratch::new(&format!("injected-{}", run.name));
        let host = crate::common::ctr_top::v2("injected");
        std::os::unix::fs::symlink(host.root(), scratch.0.join("host")).expect("a link");
        // Removed after each run, whatever is in it.
        let group = || Name::new("injected");
        let clean = strace(run, &scratch.0, &group(), None).expect("a run");
        assert_eq!(clean.err, "", "{}", run.name);
        let again = strace(run, &scratch.0, &group(), None);
        assert_eq!(again.as_ref(), Ok(&clean), "{}: two runs differ", run.name);
        let log = std::fs::read_to_string(scratch.0.join("log")).expect("a log");
        for (call, count) in counts(&log) {
            // The C library of a binary that is not static ends without memory at its start.
            let is_of_start = call == "mmap" && std::env::var_os("CTRBOX_BIN").is_none();
            if WITHOUT_ERRORS.contains(&call.as_str()) || is_of_start {
                continue;
            }
            // The first execve(2) is that of strace itself.
            let first = if call == "execve" { 2 } else { 1 };
            for (at, error) in errors(&call).iter().enumerate() {
                let places: Vec<usize> = match all {
                    true => (first..=count).collect(),
                    false => (first..=count).skip(at * 7 % count.max(1)).take(1).collect(),
                };
                for place in places {
                    let what = format!("{call}:{error}:when={place}");
                    let seen = strace(run, &scratch.0, &group(), Some(&what));
                    let log = std::fs::read_to_string(scratch.0.join("log")).unwrap_or_default();
                    if logged(&log).iter().any(|one| one.of_program && one.is_injected) {
                        continue; // what the program does then says nothing
                    }
                    injected += 1;
                    let found = match seen {
                        Ok(seen) => fault(run, &call, &clean, &seen),
                        Err(problem) => Some(problem),
                    };
                    faults.extend(found.map(|fault| format!("{} {what}: {fault}", run.name)));
                }
            }
        }
    }
    println!("{injected} errors injected into {runs:?}");
    assert!(faults.is_empty(), "{} of {injected}:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn lists() {
    inject_all(&["ctr-ps", "ctr-ps-root", "ctr-ps-l", "lsns"]);
}

#[test]
fn reports() {
    inject_all(&["getpcaps", "capsh"]);
}

#[test]
fn samples() {
    inject_all(&["ctr-top"]);
}

#[test]
fn one_container() {
    inject_all(&["ctr-inspect", "ctr-whose"]);
}

#[test]
fn the_host() {
    inject_all(&["check"]);
}

#[test]
fn programs() {
    inject_all(&["unshare", "unshare-fork", "unshare-map", "nsenter", "nsenter-all"]);
}

#[test]
fn groups() {
    if possible("injected") {
        inject_all(&["cgexec", "cgexec-create"]);
    }
}
