//! Flags and copies of descriptors, and locks on files.

use std::ffi::c_uint;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

use super::owned;

/// One of the three standard descriptors. If it was closed when the program started, calls fail with EBADF, or concern
/// the file that was opened in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdio {
    Input = 0,
    Output = 1,
    Error = 2,
}

impl Stdio {
    pub(crate) const ALL: [Stdio; 3] = [Stdio::Input, Stdio::Output, Stdio::Error];

    #[must_use]
    pub(crate) fn number(self) -> RawFd {
        self as RawFd
    }
}

impl AsFd for Stdio {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: std's Stdin, Stdout and Stderr implement AsFd in the same way for these three numbers.
        unsafe { BorrowedFd::borrow_raw(self.number()) }
    }
}

/// Keeps the numbers of closed standard descriptors from what this process opens: its output would go there. Calls still
/// fail with EBADF, and programs that it starts find them closed.
pub(crate) fn hold_closed_stdio() {
    let all = Stdio::ALL;
    let mut asked = all.each_ref().map(|one| PollFd::new(one.as_fd(), PollFlags::empty()));
    if poll(&mut asked, PollTimeout::ZERO).is_err() {
        return;
    }
    let is_closed =
        |one: &&PollFd<'_>| one.revents().is_some_and(|events| events.contains(PollFlags::POLLNVAL));
    for _ in asked.iter().filter(is_closed) {
        // The new descriptor has the lowest free number, and shows nothing of the host to a container.
        _ = open("/dev/null", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map(IntoRawFd::into_raw_fd);
    }
}

/// A copy of the descriptor with a number above 2, closed on exec.
pub(crate) fn duplicate_above_stdio(fd: impl AsFd) -> nix::Result<OwnedFd> {
    duplicate_from(fd, 3)
}

/// A copy with the lowest free number from `first` on.
pub(super) fn duplicate_from(fd: impl AsFd, first: RawFd) -> nix::Result<OwnedFd> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(first))?;
    // SAFETY: F_DUPFD_CLOEXEC has just made this descriptor; nothing else owns it.
    unsafe { owned(copy.into()) }
}

/// Sets the close-on-exec flag of all open descriptors from `first` to `last`
/// (close_range(2), with this flag since Linux 5.11).
pub(crate) fn set_close_on_exec_range(first: c_uint, last: c_uint) -> nix::Result<()> {
    // SAFETY: with this flag the call closes nothing: every owner in this process keeps its descriptor.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// The flags of a descriptor by number, also if no value owns it: fcntl(2) F_GETFD.
pub(crate) fn descriptor_flags(fd: c_uint) -> nix::Result<i32> {
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: F_GETFD changes nothing; a number that is not a descriptor gives an error.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_GETFD) })
}

/// Sets FD_CLOEXEC by number, for kernels where close_range(2) has no flag for it.
pub(crate) fn set_close_on_exec(fd: c_uint) -> nix::Result<()> {
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the call closes nothing: an owner of the descriptor keeps it.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }).map(drop)
}

/// A lock on a whole file (flock(2)), released on drop. (nix's `Flock` panics if the release fails.)
pub(crate) struct FileLock(File);

impl FileLock {
    /// `exclusive`: an exclusive lock, else a shared one. `patient`: waits for it, else fails with EWOULDBLOCK.
    pub(crate) fn take(file: File, exclusive: bool, patient: bool) -> nix::Result<FileLock> {
        let kind = if exclusive { libc::LOCK_EX } else { libc::LOCK_SH };
        let wait = if patient { 0 } else { libc::LOCK_NB };
        loop {
            // SAFETY: the descriptor is open, as the file owns it; the call uses no memory of this process.
            match Errno::result(unsafe { libc::flock(file.as_raw_fd(), kind | wait) }) {
                Ok(_) => return Ok(FileLock(file)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Releases the lock although a child may have a copy of the descriptor. If that fails, closing the last copy does it.
impl Drop for FileLock {
    fn drop(&mut self) {
        // SAFETY: as in `take`.
        _ = unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }
}

/// The kernel checks all of a netlink request, and refuses what it does not know. An error before Linux 4.20.
pub(crate) fn check_netlink_strictly(socket: impl AsFd) -> nix::Result<()> {
    const NETLINK_GET_STRICT_CHK: std::ffi::c_int = 12;
    let on: std::ffi::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).map_err(|_| Errno::EINVAL)?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads an int of this size from `on`.
    let result = unsafe {
        libc::setsockopt(fd, libc::SOL_NETLINK, NETLINK_GET_STRICT_CHK, (&raw const on).cast(), size)
    };
    Errno::result(result).map(drop)
}
