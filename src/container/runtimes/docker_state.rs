//! All that Docker's state files say of one container: `config.v2.json`, `hostconfig.json`, and the image layers.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::container::details::{Ending, Layers, Port};
use crate::container::{Files, seconds};

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "State", default)]
    state: State,
    #[serde(rename = "NetworkSettings", default)]
    network: Option<Network>,
    #[serde(rename = "Driver", default)]
    driver: Option<String>,
}

#[derive(Deserialize, Default)]
struct State {
    #[serde(rename = "Running", default)]
    running: bool,
    #[serde(rename = "OOMKilled", default)]
    oom_killed: bool,
    #[serde(rename = "ExitCode", default)]
    exit_code: i64,
    #[serde(rename = "Error", default)]
    error: String,
    #[serde(rename = "StartedAt", default)]
    started: String,
    #[serde(rename = "FinishedAt", default)]
    finished: String,
}

#[derive(Deserialize, Default)]
struct Network {
    #[serde(rename = "Ports", default)]
    ports: Option<Ports>,
}

#[derive(Deserialize)]
struct HostConfig {
    #[serde(rename = "PortBindings", default)]
    bindings: Option<Ports>,
}

/// By `PORT/PROTOCOL`.
type Ports = BTreeMap<String, Option<Vec<Binding>>>;

#[derive(Deserialize)]
struct Binding {
    #[serde(rename = "HostIp", default)]
    address: String,
    #[serde(rename = "HostPort", default)]
    port: String,
}

/// Of the container whose state files are in that directory.
pub(super) fn read(files: &Files, directory: &str, id: &str) -> Option<(Ending, Layers, Vec<Port>)> {
    let config: Config = files.json(&format!("{directory}/{id}/config.v2.json"))?;
    // A failed start leaves ports behind in the first file.
    let ports = match config.state.running {
        true => config.network.and_then(|network| network.ports),
        false => {
            let asked: Option<HostConfig> = files.json(&format!("{directory}/{id}/hostconfig.json"));
            asked.and_then(|asked| asked.bindings)
        }
    };
    let root = directory.strip_suffix("/containers").unwrap_or(directory);
    let layers = match config.driver.as_deref() {
        Some("overlay2") => overlay(files, root, id),
        _ => Layers::default(),
    };
    let layers = Layers { driver: config.driver, ..layers };
    Some((ending(config.state), layers, listed(ports.unwrap_or_default())))
}

fn ending(state: State) -> Ending {
    // Times that did not come yet are in the year 1.
    let time = |text: &str| seconds(text).filter(|_| !text.starts_with("0001-"));
    let started = time(&state.started);
    let ended = !state.running && started.is_some();
    Ending {
        was_started: started.is_some(),
        exit_code: (!state.running && (ended || state.exit_code != 0)).then_some(state.exit_code),
        oom_killed: ended.then_some(state.oom_killed),
        finished: time(&state.finished).filter(|_| !state.running),
        error: Some(state.error).filter(|error| !error.is_empty()),
        started,
    }
}

fn listed(ports: Ports) -> Vec<Port> {
    let mut found = Vec::new();
    for (inside, bindings) in ports {
        let (port, protocol) = inside.split_once('/').unwrap_or((&inside, "tcp"));
        for binding in bindings.unwrap_or_default() {
            // A range is listed port by port when the container runs, not before.
            let host_port = binding.port.split('-').next().and_then(|port| port.parse().ok());
            found.push(Port {
                protocol: protocol.to_owned(),
                host_address: Some(binding.address).filter(|address| !address.is_empty()),
                host_port: host_port.filter(|port| *port != 0),
                port: port.parse().ok(),
            });
        }
    }
    found
}

fn overlay(files: &Files, root: &str, id: &str) -> Layers {
    /// overlayfs takes no more.
    const MOST: usize = 500;
    let text = |path: String| Some(String::from_utf8(files.read(&path)?).ok()?.trim().to_owned());
    let layerdb = format!("{root}/image/overlay2/layerdb");
    let is_name = |name: &String| !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    let Some(mount) = text(format!("{layerdb}/mounts/{id}/mount-id")).filter(is_name) else {
        return Layers::default();
    };
    let diff = |name: &str| format!("{root}/overlay2/{name}/diff");
    let mut lower = Vec::new();
    lower.extend(text(format!("{layerdb}/mounts/{id}/init-id")).filter(is_name).map(|name| diff(&name)));
    let mut above = format!("{layerdb}/mounts/{id}");
    while let Some(digest) = text(format!("{above}/parent")).filter(|_| lower.len() < MOST) {
        let Some(digest) = digest.strip_prefix("sha256:").map(str::to_owned).filter(is_name) else { break };
        above = format!("{layerdb}/sha256/{digest}");
        lower.extend(text(format!("{above}/cache-id")).filter(is_name).map(|name| diff(&name)));
    }
    let work = Some(format!("{root}/overlay2/{mount}/work"));
    Layers { upper: Some(diff(&mount)), work, lower, driver: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_by_protocol_and_address() {
        let text = r#"{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8081"},{"HostIp":"","HostPort":""}],"9/udp":null}"#;
        let found = listed(serde_json::from_str(text).expect("JSON"));
        let port = |host_address: Option<&str>, host_port| Port {
            protocol: "tcp".to_owned(),
            host_address: host_address.map(str::to_owned),
            host_port,
            port: Some(80),
        };
        assert_eq!(found, [port(Some("127.0.0.1"), Some(8081)), port(None, None)]);
    }

    #[test]
    fn a_container_that_was_never_started_did_not_end() {
        let never = "0001-01-01T00:00:00Z";
        let state = |started: &str, exit_code| State {
            started: started.to_owned(),
            finished: never.to_owned(),
            exit_code,
            ..State::default()
        };
        assert_eq!(ending(state(never, 0)), Ending::default());
        assert_eq!(ending(state(never, 127)).exit_code, Some(127));
        let ended = ending(state("2024-01-01T00:00:00.5Z", 0));
        assert_eq!((ended.exit_code, ended.oom_killed, ended.finished), (Some(0), Some(false), None));
    }
}
