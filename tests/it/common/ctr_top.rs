//! Helpers for the tests of ctr-top: hosts made of files, and its output.

use std::process::{Command, Output};

use serde_json::Value;

use super::ctr_ps::{Host, WEB, scope, state};
use super::process::limited;
use super::{applet, stderr, stdout};

pub fn of(host: &Host, arguments: &[&str]) -> Output {
    limited(ctr_top(host).args(arguments))
}

pub fn ctr_top(host: &Host) -> Command {
    let mut command = applet("ctr-top");
    command.env_remove("TERM").arg("--root").arg(host.root());
    command
}

/// The document of the first iteration.
pub fn document(command: &mut Command) -> Value {
    let output = limited(command.args(["-J", "-n", "1", "-d", "0.1"]));
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

pub fn row(document: &Value, container: &str) -> Value {
    let all = document["containers"].as_array().expect("a list");
    let found = all.iter().find(|row| row["container"] == container);
    found.unwrap_or_else(|| panic!("{container} in {document}")).clone()
}

/// A host whose hierarchies are directories: controllers, and the names of their mounts.
pub fn host(name: &str, mounts: &[(&str, &str)]) -> Host {
    let host = Host::new(name);
    let mount = |(at, (directory, controllers)): (usize, &(&str, &str))| {
        let point = host.root().join("sys/fs/cgroup").join(directory);
        let (kind, options) = match *controllers {
            "" => ("cgroup2", "rw".to_owned()),
            names => ("cgroup", format!("rw,{names}")),
        };
        format!("{} 1 0:{} / {} rw - {kind} {kind} {options}\n", 30 + at, 40 + at, point.display())
    };
    let text: String = mounts.iter().enumerate().map(mount).collect();
    host.file("proc/self/mountinfo", text);
    host.file("proc/meminfo", "MemTotal:       1048576 kB\nMemAvailable:    524288 kB\n");
    host.file("proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\n");
    host.docker(WEB, state("web", 10));
    host.process(10, 1, &scope(WEB), b"nginx\0");
    host
}

pub const V2: &[(&str, &str)] = &[
    ("memory.current", "5000000\n"),
    ("memory.stat", "anon 3000000\nfile 2000000\nshmem 500000\ninactive_file 1000000\n"),
    ("memory.max", "max\n"),
    ("memory.events", "max 3\noom 1\noom_kill 2\n"),
    ("cpu.stat", "usage_usec 1500000\nuser_usec 1\nsystem_usec 1\nnr_periods 0\nnr_throttled 0\n"),
    ("cpu.max", "max 100000\n"),
    ("pids.current", "7\n"),
    ("pids.max", "max\n"),
    ("io.stat", "8:0 rbytes=100 wbytes=200 rios=1\n8:16 rbytes=1 wbytes=2\n"),
    (
        "cpu.pressure",
        "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n",
    ),
    ("memory.pressure", "some avg10=2.00 avg60=0.00 avg300=0.00 total=8\n"),
    ("io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"),
    ("cgroup.events", "populated 1\nfrozen 0\n"),
];

pub fn write(host: &Host, group: &str, files: &[(&str, &str)]) {
    for (file, text) in files {
        host.file(&format!("sys/fs/cgroup/{group}/{file}"), text);
    }
}

pub fn v2(name: &str) -> Host {
    let host = host(name, &[("", "")]);
    write(&host, &scope(WEB), V2);
    let slice = [
        ("memory.max", "8000000\n"),
        ("cpu.max", "150000 100000\n"),
        ("cpu.stat", "usage_usec 9\nnr_periods 40\nnr_throttled 10\nthrottled_usec 2500000\n"),
        ("pids.max", "50\n"),
    ];
    write(&host, "system.slice", &slice);
    host
}
