//! What limits the container: the least value of its control groups and those above, who sets it, and the use.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::Pid;
use serde::Serialize;

use super::unknown::Unknowns;
use crate::access::memory;
use crate::container::world::{Subject, World};
use crate::container::{group_of, rfc3339};
use crate::isolation::cgroup::chain::{Groups, Place, field};
use crate::isolation::cgroup::kills;
use crate::proc::{TICKS, count_of_list, cpus_allowed, number};
use crate::text;

#[derive(Serialize, Debug, Default)]
pub(super) struct Limits {
    pub cgroup: Cgroup,
    pub memory: Memory,
    pub cpu: Cpu,
    pub pids: Pids,
    pub io: Io,
    /// Page sizes with a limit or a use.
    pub hugetlb: Vec<Huge>,
    pub pressure: Option<Pressures>,
    pub rlimits: Rlimits,
    /// Sums over the processes. They count for the container alone, even if its groups do not.
    pub processes: Sums,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Cgroup {
    pub mode: Option<&'static str>,
    /// Are all processes in its groups processes of the container?
    pub own: Option<bool>,
    pub paths: BTreeMap<String, String>,
    pub frozen: Option<bool>,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Memory {
    pub usage: Option<u64>,
    pub working_set: Option<u64>,
    pub limit: Option<u64>,
    pub limit_own: Option<u64>,
    pub limit_by: Option<String>,
    /// What the group with the limit uses, with all groups below it.
    pub limit_usage: Option<u64>,
    pub high: Option<u64>,
    pub high_by: Option<String>,
    pub peak: Option<u64>,
    /// The working set, of the limit; without a limit, of the memory of the host.
    pub percent: Option<f64>,
    pub anon: Option<u64>,
    pub file: Option<u64>,
    pub shmem: Option<u64>,
    pub kernel: Option<u64>,
    pub inactive_file: Option<u64>,
    pub swap: Option<u64>,
    pub swap_limit: Option<u64>,
    pub events: Events,
    /// Those that the kernel's log still has, the oldest first.
    pub kills: Option<Vec<Kill>>,
    pub host_total: Option<u64>,
    /// Is the own control group the container's alone?
    pub own: Option<bool>,
    /// Of `limit_usage`, what the kernel cannot reclaim.
    #[serde(skip)]
    pub limit_fixed: Option<u64>,
    /// Of `limit_usage`, what is no inactive cache.
    #[serde(skip)]
    pub limit_working_set: Option<u64>,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Events {
    pub max: Option<u64>,
    pub high: Option<u64>,
    pub oom: Option<u64>,
    pub oom_kill: Option<u64>,
    /// The group whose limit was reached when a process was killed, where the kernel counts that.
    pub oom_by: Option<String>,
}

/// A process that was killed for lack of memory.
#[derive(Serialize, Debug, Clone)]
pub(super) struct Kill {
    pub time: Option<String>,
    pub pid: i32,
    pub comm: String,
    pub rss: Option<u64>,
    /// The group whose limit was reached; null for the memory of the host.
    pub limit_by: Option<String>,
    /// The group of the process.
    pub victim: String,
    /// How many seconds ago.
    #[serde(skip)]
    pub ago: u64,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Cpu {
    /// In CPUs.
    pub quota: Option<f64>,
    pub quota_own: Option<f64>,
    pub quota_by: Option<String>,
    /// As the file has it: cpu.shares on v1, cpu.weight on v2.
    pub weight: Option<u64>,
    pub cpuset: Option<String>,
    pub seen_cpus: Option<u64>,
    pub effective_cpus: Option<f64>,
    pub usage_seconds: Option<f64>,
    pub throttled: Throttled,
    pub own: Option<bool>,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Throttled {
    pub periods: Option<u64>,
    pub throttled: Option<u64>,
    pub percent: Option<f64>,
    pub seconds: Option<f64>,
    pub by: Option<String>,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Pids {
    pub current: Option<u64>,
    pub limit: Option<u64>,
    pub limit_own: Option<u64>,
    pub limit_by: Option<String>,
    /// Processes and threads in the group with the limit.
    pub limit_current: Option<u64>,
    pub peak: Option<u64>,
    pub denied: Option<u64>,
    pub zombies: Option<u64>,
    pub own: Option<bool>,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Io {
    pub read_bytes: Option<u64>,
    pub write_bytes: Option<u64>,
    /// `cgroup`, or `processes`: a sum without processes that have ended.
    pub source: Option<&'static str>,
    pub limits: Vec<DeviceLimit>,
}

#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceLimit {
    pub device: String,
    /// `rbps`, `wbps`, `riops`, `wiops`.
    pub kind: &'static str,
    pub limit: u64,
    pub by: String,
}

#[derive(Serialize, Debug)]
pub(super) struct Huge {
    pub size: String,
    pub usage: Option<u64>,
    pub limit: Option<u64>,
    pub limit_by: Option<String>,
}

#[derive(Serialize, Debug)]
pub(super) struct Pressures {
    pub cpu: Option<Pressure>,
    pub memory: Option<Pressure>,
    pub io: Option<Pressure>,
}

#[derive(Serialize, Debug)]
pub(super) struct Pressure {
    pub some: Option<Stall>,
    pub full: Option<Stall>,
}

/// As the file has it: averages in percent, the total in microseconds.
#[derive(Serialize, Debug, PartialEq)]
pub(super) struct Stall {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Rlimits {
    pub nofile: Rlimit,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Rlimit {
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Sums {
    pub count: u64,
    /// Pages that processes share count for each of them.
    pub rss: Option<u64>,
    pub cpu_seconds: Option<f64>,
}

impl Rlimit {
    /// From the text of `/proc/PID/limits`.
    pub(super) fn of_open_files(text: &[u8]) -> Rlimit {
        let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"Max open files"));
        let mut words =
            line.unwrap_or_default().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let mut value = || words.next().and_then(number::<u64>);
        Rlimit { soft: value(), hard: value() }
    }
}

/// The container's own group of each controller, or the group that it shares.
struct Own {
    place: Place,
    own: Option<bool>,
}

pub(super) struct Reader<'a> {
    world: &'a World<'a>,
    subject: Subject,
    groups: Groups<'a>,
    members: Vec<i32>,
    unknown: &'a Unknowns,
}

impl<'a> Reader<'a> {
    pub(super) fn new(world: &'a World<'a>, subject: Subject, unknown: &'a Unknowns) -> Reader<'a> {
        let process = world.proc.process(Pid::from_raw(world.chief(subject)));
        let text = unknown.known("limits.cgroup", process.cgroup()).unwrap_or_default();
        let members = match subject.container {
            Some(number) => world.members(number).map(|process| process.pid).collect(),
            None => vec![subject.pid],
        };
        Reader { world, subject, groups: Groups::new(&world.mounted, &text), members, unknown }
    }

    /// Is it paused? That is also in the identity.
    pub(super) fn frozen(&self) -> Option<bool> {
        let v1 = self.own_group("freezer").filter(|own| !own.place.v2);
        let v1 = v1.and_then(|own| own.place.read("freezer.state")).map(|state| state != b"THAWED");
        let unified = self.unified().and_then(|own| own.place.field("cgroup.events", "frozen"));
        match (v1, unified.map(|frozen| frozen != 0)) {
            // docker pause uses v1's on a hybrid host; the unified group then says no.
            (Some(v1), Some(unified)) => Some(v1 || unified),
            (v1, unified) => v1.or(unified),
        }
    }

    pub(super) fn read(&self) -> Limits {
        let memory = self.memory();
        let cpu = self.cpu();
        let pids = self.pids();
        let owns = [memory.own, cpu.own, pids.own];
        let own = match () {
            () if owns.contains(&Some(false)) => Some(false),
            () if owns.contains(&None) => None,
            () => Some(true),
        };
        Limits {
            cgroup: Cgroup { mode: self.mode(), own, paths: self.paths(), frozen: self.frozen() },
            memory,
            cpu,
            pids,
            io: self.io(),
            hugetlb: self.hugetlb(),
            pressure: self.pressure(),
            rlimits: Rlimits { nofile: self.open_files() },
            processes: self.sums(),
        }
    }

    fn mode(&self) -> Option<&'static str> {
        let v2 = self.groups.lines().any(|(controllers, _)| controllers.is_empty());
        let v1 = self.groups.lines().any(|(controllers, _)| !controllers.is_empty());
        match (v1, v2) {
            (true, true) => Some("hybrid"),
            (true, false) => Some("v1"),
            (false, true) => Some("v2"),
            (false, false) => None,
        }
    }

    /// By controller; the unified hierarchy as `unified`.
    fn paths(&self) -> BTreeMap<String, String> {
        let mut paths = BTreeMap::new();
        for (controllers, path) in self.groups.lines() {
            let path = text::utf8(self.of_container(path).unwrap_or(path)).into_owned();
            if controllers.is_empty() {
                for name in self.world.mounted.v2_controllers() {
                    paths.entry(name).or_insert_with(|| path.clone());
                }
                paths.insert("unified".to_owned(), path);
                continue;
            }
            for name in controllers.split(|&b| b == b',') {
                paths.insert(text::utf8(name).into_owned(), path.clone());
            }
        }
        paths
    }

    /// The part of a path that is the container's group.
    fn of_container<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let container = &self.world.containers[self.subject.container?].container;
        group_of(std::str::from_utf8(path).ok()?, container).map(str::as_bytes)
    }

    fn own_group(&self, controller: &str) -> Option<Own> {
        self.groups.place(controller).map(|place| self.own(place))
    }

    fn unified(&self) -> Option<Own> {
        self.groups.unified().map(|place| self.own(place))
    }

    /// The group of the container: by the id in its path, else the group of the first process, which can also be that
    /// of others.
    fn own(&self, place: Place) -> Own {
        let path = place.path();
        let named = self.of_container(path.as_os_str().as_bytes()).and_then(|path| place.ancestor(path));
        if let Some(place) = named {
            let is_root = place.is_root();
            return Own { place, own: Some(!is_root) };
        }
        if self.subject.container.is_none() {
            return Own { own: Some(false), place };
        }
        // systemd in a container moves itself to a group below the container's.
        let above = place.chain().nth(1).filter(|_| path.ends_with("init.scope"));
        match above.map(|above| (self.is_own(&above), above)) {
            Some((Some(true), above)) => Own { place: above, own: Some(true) },
            _ => Own { own: self.is_own(&place), place },
        }
    }

    /// Are all processes of the group processes of the container? None if that cannot be read.
    fn is_own(&self, place: &Place) -> Option<bool> {
        if place.is_root() {
            return Some(false);
        }
        let mut is_own = true;
        for pid in place.members()? {
            // A process can have ended since the scan, or started.
            let other = self.members.binary_search(&pid).is_err() && self.world.process(pid).is_some();
            is_own &= !other;
        }
        Some(is_own)
    }

    /// The group, with a reason in the list of unknown values if there is none.
    fn known_group(&self, controller: &str, path: &str) -> Option<Own> {
        let own = self.own_group(controller);
        if own.is_none() && self.mode().is_some() {
            self.unknown.add(path, format!("no mount of control groups here shows its {controller} group"));
        }
        own
    }

    fn memory(&self) -> Memory {
        let host_total = self.host_memory();
        let Some(Own { place, own }) = self.known_group("memory", "limits.memory") else {
            return Memory { host_total, ..Memory::default() };
        };
        let file = if place.v2 { "memory.current" } else { "memory.usage_in_bytes" };
        let usage = self.unknown.known("limits.memory.usage", place.try_read(file)).flatten();
        let usage = usage.and_then(|text| number::<u64>(&text));
        let most = host_total.unwrap_or(1 << 62);
        let limit_of = |place: &Place| place.memory_limit(most);
        let least = place.least(limit_of);
        let stat = place.read("memory.stat").unwrap_or_default();
        // A mount of a part of the hierarchy hides the groups above it, whose limits hold too.
        let hidden = Place::hidden_memory_limit(&stat, most);
        let binding = least.as_ref().map(|least| {
            let split = Split::read(&least.place, &least.place.read("memory.stat").unwrap_or_default());
            (least.place.number(file), split)
        });
        let limit_usage = binding.as_ref().and_then(|(usage, _)| *usage);
        let limit_inactive = binding.as_ref().and_then(|(_, split)| split.inactive_file);
        let is_known = hidden.is_none_or(|hidden| least.as_ref().is_some_and(|least| hidden >= least.value));
        let (limit, limit_by) = match (least, hidden) {
            (Some(least), hidden) if hidden.is_none_or(|hidden| hidden >= least.value) => {
                (Some(least.value), Some(shown(&least.place)))
            }
            (_, hidden) => (hidden, None),
        };
        let split = Split::read(&place, &stat);
        let working_set = usage.map(|usage| usage.saturating_sub(split.inactive_file.unwrap_or(0)));
        let high = if place.v2 { place.least(|place| place.number("memory.high")) } else { None };
        let events = events(&place);
        let (swap, swap_limit) = self.swap(&place, usage, limit, &stat);
        Memory {
            usage,
            working_set,
            limit,
            limit_own: limit_of(&place),
            limit_by,
            limit_usage,
            limit_fixed: binding.filter(|_| is_known).and_then(|(_, split)| split.fixed()),
            limit_working_set: limit_usage
                .filter(|_| is_known)
                .map(|usage| usage.saturating_sub(limit_inactive.unwrap_or(0))),
            high: high.as_ref().map(|high| high.value),
            high_by: high.as_ref().map(|high| shown(&high.place)),
            peak: place.number(if place.v2 { "memory.peak" } else { "memory.max_usage_in_bytes" }),
            percent: percent(working_set, limit.or(host_total)),
            anon: split.anon,
            file: split.file,
            shmem: split.shmem,
            kernel: split.kernel,
            inactive_file: split.inactive_file,
            swap,
            swap_limit,
            kills: self.kills(&place, &events),
            events,
            host_total,
            own,
        }
    }

    /// The log is read only if something was killed: it has thousands of records.
    fn kills(&self, place: &Place, events: &Events) -> Option<Vec<Kill>> {
        if events.oom_kill? == 0 {
            return Some(Vec::new());
        }
        let log = kills::read_log().map_err(std::io::Error::from);
        let log = self.unknown.known("limits.memory.kills", log)?;
        let path = place.path();
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).ok()?;
        let now = u64::try_from(now.tv_sec()).unwrap_or(0);
        let time = |usec: u64| {
            let ago = now.saturating_sub(usec / 1_000_000);
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_secs().checked_sub(ago)?).ok().map(rfc3339)
        };
        let is_inside = |kill: &kills::Kill| Path::new(OsStr::from_bytes(&kill.victim)).starts_with(&path);
        let shown = |kill: kills::Kill| Kill {
            time: time(kill.usec),
            pid: kill.pid,
            comm: text::utf8(&kill.comm).into_owned(),
            rss: kill.rss,
            limit_by: kill.limit.map(|path| text::utf8(&path).into_owned()),
            victim: text::utf8(&kill.victim).into_owned(),
            ago: now.saturating_sub(kill.usec / 1_000_000),
        };
        Some(log.into_iter().filter(is_inside).map(shown).collect())
    }

    fn host_memory(&self) -> Option<u64> {
        self.world.proc.memory_total()
    }

    /// v1 counts memory and swap together.
    fn swap(
        &self,
        place: &Place,
        usage: Option<u64>,
        limit: Option<u64>,
        stat: &[u8],
    ) -> (Option<u64>, Option<u64>) {
        if place.v2 {
            let limit = place.least(|place| place.number("memory.swap.max"));
            return (place.number("memory.swap.current"), limit.map(|limit| limit.value));
        }
        let both = place.number("memory.memsw.usage_in_bytes");
        let swap = both.zip(usage).map(|(both, usage)| both.saturating_sub(usage));
        let bounded =
            |place: &Place| place.number("memory.memsw.limit_in_bytes").filter(|both| *both < 1 << 62);
        let both = place.least(bounded).map(|least| least.value);
        let swap_limit = both.zip(limit).map(|(both, limit)| both.saturating_sub(limit));
        (swap.or_else(|| field(stat, "total_swap")), swap_limit)
    }

    fn cpu(&self) -> Cpu {
        let process = self.world.proc.process(Pid::from_raw(self.world.chief(self.subject)));
        let status = self.unknown.known("limits.cpu.cpuset", process.status_text()).unwrap_or_default();
        let cpuset = cpus_allowed(&status);
        let seen_cpus = cpuset.map(count_of_list);
        let cpuset = cpuset.map(|list| text::utf8(list).into_owned());
        let Some(Own { place, own }) = self.known_group("cpu", "limits.cpu") else {
            return Cpu { cpuset, seen_cpus, ..Cpu::default() };
        };
        let least = place.least(Place::quota);
        let value = least.as_ref().map(|least| least.value);
        let by = least.as_ref().map(|least| &least.place);
        #[expect(clippy::cast_precision_loss, reason = "a number of CPUs")]
        let seen = seen_cpus.map(|cpus| cpus as f64);
        Cpu {
            quota: value,
            quota_own: place.quota(),
            quota_by: by.map(shown),
            weight: place.number(if place.v2 { "cpu.weight" } else { "cpu.shares" }),
            effective_cpus: match (value, seen) {
                (Some(quota), Some(seen)) => Some(quota.min(seen)),
                (quota, seen) => quota.or(seen),
            },
            usage_seconds: self.cpu_time(&place),
            throttled: throttled(&place, by),
            cpuset,
            seen_cpus,
            own,
        }
    }

    /// In seconds. The unified group has it on a hybrid host too.
    fn cpu_time(&self, cpu: &Place) -> Option<f64> {
        let seconds = |usec: u64| usec as f64 / 1e6;
        if cpu.v2 {
            return cpu.field("cpu.stat", "usage_usec").map(seconds);
        }
        let accounted = self.own_group("cpuacct").filter(|own| !own.place.v2);
        match accounted.and_then(|own| own.place.number("cpuacct.usage")) {
            Some(nanoseconds) => Some(seconds(nanoseconds / 1000)),
            None => self.unified()?.place.field("cpu.stat", "usage_usec").map(seconds),
        }
    }

    fn pids(&self) -> Pids {
        let zombies = self.zombies();
        let Some(Own { place, own }) = self.known_group("pids", "limits.pids") else {
            return Pids { zombies, ..Pids::default() };
        };
        let limit_of = |place: &Place| place.number("pids.max");
        let least = place.least(limit_of);
        let denied = |place: &Place| place.field("pids.events", "max");
        // Before Linux 6.11 it is counted where the process is that forks, then where the limit is.
        let own_denied = denied(&place);
        let by_denied = least.as_ref().and_then(|least| denied(&least.place));
        Pids {
            current: place.number("pids.current"),
            limit: least.as_ref().map(|least| least.value),
            limit_own: limit_of(&place),
            limit_by: least.as_ref().map(|least| shown(&least.place)),
            limit_current: least.as_ref().and_then(|least| least.place.number("pids.current")),
            peak: place.number("pids.peak"),
            denied: own_denied.max(by_denied),
            zombies,
            own,
        }
    }

    fn zombies(&self) -> Option<u64> {
        let is_zombie = |pid: &&i32| {
            let stat = self.world.proc.process(Pid::from_raw(**pid)).stat();
            stat.is_some_and(|stat| stat.state == b'Z')
        };
        Some(self.members.iter().filter(is_zombie).count() as u64)
    }

    fn io(&self) -> Io {
        let own = self.own_group("io").filter(|own| own.place.v2);
        let v1 = self.own_group("blkio").filter(|own| !own.place.v2);
        let limits = own.as_ref().or(v1.as_ref()).map(|own| device_limits(&own.place)).unwrap_or_default();
        let counted = match (&own, &v1) {
            (_, Some(v1)) => v1_bytes(&v1.place),
            (Some(own), None) => own.place.read("io.stat").map(|text| v2_bytes(&text)),
            (None, None) => None,
        };
        // v1 attributes no write-back, and newer kernels count only where there is a limit.
        match counted.filter(|(read, written)| read + written > 0 || v1.is_none()) {
            Some((read, written)) => {
                Io { read_bytes: Some(read), write_bytes: Some(written), source: Some("cgroup"), limits }
            }
            None => Io { limits, ..self.io_of_processes() },
        }
    }

    fn io_of_processes(&self) -> Io {
        let (read, written) = match memory::disk_bytes(self.world.proc, &self.members) {
            Ok(sums) => sums,
            Err(errno) => {
                let why = match errno {
                    Errno::EACCES => "only their owner and root can read what processes read and write",
                    Errno::ETIMEDOUT => "a process does not end its execve(2)",
                    other => other.desc(),
                };
                self.unknown.add("limits.io", why);
                return Io::default();
            }
        };
        let source = Some("processes");
        Io { read_bytes: Some(read), write_bytes: Some(written), source, limits: Vec::new() }
    }

    fn hugetlb(&self) -> Vec<Huge> {
        let Some(Own { place, .. }) = self.own_group("hugetlb") else { return Vec::new() };
        let (limit_end, usage_end) =
            if place.v2 { ("max", "current") } else { ("limit_in_bytes", "usage_in_bytes") };
        let entries = crate::sys::directory::list(&place.directory()).unwrap_or_default();
        let mut all = Vec::new();
        // A directory with such a name is a group.
        let files = entries.iter().filter(|entry| !entry.is_directory);
        for name in files.filter_map(|entry| entry.name.to_str()) {
            let size = name.strip_prefix("hugetlb.").and_then(|rest| rest.strip_suffix(limit_end));
            let Some(size) = size.and_then(|size| size.strip_suffix('.')).filter(|size| !size.contains('.'))
            else {
                continue;
            };
            let usage = place.number(&format!("hugetlb.{size}.{usage_end}"));
            let limit_file = format!("hugetlb.{size}.{limit_end}");
            let least = place.least(|place| place.number(&limit_file).filter(|limit| *limit < 1 << 62));
            if least.is_some() || usage.is_some_and(|usage| usage > 0) {
                let (limit, limit_by) = least.map(|least| (least.value, shown(&least.place))).unzip();
                all.push(Huge { size: size.to_owned(), usage, limit, limit_by });
            }
        }
        all
    }

    fn pressure(&self) -> Option<Pressures> {
        let Own { place, .. } = self.unified().filter(|own| own.own == Some(true))?;
        let read = |file: &str| {
            let text = place.read(file)?;
            Some(Pressure { some: stall(&text, "some"), full: stall(&text, "full") })
        };
        let found =
            Pressures { cpu: read("cpu.pressure"), memory: read("memory.pressure"), io: read("io.pressure") };
        (found.cpu.is_some() || found.memory.is_some() || found.io.is_some()).then_some(found)
    }

    fn open_files(&self) -> Rlimit {
        let read = self.world.proc.process(Pid::from_raw(self.world.chief(self.subject))).limits();
        let Some(text) = self.unknown.known("limits.rlimits", read) else { return Rlimit::default() };
        Rlimit::of_open_files(&text)
    }

    fn sums(&self) -> Sums {
        let page = u64::try_from(sysconf_page()).unwrap_or(4096);
        let mut sums = Sums { count: self.members.len() as u64, ..Sums::default() };
        let (mut rss, mut ticks) = (0_u64, 0_u64);
        for pid in &self.members {
            let Some(stat) = self.world.proc.process(Pid::from_raw(*pid)).stat() else { continue };
            rss = rss.saturating_add(stat.rss.saturating_mul(page));
            ticks = ticks.saturating_add(stat.ticks);
        }
        sums.rss = Some(rss);
        sums.cpu_seconds = Some(ticks as f64 / TICKS as f64);
        sums
    }
}

fn sysconf_page() -> i64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096)
}

/// The path of a group, as it is printed.
fn shown(place: &Place) -> String {
    text::utf8(place.path().as_os_str().as_bytes()).into_owned()
}

#[expect(clippy::cast_precision_loss, reason = "a percentage")]
pub(super) fn percent(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    let (part, whole) = (part? as f64, whole.filter(|whole| *whole > 0)? as f64);
    Some((part / whole * 1000.0).round() / 10.0)
}

/// The parts of memory.stat. v1 has them for the group with those below under another name.
#[derive(Default)]
struct Split {
    anon: Option<u64>,
    file: Option<u64>,
    shmem: Option<u64>,
    kernel: Option<u64>,
    inactive_file: Option<u64>,
    /// Part of `kernel`.
    slab_reclaimable: Option<u64>,
}

impl Split {
    /// What the kernel cannot reclaim without swap.
    fn fixed(&self) -> Option<u64> {
        let kernel = self.kernel.unwrap_or(0).saturating_sub(self.slab_reclaimable.unwrap_or(0));
        Some(self.anon? + self.shmem.unwrap_or(0) + kernel)
    }

    fn read(place: &Place, stat: &[u8]) -> Split {
        if !place.v2 {
            return Split {
                anon: field(stat, "total_rss"),
                file: field(stat, "total_cache"),
                shmem: field(stat, "total_shmem"),
                kernel: place.number("memory.kmem.usage_in_bytes"),
                inactive_file: field(stat, "total_inactive_file"),
                slab_reclaimable: None,
            };
        }
        // Before Linux 5.18 the parts are there, but not their sum.
        let parts = || {
            let parts = ["slab", "kernel_stack", "pagetables", "percpu"];
            parts.iter().filter_map(|name| field(stat, name)).reduce(|sum, part| sum + part)
        };
        Split {
            anon: field(stat, "anon"),
            file: field(stat, "file"),
            shmem: field(stat, "shmem"),
            kernel: field(stat, "kernel").or_else(parts),
            inactive_file: field(stat, "inactive_file"),
            slab_reclaimable: field(stat, "slab_reclaimable"),
        }
    }
}

fn events(place: &Place) -> Events {
    if place.v2 {
        let text = place.read("memory.events").unwrap_or_default();
        let count = |name: &str| field(&text, name);
        // The kernel counts a kill where the victim is, and `oom` where the limit is.
        let reached =
            |place: &Place| place.field("memory.events.local", "oom").is_some_and(|times| times > 0);
        let by = count("oom_kill").filter(|kills| *kills > 0).and_then(|_| place.chain().find(reached));
        return Events {
            max: count("max"),
            high: count("high"),
            oom: count("oom"),
            oom_kill: count("oom_kill"),
            oom_by: by.as_ref().map(shown),
        };
    }
    // v1 counts a kill in the victim's group alone: that may be one below the container's.
    let kills = place.tree().unwrap_or_else(|| vec![place.clone()]);
    let kills = kills.iter().filter_map(|place| place.field("memory.oom_control", "oom_kill"));
    Events {
        // Newer kernels do not count here if the limits of memory and swap are equal: 0 proves nothing.
        max: place.number("memory.failcnt").filter(|times| *times > 0),
        oom_kill: kills.reduce(|sum, kills| sum + kills),
        ..Events::default()
    }
}

/// The group that has the quota counts. Without a quota nothing is counted.
fn throttled(place: &Place, by: Option<&Place>) -> Throttled {
    let Some(by) = by else { return Throttled::default() };
    // The nearest group with a quota that was reached: it need not be the least one.
    let counts = |place: &Place| {
        let text = place.read("cpu.stat")?;
        let time = field(&text, "throttled_usec").map(|usec| usec as f64 / 1e6);
        let time = time.or_else(|| field(&text, "throttled_time").map(|nsec| nsec as f64 / 1e9));
        Some((field(&text, "nr_periods")?, field(&text, "nr_throttled")?, time, shown(place)))
    };
    let quotas = place.chain().filter(|place| place.quota().is_some());
    let found = quotas.filter_map(|place| counts(&place)).max_by_key(|counts| counts.1);
    let Some((periods, throttled, seconds, by)) = found.or_else(|| counts(by)) else {
        return Throttled::default();
    };
    Throttled {
        percent: percent(Some(throttled), Some(periods)),
        periods: Some(periods),
        throttled: Some(throttled),
        seconds,
        by: Some(by),
    }
}

/// `8:0 rbytes=1 wbytes=2 …`: the bytes read and written.
fn v2_bytes(text: &[u8]) -> (u64, u64) {
    let sum = |key: &[u8]| {
        let values = text.split(u8::is_ascii_whitespace).filter_map(|word| word.strip_prefix(key));
        values.filter_map(number::<u64>).fold(0, u64::saturating_add)
    };
    (sum(b"rbytes="), sum(b"wbytes="))
}

/// `8:0 Read 1`: the bytes read and written.
fn v1_bytes(place: &Place) -> Option<(u64, u64)> {
    let text = place.read("blkio.throttle.io_service_bytes_recursive")?;
    let sum = |kind: &[u8]| {
        let lines = text.split(|&b| b == b'\n').map(|line| line.split(|&b| b == b' '));
        let of_kind =
            lines.filter_map(|mut words| (words.nth(1)? == kind).then(|| number::<u64>(words.next()?))?);
        of_kind.fold(0, u64::saturating_add)
    };
    Some((sum(b"Read"), sum(b"Write")))
}

/// For each device and kind the least limit of the group and those above.
fn device_limits(place: &Place) -> Vec<DeviceLimit> {
    let mut all: Vec<DeviceLimit> = Vec::new();
    for place in place.chain() {
        for found in limits_here(&place) {
            let known =
                all.iter_mut().find(|known| (&known.device, known.kind) == (&found.device, found.kind));
            match known {
                Some(known) if known.limit < found.limit => {}
                Some(known) => *known = found,
                None => all.push(found),
            }
        }
    }
    all
}

fn limits_here(place: &Place) -> Vec<DeviceLimit> {
    const V1: [(&str, &str); 4] = [
        ("blkio.throttle.read_bps_device", "rbps"),
        ("blkio.throttle.write_bps_device", "wbps"),
        ("blkio.throttle.read_iops_device", "riops"),
        ("blkio.throttle.write_iops_device", "wiops"),
    ];
    let mut all = Vec::new();
    let mut add = |device: &[u8], kind: &'static str, limit: &[u8]| {
        let device = text::utf8(device).into_owned();
        all.extend(number(limit).map(|limit| DeviceLimit { device, kind, limit, by: shown(place) }));
    };
    if place.v2 {
        let text = place.read("io.max").unwrap_or_default();
        for line in text.split(|&b| b == b'\n') {
            let mut words = line.split(|&b| b == b' ');
            let device = words.next().unwrap_or_default();
            for word in words {
                for (_, kind) in V1 {
                    let value = word.strip_prefix(kind.as_bytes()).and_then(|value| value.strip_prefix(b"="));
                    value.into_iter().for_each(|value| add(device, kind, value));
                }
            }
        }
        return all;
    }
    for (file, kind) in V1 {
        let text = place.read(file).unwrap_or_default();
        for line in text.split(|&b| b == b'\n') {
            let mut words = line.split(|&b| b == b' ');
            if let (Some(device), Some(value)) = (words.next(), words.next()) {
                add(device, kind, value);
            }
        }
    }
    all
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`
fn stall(text: &[u8], name: &str) -> Option<Stall> {
    let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name.as_bytes()))?;
    let value = |key: &[u8]| {
        let mut words = line.split(|&b| b == b' ');
        words.find_map(|word| word.strip_prefix(key)?.strip_prefix(b"="))
    };
    Some(Stall {
        avg10: number(value(b"avg10")?)?,
        avg60: number(value(b"avg60")?)?,
        avg300: number(value(b"avg300")?)?,
        total: number(value(b"total")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_and_io_lines() {
        let text =
            b"some avg10=1.50 avg60=0.00 avg300=0.25 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9";
        let some = Stall { avg10: 1.5, avg60: 0.0, avg300: 0.25, total: 7 };
        assert_eq!(stall(text, "some"), Some(some));
        assert_eq!(stall(b"some avg10=x", "some"), None);
        let stat = b"8:0 rbytes=1 wbytes=2 rios=3\n8:16 rbytes=10 wbytes=20\n";
        assert_eq!(v2_bytes(stat), (11, 22));
    }

    #[test]
    fn percentages_have_one_decimal() {
        assert_eq!(percent(Some(1), Some(3)), Some(33.3));
        assert_eq!(percent(Some(1), Some(0)), None);
        assert_eq!(percent(None, Some(5)), None);
    }
}
