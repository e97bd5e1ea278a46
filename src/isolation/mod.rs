//! What containers are made of: namespaces, id maps, mounts, filters, capabilities and control groups.
//!
//! This code does not print, does not exit and knows no applet.

pub(crate) mod before;
pub(crate) mod capabilities;
pub(crate) mod cgroup;
pub(crate) mod descriptors;
pub(crate) mod identity;
pub(crate) mod idmap;
pub(crate) mod look;
pub(crate) mod mounts;
pub(crate) mod ns;
pub(crate) mod operation;
pub(crate) mod seccomp;
mod syscalls;
pub(crate) mod tracers;
pub(crate) mod visit;
