//! ctr-ps on hosts made of files, and on this host.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use crate::common::ctr_ps::{
    Host, WEB, containers, ctr_ps, harmless, of, processes, scope, state, text, uncoloured, unverified,
};
use crate::common::layout::{Layout, START};
use crate::common::process::{Inherited, Piped, copy_of_binary, failure, inheriting, limited, printed};
use crate::common::{
    Scratch, UNPRIVILEGED_UID, binary, golden, program, project, root, skip, stderr, stdout, there,
};
use serde_json::Value;

const HOSTS: [&str; 2] = ["hybrid", "systemd-v2"];

fn fixture(host: &str) -> PathBuf {
    project(&format!("tests/fixtures/{host}/root"))
}

// Hosts kept in files.

#[test]
fn golden_outputs_of_two_hosts() {
    for host in HOSTS {
        for (name, options) in [
            ("flat.txt", &[][..]),
            ("forest.txt", &["--forest"]),
            ("forest-ascii.txt", &["--forest"]),
            ("json.json", &["--json"]),
            ("json-forest.json", &["--forest", "-J"]),
            ("kernel-threads.txt", &["-k", "--forest"]),
            ("noheadings.txt", &["-n"]),
            ("quiet.txt", &["-q"]),
            ("quiet-forest.txt", &["-q", "--forest"]),
            ("container.txt", &["-c", "rt-web"]),
            ("container-forest.txt", &["--forest", "--container=docker:rt-web", "-c", "rt-pm-one"]),
            ("container-json.json", &["-J", "-c", "k8s:shop-ns/shop/web"]),
            ("color.txt", &["--color=always", "--forest"]),
        ] {
            let mut command = of(&fixture(host));
            if name == "forest-ascii.txt" {
                command.env("LC_ALL", "C");
            }
            let out = printed(command.args(options));
            match name {
                "color.txt" => harmless(&uncoloured(&out)),
                _ => harmless(&out),
            }
            golden(&format!("tests/golden/{host}/ctr-ps-{name}"), &out);
        }
    }
}

#[test]
fn colour_changes_nothing_else_and_comes_only_when_asked_for() {
    for host in HOSTS {
        let plain = printed(of(&fixture(host)).arg("--forest"));
        let coloured = printed(of(&fixture(host)).args(["--forest", "--color=always"]));
        assert!(coloured.contains("\x1b["));
        assert_eq!(uncoloured(&coloured), plain);
        assert_eq!(printed(of(&fixture(host)).args(["--forest", "--color"])), coloured);
        assert_eq!(printed(of(&fixture(host)).args(["--forest", "--color=never"])), plain);
        assert_eq!(printed(of(&fixture(host)).args(["--forest", "--color=auto"])), plain, "no terminal");
        let asked = printed(of(&fixture(host)).args(["--forest", "--color=always"]).env("NO_COLOR", "1"));
        assert_eq!(asked, coloured, "an option counts more than NO_COLOR");
        for machine in ["-q", "--json"] {
            let out = printed(of(&fixture(host)).args([machine, "--color=always"]));
            assert_eq!(out, printed(of(&fixture(host)).arg(machine)));
        }
    }
    let (status, message) = failure(ctr_ps().arg("--color=sometimes"));
    assert_eq!(status, Some(1));
    assert_eq!(message, "ctr-ps: unsupported colour mode 'sometimes' (auto, always, never)\n");
}

/// What the runtimes printed when the host was captured, PID by PID; no other process has a container.
#[test]
fn the_runtimes_own_word_on_every_process() {
    for host in HOSTS {
        let found = processes(&printed(of(&fixture(host)).arg("--json")));
        let file = project(&format!("tests/fixtures/{host}/expected.tsv"));
        let expected = std::fs::read_to_string(&file).expect("a file");
        let mut tagged = Vec::new();
        let mut checked = 0;
        for line in expected.lines() {
            let [pid, runtime, name, id] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{host}: {line}")
            };
            let pid: i64 = pid.parse().expect("a pid");
            let process = found.get(&pid).unwrap_or_else(|| panic!("{host}: {pid} is missing"));
            tagged.push(pid);
            let shown = text(process, "id");
            // containerd's ids are unique in a namespace only.
            let shown = if runtime == "containerd" { shown.split_once('/').expect("NS/ID").1 } else { shown };
            let is = (text(process, "runtime"), text(process, "container"), shown);
            assert_eq!(is, (runtime, name, id), "{host}: {pid}");
            checked += 1;
        }
        assert!(checked >= 11, "{host}: {checked}");
        let others: Vec<&Value> = found
            .values()
            .filter(|process| !process["runtime"].is_null())
            .filter(|process| !tagged.contains(&process["pid"].as_i64().unwrap_or(0)))
            .collect();
        assert!(others.is_empty(), "{host}: these are no containers': {others:?}");
    }
}

#[test]
fn the_forms_agree_with_each_other() {
    for host in HOSTS {
        let root = fixture(host);
        let json = processes(&printed(of(&root).arg("--json")));
        let flat = containers(&mut of(&root));
        let pids = |out: String| -> Vec<i64> {
            out.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("{line:?}"))).collect()
        };
        let order = pids(printed(of(&root).arg("-q")));
        assert!(order.is_sorted(), "flat is by PID");
        assert_eq!(order, json.keys().copied().collect::<Vec<_>>());
        assert_eq!(order, flat.keys().copied().collect::<Vec<_>>());
        let mut forest = pids(printed(of(&root).args(["-q", "--forest"])));
        for (at, pid) in forest.iter().enumerate() {
            // A parent stands above its children.
            if let Some(parent) = json[pid]["ppid"].as_i64().filter(|parent| json.contains_key(parent)) {
                assert!(forest[..at].contains(&parent), "{host}: {pid} before its parent {parent}");
            }
        }
        forest.sort_unstable();
        assert_eq!(forest, order);
        assert_eq!(containers(of(&root).arg("--forest")), flat);
        for (pid, container) in flat {
            let process = &json[&pid];
            match process["runtime"].as_str() {
                None => assert_eq!(container, "-"),
                Some(runtime) => {
                    let name = process["container"].as_str().map(str::to_owned);
                    let name = name.unwrap_or_else(|| format!("{}?", &text(process, "id")[..12]));
                    assert_eq!(container, format!("{runtime}:{name}"));
                }
            }
        }
        let kernel = processes(&printed(of(&root).args(["-k", "--json"])));
        assert!(kernel.len() >= json.len() && json.keys().all(|pid| kernel.contains_key(pid)));
        // --proc-root alone moves /proc, the state files stay below --root.
        let mut moved = of(&root);
        moved.arg("--proc-root").arg(root.join("proc"));
        assert_eq!(processes(&printed(moved.arg("--json"))), json);
    }
}

#[test]
fn containers_by_name_runtime_and_beginning_of_the_id() {
    let root = fixture("hybrid");
    let pids = |words: &[&str]| {
        let mut command = of(&root);
        words.iter().for_each(|word| _ = command.args(["-c", word]));
        printed(command.arg("-q")).split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let web = "4257 6411 6432 6438 6469";
    for word in ["rt-web", "docker:rt-web", "32e6b376f333", "32e6", "docker:32e6b376"] {
        assert_eq!(pids(&[word]), web, "{word}");
    }
    assert_eq!(pids(&["rt-web", "docker:rt-web"]), web, "once each");
    assert_eq!(pids(&["shop-ns/shop/web", "k8s:sidecar"]), "4808 4846");
    assert_eq!(pids(&["default/rt-ctr-one"]), "4576");
    for pod in ["shop-ns/shop", "k8s:shop-ns/shop"] {
        assert_eq!(pids(&[pod]), "4808 4846", "a pod, without its pause process");
    }
    let (status, message) = failure(of(&root).args(["-c", "rt-web@4000"]));
    assert_eq!(
        (status, message.as_str()),
        (Some(1), "ctr-ps: container docker:rt-web has no process 4000\n")
    );
    assert_eq!(pids(&["rt-ctr-two"]), "4657");
    for word in ["rt-we", "rt-wbe", "rt-web ", "podman:rt-web", "dcoker:rt-web"] {
        let (status, message) = failure(of(&root).args(["-c", word]));
        assert_eq!(status, Some(1), "{word}");
        assert_eq!(message, format!("ctr-ps: no container '{word}'; did you mean docker:rt-web?\n"));
    }
    let (_, message) = failure(of(&root).args(["-c", "32e"]));
    let too_few = "the beginning of an id has 4 digits or more; did you mean docker:rt-web?\n";
    assert_eq!(message, format!("ctr-ps: no container '32e'; {too_few}"));
    let (_, message) = failure(of(&root).args(["-c", "docker:rt-"]));
    let several = "it is the beginning of several: docker:rt-db docker:rt-host docker:rt-web\n";
    assert_eq!(message, format!("ctr-ps: no container 'docker:rt-'; {several}"));
    for word in ["nosuch", "docker:", ":", "-"] {
        let (status, message) = failure(of(&root).args(["-c", word]));
        assert_eq!(status, Some(1), "{word}");
        assert!(
            message.starts_with(&format!("ctr-ps: no process or running container '{word}'")),
            "{message}"
        );
    }
    let (status, message) = failure(of(&root).args(["-c", "POD"]));
    assert_eq!(status, Some(1));
    assert_eq!(
        message,
        "ctr-ps: 'POD' is ambiguous, it may be any of: k8s:shop-ns/shop/POD k8s:shop-ns/cache/POD\n"
    );
    for (word, said) in [
        ("1", "process 1 is in no container"),
        ("1@1", "'1' is a PID, and only a container can be followed by @ and a PID"),
    ] {
        let said = format!("ctr-ps: {said}\n");
        assert_eq!(failure(of(&root).args(["-c", word])), (Some(1), said), "{word}");
    }
    // An existing one does not excuse a missing one.
    assert_eq!(failure(of(&root).args(["-q", "-c", "rt-web", "-c", "nosuch"])).0, Some(1));
    let odd = std::ffi::OsStr::from_bytes(b"\xff\x1b[2J");
    let (status, message) = failure(of(&root).arg("-c").arg(odd));
    assert_eq!((status, message.as_str()), (Some(1), "ctr-ps: '\\xff\\x1b[2J' is not a container name\n"));
    let (_, message) = failure(of(&root).args(["-c", "a\nb\u{202e}c"]));
    assert!(message.contains(r"'a\x0ab\u{202e}c'"), "{message}");
}

#[test]
fn no_such_container_here() {
    let (status, message) = failure(ctr_ps().args(["-c", "ctrbox-test-no-such-container"]));
    assert_eq!(status, Some(1));
    let expected = "ctr-ps: no process or running container 'ctrbox-test-no-such-container'";
    assert!(message.starts_with(expected), "{message}");
}

// This host.

/// PID -> PPID, as the kernel says.
fn live() -> BTreeMap<i64, i64> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i64>() else { continue };
        let Ok(stat) = std::fs::read(entry.path().join("stat")) else { continue };
        // comm may hold anything, parentheses too: what follows the last one counts.
        let end = stat.iter().rposition(|&byte| byte == b')').expect("a name");
        let rest = String::from_utf8_lossy(&stat[end + 1..]).into_owned();
        let ppid = rest.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a ppid");
        all.insert(pid, ppid);
    }
    all
}

#[test]
fn every_process_of_this_host_is_listed_with_its_parent() {
    let before = live();
    let listed = processes(&printed(ctr_ps().args(["-k", "--json"])));
    let after = live();
    let mut compared = 0;
    // The processes that existed all the time, and were not orphaned in between.
    for (pid, ppid) in before.iter().filter(|&(pid, ppid)| after.get(pid) == Some(ppid)) {
        let process = listed.get(pid).unwrap_or_else(|| panic!("{pid} is missing"));
        assert_eq!(process["ppid"].as_i64(), Some(*ppid), "{process}");
        compared += 1;
    }
    assert!(compared > 1, "{compared}");
    let own = &listed[&i64::from(std::process::id())];
    let name = std::env::args().next().expect("argv[0]");
    assert!(text(own, "command").starts_with(&name), "{own}");
    assert_eq!(own["ppid"].as_u64(), Some(u64::from(std::os::unix::process::parent_id())));
    for (pid, process) in &listed {
        let cpid = process["cpid"].as_i64();
        assert!(cpid.is_some_and(|cpid| cpid > 0), "{pid}: {process}");
    }
    let fewer = processes(&printed(ctr_ps().args(["--json"])));
    assert!(fewer.contains_key(&i64::from(std::process::id())));
    harmless(&printed(ctr_ps().arg("--forest")));
}

/// A process that chooses its own name.
#[test]
fn a_live_process_with_a_hostile_name() {
    let mut command = program("cat");
    command.arg0("\x1b[31mevil\u{202e}\n");
    let mut hostile = Piped::new(&mut command);
    hostile.answers();
    let table = printed(ctr_ps().arg("-n"));
    harmless(&table);
    let shown = r"\x1b[31mevil\u{202e}\x0a";
    let line = table.lines().find(|line| line.ends_with(shown)).expect("its line");
    assert!(line.contains(&format!(" {} ", hostile.pid())), "{line}");
    let listed = processes(&printed(ctr_ps().arg("--json")));
    assert_eq!(text(&listed[&i64::from(hostile.pid())], "command"), "\x1b[31mevil\u{202e}\n");
}

#[test]
fn an_ordinary_user_sees_every_process_and_no_error() {
    if !root() {
        skip("ctr-ps-unprivileged", "needs root, to be somebody else");
        return;
    }
    let scratch = Scratch::new("ctr-ps-unprivileged");
    let copy = scratch.0.join("ctrbox");
    copy_of_binary(&copy);
    let unprivileged = || {
        let mut command = program(copy.to_str().expect("text"));
        command.arg("ctr-ps").uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID).current_dir("/");
        command
    };
    let before = live();
    let listed = processes(&printed(unprivileged().args(["-k", "--json"])));
    let after = live();
    for pid in before.keys().filter(|pid| after.contains_key(pid)) {
        assert!(listed.contains_key(pid), "{pid} is missing");
    }
    harmless(&printed(unprivileged().arg("--forest")));
    assert_eq!(failure(unprivileged().args(["-c", "ctrbox-test-no-such-container"])).0, Some(1));

    // State that only root can read: an id with a question mark, and no error.
    let host = Host::new("ctr-ps-secret");
    host.docker(WEB, state("web", 100));
    host.process(100, 1, &scope(WEB), b"web\0");
    let mode = |path: &str, mode: u32| {
        let path = host.root().join(path);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
    };
    mode("", 0o755);
    mode("var/lib/docker", 0o755);
    let shown = || containers(unprivileged().arg("--root").arg(host.root()));
    assert_eq!(shown()[&100], "docker:web");
    mode("var/lib/docker", 0o700);
    assert_eq!(shown()[&100], unverified(WEB));
}

#[test]
fn few_descriptors_and_a_closed_stdin_are_enough() {
    let closed = Inherited { closed: vec![0], ..Inherited::default() };
    let mut command = ctr_ps();
    assert!(!printed(inheriting(command.arg("-q"), &closed)).is_empty());
    let script = "ulimit -n 16; exec \"$0\" ctr-ps -q --forest";
    let pids = printed(program("sh").args(["-c", script]).arg(binary()));
    assert!(pids.lines().any(|line| line == std::process::id().to_string()));
}

/// Because of a state file that names no init process, the first processes of all pid namespaces are read.
#[test]
fn each_process_is_identified_once() {
    const PROCESSES: i64 = 400;
    let name = "strace";
    if !there(name) {
        return skip(name, "needs strace(1)");
    }
    if !limited(program(name).args(["-o", "/dev/null", "true"])).status.success() {
        return skip(name, "strace may not trace here");
    }
    let layout = Layout::new("ctr-ps-once");
    for pid in 1000..1000 + PROCESSES {
        layout.host.process(pid, 1, "/system.slice/ssh.service", b"x\0");
    }
    layout.process(900, 0, "/system.slice/some.service", START);
    let file = layout.host.root().join("calls");
    let calls = |container: &str| -> i64 {
        let mut command = program(name);
        command.args(["-f", "-c", "-o"]).arg(&file).arg(binary());
        let output = limited(command.args(["ctr-ps", "--forest", "--root"]).arg(layout.host.root()));
        let table = stdout(&output);
        assert_eq!(table.lines().count() as i64, PROCESSES + 3, "{table} {}", stderr(&output));
        assert!(table.contains(container), "{table}");
        let calls = std::fs::read_to_string(&file).expect("a table");
        let total = calls.lines().find(|line| line.ends_with(" total")).expect("a sum");
        total.split_whitespace().nth(3).and_then(|calls| calls.parse().ok()).expect("a number")
    };
    let without = calls("anon:10900");
    layout.file("var/lib/lxc/web/config", "");
    let with = calls("anon:10900");
    assert!(with - without < PROCESSES, "{with} and {without} calls");
    // The process in the group of LXC comes before the one that is below the monitor.
    layout.process(901, 0, "/lxc.payload.web", START);
    layout.process(905, 0, "/lxc.payload.web", START);
    layout.monitor(905, 0, "[lxc monitor] /var/lib/lxc web");
    let listed = containers(&mut of(layout.host.root()));
    assert_eq!((&*listed[&901], &*listed[&905]), ("lxc:web", "lxc:web"));
}

#[test]
fn many_processes_cost_a_fixed_number_of_system_calls_each() {
    let name = "strace";
    if !there(name) {
        return skip(name, "needs strace(1)");
    }
    if !limited(program(name).args(["-o", "/dev/null", "true"])).status.success() {
        return skip(name, "strace may not trace here");
    }
    let calls = |count: i64| -> u32 {
        let host = Host::new(&format!("ctr-ps-strace-{count}"));
        host.docker(WEB, state("web", 100));
        for pid in 100..100 + count {
            let group = if pid % 10 == 0 { scope(WEB) } else { "/system.slice/ssh.service".to_owned() };
            host.process(pid, 1, &group, format!("sleep\0{pid}\0").as_bytes());
        }
        let file = host.root().join("calls");
        let mut command = program(name);
        command.args(["-f", "-c", "-o"]).arg(&file).arg(binary());
        let output = limited(command.args(["ctr-ps", "--forest", "--root"]).arg(host.root()));
        let table = stdout(&output);
        assert!(table.lines().count() as i64 == count + 2 && table.ends_with('\n'), "{}", stderr(&output));
        assert!((100..100 + count).all(|pid| table.contains(&format!("sleep {pid}\n"))), "{count}");
        assert_eq!(table.matches("docker:web").count() as i64, count / 10);
        let calls = std::fs::read_to_string(&file).expect("a table");
        let total = calls.lines().find(|line| line.ends_with(" total")).expect("a sum");
        total.split_whitespace().nth(3).and_then(|calls| calls.parse().ok()).expect("a number")
    };
    // On the second processor, if there is one, command lines are read for the larger of them.
    let (few, many) = (calls(300), calls(1300));
    // Ten; a debug build of std looks at each of the three descriptors once more before it closes it.
    assert!(many - few <= 13 * 1000 + 100, "{few} calls for 300 processes, {many} for 1300");
}
