//! Memory and swap: limits, use, and kills for lack of memory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;
use serde::Serialize;

use super::reader::{Own, Reader, percent, shown};
use crate::applets::ctr_inspect::unknown::Unknowns;
use crate::container::{Container, is_outermost, rfc3339};
use crate::isolation::cgroup::chain::{Groups, Place, field};
use crate::isolation::cgroup::kills;
use crate::isolation::cgroup::memory::Split;
use crate::proc::number;
use crate::{sys, text};

#[derive(Serialize, Debug, Default)]
pub(in crate::applets::ctr_inspect) struct Memory {
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
    /// Is its control group the container's alone?
    pub own: Option<bool>,
    /// Was a process killed within an hour, whatever the log has?
    #[serde(skip)]
    pub has_recent_kills: bool,
    /// Of `limit_usage`, what the kernel cannot reclaim.
    #[serde(skip)]
    pub limit_fixed: Option<u64>,
    /// Of `limit_usage`, what is no inactive cache.
    #[serde(skip)]
    pub limit_working_set: Option<u64>,
}

#[derive(Serialize, Debug, Default)]
pub(in crate::applets::ctr_inspect) struct Events {
    pub max: Option<u64>,
    pub high: Option<u64>,
    pub oom: Option<u64>,
    pub oom_kill: Option<u64>,
    /// The group whose limit was reached when a process was killed, where the kernel counts that.
    pub oom_by: Option<String>,
}

/// A process that was killed for lack of memory.
#[derive(Serialize, Debug, Clone, Default)]
pub(in crate::applets::ctr_inspect) struct Kill {
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
    /// In seconds since 1970.
    #[serde(skip)]
    pub at: Option<i64>,
}

/// In seconds since 1970. With fractions, as else the time of the same kill would be another one from call to call.
fn at(now: Duration, ago: Duration) -> Option<i64> {
    i64::try_from(now.checked_sub(ago)?.as_secs()).ok()
}

impl Kill {
    /// The log counts from boot.
    fn of_log(kill: kills::Kill) -> Kill {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
        let ago =
            now.map(Duration::from).unwrap_or_default().saturating_sub(Duration::from_micros(kill.usec));
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok();
        let at = since.and_then(|since| at(since, ago));
        Kill {
            time: at.map(rfc3339),
            pid: kill.pid,
            comm: text::utf8(&kill.comm).into_owned(),
            rss: kill.rss,
            limit_by: kill.limit.map(|path| text::utf8(&path).into_owned()),
            victim: text::utf8(&kill.victim).into_owned(),
            ago: ago.as_secs(),
            at,
        }
    }

    /// Those in the container's group that the log still has, the oldest first. None if the log cannot be read.
    pub(in crate::applets::ctr_inspect) fn all_of(
        container: &Container,
        unknown: &Unknowns,
    ) -> Option<Vec<Kill>> {
        let all = read_log(unknown)?.into_iter().map(Kill::of_log);
        Some(all.filter(|kill| is_outermost(&kill.victim, container)).collect())
    }
}

impl Memory {
    pub(in crate::applets::ctr_inspect) fn is_time_of_kills_unknown(&self) -> bool {
        self.events.oom_kill > Some(0) && self.kills.is_none() && !self.has_recent_kills
    }
}

/// What is unknown if the kernel's log cannot be read.
pub(in crate::applets::ctr_inspect) const LOG: &str = "limits.memory.kills";

/// In seconds: a kill since then is recent.
pub(in crate::applets::ctr_inspect) const HOUR: u64 = 3600;

impl Reader<'_> {
    pub(super) fn memory(&self) -> Memory {
        let host_total = self.host_memory();
        let Own { place, own } = match self.known_group("memory", "limits.memory") {
            Ok(group) => group,
            Err(own) => return Memory { host_total, own, ..Memory::default() },
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
        let mut events = events(&place);
        let kills = self.kills(&place, own, &mut events);
        let has_recent_kills = own == Some(true) && self.has_recent_kills(&place, &events, kills.as_deref());
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
            kills,
            has_recent_kills,
            events,
            host_total,
            own,
        }
    }

    /// The log is read only if something was killed: it has thousands of records.
    fn kills(&self, place: &Place, own: Option<bool>, events: &mut Events) -> Option<Vec<Kill>> {
        if events.oom_kill? == 0 {
            return Some(Vec::new());
        }
        // A shared group counts, or has below it, what other containers' limits did to other containers.
        let groups = (own != Some(true)).then(|| self.groups_of_members(place));
        if let Some(groups) = &groups {
            events.oom_kill =
                groups.iter().filter_map(Place::oom_kills_here).reduce(|sum, kills| sum + kills);
        }
        let groups: Option<Vec<PathBuf>> = groups.map(|all| all.iter().map(Place::path).collect());
        let log = read_log(self.unknown)?;
        let path = place.path();
        let is_inside = |kill: &kills::Kill| is_concerned(kill, &path, groups.as_deref());
        let age = self.age();
        // A container that was started again has a group with the same path.
        let is_since = |kill: &Kill| age.is_none_or(|age| kill.ago <= age + 5);
        let found: Vec<Kill> = log.into_iter().filter(is_inside).map(Kill::of_log).filter(is_since).collect();
        if let Some(groups) = groups {
            let is_elsewhere = |kill: &&Kill| groups.iter().all(|group| group != Path::new(&kill.victim));
            let elsewhere = found.iter().filter(is_elsewhere).count() as u64;
            events.oom_kill = events.oom_kill.map(|kills| kills + elsewhere);
        }
        Some(found)
    }

    /// Also without the log, which everybody may not read: all kills are since the start of the container, and the count
    /// can grow.
    fn has_recent_kills(&self, place: &Place, events: &Events, log: Option<&[Kill]>) -> bool {
        const PAUSE: Duration = Duration::from_millis(100);
        let before = events.oom_kill.filter(|kills| *kills > 0 && log.is_none_or(<[Kill]>::is_empty));
        let grows = |before: u64| {
            _ = sys::sleep(PAUSE);
            place.oom_kills().is_some_and(|now| now > before)
        };
        before.is_some_and(|before| self.age().is_some_and(|age| age < HOUR) || grows(before))
    }

    /// The groups at or below this one in which the container has processes.
    fn groups_of_members(&self, place: &Place) -> Vec<Place> {
        let mut found: Vec<Place> = Vec::new();
        for pid in &self.members {
            let text = self.world.proc.process(Pid::from_raw(*pid)).cgroup().unwrap_or_default();
            let group = Groups::new(&self.world.mounted, &text).place("memory");
            let is_new = |group: &Place| group.path().starts_with(place.path()) && !found.contains(group);
            found.extend(group.filter(is_new));
        }
        found
    }

    /// Seconds since the start of the container's first process, if that is known.
    fn age(&self) -> Option<u64> {
        let init = self.world.containers[self.subject.container?].init?;
        self.world.clock.age(self.world.proc.process(Pid::from_raw(init)).start_time()?)
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
}

/// All kills that the log has, or an entry in the list.
fn read_log(unknown: &Unknowns) -> Option<Vec<kills::Kill>> {
    if unknown.is_copy() {
        unknown.add(LOG, "the copy has no log of the kernel");
        return None;
    }
    match kills::read_log() {
        Err(Errno::EACCES | Errno::EPERM) => {
            unknown.add(LOG, "the log of the kernel is shown only with CAP_SYSLOG");
            None
        }
        log => unknown.known(LOG, log.map_err(std::io::Error::from)),
    }
}

/// Is the victim in the group? In one that is shared: in a group with processes of the container, or did it reach a limit
/// that holds for the container too?
fn is_concerned(kill: &kills::Kill, group: &Path, with_members: Option<&[PathBuf]>) -> bool {
    let victim = Path::new(OsStr::from_bytes(&kill.victim));
    let limit = kill.limit.as_deref().map(|limit| Path::new(OsStr::from_bytes(limit)));
    let is_of_member = |all: &[PathBuf]| all.iter().any(|one| one == victim);
    victim.starts_with(group)
        && with_members
            .is_none_or(|all| is_of_member(all) || limit.is_some_and(|limit| group.starts_with(limit)))
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
    Events {
        // Newer kernels do not count here if the limits of memory and swap are equal: 0 proves nothing.
        max: place.number("memory.failcnt").filter(|times| *times > 0),
        oom_kill: place.oom_kills(),
        ..Events::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clocks run on between two reports of the same kill, and a second begins on the one before it does on the other.
    #[test]
    fn the_time_of_a_kill_does_not_depend_on_when_it_is_asked_for() {
        let (boot, kill) = (Duration::from_millis(1_000_000_700), Duration::from_millis(5_400));
        for later in (0..3_000).step_by(100).map(Duration::from_millis) {
            let now = kill + later;
            assert_eq!(at(boot + now, now.saturating_sub(kill)), Some(1_000_006), "{later:?}");
        }
    }

    #[test]
    fn kills_of_others_in_a_shared_group_are_not_the_containers() {
        let members = [PathBuf::from("/outer"), PathBuf::from("/outer/a")];
        for (victim, limit, alone, shared) in [
            ("/outer/b/c", Some("/outer/b"), true, false),
            ("/outer/b", None, true, false),
            ("/outer/b", Some("/outer"), true, true),
            ("/outer/b", Some("/"), true, true),
            ("/outer/a", Some("/outer/a"), true, true),
            ("/outer", None, true, true),
            ("/other", Some("/"), false, false),
        ] {
            let (limit, victim) =
                (limit.map(|path: &str| path.as_bytes().to_vec()), victim.as_bytes().to_vec());
            let kill = kills::Kill { usec: 0, pid: 7, comm: Vec::new(), limit, victim, rss: None };
            assert_eq!(is_concerned(&kill, Path::new("/outer"), None), alone, "{kill:?}");
            assert_eq!(is_concerned(&kill, Path::new("/outer"), Some(&members)), shared, "{kill:?}");
        }
    }
}
