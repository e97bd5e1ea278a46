//! All that Docker's state files say of one container: `config.v2.json`, `hostconfig.json`, and the image layers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::container::details::{Ending, Layers, Port, Uses};
use crate::container::{Files, has_come, seconds};

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "State", default)]
    state: State,
    #[serde(rename = "HasBeenManuallyStopped", default)]
    stopped_by_user: Option<bool>,
    #[serde(rename = "NetworkSettings", default)]
    network: Option<Network>,
    #[serde(rename = "Driver", default)]
    driver: Option<String>,
    /// By the path in the container.
    #[serde(rename = "MountPoints", default)]
    mounts: Option<BTreeMap<String, MountPoint>>,
    #[serde(rename = "Path", default)]
    path: String,
    #[serde(rename = "Args", default)]
    arguments: Option<Vec<String>>,
    #[serde(rename = "Config", default)]
    of_image: Option<OfImage>,
}

#[derive(Deserialize)]
struct OfImage {
    /// By `PORT/PROTOCOL`.
    #[serde(rename = "ExposedPorts", default)]
    exposed: Option<BTreeMap<String, IgnoredAny>>,
}

#[derive(Deserialize)]
struct MountPoint {
    #[serde(rename = "Source", default)]
    source: String,
}

#[derive(Deserialize, Default)]
struct State {
    #[serde(rename = "Running", default)]
    running: bool,
    /// Docker then says that it runs, too.
    #[serde(rename = "Restarting", default)]
    restarting: bool,
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
    /// By the name of the network.
    #[serde(rename = "Networks", default)]
    networks: Option<BTreeMap<String, Endpoint>>,
}

#[derive(Deserialize, Default)]
struct Endpoint {
    #[serde(rename = "IPAddress", default)]
    v4: String,
    #[serde(rename = "GlobalIPv6Address", default)]
    v6: String,
    #[serde(rename = "MacAddress", default)]
    mac: String,
    #[serde(rename = "IPAMConfig", default)]
    asked: Option<Asked>,
}

/// The addresses that were asked for. They stay when the container stops.
#[derive(Deserialize, Default)]
struct Asked {
    #[serde(rename = "IPv4Address", default)]
    v4: String,
    #[serde(rename = "IPv6Address", default)]
    v6: String,
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

/// What is not a name of a container.
pub(super) struct Rest {
    pub ending: Ending,
    pub layers: Layers,
    pub ports: Vec<Port>,
    pub uses: Uses,
    pub command: Vec<String>,
    /// Ports of the container that the image names: `80/tcp`.
    pub exposed: Vec<String>,
}

/// Of the container whose state files are in that directory. The layers are in a dozen other files.
pub(super) fn read(files: &Files, directory: &str, id: &str, with_layers: bool) -> Option<Rest> {
    let config: Config = files.json(&format!("{directory}/{id}/config.v2.json"))?;
    // A failed start leaves ports behind in the first file.
    let (ports, networks) = config.network.map(|found| (found.ports, found.networks)).unwrap_or_default();
    let ports = match config.state.running {
        true => ports,
        false => {
            let asked: Option<HostConfig> = files.json(&format!("{directory}/{id}/hostconfig.json"));
            asked.and_then(|asked| asked.bindings)
        }
    };
    let root = directory.strip_suffix("/containers").unwrap_or(directory);
    let layers = match config.driver.as_deref() {
        Some("overlay2") if with_layers => overlay(files, root, id),
        _ => Layers::default(),
    };
    let mounts = config.mounts.unwrap_or_default().into_iter();
    let mounts = mounts.map(|(target, mount)| (mount.source, target));
    let command = std::iter::once(config.path).filter(|path| !path.is_empty());
    let exposed = config.of_image.and_then(|image| image.exposed).unwrap_or_default();
    Some(Rest {
        ending: ending(config.state, config.stopped_by_user),
        layers: Layers { driver: config.driver, ..layers },
        ports: listed(ports.unwrap_or_default()),
        uses: Uses {
            mounts: mounts.filter(|(source, _)| !source.is_empty()).collect(),
            ..networks_of(networks.unwrap_or_default())
        },
        command: command.chain(config.arguments.into_iter().flatten()).collect(),
        exposed: exposed.into_keys().collect(),
    })
}

fn networks_of(all: BTreeMap<String, Endpoint>) -> Uses {
    let mut found = Uses::default();
    for endpoint in all.into_values() {
        let asked = endpoint.asked.unwrap_or_default();
        let all = [endpoint.v4, endpoint.v6, asked.v4, asked.v6];
        found.addresses.extend(all.into_iter().filter_map(|ip| ip.parse::<IpAddr>().ok()));
        found.macs.extend(Some(endpoint.mac.to_ascii_lowercase()).filter(|mac| !mac.is_empty()));
    }
    found.addresses.sort_unstable();
    found.addresses.dedup();
    found
}

/// The containers that have a layer, by the name of its directory, each with the layer's place above the others: 0 is
/// the writable one.
pub(super) fn with_layer(files: &Files, root: &str, layer: &str) -> Vec<(String, bool)> {
    let text = |path: String| Some(String::from_utf8(files.read(&path)?).ok()?.trim().to_owned());
    let layerdb = format!("{root}/image/overlay2/layerdb");
    let mounts = files.list(&format!("{layerdb}/mounts"));
    let has =
        |id: &String, file: &str| text(format!("{layerdb}/mounts/{id}/{file}")).as_deref() == Some(layer);
    let init = layer.ends_with("-init");
    let of_mount = mounts.iter().filter(|id| if init { has(id, "init-id") } else { has(id, "mount-id") });
    let found: Vec<(String, bool)> = of_mount.map(|id| (id.clone(), !init)).collect();
    if !found.is_empty() {
        return found;
    }
    let chains = files.list(&format!("{layerdb}/sha256"));
    let own = chains
        .iter()
        .find(|chain| text(format!("{layerdb}/sha256/{chain}/cache-id")).as_deref() == Some(layer));
    let Some(own) = own else { return Vec::new() };
    // The chains above it.
    let parent = |path: String| text(path).and_then(|text| Some(text.strip_prefix("sha256:")?.to_owned()));
    let parents: BTreeMap<&String, String> = chains
        .iter()
        .filter_map(|chain| Some((chain, parent(format!("{layerdb}/sha256/{chain}/parent"))?)))
        .collect();
    let is_above = |top: &String| {
        let mut chain = Some(top);
        let mut left = chains.len() + 1;
        while let Some(at) = chain.filter(|_| left > 0) {
            if at == own {
                return true;
            }
            (chain, left) = (parents.get(at), left - 1);
        }
        false
    };
    let of_image = mounts
        .into_iter()
        .filter(|id| parent(format!("{layerdb}/mounts/{id}/parent")).is_some_and(|top| is_above(&top)));
    of_image.map(|id| (id, false)).collect()
}

fn ending(state: State, stopped_by_user: Option<bool>) -> Ending {
    let time = |text: &str| seconds(text).filter(|_| has_come(text));
    let was_started = has_come(&state.started);
    let runs = state.running && !state.restarting;
    let ended = !runs && was_started;
    Ending {
        was_started,
        restarts: state.restarting,
        exit_code: (!runs && (ended || state.exit_code != 0)).then_some(state.exit_code),
        oom_killed: ended.then_some(state.oom_killed),
        stopped_by_user: stopped_by_user.filter(|_| ended),
        finished: time(&state.finished).filter(|_| !runs),
        error: Some(state.error).filter(|error| !error.is_empty()),
        started: time(&state.started),
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
        assert_eq!(ending(state(never, 0), Some(true)), Ending::default());
        assert_eq!(ending(state(never, 127), None).exit_code, Some(127));
        let ended = ending(state("2024-01-01T00:00:00.5Z", 0), None);
        assert_eq!((ended.exit_code, ended.oom_killed, ended.finished), (Some(0), Some(false), None));
        let odd = ending(state("2024-13-45T00:00:00Z", 3), None);
        assert_eq!((odd.status(), odd.exit_code, odd.started), ("exited", Some(3), None));
    }
}
