//! What is known of the processes and containers from one look to the next. Reading all of a process again at each look
//! would cost most of the time. So a look reads only the processes that are new.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::processes::{Kind, Opened};
use super::scan::{Found, Owner, Process, Scanned};
use super::services::Service;
use crate::sys::keyed::{HashMap, HashSet, Keyed};

/// All processes are read again after this time: one may have moved, and a container may have another name.
const ALL: Duration = Duration::from_secs(30);
/// Scans take at most one in so many parts of the time.
const SHARE: u32 = 40;
/// So much of that time can be used in advance.
const ADVANCE: Duration = Duration::from_secs(10);
/// For how long a new process is looked at again, in half seconds: it may not have come to its container yet. It is looked
/// at once at least, and at most so often.
const FRESH: u8 = 4;

pub(super) struct Known {
    /// None if it has ended.
    pub containers: Vec<Option<Rc<Found>>>,
    /// The keys of containers that are not shown.
    pub others: HashSet<String>,
    pub services: Vec<Rc<Service>>,
    pub processes: BTreeMap<i32, Entry>,
    /// Whose a process with this key is. None if not all have the same owner.
    by_key: HashMap<u64, Option<Owner>>,
    pub opened: Opened,
    /// Processes whose disk use cannot be read.
    pub no_disk: HashSet<i32>,
    /// The end of the last scan of all processes, and the CPU time that it took.
    scanned: Option<(Instant, Duration)>,
    /// The end of the last look.
    looked: Instant,
    /// When the time that scans may take has passed.
    paid: Option<Instant>,
    /// Descriptors from this number on are not kept.
    pub most: usize,
    pub hasher: Keyed,
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub key: u64,
    pub owner: Owner,
    pub inode: u64,
    /// For how long it is looked at again, in half seconds.
    pub fresh: u8,
}

impl Known {
    pub(super) fn new(most: usize) -> Known {
        Known {
            containers: Vec::new(),
            others: HashSet::default(),
            services: Vec::new(),
            processes: BTreeMap::new(),
            by_key: HashMap::default(),
            opened: Opened::new(),
            no_disk: HashSet::default(),
            scanned: None,
            looked: Instant::now(),
            paid: None,
            most,
            hasher: Keyed::default(),
        }
    }

    /// Is it time to read all processes?
    pub(super) fn is_old(&self) -> bool {
        self.scanned.is_none_or(|(at, cost)| at.elapsed() >= ALL.max(cost * SHARE))
    }

    /// Is there time to find whose new processes are?
    pub(super) fn has_time(&self) -> bool {
        self.paid.is_none_or(|paid| paid <= Instant::now() + ADVANCE)
    }

    /// A scan for new processes took so much CPU time.
    pub(super) fn pay(&mut self, cost: Duration) {
        let now = Instant::now();
        self.paid = Some(self.paid.map_or(now, |paid| paid.max(now)) + cost * SHARE);
    }

    /// The time since the look before, in half seconds: one at least.
    fn passed(&mut self) -> u8 {
        let passed = std::mem::replace(&mut self.looked, Instant::now()).elapsed();
        u8::try_from(passed.as_millis() / 500).unwrap_or(FRESH).max(1)
    }

    /// The result of a scan of all processes.
    pub(super) fn replace(&mut self, scanned: Scanned, cost: Duration) {
        let passed = self.passed();
        self.scanned = Some((Instant::now(), cost));
        self.containers = scanned.containers.into_iter().map(|found| Some(Rc::new(found))).collect();
        self.others = scanned.others.into_iter().collect();
        self.services = scanned.services.into_iter().map(Rc::new).collect();
        let entry = |one: &Process| {
            let fresh = match self.processes.get(&one.pid) {
                Some(old) => old.fresh.saturating_sub(passed),
                None if self.processes.is_empty() => 0,
                None => FRESH,
            };
            (one.pid, Entry { key: one.key, owner: one.owner, inode: one.inode, fresh })
        };
        self.processes = scanned.processes.iter().map(entry).collect();
        self.by_key.clear();
        for one in &scanned.processes {
            self.learn(one, None);
        }
        self.opened.retain(|(pid, _), _| self.processes.contains_key(pid));
    }

    /// The processes that have ended, those that are new, and the containers and services that scans of these found.
    pub(super) fn change(
        &mut self,
        (gone, came): (&[i32], &[Process]),
        containers: Vec<(usize, Found)>,
        services: Vec<(usize, Service)>,
    ) {
        let passed = self.passed();
        for entry in self.processes.values_mut() {
            entry.fresh = entry.fresh.saturating_sub(passed);
        }
        for pid in gone {
            self.processes.remove(pid);
            for kind in Kind::ALL {
                self.opened.remove(&(*pid, kind));
            }
        }
        for (number, found) in containers {
            put(&mut self.containers, number, Some(Rc::new(found)));
        }
        for (number, service) in services {
            put(&mut self.services, number, Rc::new(service));
        }
        for one in came {
            let old = self.processes.get(&one.pid).filter(|old| old.inode == one.inode).copied();
            let fresh = old.map_or(FRESH, |old| old.fresh);
            self.learn(one, old.filter(|old| old.key == one.key).map(|old| old.owner));
            self.processes.insert(one.pid, Entry { key: one.key, owner: one.owner, inode: one.inode, fresh });
        }
    }

    /// Processes with the key of this one have its owner. `before`: the owner that it had with that key.
    fn learn(&mut self, one: &Process, before: Option<Owner>) {
        if one.owner == Owner::Kernel {
            return;
        }
        let containers = &self.containers;
        let is_over = |owner| matches!(owner, Owner::Container(number) if containers[number].is_none());
        let known = self.by_key.entry(one.key).or_insert(Some(one.owner));
        match *known {
            Some(owner) if owner == one.owner => {}
            Some(owner) if before == Some(owner) || is_over(owner) => *known = Some(one.owner),
            _ => *known = None,
        }
    }

    /// Whose the processes with this key are. None if that is not known.
    pub(super) fn owner_by_key(&self, key: u64) -> Option<Owner> {
        match self.by_key.get(&key).copied().flatten()? {
            Owner::Container(number) => self.containers[number].as_ref().map(|_| Owner::Container(number)),
            owner => Some(owner),
        }
    }

    /// Processes that are looked at again, as one that has just started may still move.
    pub(super) fn refresh(&mut self, pids: impl Iterator<Item = i32>) {
        for pid in pids {
            let entry = self.processes.get_mut(&pid);
            let of_host = entry.filter(|entry| matches!(entry.owner, Owner::Host(_)));
            of_host.into_iter().for_each(|entry| entry.fresh = FRESH);
        }
    }

    /// A container, and those around it that are shown.
    pub(super) fn around(&self, number: usize) -> impl Iterator<Item = usize> {
        let around = |number: &usize| self.containers[*number].as_ref().and_then(|found| found.around);
        std::iter::successors(Some(number), around)
    }

    /// Is it a process outside of a container, and of those nested in it? One that started since the scan can be inside.
    pub(super) fn is_outside(&self, pid: i32, number: usize) -> bool {
        self.processes.get(&pid).is_some_and(|entry| match entry.owner {
            Owner::Container(own) => !self.around(own).any(|one| one == number),
            _ => true,
        })
    }
}

/// Numbers follow one another.
pub(super) fn put<T>(list: &mut Vec<T>, number: usize, value: T) {
    match list.get_mut(number) {
        Some(old) => *old = value,
        None => list.push(value),
    }
}
