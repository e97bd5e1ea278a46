//! The texts of Podman's database, sorted by container: the database is searched once for all of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::podman_state::{CONFIG, STATE, memmem};

/// A part of the configuration.
#[derive(Deserialize, Default)]
pub(super) struct Config {
    #[serde(default)]
    id: String,
    #[serde(default)]
    entrypoint: Option<Vec<String>>,
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "exposedPorts", default)]
    exposed: Option<BTreeMap<u16, Vec<String>>>,
}

#[derive(Deserialize)]
struct State {
    #[serde(rename = "runDir", default)]
    directory: String,
}

/// What the database has of one container.
#[derive(Default)]
pub(super) struct Texts {
    /// Its configuration and its states, one after the other.
    pub all: Vec<u8>,
    pub config: Config,
}

impl Config {
    pub(super) fn command(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.command).flatten().cloned().collect()
    }

    pub(super) fn labels(&self) -> Vec<(String, String)> {
        self.labels.clone().unwrap_or_default().into_iter().collect()
    }

    pub(super) fn exposed(&self) -> Vec<String> {
        let each = |(port, protocols): (&u16, &Vec<String>)| {
            protocols.iter().map(|protocol| format!("{port}/{protocol}")).collect::<Vec<_>>()
        };
        self.exposed.iter().flatten().flat_map(each).collect()
    }
}

pub(super) fn by_id(database: &[u8]) -> BTreeMap<String, Texts> {
    let mut found: BTreeMap<String, Texts> = BTreeMap::new();
    each(database, CONFIG, |config: Config, text| {
        let texts = found.entry(config.id.clone()).or_default();
        texts.all.extend_from_slice(text);
        // The first one counts, as for ports.
        if texts.config.id.is_empty() {
            texts.config = config;
        }
    });
    each(database, STATE, |state: State, text| {
        // `…/overlay-containers/ID/userdata`
        let id = state.directory.rsplit('/').nth(1).unwrap_or_default();
        found.entry(id.to_owned()).or_default().all.extend_from_slice(text);
    });
    found
}

fn each<T: DeserializeOwned>(database: &[u8], begin: &[u8], mut take: impl FnMut(T, &[u8])) {
    let mut rest = database;
    while let Some(at) = memmem(rest, begin) {
        let text = &rest[at..];
        rest = &text[begin.len()..];
        let mut stream = serde_json::Deserializer::from_slice(text).into_iter::<T>();
        if let Some(Ok(found)) = stream.next() {
            take(found, &text[..stream.byte_offset()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_sorted_by_container() {
        let text = br#"x{"spec":{"a":1},"id":"abc","command":["sleep","9"],"entrypoint":["/init"],"exposedPorts":{"80":["tcp","udp"]}}y
{"spec":{"a":2},"id":"abc","command":["old"]} {"state":5,"runDir":"/run/x/abc/userdata"}{"state":{"spec":"#;
        let mut all = by_id(text);
        let found = all.remove("abc").expect("found");
        assert_eq!(found.config.command(), ["/init", "sleep", "9"]);
        assert_eq!(found.config.exposed(), ["80/tcp", "80/udp"]);
        assert!(found.all.ends_with(br#"{"state":5,"runDir":"/run/x/abc/userdata"}"#));
        assert!(all.is_empty());
    }
}
