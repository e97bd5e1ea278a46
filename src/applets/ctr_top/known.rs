//! What is known of the processes and containers from one look to the next. Reading all of a process again at each look
//! would cost most of the time. So a look reads only the processes that are new; and all of them if one of these is
//! unlike every other, but for at most a fortieth of the time.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::networks::{self, Net};
use super::processes::{self, Kind, Of, Opened, Reader, Times, Usage, timed};
use super::scan::{self, Found, Owner, Process, Scanned, Service, Wanted};
use crate::container::Files;
use crate::container::child::{OnBlock, Parcel, in_child};
use crate::proc::{ProcRoot, Scan, Status};
use crate::sys::keyed::{HashMap, HashSet, Keyed};

/// All processes are read again after this time: one may have moved, and a container may have another name.
const ALL: Duration = Duration::from_secs(30);
/// A scan of all processes takes at most one in so many parts of the time.
const SHARE: u32 = 40;
/// In how many looks a new process is looked at: it may not have come to its container yet.
const FRESH: u8 = 4;
/// A process of the host is new at the first look if it is younger than this, in ticks of 1/100 s.
const YOUNG: u64 = 100;

pub(super) struct Known {
    /// None if it has ended.
    pub containers: Vec<Option<Rc<Found>>>,
    pub services: Vec<Service>,
    processes: BTreeMap<i32, Entry>,
    /// Whose a process with this key is. None if not all have the same owner.
    by_key: HashMap<u64, Option<Owner>>,
    opened: Opened,
    /// Processes whose disk use cannot be read.
    no_disk: HashSet<i32>,
    /// The end of the last scan of all processes, and the CPU time it took.
    scanned: Option<(Instant, Duration)>,
    /// Descriptors from this number on are not kept.
    most: usize,
    hasher: Keyed,
}

#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    owner: Owner,
    inode: u64,
    /// In how many looks more it is looked at again.
    fresh: u8,
}

/// The result of one look.
#[derive(Serialize, Deserialize, Default)]
struct Report {
    /// If all processes were read.
    whole: Option<Scanned>,
    /// The CPU time of that.
    cost: Duration,
    gone: Vec<i32>,
    came: Vec<Process>,
    /// Sorted by PID. It travels apart from the rest.
    #[serde(skip)]
    usage: Vec<Usage>,
    times: Times,
    no_disk: Vec<i32>,
    /// What the interfaces of each container received and sent. It travels apart too.
    #[serde(skip)]
    nets: Vec<(usize, Net)>,
    opened: Vec<(i32, Kind)>,
}

/// What was counted of one container, with those nested in it.
#[derive(Default, Clone)]
pub(super) struct Counts {
    pub procs: u64,
    pub of: Of,
    pub net: Option<Net>,
}

/// What one look found.
pub(super) struct Looked {
    /// Were all processes read? Then the numbers of containers are other ones.
    pub whole: bool,
    pub notes: Vec<String>,
    pub problem: Option<String>,
    /// In the order of the containers.
    pub containers: Vec<Counts>,
    pub host: (u64, Of),
    /// Processes of each service.
    pub services: Vec<u64>,
}

impl Known {
    pub(super) fn new(most: usize) -> Known {
        Known {
            containers: Vec::new(),
            services: Vec::new(),
            processes: BTreeMap::new(),
            by_key: HashMap::default(),
            opened: Opened::new(),
            no_disk: HashSet::default(),
            scanned: None,
            most,
            hasher: Keyed::default(),
        }
    }

    /// Looks at the processes in a child: a read of /proc may not end.
    pub(super) fn look(&mut self, proc: &ProcRoot, files: &Files, wanted: &Wanted<'_>) -> Result<Looked> {
        let known = &*self;
        let parcel: Parcel = in_child(proc, OnBlock::LeaveOut, || {
            let mut look = Look::new(known, proc, wanted)?;
            let report = look.report(files)?;
            let descriptors = look.reader.new.into_iter().map(|(_, fd)| fd).collect();
            Ok(Parcel { bytes: packed(&report)?, descriptors })
        })?;
        let report = unpacked(&parcel.bytes).context("the result of the look is incomplete")?;
        Ok(self.take(report, parcel.descriptors))
    }

    fn take(&mut self, mut report: Report, descriptors: Vec<std::os::fd::OwnedFd>) -> Looked {
        let opened = report.opened.iter().copied().zip(descriptors.into_iter().map(File::from));
        self.opened.extend(opened);
        let whole = report.whole.take();
        let is_whole = whole.is_some();
        let (mut notes, mut problem) = (Vec::new(), None);
        match whole {
            Some(scanned) => {
                (notes, problem) = (scanned.notes, scanned.problem);
                self.scanned = Some((Instant::now(), report.cost));
                self.containers = scanned.containers.into_iter().map(|found| Some(Rc::new(found))).collect();
                self.services = scanned.services;
                self.replace(&scanned.processes);
            }
            None => self.change(&report),
        }
        self.no_disk.extend(report.no_disk.iter().copied());
        self.no_disk.retain(|pid| self.processes.contains_key(pid));
        let looked = self.count(&report);
        if let Some(newest) = report.usage.iter().map(|usage| usage.stat[2]).max().filter(|_| is_whole) {
            let young = report.usage.iter().filter(|usage| usage.stat[2] + YOUNG > newest);
            for usage in young {
                let entry = self.processes.get_mut(&usage.pid);
                let of_host = entry.filter(|entry| matches!(entry.owner, Owner::Host(_)));
                of_host.into_iter().for_each(|entry| entry.fresh = FRESH);
            }
        }
        Looked { whole: is_whole, notes, problem, ..looked }
    }

    fn replace(&mut self, processes: &[Process]) {
        let entry = |one: &Process| {
            let fresh = match self.processes.get(&one.pid) {
                Some(old) => old.fresh.saturating_sub(1),
                None if self.processes.is_empty() => 0,
                None => FRESH,
            };
            (one.pid, Entry { key: one.key, owner: one.owner, inode: one.inode, fresh })
        };
        self.processes = processes.iter().map(entry).collect();
        self.by_key.clear();
        for one in processes.iter().filter(|one| one.owner != Owner::Kernel) {
            let owner = self.by_key.entry(one.key).or_insert(Some(one.owner));
            *owner = owner.filter(|owner| *owner == one.owner);
        }
        self.opened.retain(|(pid, _), _| self.processes.contains_key(pid));
    }

    fn change(&mut self, report: &Report) {
        for entry in self.processes.values_mut() {
            entry.fresh = entry.fresh.saturating_sub(1);
        }
        for pid in &report.gone {
            self.processes.remove(pid);
            for kind in Kind::ALL {
                self.opened.remove(&(*pid, kind));
            }
        }
        for one in &report.came {
            let old = self.processes.get(&one.pid).filter(|old| old.inode == one.inode);
            let fresh = old.map_or(FRESH, |old| old.fresh);
            self.processes.insert(one.pid, Entry { key: one.key, owner: one.owner, inode: one.inode, fresh });
        }
    }

    fn count(&mut self, report: &Report) -> Looked {
        let is_summed: Vec<bool> =
            self.containers.iter().map(|found| found.as_ref().is_some_and(|found| found.is_summed)).collect();
        let mut usage = report.usage.iter().peekable();
        let of = || Of { times: report.times, ..Of::default() };
        let mut looked = Looked {
            whole: false,
            notes: Vec::new(),
            problem: None,
            containers: self.containers.iter().map(|_| Counts { of: of(), ..Counts::default() }).collect(),
            host: (0, of()),
            services: vec![0; self.services.len()],
        };
        for (pid, entry) in &self.processes {
            // Both are sorted by PID.
            while usage.next_if(|usage| usage.pid < *pid).is_some() {}
            let usage = usage.next_if(|usage| usage.pid == *pid);
            match entry.owner {
                Owner::Host(service) => {
                    looked.host.0 += 1;
                    usage.iter().for_each(|usage| looked.host.1.add(usage));
                    service.into_iter().for_each(|number| looked.services[number] += 1);
                }
                Owner::Container(number) => {
                    let mut around = Some(number);
                    while let Some(number) = around {
                        let counts = &mut looked.containers[number];
                        counts.procs += 1;
                        let found = self.containers[number].as_ref();
                        if is_summed[number] {
                            usage.iter().for_each(|usage| counts.of.add(usage));
                        }
                        around = found.and_then(|found| found.around);
                    }
                }
                Owner::Kernel | Owner::Other => {}
            }
        }
        for (number, net) in &report.nets {
            looked.containers[*number].net = Some(net.clone());
        }
        for (found, counts) in self.containers.iter_mut().zip(&looked.containers) {
            if counts.procs == 0 {
                *found = None;
            }
        }
        looked
    }

    /// Is it a process outside of a container, and of those nested in it? One that started since the scan can be inside.
    pub(super) fn is_outside(&self, pid: i32, number: usize) -> bool {
        let around = |number: &usize| self.containers[*number].as_ref().and_then(|found| found.around);
        self.processes.get(&pid).is_some_and(|entry| match entry.owner {
            Owner::Container(own) => !std::iter::successors(Some(own), around).any(|one| one == number),
            _ => true,
        })
    }
}

/// The numbers of processes, those of network namespaces, and JSON, each after its length. What is in each report is not
/// JSON: that would cost more than to read it does.
fn packed(report: &Report) -> Result<Vec<u8>> {
    let parts = [processes::pack(&report.usage), networks::pack(&report.nets), serde_json::to_vec(report)?];
    let lengths = parts.each_ref().map(|part| (part.len() as u64).to_ne_bytes());
    Ok(lengths.iter().zip(&parts).flat_map(|(length, part)| [&length[..], part]).collect::<Vec<_>>().concat())
}

fn unpacked(mut bytes: &[u8]) -> Option<Report> {
    let mut part = || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_ne_bytes(*length)).ok()?)?;
        bytes = rest;
        Some(part)
    };
    let (usage, nets) = (processes::unpack(part()?), networks::unpack(part()?)?);
    Some(Report { usage, nets, ..serde_json::from_slice(part()?).ok()? })
}

/// One look, in the child.
struct Look<'a> {
    known: &'a Known,
    proc: &'a ProcRoot,
    wanted: &'a Wanted<'a>,
    scan: Scan,
    reader: Reader<'a>,
}

impl<'a> Look<'a> {
    fn new(known: &'a Known, proc: &'a ProcRoot, wanted: &'a Wanted<'a>) -> Result<Look<'a>> {
        let unreadable = || format!("cannot read {}: is proc mounted there?", proc.path().display());
        let reader = Reader::new(proc, &known.opened, known.most).with_context(unreadable)?;
        Ok(Look { known, proc, wanted, scan: Scan::new(proc).with_context(unreadable)?, reader })
    }

    fn report(&mut self, files: &Files) -> Result<Report> {
        let unreadable = || format!("cannot read {}: is proc mounted there?", self.proc.path().display());
        let pids = Scan::listed(self.proc).with_context(unreadable)?;
        let pids: BTreeMap<i32, u64> = pids.into_iter().map(|(pid, inode)| (pid.as_raw(), inode)).collect();
        let mut report = Report::default();
        let may = self.known.scanned.is_none_or(|(at, cost)| at.elapsed() >= cost * SHARE);
        let must = self.known.scanned.is_none_or(|(at, _)| at.elapsed() >= ALL);
        let is_strange = !must && self.changes(&pids, &mut report);
        if must || (is_strange && may) {
            report = self.whole(files, &pids)?;
        }
        self.add_usage(&mut report)?;
        report.opened = self.reader.new.iter().map(|(key, _)| *key).collect();
        Ok(report)
    }

    /// `pids`: with the inodes of their directories.
    fn whole(&mut self, files: &Files, pids: &BTreeMap<i32, u64>) -> Result<Report> {
        let mut scanned = scan::scan(self.proc, files, self.wanted)?;
        for process in &mut scanned.processes {
            process.key = self.key(process.pid);
            process.inode = pids.get(&process.pid).copied().unwrap_or_default();
        }
        // What a scan leaves out: threads of the kernel.
        let listed: HashSet<i32> = scanned.processes.iter().map(|process| process.pid).collect();
        let others = pids.iter().filter(|(pid, _)| !listed.contains(*pid));
        let other =
            |(pid, inode): (&i32, &u64)| Process { pid: *pid, owner: Owner::Kernel, key: 0, inode: *inode };
        scanned.processes.extend(others.map(other));
        let cost = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default();
        Ok(Report { whole: Some(scanned), cost, ..Report::default() })
    }

    /// The processes that are new, and those that have ended. True if one of the new ones is unlike all others.
    fn changes(&mut self, pids: &BTreeMap<i32, u64>, report: &mut Report) -> bool {
        // Another process can have the PID of one that has ended.
        let is_there = |(pid, entry): &(&i32, &Entry)| pids.get(pid) == Some(&entry.inode);
        let gone = self.known.processes.iter().filter(|entry| !is_there(entry));
        report.gone = gone.map(|(pid, _)| *pid).collect();
        let mut is_strange = false;
        for (&pid, &inode) in pids {
            let old = self.known.processes.get(&pid).filter(|entry| entry.inode == inode);
            if old.is_some_and(|entry| entry.fresh == 0) {
                continue;
            }
            let key = self.key(pid);
            if old.is_some_and(|entry| entry.key == key) {
                continue;
            }
            match self.owner(pid, key) {
                Some(owner) => report.came.push(Process { pid, owner, key, inode }),
                None => is_strange |= self.proc.has(&self.proc.path_of(Pid::from_raw(pid), "status")),
            }
        }
        is_strange || report.gone.iter().any(|pid| self.outlives(*pid, pids))
    }

    /// Was it the first process of a container that has others?
    fn outlives(&self, pid: i32, pids: &BTreeMap<i32, u64>) -> bool {
        let is_its = |found: &Option<Rc<Found>>| found.as_ref().is_some_and(|found| found.pid == pid);
        let Some(number) = self.known.containers.iter().position(is_its) else { return false };
        let has = |(pid, entry): (&i32, &Entry)| {
            entry.owner == Owner::Container(number) && pids.get(pid) == Some(&entry.inode)
        };
        self.known.processes.iter().any(has)
    }

    /// None if that is not known.
    fn owner(&mut self, pid: i32, key: u64) -> Option<Owner> {
        let mut buffer = [0; 8];
        let pid = Pid::from_raw(pid);
        // A thread of the kernel has no program; nor has a process that has ended.
        if self.scan.link(pid, "exe", &mut buffer).is_err() {
            let status = Status::parse(self.scan.status_text(pid).ok()?);
            if status.kernel_thread {
                return Some(Owner::Kernel);
            }
        }
        let owner = self.known.by_key.get(&key).copied().flatten()?;
        match owner {
            Owner::Container(number) => self.known.containers[number].as_ref().map(|_| owner),
            _ => Some(owner),
        }
    }

    /// What says whose a process is: its control groups, its namespaces and its root directory.
    fn key(&mut self, pid: i32) -> u64 {
        const LINKS: [&str; 9] =
            ["ns/pid", "ns/mnt", "ns/user", "ns/net", "ns/ipc", "ns/uts", "ns/cgroup", "ns/time", "root"];
        let pid = Pid::from_raw(pid);
        let mut hasher = self.known.hasher.build_hasher();
        self.scan.cgroup(pid).map_err(|errno| errno as i32).hash(&mut hasher);
        for link in LINKS {
            let mut buffer = [0; 256];
            self.scan.link(pid, link, &mut buffer).map_err(|errno| errno as i32).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Reads what only processes tell.
    fn add_usage(&mut self, report: &mut Report) -> Result<()> {
        let known = self.known;
        let kept: Vec<Option<&Found>> = match &report.whole {
            Some(scanned) => scanned.containers.iter().map(Some).collect(),
            None => known.containers.iter().map(Option::as_deref).collect(),
        };
        let summed: Vec<bool> = kept.iter().map(|found| found.is_some_and(|found| found.is_summed)).collect();
        let is_summed = |number: usize| {
            let around = |number: &usize| kept[*number].and_then(|found| found.around);
            std::iter::successors(Some(number), around).any(|number| summed[number])
        };
        let mut owners: BTreeMap<i32, Owner> = match &report.whole {
            Some(_) => BTreeMap::new(),
            None => known.processes.iter().map(|(pid, entry)| (*pid, entry.owner)).collect(),
        };
        report.gone.iter().for_each(|pid| _ = owners.remove(pid));
        let new = report.whole.as_ref().map_or(&report.came, |scanned| &scanned.processes);
        owners.extend(new.iter().map(|one| (one.pid, one.owner)));
        let mut disks = Vec::new();
        let (at, ()) = timed(|| {
            for (pid, owner) in owners {
                let of_container = matches!(owner, Owner::Container(number) if is_summed(number));
                if of_container || matches!(owner, Owner::Host(_)) {
                    report.usage.extend(self.reader.usage(pid));
                }
                if of_container && !known.no_disk.contains(&pid) {
                    disks.push(pid);
                }
            }
        });
        report.times.cpu = at;
        for (number, found) in kept.iter().enumerate().filter(|_| self.wanted.networks) {
            let Some(found) = found.filter(|found| found.net.is_some()) else { continue };
            let net = self.reader.net(found.pid, self.wanted.each_device);
            report.nets.extend(net.map(|net| (number, net)));
        }
        if !disks.is_empty() {
            let (at, read) = self.reader.disks(self.proc, &disks).unwrap_or_default();
            report.times.disk = at;
            report.usage.iter_mut().for_each(|usage| usage.disk = read.get(&usage.pid).copied());
            report.no_disk = disks.into_iter().filter(|pid| !read.contains_key(pid)).collect();
        }
        Ok(())
    }
}
