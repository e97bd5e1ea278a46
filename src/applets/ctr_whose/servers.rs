//! Programs of the host that work for containers: they take connections for them, or watch them. Any process can have the
//! name of one.

use super::finder::Finder;
use crate::container::{Container, Runtime, is_router_name};

/// Programs that take connections for containers, or keep others from listening there, as dockerd does without a proxy.
const PROXIES: [&str; 3] = [DAEMON, "docker-proxy", "conmon"];
pub(super) const DAEMON: &str = "dockerd";

/// A program that takes connections or sends them on.
pub(super) fn is_worker_name(comm: &str) -> bool {
    comm != DAEMON && is_proxy_name(comm)
}

pub(super) fn is_proxy_name(comm: &str) -> bool {
    // rootlessport and rootlesskit execute themselves and helpers, under other names.
    let begins = ["rootlessport", "rootlesskit"].iter().any(|name| comm.starts_with(name));
    PROXIES.contains(&comm) || is_router_name(comm) || begins || comm == "exe"
}

/// Has the process containers for which it works, perhaps?
pub(super) fn may_serve(comm: &str) -> bool {
    is_monitor_name(comm) || is_worker_name(comm)
}

/// The kernel cuts longer names.
pub(super) fn is_monitor_name(comm: &str) -> bool {
    matches!(comm, "conmon" | "containerd-shim")
}

/// Is it the parent of the container's first process?
pub(super) fn is_parent(finder: &Finder<'_>, pid: i32, container: usize) -> bool {
    let init = finder.world.containers[container].init;
    init.and_then(|init| finder.world.process(init)?.ppid) == Some(pid)
}

/// Can such a process of that user publish ports of the container?
pub(super) fn serves(comm: &str, uid: u32, container: &Container) -> bool {
    let is_of_docker = || container.runtime != Runtime::Podman;
    container.owner == uid
        && (if matches!(comm, "docker-proxy" | DAEMON) { is_of_docker() } else { uid != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_publish_ports_of_a_container() {
        let of = |runtime, owner| Container { owner, ..Container::new(runtime, "a") };
        let (root, user, podman) =
            (of(Runtime::Docker, 0), of(Runtime::Docker, 1000), of(Runtime::Podman, 0));
        for comm in ["dockerd", "docker-proxy"] {
            assert!(is_proxy_name(comm) && serves(comm, 0, &root) && serves(comm, 1000, &user), "{comm}");
            assert!(!serves(comm, 1000, &root) && !serves(comm, 0, &podman), "{comm}");
        }
        assert!(serves("rootlesskit", 1000, &user) && !serves("rootlesskit", 0, &root));
    }
}
