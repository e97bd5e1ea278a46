//! The texts of Podman's database, sorted by container: the database is searched once for all of them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::podman_state::{CONFIG, STATE, parts};

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

/// None if the database does not have it.
pub(super) fn of(database: &[u8], id: &str) -> Option<Config> {
    parts::<Config>(database, CONFIG).map(|(config, _)| config).find(|config| config.id == id)
}

pub(super) fn by_id(database: &[u8]) -> BTreeMap<String, Texts> {
    let mut found: BTreeMap<String, Texts> = BTreeMap::new();
    for (config, text) in parts::<Config>(database, CONFIG) {
        let texts = found.entry(config.id.clone()).or_default();
        texts.all.extend_from_slice(text);
        // The first one counts, as for ports.
        if texts.config.id.is_empty() {
            texts.config = config;
        }
    }
    for (state, text) in parts::<State>(database, STATE) {
        // `…/overlay-containers/ID/userdata`
        let id = state.directory.rsplit('/').nth(1).unwrap_or_default();
        found.entry(id.to_owned()).or_default().all.extend_from_slice(text);
    }
    found
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

    /// Without the limit these do not end within an hour, and the second one takes terabytes.
    #[test]
    fn hostile_databases_are_not_parsed_again_and_again() {
        let ends = |text: Vec<u8>| by_id(&text).values().map(|texts| texts.all.len()).sum::<usize>();
        assert_eq!(ends(STATE.repeat(1 << 20)), 0);
        let nested = [CONFIG.repeat(1 << 16), b"1".to_vec(), b"}".repeat(1 << 16)].concat();
        let (length, kept) = (nested.len(), ends(nested));
        assert!(kept <= 4 * length + (1 << 20), "{kept} bytes of {length}");
    }
}
