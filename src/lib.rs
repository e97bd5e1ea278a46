//! ctrbox: see into Linux containers and work in them, with one static binary and no daemon.
//!
//! The layers, from the top down. A layer uses only those below it; tests/it/layers.rs lists the allowed uses and checks
//! them.
//!
//! - `fuzz`: what is fuzzed; not in the binary
//! - [`mod@applet`]: the table of applets; finds the one that argv names and runs it
//! - [`check`]: tries what this host has
//! - [`complete`]: answers the completions of the shells
//! - [`install`]: makes the links of `ctrbox --install`
//! - [`applets`]: one module per applet: its options, what it does, its output
//! - [`cli`]: options as getopt_long(3) parses them
//! - [`launch`]: starts a program in namespaces and control groups: credentials, terminal, the waiting parent
//! - [`container`]: finds the container of a process, and confirms it by the state files of the runtimes
//! - [`exit`]: errors, messages on stderr and exit statuses
//! - [`hint`]: finds out why the kernel refused an operation
//! - [`isolation`]: what containers are made of: namespaces, id maps, mounts, filters, capabilities, control groups
//! - [`output`]: tables, trees, colour and JSON on stdout
//! - [`access`]: file accesses that may block, made by another process with a time limit
//! - [`mod@proc`]: reads /proc
//! - [`mod@errno`]: the messages of glibc for errno values
//! - [`text`]: escapes and measures text for the terminal
//! - [`sys`]: system calls, and the only unsafe code; every layer may use it

// unsafe_code is allowed in sys, for the C main in main.rs, and at each call of an unsafe function of sys or access.
#![deny(
    unsafe_code,
    unreachable_pub,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]
// The documentation is for work on ctrbox: build it with --document-private-items.
#![allow(rustdoc::private_intra_doc_links)]
#![cfg_attr(
    not(test),
    deny(
        clippy::print_stdout, // panics when stdout is full; output::Out does not
        clippy::print_stderr, // only exit writes to stderr
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::disallowed_methods // clippy.toml: threads
    )
)]

mod access;
mod applet;
mod applets;
mod check;
mod cli;
mod complete;
mod container;
mod errno;
mod exit;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hint;
mod install;
mod isolation;
mod launch;
mod net;
mod order;
mod output;
mod proc;
mod sys;
mod text;

pub use applet::{announce, run};
pub use sys::memory::Allocator;

/// As in the program: a test whose child allocates must not wait for another thread of the tests.
#[cfg(all(test, not(miri)))]
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;
pub use sys::{arguments, promise_no_locks};

/// The parts of the library that the tests of this project use. It is not an API: it may change with each commit.
#[doc(hidden)]
pub mod testing {
    pub use crate::sys::promise_no_locks;

    pub mod access {
        pub use crate::access::forget_spent_time;
    }
    pub mod applet {
        pub use crate::applet::{APPLETS, columns, command, findings, keys};
        pub use crate::cli::Applet;
    }
    pub mod container {
        pub use crate::container::{Container, Files, IdentifiedBy, Resolver, Runtime, Tag, group_of};
        pub mod target {
            pub use crate::container::matching::{group, matching, one};
            pub use crate::container::search::find_by_record;
            pub use crate::container::target::Target;
        }
    }
    pub mod errno {
        pub use crate::errno::strerror;
    }
    pub mod hint {
        pub use crate::hint::hint_for;
    }
    pub mod isolation {
        pub mod capabilities {
            pub use crate::isolation::capabilities::{all, integer};
            pub mod own {
                pub use crate::isolation::capabilities::own::{last, set_flags, set_no_new_privs};
            }
            pub mod text {
                pub use crate::isolation::capabilities::text::{Flags, Iab, parse_list};
            }
        }
        pub mod cgroup {
            pub use crate::isolation::cgroup::{Hierarchies, parse};
            pub mod limits {
                pub use crate::isolation::cgroup::limits::{
                    cpu_weight, cpus, cpuset, hugetlb, io_max, pids, raw, size,
                };
            }
        }
        pub mod idmap {
            pub use crate::isolation::idmap::{arguments, join};
        }
        pub mod operation {
            pub use crate::isolation::operation::Operation;
        }
        pub mod seccomp {
            pub use crate::isolation::seccomp::{Filter, Profile};
        }
    }
    pub mod launch {
        pub mod credentials {
            pub use crate::launch::credentials::{ProcessCredentials, find_user, label_to_write};
        }
        pub mod exec {
            pub use crate::launch::exec::{parse_environ, signal_number};
        }
    }
    pub mod output {
        pub mod filter {
            pub use crate::output::filter::{Filter, Value};
        }
        pub mod json {
            pub use crate::output::json::write;
        }
        pub mod tree {
            pub use crate::output::tree::{Forest, Glyphs};
        }
    }
    pub mod proc {
        pub use crate::proc::{
            Credentials, Mask, ProcRoot, Stat, Status, Users, gid_of, groups, groups_with, id, uid_of, users,
        };
        pub mod idmap {
            pub use crate::proc::idmap::{Range, Single, Which};
        }
        pub mod mountinfo {
            pub use crate::proc::mountinfo::unescape;
        }
        pub mod ns {
            pub use crate::proc::ns::{Kind, parse_link};
        }
    }
    pub mod text {
        pub use crate::text::{cut, measured, unprintable, width};
    }
}
