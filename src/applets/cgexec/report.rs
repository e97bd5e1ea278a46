//! The report of `--report`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde::Serialize;

use crate::isolation::cgroup::Group;
use crate::isolation::cgroup::measure::{Ceilings, Counter, Usage, memory_limit};
use crate::output::json;
use crate::output::size::size;
use crate::sys::Ended;
use crate::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

impl Form {
    pub(super) fn parse(word: Option<&OsStr>) -> Result<Form> {
        match word.map(OsStr::as_bytes) {
            None | Some(b"text") => Ok(Form::Text),
            Some(b"json") => Ok(Form::Json),
            Some(other) => bail!("unsupported report format '{}' (text, json)", text::escape(other)),
        }
    }
}

/// The state of the groups when the program starts.
pub(super) struct Watch {
    start: Instant,
    before: Option<Usage>,
    ceilings: Ceilings,
}

/// The usage when the program has ended.
pub(super) struct Measured {
    wall: Duration,
    usage: Usage,
    limit_of: Option<PathBuf>,
    /// The memory limit of that group.
    limit: Option<u64>,
    groups: Vec<PathBuf>,
}

impl Watch {
    /// In groups that cgexec created, all usage is the program's: no initial values are needed.
    pub(super) fn start(groups: &[Group], made: bool) -> Watch {
        let before = (!made).then(|| Usage::read(groups));
        Watch { before, ceilings: Ceilings::read(groups), start: Instant::now() }
    }

    pub(super) fn finish(self, groups: &[Group]) -> Measured {
        let wall = self.start.elapsed();
        let usage = Usage::read(groups);
        let usage = self.before.as_ref().map_or(usage.clone(), |before| usage.since(before));
        let killed = usage.get(Counter::OomKills).is_some_and(|kills| kills > 0);
        let limit_of = killed.then(|| self.ceilings.reached(groups)).flatten();
        let limit = limit_of.as_deref().and_then(|directory| memory_limit(groups, directory));
        Measured { wall, usage, limit_of, limit, groups: groups.iter().map(Group::directory).collect() }
    }
}

impl Measured {
    /// The line that says that a memory limit killed the program, or one of its processes.
    pub(super) fn note(&self, ended: Ended) -> Option<String> {
        let kills = self.usage.get(Counter::OomKills).filter(|kills| *kills > 0)?;
        let group = self.limit_of.as_ref()?;
        let limit = self.limit.map(|limit| format!(" of {}", size(limit))).unwrap_or_default();
        let who = match (ended, kills) {
            (Ended::Killed(libc::SIGKILL), _) => "killed",
            (_, 1) => "1 process was killed",
            _ => "processes were killed",
        };
        Some(format!("{who} by the memory limit{limit}: {}", text::shown(group.as_os_str())))
    }

    pub(super) fn ended(self, program: &[OsString], ended: Ended) -> Report<'_> {
        Report { program, ended, measured: self }
    }
}

pub(super) struct Report<'a> {
    program: &'a [OsString],
    ended: Ended,
    measured: Measured,
}

#[derive(Serialize)]
struct Json<'a> {
    command: Vec<std::borrow::Cow<'a, str>>,
    groups: Vec<std::borrow::Cow<'a, str>>,
    status: Option<u8>,
    signal: Option<String>,
    wall_usec: u64,
    user_usec: Option<u64>,
    system_usec: Option<u64>,
    memory_peak: Option<u64>,
    swap_peak: Option<u64>,
    pids_peak: Option<u64>,
    pids_refused: Option<u64>,
    periods: Option<u64>,
    throttled: Option<u64>,
    throttled_usec: Option<u64>,
    oom_kills: Option<u64>,
    oom_limit_of: Option<std::borrow::Cow<'a, str>>,
    pressure: Pressure,
}

#[derive(Serialize)]
struct Pressure {
    cpu: Stalled,
    memory: Stalled,
    io: Stalled,
}

#[derive(Serialize, Clone, Copy)]
struct Stalled {
    some_usec: Option<u64>,
    full_usec: Option<u64>,
}

impl Report<'_> {
    pub(super) fn render(&self, form: Form) -> Result<String> {
        match form {
            Form::Text => Ok(self.text()),
            Form::Json => {
                let mut line = Vec::new();
                json::write(&mut line, &self.json()).context("cannot write the report")?;
                line.push(b'\n');
                Ok(String::from_utf8_lossy(&line).into_owned())
            }
        }
    }

    fn counter(&self, counter: Counter) -> Option<u64> {
        self.measured.usage.get(counter)
    }

    fn pressure(&self) -> Pressure {
        let stalled = |some, full| Stalled { some_usec: self.counter(some), full_usec: self.counter(full) };
        Pressure {
            cpu: stalled(Counter::CpuSome, Counter::CpuFull),
            memory: stalled(Counter::MemorySome, Counter::MemoryFull),
            io: stalled(Counter::IoSome, Counter::IoFull),
        }
    }

    fn signal(&self) -> Option<String> {
        match self.ended {
            Ended::Killed(signal) => {
                Some(Signal::try_from(signal).map_or(format!("signal {signal}"), |signal| signal.to_string()))
            }
            _ => None,
        }
    }

    fn json(&self) -> Json<'_> {
        Json {
            command: self.program.iter().map(|word| text::utf8(word.as_bytes())).collect(),
            groups: self.measured.groups.iter().map(|path| text::utf8(path.as_os_str().as_bytes())).collect(),
            status: if let Ended::Exited(status) = self.ended { Some(status) } else { None },
            signal: self.signal(),
            wall_usec: u64::try_from(self.measured.wall.as_micros()).unwrap_or(u64::MAX),
            user_usec: self.counter(Counter::User),
            system_usec: self.counter(Counter::System),
            memory_peak: self.counter(Counter::MemoryPeak),
            swap_peak: self.counter(Counter::SwapPeak),
            pids_peak: self.counter(Counter::PidsPeak),
            pids_refused: self.counter(Counter::PidsRefused),
            periods: self.counter(Counter::Periods),
            throttled: self.counter(Counter::Throttled),
            throttled_usec: self.counter(Counter::ThrottledTime),
            oom_kills: self.counter(Counter::OomKills),
            oom_limit_of: self.measured.limit_of.as_ref().map(|path| text::utf8(path.as_os_str().as_bytes())),
            pressure: self.pressure(),
        }
    }

    fn text(&self) -> String {
        let shown: Vec<_> = self.program.iter().map(|word| text::shown(word)).collect();
        let ended = match (self.ended, self.signal()) {
            (_, Some(signal)) => format!("killed by {signal}"),
            (Ended::Exited(status), None) => format!("status {status}"),
            _ => "unknown".to_owned(),
        };
        let mut lines = vec![
            ("command", shown.join(" ")),
            ("ended", ended),
            ("wall", seconds(u64::try_from(self.measured.wall.as_micros()).unwrap_or(u64::MAX))),
            ("user", or_not(self.counter(Counter::User).map(seconds))),
            ("system", or_not(self.counter(Counter::System).map(seconds))),
            ("memory peak", or_not(self.counter(Counter::MemoryPeak).map(size))),
            ("swap peak", or_not(self.counter(Counter::SwapPeak).map(size))),
            ("throttled", or_not(self.throttled())),
            ("pids peak", or_not(self.counter(Counter::PidsPeak).map(|peak| peak.to_string()))),
            ("pids refused", or_not(self.counter(Counter::PidsRefused).map(|times| times.to_string()))),
            ("oom kills", or_not(self.kills())),
        ];
        let Pressure { cpu, memory, io } = self.pressure();
        for (name, stalled) in [("cpu stall", cpu), ("memory stall", memory), ("io stall", io)] {
            let full = stalled.full_usec.map(|full| format!(", full {}", seconds(full)));
            let some = stalled.some_usec.map(|some| seconds(some) + &full.unwrap_or_default());
            lines.push((name, or_not(some)));
        }
        lines.iter().map(|(name, value)| format!("{name:<13} {value}\n")).collect()
    }

    fn throttled(&self) -> Option<String> {
        let (times, periods) = (self.counter(Counter::Throttled)?, self.counter(Counter::Periods)?);
        let time = self.counter(Counter::ThrottledTime).map(|time| format!(", {}", seconds(time)));
        Some(format!("in {times} of {periods} periods{}", time.unwrap_or_default()))
    }

    /// The number of OOM kills, and the group whose limit caused them.
    fn kills(&self) -> Option<String> {
        let kills = self.counter(Counter::OomKills)?;
        let cause = match &self.measured.limit_of {
            _ if kills == 0 => String::new(),
            Some(path) => {
                let own = self.measured.groups.contains(path);
                let path = text::shown(path.as_os_str());
                if own { format!(", by its own limit ({path})") } else { format!(", by the limit of {path}") }
            }
            None => ", by no limit of a visible group: the host ran out of memory".to_owned(),
        };
        Some(format!("{kills}{cause}"))
    }
}

fn or_not(value: Option<String>) -> String {
    value.unwrap_or_else(|| "not measured".to_owned())
}

fn seconds(usec: u64) -> String {
    format!("{}.{:03} s", usec / 1_000_000, usec / 1_000 % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(seconds(1_234_567), "1.234 s");
        assert_eq!(or_not(None), "not measured");
    }
}
