//! Helpers for the tests of `ctr-whose` on hosts made of files: its answers, and containers of Docker and Podman.

use std::process::Output;

use serde_json::Value;

use super::layout::{Layout, id};
use super::process::limited;
use super::{applet, stderr, stdout};

pub const DOCKER: &str = "var/lib/docker";

pub fn whose(layout: &Layout, arguments: &[&str]) -> Output {
    limited(applet("ctr-whose").arg("--root").arg(layout.host.root()).args(arguments))
}

/// The things of a JSON output.
pub fn things(layout: &Layout, words: &[&str]) -> Vec<Value> {
    let output = whose(layout, &[&["-J"], words].concat());
    let json: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    json["things"].as_array().expect("a list").clone()
}

/// Container, role and source of each answer, of all readings of a word.
pub fn answers(layout: &Layout, word: &str) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = things(layout, &[word]);
    let all = all.iter().flat_map(|thing| thing["answers"].as_array().expect("a list"));
    let mut found: Vec<_> = all.map(|one| ["container", "role", "by"].map(|key| text(&one[key]))).collect();
    found.sort();
    found
}

pub fn of(container: &str, role: &str, by: &str) -> [String; 3] {
    [container, role, by].map(str::to_owned)
}

/// A container of Docker with two layers of an image, which share the lower one.
pub fn docker(layout: &Layout, name: &str, number: u32, pid: Option<i64>, more: &str) -> String {
    let id = id(number);
    let directory = format!("{DOCKER}/containers/{id}");
    let state = match pid {
        Some(pid) => format!(r#""Running":true,"Pid":{pid},"StartedAt":"2024-01-01T00:00:01Z""#),
        None => r#""Running":false,"Pid":0,"StartedAt":"2024-01-01T00:00:01Z","ExitCode":0"#.to_owned(),
    };
    let config = format!(
        r#"{{"Name":"/{name}","Driver":"overlay2","State":{{{state}}},
        "Config":{{"Image":"nginx:1","Hostname":"{name}-host"}}{more}}}"#
    );
    layout.file(format!("{directory}/config.v2.json"), config);
    layout.file(format!("{directory}/hostconfig.json"), "{}");
    let layers = format!("{DOCKER}/image/overlay2/layerdb");
    layout.file(format!("{layers}/mounts/{id}/mount-id"), format!("up{number}"));
    layout.file(format!("{layers}/mounts/{id}/init-id"), format!("up{number}-init"));
    layout.file(format!("{layers}/mounts/{id}/parent"), format!("sha256:top{number}"));
    layout.file(format!("{layers}/sha256/top{number}/cache-id"), format!("image{number}"));
    layout.file(format!("{layers}/sha256/top{number}/parent"), "sha256:base");
    layout.file(format!("{layers}/sha256/base/cache-id"), "base");
    if let Some(pid) = pid {
        layout.process(pid, 0, &format!("/docker/{id}"), 777);
    }
    id
}

/// `web` runs, `old` does not.
pub fn two(name: &str) -> (Layout, String, String) {
    let layout = Layout::new(name);
    let network = r#","NetworkSettings":{"Networks":{"bridge":{"IPAddress":"172.17.0.9","MacAddress":"02:42:AC:11:00:09"},
        "own":{"IPAMConfig":{"IPv4Address":"10.50.1.99"},"IPAddress":"","MacAddress":""}, "none":{"IPAMConfig":null}}},
        "MountPoints":{"/data":{"Source":"/srv/data"}}"#;
    let ports = r#","NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8081"}]}}"#;
    let web = docker(&layout, "web", 0xabc, Some(100), ports);
    let old = docker(&layout, "old", 0xabd, None, network);
    (layout, web, old)
}

/// Podman's list of containers: number, name, and the uppermost layer.
pub fn podman(layout: &Layout, storage: &str, all: &[(u32, &str, &str)]) {
    let entry = |(number, name, layer): &(u32, &str, &str)| {
        format!(r#"{{"id":"{}","names":["{name}"],"layer":"{layer}"}}"#, id(*number))
    };
    let list = all.iter().map(entry).collect::<Vec<_>>().join(",");
    layout.file(format!("{storage}/overlay-containers/containers.json"), format!("[{list}]"));
}
