//! Resource use of a group, from counters of v1 and v2. A counter that the kernel lacks is None, never 0.

use std::path::{Path, PathBuf};

use super::chain::Place;
use super::group::Group;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// In microseconds, as all times here.
    User,
    System,
    MemoryPeak,
    SwapPeak,
    Periods,
    Throttled,
    ThrottledTime,
    PidsPeak,
    /// Forks that pids.max refused.
    PidsRefused,
    OomKills,
    CpuSome,
    CpuFull,
    MemorySome,
    MemoryFull,
    IoSome,
    IoFull,
}

/// The place of a number: the file, and the word before it; empty if the file has only the number.
struct At(&'static str, &'static str);

struct Row {
    counter: Counter,
    v2: At,
    /// The divisor from the unit of v1 to that of v2.
    v1: Option<(&'static str, At, u64)>,
    /// A maximum, not a count.
    peak: bool,
}

const fn row(counter: Counter, v2: At, v1: Option<(&'static str, At, u64)>) -> Row {
    Row { counter, v2, v1, peak: false }
}

const fn peak(counter: Counter, v2: &'static str, v1: Option<(&'static str, At, u64)>) -> Row {
    Row { counter, v2: At(v2, ""), v1, peak: true }
}

const ROWS: [Row; 16] = [
    row(Counter::User, At("cpu.stat", "user_usec"), Some(("cpuacct", At("cpuacct.usage_user", ""), 1000))),
    row(Counter::System, At("cpu.stat", "system_usec"), Some(("cpuacct", At("cpuacct.usage_sys", ""), 1000))),
    peak(Counter::MemoryPeak, "memory.peak", Some(("memory", At("memory.max_usage_in_bytes", ""), 1))),
    peak(Counter::SwapPeak, "memory.swap.peak", None), // v1 counts memory and swap together
    row(Counter::Periods, At("cpu.stat", "nr_periods"), Some(("cpu", At("cpu.stat", "nr_periods"), 1))),
    row(Counter::Throttled, At("cpu.stat", "nr_throttled"), Some(("cpu", At("cpu.stat", "nr_throttled"), 1))),
    row(
        Counter::ThrottledTime,
        At("cpu.stat", "throttled_usec"),
        Some(("cpu", At("cpu.stat", "throttled_time"), 1000)),
    ),
    peak(Counter::PidsPeak, "pids.peak", Some(("pids", At("pids.peak", ""), 1))),
    row(Counter::PidsRefused, At("pids.events", "max"), Some(("pids", At("pids.events", "max"), 1))),
    row(
        Counter::OomKills,
        At("memory.events", "oom_kill"),
        Some(("memory", At("memory.oom_control", "oom_kill"), 1)),
    ),
    row(Counter::CpuSome, At("cpu.pressure", "some total"), None),
    row(Counter::CpuFull, At("cpu.pressure", "full total"), None),
    row(Counter::MemorySome, At("memory.pressure", "some total"), None),
    row(Counter::MemoryFull, At("memory.pressure", "full total"), None),
    row(Counter::IoSome, At("io.pressure", "some total"), None),
    row(Counter::IoFull, At("io.pressure", "full total"), None),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage([Option<u64>; ROWS.len()]);

impl Usage {
    /// Reads the groups of one run, at most one per hierarchy.
    #[must_use]
    pub(crate) fn read(groups: &[Group]) -> Usage {
        Usage(ROWS.map(|row| {
            let v2 = groups.iter().find(|group| group.v2);
            let from_v2 = v2.and_then(|group| number(&group.directory(), &row.v2));
            from_v2.or_else(|| {
                let (controller, at, unit) = row.v1?;
                let has =
                    |group: &&Group| !group.v2 && group.controllers.iter().any(|name| name == controller);
                Some(number(&groups.iter().find(has)?.directory(), &at)? / unit)
            })
        }))
    }

    /// The use since `before`. A peak has no part of its own, so it is None.
    #[must_use]
    pub(crate) fn since(mut self, before: &Usage) -> Usage {
        for (row, (now, before)) in ROWS.iter().zip(self.0.iter_mut().zip(before.0)) {
            *now = match (*now, before) {
                (Some(now), Some(before)) if !row.peak => now.checked_sub(before),
                (Some(_), Some(_)) => None,
                (now, _) => now,
            };
        }
        self
    }

    #[must_use]
    pub(crate) fn get(&self, counter: Counter) -> Option<u64> {
        let at = ROWS.iter().position(|row| row.counter == counter)?;
        self.0[at]
    }
}

fn number(directory: &Path, at: &At) -> Option<u64> {
    parse(&std::fs::read_to_string(directory.join(at.0)).ok()?, at.1)
}

/// `nr_periods 5`, `some avg10=0.00 total=5`, `5`
fn parse(text: &str, word: &str) -> Option<u64> {
    if word.is_empty() {
        return text.trim_end().parse().ok();
    }
    let (first, field) = word.split_once(' ').unwrap_or((word, ""));
    let line = text.lines().find_map(|line| line.strip_prefix(first)?.strip_prefix(' '))?;
    if field.is_empty() {
        return line.trim_end().parse().ok();
    }
    line.split(' ').find_map(|pair| pair.strip_prefix(field)?.strip_prefix('=')?.parse().ok())
}

/// How often the limit of a group was reached and nothing could be reclaimed: the group itself, and those above it.
#[derive(Debug, Default)]
pub(crate) struct Ceilings(Vec<(PathBuf, Option<u64>)>);

impl Ceilings {
    #[must_use]
    pub(crate) fn read(groups: &[Group]) -> Ceilings {
        let Some(group) = groups.iter().find(|group| group.controllers.iter().any(|name| name == "memory"))
        else {
            return Ceilings::default();
        };
        let above = group.path.ancestors().map(|path| group.at(path.to_path_buf()).directory());
        let times = |directory: &Path| match group.v2 {
            true => number(directory, &At("memory.events.local", "oom")),
            false => number(directory, &At("memory.failcnt", "")),
        };
        Ceilings(above.map(|directory| (directory.clone(), times(&directory))).collect())
    }

    /// The nearest group whose limit was reached since `self` was read.
    #[must_use]
    pub(crate) fn reached(&self, groups: &[Group]) -> Option<PathBuf> {
        let now = Ceilings::read(groups);
        let before =
            |path: &Path| self.0.iter().find(|(other, _)| other == path).and_then(|(_, times)| *times);
        let mut reached = now.0.into_iter().filter(|(path, times)| match (times, before(path)) {
            (Some(now), Some(before)) => *now > before,
            (Some(now), None) => *now > 0,
            (None, _) => false,
        });
        reached.next().map(|(path, _)| path)
    }
}

/// The memory limit of one of the groups or of a group above them.
pub(crate) fn memory_limit(groups: &[Group], directory: &Path) -> Option<u64> {
    let group = groups.iter().find(|group| directory.starts_with(&group.mount_point))?;
    let below = directory.strip_prefix(&group.mount_point).ok()?;
    Place::at(group.v2, &group.mount_point, below).memory_limit(u64::MAX)
}

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    super::io::fuzz(data);
    super::view::fuzz(data);
    let text = String::from_utf8_lossy(data);
    for word in ["", "nr_periods", "some total"] {
        _ = parse(&text, word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_every_file_format() {
        assert_eq!(parse("42\n", ""), Some(42));
        assert_eq!(parse("max\n", ""), None);
        assert_eq!(parse("nr_periods 5\nnr_throttled 3\n", "nr_throttled"), Some(3));
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "oom_kill"), Some(2));
        let pressure = "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 total=9\n";
        assert_eq!(parse(pressure, "full total"), Some(9));
        assert_eq!(parse(pressure, "none total"), None);
        assert_eq!(parse("", "oom"), None);
        assert_eq!(parse("oom", "oom"), None);
    }

    #[test]
    fn for_an_existing_group_only_counts_are_measured() {
        let mut before = Usage([None; ROWS.len()]);
        let mut now = before.clone();
        (before.0[0], now.0[0]) = (Some(5), Some(7));
        (before.0[2], now.0[2]) = (Some(5), Some(7));
        now.0[4] = Some(1);
        let part = now.since(&before);
        assert_eq!(part.get(Counter::User), Some(2));
        assert_eq!(part.get(Counter::MemoryPeak), None);
        assert_eq!(part.get(Counter::Periods), Some(1));
        assert_eq!(part.get(Counter::SwapPeak), None);
    }

    #[test]
    fn every_counter_has_one_row() {
        let all = ROWS.map(|row| row.counter);
        assert!(all.iter().enumerate().all(|(at, counter)| !all[..at].contains(counter)));
    }
}
