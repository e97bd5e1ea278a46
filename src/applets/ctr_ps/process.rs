//! A process to show, and its details.

use std::ops::Range;

use crate::container::IdentifiedBy;
use crate::proc::ns::Kind;
use crate::proc::{Credentials, Stat};

/// How a process came into its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The container's first process.
    Init,
    /// A descendant of the first process.
    Fork,
    /// Started from outside in the container's control group: docker exec, a health check.
    Exec,
    /// Started from outside in the container's namespaces only: nsenter(1).
    Ns,
}

impl Origin {
    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Origin::Init => "init",
            Origin::Fork => "fork",
            Origin::Exec => "exec",
            Origin::Ns => "ns",
        }
    }

    #[must_use]
    pub(super) fn from_name(name: &str) -> Option<Origin> {
        [Origin::Init, Origin::Fork, Origin::Exec, Origin::Ns].into_iter().find(|via| via.name() == name)
    }
}

/// A process to show. Kept small, as there may be tens of thousands.
pub(super) struct Process {
    pub pid: i32,
    pub ppid: Option<i32>,
    /// The PID in its own pid namespace.
    pub cpid: Option<i32>,
    /// The effective user.
    pub uid: Option<u32>,
    pub kernel_thread: bool,
    /// The number of its container.
    pub container: Option<usize>,
    pub how: Option<IdentifiedBy>,
    pub via: Option<Origin>,
    /// The range of its command line in [`super::gather::Found::commands`].
    pub command: Range<usize>,
    pub details: Option<Box<Details>>,
}

/// What only some columns need.
#[derive(Default)]
pub(super) struct Details {
    pub stat: Option<Stat>,
    /// IDs and capabilities. None if the status file is truncated.
    pub state: Option<Credentials>,
    pub cgroup: Option<Vec<u8>>,
    /// In the order of [`Kind::ALL`].
    pub namespaces: [Option<u64>; Kind::ALL.len()],
    pub lsm: Option<Vec<u8>>,
    pub oom_score: Option<i64>,
    /// The effective user in its own user namespace, and the name there.
    pub cuid: Option<u32>,
    pub cuser: Option<Vec<u8>>,
    pub name: Vec<u8>,
}

/// All command lines in one buffer: there may be tens of thousands.
#[derive(Default)]
pub(super) struct Commands(pub(super) Vec<u8>);

impl Commands {
    /// The command line of a process, with control characters not escaped.
    pub(super) fn line(&self, process: &Process) -> &[u8] {
        self.at(&process.command)
    }

    pub(super) fn at(&self, range: &Range<usize>) -> &[u8] {
        self.0.get(range.clone()).unwrap_or_default()
    }

    /// Adds a command line. The NULs between arguments become blanks.
    pub(super) fn add(&mut self, cmdline: &[u8]) -> Range<usize> {
        let end = cmdline.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        let range = self.add_name(&cmdline[..end]);
        self.0[range.clone()].iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
        range
    }

    pub(super) fn add_name(&mut self, name: &[u8]) -> Range<usize> {
        let start = self.0.len();
        self.0.extend_from_slice(name);
        start..self.0.len()
    }
}
