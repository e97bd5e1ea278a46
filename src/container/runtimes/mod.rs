//! Readers of the runtimes' state files, one for each store.

mod apptainer;
mod bounded;
mod bundle;
mod containerd;
mod cri_state;
mod crio;
mod docker;
mod docker_state;
mod firejail;
mod flatpak;
mod lxc;
mod machined;
mod oci;
mod podman;
mod podman_config;
mod podman_state;
mod runsc;
mod snap;
mod state_dirs;
mod storage;

pub(super) use apptainer::image_of_starter;
pub(super) use bounded::Each;
pub(super) use cri_state::records as cri_records;
pub(super) use crio::records as crio_records;
pub(super) use docker::records as docker_records;
pub(super) use docker::{
    Docker, configs as docker_configs, details as docker_details, mentioning as docker_mentioning,
    states as docker_states, with_layer as docker_with_layer,
};
pub(super) use lxc::{LxcPath, of_monitor};
pub(super) use podman::records as podman_records;
pub(super) use podman::{
    Podman, all_ports as podman_all_ports, details as podman_details, ports as podman_ports,
    stopped as podman_stopped, with_layer as podman_with_layer,
};

use crate::container::{Container, Files, Runtime};
use containerd::Containerd;
use crio::CriO;
use firejail::Firejail;
use flatpak::Flatpak;
use lxc::Lxc;
use machined::Machined;
use memchr::memmem::Finder;
use nix::unistd::Pid;
use oci::Oci;
use runsc::Runsc;
use snap::Snap;

/// Reads the state files of one store. Files are read when they are needed; directories are listed once.
pub(super) trait StateReader {
    /// Every id that has a state file, stopped containers too.
    fn ids(&self, files: &Files) -> Vec<String>;

    /// The ids of containers that can have this name, or an id that begins with it, as far as that is known without their
    /// state files.
    fn ids_for(&self, files: &Files, name: &str) -> Vec<String> {
        _ = name;
        self.ids(files)
    }

    /// The containers with this id, if that takes fewer system calls than [`Self::load`]: from files whose owner may be
    /// unchecked, and without their init processes. Only to leave out those that do not have the wanted name.
    fn load_names(&self, files: &Files, id: &str) -> Option<Vec<Container>> {
        _ = (files, id);
        None
    }

    /// The init processes of the containers with this id, if all are root's and if that takes fewer system calls than
    /// [`Self::load`]. Only to leave out those that share no namespace with a process.
    fn load_inits(&self, files: &Files, id: &str) -> Option<Vec<Pid>> {
        _ = (files, id);
        None
    }

    /// The containers with this id: root's first, then those of users; several users can have a container with the same
    /// id. The init process is the one in the state file. The caller must check that it still runs and belongs to the
    /// container.
    fn load(&self, files: &Files, id: &str) -> Vec<Container>;

    /// Can a state file of a container with this id contain the text? Only to leave out those that do not contain it.
    fn may_mention(&self, files: &Files, id: &str, text: &Finder<'_>) -> bool {
        _ = (files, id, text);
        true
    }

    /// Reads the time at which the PID was written, if that is in another file: for an init process that no control
    /// group confirms.
    fn date_init(&self, _files: &Files, _container: &mut Container) {}
}

/// The state directories of containerd that are always searched.
fn states() -> impl Iterator<Item = &'static str> {
    containerd::STATES.into_iter().chain(docker::STATES)
}

/// Is it below one of these?
pub(crate) fn is_in_usual_state(directory: &[u8]) -> bool {
    let below =
        |state: &str| directory.strip_prefix(state.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
    states().any(below)
}

/// Adds a directory with the bundles of containerd's tasks to those that the readers search. False if it is known.
pub(super) fn add_tasks(files: &Files, directory: String) -> bool {
    let known = files.usual_tasks(|| {
        let path = |state: &str| files.locate(&format!("{state}/{}", bundle::TASKS));
        states().filter_map(path).collect()
    });
    let below = directory.trim_start_matches('/');
    !known.iter().any(|path| path.ends_with(below)) && files.add_tasks(directory)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Store {
    Containerd,
    CriO,
    Docker,
    Firejail,
    Flatpak,
    Lxc,
    Machined,
    Oci,
    Podman,
    Runsc,
    Snap,
}

/// Whose state files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Those of root. Users are not searched for.
    Root,
    Everyone,
}

impl Store {
    pub(super) const ALL: [Store; 11] = [
        Store::Containerd,
        Store::CriO,
        Store::Docker,
        Store::Firejail,
        Store::Flatpak,
        Store::Lxc,
        Store::Machined,
        Store::Oci,
        Store::Podman,
        Store::Runsc,
        Store::Snap,
    ];

    /// The stores with the containers of a runtime; all stores if it has none.
    pub(super) fn of_runtime(runtime: Option<Runtime>) -> &'static [Store] {
        match runtime {
            Some(Runtime::Docker | Runtime::Ecs | Runtime::Actions) => &[Store::Docker],
            Some(Runtime::K8s) => &[Store::Containerd, Store::CriO, Store::Docker],
            Some(Runtime::Containerd | Runtime::Nerdctl) => &[Store::Containerd],
            Some(Runtime::Podman) => &[Store::Podman],
            Some(Runtime::Buildah) => &[Store::Oci, Store::Podman],
            Some(Runtime::Runc | Runtime::Crun | Runtime::Youki | Runtime::Buildkit) => &[Store::Oci],
            Some(Runtime::Lxc | Runtime::Lxd | Runtime::Incus) => &[Store::Lxc],
            Some(Runtime::Nspawn | Runtime::Libvirt) => &[Store::Machined],
            Some(Runtime::Snap) => &[Store::Snap],
            Some(Runtime::Flatpak) => &[Store::Flatpak],
            Some(Runtime::Firejail) => &[Store::Firejail],
            _ => &Store::ALL,
        }
    }

    pub(super) fn reader(self) -> Box<dyn StateReader> {
        match self {
            Store::Containerd => Box::new(Containerd::default()),
            Store::CriO => Box::new(CriO::default()),
            Store::Docker => Box::new(Docker::default()),
            Store::Firejail => Box::new(Firejail),
            Store::Flatpak => Box::new(Flatpak::default()),
            Store::Lxc => Box::new(Lxc::default()),
            Store::Machined => Box::new(Machined),
            Store::Oci => Box::new(Oci::default()),
            Store::Podman => Box::new(Podman::default()),
            Store::Runsc => Box::new(Runsc::default()),
            Store::Snap => Box::new(Snap),
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz {
    use super::{apptainer, cri_state, flatpak, lxc, podman_config, podman_state, storage};

    pub(crate) fn title(title: &str) {
        apptainer::fuzz(title);
    }

    pub(crate) fn podman_database(data: &[u8]) {
        for ports in podman_state::all_ports(data).values() {
            assert!(ports.len() <= data.len() * 1_000, "ports without a mapping");
        }
        _ = podman_state::ending(data, "a");
        _ = podman_config::by_id(data);
    }

    pub(crate) fn cri_database(data: &[u8]) {
        cri_state::fuzz(data);
    }

    pub(crate) fn settings(text: &str) {
        lxc::fuzz(text);
        flatpak::fuzz(text);
        storage::fuzz(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_stores_is_in_the_order_of_the_enum() {
        assert!(Store::ALL.into_iter().enumerate().all(|(at, store)| store as usize == at));
    }
}
