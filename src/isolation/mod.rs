//! What containers are made of: namespaces, id maps, mounts, filters, capabilities and control groups.
//!
//! Nothing here prints, ends the process or knows an applet.

pub mod capabilities;
pub mod cgroup;
pub mod descriptors;
pub mod identity;
pub mod idmap;
pub mod mounts;
pub mod ns;
pub mod operation;
pub mod seccomp;
mod syscalls;
pub mod tracers;
