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
//! - [`sys`], [`errno`]: the only unsafe code; errors in the words of glibc

#![deny(unsafe_code)] // allowed at the head of sys.rs, and for the C main in main.rs
#![cfg_attr(
    not(test),
    deny(
        clippy::print_stdout, // it panics when stdout is full: output::Out does not
        clippy::print_stderr, // exit::report is the one place that speaks there
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod applet;
pub mod applets;
pub mod aside;
pub mod cli;
pub mod container;
pub mod errno;
pub mod exit;
pub mod isolation;
pub mod output;
pub mod proc;
pub mod sys;

pub use applet::run;
