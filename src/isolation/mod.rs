//! What containers are made of: namespaces and control groups, and starting a program among them.
//!
//! Never prints, never exits, knows no applet.

pub mod capabilities;
pub mod cgroup;
pub mod foreground;
pub mod helper;
pub mod identity;
pub mod idmap;
pub mod kind;
pub mod launch;
pub mod ns;
pub mod pty;
pub mod why;
