//! Docker: `ROOT/containers/ID/config.v2.json`, written by the daemon whenever something changes.

use std::cell::OnceCell;
use std::collections::HashMap;

use nix::unistd::Pid;
use serde::Deserialize;

use super::cgroup_path::is_id;
use super::records::Records;
use super::{Container, Files, Runtime, seconds};

/// Where the daemon keeps its data unless told otherwise; the snap is told otherwise.
const ROOTS: [&str; 2] = ["/var/lib/docker", "/var/snap/docker/common/var-lib-docker"];

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Created", default)]
    created: String,
    #[serde(rename = "State", default)]
    state: State,
    #[serde(rename = "Config", default)]
    config: Inner,
}

#[derive(Deserialize, Default)]
struct State {
    #[serde(rename = "Running", default)]
    running: bool,
    #[serde(rename = "Pid", default)]
    pid: i32,
}

#[derive(Deserialize, Default)]
struct Inner {
    #[serde(rename = "Image", default)]
    image: Option<String>,
    #[serde(rename = "Labels", default)]
    labels: Option<HashMap<String, String>>,
}

/// The data roots that are there, looked for once.
#[derive(Default)]
pub struct Docker {
    roots: OnceCell<Vec<String>>,
}

impl Records for Docker {
    fn ids(&self, files: &Files) -> Vec<String> {
        let all = self.roots(files).iter().flat_map(|root| files.list(root));
        all.filter(|id| is_id(id)).collect()
    }

    fn load(&self, files: &Files, id: &str) -> Option<Container> {
        let configs = self.roots(files).iter().map(|root| format!("{root}/{id}/config.v2.json"));
        configs.into_iter().find_map(|path| files.json(&path)).map(|config| container(id, config))
    }
}

impl Docker {
    fn roots(&self, files: &Files) -> &[String] {
        let there = || {
            ROOTS.iter().map(|root| format!("{root}/containers")).filter(|root| files.exists(root)).collect()
        };
        self.roots.get_or_init(there)
    }
}

fn container(id: &str, config: Config) -> Container {
    let init = (config.state.running && config.state.pid > 0).then(|| Pid::from_raw(config.state.pid));
    let mut container = Container {
        name: Some(config.name.trim_start_matches('/').to_owned()).filter(|name| !name.is_empty()),
        image: config.config.image,
        created: seconds(&config.created),
        init,
        ..Container::new(Runtime::Docker, id)
    };
    // A kubelet over dockerd (cri-dockerd) writes down in labels what it asked for.
    let labels = config.config.labels.unwrap_or_default();
    let label = |name: &str| labels.get(&format!("io.kubernetes.{name}")).cloned();
    if let (Some(pod), Some(namespace), Some(name)) =
        (label("pod.name"), label("pod.namespace"), label("container.name"))
    {
        container.runtime = Runtime::K8s;
        container.name = Some(format!("{namespace}/{pod}/{name}"));
        container.pod = Some(pod);
        container.pod_namespace = Some(namespace);
    }
    container
}
