//! What processes use, where no group counts for a container alone. Their files stay open between two looks.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use anyhow::Result;
use nix::errno::Errno;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::container::child::{OnBlock, Parcel, in_child};
use crate::proc::{ProcRoot, Scan, Stat, hidden, number};
use crate::sys::keyed::HashMap;

/// What processes use in all.
#[derive(Default, Debug, Clone, PartialEq)]
pub(super) struct Of {
    pub threads: u64,
    /// In pages. Pages that processes share count for each of them.
    pub rss: Option<u64>,
    /// The CPU time of each, in ticks.
    pub cpu: Option<Vec<Used>>,
    pub disk: Option<Vec<Used>>,
}

/// A counter, or two, of one process.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Used {
    pub pid: i32,
    /// Tells processes apart that have the same PID one after the other. In ticks since boot.
    pub start: u64,
    pub first: u64,
    pub second: u64,
}

/// What one process uses.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Usage {
    pub pid: i32,
    /// CPU time in ticks, threads, start time in ticks, pages.
    pub stat: [u64; 4],
    /// Bytes read from disks and written there. None if that cannot be read, or is not wanted.
    pub disk: Option<(u64, u64)>,
}

/// The files that are read again and again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    Stat,
    Io,
}

pub(super) type Opened = BTreeMap<(i32, Kind), File>;

/// The bytes that processes read from disks and wrote there.
type Disks = Vec<(i32, (u64, u64))>;

/// Reads files of processes. New ones are opened for the next look, as long as there are descriptors.
pub(super) struct Reader<'a> {
    scan: Scan,
    opened: &'a Opened,
    /// Descriptors from this number on are not kept.
    most: usize,
    text: Vec<u8>,
    pub new: Vec<((i32, Kind), OwnedFd)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(proc: &ProcRoot, opened: &'a Opened, most: usize) -> nix::Result<Reader<'a>> {
        Ok(Reader { scan: Scan::new(proc)?, opened, most, text: vec![0; 4096], new: Vec::new() })
    }

    /// The beginning of a file, which is more than these files have.
    fn read(&mut self, pid: i32, kind: Kind) -> Option<&[u8]> {
        if hidden::is_hidden(Pid::from_raw(pid)) {
            return None;
        }
        if let Some(file) = self.opened.get(&(pid, kind)) {
            match file.read_at(&mut self.text, 0) {
                Ok(count) => return Some(&self.text[..count]),
                // Another process has its PID.
                Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                Err(_) => return None,
            }
        }
        let name = match kind {
            Kind::Stat => "stat",
            Kind::Io => "io",
        };
        let file = File::from(self.scan.open(Pid::from_raw(pid), name).ok()?);
        let count = file.read_at(&mut self.text, 0).ok()?;
        if usize::try_from(file.as_raw_fd()).is_ok_and(|number| number < self.most) {
            self.new.push(((pid, kind), file.into()));
        }
        Some(&self.text[..count])
    }

    pub(super) fn usage(&mut self, pid: i32) -> Option<Usage> {
        Some(Usage { pid, stat: Stat::usage(self.read(pid, Kind::Stat)?)?, disk: None })
    }

    fn disk(&mut self, pid: i32) -> Option<(u64, u64)> {
        let text = self.read(pid, Kind::Io)?;
        let named = |name: &[u8]| {
            let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name))?;
            number::<u64>(line.trim_ascii())
        };
        Some((named(b"read_bytes:")?, named(b"write_bytes:")?))
    }

    /// The bytes that each process read from disks and wrote there. Some kernels block the readers of this file alone:
    /// then only these numbers are missing.
    pub(super) fn disks(&mut self, proc: &ProcRoot, pids: &[i32]) -> Result<HashMap<i32, (u64, u64)>> {
        let (opened, most) = (self.opened, self.most);
        let parcel: Parcel = in_child(proc, OnBlock::LeaveOut, || {
            let mut reader = Reader::new(proc, opened, most)?;
            let all: Disks = pids.iter().filter_map(|pid| Some((*pid, reader.disk(*pid)?))).collect();
            let (keys, descriptors): (Vec<_>, Vec<_>) = reader.new.into_iter().unzip();
            let keys: Vec<i32> = keys.into_iter().map(|(pid, _)| pid).collect();
            Ok(Parcel { bytes: serde_json::to_vec(&(all, keys))?, descriptors })
        })?;
        let (all, keys): (Disks, Vec<i32>) = serde_json::from_slice(&parcel.bytes)?;
        self.new.extend(keys.into_iter().map(|pid| (pid, Kind::Io)).zip(parcel.descriptors));
        Ok(all.into_iter().collect())
    }
}

impl Of {
    pub(super) fn add(&mut self, usage: &Usage) {
        let [ticks, threads, start, pages] = usage.stat;
        let used = |first, second| Used { pid: usage.pid, start, first, second };
        self.threads = self.threads.saturating_add(threads);
        self.rss = Some(self.rss.unwrap_or(0).saturating_add(pages));
        self.cpu.get_or_insert_default().push(used(ticks, 0));
        if let Some((read, written)) = usage.disk {
            self.disk.get_or_insert_default().push(used(read, written));
        }
    }
}
