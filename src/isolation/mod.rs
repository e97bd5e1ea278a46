//! What containers are made of: namespaces and control groups, and starting a program among them.
//!
//! Never prints, never exits, knows no applet.

pub mod capabilities;
pub mod cgroup;
pub mod descriptors;
pub mod foreground;
pub mod helper;
pub mod hygiene;
pub mod identity;
pub mod idmap;
pub mod ids;
pub mod image;
pub mod kind;
pub mod launch;
pub mod mounts;
pub mod ns;
pub mod persona;
pub mod pty;
pub mod seccomp;
pub mod sibling;
mod syscalls;
pub mod tracers;
pub mod why;
