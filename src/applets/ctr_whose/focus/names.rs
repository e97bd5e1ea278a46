//! What a bare word can be, looked up in the namespaces of all processes at once: an interface and a host name. To enter a
//! namespace takes less than to read the link that says which one it is.

use std::collections::BTreeSet;

use nix::sys::stat::fstat;
use nix::unistd::{Pid, gethostname};

use super::super::thing::Reading;
use super::Focus;
use crate::container::spaces;
use crate::isolation::ns;
use crate::isolation::visit::{Entered, Place, visit_processes};
use crate::net;
use crate::proc::id_hash::ById;
use crate::proc::ns::Kind;

/// The namespaces of this process, which are the host's.
#[derive(Clone, Copy)]
pub(super) struct Own {
    pub net: u64,
    pub uts: u64,
    pub pid: u64,
}

#[derive(Default)]
pub(super) struct Names {
    pub with_interface: Vec<Pid>,
    pub with_hostname: Vec<Pid>,
    pub nets: BTreeSet<u64>,
    /// The pid namespace of each process, and whether it is directly below the host's.
    pub pid_spaces: ById<i32, (u64, bool)>,
    /// The control group of each process, if the kernel says it by a pidfd.
    pub groups: ById<i32, u64>,
}

const HAS_INTERFACE: u8 = 1;
const HAS_HOSTNAME: u8 = 2;
const IS_OUTERMOST: u8 = 4;

impl Names {
    pub(super) fn look_up(
        pids: &[Pid],
        own: Own,
        interface: Option<&[u8]>,
        hostname: Option<&str>,
    ) -> nix::Result<Names> {
        let mut nets = ById::from_iter([(own.net, false)]);
        let mut outermost = ById::from_iter([(own.pid, false)]);
        let kinds = [hostname.map(|_| Kind::Uts), Some(Kind::Pid), interface.map(|_| Kind::Net)];
        let kinds: Vec<Kind> = kinds.into_iter().flatten().collect();
        let ask = |entered: &Entered| {
            let net = interface.and_then(|_| entered.inode(Kind::Net)).unwrap_or(0);
            let has = || interface.is_some_and(|name| net::has_interface(name).unwrap_or(true));
            let mut marks = if *nets.entry(net).or_insert_with(has) { HAS_INTERFACE } else { 0 };
            let is_called = |wanted| gethostname().is_ok_and(|name| name == wanted);
            if hostname.is_some_and(is_called) && entered.inode(Kind::Uts) != Some(own.uts) {
                marks |= HAS_HOSTNAME;
            }
            let space = entered.inode(Kind::Pid).unwrap_or(0);
            if *outermost.entry(space).or_insert_with(|| is_below(entered, own.pid)) {
                marks |= IS_OUTERMOST;
            }
            let group = entered.group().unwrap_or(0);
            [&[marks], &[net, space, group].map(u64::to_ne_bytes).concat()[..]].concat()
        };
        let mut found = Names::default();
        for (number, answer) in visit_processes(pids, &kinds, ask)? {
            let Some((marks, [net, space, group])) = parts(&answer) else { continue };
            let pid = pids[number];
            found.with_interface.extend((marks & HAS_INTERFACE != 0).then_some(pid));
            found.with_hostname.extend((marks & HAS_HOSTNAME != 0).then_some(pid));
            found.nets.insert(net);
            if space != 0 {
                found.pid_spaces.insert(pid.as_raw(), (space, marks & IS_OUTERMOST != 0));
            }
            if group != 0 {
                found.groups.insert(pid.as_raw(), group);
            }
        }
        Ok(found)
    }
}

impl Focus<'_> {
    /// None if the word is not a bare name, or if the kernel or the rights do not permit it.
    pub(super) fn look_up_names(&self, readings: &[Reading]) -> Option<Names> {
        let interface = readings.iter().find_map(|one| match one {
            Reading::Interface(name) => Some(&name[..]),
            _ => None,
        });
        let hostname = readings.iter().find_map(|one| match one {
            Reading::Hostname(name) => Some(&**name),
            _ => None,
        });
        if readings.len() < 2 || hostname.is_none() { None } else { self.look_up(interface, hostname) }
    }

    /// What the namespaces and control groups of all processes say, if not even a name is looked up.
    pub(super) fn look_up_groups(&mut self) {
        if self.names.is_none() {
            self.names = self.look_up(None, None);
        }
    }

    fn look_up(&self, interface: Option<&[u8]>, hostname: Option<&str>) -> Option<Names> {
        if self.is_foreign() || !self.is_on_host() {
            return None;
        }
        let own = |kind| self.link(Pid::this(), kind);
        let own = Own { net: own(Kind::Net)?, uts: own(Kind::Uts)?, pid: own(Kind::Pid)? };
        Names::look_up(&self.pids, own, interface, hostname).ok()
    }

    /// Who is in a namespace with an interface of this name, which the host has not.
    pub(super) fn with_interface(&mut self, name: &[u8]) -> Option<Vec<i32>> {
        let (found, known) = match &self.names {
            Some(names) => {
                let found = names.with_interface.iter().map(|pid| pid.as_raw()).collect();
                (found, names.nets.iter().copied().collect())
            }
            None => {
                let places = self.places();
                let found = net::search_name(&places, None, name).ok()?;
                (self.in_spaces(&places, found), self.spaces().keys().copied().collect::<BTreeSet<u64>>())
            }
        };
        let bound = spaces::bound(self.files).into_iter().filter(|(inode, _)| !known.contains(inode));
        let bound: Vec<Place> =
            bound.map(|(inode, file)| spaces::place_of(self.files, &file, inode)).collect();
        let is_bound = !net::search_name(&bound, None, name).ok()?.is_empty();
        self.is_incomplete |= is_bound;
        Some(found)
    }
}

fn parts(answer: &[u8]) -> Option<(u8, [u64; 3])> {
    let (marks, rest) = answer.split_first()?;
    let mut numbers = [0; 3];
    for (number, bytes) in numbers.iter_mut().zip(rest.chunks_exact(8)) {
        *number = u64::from_ne_bytes(bytes.try_into().ok()?);
    }
    Some((*marks, numbers))
}

/// Is the pid namespace that was entered directly below this one?
fn is_below(entered: &Entered, own: u64) -> bool {
    let parent = entered.open(Kind::Pid).and_then(|space| ns::parent_of(&space)).and_then(fstat);
    parent.is_ok_and(|parent| parent.st_ino == own)
}
