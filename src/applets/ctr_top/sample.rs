//! One sample: the counters and limits of each container, read from its control groups.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use nix::time::{ClockId, clock_gettime};

use super::processes::{Of, Used};
use super::scan::{Found, Line, Scanned, Service, bytes};
use crate::container::Own;
use crate::isolation::cgroup::Hierarchies;
use crate::isolation::cgroup::chain::{Lines, Place};
use crate::isolation::cgroup::memory::Split;
use crate::isolation::cgroup::pressure::{Stall, stall};
use crate::proc::{ProcRoot, TICKS};
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
    pub found: Found,
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
    pub pressure: Option<[Option<Stall>; 3]>,
}

/// A counter: that of a group, or those of processes. CPU time in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Counted {
    Group(f64),
    Processes(Vec<Used>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Disk {
    Group(u64, u64),
    Processes(Vec<Used>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Periods {
    pub periods: u64,
    pub throttled: u64,
    pub seconds: Option<f64>,
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
    /// The least one of the groups above the container's own.
    pub above: Option<T>,
}

impl<T> Default for Limit<T> {
    fn default() -> Self {
        Limit { value: None, by: None, above: None }
    }
}

/// Reads groups. A value of a group above several containers is read once.
pub(super) struct Sampler<'a> {
    mounted: &'a Hierarchies,
    /// What the host has: a limit that is not below it is none.
    memory: u64,
    pids: Vec<i32>,
    sizes: Above<u64>,
    quotas: Above<f64>,
    counts: Above<u64>,
    members: RefCell<HashMap<PathBuf, Option<Vec<i32>>>>,
}

type Above<T> = RefCell<HashMap<PathBuf, Option<T>>>;

/// Does the kernel attribute disk use to groups on its own, as v2 does?
pub(super) fn counts_disk(mounted: &Hierarchies) -> bool {
    !mounted.0.iter().any(|hierarchy| hierarchy.controllers.iter().any(|name| name == "blkio"))
}

pub(super) fn sample(proc: &ProcRoot, mounted: &Hierarchies, mut scanned: Scanned) -> Sample {
    let (available, all) = (proc.memory_available(), proc.memory_total());
    let ticks = proc.cpu_ticks();
    let sampler = Sampler {
        mounted,
        memory: all.unwrap_or(1 << 62),
        pids: std::mem::take(&mut scanned.pids),
        sizes: RefCell::default(),
        quotas: RefCell::default(),
        counts: RefCell::default(),
        members: RefCell::default(),
    };
    Sample {
        boot: now(ClockId::CLOCK_BOOTTIME, TICKS),
        containers: scanned.containers.into_iter().filter_map(|found| sampler.container(found)).collect(),
        host: scanned.host.map(host),
        services: scanned.services.into_iter().filter_map(|service| sampler.service(service)).collect(),
        ticks: ticks.map(|(used, all, _)| (used, all)),
        cpus: ticks.map(|(_, _, cpus)| cpus),
        memory: (available, all),
    }
}

fn now(clock: ClockId, unit: u64) -> u64 {
    let Ok(time) = clock_gettime(clock) else { return 0 };
    let (whole, part) = (time.tv_sec().unsigned_abs(), time.tv_nsec().unsigned_abs());
    whole * unit + part * unit / 1_000_000_000
}

fn seconds() -> f64 {
    now(ClockId::CLOCK_MONOTONIC, 1_000_000_000) as f64 / 1e9
}

/// The host's own processes.
fn host(of: Of) -> One {
    let found = Found {
        key: "host".to_owned(),
        label: "host".to_owned(),
        shown: "host".to_owned(),
        of,
        ..Found::default()
    };
    One {
        own: Some(false),
        at: seconds(),
        cpu: found.of.cpu.clone().map(Counted::Processes),
        memory: of_processes(&found.of),
        pids: Some(found.of.threads),
        found,
        ..One::default()
    }
}

fn of_processes(of: &Of) -> Memory {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    let page = page.and_then(|page| u64::try_from(page).ok()).unwrap_or(4096);
    let bytes = of.rss.map(|pages| pages.saturating_mul(page));
    Memory { usage: bytes, working_set: bytes, ..Memory::default() }
}

/// The groups of one container by controller.
struct Groups<'a> {
    sampler: &'a Sampler<'a>,
    lines: Vec<(&'a Line, Own)>,
}

impl<'a> Groups<'a> {
    /// The unified hierarchy has the empty name.
    fn get(&self, controller: &str) -> Option<&Own> {
        let of = |name: &str| self.lines.iter().find(|(line, _)| line.is_of(&[name])).map(|(_, own)| own);
        of(controller).or_else(|| of(""))
    }

    fn new(sampler: &'a Sampler<'a>, lines: &'a [Line], members: &[i32]) -> Groups<'a> {
        let is_used =
            |line: &&Line| line.is_of(&["memory", "cpu", "cpuacct", "pids", "blkio", "freezer", ""]);
        let one = |line: &'a Line| {
            let raw = (bytes(&line.controllers), bytes(&line.path));
            let first = line.controllers.split(',').next().unwrap_or_default();
            let place = Lines(vec![raw]).place(sampler.mounted, first)?;
            let own = match line.own {
                true => Own::named(place),
                false => Own::unnamed(place, |place| sampler.is_own(place, members)),
            };
            Some((line, own))
        };
        Groups { sampler, lines: lines.iter().filter(is_used).filter_map(one).collect() }
    }

    /// Its group, if that counts for the container alone.
    fn alone(&self, controller: &str) -> Option<&Place> {
        self.get(controller).filter(|own| own.own != Some(false)).map(|own| &own.place)
    }

    fn paused(&self) -> Option<bool> {
        let v1 = self.alone("freezer").filter(|place| !place.v2);
        let v1 = v1.and_then(|place| place.read("freezer.state")).map(|state| state != b"THAWED");
        let unified = self.alone("").and_then(|place| place.field("cgroup.events", "frozen"));
        match (v1, unified.map(|frozen| frozen != 0)) {
            // docker pause uses v1's on a hybrid host; the unified group then says no.
            (Some(v1), Some(unified)) => Some(v1 || unified),
            (v1, unified) => v1.or(unified),
        }
    }

    /// In seconds. The unified group has it on a hybrid host too.
    fn cpu(&self) -> Option<f64> {
        let unified = || {
            self.alone("")
                .filter(|place| place.v2)?
                .field("cpu.stat", "usage_usec")
                .map(|usec| usec as f64 / 1e6)
        };
        match self.alone("cpuacct").filter(|place| !place.v2) {
            Some(place) => place.number("cpuacct.usage").map(|nsec| nsec as f64 / 1e9).or_else(unified),
            None => unified(),
        }
    }

    fn memory(&self) -> Option<Memory> {
        let place = self.alone("memory")?;
        let usage = place.number(if place.v2 { "memory.current" } else { "memory.usage_in_bytes" });
        let stat = place.read("memory.stat").unwrap_or_default();
        let split = Split::read(place, &stat);
        Some(Memory {
            usage,
            working_set: usage.map(|usage| usage.saturating_sub(split.inactive_file.unwrap_or(0))),
            limit: Limit::default(),
            anon: split.anon,
            file: split.file,
            shmem: split.shmem,
            oom_kills: place.oom_kills(),
        })
    }

    /// Of a group that others share too, because it holds for the container.
    fn memory_limit(&self) -> Limit<u64> {
        let Some(Own { place, .. }) = self.get("memory") else { return Limit::default() };
        let most = self.sampler.memory;
        let limit = self.sampler.limit(&self.sampler.sizes, place, |place| place.memory_limit(most));
        if place.v2 {
            return limit;
        }
        // A mount of a part of the hierarchy hides the groups above it, whose limits hold too.
        let hidden = place.read("memory.stat").and_then(|stat| Place::hidden_memory_limit(&stat, most));
        match hidden {
            Some(hidden) if limit.value.is_none_or(|value| hidden < value) => {
                Limit { value: Some(hidden), by: None, ..limit }
            }
            _ => limit,
        }
    }

    fn quota(&self) -> Limit<f64> {
        let Some(Own { place, .. }) = self.get("cpu") else { return Limit::default() };
        self.sampler.limit(&self.sampler.quotas, place, Place::quota)
    }

    /// Groups without a quota count nothing.
    fn throttled(&self, quota: &Limit<f64>) -> Option<Periods> {
        let place = self.alone("cpu").filter(|_| quota.value.is_some())?;
        let least = place.least(Place::quota)?;
        let found = place.throttled(&least.place)?;
        Some(Periods { periods: found.periods, throttled: found.throttled, seconds: found.seconds })
    }

    fn pids(&self) -> Option<u64> {
        self.alone("pids")?.number("pids.current")
    }

    fn pids_limit(&self) -> Limit<u64> {
        let Some(Own { place, .. }) = self.get("pids") else { return Limit::default() };
        self.sampler.limit(&self.sampler.counts, place, |place| place.number("pids.max"))
    }

    /// v1 attributes no write-back, and newer kernels count only where there is a limit: then processes are summed.
    fn disk(&self, of: &Of) -> Option<Disk> {
        let v1 = self.alone("blkio").filter(|place| !place.v2);
        let counted = v1.or_else(|| self.alone("io").filter(|place| place.v2)).and_then(Place::disk_bytes);
        match counted.filter(|(read, written)| read + written > 0 || of.disk.is_none()) {
            Some((read, written)) => Some(Disk::Group(read, written)),
            None => of.disk.clone().map(Disk::Processes),
        }
    }

    fn pressure(&self) -> Option<[Option<Stall>; 3]> {
        let place = self.alone("").filter(|place| place.v2)?;
        let read = |file| stall(&place.read(file)?, "some");
        let found = ["cpu.pressure", "memory.pressure", "io.pressure"].map(read);
        found.iter().any(Option::is_some).then_some(found)
    }

    /// Does every group count for the container alone?
    fn own(&self) -> Option<bool> {
        let owns: Vec<Option<bool>> = ["memory", "cpuacct", "pids"]
            .iter()
            .filter_map(|name| self.get(name))
            .map(|own| own.own)
            .collect();
        match () {
            () if owns.contains(&Some(false)) => Some(false),
            () if owns.is_empty() || owns.contains(&None) => None,
            () => Some(true),
        }
    }

    fn one(&self, found: Found) -> One {
        let quota = self.quota();
        let at = seconds();
        let cpu = self.cpu().map(Counted::Group).or_else(|| found.of.cpu.clone().map(Counted::Processes));
        let memory = self.memory().unwrap_or_else(|| of_processes(&found.of));
        let threads = Some(found.of.threads).filter(|_| found.of.cpu.is_some());
        One {
            at,
            own: self.own(),
            paused: self.paused(),
            cpu,
            throttled: self.throttled(&quota),
            quota,
            memory: Memory { limit: self.memory_limit(), ..memory },
            pids: self.pids().or(threads),
            pids_limit: self.pids_limit(),
            disk: self.disk(&found.of),
            pressure: self.pressure(),
            found,
        }
    }
}

impl Sampler<'_> {
    /// None if the container has ended since the scan.
    fn container(&self, found: Found) -> Option<One> {
        let lines = found.groups.clone();
        let groups = Groups::new(self, &lines, &found.members);
        let one = groups.one(found);
        let is_gone =
            one.own == Some(true) && one.cpu.is_none() && one.memory.usage.is_none() && one.pids.is_none();
        (!is_gone || groups.lines.iter().any(|(_, own)| own.place.directory().is_dir())).then_some(one)
    }

    fn service(&self, service: Service) -> Option<One> {
        let lines = service.groups.clone();
        let groups = Groups::new(self, &lines, &[]);
        let found = Found {
            key: format!("host\0{}", service.path),
            label: format!("host:{}", text::utf8(&bytes(service.path.trim_start_matches('/')))),
            shown: text::utf8(&bytes(&service.path)).into_owned(),
            pid: service.pid,
            groups: service.groups,
            of: Of { count: service.processes, ..Of::default() },
            ..Found::default()
        };
        Some(groups.one(found)).filter(|one| one.cpu.is_some() || one.memory.usage.is_some())
    }

    /// Are all processes of the group processes of the container? None if that cannot be read.
    fn is_own(&self, place: &Place, members: &[i32]) -> Option<bool> {
        let mut known = self.members.borrow_mut();
        let all = known.entry(place.directory()).or_insert_with(|| place.members());
        // A process that started since the scan can be one of the container.
        let is_other =
            |pid: &i32| members.binary_search(pid).is_err() && self.pids.binary_search(pid).is_ok();
        Some(!all.as_ref()?.iter().any(is_other))
    }

    fn limit<T: PartialOrd + Copy>(
        &self,
        known: &Above<T>,
        place: &Place,
        read: impl Fn(&Place) -> Option<T>,
    ) -> Limit<T> {
        let mut limit = Limit::default();
        for (depth, place) in place.chain().enumerate() {
            let value = match depth {
                0 => read(&place),
                _ => *known.borrow_mut().entry(place.directory()).or_insert_with(|| read(&place)),
            };
            let Some(value) = value else { continue };
            // Of equal ones the outermost binds, because it also limits other groups.
            if limit.value.is_none_or(|least| value <= least) {
                (limit.value, limit.by) = (Some(value), Some(shown(&place.path())));
            }
            if depth > 0 && limit.above.is_none_or(|least| value <= least) {
                limit.above = Some(value);
            }
        }
        limit
    }
}

fn shown(path: &Path) -> String {
    text::utf8(path.as_os_str().as_encoded_bytes()).into_owned()
}
