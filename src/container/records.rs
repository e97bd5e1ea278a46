//! What runtimes write down of their containers: the table of those whose files we read.

use super::containerd::Containerd;
use super::docker::Docker;
use super::podman::Podman;
use super::{Container, Files};

/// The files of one runtime. They are read when somebody asks, and lists of them once.
pub trait Records {
    /// Every id there is a record of, stopped containers too.
    fn ids(&self, files: &Files) -> Vec<String>;

    /// What is written of this one. The init process is as the record has it: whether it lives, and is that
    /// container's still, is for the caller to find out.
    fn load(&self, files: &Files, id: &str) -> Option<Container>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Store {
    Containerd,
    CriO,
    Docker,
    Firejail,
    Flatpak,
    Lxc,
    Machined,
    Oci,
    Podman,
    Snap,
}

impl Store {
    pub const ALL: [Store; 10] = [
        Store::Containerd,
        Store::CriO,
        Store::Docker,
        Store::Firejail,
        Store::Flatpak,
        Store::Lxc,
        Store::Machined,
        Store::Oci,
        Store::Podman,
        Store::Snap,
    ];

    pub fn records(self) -> Box<dyn Records> {
        match self {
            Store::Containerd => Box::new(Containerd::default()),
            Store::Docker => Box::new(Docker::default()),
            Store::Podman => Box::new(Podman::default()),
            _ => Box::new(None),
        }
    }
}

struct None;

impl Records for None {
    fn ids(&self, _: &Files) -> Vec<String> {
        Vec::new()
    }

    fn load(&self, _: &Files, _: &str) -> Option<Container> {
        Option::None
    }
}
