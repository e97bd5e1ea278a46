//! Runs of `ctr-inspect` and their reports.

use std::process::Output;

use serde_json::Value;

use super::process::{Holder, limited};
use super::{applet, stderr, stdout};

pub fn inspect(arguments: &[&str]) -> Output {
    limited(applet("ctr-inspect").args(arguments))
}

/// The reports of `-J`.
pub fn reports(arguments: &[&str]) -> Vec<Value> {
    let output = inspect(&[&["-J"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    json["containers"].as_array().expect("a list").clone()
}

pub fn report(arguments: &[&str]) -> Value {
    let mut all = reports(arguments);
    assert_eq!(all.len(), 1, "{arguments:?}");
    all.remove(0)
}

pub fn of(holder: &Holder) -> Value {
    report(&[&holder.pid.to_string()])
}

pub fn finding<'a>(report: &'a Value, id: &str) -> Option<&'a Value> {
    report["findings"].as_array().expect("findings").iter().find(|one| one["id"] == id)
}

/// Copies of hosts.
pub mod copy {
    use serde_json::Value;

    use crate::common::ctr_ps::state;
    use crate::common::layout::{Layout, id};
    use crate::common::process::limited;
    use crate::common::{applet, stderr, stdout};

    /// Where the group of a container is, below a group with limits.
    pub fn group(number: u32) -> String {
        format!("/limited/docker-{}.scope", id(number))
    }

    /// A host with cgroup v2, on which this container of Docker runs for 1,000 seconds, with the PID 100 + number.
    pub fn host(name: &str, numbers: &[u32]) -> Layout {
        let layout = Layout::new(name);
        layout.process(1, 0, "/", 1);
        layout.file("proc/uptime", "1000.00 1000.00\n");
        layout.file("proc/1/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda rw\n");
        layout.file("proc/self/mountinfo", "2 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        for number in numbers {
            let (pid, id) = (i64::from(100 + number), id(*number));
            layout.host.docker(&id, state(&format!("c{number}"), pid));
            layout.process(pid, 0, &group(*number), 1);
        }
        layout
    }

    pub fn write(layout: &Layout, group: &str, files: &[(&str, &str)]) {
        files.iter().for_each(|(file, text)| _ = layout.file(format!("sys/fs/cgroup{group}/{file}"), text));
    }

    pub fn inspect(layout: &Layout, arguments: &[&str]) -> String {
        let output = limited(applet("ctr-inspect").arg("--root").arg(layout.host.root()).args(arguments));
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    pub fn report(layout: &Layout, arguments: &[&str]) -> Value {
        let json: Value =
            serde_json::from_str(&inspect(layout, &[&["-J"], arguments].concat())).expect("JSON");
        json["containers"][0].clone()
    }

    /// The severity and the text of a finding.
    pub fn finding(report: &Value, id: &str) -> Option<(String, String)> {
        let all = report["findings"].as_array().expect("a list");
        let found = all.iter().find(|one| one["id"] == id)?;
        let text = |key: &str| found[key].as_str().expect("text").to_owned();
        Some((text("severity"), text("text")))
    }
}
