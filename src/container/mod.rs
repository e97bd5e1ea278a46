//! Whose process is this? The container a process runs in, told by the kernel and by files on disk.
//!
//! A control group's name is a candidate only: whoever owns a delegated group can make one of any name. It
//! counts when a runtime's state on disk knows the id **and** the init process that the state names is alive
//! in the very same group. No daemon is asked, so none can hang us.

mod cgroup_path;
mod containerd;
mod docker;
mod files;
mod podman;
mod resolver;
pub mod target;

pub use files::Files;
pub use resolver::Resolver;

use std::fmt;

use nix::unistd::Pid;

/// What made the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    Containerd,
    Docker,
    K8s,
    Podman,
}

impl Runtime {
    pub const ALL: [Runtime; 4] = [Runtime::Containerd, Runtime::Docker, Runtime::K8s, Runtime::Podman];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Runtime::Containerd => "containerd",
            Runtime::Docker => "docker",
            Runtime::K8s => "k8s",
            Runtime::Podman => "podman",
        }
    }
}

/// How we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The runtime's state on disk, and its init process is in this control group.
    State,
    /// A control group of this name, and nothing that vouches for it: shown with a `?`.
    Cgroup,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub runtime: Runtime,
    /// The runtime's own id; containerd's with its namespace, as `default/one`.
    pub id: String,
    /// `web`; `NAMESPACE/ID` of containerd; `NAMESPACE/POD/CONTAINER` of Kubernetes. None when no state tells it.
    pub name: Option<String>,
    pub pod: Option<String>,
    pub pod_namespace: Option<String>,
    pub image: Option<String>,
    /// The first process in it, as the state has it.
    pub init: Option<Pid>,
    pub proof: Proof,
}

/// `docker:web`: what tells a container from all others. `docker:0123456789ab?` when there is only an id.
impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.runtime.name())?;
        match &self.name {
            Some(name) => f.write_str(name)?,
            None => f.write_str(self.id.get(..12).unwrap_or(&self.id))?,
        }
        f.write_str(if self.proof == Proof::Cgroup { "?" } else { "" })
    }
}
