//! ctr-ps on hosts with hostile text, and with files that are broken, huge, or no files.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use crate::common::ctr_ps::{
    Host, WEB, containers, ctr_ps, harmless, of, processes, scope, state, text, uncoloured, unverified,
};
use crate::common::process::{failure, limited, printed};
use crate::common::{Scratch, UNPRIVILEGED_UID, root, skip, stderr};

#[test]
fn names_and_arguments_that_would_move_the_cursor() {
    let host = Host::new("ctr-ps-text");
    let hostile: [(i64, &[u8], &[u8]); 12] = [
        (10, b"x\\n9999 (y) ", b""),
        (11, b"x) R 1 1 1", b"x) R 1 1 1\0--\0"),
        (12, b"esc\x1b[31m", b"\x1b]0;owned\x07\x1b[2J\x1b[H\0\x1b[31mred\0"),
        (13, b"\xff\xfe\xe2\x82", b"\xff\xfe\xe2\x82\0ok\0"),
        (14, b"bidi", "\u{202e}gnp.exe\u{2066}\0\u{200f}\u{200b}\u{feff}\0".as_bytes()),
        (15, b"lines", b"one\ntwo\rthree\x0bfour\x0cfive\x85\0"),
        (16, b"c1", "\u{9b}31m\u{85}\u{2028}\u{2029}\0".as_bytes()),
        (17, b"wide", "日本語 \u{301}\u{1f600}\0".as_bytes()),
        (18, b"quote\"\\", b"\"},{\"pid\":1,\"x\":\"\\\0"),
        (19, b"", b""),
        (20, b"nuls", b"\0\0\0\0"),
        (21, b"tab\there", b"\t\x08\x08\x7f\0"),
    ];
    for (pid, name, cmdline) in hostile {
        host.named(pid, 1, name, "/init.scope", cmdline);
    }
    host.file("etc/passwd", b"ev\x1b[31mil\xff:x:0:0::/:/bin/sh\nroot:x:0:0:root:/root:/bin/bash\n");
    for options in [&[][..], &["--forest"], &["-n"], &["--color=never"], &["--forest", "-k"]] {
        let table = printed(of(host.root()).args(options));
        harmless(&table);
        let headings = usize::from(!options.contains(&"-n"));
        assert_eq!(table.lines().count(), hostile.len() + 1 + headings, "{options:?}\n{table}");
        let lines = table.lines().skip(headings);
        assert!(lines.clone().all(|line| line.starts_with(r"ev\x1b[31mil\xff ")), "{table}");
    }
    harmless(&uncoloured(&printed(of(host.root()).args(["--color=always", "--forest"]))));

    let json = printed(of(host.root()).arg("--json"));
    assert!(json.bytes().all(|byte| byte >= b' ' || byte == b'\n'), "{json:?}");
    let found = processes(&json);
    assert_eq!(found.len(), hostile.len() + 1);
    let command = |pid: i64| text(&found[&pid], "command").to_owned();
    assert_eq!(command(10), "[x\\n9999 (y)]");
    assert_eq!(command(12), "\x1b]0;owned\x07\x1b[2J\x1b[H \x1b[31mred");
    assert_eq!(command(13), r"\xff\xfe\xe2\x82 ok");
    assert_eq!(command(17), "日本語 \u{301}\u{1f600}");
    assert_eq!(command(18), "\"},{\"pid\":1,\"x\":\"\\");
    assert_eq!((command(19), command(20)), ("[]".to_owned(), "[nuls]".to_owned()));
}

#[test]
fn containers_with_hostile_names() {
    let host = Host::new("ctr-ps-names");
    let names = ["web\x1b[2J", "a b", "x\ny", "\u{202e}gpj", "docker:web", "../../etc", "?", "-", "\"\\", ""];
    for (at, name) in (0_u8..).zip(names) {
        let id = format!("{at:02x}").repeat(32);
        let pid = 100 + i64::from(at);
        host.docker(&id, state(name, pid));
        host.process(pid, 1, &scope(&id), b"sleep\x001\0");
    }
    for options in [&[][..], &["--forest"]] {
        let table = printed(of(host.root()).args(options));
        harmless(&table);
        assert_eq!(table.lines().count(), names.len() + 2, "{table}");
        for shown in [r"docker:web\x1b[2J", r"docker:x\x0ay", r"docker:\u{202e}gpj", "docker:a b"] {
            assert!(table.contains(shown), "{shown} in {table}");
        }
    }
    let found = host.json();
    for (pid, name) in (100..).zip(names).filter(|(_, name)| !name.is_empty()) {
        assert_eq!((text(&found[&pid], "runtime"), text(&found[&pid], "container")), ("docker", name));
    }
    // A name in the form of another runtime does not hide that runtime's container.
    let pids = |word: &str| printed(of(host.root()).args(["-q", "-c", word]));
    assert_eq!(pids("docker:docker:web"), "104\n");
    assert_eq!(pids("web\x1b[2J"), "100\n");
}

#[test]
fn a_huge_argument_list() {
    let host = Host::new("ctr-ps-huge");
    host.process(10, 1, "/init.scope", &b"argument\0".repeat(500_000));
    host.process(11, 10, "/init.scope", &vec![0; 300_000]);
    // /proc/PID/cgroup shows at most PATH_MAX bytes of a path.
    host.process(12, 11, &format!("/{}", "x/".repeat(2000)), &vec![b'\x1b'; 300_000]);
    let table = printed(&mut of(host.root()));
    harmless(&table);
    assert_eq!(table.lines().count(), 5);
    assert!(table.len() < 2_000_000, "{}", table.len());
    assert_eq!(host.json().len(), 4);
}

#[test]
fn files_of_processes_that_are_cut_off_or_no_files() {
    let host = Host::new("ctr-ps-cut");
    let whole = std::fs::read(host.root().join("proc/1/status")).expect("a status");
    let cgroup = format!("0::{}\n", scope(WEB));
    for end in 0..whole.len() {
        let pid = 1000 + i64::try_from(end).expect("a number");
        host.process(pid, 1, "/", b"");
        host.file(&format!("proc/{pid}/status"), &whole[..end]);
        host.file(&format!("proc/{pid}/cgroup"), &cgroup.as_bytes()[..end.min(cgroup.len())]);
    }
    // A process without files has ended.
    std::fs::create_dir_all(host.root().join("proc/20")).expect("a directory");
    std::fs::create_dir_all(host.root().join("proc/21/status")).expect("a directory");
    for name in ["self", "0x10", "12a", "-5", "+7", "99999999999999", "net", "é"] {
        std::fs::create_dir_all(host.root().join("proc").join(name)).expect("a directory");
    }
    host.process(22, 1, "/", b"x\0");
    host.file("proc/22/status", b"PPid:\t99999999999\nUid:\t-1 x\nNSpid:\tx\n\xff\xff:\n:\n");
    host.file("proc/22/cgroup", b"\xff\n::\n0:\n:::::\n\0\0");
    host.process(23, 1, "/", b"y\0");
    std::fs::remove_file(host.root().join("proc/23/cgroup")).expect("removed");
    std::fs::remove_file(host.root().join("proc/23/cmdline")).expect("removed");
    let json = host.json();
    assert!(!json.contains_key(&20) && json.contains_key(&21) && json.contains_key(&23));
    assert!(json[&22]["ppid"].is_null() && json[&22]["user"].is_null());
    assert_eq!(text(&json[&23], "command"), "[prog]");
    assert!(json.keys().all(|&pid| pid > 0), "{:?}", json.keys());
    harmless(&printed(of(host.root()).args(["--forest", "-k"])));
    assert!(containers(of(host.root()).arg("-k")).len() >= whole.len());
}

#[test]
fn state_files_that_are_no_state_files() {
    let host = Host::new("ctr-ps-state");
    let good = state("good", 100);
    let mut next = 0_i64;
    let mut ids: BTreeMap<i64, String> = BTreeMap::new();
    let mut add = || {
        let (pid, id) = (100 + next, format!("{next:02x}").repeat(32));
        next += 1;
        host.process(pid, 1, &scope(&id), b"sleep\x001\0");
        ids.insert(pid, id.clone());
        (pid, id)
    };
    let (first, id) = add();
    host.docker(&id, &good);
    for end in [0, 1, good.len() / 2, good.len() - 1] {
        let (_, id) = add();
        host.docker(&id, &good[..end]);
    }
    let long = format!("[{}", "[".repeat(200_000));
    for text in [
        "null",
        "[]",
        "42",
        "\"x\"",
        "{}",
        "{\"Name\":5}",
        "{\"State\":[]}",
        "{\"State\":null}",
        &long,
        "{\"State\":{\"Pid\":\"100\",\"Running\":true}}",
        "{\"State\":{\"Pid\":99999999999,\"Running\":true}}",
    ] {
        let (_, id) = add();
        host.docker(&id, text);
    }
    for pid in ["-1", "0", "100.5", "1e2"] {
        let (_, id) = add();
        host.docker(&id, format!(r#"{{"Name":"/bad","State":{{"Running":true,"Pid":{pid}}}}}"#));
    }
    let (pid, id) = add();
    host.docker(&id, state("bad", pid).replace("true", "false"));
    // A pipe that waits for a writer.
    let (_, id) = add();
    let file = host.docker(&id, "");
    std::fs::remove_file(&file).expect("removed");
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::from_bits_truncate(0o644)).expect("a fifo");
    // A link out of that root, to a valid file.
    let elsewhere = Scratch::new("ctr-ps-elsewhere");
    let (pid, id) = add();
    let outside = elsewhere.0.join("outside.json");
    std::fs::write(&outside, state("bad", pid)).expect("a file");
    let file = host.docker(&id, "");
    std::fs::remove_file(&file).expect("removed");
    symlink(&outside, &file).expect("a link");
    let (pid, id) = add();
    std::fs::write(elsewhere.0.join("config.v2.json"), state("bad", pid)).expect("a file");
    symlink(&elsewhere.0, host.root().join("var/lib/docker/containers").join(&id)).expect("a link");
    let (_, id) = add();
    let file = host.docker(&id, "");
    std::fs::remove_file(&file).expect("removed");
    symlink(&file, &file).expect("a link to itself");
    // Larger than any real state file.
    let (pid, id) = add();
    let file = host.docker(&id, state("bad", pid));
    std::fs::OpenOptions::new().write(true).open(&file).and_then(|f| f.set_len(1 << 30)).expect("sparse");
    let (_, id) = add();
    std::fs::create_dir_all(host.root().join(format!("var/lib/docker/containers/{id}/config.v2.json")))
        .expect("a directory");
    // A file of another user, who must not name containers.
    if root() {
        let (pid, id) = add();
        let file = host.docker(&id, state("bad", pid));
        std::os::unix::fs::chown(&file, Some(UNPRIVILEGED_UID), Some(UNPRIVILEGED_UID)).expect("chown");
    } else {
        skip("ctr-ps-owner", "needs root");
    }
    let shown = host.containers();
    assert_eq!(shown[&first], "docker:good");
    for (pid, id) in ids.iter().skip(1) {
        assert_eq!(shown[pid], unverified(id), "{pid}");
    }
    // Nobody knows whose they are: any user can make such a group.
    for options in [&["-o", "container,owner"][..], &["-l", "-o", "container,owner"]] {
        let table = printed(of(host.root()).arg("-n").args(options));
        let owners: BTreeMap<&str, &str> = table
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, of)| (name, of.trim()))
            .collect();
        assert_eq!(owners["docker:good"], "0", "{table}");
        assert!(ids.iter().skip(1).all(|(_, id)| owners[unverified(id).as_str()] == "-"), "{table}");
    }
    for process in host.json().values().filter(|process| process["pid"] != first) {
        assert!(process["container"].is_null(), "{process}");
    }
    // Problems are printed only with the option; then each of them is.
    for (options, status) in [(&["-q", "-v"][..], 0), (&["-q", "-v", "-c", "nosuch"], 1)] {
        let output = limited(of(host.root()).args(options));
        assert_eq!(output.status.code(), Some(status), "{options:?}");
        let said = stderr(&output);
        harmless(&said);
        for problem in ["not a regular file", "too large to be a state file"] {
            assert!(said.contains(problem), "{options:?}: {said}");
        }
    }
}

#[test]
fn cycles_and_deep_chains_lose_no_process() {
    let host = Host::new("ctr-ps-chain");
    for pid in 2..=2000 {
        host.process(pid, pid - 1, "/init.scope", b"x\0");
    }
    host.process(5000, 5001, "/", b"a\0");
    host.process(5001, 5000, "/", b"b\0");
    host.process(5002, 5002, "/", b"c\0");
    host.process(5003, 4999, "/", b"d\0");
    host.process(5004, -7, "/", b"e\0");
    host.process(5005, 5000, "/", b"f\0");
    let mut forest: Vec<i64> = printed(of(host.root()).args(["-q", "--forest"]))
        .lines()
        .map(|line| line.parse().expect("a pid"))
        .collect();
    forest.sort_unstable();
    assert_eq!(forest, (1..=2000).chain(5000..=5005).collect::<Vec<i64>>());
    let table = printed(of(host.root()).args(["--forest", "-n"]));
    assert!(table.lines().all(|line| line.chars().count() < 250), "lines stay short");
    assert!(table.len() < 1_000_000, "and so does the whole: {}", table.len());
    assert_eq!(host.json().len(), 2006);
}

#[test]
fn no_processes_are_an_error_with_a_reason() {
    let scratch = Scratch::new("ctr-ps-empty");
    let dir = scratch.0.display().to_string();
    let (status, message) = failure(&mut of(&scratch.0));
    assert_eq!(status, Some(1));
    let expected = format!("ctr-ps: cannot read {dir}/proc: is proc mounted there?\n");
    assert_eq!(message, expected);
    std::fs::create_dir(scratch.0.join("proc")).expect("a directory");
    std::fs::create_dir(scratch.0.join("proc/sys")).expect("a directory");
    for options in [&[][..], &["--json"], &["-q"], &["--forest"], &["-c", "web"]] {
        let (status, message) = failure(of(&scratch.0).args(options));
        assert_eq!(status, Some(1));
        assert_eq!(
            message,
            format!("ctr-ps: there are no processes in {dir}/proc: is proc mounted there?\n")
        );
    }
    std::fs::write(scratch.0.join("file"), "").expect("a file");
    for (root, why) in [("missing", "No such file or directory"), ("file", "Not a directory")] {
        let (status, message) = failure(&mut of(&scratch.0.join(root)));
        assert_eq!((status, message), (Some(1), format!("ctr-ps: cannot open {dir}/{root}: {why}\n")));
    }
    assert_eq!(failure(ctr_ps().args(["--root", ""])).0, Some(1));
    assert_eq!(failure(ctr_ps().args(["--proc-root", "/no/such"])).0, Some(1));
}

/// Only who may write to another system's root directory can do that, but it need not be a friend's.
#[test]
fn a_pipe_among_the_files_of_a_process_is_not_waited_for() {
    let host = Host::new("ctr-ps-pipe");
    for (pid, name) in [(10, "status"), (11, "cgroup"), (12, "cmdline")] {
        host.process(pid, 1, "/", b"x\0");
        let file = host.root().join(format!("proc/{pid}/{name}"));
        std::fs::remove_file(&file).expect("removed");
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::from_bits_truncate(0o644)).expect("a fifo");
    }
    assert!(printed(of(host.root()).arg("-q")).starts_with("1\n"));
}

/// The kernel names them in decimal, without sign or leading zero. `ctr-ps -q` may go to xargs kill.
#[test]
fn only_a_number_as_the_kernel_writes_it_is_a_pid() {
    let host = Host::new("ctr-ps-numbers");
    let status = std::fs::read(host.root().join("proc/1/status")).expect("a status");
    for name in ["+1", "01", "0", "-5"] {
        host.file(&format!("proc/{name}/status"), &status);
    }
    assert_eq!(printed(of(host.root()).arg("-q")), "1\n");
}

/// The `proc` of another system is not this one's, whatever is a link there.
#[test]
fn a_link_does_not_lead_out_of_the_root() {
    let host = Host::new("ctr-ps-link");
    std::fs::rename(host.root().join("proc"), host.root().join("other")).expect("renamed");
    symlink("/proc", host.root().join("proc")).expect("a link");
    assert_eq!(failure(&mut of(host.root())).0, Some(1));
    std::fs::remove_file(host.root().join("proc")).expect("removed");
    symlink("/other", host.root().join("proc")).expect("a link");
    assert_eq!(printed(of(host.root()).arg("-q")), "1\n");
}
