//! Sums over processes, where no group counts for a container alone.

use anyhow::Result;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::container::child::{OnBlock, in_child};
use crate::proc::{ProcRoot, number};

/// What processes use.
#[derive(Serialize, Deserialize, Default, Debug, Clone, PartialEq)]
pub(super) struct Of {
    pub count: u64,
    pub threads: u64,
    /// In pages. Pages that processes share count for each of them.
    pub rss: Option<u64>,
    /// The CPU time of each, in ticks.
    pub cpu: Option<Vec<Used>>,
    pub disk: Option<Vec<Used>>,
}

/// A counter, or two, of one process.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Used {
    pub pid: i32,
    /// Tells processes apart that have the same PID one after the other. In ticks since boot.
    pub start: u64,
    pub first: u64,
    pub second: u64,
}

pub(super) fn of(proc: &ProcRoot, pids: &[i32]) -> Of {
    let mut of = Of { count: pids.len() as u64, ..Of::default() };
    let (mut rss, mut cpu) = (0_u64, Vec::with_capacity(pids.len()));
    for &pid in pids {
        let Some(stat) = proc.process(Pid::from_raw(pid)).stat() else { continue };
        rss = rss.saturating_add(stat.rss);
        of.threads = of.threads.saturating_add(stat.threads);
        cpu.push(Used { pid, start: stat.start, first: stat.ticks, second: 0 });
    }
    if !cpu.is_empty() {
        (of.rss, of.cpu) = (Some(rss), Some(cpu));
    }
    of
}

/// The bytes that each process read from disks and wrote there. Without those that the caller may not read.
pub(super) fn disk(proc: &ProcRoot, pids: &[i32]) -> Result<Vec<Used>> {
    let bytes = in_child(proc, OnBlock::LeaveOut, || {
        let one = |pid: &i32| {
            let process = proc.process(Pid::from_raw(*pid));
            let text = process.io().ok()?;
            let start = process.start_time()?;
            let named = |name: &[u8]| {
                let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name))?;
                number::<u64>(line.trim_ascii())
            };
            Some(Used { pid: *pid, start, first: named(b"read_bytes:")?, second: named(b"write_bytes:")? })
        };
        let all: Vec<Used> = pids.iter().filter_map(one).collect();
        Ok(serde_json::to_vec(&all).map_err(|error| error.to_string()))
    })?;
    Ok(serde_json::from_slice(&bytes.map_err(anyhow::Error::msg)?)?)
}
