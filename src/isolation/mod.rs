//! What containers are made of: namespaces, id maps, mounts, filters, capabilities and control groups.
//!
//! Nothing here prints, ends the process or knows an applet.

pub(crate) mod capabilities;
pub(crate) mod cgroup;
pub(crate) mod descriptors;
pub(crate) mod identity;
pub(crate) mod idmap;
pub(crate) mod ids;
pub(crate) mod kind;
pub(crate) mod mounts;
pub(crate) mod ns;
pub(crate) mod operation;
pub(crate) mod seccomp;
mod syscalls;
pub(crate) mod tracers;
