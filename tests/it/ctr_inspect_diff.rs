//! `ctr-inspect --diff`.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::common::ctr_inspect::{copy, inspect};
use crate::common::ctr_ps::state;
use crate::common::layout::id;
use crate::common::network::{held_inside, inside, networks};
use crate::common::process::{Holder, namespaces};
use crate::common::{stderr, stdout};

fn at<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    json["differences"].as_array().expect("a list").iter().find(|one| one["path"] == path)
}

#[test]
fn only_differences_are_shown() {
    if !namespaces("only_what_differs_is_shown") {
        return;
    }
    let one = Holder::new(&["-m", "-p", "-f", "-u"], "");
    let two = Holder::new(&["-m", "-p", "-f"], "trap '' TERM");
    let (first, second) = (one.pid.to_string(), two.pid.to_string());
    let output = inspect(&["-J", &first, "--diff", &second]);
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let all = json["differences"].as_array().expect("a list");
    let at = |path: &str| all.iter().find(|one| one["path"] == path);
    let uts = at("namespaces.uts.host").unwrap_or_else(|| panic!("{json}"));
    assert_eq!((&uts["a"], &uts["b"]), (&false.into(), &true.into()));
    let term = at("processes.init.signals.TERM").unwrap_or_else(|| panic!("{json}"));
    assert_eq!(term["b"], "ignored");
    assert!(at("namespaces.pid.host").is_none(), "the same in both: {json}");
    assert!(all.iter().all(|one| !one["path"].as_str().unwrap_or_default().contains("usage")), "{json}");
    let same = stdout(&inspect(&[&first, "--diff", &first]));
    assert!(same.ends_with("no difference\n"), "{same}");
    let host = stdout(&inspect(&["-s", "namespaces", &first, "--diff", "host"]));
    assert!(host.contains("namespaces.uts.host"), "{host}");
    let two_targets = inspect(&[&first, &second, "--diff", "host"]);
    assert_eq!(two_targets.status.code(), Some(1));
}

/// No limit, a mount that is not there, and what rights withhold are three things.
#[test]
fn a_difference_says_what_is_missing() {
    let layout = copy::host("inspect-missing", &[1, 2]);
    let mounts = |pid: i64, more: &str| {
        let text = format!("20 1 0:20 / / rw - overlay overlay rw\n{more}");
        layout.file(format!("proc/{pid}/mountinfo"), text);
    };
    mounts(101, "21 20 8:1 /srv /data rw - ext4 /dev/sda rw\n");
    mounts(102, "");
    let json: Value =
        serde_json::from_str(&copy::inspect(&layout, &["-J", "c1", "--diff", "c2"])).expect("JSON");
    let mount = at(&json, "files.mounts./data").unwrap_or_else(|| panic!("{json}"));
    assert_eq!(
        (&mount["a_is"], &mount["b"], &mount["b_is"]),
        (&json!("value"), &Value::Null, &json!("absent"))
    );
    let text = copy::inspect(&layout, &["c1", "--diff", "c2"]);
    assert!(text.lines().any(|line| line.contains("files.mounts./data") && line.ends_with("  -")), "{text}");
}

#[test]
fn published_ports_are_compared() {
    let layout = copy::host("diff-ports", &[1, 2]);
    for (number, host_port) in [(1, 8080), (2, 8081)] {
        let ports = format!(
            r#""NetworkSettings":{{"Ports":{{"80/tcp":[{{"HostIp":"","HostPort":"{host_port}"}}],"9/udp":[{{"HostIp":"","HostPort":"9"}}]}}}},"#
        );
        let state = state(&format!("c{number}"), 100 + number).replacen('{', &format!("{{{ports}"), 1);
        layout.host.docker(&id(u32::try_from(number).expect("few")), state);
    }
    let json: Value =
        serde_json::from_str(&copy::inspect(&layout, &["-J", "c1", "--diff", "c2"])).expect("JSON");
    let ports = at(&json, "network.published").unwrap_or_else(|| panic!("{json}"));
    assert_eq!(ports["a"], json!(["*:8080->80/tcp", "*:9->9/udp"]));
    assert_eq!(ports["b"], json!(["*:8081->80/tcp", "*:9->9/udp"]));
    let text = copy::inspect(&layout, &["c1", "--diff", "c2"]);
    let line = text.lines().find(|line| line.starts_with("network.published")).expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["network.published", "*:8080->80/tcp", "*:8081->80/tcp"]);
}

#[test]
fn differences_of_findings_that_were_not_looked_for_are_unknown() {
    let layout = copy::host("copy-diff", &[1, 2]);
    let status =
        "CapInh:\t0\nCapPrm:\ta80425fb\nCapEff:\ta80425fb\nCapBnd:\ta80425fb\nCapAmb:\t0\nSeccomp:\t0\n";
    layout.replace("proc/101/status", "VmPeak", &format!("{status}VmPeak"));
    let json: Value =
        serde_json::from_str(&copy::inspect(&layout, &["-J", "c1", "--diff", "c2"])).expect("JSON");
    let all = json["differences"].as_array().expect("a list");
    let at =
        |path: &str| all.iter().find(|one| one["path"] == path).unwrap_or_else(|| panic!("{path}: {json}"));
    let seccomp = at("findings.seccomp-off");
    assert_eq!(
        (&seccomp["a"], &seccomp["b_is"]),
        (&json!("medium"), &json!("unknown")),
        "c2 has no such line"
    );
    let host: Value =
        serde_json::from_str(&copy::inspect(&layout, &["-J", "c1", "--diff", "host"])).expect("JSON");
    let of_host = host["differences"].as_array().expect("a list");
    let seccomp = of_host.iter().find(|one| one["path"] == "findings.seccomp-off");
    assert_eq!(seccomp.expect("a difference")["b_is"], "unknown", "{host}");
    let text = copy::inspect(&layout, &["c1", "--diff", "c2"]);
    let line = text.lines().find(|line| line.starts_with("findings.seccomp-off")).expect("a line");
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["findings.seccomp-off", "medium", "unknown"]);
}

#[test]
fn sockets_addresses_host_names_and_deleted_files_are_compared() {
    if !networks("sockets_addresses_host_names_and_deleted_files") {
        return;
    }
    let file = std::env::temp_dir().join(format!("ctrbox-diff-{}", std::process::id()));
    let path = file.display().to_string();
    let setup = format!(
        "hostname first\nip link set lo up\nip link add d0 type veth peer name d1\nip addr add 10.78.0.2/24 dev d0\n\
        echo x >{path}\nexec 9<{path}\nrm {path}"
    );
    let one = Holder::new(&["-m", "-p", "-f", "-u", "-n"], &setup);
    let two = Holder::new(&["-m", "-p", "-f", "-u", "-n"], "hostname second\nip link set lo up");
    let listen = |port: u16| move || TcpListener::bind(("0.0.0.0", port)).expect("bound");
    let sockets = [(&one, 8077), (&one, 8078), (&two, 8077)];
    let mut children = sockets.map(|(holder, port)| held_inside(holder, inside(holder, listen(port))));
    let (first, second) = (one.pid.to_string(), two.pid.to_string());
    let json: Value =
        serde_json::from_str(&stdout(&inspect(&["-J", &first, "--diff", &second]))).expect("JSON");
    let sides = |path: &str| {
        let found = at(&json, path).unwrap_or_else(|| panic!("{path}: {json}"));
        (found["a"].clone(), found["b"].clone())
    };
    assert_eq!(sides("namespaces.hostname"), (json!("first"), json!("second")));
    assert_eq!(sides("network.interfaces.d0.addresses"), (json!(["10.78.0.2/24"]), Value::Null));
    assert_eq!(sides("network.listening"), (json!(["tcp *:8077", "tcp *:8078"]), json!(["tcp *:8077"])));
    assert!(at(&json, "network.interfaces.lo.addresses").is_none(), "{json}");
    let text = stdout(&inspect(&[&first, "--diff", &second]));
    let row = |path: &str| {
        let line = text.lines().find(|line| line.starts_with(path)).unwrap_or_else(|| panic!("{text}"));
        line.trim_start_matches(path)
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect::<Vec<_>>()
    };
    assert_eq!(row("network.listening"), ["tcp *:8078", "-"]);
    // In memory it takes no room on a disk.
    if at(&json, "files.deleted").is_some() {
        assert_eq!(sides("files.deleted"), (json!([path]), json!([])));
        assert!(text.contains("none"), "an empty list: {text}");
    }
    drop((one, two));
    children.iter_mut().for_each(|child| _ = child.wait());
}
