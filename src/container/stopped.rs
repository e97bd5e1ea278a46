//! Answers from the state files of all stores, one question at a time: names, layers, networks, ports. [`super::records`]
//! reads everything of all containers for a list.

use std::collections::BTreeSet;

use memchr::memmem::Finder;

use super::details::{Details, Ending, Layers, Port, Uses};
use super::logged::is_logged;
use super::matching::split_runtime;
use super::runtimes::{
    Docker, Podman, StateReader, Store, docker_details, docker_mentioning, docker_with_layer,
    podman_all_ports, podman_details, podman_ports, podman_stopped, podman_with_layer,
};
use super::{Container, Files, Runtime};
use crate::order;
use crate::sys::keyed::HashSet;

/// The readers of all stores. Each directory is listed once.
pub(crate) struct Stores<'a> {
    files: &'a Files,
    docker: Docker,
    podman: Podman,
    /// Those of the other stores, in the order in which a container of several stores is named.
    others: Vec<Box<dyn StateReader>>,
}

impl<'a> Stores<'a> {
    #[must_use]
    pub(crate) fn new(files: &'a Files) -> Stores<'a> {
        let (docker, podman) = (Docker::default(), Podman::default());
        let others = Store::ALL.into_iter().filter(|store| !matches!(store, Store::Docker | Store::Podman));
        // Engines come before the OCI runtimes that they call.
        let (mut others, oci): (Vec<Store>, Vec<Store>) =
            others.partition(|store| !matches!(store, Store::Oci | Store::Runsc));
        others.extend(oci);
        Stores { files, docker, podman, others: others.into_iter().map(Store::reader).collect() }
    }

    /// All containers of Docker and Podman that have a state file, running ones too.
    #[must_use]
    pub(crate) fn of_engines(&self) -> Vec<Details> {
        self.of_engines_with(&|_| true, true)
    }

    /// All containers of Podman that have a state file, running ones too.
    #[must_use]
    pub(crate) fn of_podman(&self) -> Vec<Details> {
        let ids = self.podman.ids(self.files).into_iter();
        ids.flat_map(|id| podman_details(&self.podman, self.files, &id, false)).collect()
    }

    /// The containers of Docker and Podman whose state file names no first process.
    #[must_use]
    pub(crate) fn stopped_of_engines(&self) -> Vec<Details> {
        let docker = self.of_docker_mentioning("\"Running\":false").into_iter();
        let podman = self.podman.ids(self.files).into_iter();
        let podman = podman.flat_map(|id| podman_stopped(&self.podman, self.files, &id));
        docker.filter(|one| one.container.init.is_none()).chain(podman).collect()
    }

    /// Those whose id is selected.
    fn of_engines_with(&self, selects: &dyn Fn(&str) -> bool, with_layers: bool) -> Vec<Details> {
        let ids = |reader: &dyn StateReader| reader.ids(self.files).into_iter().filter(|id| selects(id));
        let docker =
            ids(&self.docker).flat_map(|id| docker_details(&self.docker, self.files, &id, with_layers));
        let podman =
            ids(&self.podman).flat_map(|id| podman_details(&self.podman, self.files, &id, with_layers));
        let mut all: Vec<Details> = docker.chain(podman).collect();
        // The bundle of one that could not be started can be left: then its id is there twice, perhaps without a name.
        order::sort_by_key(&mut all, |one| one.container.name.is_none());
        let mut known = BTreeSet::new();
        all.retain(|one| known.insert(one.container.key()));
        all
    }

    /// The containers of all stores whose id is selected; the same id is read in one store only.
    #[must_use]
    pub(crate) fn all_with(&self, selects: &dyn Fn(&str) -> bool) -> Vec<Details> {
        let mut found = self.of_engines_with(selects, false);
        let mut known: BTreeSet<String> =
            found.iter().map(|one| one.container.bare_id().to_owned()).collect();
        for reader in &self.others {
            let mut ids = reader.ids(self.files);
            ids.retain(|id| selects(bare(id)) && !known.contains(bare(id)));
            let loaded: Vec<Container> = ids.iter().flat_map(|id| reader.load(self.files, id)).collect();
            known.extend(loaded.iter().map(|container| container.bare_id().to_owned()));
            found.extend(loaded.into_iter().map(of_names));
        }
        found
    }

    /// Every container whose state files can say that it has a word as its name, as a part of it, or as its id; those that are
    /// of others are among them. None of them is checked.
    #[must_use]
    pub(crate) fn mentioning(&self, word: &str) -> Vec<Container> {
        let text = Finder::new(written(word));
        let mut found = Vec::new();
        for reader in self.readers() {
            let mut ids = reader.ids(self.files);
            order::sort(&mut ids);
            ids.dedup();
            ids.retain(|id| reader.may_mention(self.files, id, &text));
            found.extend(ids.iter().flat_map(|id| reader.load(self.files, id)));
        }
        found
    }

    /// The ids of all stores, those of containerd also without their namespace.
    #[must_use]
    pub(crate) fn ids(&self) -> HashSet<String> {
        let mut found = HashSet::default();
        for id in self.readers().flat_map(|reader| reader.ids(self.files)) {
            if bare(&id) != id {
                found.insert(bare(&id).to_owned());
            }
            found.insert(id);
        }
        found
    }

    fn readers(&self) -> impl Iterator<Item = &dyn StateReader> {
        let engines: [&dyn StateReader; 2] = [&self.docker, &self.podman];
        engines.into_iter().chain(self.others.iter().map(|reader| &**reader))
    }

    /// The containers of Docker in whose state file the text occurs.
    #[must_use]
    pub(crate) fn of_docker_mentioning(&self, text: &str) -> Vec<Details> {
        docker_mentioning(&self.docker, self.files, text)
    }

    /// The published ports with that number on the host, each with owner and id of a container of Docker or Podman.
    #[must_use]
    pub(crate) fn published_at(&self, host_port: u16) -> Vec<(u32, String, Port)> {
        let docker = self.of_docker_mentioning(&format!("\"HostPort\":\"{host_port}\""));
        let docker = docker.into_iter().map(|one| (one.container.owner, one.container.id, one.ports));
        let all = docker.chain(podman_all_ports(&self.podman, self.files));
        let mut found = Vec::new();
        for (owner, id, ports) in all {
            let here = ports.into_iter().filter(|port| port.host_port == Some(host_port));
            found.extend(here.map(|port| (owner, id.clone(), port)));
        }
        found
    }

    /// The containers that have the layer in which the path is: `ROOT/overlay2/LAYER/…` of Docker,
    /// `GRAPHROOT/DRIVER/LAYER/…` of Podman. With whether they can write to it.
    #[must_use]
    pub(crate) fn with_layer(&self, path: &str) -> Vec<(Details, bool)> {
        let mut found = Vec::new();
        if let Some((root, rest)) = path.split_once("/overlay2/") {
            let layer = rest.split('/').next().unwrap_or_default();
            found.extend(docker_with_layer(&self.docker, self.files, Some(root), layer));
        }
        for driver in ["overlay", "vfs", "btrfs"] {
            let middle = match driver {
                "vfs" => "/vfs/dir/".to_owned(),
                "btrfs" => "/btrfs/subvolumes/".to_owned(),
                _ => format!("/{driver}/"),
            };
            if let Some((graph, rest)) = path.split_once(&middle) {
                let layer = rest.split('/').next().unwrap_or_default();
                found.extend(podman_with_layer(&self.podman, self.files, Some((graph, driver)), layer));
            }
        }
        found
    }

    /// The same of the layers with this name of all data roots.
    #[must_use]
    pub(crate) fn with_layer_called(&self, layer: &str) -> Vec<(Details, bool)> {
        let mut found = docker_with_layer(&self.docker, self.files, None, layer);
        found.extend(podman_with_layer(&self.podman, self.files, None, layer));
        found
    }

    /// The published ports of a running container.
    #[must_use]
    pub(crate) fn published(&self, container: &Container) -> Vec<Port> {
        match container.runtime {
            Runtime::Podman => podman_ports(&self.podman, self.files, container.owner, &container.id),
            Runtime::Docker | Runtime::K8s | Runtime::Ecs => {
                let all = docker_details(&self.docker, self.files, &container.id, false).into_iter();
                let own = all.filter(|details| details.container.owner == container.owner);
                own.flat_map(|details| details.ports).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The part of a word that a state file has if it has the word, as it is in JSON. Empty if there is none: every file has that.
fn written(word: &str) -> &str {
    let (_, name) = split_runtime(word.strip_suffix('?').unwrap_or(word));
    // The sandbox of a pod is named POD without a file that says so.
    let parts = name.split('/').filter(|part| *part != "POD");
    let longest = parts.max_by_key(|part| part.len()).unwrap_or_default();
    let is_plain = longest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if is_plain && !is_logged(word) { longest } else { "" }
}

/// The id without the namespace of containerd.
fn bare(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or_default()
}

impl Container {
    /// The id without the namespace of containerd.
    #[must_use]
    pub(crate) fn bare_id(&self) -> &str {
        bare(&self.id)
    }
}

fn of_names(container: Container) -> Details {
    Details {
        container,
        ending: Some(Ending { was_started: true, ..Ending::default() }),
        layers: Layers::default(),
        ports: Vec::new(),
        uses: Uses::default(),
    }
}
