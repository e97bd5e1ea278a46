//! Starts the program's process in another pid namespace so that it never holds anything of the host.
//!
//! The processes of a container's pid namespace see a new member from its first moment. A container with
//! CAP_SYS_PTRACE can take its descriptors, directories and capabilities (ptrace(2), "Ptrace access mode checking";
//! PR_SET_DUMPABLE does not prevent that). So three processes take part. The first one waits, outside. An
//! intermediate process, outside as well, enters the other namespaces, takes the credentials of the program and
//! closes all descriptors. Then it clones the program's process, as a child of the waiting process, and exits. nsenter
//! does without the intermediate process where the waiting one can do all this (`applets/nsenter/child.rs`).

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};

use super::exec;
use super::step::until_readable;
use crate::sys::{self, Ended, SharedNumber};

/// Reported in place of a PID: the pids limit of a control group is reached.
const NO_ROOM: i32 = -1;

/// The PID of the program's process, from the intermediate process to the waiting one. It is passed in memory that
/// the program's process does not have; a pipe would be a descriptor in it.
pub(crate) struct Birth(SharedNumber);

pub(crate) enum Started {
    /// The program's process, a child of this one.
    Program(Pid),
    /// The intermediate process has ended without starting it, and has reported why.
    Not(Ended),
    /// The pids limit of the joined control groups is reached.
    NoRoom,
}

impl Birth {
    pub(crate) fn new() -> Result<Birth> {
        SharedNumber::new().map(Birth).context("mmap failed")
    }

    /// In the intermediate process, first: children do not get the memory.
    pub(crate) fn keep_from_children(&self) -> Result<()> {
        self.0.keep_from_children().context("madvise failed")
    }

    /// In the intermediate process: starts the program's process.
    pub(crate) fn fork(&self) -> nix::Result<ForkResult> {
        sys::fork_sibling(&self.0)
    }

    /// In the intermediate process: the pids limit of the joined control groups is reached.
    pub(crate) fn no_room(&self) {
        self.0.set(NO_ROOM);
    }

    /// In the waiting process. `late` is called from time to time while the intermediate process has not ended.
    pub(crate) fn wait(&self, intermediate: Pid, late: impl FnMut()) -> Result<Started> {
        // Without pidfds, before Linux 5.3, it only waits.
        if let Ok(pidfd) = sys::pidfd_open(intermediate) {
            until_readable(&pidfd, intermediate, late).context("waitpid failed")?;
        }
        let ended = sys::wait_for_step(intermediate).context("waitpid failed")?;
        Ok(match self.0.get() {
            0 => Started::Not(ended),
            NO_ROOM => Started::NoRoom,
            pid => Started::Program(Pid::from_raw(pid)),
        })
    }

    /// The same, but calls `place` for the program's process before it can run. The kernel stops it at birth, because
    /// this process traces the one that clones it. The intermediate process waits for `go`.
    pub(crate) fn wait_and_place(
        &self,
        intermediate: Pid,
        go: OwnedFd,
        place: impl FnOnce(Pid) -> Result<()>,
    ) -> Result<Started> {
        let options = Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_EXITKILL;
        if let Err(errno) = ptrace::seize(intermediate, options) {
            exec::end(intermediate);
            return Err(errno).context("cannot hold the program's process outside its control groups");
        }
        drop(go);
        if !forks(intermediate)? {
            return self.wait(intermediate, || {});
        }
        let program = Pid::from_raw(self.0.get());
        let placed = stopped(program).and_then(|()| place(program));
        if placed.is_err() {
            exec::end(program);
        }
        _ = ptrace::detach(program, None);
        _ = ptrace::detach(intermediate, None);
        let started = self.wait(intermediate, || {})?;
        placed.map(|()| started)
    }
}

/// Waits until the traced process has forked; its signals are passed on. False if it ends before; then it can still
/// be waited for.
fn forks(traced: Pid) -> Result<bool> {
    let fork = Event::PTRACE_EVENT_FORK as i32;
    loop {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOWAIT | WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED;
        match nix::sys::wait::waitid(nix::sys::wait::Id::Pid(traced), flags) {
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => return Ok(false),
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno).context("waitpid failed"),
            Ok(_) => {}
        }
        match waitpid(traced, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::PtraceEvent(_, _, event)) if event == fork => return Ok(true),
            Ok(WaitStatus::Stopped(_, signal)) => ptrace::cont(traced, signal).context("ptrace failed")?,
            Ok(_) => ptrace::cont(traced, None).context("ptrace failed")?,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("waitpid failed"),
        }
    }
}

/// Waits for the stop of a traced child at its birth.
fn stopped(child: Pid) -> Result<()> {
    loop {
        match waitpid(child, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop).context("waitpid failed"),
        }
    }
}
