//! Lists while processes begin and end all the time, containers come and go, and PIDs are used again soon. What the
//! processes are is known here: each tells its container by its name.
//!
//! A run has CTRBOX_TEST_ROUNDS rounds (10) of each applet.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::common::process::Piped;
use crate::common::{Scratch, binary, program, root, skip, there};

/// Three containers in which processes of two kinds begin and end, one after the other and beside each other, and one
/// container after the other. In this pid namespace PIDs are used again soon (its own limit: since Linux 6.14).
const HOST: &str = r#"
echo 700 >/proc/sys/kernel/pid_max 2>/dev/null
tag=churn own=$(readlink /proc/self/ns/pid)
for name in a b c; do
    unshare -p -f --mount-proc bash -c "
        while :; do (exec -a $tag-$name sleep 0) & (exec -a $tag-$name sleep 0) & wait; done &
        while :; do for some in .2 .4 .7 1 2 3 4; do (exec -a $tag-$name sleep \$some) & done; wait; done" &
    link=$own
    until [ -n "$link" ] && [ "$link" != "$own" ]; do link=$(readlink /proc/$!/ns/pid_for_children); done
    echo "$name $link"
done
while :; do unshare -p -f sh -c ':'; done &
echo ready
while read -r line; do
    eval "$line" >"$OUT" 2>"$ERR"
    echo "status $?"
done
"#;

const NAMES: [&str; 3] = ["a", "b", "c"];

struct Host {
    piped: Piped,
    scratch: Scratch,
    /// The inode of the pid namespace of each container.
    containers: BTreeMap<String, String>,
}

impl Host {
    fn new(test: &str) -> Option<Host> {
        if !root() {
            skip("root", "needs root, for namespaces");
            return None;
        }
        if !there("bash") || !there("unshare") {
            skip("bash", "needs bash and unshare");
            return None;
        }
        let scratch = Scratch::new(test);
        let mut command = program("unshare");
        command.args(["-p", "-f", "-m", "--mount-proc", "--kill-child", "bash", "-c", HOST]);
        command.env("OUT", scratch.0.join("out")).env("ERR", scratch.0.join("err"));
        command.env("B", binary());
        let mut piped = Piped::new(&mut command);
        let mut containers = BTreeMap::new();
        loop {
            let line = piped.line();
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["ready"] => break,
                [name, link] => {
                    let inode = link.trim_matches(|c: char| !c.is_ascii_digit());
                    containers.insert(name.to_owned(), inode.to_owned());
                }
                _ => panic!("{line:?}"),
            }
        }
        assert_eq!(containers.keys().map(String::as_str).collect::<Vec<_>>(), NAMES);
        Some(Host { piped, scratch, containers })
    }

    /// What a run prints. It succeeds without a message.
    fn run(&mut self, words: &str) -> String {
        self.piped.say(&format!("\"$B\" {words}\n"));
        let status = self.piped.line();
        let read = |file: &str| {
            String::from_utf8_lossy(&std::fs::read(self.scratch.0.join(file)).expect("a file")).into_owned()
        };
        assert_eq!((status.as_str(), read("err").as_str()), ("status 0", ""), "{words}");
        read("out")
    }

    fn label(&self, name: &str) -> String {
        format!("anon:{}", self.containers[name])
    }

    /// The container of a process, by its command line.
    fn truth(&self, command: &str) -> Option<String> {
        let at = command.find("churn-")? + "churn-".len();
        // The unshare(1) above a container is outside of it, and has the script among its arguments.
        (!command.starts_with("unshare")).then(|| self.label(&command[at..=at]))
    }
}

fn rounds() -> usize {
    std::env::var("CTRBOX_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(10)
}

#[test]
fn processes_of_containers() {
    let Some(mut host) = Host::new("churn-ps") else { return };
    let (mut checked, mut parents) = (0, 0);
    for _ in 0..rounds() {
        let whole: Value = serde_json::from_str(&host.run("ctr-ps -J")).expect("JSON");
        let rows = whole["processes"].as_array().expect("an array");
        let by_pid: BTreeMap<i64, &Value> =
            rows.iter().map(|row| (row["pid"].as_i64().expect("a pid"), row)).collect();
        assert_eq!(by_pid.len(), rows.len(), "a PID stands twice");
        for row in rows {
            let command = row["command"].as_str().unwrap_or_default();
            let Some(truth) = host.truth(command) else { continue };
            let shown = shown(row);
            assert_eq!(shown, truth, "{row}");
            checked += 1;
            let Some(parent) = row["ppid"].as_i64().and_then(|ppid| by_pid.get(&ppid)) else { continue };
            let above = parent["command"].as_str().unwrap_or_default();
            assert!(
                above.contains(&command[command.find("churn-").expect("a name")..][..7]),
                "{row} below {parent}"
            );
            parents += 1;
        }
    }
    println!("{checked} processes in their containers, {parents} below their parents");
    assert!(checked > 6 * rounds(), "{checked}: too few processes are seen");
}

/// CONTAINER of a row of JSON, as the table has it.
fn shown(row: &Value) -> String {
    match (row["runtime"].as_str(), row["id"].as_str()) {
        (Some(runtime), Some(id)) => format!("{runtime}:{id}"),
        _ => String::new(),
    }
}

#[test]
fn namespaces_of_containers() {
    let Some(mut host) = Host::new("churn-lsns") else { return };
    for _ in 0..rounds() {
        let table = host.run("lsns -r -n -t pid -o NS,NPROCS,COMMAND");
        for name in NAMES {
            let inode = host.containers[name].clone();
            let row = table
                .lines()
                .find(|line| line.starts_with(&inode))
                .unwrap_or_else(|| panic!("{name}: {table}"));
            // The process with the lowest PID: its first one.
            assert!(row.contains("bash") && row.contains(&format!("churn-{name}")), "{row}");
        }
    }
}

#[test]
fn one_container() {
    let Some(mut host) = Host::new("churn-inspect") else { return };
    for _ in 0..rounds() {
        for name in NAMES {
            let label = host.label(name);
            let whole: Value =
                serde_json::from_str(&host.run(&format!("ctr-inspect {label} -J"))).expect("JSON");
            let one = &whole["containers"][0];
            assert_eq!(one["identity"]["id"], Value::from(host.containers[name].clone()), "{one}");
        }
        let capabilities = host.run("getpcaps 1");
        assert!(capabilities.starts_with("1: "), "{capabilities}");
    }
}

#[test]
fn use_of_containers() {
    let Some(mut host) = Host::new("churn-top") else { return };
    for _ in 0..rounds().div_ceil(4) {
        let samples = host.run("ctr-top -b -J -n 3 -d 0.1");
        for line in samples.lines() {
            let sample: Value = serde_json::from_str(line).expect("JSON");
            for name in NAMES {
                assert!(line.contains(&host.containers[name]), "{name}: {sample}");
            }
        }
    }
}

#[test]
fn things_of_containers() {
    let Some(mut host) = Host::new("churn-whose") else { return };
    for _ in 0..rounds() {
        for name in NAMES {
            let (inode, label) = (host.containers[name].clone(), host.label(name));
            let answer = host.run(&format!("ctr-whose ns:{inode}"));
            assert!(answer.contains(&label), "{answer}");
        }
    }
}
