//! The rows: what two samples say of each container. A value that is not known is None, never 0.

mod pods;

use std::cell::OnceCell;
use std::rc::Rc;

use serde::Serialize;

use super::groups::Periods;
use super::processes::Used;
use super::sample::{Counted, Disk, Lacks, One, Sample};
use crate::sys::keyed::HashMap;
pub(super) use pods::{key_of_pod, pods};

/// A row, as it is in JSON.
#[derive(Serialize, Debug, Default, Clone, PartialEq)]
pub(super) struct Row {
    pub container: String,
    pub runtime: Option<String>,
    pub name: Option<String>,
    pub id: Option<String>,
    pub pod: Option<String>,
    pub pod_namespace: Option<String>,
    pub image: Option<String>,
    /// The container around it.
    pub outer: Option<String>,
    pub pid: Option<i32>,
    pub status: &'static str,
    /// Do its groups count for it alone? If not, processes were summed.
    pub own_cgroup: Option<bool>,
    pub procs: u64,
    pub cpu: Cpu,
    pub throttled: Throttled,
    pub memory: Memory,
    pub pids: Pids,
    pub io: Io,
    pub net: Option<Net>,
    pub pressure: Option<Pressure>,
    #[serde(skip)]
    pub key: String,
    /// The key of the container around it.
    #[serde(skip)]
    pub outer_key: Option<String>,
    /// The containers of one pod have the same.
    #[serde(skip)]
    pub pod_key: Option<String>,
    #[serde(skip)]
    pub of_pod: OfPod,
    /// When its first process started, in ticks since boot.
    #[serde(skip)]
    pub start: Option<u64>,
    #[serde(skip)]
    pub is_pause: bool,
    #[serde(skip)]
    pub lacks: Lacks,
}

/// The limits of the group around the container, which is that of the pod, and the groups that have them.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct OfPod {
    pub memory: Option<(u64, String)>,
    pub cpus: Option<(f64, String)>,
    pub pids: Option<(u64, String)>,
}

#[derive(Serialize, Debug, Default, Clone, PartialEq)]
pub(super) struct Cpu {
    /// 100 is one CPU.
    pub percent: Option<f64>,
    /// Of the quota, or of the CPUs that it may run on.
    pub of_limit: Option<f64>,
    /// In CPUs.
    pub limit: Option<f64>,
    pub limit_by: Option<String>,
    pub seconds: Option<f64>,
}

#[derive(Serialize, Debug, Default, Clone, PartialEq)]
pub(super) struct Throttled {
    /// Of the periods since the sample before.
    pub percent: Option<f64>,
    /// Since the group was made, as the following.
    pub periods: Option<u64>,
    pub throttled: Option<u64>,
    pub seconds: Option<f64>,
}

#[derive(Serialize, Debug, Default, Clone, PartialEq)]
pub(super) struct Memory {
    pub usage: Option<u64>,
    pub working_set: Option<u64>,
    pub limit: Option<u64>,
    pub limit_by: Option<String>,
    /// The working set, of the limit; without a limit, of the memory of the host.
    pub percent: Option<f64>,
    pub anon: Option<u64>,
    pub file: Option<u64>,
    pub shmem: Option<u64>,
    pub oom_kills: Option<u64>,
}

#[derive(Serialize, Debug, Default, Clone, PartialEq)]
pub(super) struct Pids {
    pub current: Option<u64>,
    pub limit: Option<u64>,
    pub limit_by: Option<String>,
}

#[derive(Serialize, Debug, Default, Clone, PartialEq)]
pub(super) struct Io {
    /// Bytes a second.
    pub read_rate: Option<f64>,
    pub write_rate: Option<f64>,
    pub read_bytes: Option<u64>,
    pub write_bytes: Option<u64>,
    /// `cgroup`, or `processes`: a sum without processes that have ended.
    pub source: Option<&'static str>,
}

#[derive(Serialize, Debug, Default, Clone, PartialEq)]
pub(super) struct Net {
    pub rx_rate: Option<f64>,
    pub tx_rate: Option<f64>,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
}

/// The part of the last 10 seconds in which some process waited, in percent.
#[derive(Serialize, Debug, Default, Clone, PartialEq)]
pub(super) struct Pressure {
    pub cpu: Option<f64>,
    pub memory: Option<f64>,
    pub io: Option<f64>,
}

/// All rows of a sample.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub containers: Vec<Row>,
    pub host: Option<Row>,
    pub services: Vec<Row>,
    /// Of the whole host, in percent of all its CPUs.
    pub used: Option<f64>,
    pub interval: Option<f64>,
}

/// `before` is the sample before, if there is one.
pub(super) fn rows(now: &Sample, before: Option<&Sample>) -> Rows {
    let boot = before.map_or(0, |before| before.boot);
    let each = |list: &[One], of: fn(&Sample) -> &[One]| -> Vec<Row> {
        let old = before.map(of).unwrap_or_default();
        let by_key = OnceCell::new();
        let row = |(at, one): (usize, &One)| {
            // Mostly at the same place.
            let same = old.get(at).filter(|old| Rc::ptr_eq(&old.found, &one.found));
            let sought = || {
                let all = || old.iter().map(|one| (one.found.key.as_str(), one)).collect();
                let by_key: &HashMap<&str, &One> = by_key.get_or_init(all);
                by_key.get(one.found.key.as_str()).copied()
            };
            row(one, same.or_else(sought), boot, now)
        };
        list.iter().enumerate().map(row).collect()
    };
    let used = before.and_then(|before| {
        let ((used, all), (used_before, all_before)) = (now.ticks?, before.ticks?);
        share(used.checked_sub(used_before)? as f64, all.checked_sub(all_before)? as f64)
    });
    let host = each(now.host.as_slice(), |sample| sample.host.as_slice());
    let at = |sample: &Sample| sample.containers.first().or(sample.host.as_ref()).map(|one| one.at);
    Rows {
        containers: each(&now.containers, |sample| &sample.containers),
        host: host.into_iter().next(),
        services: each(&now.services, |sample| &sample.services),
        used,
        interval: before.and_then(|before| Some(tidy(at(now)? - at(before)?, 1e3))),
    }
}

fn row(now: &One, before: Option<&One>, boot: u64, sample: &Sample) -> Row {
    let before = before.filter(|before| is_same(now, before));
    let found = &now.found;
    let passed = before.map_or(0.0, |before| now.at - before.at);
    let cpu = before.and_then(|before| cpu_between(now.cpu.as_ref()?, before.cpu.as_ref()?, boot));
    let percent = cpu.and_then(|(seconds, time)| rate(seconds * 100.0, time.unwrap_or(passed)));
    let percent = percent.filter(|percent| says_more(*percent, now.lacks.cpu));
    let allowed =
        found.cpus.map(|cpus| cpus as f64).filter(|own| sample.cpus.is_some_and(|all| *own < all as f64));
    let limit = match (now.quota.value, allowed) {
        (Some(quota), Some(allowed)) => Some(quota.min(allowed)),
        (quota, allowed) => quota.or(allowed),
    };
    let disk = before.and_then(|before| disk_between(now.disk.as_ref()?, before.disk.as_ref()?, boot));
    let disk_rate = |of: fn((u64, u64)) -> u64| {
        let rate = disk.and_then(|(bytes, time)| rate(of(bytes) as f64, time.unwrap_or(passed)));
        rate.filter(|rate| says_more(*rate, now.lacks.disk))
    };
    let (read, written) = now.disk.as_ref().map(Disk::bytes).unzip();
    let net = now.net.as_ref().map(|now| {
        let old = before.filter(|before| before.found.net == found.net);
        let old = old.and_then(|before| before.net.as_ref()).filter(|old| old.file == now.file);
        let passed = old.map_or(0.0, |old| now.at - old.at);
        let since = |now: u64, old: Option<u64>| rate(now.checked_sub(old?)? as f64, passed);
        Net {
            rx_rate: since(now.received, old.map(|old| old.received)),
            tx_rate: since(now.sent, old.map(|old| old.sent)),
            rx_bytes: now.received,
            tx_bytes: now.sent,
        }
    });
    Row {
        container: found.label.clone(),
        runtime: some(&found.runtime),
        name: found.name.clone(),
        id: some(&found.id),
        pod: found.pod.clone(),
        pod_namespace: found.pod_namespace.clone(),
        image: found.image.clone(),
        outer: found.outer.clone(),
        pid: Some(found.pid).filter(|pid| *pid > 0),
        status: if now.paused == Some(true) { "paused" } else { "running" },
        own_cgroup: now.own,
        procs: now.procs,
        cpu: Cpu {
            percent,
            of_limit: percent.zip(limit).and_then(|(percent, limit)| share(percent, limit * 100.0)),
            limit,
            limit_by: now.quota.by.clone().filter(|_| now.quota.value == limit),
            seconds: now.cpu.as_ref().map(Counted::seconds),
        },
        throttled: throttled(now.throttled, before.and_then(|before| before.throttled)),
        memory: memory(now, sample.memory.1),
        pids: Pids { current: now.pids, limit: now.pids_limit.value, limit_by: now.pids_limit.by.clone() },
        io: Io {
            read_rate: disk_rate(|(read, _)| read),
            write_rate: disk_rate(|(_, written)| written),
            read_bytes: read,
            write_bytes: written,
            source: now.disk.as_ref().map(Disk::source),
        },
        net,
        pressure: now.pressure.as_ref().map(|[cpu, memory, io]| {
            let average = |waited: &Option<(f64, u64)>| waited.map(|(average, _)| average);
            Pressure { cpu: average(cpu), memory: average(memory), io: average(io) }
        }),
        key: found.key.clone(),
        outer_key: found.outer_key.clone(),
        pod_key: pod_key(now),
        of_pod: OfPod {
            memory: now.memory.limit.above.clone(),
            cpus: now.quota.above.clone(),
            pids: now.pids_limit.above.clone(),
        },
        start: found.start,
        is_pause: found.is_pause,
        lacks: now.lacks,
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// A counter that went down is that of a new group: the container is another one, as is one with another first process. Without
/// a state file the group is the container, whatever its processes do.
fn is_same(now: &One, before: &One) -> bool {
    let first = |one: &One| (one.found.pid, one.found.start);
    let cpu = match (&now.cpu, &before.cpu) {
        (Some(Counted::Group(now)), Some(Counted::Group(before))) => now >= before,
        _ => true,
    };
    let throttled = match (now.throttled, before.throttled) {
        (Some(now), Some(before)) => now.periods >= before.periods && now.throttled >= before.throttled,
        _ => true,
    };
    let disk = match (&now.disk, &before.disk) {
        (Some(Disk::Group(read, written)), Some(Disk::Group(old_read, old_written))) => {
            read >= old_read && written >= old_written
        }
        _ => true,
    };
    // Kills do not say so: v1 counts them in groups below, which end.
    let is_first = !now.found.has_state || first(now) == first(before);
    is_first && cpu && throttled && disk
}

/// A sum that lacks something says only that there is at least so much.
fn says_more(value: f64, lacks_some: bool) -> bool {
    !lacks_some || value > 0.0
}

/// In a second.
fn rate(amount: f64, passed: f64) -> Option<f64> {
    (passed > 0.0).then(|| tidy(amount / passed, 1e3))
}

/// What was used, and in which time if that is another one than that of the groups. None if both were not counted in the
/// same way.
fn cpu_between(now: &Counted, before: &Counted, boot: u64) -> Option<(f64, Option<f64>)> {
    match (now, before) {
        (Counted::Group(now), Counted::Group(before)) => Some((now - before, None)),
        (Counted::Processes(at, now), Counted::Processes(then, before)) => {
            Some((since(now, before, boot).0 as f64 / crate::proc::TICKS as f64, Some(at - then)))
        }
        _ => None,
    }
}

fn disk_between(now: &Disk, before: &Disk, boot: u64) -> Option<((u64, u64), Option<f64>)> {
    match (now, before) {
        (Disk::Group(read, written), Disk::Group(old_read, old_written)) => {
            Some(((read.checked_sub(*old_read)?, written.checked_sub(*old_written)?), None))
        }
        (Disk::Processes(at, now), Disk::Processes(then, before)) => {
            Some((since(now, before, boot), Some(at - then)))
        }
        _ => None,
    }
}

/// What the processes used since the sample at `boot`. What a process used before it joined does not count, nor what
/// those used in the end that are gone.
fn since(now: &[Used], before: &[Used], boot: u64) -> (u64, u64) {
    // Both are sorted by PID.
    let old = |used: &Used| {
        let at = before.binary_search_by_key(&used.pid, |old| old.pid).ok()?;
        Some(&before[at]).filter(|old| old.start == used.start)
    };
    now.iter().fold((0, 0), |(first, second), used| {
        let (old_first, old_second) = match old(used) {
            Some(old) => (old.first, old.second),
            None if used.start >= boot => (0, 0),
            None => (used.first, used.second),
        };
        (first + used.first.saturating_sub(old_first), second + used.second.saturating_sub(old_second))
    })
}

impl Counted {
    pub(super) fn seconds(&self) -> f64 {
        match self {
            Counted::Group(seconds) => tidy(*seconds, 1e6),
            Counted::Processes(_, all) => {
                let ticks = all.iter().fold(0_u64, |sum, used| sum.saturating_add(used.first));
                ticks as f64 / crate::proc::TICKS as f64
            }
        }
    }
}

impl Disk {
    /// Read and written.
    pub(super) fn bytes(&self) -> (u64, u64) {
        match self {
            Disk::Group(read, written) => (*read, *written),
            Disk::Processes(_, all) => all.iter().fold((0, 0), |(read, written), used| {
                (read.saturating_add(used.first), written.saturating_add(used.second))
            }),
        }
    }

    fn source(&self) -> &'static str {
        match self {
            Disk::Group(..) => "cgroup",
            Disk::Processes(..) => "processes",
        }
    }
}

fn throttled(now: Option<Periods>, before: Option<Periods>) -> Throttled {
    let Some(now) = now else { return Throttled::default() };
    let percent = before.and_then(|before| {
        let periods = now.periods.checked_sub(before.periods)?;
        // No period passes while nothing wants to run.
        if periods == 0 {
            return Some(0.0);
        }
        share(now.throttled.checked_sub(before.throttled)? as f64, periods as f64)
    });
    Throttled { percent, periods: Some(now.periods), throttled: Some(now.throttled), seconds: now.seconds }
}

fn memory(now: &One, host: Option<u64>) -> Memory {
    let memory = &now.memory;
    let whole = memory.limit.value.or(host);
    let percent = memory.working_set.zip(whole).and_then(|(used, whole)| share(used as f64, whole as f64));
    Memory {
        usage: memory.usage,
        working_set: memory.working_set,
        limit: memory.limit.value,
        limit_by: memory.limit.by.clone(),
        percent,
        anon: memory.anon,
        file: memory.file,
        shmem: memory.shmem,
        oom_kills: memory.oom_kills,
    }
}

/// Two clusters on one host, or two users, can each have a pod of that name.
fn pod_key(one: &One) -> Option<String> {
    let found = &one.found;
    let pod = found.pod.as_ref()?;
    let namespace = found.pod_namespace.as_deref().unwrap_or_default();
    Some(format!(
        "{}\0{}\0{}\0{namespace}\0{pod}",
        found.runtime,
        found.owner,
        found.outer.as_deref().unwrap_or_default()
    ))
}

/// In percent, with one decimal.
fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| tidy(part / whole * 100.0, 10.0))
}

/// Without digits that mean nothing.
fn tidy(number: f64, unit: f64) -> f64 {
    (number * unit).round() / unit
}

#[cfg(test)]
mod tests;
