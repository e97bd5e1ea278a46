//! Work on the blocks of a stream, in a worker process that is watched as [`super::watch`] does it. A worker that cannot
//! read a file of a process in /proc is killed, and a new one gets the same block: the stream goes on.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nix::unistd::{ForkResult, Pid};

use super::children_stay;
use super::watch::{SLICE, Watcher, begin_work, is_readable, kill, leave_out};
use crate::proc::ProcRoot;
use crate::sys::{self, Ended};

/// What became of a block.
pub(crate) enum Sent {
    /// The work on it is done.
    Done,
    /// The worker has ended.
    Ended(Ended),
    /// The worker was killed because it could not read files of this process, which cannot be left out.
    Blocked(Pid),
    /// No process was started.
    NotStarted,
}

/// Called in the worker with each block, and with None at the end. An error is the status with which the worker ends.
pub(crate) type Work<'a> = dyn FnMut(Option<&[u8]>) -> Result<(), u8> + 'a;

pub(crate) struct Stream<'a> {
    proc: &'a ProcRoot,
    worker: Option<Worker>,
}

struct Worker {
    child: Pid,
    pidfd: OwnedFd,
    socket: UnixStream,
}

impl<'a> Stream<'a> {
    #[must_use]
    pub(crate) fn new(proc: &'a ProcRoot) -> Stream<'a> {
        Stream { proc, worker: None }
    }

    /// Sends a block to the worker and waits until the work on it is done. `left_out` is called after each process that
    /// is left out. The work must write nothing before it has read what it needs of /proc.
    pub(crate) fn send(&mut self, block: &[u8], work: &mut Work<'_>, left_out: &mut dyn FnMut()) -> Sent {
        loop {
            let worker = match self.worker.take().or_else(|| start(self.proc, work)) {
                Some(worker) => self.worker.insert(worker),
                None => return Sent::NotStarted,
            };
            if write_block(&worker.socket, block).is_err() {
                return self.end();
            }
            match wait(self.proc, worker) {
                Ok(true) => return Sent::Done,
                Ok(false) => return self.end(),
                Err(pid) => {
                    kill(worker.child, &worker.pidfd);
                    self.worker = None;
                    if !leave_out(self.proc, pid) {
                        return Sent::Blocked(pid);
                    }
                    left_out();
                }
            }
        }
    }

    /// Waits for the end of the worker, after the last block.
    pub(crate) fn end(&mut self) -> Sent {
        let Some(worker) = self.worker.take() else { return Sent::Ended(Ended::Exited(0)) };
        drop(worker.socket);
        Sent::Ended(sys::wait_for_step(worker.child).unwrap_or(Ended::Exited(1)))
    }
}

fn start(proc: &ProcRoot, work: &mut Work<'_>) -> Option<Worker> {
    let (own, other) = UnixStream::pair().ok().filter(|_| children_stay())?;
    match sys::fork_silent().ok()? {
        ForkResult::Child => {
            drop(own);
            begin_work(proc);
            sys::exit_now(serve(&other, work).err().unwrap_or(0).into())
        }
        ForkResult::Parent { child } => match sys::pidfd_open(child) {
            Ok(pidfd) => Some(Worker { child, pidfd, socket: own }),
            // Kernels without pidfds do not block readers.
            Err(_) => {
                _ = sys::kill(child, libc::SIGKILL);
                _ = sys::wait(child, libc::__WALL);
                None
            }
        },
    }
}

/// In the worker.
fn serve(mut socket: &UnixStream, work: &mut Work<'_>) -> Result<(), u8> {
    let mut block = Vec::new();
    loop {
        let mut length = [0; 8];
        if socket.read_exact(&mut length).is_err() {
            return work(None);
        }
        block.clear();
        let length = u64::from_ne_bytes(length);
        if socket.take(length).read_to_end(&mut block).is_err() || block.len() as u64 != length {
            return Ok(());
        }
        work(Some(&block))?;
        if socket.write_all(b"d").is_err() {
            return Ok(());
        }
    }
}

fn write_block(mut socket: &UnixStream, block: &[u8]) -> std::io::Result<()> {
    socket.write_all(&(block.len() as u64).to_ne_bytes())?;
    socket.write_all(block)
}

/// Is the work on the block done? An error: a read of files of this process does not end.
fn wait(proc: &ProcRoot, worker: &Worker) -> Result<bool, Pid> {
    let mut watcher = Watcher::new(proc, worker.child);
    while let Ok(false) = is_readable(&worker.socket, SLICE) {
        _ = sys::continue_step(worker.child);
        if let Some(pid) = watcher.look(SLICE) {
            return Err(pid);
        }
    }
    Ok((&worker.socket).read(&mut [0]).is_ok_and(|count| count == 1))
}
