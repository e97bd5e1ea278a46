//! Paths of control groups as a reader in another cgroup namespace sees them (cgroup_namespaces(7)): the root of the
//! hierarchy is `/../..`, with one `..` for each level that the reader's namespace is below it.

use std::borrow::Cow;
use std::cell::OnceCell;

use nix::unistd::Pid;

use super::{parse, parse_whole};
use crate::proc::ProcRoot;

/// The root of each hierarchy, as this process sees it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Controllers, and the levels above the cgroup namespace of this process.
    levels: Vec<(Vec<u8>, usize)>,
}

impl View {
    /// Kernel threads are in the root of each hierarchy. PID 1 is near it, in no group that only this process is in.
    pub(crate) fn read(proc: &ProcRoot) -> View {
        let kthreadd = proc.process(Pid::from_raw(2));
        let is_kernel_thread = kthreadd.status().is_ok_and(|status| status.kernel_thread);
        let first = if is_kernel_thread { kthreadd } else { proc.process(Pid::from_raw(1)) };
        View::parse(&first.cgroup().unwrap_or_default())
    }

    /// From the cgroup file of a process near the root.
    pub(super) fn parse(text: &[u8]) -> View {
        let levels = parse(text).map(|line| (line.controllers.to_vec(), levels_up(line.path).0));
        View { levels: levels.filter(|(_, levels)| *levels > 0).collect() }
    }

    /// Can a path be one that only [`Self::absolute`] makes absolute?
    pub(crate) fn is_relative(text: &[u8]) -> bool {
        parse(text).any(|line| levels_up(line.path).0 > 0)
    }

    /// The text of a cgroup file with paths from the root of the hierarchy. Paths that do not begin there stay.
    pub(crate) fn absolute<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.levels.is_empty() {
            return text.into();
        }
        let lines = text.split_inclusive(|&b| b == b'\n').map(|line| self.absolute_line(line));
        lines.collect::<Vec<_>>().concat().into()
    }

    /// The same, by a view that is read once it matters.
    pub(crate) fn absolute_once<'t>(view: &OnceCell<View>, proc: &ProcRoot, text: &'t [u8]) -> Cow<'t, [u8]> {
        match View::is_relative(text) {
            true => view.get_or_init(|| View::read(proc)).absolute(text),
            false => text.into(),
        }
    }

    fn absolute_line(&self, line: &[u8]) -> Vec<u8> {
        let Some(member) = parse_whole(line).next() else { return line.to_vec() };
        let (levels, rest) = levels_up(member.path);
        let known = self.levels.iter().find(|(controllers, _)| controllers == member.controllers);
        if levels == 0 || member.is_cut() || known.is_none_or(|(_, known)| *known != levels) {
            return line.to_vec();
        }
        let rest = if rest.is_empty() { b"/" } else { rest };
        // The number of the hierarchy and its controllers.
        let colons = line.iter().enumerate().filter(|(_, b)| **b == b':');
        let before = { colons }.nth(1).map_or(0, |(at, _)| at + 1);
        let end = if line.ends_with(b"\n") { &b"\n"[..] } else { b"" };
        [&line[..before], rest, end].concat()
    }
}

/// How many `/..` a path begins with, and the rest.
fn levels_up(path: &[u8]) -> (usize, &[u8]) {
    let (mut levels, mut rest) = (0, path);
    while let Some(next) = rest.strip_prefix(b"/..").filter(|next| matches!(next.first(), None | Some(b'/')))
    {
        (levels, rest) = (levels + 1, next);
    }
    (levels, rest)
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &[u8]) {
    let view = View::parse(text);
    let shown = view.absolute(text);
    assert!(shown.len() <= text.len() && parse(&shown).count() == parse(text).count());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_at_the_root_of_their_hierarchy() {
        let view = View::parse(b"3:pids:/../..\n2:cpu,cpuacct:/\n0::/../../../init.scope\n");
        assert_eq!(view.levels, [(b"pids".to_vec(), 2), (b"".to_vec(), 3)]);
        for (line, expected) in [
            ("3:pids:/../../lxc.payload.web", "3:pids:/lxc.payload.web"),
            ("3:pids:/../..", "3:pids:/"),
            ("3:pids:/../../", "3:pids:/"),
            ("3:pids:/../../web (deleted)", "3:pids:/web (deleted)"),
            ("0::/../../../a/b\n", "0::/a/b\n"),
            // Below a group that this process cannot name, beside it, or in another namespace.
            ("3:pids:/../lxc.payload.web", "3:pids:/../lxc.payload.web"),
            ("3:pids:/../../../web", "3:pids:/../../../web"),
            ("0::/../../..x/web", "0::/../../..x/web"),
            ("0::/web", "0::/web"),
            ("2:cpu,cpuacct:/../../web", "2:cpu,cpuacct:/../../web"),
            ("x", "x"),
        ] {
            let found = view.absolute(line.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), expected);
        }
        let text = b"3:pids:/../../a\n0::/../../../b\n";
        assert_eq!(view.absolute(text), &b"3:pids:/a\n0::/b\n"[..]);
        assert!(View::is_relative(text) && !View::is_relative(b"0::/..x\n"));
        assert_eq!(View::default().absolute(text), &text[..]);
    }
}
