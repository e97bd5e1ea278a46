//! What Podman's database says of one container. The database (bbolt, since Podman 4.8 SQLite) keeps JSON as text, so the
//! texts are searched for; pages that are free can have older ones.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::storage::Storage;
use crate::container::details::{Ending, Layers, Port, Uses};
use crate::container::{cut, has_come, seconds};

#[derive(Deserialize)]
struct State {
    #[serde(rename = "runDir", default)]
    directory: String,
    #[serde(rename = "startedTime", default)]
    started: String,
    #[serde(rename = "finishedTime", default)]
    finished: String,
    #[serde(rename = "exitCode", default)]
    exit_code: i64,
    #[serde(rename = "oomKilled", default)]
    oom_killed: bool,
    #[serde(rename = "stoppedByUser", default)]
    stopped_by_user: bool,
    /// By the name of the network.
    #[serde(rename = "networkStatus", default)]
    networks: Option<BTreeMap<String, NetworkStatus>>,
}

#[derive(Deserialize, Default)]
struct NetworkStatus {
    #[serde(default)]
    interfaces: Option<BTreeMap<String, Interface>>,
}

#[derive(Deserialize, Default)]
struct Interface {
    #[serde(rename = "mac_address", default)]
    mac: String,
    #[serde(default)]
    subnets: Option<Vec<Subnet>>,
}

#[derive(Deserialize, Default)]
struct Subnet {
    /// `10.88.0.5/16`
    #[serde(rename = "ipnet", default)]
    address: String,
}

/// The part of an OCI configuration that names files of the host.
#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    mounts: Option<Vec<SpecMount>>,
}

#[derive(Deserialize)]
struct SpecMount {
    #[serde(default)]
    source: String,
    #[serde(default)]
    destination: String,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    id: String,
    #[serde(rename = "newPortMappings", default)]
    ports: Option<Vec<Mapping>>,
}

#[derive(Deserialize)]
struct Mapping {
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    container_port: u16,
    #[serde(default)]
    host_port: u16,
    #[serde(default)]
    range: u16,
    #[serde(default)]
    protocol: String,
}

#[derive(Deserialize)]
struct StoredContainer {
    #[serde(default)]
    id: String,
    #[serde(default)]
    layer: String,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(default)]
    id: String,
    #[serde(default)]
    parent: String,
}

/// What a state begins with, and a configuration.
pub(super) const STATE: &[u8] = b"{\"state\":";
pub(super) const CONFIG: &[u8] = b"{\"spec\":";
/// Ports of one mapping that are listed.
const MOST_PORTS: u16 = 1_000;

pub(super) fn database(storage: &Storage) -> Vec<u8> {
    let paths = [format!("{}/libpod/bolt_state.db", storage.graph), format!("{}/db.sql", storage.graph)];
    paths.iter().find_map(|path| storage.files.read(path)).unwrap_or_default()
}

/// The parts that begin so and can be parsed, and their bytes. A user can write a database in which every part goes to
/// the end: in all, no more is parsed than a few times its length.
pub(super) fn parts<'a, T: DeserializeOwned + 'a>(
    database: &'a [u8],
    begin: &'static [u8],
) -> impl Iterator<Item = (T, &'a [u8])> + 'a {
    const LONGEST: usize = 1 << 20;
    let (mut rest, mut left) = (database, database.len().saturating_mul(4).saturating_add(LONGEST));
    std::iter::from_fn(move || {
        loop {
            let at = memmem(rest, begin)?;
            let text = &rest[at..][..(rest.len() - at).min(LONGEST)];
            rest = &rest[at + begin.len()..];
            let mut parts = serde_json::Deserializer::from_slice(text).into_iter::<T>();
            let part = parts.next();
            let parsed = match &part {
                Some(Err(error)) if error.line() == 1 => error.column(),
                Some(Err(_)) => text.len(),
                _ => parts.byte_offset(),
            };
            left = left.checked_sub(parsed)?;
            if let Some(Ok(found)) = part {
                return Some((found, &text[..parsed]));
            }
        }
    })
}

fn texts<'a, T: DeserializeOwned + 'a>(
    database: &'a [u8],
    begin: &'static [u8],
) -> impl Iterator<Item = T> + 'a {
    parts(database, begin).map(|(found, _)| found)
}

/// The position of a text that begins with `{`.
pub(super) fn memmem(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.iter().position(|byte| *byte == b'{')?;
        if text[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
}

pub(super) fn ports(database: &[u8], id: &str) -> Vec<Port> {
    let mut configs = texts::<Config>(database, CONFIG).filter(|config| config.id == id);
    configs.next().map(listed).unwrap_or_default()
}

/// The ports of all containers, by id.
pub(super) fn all_ports(database: &[u8]) -> BTreeMap<String, Vec<Port>> {
    let mut found = BTreeMap::new();
    for config in texts::<Config>(database, CONFIG) {
        found.entry(config.id.clone()).or_insert_with(|| listed(config));
    }
    found
}

fn listed(config: Config) -> Vec<Port> {
    let each = |mapping: Mapping| {
        let Mapping { host_ip, container_port, host_port, range, protocol } = mapping;
        (0..range.clamp(1, MOST_PORTS)).map(move |nth| Port {
            protocol: if protocol.is_empty() { "tcp".to_owned() } else { protocol.clone() },
            host_address: Some(host_ip.clone()).filter(|ip| !ip.is_empty()),
            host_port: host_port.checked_add(nth).filter(|_| host_port != 0),
            port: container_port.checked_add(nth),
        })
    };
    config.ports.unwrap_or_default().into_iter().flat_map(each).collect()
}

/// The times grow: the last state has the latest.
fn last_state(database: &[u8], id: &str) -> Option<State> {
    let is_its = |state: &State| state.directory.split('/').any(|part| part == id);
    let all = texts::<State>(database, STATE).filter(is_its);
    all.max_by_key(|state| (cut(&state.started), cut(&state.finished)))
}

pub(super) fn ending(database: &[u8], id: &str) -> Ending {
    let Some(last) = last_state(database, id) else { return Ending::default() };
    let time = |text: &str| seconds(text).filter(|_| has_come(text));
    let has_ended = has_come(&last.finished);
    Ending {
        was_started: has_come(&last.started),
        restarts: false,
        // A user can write any number.
        exit_code: has_ended.then_some(last.exit_code).filter(|code| (-1..=255).contains(code)),
        oom_killed: has_ended.then_some(last.oom_killed),
        stopped_by_user: has_ended.then_some(last.stopped_by_user),
        started: time(&last.started),
        finished: time(&last.finished),
        error: None,
    }
}

/// The networks from the database, the mounts from the OCI configuration.
pub(super) fn uses(storage: &Storage, database: &[u8], directory: &str, id: &str) -> Uses {
    let mut found = Uses::default();
    let last = last_state(database, id).and_then(|state| state.networks).unwrap_or_default();
    for interface in
        last.into_values().flat_map(|network| network.interfaces.unwrap_or_default().into_values())
    {
        let addresses = interface
            .subnets
            .unwrap_or_default()
            .into_iter()
            .filter_map(|subnet| subnet.address.split('/').next()?.parse::<IpAddr>().ok());
        found.addresses.extend(addresses);
        found.macs.extend(Some(interface.mac.to_ascii_lowercase()).filter(|mac| !mac.is_empty()));
    }
    let spec = storage.files.json::<Spec>(&storage.kept(directory, id, "config.json"));
    let binds = spec.and_then(|spec| spec.mounts).unwrap_or_default().into_iter();
    let binds = binds.filter(|mount| mount.source.starts_with('/') && mount.destination.starts_with('/'));
    found.mounts.extend(binds.map(|mount| (mount.source, mount.destination)));
    found
}

/// The containers that have a layer, each with whether it is the writable one.
pub(super) fn with_layer(storage: &Storage, directory: &str, layer: &str) -> Vec<(String, bool)> {
    let Storage { graph, files, .. } = storage;
    let read = |path: String| files.json::<Vec<StoredContainer>>(&path).unwrap_or_default();
    let lists = ["containers.json", "volatile-containers.json"];
    let all: Vec<StoredContainer> =
        lists.iter().flat_map(|list| read(format!("{graph}/{directory}/{list}"))).collect();
    let own: Vec<_> = all.iter().filter(|one| one.layer == layer).map(|one| (one.id.clone(), true)).collect();
    if !own.is_empty() {
        return own;
    }
    let driver = directory.trim_end_matches("-containers");
    let known: Vec<Layer> = files.json(&format!("{graph}/{driver}-layers/layers.json")).unwrap_or_default();
    let parents: BTreeMap<&str, &str> = known.iter().map(|one| (&*one.id, &*one.parent)).collect();
    let has = |one: &&StoredContainer| {
        let above = std::iter::successors(Some(&*one.layer), |name| parents.get(name).copied());
        above.take(known.len() + 1).any(|name| name == layer)
    };
    all.iter().filter(has).map(|one| (one.id.clone(), false)).collect()
}

pub(super) fn layers(storage: &Storage, directory: &str, id: &str) -> Layers {
    const MOST: usize = 500;
    let Storage { graph, files, .. } = storage;
    let driver = directory.trim_end_matches("-containers");
    let of_driver = Layers { driver: Some(driver.to_owned()), ..Layers::default() };
    let read = |path: String| files.json::<Vec<StoredContainer>>(&path).unwrap_or_default();
    let lists = ["containers.json", "volatile-containers.json"];
    let mut all = lists.iter().flat_map(|list| read(format!("{graph}/{directory}/{list}")));
    let Some(layer) = all.find(|one| one.id == id).map(|one| one.layer).filter(|_| driver == "overlay")
    else {
        return of_driver;
    };
    let known: Vec<Layer> = files.json(&format!("{graph}/overlay-layers/layers.json")).unwrap_or_default();
    let parent = |name: &str| known.iter().find(|one| one.id == name).map(|one| one.parent.clone());
    let diff = |name: &str| format!("{graph}/overlay/{name}/diff");
    let mut lower = Vec::new();
    let mut above = parent(&layer);
    while let Some(name) = above.filter(|name| !name.is_empty() && lower.len() < MOST) {
        lower.push(diff(&name));
        above = parent(&name);
    }
    Layers {
        upper: Some(diff(&layer)),
        work: Some(format!("{graph}/overlay/{layer}/work")),
        lower,
        ..of_driver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_state_counts() {
        let state = |started: &str, finished: &str, code: i64| {
            format!(
                r#"{{"state":5,"runDir":"/run/x/abc/userdata","startedTime":"{started}","finishedTime":"{finished}","exitCode":{code}}}"#
            )
        };
        let never = "0001-01-01T00:00:00Z";
        let (first, second) = ("2024-01-01T00:00:00Z", "2024-01-01T00:00:09Z");
        let text =
            [state(first, second, 137), "\0junk{\"state\":".to_owned(), state(first, never, 0)].concat();
        let found = ending(text.as_bytes(), "abc");
        assert_eq!((found.exit_code, found.finished.as_deref()), (Some(137), Some(second)));
        assert_eq!(ending(text.as_bytes(), "abd"), Ending::default());
        // That it ended is known, only not when.
        let odd = ending(state(first, "2024-13-45T00:00:00Z", 3).as_bytes(), "abc");
        assert_eq!((odd.status(), odd.exit_code, odd.finished), ("exited", Some(3), None));
    }

    #[test]
    fn ranges_of_ports() {
        let text = br#"x{"spec":{"a":{}},"id":"abc","newPortMappings":[{"host_ip":"","container_port":80,"host_port":8080,"range":2,"protocol":"udp"}]}y"#;
        let found = ports(text, "abc");
        let numbers: Vec<_> = found.iter().map(|one| (one.host_port, one.port)).collect();
        assert_eq!(numbers, [(Some(8080), Some(80)), (Some(8081), Some(81))]);
        assert!(ports(text, "abd").is_empty());
    }

    /// Without the limit this does not end within an hour.
    #[test]
    fn a_hostile_database_is_not_parsed_again_and_again() {
        let text = STATE.repeat(1 << 20);
        assert_eq!(ending(&text, "abc"), Ending::default());
    }
}
