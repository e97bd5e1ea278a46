//! Processes by pidfd, and what the kernel reports about them.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::owned;

/// pidfd_open(2), since Linux 5.3. The descriptor is close-on-exec by definition.
pub(crate) fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: the call takes numbers and uses no memory of this process.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    // SAFETY: the call returns a new descriptor.
    unsafe { owned(result) }
}

/// pidfd_getfd(2), since Linux 5.6.
pub(crate) fn pidfd_getfd(pidfd: impl AsFd, fd: RawFd) -> nix::Result<OwnedFd> {
    let pidfd = pidfd.as_fd().as_raw_fd();
    // SAFETY: the call takes numbers, and `fd` is one of the other process.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd, 0) };
    // SAFETY: the call returns a new descriptor.
    unsafe { owned(result) }
}

/// Does the process behind the pidfd still run?
pub(crate) fn pidfd_alive(pidfd: impl AsFd) -> nix::Result<()> {
    pidfd_signal(pidfd, 0)
}

/// pidfd_send_signal(2), since Linux 5.1; signal 0 only checks that the process exists.
pub(crate) fn pidfd_signal(pidfd: impl AsFd, signal: c_int) -> nix::Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: a null siginfo is allowed; the call uses no memory of this process then.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, 0, 0) };
    Errno::result(result).map(drop)
}

/// struct pidfd_info of Linux 6.13. Later versions are longer; the kernel fills in what fits.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct PidfdInfo {
    /// Set to the requested fields; the kernel sets it to those that it filled in.
    pub(crate) mask: u64,
    /// The id of its control group in the unified hierarchy.
    pub(crate) cgroup: u64,
    pub(crate) pid: u32,
    pub(crate) tgid: u32,
    pub(crate) ppid: u32,
    pub(crate) ruid: u32,
    pub(crate) rgid: u32,
    pub(crate) euid: u32,
    rest: [u32; 6],
}

impl PidfdInfo {
    pub(crate) const PID: u64 = 1;
    pub(crate) const CREDENTIALS: u64 = 2;
    pub(crate) const CGROUP: u64 = 4;
}

/// PIDFD_GET_INFO, since Linux 6.13.
pub(crate) fn pidfd_info(pidfd: &OwnedFd) -> nix::Result<PidfdInfo> {
    const PIDFD_GET_INFO: u64 = 0xc040_ff0b; // _IOWR(0xff, 11, struct pidfd_info)
    let mask = PidfdInfo::PID | PidfdInfo::CREDENTIALS | PidfdInfo::CGROUP;
    let mut info = PidfdInfo { mask, ..PidfdInfo::default() };
    // SAFETY: the number of the request contains the size of the struct; the kernel reads and writes no more.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    Errno::result(result).map(|_| info)
}
