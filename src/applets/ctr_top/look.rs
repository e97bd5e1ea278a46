//! One look at all processes. It reads only those that are new; and all of them from time to time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{BuildHasher, Hash, Hasher};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::known::{Entry, Known, put};
use super::networks::{self, Net, Unsure};
use super::processes::{self, Lacking, Of, Reader, Times, Usage, timed};
use super::scan::{self, Before, Found, Owner, Process, Scanned, Wanted};
use super::services::Service;
use crate::container::Files;
use crate::container::child::{OnBlock, Parcel, in_child};
use crate::isolation::visit::Place;
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, Scan, Status};

/// A process of the host is new at the first look if it is younger than this, in ticks of 1/100 s.
const YOUNG: u64 = 100;

/// What the child hands over.
#[derive(Serialize, Deserialize, Default)]
struct Report {
    /// If all processes were read.
    whole: Option<Scanned>,
    /// The CPU time that it took to find whose processes are, all or those that are new.
    cost: Duration,
    /// Were new ones the reason?
    is_for_new: bool,
    gone: Vec<i32>,
    came: Vec<Process>,
    /// Containers and services that are new or other ones now, with their numbers.
    containers: Vec<(usize, Found)>,
    services: Vec<(usize, Service)>,
    /// Sorted by PID. It travels apart from the rest.
    #[serde(skip)]
    usage: Vec<Usage>,
    times: Times,
    no_disk: Vec<i32>,
    /// Processes that run, of which nothing can be read.
    unread: BTreeSet<i32>,
    /// Does proc not list the processes of other users?
    hides: bool,
    /// What the interfaces of each container received and sent. It travels apart too.
    #[serde(skip)]
    nets: Vec<(usize, Net)>,
    opened: Vec<(i32, processes::Kind)>,
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
    /// If containers or services are other ones than before: the numbers of containers to which processes came.
    pub changed: Option<BTreeSet<usize>>,
    pub notes: Vec<String>,
    pub problem: Option<String>,
    /// In the order of the containers.
    pub containers: Vec<Counts>,
    pub host: (u64, Of),
    /// Processes of each service.
    pub services: Vec<u64>,
}

/// Looks at the processes in a child: a read of /proc may not end.
pub(super) fn look(known: &mut Known, proc: &ProcRoot, files: &Files, wanted: &Wanted<'_>) -> Result<Looked> {
    let before = &*known;
    let parcel: Parcel = in_child(proc, OnBlock::LeaveOut, || {
        let mut look = Look::new(before, proc, wanted)?;
        let report = look.report(files)?;
        let descriptors = look.reader.new.into_iter().map(|(_, fd)| fd).collect();
        Ok(Parcel { bytes: packed(&report)?, descriptors })
    })?;
    let report = unpacked(&parcel.bytes).context("the result of the look is incomplete")?;
    Ok(take(known, report, parcel.descriptors))
}

fn take(known: &mut Known, mut report: Report, descriptors: Vec<OwnedFd>) -> Looked {
    let opened = report.opened.iter().copied().zip(descriptors.into_iter().map(File::from));
    known.opened.extend(opened);
    if report.is_for_new {
        known.pay(report.cost);
    }
    let whole = report.whole.take();
    let is_whole = whole.is_some();
    let (mut notes, mut problem, mut changed) = (Vec::new(), None, None);
    match whole {
        Some(mut scanned) => {
            (notes, problem) = (std::mem::take(&mut scanned.notes), scanned.problem.take());
            changed = Some(BTreeSet::new());
            known.replace(scanned, report.cost);
        }
        None => {
            let (containers, services) =
                (std::mem::take(&mut report.containers), std::mem::take(&mut report.services));
            known.change((&report.gone, &report.came), containers, services);
            if report.is_for_new {
                let owners = report.came.iter().map(|one| one.owner);
                let own = owners.filter_map(|owner| match owner {
                    Owner::Container(number) => Some(number),
                    _ => None,
                });
                changed = Some(own.flat_map(|number| known.around(number)).collect());
            }
        }
    }
    known.no_disk.extend(report.no_disk.iter().copied());
    known.no_disk.retain(|pid| known.processes.contains_key(pid));
    let looked = count(known, &report);
    if let Some(newest) = report.usage.iter().map(|usage| usage.stat[2]).max().filter(|_| is_whole) {
        let young = report.usage.iter().filter(|usage| usage.stat[2].saturating_add(YOUNG) > newest);
        known.refresh(young.map(|usage| usage.pid));
    }
    Looked { changed, notes, problem, ..looked }
}

fn count(known: &mut Known, report: &Report) -> Looked {
    let is_summed: Vec<bool> =
        known.containers.iter().map(|found| found.as_ref().is_some_and(|found| found.is_summed)).collect();
    let mut usage = report.usage.iter().peekable();
    let lacks = Lacking { usage: report.hides, disk: report.hides };
    let of = || Of { times: report.times, lacks, ..Of::default() };
    let mut looked = Looked {
        changed: None,
        notes: Vec::new(),
        problem: None,
        containers: known.containers.iter().map(|_| Counts { of: of(), ..Counts::default() }).collect(),
        host: (0, of()),
        services: vec![0; known.services.len()],
    };
    for (pid, entry) in &known.processes {
        // Both are sorted by PID.
        while usage.next_if(|usage| usage.pid < *pid).is_some() {}
        let usage = usage.next_if(|usage| usage.pid == *pid);
        let is_unread = report.unread.contains(pid);
        let lacks = Lacking { usage: is_unread, disk: is_unread || known.no_disk.contains(pid) };
        let add = |of: &mut Of| {
            usage.iter().for_each(|usage| of.add(usage));
            of.lack(lacks);
        };
        match entry.owner {
            Owner::Host(service) => {
                looked.host.0 += 1;
                add(&mut looked.host.1);
                service.into_iter().for_each(|number| looked.services[number] += 1);
            }
            Owner::Container(number) => {
                for number in known.around(number) {
                    let counts = &mut looked.containers[number];
                    counts.procs += 1;
                    if is_summed[number] {
                        add(&mut counts.of);
                    }
                }
            }
            Owner::Kernel | Owner::Other => {}
        }
    }
    for (number, net) in &report.nets {
        looked.containers[*number].net = Some(net.clone());
    }
    for (found, counts) in known.containers.iter_mut().zip(&looked.containers) {
        if counts.procs == 0 {
            *found = None;
        }
    }
    looked
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

/// A process that is new or other than before, with what says whose it is.
struct New {
    pid: i32,
    key: u64,
    inode: u64,
}

/// The processes that are listed, with the inodes of their directories.
type Listed = BTreeMap<i32, u64>;

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
        let pids: Listed = pids.into_iter().map(|(pid, inode)| (pid.as_raw(), inode)).collect();
        let mut report = Report::default();
        let begin = cpu_time();
        if self.known.is_old() {
            report.whole = Some(self.whole(files, &pids)?);
        } else {
            let new = self.changes(&pids, &mut report);
            if !new.is_empty() && self.known.has_time() {
                if !self.few(files, &pids, &new, &mut report)? {
                    report = Report { whole: Some(self.whole(files, &pids)?), ..Report::default() };
                }
                report.is_for_new = true;
            }
        }
        report.cost = cpu_time().saturating_sub(begin);
        self.add_usage(&mut report)?;
        report.opened = self.reader.new.iter().map(|(key, _)| *key).collect();
        Ok(report)
    }

    fn whole(&mut self, files: &Files, pids: &Listed) -> Result<Scanned> {
        let mut scanned = scan::scan(self.proc, files, self.wanted)?;
        for process in &mut scanned.processes {
            process.key = self.key(process.pid);
            process.inode = pids.get(&process.pid).copied().unwrap_or_default();
        }
        // What a scan leaves out: threads of the kernel.
        let listed: BTreeSet<i32> = scanned.processes.iter().map(|process| process.pid).collect();
        let others = pids.iter().filter(|(pid, _)| !listed.contains(*pid));
        let other =
            |(pid, inode): (&i32, &u64)| Process { pid: *pid, owner: Owner::Kernel, key: 0, inode: *inode };
        scanned.processes.extend(others.map(other));
        Ok(scanned)
    }

    /// Finds whose these processes are. False: only a scan of all processes tells.
    fn few(&self, files: &Files, pids: &Listed, new: &[New], report: &mut Report) -> Result<bool> {
        let is_there = |pid| self.is_there(pids, pid);
        let before = Before {
            containers: &self.known.containers,
            others: &self.known.others,
            services: &self.known.services,
            is_there: &is_there,
        };
        let asked: Vec<i32> = new.iter().map(|new| new.pid).collect();
        let Some(added) = scan::few((self.proc, files), self.wanted, &asked, &before)? else {
            return Ok(false);
        };
        let owners: BTreeMap<i32, Owner> = added.owners.into_iter().collect();
        let process = |new: &New| {
            let owner = *owners.get(&new.pid)?;
            Some(Process { pid: new.pid, owner, key: new.key, inode: new.inode })
        };
        report.came.extend(new.iter().filter_map(process));
        (report.containers, report.services) = (added.containers, added.services);
        Ok(true)
    }

    /// Another process can have the PID of one that has ended.
    fn is_there(&self, pids: &Listed, pid: i32) -> bool {
        match (pids.get(&pid), self.known.processes.get(&pid)) {
            (Some(inode), Some(entry)) => *inode == entry.inode,
            (inode, _) => inode.is_some(),
        }
    }

    /// The processes that are new, and those that have ended. Returned are those of which the owner is to be found.
    fn changes(&mut self, pids: &Listed, report: &mut Report) -> Vec<New> {
        let known = self.known;
        let is_gone = |(pid, entry): &(&i32, &Entry)| pids.get(*pid) != Some(&entry.inode);
        report.gone = known.processes.iter().filter(is_gone).map(|(pid, _)| *pid).collect();
        let again = self.members_again(pids);
        let mut all = Vec::new();
        for (&pid, &inode) in pids {
            let old = known.processes.get(&pid).filter(|entry| entry.inode == inode);
            let is_again = again.contains(&pid);
            if old.is_some_and(|entry| entry.fresh == 0) && !is_again {
                continue;
            }
            let key = self.key(pid);
            if old.is_some_and(|entry| entry.key == key) && !is_again {
                continue;
            }
            match self.owner(pid, key).filter(|_| !is_again) {
                Some(owner) => report.came.push(Process { pid, owner, key, inode }),
                None if self.proc.has(&self.proc.path_of(Pid::from_raw(pid), "status")) => {
                    all.push(New { pid, key, inode });
                }
                None => {}
            }
        }
        all
    }

    /// The processes of containers that a state file may name now, and one of each container whose first process has ended.
    fn members_again(&self, pids: &Listed) -> BTreeSet<i32> {
        let known = self.known;
        let (mut young, mut headless) = (BTreeSet::new(), BTreeSet::new());
        for (number, found) in known.containers.iter().enumerate() {
            let Some(found) = found else { continue };
            if found.is_young {
                young.insert(number);
            } else if !self.is_there(pids, found.pid) {
                headless.insert(number);
            }
        }
        if young.is_empty() && headless.is_empty() {
            return BTreeSet::new();
        }
        let is_it = |(pid, entry): &(&i32, &Entry)| match entry.owner {
            Owner::Container(number) if pids.get(*pid) == Some(&entry.inode) => {
                young.contains(&number) || headless.remove(&number)
            }
            _ => false,
        };
        known.processes.iter().filter(is_it).map(|(pid, _)| *pid).collect()
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
        self.known.owner_by_key(key)
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
        let mut kept: Vec<Option<&Found>> = match &report.whole {
            Some(scanned) => scanned.containers.iter().map(Some).collect(),
            None => known.containers.iter().map(Option::as_deref).collect(),
        };
        for (number, found) in &report.containers {
            put(&mut kept, *number, Some(found));
        }
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
                let counts = match owner {
                    Owner::Container(number) => is_summed(number),
                    Owner::Host(_) => true,
                    Owner::Kernel | Owner::Other => false,
                };
                if !counts {
                    continue;
                }
                match self.reader.usage(pid) {
                    Some(usage) => report.usage.push(usage),
                    None if self.is_unread(pid) => _ = report.unread.insert(pid),
                    None => {}
                }
                if !known.no_disk.contains(&pid) {
                    disks.push(pid);
                }
            }
        });
        report.times.cpu = at;
        let (each, mut unsure) = (self.wanted.each_device, Vec::new());
        for (container, found) in kept.iter().enumerate().filter(|_| self.wanted.networks) {
            let Some((found, inode)) = found.and_then(|found| Some((found, found.net?))) else { continue };
            let Some((at, file, text)) = self.reader.interfaces(found.pid) else { continue };
            match Net::parse(text, each) {
                Some(net) => report.nets.push((container, Net { at, file, ..net })),
                None => {
                    let namespace = Place::of_process(self.proc, Pid::from_raw(found.pid), Kind::Net, inode);
                    unsure.push(Unsure { container, file, namespace });
                }
            }
        }
        report.nets.extend(networks::asked(&unsure, each));
        if !disks.is_empty() {
            let (at, read) = self.reader.disks(self.proc, &disks).unwrap_or_default();
            report.times.disk = at;
            report.usage.iter_mut().for_each(|usage| usage.disk = read.get(&usage.pid).copied());
            let left = disks.into_iter().filter(|pid| !read.contains_key(pid));
            report.no_disk = left.filter(|pid| self.is_unread(*pid)).collect();
        }
        // The first process of a pid namespace cannot have ended.
        report.hides = !self.proc.is_copy() && !self.is_in_proc(1);
        Ok(())
    }

    /// A copy has of each process what could be copied.
    fn is_unread(&self, pid: i32) -> bool {
        !self.proc.is_copy() && self.is_in_proc(pid)
    }

    fn is_in_proc(&self, pid: i32) -> bool {
        self.proc.has(&self.proc.path_of(Pid::from_raw(pid), ""))
    }
}

/// The CPU time of this process.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
