//! Processes held by descriptors, and what the kernel tells of them so.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::owned;

/// pidfd_open(2), since Linux 5.3. The descriptor is close-on-exec by definition.
pub fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: plain integers in, a new descriptor out.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
}

/// pidfd_getfd(2), since Linux 5.6.
pub fn pidfd_getfd(pidfd: impl AsFd, fd: RawFd) -> nix::Result<OwnedFd> {
    // SAFETY: plain integers in, a new descriptor out.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_fd().as_raw_fd(), fd, 0) })
}

/// Does the process behind the pidfd still run?
pub fn pidfd_alive(pidfd: impl AsFd) -> nix::Result<()> {
    pidfd_signal(pidfd, 0)
}

/// pidfd_send_signal(2), since Linux 5.1; 0 only asks.
pub fn pidfd_signal(pidfd: impl AsFd, signal: c_int) -> nix::Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: a null siginfo is allowed.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, 0, 0) };
    Errno::result(result).map(drop)
}

/// struct pidfd_info, as Linux 6.13 has it; later ones are longer, and fill in what fits.
#[repr(C)]
#[derive(Debug, Default)]
pub struct PidfdInfo {
    /// What is asked for, and then what was filled in.
    pub mask: u64,
    /// The id of its group in the unified hierarchy.
    pub cgroup: u64,
    pub pid: u32,
    pub tgid: u32,
    pub ppid: u32,
    pub ruid: u32,
    pub rgid: u32,
    pub euid: u32,
    rest: [u32; 6],
}

impl PidfdInfo {
    pub const PID: u64 = 1;
    pub const CREDENTIALS: u64 = 2;
    pub const CGROUP: u64 = 4;
}

/// PIDFD_GET_INFO, since Linux 6.13.
pub fn pidfd_info(pidfd: &OwnedFd) -> nix::Result<PidfdInfo> {
    const PIDFD_GET_INFO: u64 = 0xc040_ff0b; // _IOWR(0xff, 11, struct pidfd_info)
    let mask = PidfdInfo::PID | PidfdInfo::CREDENTIALS | PidfdInfo::CGROUP;
    let mut info = PidfdInfo { mask, ..PidfdInfo::default() };
    // SAFETY: the number of the request has the length of the struct in it; the kernel writes no more.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    Errno::result(result).map(|_| info)
}

/// NS_GET_PID_IN_PIDNS, since Linux 6.11: the PID there of a process that is `pid` here.
pub fn pid_in_namespace(space: impl AsFd, pid: Pid) -> nix::Result<c_int> {
    const NS_GET_PID_IN_PIDNS: u64 = 0x8004_b708; // _IOR(0xb7, 8, int)
    let fd = space.as_fd().as_raw_fd();
    // SAFETY: plain integers in.
    let inner = unsafe { libc::syscall(libc::SYS_ioctl, fd, NS_GET_PID_IN_PIDNS, pid.as_raw()) };
    Errno::result(inner).map(|inner| c_int::try_from(inner).unwrap_or(0))
}
