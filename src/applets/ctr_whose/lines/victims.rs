//! Processes that were killed for lack of memory. They are gone when a line says so; the line of the kernel before it, or the
//! kernel's own log, has their group.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::time::{Time, split, time_of};
use crate::isolation::cgroup::kills::{Kill, OomLine, read_log};

/// The kernel writes the two lines one after the other: the seconds between them, and without a time the lines, as other
/// processors can write too.
const SECONDS: u8 = 5;
const LINES: u64 = 20;
/// The kills that are remembered.
const MOST: usize = 64;
/// Reading the kernel's log takes at most this part of the time.
const SHARE: u32 = 20;

#[derive(Default)]
pub(super) struct Victims {
    /// The number of the line that is looked at.
    pub line: u64,
    seen: VecDeque<Victim>,
    log: Option<Log>,
}

struct Victim {
    pid: i32,
    comm: Vec<u8>,
    group: Vec<u8>,
    host: Vec<u8>,
    time: Option<Time>,
    line: u64,
}

struct Log {
    kills: Vec<Kill>,
    read_at: Instant,
    took: Duration,
}

impl Victims {
    /// Remembers what an `oom-kill:` line of the kernel says.
    pub(super) fn note(&mut self, line: &[u8], now: i64) {
        let Some((host, text)) = of_kernel(line).filter(|(_, text)| text.starts_with(b"oom-kill:")) else {
            return;
        };
        let Some(OomLine { pid: Some(pid), comm: Some(comm), victim: Some(group), .. }) =
            OomLine::parse(text)
        else {
            return;
        };
        // A line can be looked at more than once.
        self.seen.retain(|one| (one.line, one.pid) != (self.line, pid));
        if self.seen.len() >= MOST {
            self.seen.pop_front();
        }
        let (host, time) = (host.to_vec(), time_of(line, now));
        self.seen.push_back(Victim { pid, comm, group, host, time, line: self.line });
    }

    /// The group of the process that was killed according to the line. `log` says whether the kernel's own log counts, and
    /// has the time of the boot.
    pub(super) fn group(
        &mut self,
        line: &[u8],
        pid: i32,
        now: i64,
        log: Option<Option<i64>>,
    ) -> Option<Vec<u8>> {
        let (host, text) = of_kernel(line)?;
        let (_, comm) = killed(text).filter(|(killed, _)| *killed == pid)?;
        let time = time_of(line, now);
        let is_it = |one: &&Victim| {
            let is_near = match (one.time, time) {
                (None, None) => (one.line..=one.line + LINES).contains(&self.line),
                (Some(kill), Some(time)) => follows(kill, time),
                _ => false,
            };
            (one.pid, &one.comm, &*one.host) == (pid, &comm, host) && is_near
        };
        let mut groups = self.seen.iter().filter(is_it).map(|one| one.group.clone());
        if let Some(first) = groups.next() {
            // Others than the kernel can write such a line: two that differ prove nothing.
            return groups.all(|group| group == first).then_some(first);
        }
        let (boot, time) = (log?, time?);
        let find = |log: &Log| {
            let is_it = |kill: &&Kill| kill.pid == pid && kill.comm == comm && is_at(kill.usec, boot, time);
            log.kills.iter().rev().find(is_it).map(|kill| kill.victim.clone())
        };
        if let Some(found) = self.log.as_ref().and_then(find) {
            return Some(found);
        }
        let may_read = self.log.as_ref().is_none_or(|log| log.read_at.elapsed() >= log.took * SHARE);
        if may_read {
            let begin = Instant::now();
            let kills = read_log().unwrap_or_default();
            self.log = Some(Log { kills, took: begin.elapsed(), read_at: Instant::now() });
        }
        self.log.as_ref().filter(|_| may_read).and_then(find)
    }
}

/// The process that was killed according to a line of the kernel, and its name.
fn killed(text: &[u8]) -> Option<(i32, Vec<u8>)> {
    let begins = [&b"Out of memory"[..], b"Memory cgroup out of memory"];
    if begins.iter().any(|begin| text.starts_with(begin)) {
        let read = OomLine::parse(text)?;
        return read.pid.zip(read.comm);
    }
    // `oom_reaper: reaped process 77 (sh), now anon-rss:0kB`. The name can have any bytes.
    let rest = text.strip_prefix(b"oom_reaper: reaped process ")?;
    let (pid, rest) = rest.split_at(rest.iter().position(|&b| b == b' ')?);
    let name = rest.strip_prefix(b" (")?;
    let end = memchr::memmem::rfind(name, b"), now ")?;
    Some((std::str::from_utf8(pid).ok()?.parse().ok()?, name[..end].to_vec()))
}

fn follows(kill: Time, time: Time) -> bool {
    match (kill, time) {
        (Time::Boot(kill), Time::Boot(time)) => (0.0..=f64::from(SECONDS)).contains(&(time - kill)),
        (Time::Epoch(kill), Time::Epoch(time)) => {
            (0..=i64::from(SECONDS)).contains(&time.saturating_sub(kill))
        }
        _ => false,
    }
}

/// Is a kill of the kernel's log that of a line with this time? The time of day is by another clock.
fn is_at(usec: u64, boot: Option<i64>, time: Time) -> bool {
    const OFF: i64 = 2;
    match (time, boot) {
        (Time::Boot(_), _) => follows(Time::Boot(usec as f64 / 1e6), time),
        (Time::Epoch(time), Some(boot)) => {
            let kill = boot.saturating_add(i64::try_from(usec / 1_000_000).unwrap_or(i64::MAX));
            time.saturating_sub(kill).abs() <= OFF
        }
        (Time::Epoch(_), None) => false,
    }
}

/// The host, if the line has one, and the text of a line of the kernel: `[TIME] TEXT`, `TIME HOST kernel: [TIME] TEXT`.
fn of_kernel(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let without_time = |line: &'_ [u8]| split(line).map_or(0, |(_, rest)| line.len() - rest.len());
    let text = line[without_time(line)..].trim_ascii_start();
    let word = |text: &[u8]| text.iter().position(|b| *b == b' ').unwrap_or(text.len());
    let (first, rest) = text.split_at(word(text));
    let (host, text) = match (first, rest.trim_ascii_start().strip_prefix(b"kernel: ")) {
        (b"kernel:", _) => (&b""[..], rest),
        (host, Some(text)) => (host, text),
        _ => return Some((b"", text)),
    };
    let text = text.trim_ascii_start();
    Some((host, if text.starts_with(b"[") { &text[without_time(text)..] } else { text }.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_660_000;

    fn oom(group: &str, comm: &str, pid: i32) -> String {
        format!(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=c,mems_allowed=0,oom_memcg={group},\
             task_memcg={group},task={comm},pid={pid},uid=0"
        )
    }

    fn group_after(before: &[String], line: &str) -> Option<String> {
        let mut victims = Victims::default();
        for one in before {
            victims.line += 1;
            victims.note(one.as_bytes(), NOW);
            victims.note(one.as_bytes(), NOW);
        }
        victims.line += 1;
        let group = victims.group(line.as_bytes(), 77, NOW, None)?;
        Some(String::from_utf8_lossy(&group).into_owned())
    }

    #[test]
    fn a_kill_follows_the_line_with_its_group() {
        let killed = "Memory cgroup out of memory: Killed process 77 (sh) total-vm:1kB, anon-rss:1kB";
        for (before, at) in [
            ("", ""),
            ("[   60.100000] ", "[   60.100200] "),
            ("<6>[   60.100000] ", "<3>[   60.100200] "),
            ("Nov 22 14:38:03 web1 kernel: ", "Nov 22 14:38:04 web1 kernel: "),
            ("Nov 22 14:38:03 web1 kernel: [   60.1] ", "Nov 22 14:38:03 web1 kernel: [   60.1] "),
            ("[   60.1] web1 kernel: ", "[   60.1] web1 kernel: "),
        ] {
            let first = format!("{before}{}", oom("/docker/a", "sh", 77));
            let found = group_after(&[first], &format!("{at}{killed}"));
            assert_eq!(found.as_deref(), Some("/docker/a"), "{at}");
        }
    }

    #[test]
    fn what_may_be_another_kill_proves_nothing() {
        let killed = "Out of memory: Killed process 77 (sh) total-vm:1kB, anon-rss:1kB";
        let line = |before: &str, at: &str| {
            group_after(&[format!("{before}{}", oom("/docker/a", "sh", 77))], &format!("{at}{killed}"))
        };
        for (before, at) in [
            ("[   60.1] ", "[   66.1] "),
            ("[   60.1] ", "[   60.0] "),
            ("[   60.1] ", ""),
            ("", "[   60.1] "),
            ("Nov 22 14:38:03 web1 kernel: ", "Nov 22 14:38:03 web2 kernel: "),
            ("Nov 22 14:38:03 web1 kernel: ", "Nov 22 14:48:03 web1 kernel: "),
            ("Nov 22 14:38:03 web1 user: ", "Nov 22 14:38:03 web1 kernel: "),
            ("Nov 22 14:38:03 web1 kernel: ", "Nov 22 14:38:03 web1 user: "),
            ("Nov 22 14:38:03 web1 kernel: x ", "Nov 22 14:38:03 web1 kernel: "),
        ] {
            assert_eq!(line(before, at), None, "{before} {at}");
        }
        let one = |group: &str, comm: &str, pid: i32| format!("[ 60.1] {}", oom(group, comm, pid));
        let after = |before: &[String]| group_after(before, &format!("[ 60.2] {killed}"));
        assert_eq!(after(&[one("/a", "sh", 77), one("/b", "sh", 78)]).as_deref(), Some("/a"));
        assert_eq!(after(&[one("/a", "sh", 77), one("/b", "sh", 77)]), None, "two groups");
        assert_eq!(after(&[one("/a", "bash", 77)]), None, "another name");
        // No more than some are remembered, and without a time only for some lines.
        let many: Vec<String> = (100..200).map(|pid| one("/b", "sh", pid)).collect();
        assert_eq!(after(&[vec![one("/a", "sh", 77)], many].concat()), None);
        let far = vec!["x".to_owned(); 30];
        assert_eq!(group_after(&[vec![oom("/a", "sh", 77)], far].concat(), killed), None);
    }

    #[test]
    fn times_far_apart_do_not_follow() {
        for (kill, time) in [(-62_000_000_000, i64::MAX), (i64::MAX, -62_000_000_000)] {
            assert!(!follows(Time::Epoch(kill), Time::Epoch(time)));
        }
    }

    #[test]
    fn times_of_the_kernels_log() {
        assert!(is_at(60_100_000, None, Time::Boot(60.1)) && is_at(60_100_000, None, Time::Boot(60.1002)));
        assert!(!is_at(60_100_000, None, Time::Boot(60.0)) && !is_at(60_100_000, None, Time::Boot(70.0)));
        assert!(is_at(60_100_000, Some(1_000), Time::Epoch(1_061)));
        assert!(!is_at(60_100_000, Some(1_000), Time::Epoch(1_070)));
        assert!(!is_at(60_100_000, None, Time::Epoch(60)));
    }
}
