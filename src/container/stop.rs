//! The signal with which a runtime stops a container, from its state files.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::runtimes::{docker_configs, docker_states};
use super::{Container, Files, Runtime};

/// The parts of the OCI `config.json`.
#[derive(Deserialize, Default)]
struct Spec {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// The parts of Docker's `config.v2.json`.
#[derive(Deserialize)]
struct State {
    #[serde(rename = "Config", default)]
    config: Option<Inner>,
}

#[derive(Deserialize, Default)]
struct Inner {
    #[serde(rename = "StopSignal", default)]
    stop_signal: Option<String>,
}

/// As the state file has it (`SIGQUIT`, `15`, `RTMIN+3`), else the runtime's default. None: the runtime does not send
/// one and the same signal to all of its containers.
pub(crate) fn stop_signal(files: &Files, container: &Container) -> Option<String> {
    const TERM: &str = "TERM";
    let files = match container.owner {
        0 => files.clone(),
        user => files.of_user(user),
    };
    match container.runtime {
        Runtime::Docker | Runtime::K8s | Runtime::Podman | Runtime::Nerdctl | Runtime::Ecs => {
            let annotated = configs(&files, container).iter().find_map(|path| signal_of_spec(&files, path));
            let signal = annotated.or_else(|| signal_of_dockerd(&files, container));
            signal.or_else(|| Some(TERM.to_owned()))
        }
        Runtime::Runc | Runtime::Crun | Runtime::Youki | Runtime::Containerd => Some(TERM.to_owned()),
        Runtime::Lxc | Runtime::Lxd | Runtime::Incus => Some("PWR".to_owned()),
        _ => None,
    }
}

fn configs(files: &Files, container: &Container) -> Vec<String> {
    container.config.clone().map_or_else(|| docker_configs(files, container), |path| vec![path])
}

/// What the OCI `config.json` of a container says.
pub(crate) fn runtime_config<T: DeserializeOwned>(files: &Files, container: &Container) -> Option<T> {
    let files = match container.owner {
        0 => files.clone(),
        user => files.of_user(user),
    };
    configs(&files, container).iter().find_map(|path| files.json(path))
}

fn signal_of_spec(files: &Files, path: &str) -> Option<String> {
    files.json::<Spec>(path)?.annotations?.remove("org.opencontainers.image.stopSignal")
}

fn signal_of_dockerd(files: &Files, container: &Container) -> Option<String> {
    if container.engine != Runtime::Docker.name() {
        return None;
    }
    let of_state = |path: &String| files.json::<State>(path)?.config?.stop_signal;
    let signal = docker_states(files, container).iter().find_map(of_state);
    signal.filter(|signal| !signal.is_empty())
}
