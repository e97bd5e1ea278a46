//! Helpers for the tests of ctr-ps: parsers of its output, and hosts made of files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::process::printed;
use super::{Scratch, applet};

pub fn ctr_ps() -> Command {
    let mut command = applet("ctr-ps");
    command.env_remove("TERM").env_remove("COLORTERM");
    command
}

pub fn of(root: &Path) -> Command {
    let mut command = ctr_ps();
    command.arg("--root").arg(root);
    command
}

/// The processes of a JSON output, by PID.
pub fn processes(json: &str) -> BTreeMap<i64, Value> {
    let whole: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let list = whole["processes"].as_array().expect("an array").clone();
    let count = list.len();
    let by_pid: BTreeMap<i64, Value> =
        list.into_iter().map(|process| (process["pid"].as_i64().expect("a pid"), process)).collect();
    assert_eq!(by_pid.len(), count, "a PID stands twice");
    by_pid
}

pub fn text<'a>(process: &'a Value, member: &str) -> &'a str {
    process[member].as_str().unwrap_or_else(|| panic!("{member} of {process}"))
}

/// PID and CONTAINER of each line.
pub fn containers(command: &mut Command) -> BTreeMap<i64, String> {
    let table = printed(command.arg("-n"));
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[1].parse().unwrap_or_else(|_| panic!("{line:?}")), words[3].to_owned())
    };
    table.lines().map(row).collect()
}

/// No character moves the cursor or changes the direction of writing.
pub fn harmless(text: &str) {
    let bad = |letter: &char| {
        letter.is_control() && *letter != '\n'
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' | '\u{feff}')
    };
    let found = text.chars().find(bad);
    assert_eq!(found, None, "{found:?} in {:?}", text.lines().find(|line| line.chars().any(|c| bad(&c))));
}

/// Without the sequences that set colours.
pub fn uncoloured(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        let (codes, rest) = part.split_once('m').expect("the end of a sequence");
        assert!(codes.bytes().all(|b| b.is_ascii_digit() || b == b';'), "{codes:?}");
        plain + rest
    })
}

pub const WEB: &str = "aeb29a15315aa34748c89a0c8ba54026601e0a1e27f244fe53642ea94ad02868";
pub const DB: &str = "55ff83edf74c99c1da16bce22b5b99c496a047a311b92c8bcd4d24b077660efd";

/// The root directory of a host made of files.
pub struct Host(Scratch);

impl Host {
    pub fn new(name: &str) -> Host {
        let host = Host(Scratch::new(name));
        host.process(1, 0, "/init.scope", b"/sbin/init\0");
        host
    }

    pub fn root(&self) -> &Path {
        &self.0.0
    }

    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.root().join(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        std::fs::write(&file, content).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        file
    }

    pub fn process(&self, pid: i64, ppid: i64, cgroup: &str, cmdline: &[u8]) {
        self.named(pid, ppid, b"prog", cgroup, cmdline);
    }

    pub fn named(&self, pid: i64, ppid: i64, name: &[u8], cgroup: &str, cmdline: &[u8]) {
        let rest = format!(
            "\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{ppid}\nUid:\t0\t0\t0\t0\n\
             NSpid:\t{pid}\nVmPeak:\t 100 kB\n"
        );
        self.file(&format!("proc/{pid}/status"), [b"Name:\t", name, rest.as_bytes()].concat());
        self.file(&format!("proc/{pid}/cgroup"), format!("0::{cgroup}\n"));
        self.file(&format!("proc/{pid}/cmdline"), cmdline);
    }

    pub fn docker(&self, id: &str, state: impl AsRef<[u8]>) -> PathBuf {
        self.file(&format!("var/lib/docker/containers/{id}/config.v2.json"), state)
    }

    pub fn containers(&self) -> BTreeMap<i64, String> {
        let flat = containers(&mut of(self.root()));
        assert_eq!(containers(of(self.root()).arg("--forest")), flat);
        flat
    }

    pub fn json(&self) -> BTreeMap<i64, Value> {
        processes(&printed(of(self.root()).arg("--json")))
    }
}

pub fn state(name: &str, pid: i64) -> String {
    let name = serde_json::to_string(&format!("/{name}")).expect("JSON");
    format!(r#"{{"Name":{name},"State":{{"Running":true,"Pid":{pid}}},"Config":{{"Image":"img:1"}}}}"#)
}

pub fn scope(id: &str) -> String {
    format!("/system.slice/docker-{id}.scope")
}

pub fn unverified(id: &str) -> String {
    format!("docker:{}?", &id[..12])
}
