//! What else `config.v2.json` says of a container: the command and the ports that the image exposes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::container::Files;

#[derive(Deserialize, Default)]
struct Config {
    #[serde(rename = "Path", default)]
    path: String,
    #[serde(rename = "Args", default)]
    arguments: Option<Vec<String>>,
    #[serde(rename = "Config", default)]
    config: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    /// By `PORT/PROTOCOL`.
    #[serde(rename = "ExposedPorts", default)]
    exposed: Option<BTreeMap<String, IgnoredAny>>,
}

/// The command and the exposed ports of the container whose state files are in that directory.
pub(super) fn read(files: &Files, directory: &str, id: &str) -> (Vec<String>, Vec<String>) {
    let config: Config = files.json(&format!("{directory}/{id}/config.v2.json")).unwrap_or_default();
    let exposed = config.config.and_then(|config| config.exposed).unwrap_or_default();
    let command = std::iter::once(config.path).chain(config.arguments.into_iter().flatten());
    let mut command: Vec<String> = command.collect();
    if command[0].is_empty() {
        command.remove(0);
    }
    (command, exposed.into_keys().collect())
}
