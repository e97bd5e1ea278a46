//! Processes: which of them hold sockets, and how they are named.

use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::{FILES_OF_OTHERS, Finder, service_of};
use crate::applets::ctr_whose::answer::{Answer, By, Host, Owner, Role};
use crate::container::world::Seen;
use crate::proc::sockets_of;
use crate::text;

/// Descriptors that are looked at, of one user.
const MOST_DESCRIPTORS: usize = 100_000;

impl Finder<'_> {
    /// Which processes hold these sockets: processes of the host first, its first process last.
    pub(in crate::applets::ctr_whose) fn holders(
        &self,
        inodes: impl IntoIterator<Item = u64>,
    ) -> BTreeMap<u64, i32> {
        let all = &self.world.processes;
        let (hosts, others): (Vec<_>, Vec<_>) = all.iter().partition(|process| process.container.is_none());
        let (first, hosts): (Vec<_>, Vec<_>) = hosts.into_iter().partition(|process| process.pid == 1);
        self.holders_among(hosts.into_iter().chain(others).chain(first), inodes)
    }

    /// Which processes of containers hold these sockets.
    pub(in crate::applets::ctr_whose) fn holders_in_containers(
        &self,
        inodes: impl IntoIterator<Item = u64>,
    ) -> BTreeMap<u64, i32> {
        let all = self.world.processes.iter().filter(|process| process.container.is_some());
        self.holders_among(all, inodes)
    }

    fn holders_among<'p>(
        &self,
        processes: impl Iterator<Item = &'p Seen>,
        inodes: impl IntoIterator<Item = u64>,
    ) -> BTreeMap<u64, i32> {
        let mut wanted: BTreeSet<u64> = inodes.into_iter().filter(|inode| *inode != 0).collect();
        let mut found = BTreeMap::new();
        let mut looked_at: BTreeMap<Option<u32>, usize> = BTreeMap::new();
        let mut refused = false;
        for process in processes {
            if wanted.is_empty() {
                break;
            }
            let count = looked_at.entry(process.uid).or_default();
            let left = MOST_DESCRIPTORS.saturating_sub(*count);
            let result = sockets_of(&self.world.links, process.pid, left, |inode| {
                if wanted.remove(&inode) {
                    found.insert(inode, process.pid);
                }
            });
            match result {
                Ok(seen) => *count += seen,
                Err(errno) => refused |= matches!(errno, Errno::EACCES | Errno::EPERM),
            }
        }
        if refused && !wanted.is_empty() {
            self.note(FILES_OF_OTHERS.to_owned());
        }
        found
    }

    /// The name that a process has given itself.
    pub(in crate::applets::ctr_whose) fn comm(&self, pid: i32) -> String {
        let process = self.world.proc.process(Pid::from_raw(pid));
        let of_status = |_| process.status().map(|status| status.name);
        let name = process.name().or_else(of_status).unwrap_or_default();
        text::utf8(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned()
    }

    /// `sshd 812`, with its service.
    pub(in crate::applets::ctr_whose) fn process_of_host(&self, pid: i32) -> Host {
        let service = self.service(pid).map(|service| format!(" ({service})")).unwrap_or_default();
        Host { pid: Some(pid), text: format!("{} {pid}{service}", self.comm(pid)) }
    }

    fn service(&self, pid: i32) -> Option<String> {
        let cgroup = self.world.proc.process(Pid::from_raw(pid)).cgroup().ok()?;
        let text = String::from_utf8_lossy(&cgroup);
        text.lines().find_map(|line| service_of(line.splitn(3, ':').nth(2)?).map(str::to_owned))
    }

    /// `nginx 4257 (1)`
    pub(in crate::applets::ctr_whose) fn named_process(&self, pid: i32) -> String {
        self.with_pids(&self.comm(pid), pid)
    }

    pub(in crate::applets::ctr_whose) fn with_pids(&self, name: &str, pid: i32) -> String {
        let cpid = self.world.process(pid).and_then(|seen| seen.cpid).filter(|cpid| *cpid != pid);
        let inside = cpid.map(|cpid| format!(" ({cpid})")).unwrap_or_default();
        format!("{name} {pid}{inside}")
    }

    /// The answer for a process: its container, or the host.
    pub(in crate::applets::ctr_whose) fn by_process(
        &self,
        pid: i32,
        role: Role,
        detail: String,
    ) -> Result<Answer, Host> {
        match self.world.process(pid).and_then(|seen| seen.container) {
            Some(number) => {
                Ok(Answer::new(Owner::Running(number), role, By::Kernel, detail).of_process(Some(pid)))
            }
            None => Err(self.process_of_host(pid)),
        }
    }
}
