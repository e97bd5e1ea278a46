//! This process and its children: memory that they share, how they end, their namespaces.

use std::ffi::{c_int, c_void};
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

/// A number in memory that this process shares with children that it forks later.
pub(crate) struct SharedNumber(NonNull<AtomicI32>);

// SAFETY: the mapping is not bound to a thread, and the number in it is atomic.
unsafe impl Send for SharedNumber {}
// SAFETY: as above.
unsafe impl Sync for SharedNumber {}

/// 1 as soon as a worker has begun to write its output.
static OUTPUT: OnceLock<SharedNumber> = OnceLock::new();

/// Children that are forked from now on say here that they write output. None has until now.
pub(crate) fn watch_output() -> nix::Result<()> {
    if OUTPUT.get().is_none() {
        _ = OUTPUT.set(SharedNumber::new()?);
    }
    OUTPUT.get().ok_or(Errno::ENOMEM).map(|begun| begun.set(0))
}

/// Called before output is written.
pub(crate) fn output_begins() {
    if let Some(begun) = OUTPUT.get() {
        begun.set(1);
    }
}

#[must_use]
pub(crate) fn has_output_begun() -> bool {
    OUTPUT.get().is_some_and(|begun| begun.get() != 0)
}

/// Size of the mapping. The kernel maps whole pages.
const LENGTH: usize = size_of::<AtomicI32>();

impl SharedNumber {
    /// A new number, 0.
    pub(crate) fn new() -> nix::Result<SharedNumber> {
        super::shared::map(LENGTH).map(|address| SharedNumber(address.cast()))
    }

    fn number(&self) -> &AtomicI32 {
        // SAFETY: the mapping begins at a page, is large enough, begins as zeros, and lives as long as this value.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn as_ptr(&self) -> *mut AtomicI32 {
        self.0.as_ptr()
    }

    #[must_use]
    pub(crate) fn get(&self) -> i32 {
        self.number().load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, number: i32) {
        self.number().store(number, Ordering::SeqCst);
    }

    /// Children that are forked from now on do not have this memory: they can neither read nor change it.
    pub(crate) fn keep_from_children(&self) -> nix::Result<()> {
        self.advise(libc::MADV_DONTFORK)
    }

    /// Where it is not mapped, madvise(2) fails with ENOMEM.
    #[cfg(test)]
    pub(super) fn is_mapped(&self) -> bool {
        self.advise(libc::MADV_NORMAL).is_ok()
    }

    fn advise(&self, advice: c_int) -> nix::Result<()> {
        // SAFETY: the range is this mapping; of the advice that is given here none changes what is in it.
        Errno::result(unsafe { libc::madvise(self.0.as_ptr().cast(), LENGTH, advice) }).map(drop)
    }
}

impl Drop for SharedNumber {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to this value alone, and nothing borrows from it any more.
        _ = unsafe { libc::munmap(self.0.as_ptr().cast::<c_void>(), LENGTH) };
    }
}

/// How a child has ended or stopped. nix's `WaitStatus` cannot hold real-time signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(u8),
    Killed(c_int),
    Stopped,
    /// With WNOHANG: it still runs.
    StillRunning,
}

/// waitpid(2), restarted when a signal interrupts it.
pub(crate) fn wait(child: Pid, options: c_int) -> nix::Result<Ended> {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes an int to the status.
        match Errno::result(unsafe { libc::waitpid(child.as_raw(), &raw mut status, options) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(0) => return Ok(Ended::StillRunning),
            Ok(_) if libc::WIFSTOPPED(status) => return Ok(Ended::Stopped),
            Ok(_) if libc::WIFSIGNALED(status) => return Ok(Ended::Killed(libc::WTERMSIG(status))),
            Ok(_) if libc::WIFEXITED(status) => {
                return Ok(Ended::Exited(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(1)));
            }
            Ok(_) => {}
        }
    }
}

/// The same for a child that is a step of ctrbox, not a program of the user. If another process stops it, ctrbox
/// continues it, because no other process would.
pub(crate) fn wait_for_step(child: Pid) -> nix::Result<Ended> {
    loop {
        match wait(child, libc::WUNTRACED | libc::__WALL)? {
            Ended::Stopped => _ = super::kill(child, libc::SIGCONT),
            ended => return Ok(ended),
        }
    }
}

/// Continues such a child if it is stopped. Does not wait for it.
pub(crate) fn continue_step(child: Pid) -> nix::Result<()> {
    // Not WEXITED: its end is left for wait_for_step.
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
    match nix::sys::wait::waitid(Id::Pid(child), flags)? {
        WaitStatus::StillAlive => Ok(()),
        _ => super::kill(child, libc::SIGCONT),
    }
}

/// _exit(2): ends the process without dropping values or writing buffers.
pub(crate) fn exit_now(status: c_int) -> ! {
    // SAFETY: the process ends; no code of it runs after that.
    unsafe { libc::_exit(status) }
}

/// Does this process have a real-time scheduling policy (sched(7))?
#[must_use]
pub(crate) fn is_realtime() -> bool {
    // SAFETY: the call takes a PID and returns a number; it uses no memory of this process.
    let policy = unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
    matches!(policy, libc::SCHED_FIFO | libc::SCHED_RR)
}

/// setns(2) with any flags: nix's `CloneFlags` has no name for CLONE_NEWTIME.
pub(crate) fn setns(fd: impl AsFd, flags: c_int) -> nix::Result<()> {
    nix::sched::setns(fd, CloneFlags::from_bits_retain(flags))
}

/// unshare(2) with any flags, for the same reason.
pub(crate) fn unshare(flags: c_int) -> nix::Result<()> {
    nix::sched::unshare(CloneFlags::from_bits_retain(flags))
}

/// unshare(2) with an invalid flag added. The kernel refuses this with EINVAL before any other check. A seccomp
/// filter, if there is one, decides before.
pub(crate) fn unshare_nothing(flags: c_int) -> nix::Result<()> {
    unshare(flags | libc::CLONE_PTRACE)
}
