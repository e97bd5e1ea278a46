//! Podman, rootful: the list of containers in its storage, and the OCI runtime's word for the init process.

use std::cell::OnceCell;
use std::collections::HashMap;

use nix::unistd::Pid;
use serde::Deserialize;

use super::cgroup_path::is_id;
use super::records::Records;
use super::{Container, Files, Runtime, seconds};

const STORAGE: &str = "/var/lib/containers/storage";
const RUN: &str = "/run/containers/storage";

/// The lists, read once: one file names all containers of a storage driver.
#[derive(Default)]
pub struct Podman {
    all: OnceCell<HashMap<String, Listed>>,
}

struct Listed {
    /// `overlay-containers`, `vfs-containers`.
    directory: String,
    name: Option<String>,
    image: Option<String>,
    created: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    created: String,
    /// JSON again, in a string.
    #[serde(default)]
    metadata: String,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(rename = "image-name", default)]
    image_name: Option<String>,
}

#[derive(Deserialize, Default)]
struct Spec {
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    annotations: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
struct CrunStatus {
    pid: i32,
}

#[derive(Deserialize)]
struct RuncState {
    init_process_pid: i32,
}

impl Records for Podman {
    fn ids(&self, files: &Files) -> Vec<String> {
        self.all(files).keys().cloned().collect()
    }

    fn load(&self, files: &Files, id: &str) -> Option<Container> {
        let listed = self.all(files).get(id)?;
        let spec = spec(files, &listed.directory, id);
        // The storage is shared with CRI-O and buildah, which write the same annotations and none.
        let annotations = spec.annotations.unwrap_or_default();
        if annotations.get("io.container.manager").is_none_or(|manager| manager != "libpod") {
            return None;
        }
        // The pod's name stands in Podman's database alone; its infra container has it as host name.
        let infra = listed.name.as_ref().is_some_and(|name| name.ends_with("-infra"))
            || listed.image.as_ref().is_some_and(|image| image.contains("podman-pause"));
        let pod = match annotations.get("io.kubernetes.cri-o.SandboxID") {
            Some(sandbox) if is_id(sandbox) => spec_of_listed(self, files, sandbox).hostname,
            _ if infra => spec.hostname,
            _ => None,
        };
        Some(Container {
            name: listed.name.clone(),
            pod,
            image: listed.image.clone(),
            created: listed.created.clone(),
            init: init(files, &listed.directory, id),
            ..Container::new(Runtime::Podman, id)
        })
    }
}

impl Podman {
    fn all(&self, files: &Files) -> &HashMap<String, Listed> {
        self.all.get_or_init(|| {
            let directories = files.list(STORAGE).into_iter().filter(|name| name.ends_with("-containers"));
            directories.flat_map(|directory| list(files, &directory)).collect()
        })
    }
}

fn list(files: &Files, directory: &str) -> Vec<(String, Listed)> {
    // Since Podman 4.4 containers of a transient store are listed in /run.
    let lists = [
        format!("{STORAGE}/{directory}/containers.json"),
        format!("{RUN}/{directory}/volatile-containers.json"),
    ];
    let entries = lists.iter().filter_map(|path| files.json::<Vec<Entry>>(path)).flatten();
    let entries = entries.filter(|entry| is_id(&entry.id));
    entries
        .map(|entry| {
            let metadata: Metadata = serde_json::from_str(&entry.metadata).unwrap_or_default();
            let name = entry.names.into_iter().next();
            let created = seconds(&entry.created);
            (entry.id, Listed { directory: directory.to_owned(), name, image: metadata.image_name, created })
        })
        .collect()
}

fn spec(files: &Files, directory: &str, id: &str) -> Spec {
    files.json(&format!("{STORAGE}/{directory}/{id}/userdata/config.json")).unwrap_or_default()
}

fn spec_of_listed(podman: &Podman, files: &Files, id: &str) -> Spec {
    podman.all(files).get(id).map(|listed| spec(files, &listed.directory, id)).unwrap_or_default()
}

/// The init process: from conmon's file, else as crun or runc wrote it down.
fn init(files: &Files, directory: &str, id: &str) -> Option<Pid> {
    let conmon = || files.number(&format!("{RUN}/{directory}/{id}/userdata/pidfile"));
    let crun = || files.json(&format!("/run/crun/{id}/status")).map(|status: CrunStatus| status.pid);
    let runc =
        || files.json(&format!("/run/runc/{id}/state.json")).map(|state: RuncState| state.init_process_pid);
    conmon().or_else(crun).or_else(runc).filter(|&pid| pid > 0).map(Pid::from_raw)
}
