//! Whether a process is in a namespace of the host, from files that everybody may read: the links of its namespaces are
//! shown only to its owner and root.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use nix::unistd::Pid;

use crate::proc::idmap::{Which, extents};
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, number};

/// None if nothing proves it. The host's namespaces are those of the first process.
#[must_use]
pub(super) fn is_hosts(proc: &ProcRoot, pid: Pid, kind: Kind) -> Option<bool> {
    let (process, first) = (proc.process(pid), proc.process(Pid::from_raw(1)));
    match kind {
        _ if pid == first.pid => Some(true),
        // A PID for each pid namespace, beginning with that of this proc.
        Kind::Pid => match process.status().ok()?.nspid.len() {
            0 => None,
            count => Some(count == 1),
        },
        // Each network namespace has files of its own, and so inodes.
        Kind::Net => {
            let inode = |pid: Pid| Some(std::fs::metadata(proc.path_of(pid, "net/dev")).ok()?.ino());
            Some(inode(pid)? == inode(first.pid)?)
        }
        // The ids of mounts are unique.
        Kind::Mnt => {
            let mounts = mount_ids(&process.mountinfo().ok()?);
            let of_first = mount_ids(&first.mountinfo().ok()?);
            let is_known = !mounts.is_empty() && !of_first.is_empty();
            is_known.then(|| !mounts.is_disjoint(&of_first))
        }
        // The first user namespace has all ids, also of projects, which runtimes do not map.
        Kind::User => match (has_all_ids(proc, pid)?, has_all_ids(proc, first.pid)?) {
            (own, of_first) if own != of_first => Some(false),
            (own, _) => own.then_some(true),
        },
        Kind::Ipc | Kind::Uts | Kind::Cgroup | Kind::Time => None,
    }
}

fn mount_ids(text: &[u8]) -> BTreeSet<u64> {
    let first_word = |line: &[u8]| number(line.split(|&b| b == b' ').next()?);
    text.split(|&b| b == b'\n').filter_map(first_word).collect()
}

fn has_all_ids(proc: &ProcRoot, pid: Pid) -> Option<bool> {
    let process = proc.process(pid);
    let has_all = |map: &[u8]| {
        let mut lines = extents(map);
        let is_all =
            lines.next().is_some_and(|line| (line.inner, line.outer, line.count) == (0, 0, u32::MAX));
        is_all && lines.next().is_none()
    };
    let maps = [process.id_map(Which::Users), process.id_map(Which::Groups), process.project_map()];
    maps.into_iter().map(|map| map.ok().map(|map| has_all(&map))).try_fold(true, |all, map| Some(all && map?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::ctr_inspect::namespaces::HostNamespaces;

    /// The same as the links say, of all processes.
    #[test]
    fn what_is_proven_is_what_the_links_say() {
        let proc = ProcRoot::default();
        let host = HostNamespaces::read(&proc);
        for pid in crate::proc::Scan::pids(&proc).expect("a list") {
            for kind in [Kind::Pid, Kind::Net, Kind::Mnt, Kind::User] {
                let before = proc.process(pid).ns(kind);
                let proven = is_hosts(&proc, pid, kind);
                let is_same = before == proc.process(pid).ns(kind);
                let Some(inode) = before.filter(|_| is_same) else { continue };
                let is_hosts = host.is(kind, inode);
                assert!(
                    proven.is_none() || is_hosts.is_none() || proven == is_hosts,
                    "{pid} {kind:?}: {proven:?}, {is_hosts:?}"
                );
            }
        }
    }
}
