//! What processes use, where no group counts for a container alone. Their files stay open between two looks.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::container::child::{OnBlock, Parcel, in_child};
use crate::proc::{ProcRoot, Scan, Stat, TICKS, decimal, fill_lines, hidden};
use crate::sys;
use crate::text::lines;

/// What processes use in all.
#[derive(Default, Debug, Clone, PartialEq)]
pub(super) struct Of {
    pub times: Times,
    pub threads: u64,
    /// In pages. Pages that processes share count for each of them.
    pub rss: Option<u64>,
    /// The CPU time of each, in ticks.
    pub cpu: Option<Vec<Used>>,
    pub disk: Option<Vec<Used>>,
    pub lacks: Lacking,
}

/// Does a sum lack processes that run, but that the caller may not read?
#[derive(Default, Debug, Clone, Copy, PartialEq)]
pub(super) struct Lacking {
    pub usage: bool,
    pub disk: bool,
}

/// When counters of processes were read: that of CPU time, and those of disks. CLOCK_MONOTONIC, in seconds.
#[derive(Serialize, Deserialize, Default, Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    pub cpu: f64,
    pub disk: f64,
}

/// CLOCK_MONOTONIC.
pub(super) fn seconds() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    now.as_secs_f64()
}

/// CLOCK_BOOTTIME, in ticks: the unit of the start times of processes.
pub(super) fn ticks() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    now.as_secs() * TICKS + u64::from(now.subsec_nanos()) * TICKS / 1_000_000_000
}

/// Does the work, and says when: in the middle.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begin = seconds();
    let result = work();
    (f64::midpoint(begin, seconds()), result)
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
#[derive(Debug, Clone, PartialEq)]
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
    /// The directory with the files of its network namespace. An open file in it would keep the namespace.
    Net,
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Stat, Kind::Io, Kind::Net];

    fn name(self) -> &'static str {
        match self {
            Kind::Stat => "stat",
            Kind::Io => "io",
            Kind::Net => "net",
        }
    }
}

/// The bytes that each process read from disks and wrote there.
type Disks = BTreeMap<i32, (u64, u64)>;

pub(super) type Opened = BTreeMap<(i32, Kind), File>;

/// Numbers for another process: as text they would cost more than to read the files does.
pub(super) fn pack(all: &[Usage]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(all.len() * 64);
    for usage in all {
        let [ticks, threads, start, pages] = usage.stat;
        let (read, written) = usage.disk.unwrap_or_default();
        let pid = u64::from(usage.pid.unsigned_abs());
        let numbers = [pid, ticks, threads, start, pages, u64::from(usage.disk.is_some()), read, written];
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_ne_bytes()));
    }
    bytes
}

/// The numbers again.
pub(super) fn unpack(bytes: &[u8]) -> Vec<Usage> {
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    let usage = |bytes: &[u8]| {
        let mut numbers = [0; 8];
        numbers.iter_mut().zip(bytes.chunks_exact(8)).for_each(|(to, from)| *to = number(from));
        let [pid, ticks, threads, start, pages, has_disk, read, written] = numbers;
        let disk = (has_disk == 1).then_some((read, written));
        Usage { pid: i32::try_from(pid).unwrap_or_default(), stat: [ticks, threads, start, pages], disk }
    };
    bytes.chunks_exact(64).map(usage).collect()
}

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
        let file = File::from(self.scan.open(Pid::from_raw(pid), kind.name()).ok()?);
        let count = file.read_at(&mut self.text, 0).ok()?;
        self.keep(pid, kind, file.into());
        Some(&self.text[..count])
    }

    fn keep(&mut self, pid: i32, kind: Kind, fd: OwnedFd) {
        // If there are few descriptors, files need them more: a directory saves a fifth, and they save four.
        let most = if kind == Kind::Net { self.most / 2 } else { self.most };
        if usize::try_from(fd.as_raw_fd()).is_ok_and(|number| number < most) {
            self.new.push(((pid, kind), fd));
        }
    }

    /// What the interfaces in the network namespace of a process received and sent, when that was, and the inode of that file.
    pub(super) fn interfaces(&mut self, pid: i32) -> Option<(f64, u64, &[u8])> {
        let file = self.devices(pid)?;
        let inode = fstat(&file).ok()?.st_ino;
        let length = fill_lines(&file, &mut self.text);
        sys::close_later(file);
        Some((seconds(), inode, &self.text[..length.ok()?]))
    }

    /// From an open directory this takes four fifths of the time.
    fn devices(&mut self, pid: i32) -> Option<OwnedFd> {
        const FLAGS: OFlag = OFlag::O_RDONLY.union(OFlag::O_CLOEXEC);
        let below = |directory: BorrowedFd<'_>| openat(directory, "dev", FLAGS, Mode::empty()).ok();
        let process = Pid::from_raw(pid);
        if hidden::is_hidden(process) {
            return None;
        }
        // Another process can have its PID.
        if let Some(file) = self.opened.get(&(pid, Kind::Net)).and_then(|kept| below(kept.as_fd())) {
            return Some(file);
        }
        let Some(directory) = self.scan.directory(process, Kind::Net.name()) else {
            return self.scan.open(process, "net/dev").ok();
        };
        let file = below(directory.as_fd());
        self.keep(pid, Kind::Net, directory);
        file
    }

    pub(super) fn usage(&mut self, pid: i32) -> Option<Usage> {
        Some(Usage { pid, stat: Stat::usage(self.read(pid, Kind::Stat)?)?, disk: None })
    }

    fn disk(&mut self, pid: i32) -> Option<(u64, u64)> {
        let text = self.read(pid, Kind::Io)?;
        let named = |name: &[u8]| {
            let line = lines(text).find_map(|line| line.strip_prefix(name))?;
            decimal(line.trim_ascii())
        };
        Some((named(b"read_bytes:")?, named(b"write_bytes:")?))
    }

    /// The bytes that each process read from disks and wrote there, and when that was. Some kernels block the readers of
    /// this file alone: then only these numbers are missing.
    pub(super) fn disks(&mut self, proc: &ProcRoot, pids: &[i32]) -> Result<(f64, Disks)> {
        let (opened, most) = (self.opened, self.most);
        let parcel: Parcel = in_child(proc, OnBlock::LeaveOut, || {
            let mut reader = Reader::new(proc, opened, most)?;
            let usage = |pid: &i32| Usage { pid: *pid, stat: [0; 4], disk: reader.disk(*pid) };
            let (at, all): (f64, Vec<Usage>) = timed(|| pids.iter().map(usage).collect());
            let (keys, descriptors): (Vec<_>, Vec<_>) = reader.new.into_iter().unzip();
            let new = keys.into_iter().map(|(pid, _)| Usage { pid, stat: [0; 4], disk: None });
            let count = (new.len() as u64).to_ne_bytes();
            let all: Vec<Usage> = new.chain(all).collect();
            Ok(Parcel { bytes: [&at.to_ne_bytes()[..], &count, &pack(&all)].concat(), descriptors })
        })?;
        let incomplete = "the result is incomplete";
        let (at, rest) = parcel.bytes.split_first_chunk().context(incomplete)?;
        let (count, all) = rest.split_first_chunk().context(incomplete)?;
        let mut all = unpack(all).into_iter();
        let count = usize::try_from(u64::from_ne_bytes(*count))?;
        let new: Vec<i32> = all.by_ref().take(count).map(|usage| usage.pid).collect();
        self.new.extend(new.into_iter().map(|pid| (pid, Kind::Io)).zip(parcel.descriptors));
        let all = all.filter_map(|usage| Some((usage.pid, usage.disk?))).collect();
        Ok((f64::from_ne_bytes(*at), all))
    }
}

impl Of {
    pub(super) fn lack(&mut self, one: Lacking) {
        self.lacks.usage |= one.usage;
        self.lacks.disk |= one.disk;
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        let all = [
            Usage { pid: 7, stat: [1, 2, 3, u64::MAX], disk: None },
            Usage { pid: i32::MAX, stat: [0; 4], disk: Some((u64::MAX, 0)) },
        ];
        assert_eq!(unpack(&pack(&all)), all);
        assert_eq!(unpack(&[1; 63]), []);
    }
}
