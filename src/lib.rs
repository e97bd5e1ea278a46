//! ctrbox: see into Linux containers and work in them, with one static binary and no daemon.
//!
//! The map of the house, from the street inwards; imports go downwards only:
//!
//! - [`applet`]: the table of applets; finds the one that argv names and runs it
//! - [`applets`]: one file an applet: parse, decide, act
//! - [`container`]: whose process is this? cgroup path, checked against the runtimes' state files
//! - [`isolation`]: namespaces and control groups: what containers are made of; never prints
//! - [`aside`]: work that may hang, done by another process
//! - [`mod@proc`]: what /proc says, and the one scan of it
//! - [`cli`], [`exit`], [`output`]: options as getopt reads them, errors and statuses, tables and trees
//! - [`sys`], [`errno`]: system calls and the unsafe code; errors in the words of glibc

// Allowed in sys, for the C main in main.rs, and where a single function of this kind is called that closes
// descriptors by number.
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::print_stdout, // it panics when stdout is full: output::Out does not
        clippy::print_stderr, // exit::report is the one place that speaks there
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::disallowed_methods // clippy.toml: threads
    )
)]

pub mod access;
pub mod applet;
pub mod applets;
pub mod cli;
pub mod container;
pub mod errno;
pub mod exit;
pub mod hint;
pub mod isolation;
pub mod launch;
pub mod output;
pub mod proc;
mod sys;
pub mod text;

pub use applet::{announce, run};
pub use sys::memory::Allocator;
pub use sys::{arguments, promise_no_locks};
