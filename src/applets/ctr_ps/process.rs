//! A process to show, and what is known of it.

use std::ops::Range;

use crate::container::IdentifiedBy;
use crate::proc::ns::Kind;
use crate::proc::{Credentials, Stat};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The container's first process.
    Init,
    /// A descendant of that.
    Fork,
    /// Started from outside, in the container's control group: exec, attach, a health check.
    Exec,
    /// Started from outside, and in its namespaces alone: nsenter(1).
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

/// A process to show. There may be tens of thousands.
pub(super) struct Process {
    pub pid: i32,
    pub ppid: Option<i32>,
    /// The PID in its own pid namespace.
    pub cpid: Option<i32>,
    /// The effective user.
    pub uid: Option<u32>,
    pub kernel_thread: bool,
    /// Its number among the containers.
    pub container: Option<usize>,
    pub how: Option<IdentifiedBy>,
    pub via: Option<Origin>,
    /// Where it stands in [`super::gather::Found::commands`].
    pub command: Range<usize>,
    pub details: Option<Box<Details>>,
}

#[derive(Default)]
pub(super) struct Details {
    pub stat: Option<Stat>,
    /// What it may do; none of a status that is cut off.
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

/// Command lines, one behind the other: there are tens of thousands.
#[derive(Default)]
pub(super) struct Commands(pub(super) Vec<u8>);

impl Commands {
    /// As it stands, control characters and all.
    pub(super) fn of(&self, process: &Process) -> &[u8] {
        self.at(&process.command)
    }

    pub(super) fn at(&self, range: &Range<usize>) -> &[u8] {
        self.0.get(range.clone()).unwrap_or_default()
    }

    /// The argument list in one line: the NULs between arguments are blanks.
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
