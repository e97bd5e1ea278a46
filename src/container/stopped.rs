//! Containers that state files have although no process of them runs, and ports that state files name.

use super::details::{Details, Port};
use super::runtimes::{docker_details, docker_ids, podman_details, podman_ids, podman_ports};
use super::{Container, Files, Runtime};

/// All containers of Docker and Podman that have a state file, running ones too.
pub(crate) fn with_state_file(files: &Files) -> Vec<Details> {
    let docker = docker_ids(files).into_iter().flat_map(|id| docker_details(files, &id));
    let podman = podman_ids(files).into_iter().flat_map(|id| podman_details(files, &id));
    docker.chain(podman).collect()
}

/// The published ports of a running container.
pub(crate) fn published(files: &Files, container: &Container) -> Vec<Port> {
    match container.runtime {
        Runtime::Podman => podman_ports(files, container.owner, &container.id),
        Runtime::Docker | Runtime::K8s | Runtime::Ecs => {
            let all = docker_details(files, &container.id).into_iter();
            let own = all.filter(|details| details.container.owner == container.owner);
            own.flat_map(|details| details.ports).collect()
        }
        _ => Vec::new(),
    }
}
