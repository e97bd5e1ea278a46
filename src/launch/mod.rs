//! Starting a program among namespaces and control groups: its credentials, its terminal, and the parent that waits.

pub mod credentials;
pub mod exec;
pub mod harden;
pub mod helper;
pub mod job_control;
pub mod pty;
pub mod self_exe;
pub mod sibling;
