//! ctrbox: see into Linux containers and work in them, with one static binary and no daemon.
//!
//! The map of the house, from the street inwards; imports go downwards only:
//!
//! - [`applet`]: the table of applets; finds the one that argv names and runs it
//! - [`applets`]: one file an applet: parse, decide, act
//! - [`container`]: whose process is this? cgroup path, checked against the runtimes' state files
//! - [`isolation`]: namespaces and control groups: what containers are made of; never prints
//! - [`access`]: work that may hang, done by another process
//! - [`mod@proc`]: what /proc says, and the one scan of it
//! - [`cli`], [`exit`], [`output`]: options as getopt reads them, errors and statuses, tables and trees
//! - [`sys`], [`errno`]: system calls and the unsafe code; errors in the words of glibc

// Allowed in sys, for the C main in main.rs, and where a single function of this kind is called that closes
// descriptors by number.
#![deny(
    unsafe_code,
    unreachable_pub,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]
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

mod access;
mod applet;
mod applets;
mod cli;
mod container;
mod errno;
mod exit;
mod hint;
mod isolation;
mod launch;
mod output;
mod proc;
mod sys;
mod text;

pub use applet::{announce, run};
pub use sys::memory::Allocator;
pub use sys::{arguments, promise_no_locks};

/// What the tests of this project use of the library. It is no interface: it may change with each commit.
#[doc(hidden)]
pub mod testing {
    pub use crate::sys::promise_no_locks;

    pub mod applet {
        pub use crate::applet::{APPLETS, Applet, command};
    }
    pub mod container {
        pub use crate::container::{Container, Files, IdentifiedBy, Resolver, Runtime, Tag, group_of};
        pub mod target {
            pub use crate::container::target::{Target, group, matching, one};
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
            Credentials, Login, Mask, ProcRoot, Stat, Status, Users, groups_with, homes, id_of, name_of,
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
