//! One sample: the counters and limits of each container, read from its control groups.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;

use super::controller::Controller;
use super::groups::{Group, Groups, Periods, Sources};
use super::known::Known;
use super::line::bytes;
use super::look::{Counts, Looked};
use super::networks::Net;
use super::processes::{Of, Used, seconds, ticks};
use super::scan::Found;
use super::services::Service;
use crate::isolation::cgroup::Hierarchies;
use crate::isolation::cgroup::chain::Place;
use crate::isolation::cgroup::memory::Split;
use crate::proc::ProcRoot;
use crate::sys::keyed::HashMap;
use crate::text;

#[derive(Debug, Default)]
pub(super) struct Sample {
    /// CLOCK_BOOTTIME, in ticks: the unit of the start times of processes.
    pub boot: u64,
    pub containers: Vec<One>,
    pub host: Option<One>,
    pub services: Vec<One>,
    /// CPU time of the whole host in ticks: used, all.
    pub ticks: Option<(u64, u64)>,
    pub cpus: Option<u64>,
    /// Bytes of the host: available, all.
    pub memory: (Option<u64>, Option<u64>),
}

/// The counters and limits of one container.
#[derive(Debug, Default, Clone)]
pub(super) struct One {
    pub found: Rc<Found>,
    /// With those of nested containers.
    pub procs: u64,
    /// What was received and sent in its network namespace.
    pub net: Option<Net>,
    /// CLOCK_MONOTONIC, read next to the counters, in seconds.
    pub at: f64,
    /// Do its groups count for it alone? Else processes were summed.
    pub own: Option<bool>,
    pub paused: Option<bool>,
    pub cpu: Option<Counted>,
    /// In CPUs: the least quota, if there is one.
    pub quota: Limit<f64>,
    pub throttled: Option<Periods>,
    pub memory: Memory,
    pub pids: Option<u64>,
    pub pids_limit: Limit<u64>,
    pub disk: Option<Disk>,
    pub lacks: Lacks,
    /// The average of 10 seconds in percent, and the total in microseconds: CPU, memory, input and output.
    pub pressure: Option<Pressures>,
    /// What its group read from each disk and wrote there, if that is wanted.
    pub disks: Vec<(String, u64, u64)>,
}

/// Which values are sums that lack processes which cannot be read?
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Lacks {
    pub cpu: bool,
    pub memory: bool,
    pub pids: bool,
    pub disk: bool,
}

pub(super) type Pressures = [Option<(f64, u64)>; 3];

/// What is read of groups only if it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shows {
    pub pressure: bool,
    pub each_device: bool,
}

/// A counter: that of a group, or those of processes. CPU time in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Counted {
    Group(f64),
    /// With the time when they were read.
    Processes(f64, Vec<Used>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Disk {
    Group(u64, u64),
    Processes(f64, Vec<Used>),
}

#[derive(Debug, Default, Clone)]
pub(super) struct Memory {
    pub usage: Option<u64>,
    pub working_set: Option<u64>,
    pub limit: Limit<u64>,
    pub anon: Option<u64>,
    pub file: Option<u64>,
    pub shmem: Option<u64>,
    pub oom_kills: Option<u64>,
}

/// The least limit of a chain of groups.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit<T> {
    pub value: Option<T>,
    pub by: Option<String>,
    /// The least one of the groups above the container's own, and which of them has it.
    pub above: Option<(T, String)>,
}

impl<T> Default for Limit<T> {
    fn default() -> Self {
        Limit { value: None, by: None, above: None }
    }
}

/// The containers whose groups are read, from one sample to the next.
pub(super) struct Sampler {
    mounted: Hierarchies,
    sources: Sources,
    /// In the order of [`Known::containers`].
    containers: Vec<Option<Followed>>,
    services: Vec<(Rc<Service>, Followed)>,
    pub shows: Shows,
}

struct Followed {
    found: Rc<Found>,
    groups: Groups,
}

/// Does the kernel attribute disk use to groups on its own, as v2 does?
pub(super) fn counts_disk(mounted: &Hierarchies) -> bool {
    !mounted.0.iter().any(|hierarchy| hierarchy.controllers.iter().any(|name| name == "blkio"))
}

impl Sampler {
    /// Descriptors from `most` on are not kept.
    pub(super) fn new(mounted: Hierarchies, most: usize) -> Sampler {
        Sampler {
            mounted,
            sources: Sources::new(most),
            containers: Vec::new(),
            services: Vec::new(),
            shows: Shows { pressure: true, each_device: false },
        }
    }

    pub(super) fn counts_disk(&self) -> bool {
        counts_disk(&self.mounted)
    }

    pub(super) fn sample(&mut self, proc: &ProcRoot, known: &Known, looked: Looked) -> Sample {
        let (available, all) = (proc.memory_available(), proc.memory_total());
        let used = proc.cpu_ticks();
        self.sources.next(all.unwrap_or(1 << 62));
        if let Some(touched) = &looked.changed {
            self.follow(known, touched);
        }
        let boot = ticks();
        let mut containers = Vec::with_capacity(self.containers.len());
        let counts = looked.containers.into_iter().zip(&known.containers);
        for (followed, (Counts { procs, of, net }, found)) in self.containers.iter_mut().zip(counts) {
            if found.is_none() {
                *followed = None;
            }
            let Some(followed) = followed else { continue };
            let one = followed.groups.one(&self.sources, self.shows, &of);
            if followed.groups.are_there(&one) {
                containers.push(One { found: followed.found.clone(), procs, net, ..one });
            }
        }
        let services = self.services.iter().zip(looked.services).filter_map(|((_, followed), procs)| {
            let one = followed.groups.one(&self.sources, self.shows, &Of::default());
            let has = procs > 0 && (one.cpu.is_some() || one.memory.usage.is_some());
            has.then(|| One { found: followed.found.clone(), procs, ..one })
        });
        let services = services.collect();
        let (procs, of) = looked.host;
        let host = (procs > 0).then(|| host(procs, of));
        let cpus = used.map(|(_, _, cpus)| cpus);
        let ticks = used.map(|(used, all, _)| (used, all));
        Sample { boot, containers, host, services, ticks, cpus, memory: (available, all) }
    }

    /// The groups of all containers. Those that are known stay open. `touched`: those that can have other groups below now.
    fn follow(&mut self, known: &Known, touched: &BTreeSet<usize>) {
        let mut old = std::mem::take(&mut self.containers);
        let mut same = |(number, found): (usize, &Option<Rc<Found>>)| {
            let is_it =
                |old: &mut Followed| found.as_ref().is_some_and(|found| Rc::ptr_eq(found, &old.found));
            let mut followed = old.get_mut(number)?.take_if(is_it)?;
            if touched.contains(&number) {
                followed.groups.look_below(&self.sources);
            }
            Some(followed)
        };
        let same: Vec<_> = known.containers.iter().enumerate().map(&mut same).collect();
        let others = old.into_iter().flatten();
        let mut old: HashMap<String, Followed> =
            others.map(|followed| (followed.found.key.clone(), followed)).collect();
        // Many containers can be in one group, whose list is long then.
        let lists: RefCell<HashMap<PathBuf, Option<Vec<i32>>>> = RefCell::default();
        let follow = |(number, (same, found)): (usize, (Option<Followed>, &Option<Rc<Found>>))| {
            let found = found.clone()?;
            if same.is_some() {
                return same;
            }
            let same =
                |followed: &Followed| followed.found.groups == found.groups && followed.groups.are_named();
            let groups = match old.remove(&found.key).filter(same) {
                Some(Followed { mut groups, .. }) => {
                    groups.look_below(&self.sources);
                    groups
                }
                None => {
                    let is_own = |place: &Place| {
                        let mut lists = lists.borrow_mut();
                        let listed = lists.entry(place.directory()).or_insert_with(|| place.members());
                        Some(!listed.as_ref()?.iter().any(|pid| known.is_outside(*pid, number)))
                    };
                    Groups::new(&mut self.sources, &self.mounted, &found.groups, is_own)
                }
            };
            Some(Followed { found, groups })
        };
        self.containers = same.into_iter().zip(&known.containers).enumerate().map(follow).collect();
        let mut old = std::mem::take(&mut self.services).into_iter().map(Some).collect::<Vec<_>>();
        let mut follow = |(number, service): (usize, &Rc<Service>)| {
            let is_it = |(old, _): &mut (Rc<Service>, Followed)| Rc::ptr_eq(old, service);
            let same = old.get_mut(number).and_then(|old| old.take_if(is_it));
            same.unwrap_or_else(|| (service.clone(), self.service(service)))
        };
        self.services = known.services.iter().enumerate().map(&mut follow).collect();
        self.sources.forget();
    }

    fn service(&mut self, service: &Service) -> Followed {
        let found = Found {
            key: format!("host\0{}", service.path),
            label: format!("host:{}", text::utf8(&bytes(service.path.trim_start_matches('/')))),
            shown: text::utf8(&bytes(&service.path)).into_owned(),
            pid: service.pid,
            start: service.start,
            ..Found::default()
        };
        let groups = Groups::new(&mut self.sources, &self.mounted, &service.groups, |_| Some(false));
        Followed { found: found.into(), groups }
    }
}

/// The host's own processes.
fn host(procs: u64, of: Of) -> One {
    let name = || "host".to_owned();
    let found = Found { key: name(), label: name(), shown: name(), ..Found::default() };
    One {
        found: found.into(),
        procs,
        own: Some(false),
        at: of.times.cpu,
        memory: of_processes(&of),
        pids: Some(of.threads),
        lacks: Lacks {
            cpu: of.lacks.usage,
            memory: of.lacks.usage,
            pids: of.lacks.usage,
            disk: of.lacks.disk && of.disk.is_some(),
        },
        disk: of.disks(),
        cpu: of.counted(),
        ..One::default()
    }
}

impl Of {
    fn disks(&self) -> Option<Disk> {
        self.disk.clone().map(|disk| Disk::Processes(self.times.disk, disk))
    }

    fn counted(&self) -> Option<Counted> {
        self.cpu.clone().map(|cpu| Counted::Processes(self.times.cpu, cpu))
    }
}

fn of_processes(of: &Of) -> Memory {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    let page = page.and_then(|page| u64::try_from(page).ok()).unwrap_or(4096);
    let bytes = of.rss.map(|pages| pages.saturating_mul(page));
    Memory { usage: bytes, working_set: bytes, ..Memory::default() }
}

impl Groups {
    fn paused(&self) -> Option<bool> {
        let v1 = self.alone(Controller::Freezer).filter(|place| !place.v2);
        let v1 = v1.and_then(|place| place.with("freezer.state", |state| state != b"THAWED"));
        let unified =
            self.alone(Controller::Unified).and_then(|place| place.field("cgroup.events", "frozen"));
        match (v1, unified.map(|frozen| frozen != 0)) {
            // docker pause uses v1's on a hybrid host; the unified group then says no.
            (Some(v1), Some(unified)) => Some(v1 || unified),
            (v1, unified) => v1.or(unified),
        }
    }

    /// In seconds. The unified group has it on a hybrid host too.
    fn cpu(&self) -> Option<f64> {
        let unified = || {
            self.alone(Controller::Unified)
                .filter(|place| place.v2)?
                .field("cpu.stat", "usage_usec")
                .map(|usec| usec as f64 / 1e6)
        };
        match self.alone(Controller::Cpuacct).filter(|place| !place.v2) {
            Some(place) => place.number("cpuacct.usage").map(|nsec| nsec as f64 / 1e9).or_else(unified),
            None => unified(),
        }
    }

    fn memory(&self, sources: &Sources) -> Option<Memory> {
        let place = self.alone(Controller::Memory)?;
        let usage = place.number(if place.v2 { "memory.current" } else { "memory.usage_in_bytes" });
        let stat = place.with("memory.stat", |stat| {
            let hidden = Place::hidden_memory_limit(stat, sources.memory).filter(|_| !place.v2);
            (Split::without_kernel(place.v2, stat), hidden)
        });
        let (split, hidden) = stat.unwrap_or_default();
        if let Some(group) = self.get(Controller::Memory) {
            group.has_hidden_limit(sources, hidden);
        }
        Some(Memory {
            usage,
            working_set: usage.map(|usage| usage.saturating_sub(split.inactive_file.unwrap_or(0))),
            limit: Limit::default(),
            anon: split.anon,
            file: split.file,
            shmem: split.shmem,
            oom_kills: self.oom_kills(),
        })
    }

    /// Of a group that others share too, because it holds for the container.
    fn memory_limit(&self, sources: &Sources) -> Limit<u64> {
        let limit = self.limit(Controller::Memory, |group| group.memory_limit(sources));
        let hidden = self.get(Controller::Memory).and_then(|group| group.hidden_limit(sources));
        match hidden {
            Some(hidden) if limit.value.is_none_or(|value| hidden < value) => {
                Limit { value: Some(hidden), by: None, ..limit }
            }
            _ => limit,
        }
    }

    fn disk(&self, of: &Of) -> Option<Disk> {
        let place = self.of_disks();
        let counted = place.and_then(Place::disk_bytes);
        let counted = counted.map(|(read, written)| Disk::Group(read, written));
        let summed = of.disks();
        // v1 attributes no write-back, and newer kernels count only where there is a limit; processes that have ended are
        // missing in a sum. What counted more has missed less.
        let all = |disk: &Disk| disk.bytes().0.saturating_add(disk.bytes().1);
        match (counted, summed) {
            (Some(counted), Some(summed)) if all(&counted) <= all(&summed) => Some(summed),
            // Without the sum, 0 says nothing.
            (Some(counted), None) if all(&counted) == 0 && place.is_some_and(|place| !place.v2) => None,
            (counted, summed) => counted.or(summed),
        }
    }

    fn of_disks(&self) -> Option<&Place> {
        let v1 = self.alone(Controller::Blkio).filter(|place| !place.v2);
        v1.or_else(|| self.alone(Controller::Io).filter(|place| place.v2))
    }

    fn each_disk(&self) -> Vec<(String, u64, u64)> {
        let all = self.of_disks().map(Place::disk_bytes_of_each).unwrap_or_default();
        let named =
            |(device, (read, written)): (Vec<u8>, _)| (text::utf8(&device).into_owned(), read, written);
        all.into_iter().map(named).collect()
    }

    fn pressure(&self, sources: &Sources) -> Option<Pressures> {
        let group = self.own_group(Controller::Unified).filter(|group| group.place.v2)?;
        let found = std::array::from_fn(|number| group.waited(sources, number));
        found.iter().any(Option::is_some).then_some(found)
    }

    fn limit<T: PartialOrd + Copy>(
        &self,
        controller: Controller,
        read: impl Fn(&Group) -> Option<T>,
    ) -> Limit<T> {
        let mut limit = Limit::default();
        let (mut by, mut above) = (None, None);
        for (depth, group) in self.get(controller).into_iter().flat_map(Group::chain).enumerate() {
            let Some(value) = read(group) else { continue };
            // Of equal ones the outermost binds, because it also limits other groups.
            if limit.value.is_none_or(|least| value <= least) {
                (limit.value, by) = (Some(value), Some(group));
            }
            if depth > 0 && above.is_none_or(|(least, _)| value <= least) {
                above = Some((value, group));
            }
        }
        let above = above.map(|(value, group)| (value, group.shown.clone()));
        Limit { by: by.map(|group| group.shown.clone()), above, ..limit }
    }

    fn one(&self, sources: &Sources, shows: Shows, of: &Of) -> One {
        let quota = self.limit(Controller::Cpu, |group| group.quota(sources));
        let at = seconds();
        let cpu = self.cpu().map(Counted::Group).or_else(|| of.counted());
        let of_group = self.memory(sources);
        let pids = self.alone(Controller::Pids).and_then(|place| place.number("pids.current"));
        let threads = Some(of.threads).filter(|_| of.cpu.is_some());
        let disk = self.disk(of);
        let lacks = Lacks {
            cpu: of.lacks.usage && matches!(cpu, Some(Counted::Processes(..))),
            memory: of.lacks.usage && of_group.is_none(),
            pids: of.lacks.usage && pids.is_none(),
            disk: of.lacks.disk && matches!(disk, Some(Disk::Processes(..))),
        };
        let memory = of_group.unwrap_or_else(|| of_processes(of));
        let by_group = shows.each_device && matches!(disk, Some(Disk::Group(..)));
        One {
            at,
            disks: if by_group { self.each_disk() } else { Vec::new() },
            own: self.own(),
            paused: self.paused(),
            cpu,
            throttled: quota.value.and_then(|_| self.throttled(sources)),
            quota,
            memory: Memory { limit: self.memory_limit(sources), ..memory },
            pids: pids.or(threads),
            pids_limit: self.limit(Controller::Pids, |group| group.pids_limit(sources)),
            disk,
            lacks,
            pressure: shows.pressure.then(|| self.pressure(sources)).flatten(),
            ..One::default()
        }
    }

    /// Groups without a quota count nothing. Of several, the one that was throttled most.
    fn throttled(&self, sources: &Sources) -> Option<Periods> {
        self.alone(Controller::Cpu)?;
        let chain = self.get(Controller::Cpu).into_iter().flat_map(Group::chain);
        let with_quota = chain.filter(|group| group.quota(sources).is_some());
        with_quota.filter_map(|group| group.periods(sources)).max_by_key(|periods| periods.throttled)
    }

    /// Has the container not ended since the look at the processes?
    fn are_there(&self, one: &One) -> bool {
        let has_nothing =
            one.own == Some(true) && one.cpu.is_none() && one.memory.usage.is_none() && one.pids.is_none();
        !has_nothing || !self.are_gone()
    }
}
