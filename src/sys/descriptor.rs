//! Flags, copies and locks of descriptors.

use std::ffi::c_uint;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::owned;

/// One of the three descriptors that every program is started with. Where it was started without, calls fail with
/// EBADF, or concern what was opened in its place.
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
        // SAFETY: these three numbers are always to be had in this way: std's Stdin, Stdout and Stderr give the same.
        unsafe { BorrowedFd::borrow_raw(self.number()) }
    }
}

/// A copy of the descriptor with a number above 2, closed on exec.
pub(crate) fn duplicate_above_stdio(fd: impl AsFd) -> nix::Result<OwnedFd> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: F_DUPFD_CLOEXEC has just made this descriptor; nothing else owns it.
    unsafe { owned(copy.into()) }
}

/// Marks all open descriptors from `first` to `last` to be closed when a program is executed
/// (close_range(2), with this flag since Linux 5.11).
pub(crate) fn set_close_on_exec_range(first: c_uint, last: c_uint) -> nix::Result<()> {
    // SAFETY: with this flag nothing is closed now: every owner in this process keeps its descriptor.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// The flags of a descriptor by number, which may be nobody's: fcntl(2) F_GETFD.
pub(crate) fn descriptor_flags(fd: c_uint) -> nix::Result<i32> {
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: F_GETFD changes nothing; of a number that is no descriptor it gives an error.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_GETFD) })
}

/// Sets FD_CLOEXEC by number, where close_range(2) has no flag for it.
pub(crate) fn set_close_on_exec(fd: c_uint) -> nix::Result<()> {
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: nothing is closed now: the owner of the descriptor, if it has one here, keeps it.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }).map(drop)
}

/// A lock on a whole file (flock(2)), given back when it is dropped. (nix's own panics where that fails.)
pub(crate) struct FileLock(File);

impl FileLock {
    /// `exclusive`: nobody else may have one; `patient`: it is waited for. EWOULDBLOCK: others have it.
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

/// At once, though a child may have a copy of the descriptor. Where that fails the last copy's end does it.
impl Drop for FileLock {
    fn drop(&mut self) {
        // SAFETY: as in `take`.
        _ = unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }
}
