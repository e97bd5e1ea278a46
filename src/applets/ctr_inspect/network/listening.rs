//! Sockets that listen in the container's namespace, and the processes that hold them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;

use super::Sources;
use crate::container::world::{Seen, Subject, World};
use crate::net::Listener;
use crate::proc::sockets_of;

#[derive(Serialize, Debug, Clone)]
pub(in crate::applets::ctr_inspect) struct Listening {
    pub protocol: &'static str,
    pub address: String,
    pub port: u16,
    pub pid: Option<i32>,
    pub cpid: Option<i32>,
    pub command: Option<String>,
    /// Is the process in the container? Null if it is not known.
    pub inside: Option<bool>,
    #[serde(skip)]
    pub ip: IpAddr,
}

impl Listening {
    /// `*` for all addresses.
    pub(in crate::applets::ctr_inspect) fn shown_address(&self) -> String {
        match (self.ip.is_unspecified(), self.ip.is_ipv6()) {
            (true, _) => "*".to_owned(),
            (false, true) => format!("[{}]", self.address),
            (false, false) => self.address.clone(),
        }
    }
}

/// Descriptors that are looked at, of one user.
const MOST_DESCRIPTORS: usize = 100_000;

/// Of the host's namespace only the sockets of the container's processes.
pub(super) fn owned(
    sources: &Sources<'_>,
    subject: Subject,
    all: Vec<Listener>,
    only_own: bool,
) -> Vec<Listening> {
    let Sources { world, commands, unknown, .. } = sources;
    let is_member = |seen: &&Seen| match subject.container {
        Some(number) => seen.container.is_some_and(|own| world.is_within(own, number)),
        None => seen.pid == subject.pid,
    };
    let mut wanted: BTreeSet<u64> = all.iter().map(|one| one.inode).filter(|inode| *inode != 0).collect();
    let mut holders = BTreeMap::new();
    let (members, others): (Vec<&Seen>, Vec<&Seen>) = world.processes.iter().partition(is_member);
    let mut refused = search(world, &members, &mut wanted, &mut holders);
    if !only_own && !wanted.is_empty() {
        // dockerd serves names in the namespaces of containers; a pod's containers share one.
        refused |= search(world, &others, &mut wanted, &mut holders);
    }
    if refused && !wanted.is_empty() {
        unknown.refused("network.listening.pid", "list open files");
    }
    let found = all.into_iter().filter(|one| !only_own || holders.contains_key(&one.inode)).map(|one| {
        let pid = holders.get(&one.inode).copied();
        let seen = pid.and_then(|pid| world.process(pid));
        Listening {
            protocol: one.transport.name(),
            address: one.address.to_string(),
            port: one.port,
            pid,
            cpid: seen.and_then(|seen| seen.cpid),
            command: pid.and_then(|pid| commands.get(world, pid)),
            inside: seen.map(|seen| is_member(&seen)),
            ip: one.address,
        }
    });
    found.collect()
}

/// Takes what it finds out of `wanted`. Is there a process whose files cannot be listed?
fn search(
    world: &World<'_>,
    processes: &[&Seen],
    wanted: &mut BTreeSet<u64>,
    holders: &mut BTreeMap<u64, i32>,
) -> bool {
    let (mut refused, mut looked_at) = (false, BTreeMap::<Option<u32>, usize>::new());
    for process in processes {
        if wanted.is_empty() {
            break;
        }
        let count = looked_at.entry(process.uid).or_default();
        let result =
            sockets_of(&world.links, process.pid, MOST_DESCRIPTORS.saturating_sub(*count), |inode| {
                if wanted.remove(&inode) {
                    holders.insert(inode, process.pid);
                }
            });
        match result {
            Ok(seen) => *count += seen,
            Err(errno) => refused |= matches!(errno, nix::errno::Errno::EACCES | nix::errno::Errno::EPERM),
        }
    }
    refused
}
