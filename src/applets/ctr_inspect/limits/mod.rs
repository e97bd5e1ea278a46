//! What limits the container: the least value of its control groups and those above, who sets it, and the use.

mod cpu;
mod io;
mod memory;
mod pressure;
mod reader;

use std::collections::BTreeMap;

use nix::unistd::Pid;
use serde::Serialize;

pub(super) use cpu::Cpu;
pub(super) use io::{Huge, Io};
pub(super) use memory::{HOUR, Kill, LOG, Memory};
pub(super) use pressure::{Pressure, Pressures};
pub(super) use reader::{Reader, percent};

use crate::isolation::cgroup::chain::Place;
use crate::proc::{TICKS, number};
use reader::{Own, shown};

#[derive(Serialize, Debug, Default)]
pub(super) struct Limits {
    pub cgroup: Cgroup,
    pub memory: Memory,
    pub cpu: Cpu,
    pub pids: Pids,
    pub io: Io,
    /// Page sizes with a limit or a use.
    pub hugetlb: Option<Vec<Huge>>,
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
pub(super) struct Pids {
    pub current: Option<u64>,
    pub limit: Option<u64>,
    pub limit_own: Option<u64>,
    pub limit_by: Option<String>,
    /// Processes and threads in the group with the limit.
    pub limit_current: Option<u64>,
    pub peak: Option<u64>,
    /// Forks of the container that a limit refused, since its group was made.
    pub denied: Option<u64>,
    /// Forks that the limit of `limit_by` refused, if that is a group above that counts those of all groups below it.
    pub limit_denied: Option<u64>,
    pub zombies: Option<u64>,
    pub own: Option<bool>,
    /// Can the files with the limit be read?
    #[serde(skip)]
    pub is_known: bool,
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

impl Reader<'_> {
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
            cgroup: Cgroup {
                mode: self.mode(),
                own,
                paths: self.paths(),
                frozen: if self.has_unified_files("limits.cgroup.frozen") { self.frozen() } else { None },
            },
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

    fn pids(&self) -> Pids {
        let zombies = self.zombies();
        let Own { place, own } = match self.known_group("pids", "limits.pids") {
            Ok(group) => group,
            Err(own) => return Pids { zombies, own, ..Pids::default() },
        };
        let limit_of = |place: &Place| place.number("pids.max");
        let least = place.least(limit_of);
        let above = least.as_ref().map(|least| &least.place).filter(|by| by.path() != place.path());
        let (denied, limit_denied) = self.denied(&place, own, above);
        Pids {
            current: place.number("pids.current"),
            limit: least.as_ref().map(|least| least.value),
            limit_own: limit_of(&place),
            limit_by: least.as_ref().map(|least| shown(&least.place)),
            limit_current: least.as_ref().and_then(|least| least.place.number("pids.current")),
            peak: place.number("pids.peak"),
            denied,
            limit_denied,
            zombies,
            own,
            is_known: true,
        }
    }

    /// Before Linux 6.11 and on v1 it is counted in the group of the process that forks; then in the group with the limit and
    /// those above it. If a group above with the limit is the container's alone, all that it counts is the container's.
    fn denied(&self, place: &Place, own: Option<bool>, above: Option<&Place>) -> (Option<u64>, Option<u64>) {
        let count = |place: &Place| place.field("pids.events", "max");
        if place.field("pids.events.local", "max").is_none() {
            // Below a group that is not its own are those of others.
            let counted = match own {
                Some(true) => {
                    place.tree().and_then(|tree| tree.iter().filter_map(count).reduce(u64::saturating_add))
                }
                _ => count(place),
            };
            return (counted, None);
        }
        let of_limit = above.and_then(|above| above.field("pids.events.local", "max"));
        match above.is_some_and(|above| self.is_own(above) == Some(true)) {
            true => (count(place).max(of_limit), None),
            false => (count(place), of_limit),
        }
    }

    fn zombies(&self) -> Option<u64> {
        let is_zombie = |pid: &&i32| {
            let stat = self.world.proc.process(Pid::from_raw(**pid)).stat();
            stat.is_some_and(|stat| stat.state == b'Z')
        };
        Some(self.members.iter().filter(is_zombie).count() as u64)
    }

    fn open_files(&self) -> Rlimit {
        let read = self.world.proc.process(Pid::from_raw(self.world.chief(self.subject))).limits();
        let Some(text) = self.unknown.known("limits.rlimits", read) else { return Rlimit::default() };
        Rlimit::of_open_files(&text)
    }

    fn sums(&self) -> Sums {
        let page = u64::try_from(sysconf_page()).unwrap_or(4096);
        let mut sums = Sums { count: self.members.len() as u64, ..Sums::default() };
        for pid in &self.members {
            let Some(stat) = self.world.proc.process(Pid::from_raw(*pid)).stat() else { continue };
            let rss = sums.rss.unwrap_or(0);
            sums.rss = Some(rss.saturating_add(stat.rss.saturating_mul(page)));
            let seconds = sums.cpu_seconds.unwrap_or(0.0);
            sums.cpu_seconds = Some(seconds + stat.ticks as f64 / TICKS as f64);
        }
        sums
    }
}

fn sysconf_page() -> i64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_one_decimal() {
        assert_eq!(percent(Some(1), Some(3)), Some(33.3));
        assert_eq!(percent(Some(1), Some(0)), None);
        assert_eq!(percent(None, Some(5)), None);
    }
}
