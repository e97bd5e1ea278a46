//! Starts a program in namespaces and control groups: its credentials, its terminal, and the parent that waits for
//! it.

pub(crate) mod credentials;
pub(crate) mod exec;
pub(crate) mod harden;
pub(crate) mod helper;
pub(crate) mod job_control;
pub(crate) mod pty;
pub(crate) mod self_exe;
pub(crate) mod sibling;
pub(crate) mod step;
