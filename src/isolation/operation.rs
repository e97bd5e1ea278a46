//! The operation that the kernel refused. An error carries it, so that a hint can show the cause.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::before::Before;
use crate::proc::idmap::{Range, Which};
use crate::proc::ns::Kind;

/// An operation of the kernel, or of a program that acts for it.
pub enum Operation {
    /// unshare(2)
    Unshare(Vec<Kind>),
    /// setns(2), of a process
    Process { pidfd: Option<OwnedFd>, kinds: Vec<Kind>, before: Option<Arc<Before>> },
    /// setns(2), of a namespace's file
    File { fd: Option<OwnedFd>, kind: Kind, before: Option<Arc<Before>> },
    /// open(2) of a file of another process below /proc
    Open(PathBuf),
    /// chroot(2). Into the root of a target?
    Chroot { entering: bool },
    /// mount(2) of a new proc
    Proc,
    /// mount(2) of binfmt_misc
    Binfmt,
    /// mount(2) that changes how mounts are passed on
    Propagation,
    /// mount(2) of a namespace on a file, to keep it
    Keep { kind: Kind, source: PathBuf, file: PathBuf },
    /// write(2) of a map, by this process inside or by a helper outside
    Map { which: Which, file: PathBuf, ranges: Vec<Range>, helper: bool },
    /// write(2) of /proc/self/setgroups
    Setgroups,
    /// fork(2), of the first process or another one in a pid namespace
    Fork { before: Option<Arc<Before>> },
    /// setgroups(2)
    Groups {
        /// This run itself has denied it.
        denied: bool,
        before: Option<Arc<Before>>,
        remedy: &'static str,
    },
    /// setuid(2), setgid(2)
    Id { which: Which, id: u32, before: Option<Arc<Before>>, remedy: &'static str },
    /// A line for this user in /etc/subuid or /etc/subgid
    Grant { which: Which, user: String },
    /// newuidmap(1) or newgidmap(1)
    Mapper { which: Which, ranges: Vec<Range> },
    /// execve(2), and the candidate files for the program's name
    Execute(Vec<PathBuf>),
}

impl Operation {
    /// The namespaces of the operation.
    #[must_use]
    pub fn kinds(&self) -> &[Kind] {
        match self {
            Operation::Unshare(kinds) | Operation::Process { kinds, .. } => kinds,
            Operation::File { kind, .. } | Operation::Keep { kind, .. } => std::slice::from_ref(kind),
            _ => &[],
        }
    }
}

/// The message of an error, with the operation that failed.
pub(crate) struct Refused {
    message: String,
    pub operation: Operation,
}

/// Context for an errno.
pub(crate) fn refused(message: impl Into<String>, operation: Operation) -> Refused {
    Refused { message: message.into(), operation }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
