//! A process to show, and its details.

use nix::unistd::Pid;

use crate::access::{Lines, Span};
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
    /// For one of its threads other than the first.
    pub thread: Option<i32>,
    pub ppid: Option<i32>,
    /// The PID in its own pid namespace.
    pub cpid: Option<i32>,
    /// The effective user.
    pub uid: Option<u32>,
    pub kernel_thread: bool,
    /// See [`Self::container`].
    pub container: Option<u32>,
    pub how: Option<IdentifiedBy>,
    pub via: Option<Origin>,
    /// The range of its command line in [`super::gather::Found::commands`].
    pub command: Span,
    pub details: Option<Box<Details>>,
}

impl Process {
    /// The number of its container.
    #[must_use]
    pub(super) fn container(&self) -> Option<usize> {
        self.container.map(|number| number as usize)
    }

    /// One of its other threads.
    #[must_use]
    pub(super) fn thread(&self, thread: i32) -> Process {
        Process { thread: Some(thread), command: Span::default(), details: None, ..*self }
    }

    /// The number that it has among processes and threads.
    #[must_use]
    pub(super) fn id(&self) -> i32 {
        self.thread.unwrap_or(self.pid)
    }

    /// The parent; for a thread, the first thread of its process.
    #[must_use]
    pub(super) fn parent(&self) -> i32 {
        if self.thread.is_some() { self.pid } else { self.ppid.unwrap_or(0) }
    }
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
    pub rare: Option<Box<Rare>>,
}

impl Details {
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

/// What only columns that are seldom shown need.
#[derive(Default)]
pub(super) struct Rare {
    /// The text of its cgroup file.
    pub cgroups: Option<Vec<u8>>,
    pub wchan: Option<Vec<u8>>,
    pub exe: Option<Vec<u8>>,
    /// Its process group and its session.
    pub session: Option<(i32, i32)>,
    /// Resident memory, in pages.
    pub resident: Option<u64>,
    /// Its priority, and the CPU that it ran on last.
    pub scheduling: Option<(i64, i64)>,
}

/// All command lines in one buffer: there may be tens of thousands.
#[derive(Default)]
pub(super) struct Commands(Lines);

impl Commands {
    #[must_use]
    pub(super) fn new(lines: Lines) -> Commands {
        Commands(lines)
    }

    /// Each process has its range.
    pub(super) fn complete(&mut self) {
        self.0.forget_processes();
    }

    /// The command line of a process, with control characters not escaped.
    pub(super) fn line(&self, process: &Process) -> &[u8] {
        self.0.text().get(process.command.range()).unwrap_or_default()
    }

    /// The arguments of a process. The NULs between them become blanks.
    pub(super) fn arguments(&mut self, pid: Pid) -> nix::Result<Span> {
        let range = self.0.span(pid)?.range();
        let end = joined(&mut self.0.text_mut()[range.clone()]);
        Span::new(range.start..range.start + end)
    }

    pub(super) fn add_name(&mut self, name: &[u8]) -> nix::Result<Span> {
        let text = self.0.text_mut();
        let start = text.len();
        text.extend_from_slice(name);
        Span::new(start..text.len())
    }
}

/// Replaces the NULs between arguments by blanks. Returns the length without the NULs at the end.
fn joined(line: &mut [u8]) -> usize {
    let end = line.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    line[..end].iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_joined_and_trailing_nuls_dropped() {
        let arguments = |cmdline: &[u8]| {
            let mut line = cmdline.to_vec();
            let end = joined(&mut line);
            line.truncate(end);
            line
        };
        assert_eq!(arguments(b"sleep\x001000\0"), b"sleep 1000");
        assert_eq!(arguments(b"nginx: master\0\0\0"), b"nginx: master");
        assert_eq!(arguments(b"a\0\0b\0"), b"a  b");
        assert_eq!(arguments(b"\0\0"), b"");
        assert_eq!(arguments(b""), b"");
    }
}
