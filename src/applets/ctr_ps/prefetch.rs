//! Reads command lines in a second thread while the first thread identifies the processes. Nearly all of the time is
//! spent in the kernel, which can serve both threads in parallel.

use std::ops::Range;
use std::thread::{Builder, JoinHandle};

use nix::unistd::Pid;

use super::process::Commands;
use crate::proc::{ProcRoot, Scan};

/// Fewer command lines are read faster than a thread starts.
const MANY: usize = 500;

/// For each process, the range of its command line in [`Commands`], or the error.
#[derive(Default)]
pub(super) struct Ahead {
    found: Vec<(i32, nix::Result<Range<usize>>)>,
}

impl Ahead {
    /// None if a thread would not pay: with few processes, or on one processor.
    pub(super) fn start(proc: &ProcRoot, pids: &[Pid]) -> Option<JoinHandle<(Ahead, Commands)>> {
        if pids.len() < MANY
            || std::thread::available_parallelism().is_ok_and(|processors| processors.get() < 2)
        {
            return None;
        }
        let (pids, mut scan) = (pids.to_vec(), Scan::new(proc).ok()?);
        let read = move || {
            let (mut ahead, mut commands) = (Ahead::default(), Commands::default());
            ahead.found.reserve(pids.len());
            for pid in pids {
                let range = scan.read(pid, "cmdline").map(|line| commands.add(line));
                ahead.found.push((pid.as_raw(), range));
            }
            (ahead, commands)
        };
        // The first thread may fork meanwhile. This one takes no lock except the allocator's: it only reads files and
        // allocates.
        #[allow(clippy::disallowed_methods)]
        Builder::new().stack_size(256 * 1024).spawn(read).ok()
    }

    /// None for a process that was not read.
    pub(super) fn get(&self, pid: i32) -> Option<nix::Result<Range<usize>>> {
        let at = self.found.binary_search_by_key(&pid, |(pid, _)| *pid).ok()?;
        Some(self.found[at].1.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_has_its_command_line_or_an_error() {
        let dir = std::env::temp_dir().join(format!("ctrbox-ahead-{}", std::process::id()));
        let pids: Vec<Pid> = (1..=MANY as i32).map(|at| Pid::from_raw(at * 3)).collect();
        for pid in pids.iter().filter(|pid| pid.as_raw() % 2 == 1) {
            std::fs::create_dir_all(dir.join(pid.to_string())).expect("a directory");
            std::fs::write(dir.join(format!("{pid}/cmdline")), format!("sleep\0{pid}\0")).expect("a file");
        }
        let proc = ProcRoot::new(&dir);
        assert!(Ahead::start(&proc, &pids[1..]).is_none(), "too few");
        // On one processor nothing is read ahead.
        if let Some(thread) = Ahead::start(&proc, &pids) {
            let (ahead, commands) = thread.join().expect("it ends");
            let line = |pid| ahead.get(pid).map(|found| found.map(|range| commands.at(&range).to_vec()));
            assert_eq!(line(9), Some(Ok(b"sleep 9".to_vec())));
            assert_eq!(line(6), Some(Err(nix::errno::Errno::ENOENT)));
            assert_eq!(line(1), None);
        }
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
