//! Processes whose files in /proc cannot be read: an execve(2) that does not end holds exec_update_lock.

use crate::common;

use crate::common::fuse::Fuse;
use crate::common::process::{children, limited, namespaces};
use crate::common::{applet, binary, kernel, program, stderr, stdout, until};

/// Shell commands that start a process, whose PID is `$pid` then.
const OF_USER: &str =
    "setpriv --reuid=4242 --regid=4242 --clear-groups sleep 1000 </dev/null >/dev/null & pid=$!
    until grep -q '^Uid:.*4242' /proc/$pid/status; do :; done";
/// The first process of a pid namespace.
const FIRST: &str = "unshare -p -f --kill-child sleep 1000 </dev/null >/dev/null & pid=
    until read -r pid rest </proc/$!/task/$!/children; [ -n \"$pid\" ]; do :; done";

/// A process of another user each time, in one container of root.
const OF_CONTAINER: &str = "[ -n \"$first\" ] || {
        unshare -p -f --kill-child sleep 1000 </dev/null >/dev/null &
        until read -r first rest </proc/$!/task/$!/children; [ -n \"$first\" ]; do :; done
    }
    nsenter -t $first -p setpriv --reuid=$((5000 + n)) --regid=4242 --clear-groups sleep 1000 </dev/null >/dev/null &
    until read -r pid rest </proc/$!/task/$!/children; [ -n \"$pid\" ]; do :; done
    until grep -q \"^Uid:.*$((5000 + n))\" /proc/$pid/status; do :; done";

/// `count` processes in a pid namespace. Readers of their stat and their ns wait as those of a process that does not end its
/// execve(2): only SIGKILL ends that. The files are mounted over those of /proc, so that no other process waits.
fn blocking(count: usize, start: &str) -> Option<Fuse> {
    let script = format!(
        "mount -t proc none /proc
         n=0
         while [ $n -lt {count} ]; do
             {start}
             mount --bind $fuse/held /proc/$pid/stat
             mount --bind $fuse/ns /proc/$pid/ns
             n=$((n + 1))
         done
         exec 4<&0; echo ready; read -r end <&4"
    );
    let tree = vec![("/held", Some(b"1 (sh) S\n".to_vec())), ("/ns", None)];
    Fuse::hanging_until_killed(&["-m", "-p", "-f", "--kill-child"], tree, &script)
}

/// The PID of a process in the namespace of the script.
fn inner(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).expect("its PIDs");
    line.split_whitespace().nth(1).expect("a PID").to_owned()
}

/// Runs an applet among them: status, stdout, stderr.
fn looks(fuse: &Fuse, words: &[&str]) -> (Option<i32>, String, String) {
    let pid = fuse.pid.to_string();
    let mut command = program("nsenter");
    command.args(["-t", &pid, "-m", "-p"]).arg(binary()).args(words);
    let output = limited(&mut command);
    assert!(fuse.nobody_hung(), "{words:?} hung");
    (output.status.code(), stdout(&output), stderr(&output))
}

fn left_out(applet: &str, pid: &str) -> String {
    format!(
        "{applet}: process {pid} is left out: its execve(2) does not end, and its files in /proc cannot be read\n"
    )
}

fn unreadable(applet: &str, pid: &str) -> String {
    format!("{applet}: cannot read files of process {pid} in /proc: its execve(2) does not end\n")
}

#[test]
fn a_list_leaves_out_a_process_that_blocks_its_readers() {
    if !namespaces("blocked lists") {
        return;
    }
    let Some(fuse) = blocking(1, OF_USER) else { return };
    let pid = &inner(children(fuse.pid)[0]);
    for words in [
        &["ctr-ps", "-n", "-o", "pid,comm"][..],
        &["ctr-ps", "--portable", "-n", "-o", "pid,time"],
        &["ctr-ps", "--forest", "-n", "-o", "pid,comm"],
        &["lsns", "-n", "-t", "pid", "-o", "pid,command"],
    ] {
        let (status, shown, said) = looks(&fuse, words);
        assert_eq!((status, said), (Some(0), left_out(words[0], pid)), "{words:?}: {shown}");
        let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
        let pids: Vec<String> = shown.lines().filter_map(first).collect();
        assert_eq!(pids.iter().filter(|shown| *shown == "1").count(), 1, "written once: {shown}");
        assert!(!pids.contains(pid), "{words:?}: {shown}");
    }
    let (status, shown, said) = looks(&fuse, &["ctr-ps", "-n", "-o", "pid", "-p", &format!("1,{pid}")]);
    assert_eq!((status, shown.trim()), (Some(1), "1"));
    assert_eq!(said, format!("ctr-ps: no process {pid}\n{}", left_out("ctr-ps", pid)));
    let (status, shown, said) = looks(&fuse, &["ctr-inspect", "-J", "1"]);
    assert_eq!((status, said), (Some(0), left_out("ctr-inspect", pid)));
    assert_eq!(shown.matches("\"boot_id\"").count(), 1, "written once");
    let (status, _, said) = looks(&fuse, &["ctr-inspect", pid]);
    assert!(status == Some(1) && said.ends_with(&left_out("ctr-inspect", pid)), "{said}");
}

/// The lines before and after those that need a look at the processes come out too.
#[test]
fn a_process_that_blocks_its_readers_does_not_stop_a_stream() {
    if !namespaces("blocked streams") {
        return;
    }
    let Some(fuse) = blocking(1, OF_USER) else { return };
    let pid = &inner(children(fuse.pid)[0]);
    let id = "ab".repeat(32);
    let line = format!("{{ echo first; echo one {id}; echo two {id}; printf last; }}");
    let script = format!("{line} | \"$0\" ctr-whose -");
    let binary = binary().to_string_lossy().into_owned();
    let inside = fuse.pid.to_string();
    let mut command = program("nsenter");
    command.args(["-t", &inside, "-m", "-p", "sh", "-c", &script, &binary]);
    let output = limited(&mut command);
    assert!(fuse.nobody_hung(), "hung");
    assert_eq!(stdout(&output), format!("first\none {id}\ntwo {id}\nlast"), "{}", stderr(&output));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), left_out("ctr-whose", pid)));
}

#[test]
fn a_target_that_blocks_its_readers_is_an_error() {
    if !namespaces("blocked targets") {
        return;
    }
    let Some(fuse) = blocking(1, OF_USER) else { return };
    let pid = &inner(children(fuse.pid)[0]);
    for options in [&["-a", "-e"][..], &["-u", "-e"], &["--as-container"], &["-u", "-r"], &["-u", "-w"]] {
        let words = [&["nsenter", "-t", pid][..], options, &["echo", "ran"]].concat();
        assert_eq!(looks(&fuse, &words), (Some(1), String::new(), unreadable("nsenter", pid)), "{options:?}");
    }
    // Namespaces alone need no file of the target.
    let ran = (Some(0), "ran\n".to_owned(), String::new());
    assert_eq!(looks(&fuse, &["nsenter", "-t", pid, "-u", "echo", "ran"]), ran);
    // The pidfd says which namespaces `-a` means since Linux 6.11.
    let all = if kernel() >= (6, 11) { ran } else { (Some(1), String::new(), unreadable("nsenter", pid)) };
    assert_eq!(looks(&fuse, &["nsenter", "-t", pid, "-a", "echo", "ran"]), all);
    assert_eq!(looks(&fuse, &["getpcaps", pid]).0, Some(0));
    assert_eq!(looks(&fuse, &["capsh", &format!("--print={pid}")]).2, unreadable("capsh", pid));
    let (status, _, said) = looks(&fuse, &["getpcaps", "--json", pid]);
    assert!(status == Some(1) && said.ends_with(&left_out("getpcaps", pid)), "{said}");
}

#[test]
fn a_container_is_found_although_a_process_blocks_its_readers() {
    if !namespaces("blocked searches") {
        return;
    }
    let Some(fuse) = blocking(1, FIRST) else { return };
    let pid = &inner(children(children(fuse.pid)[0])[0]);
    for (name, words) in [
        ("nsenter", &["nsenter", "-t", "ctrbox-no-such", "-n", "true"][..]),
        ("nsenter", &["nsenter", "-t", "ctrbox-no-such", "-a", "true"]),
        ("cgexec", &["cgexec", "--like", "ctrbox-no-such", "true"]),
        ("getpcaps", &["getpcaps", "ctrbox-no-such"]),
        ("capsh", &["capsh", "--print=ctrbox-no-such"]),
    ] {
        let (_, shown, said) = looks(&fuse, words);
        assert!(said.contains("no process or running container"), "{words:?}: {shown}{said}");
        assert!(said.starts_with(&left_out(name, pid)), "{words:?}: {said}");
    }
}

/// A user may have thousands of such processes. After some of them all of the user are left out.
#[test]
fn many_processes_that_block_their_readers_cost_limited_time() {
    if !namespaces("many blocked processes") {
        return;
    }
    let Some(fuse) = blocking(50, OF_USER) else { return };
    let all: Vec<String> = children(fuse.pid).into_iter().map(inner).collect();
    assert_eq!(all.len(), 50);
    let (status, shown, said) = looks(&fuse, &["ctr-ps", "-n", "-o", "pid"]);
    assert_eq!((status, said.lines().count()), (Some(0), 1), "{said}");
    assert!(said.contains(", and all others of uid 4242, are left out"), "{said}");
    let named = all.iter().filter(|pid| said.contains(&format!(" {pid},"))).count();
    // 3 seconds for each user: one for the first, and a quarter of one for each other.
    assert!((1..=9).contains(&named), "{said}");
    assert!(shown.lines().any(|line| line.trim() == "1"), "{shown}");
    assert!(all.iter().all(|pid| shown.lines().all(|line| line.trim() != pid)), "{shown}");
}

/// Root of a container may give each process another user, also one of the host.
#[test]
fn the_users_in_a_container_of_root_cost_limited_time() {
    if !namespaces("blocked processes of many users") {
        return;
    }
    let Some(fuse) = blocking(12, OF_CONTAINER) else { return };
    let (status, shown, said) = looks(&fuse, &["ctr-ps", "-n", "-o", "pid"]);
    assert_eq!((status, said.lines().count()), (Some(0), 1), "{said}");
    assert!(said.contains(", and all others of one container, are left out"), "{said}");
    assert!(!said.contains("of uid"), "{said}");
    assert!(shown.lines().any(|line| line.trim() == "1"), "{shown}");
}

/// The words of the shells come from /proc too.
#[test]
fn completions_are_not_waited_for() {
    if !namespaces("blocked completions") {
        return;
    }
    let record = format!(
        "{FIRST}
         mount -t tmpfs none /run; mkdir -p /run/runc/web
         echo '{{\"id\":\"web\",\"init_process_start\":5,\"created\":\"2024-01-01T00:00:00Z\",'\\
             \"init_process_pid\":$pid'}}' >/run/runc/web/state.json"
    );
    let Some(fuse) = blocking(1, &record) else { return };
    for words in
        [&["--complete", "target"][..], &["--complete", "pid"], &["--complete", "--", "nsenter", "-t", ""]]
    {
        let (status, shown, _) = looks(&fuse, words);
        assert_eq!(status, Some(0), "{words:?}");
        assert!(shown.lines().any(|line| line.starts_with("1\t")), "{words:?}: {shown}");
    }
}

/// A worker reads the processes. Lists show one process of the run, as before.
#[test]
fn the_worker_is_not_listed() {
    if !namespaces("workers") {
        return;
    }
    let script = "mount -t proc none /proc; exec \"$0\" \"$@\"";
    let run = |words: &[&str]| {
        let mut command = program("unshare");
        command.args(["-p", "-f", "-m", "sh", "-ec", script]).arg(binary()).args(words);
        stdout(&limited(&mut command))
    };
    assert_eq!(run(&["ctr-ps", "-n", "-o", "pid"]).trim(), "1");
    let counted = run(&["lsns", "-n", "-t", "pid", "-o", "nprocs,pid"]);
    assert_eq!(counted.split_whitespace().collect::<Vec<_>>(), ["1", "1"], "{counted}");
}

/// A process that is killed in the end, as soon as its execve(2) lets it.
struct Ends(i32);

impl Drop for Ends {
    fn drop(&mut self) {
        _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.0), nix::sys::signal::Signal::SIGKILL);
    }
}

/// The attack itself. It blocks readers of /proc on the whole host, ps(1) too, so it runs only if it is asked for.
#[test]
fn an_execve_that_does_not_end_blocks_no_list() {
    let test = "blocked-execve";
    let asked = std::env::var("CTRBOX_REQUIRE").is_ok_and(|names| names.split(',').any(|name| name == test));
    if !asked {
        println!("SKIP {test}: it blocks ps(1) on the whole host; CTRBOX_REQUIRE={test} runs it");
        return;
    }
    assert!(namespaces(test) && common::process::python(), "it needs namespaces and python3");
    let script = "python3 -c '
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY | os.O_CLOEXEC)
print(\"ready\", flush=True)
sys.stdin.readline()
os.execv(\"/bin/sleep\", [\"sleep\", \"1000\"])' $fuse/f & wait";
    let script = format!("exec 4<&0; {}", script.replace("$fuse/f &", "$fuse/f <&4 &"));
    let tree = vec![("/f", Some(b"x".to_vec()))];
    let Some(mut fuse) = Fuse::hanging_at_close(&["-U", "-r", "-m"], tree, &script) else { return };
    let ends = Ends(children(fuse.pid)[0]);
    let pid = ends.0.to_string();
    fuse.say("go\n");
    until("execve(2) closes the file", || fuse.closing() > 0);
    let mut reader = common::Running(
        program("cat")
            .arg(format!("/proc/{pid}/stat"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("cat"),
    );
    let waits = |pid: i32| {
        let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        call.starts_with(&format!("{} ", libc::SYS_read)) && status.contains("State:\tD")
    };
    let mut ended = false;
    until("cat ends, or waits", || {
        ended = reader.0.try_wait().expect("a status").is_some();
        ended || waits(reader.pid())
    });
    assert!(!ended, "this kernel does not block readers");
    for words in [&["ctr-ps", "-n", "-o", "pid"][..], &["lsns", "-n", "-o", "pid"], &["ctr-inspect", "1"]] {
        let output = limited(applet(words[0]).args(&words[1..]));
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), left_out(words[0], &pid)));
        assert!(stdout(&output).contains('1'));
    }
    for options in [&["-a", "-e"][..], &["-u", "-e"], &["--as-container"]] {
        let output = limited(applet("nsenter").args(["-t", &pid]).args(options).arg("true"));
        assert_eq!((output.status.code(), stderr(&output)), (Some(1), unreadable("nsenter", &pid)));
    }
    assert!(fuse.nobody_hung());
}
