//! Namespaces behind descriptors: ioctl_nsfs(2), and similar requests for pidfds and sockets.
//!
//! Any other file refuses these requests (ENOTTY). Each function has one request.

use std::ffi::{c_int, c_ulong};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::owned;

/// An ioctl(2) that takes no argument and returns a new descriptor.
///
/// # Safety
/// `request` takes no argument and returns a new descriptor.
unsafe fn ioctl_fd(fd: impl AsFd, request: c_ulong) -> nix::Result<OwnedFd> {
    // SAFETY: the caller promises that there is no argument; null is not an address of this process.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, fd.as_fd().as_raw_fd(), request, 0) };
    // SAFETY: the caller promises that the result is a new descriptor.
    unsafe { owned(result) }
}

/// NS_GET_USERNS: the user namespace that owns this namespace; for a user namespace, its parent.
pub(crate) fn namespace_owner(namespace: impl AsFd) -> nix::Result<OwnedFd> {
    const NS_GET_USERNS: c_ulong = 0xb701;
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(namespace, NS_GET_USERNS) }
}

/// NS_GET_PARENT: the parent of a pid or user namespace.
pub(crate) fn namespace_parent(namespace: impl AsFd) -> nix::Result<OwnedFd> {
    const NS_GET_PARENT: c_ulong = 0xb702;
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(namespace, NS_GET_PARENT) }
}

/// PIDFD_GET_USER_NAMESPACE, since Linux 6.11: the user namespace of the process behind a pidfd.
pub(crate) fn pidfd_user_namespace(pidfd: impl AsFd) -> nix::Result<OwnedFd> {
    const PIDFD_GET_USER_NAMESPACE: c_ulong = 0xff09;
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(pidfd, PIDFD_GET_USER_NAMESPACE) }
}

/// PIDFD_GET_PID_NAMESPACE, since Linux 6.11: the pid namespace of the process behind a pidfd.
pub(crate) fn pidfd_pid_namespace(pidfd: impl AsFd) -> nix::Result<OwnedFd> {
    const PIDFD_GET_PID_NAMESPACE: c_ulong = 0xff05;
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(pidfd, PIDFD_GET_PID_NAMESPACE) }
}

/// SIOCGSKNS: the network namespace of a socket.
pub(crate) fn socket_namespace(socket: impl AsFd) -> nix::Result<OwnedFd> {
    const SIOCGSKNS: c_ulong = 0x894c;
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(socket, SIOCGSKNS) }
}

/// NS_GET_NSTYPE: the CLONE_NEW* flag of the namespace.
pub(crate) fn namespace_type(namespace: impl AsFd) -> nix::Result<c_int> {
    const NS_GET_NSTYPE: c_ulong = 0xb703;
    let fd = namespace.as_fd().as_raw_fd();
    // SAFETY: the request takes no argument and returns a number; null is not an address of this process.
    let flag = unsafe { libc::syscall(libc::SYS_ioctl, fd, NS_GET_NSTYPE, 0) };
    Errno::result(flag).map(|flag| c_int::try_from(flag).unwrap_or(0))
}

/// NS_GET_OWNER_UID: the user who created a user namespace.
pub(crate) fn namespace_owner_uid(namespace: impl AsFd) -> nix::Result<u32> {
    const NS_GET_OWNER_UID: c_ulong = 0xb704;
    let mut uid = 0_u32;
    let fd = namespace.as_fd().as_raw_fd();
    // SAFETY: the request writes a uid_t, which has 32 bits.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioctl, fd, NS_GET_OWNER_UID, &raw mut uid) })?;
    Ok(uid)
}

/// NS_GET_MNTNS_ID, since Linux 6.10: the id of a mount namespace, as statmount(2) takes it.
pub(crate) fn mount_namespace_id(namespace: impl AsFd) -> nix::Result<u64> {
    const NS_GET_MNTNS_ID: c_ulong = 0x8008_b705;
    let mut id = 0_u64;
    let fd = namespace.as_fd().as_raw_fd();
    // SAFETY: the request writes 64 bits, as its number says.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioctl, fd, NS_GET_MNTNS_ID, &raw mut id) })?;
    Ok(id)
}

/// NS_GET_TGID_FROM_PIDNS, since Linux 6.11: the PID in the caller's pid namespace of the process with PID `inner` in that
/// one.
pub(crate) fn pid_from_namespace(namespace: impl AsFd, inner: c_int) -> nix::Result<Pid> {
    const NS_GET_TGID_FROM_PIDNS: c_ulong = 0x8004_b707; // _IOR(0xb7, 7, int)
    let fd = namespace.as_fd().as_raw_fd();
    // SAFETY: the request takes a PID in place of an address, and returns a number.
    let outer = unsafe { libc::syscall(libc::SYS_ioctl, fd, NS_GET_TGID_FROM_PIDNS, inner) };
    let outer = Errno::result(outer)?;
    i32::try_from(outer).map(Pid::from_raw).map_err(|_| Errno::ESRCH)
}

/// NS_GET_PID_IN_PIDNS, since Linux 6.11: the PID in that namespace of the process with PID `pid` in this one.
pub(crate) fn pid_in_namespace(namespace: impl AsFd, pid: Pid) -> nix::Result<c_int> {
    const NS_GET_PID_IN_PIDNS: c_ulong = 0x8004_b708; // _IOR(0xb7, 8, int)
    let fd = namespace.as_fd().as_raw_fd();
    // SAFETY: the request takes a PID in place of an address, and returns a number.
    let inner = unsafe { libc::syscall(libc::SYS_ioctl, fd, NS_GET_PID_IN_PIDNS, pid.as_raw()) };
    Errno::result(inner).map(|inner| c_int::try_from(inner).unwrap_or(0))
}

/// open_by_handle_at(2): opens a namespace by its id alone, on nsfs; since Linux 6.19.
pub(crate) fn open_namespace(id: u64) -> nix::Result<OwnedFd> {
    const FD_NSFS_ROOT: c_int = -10003;
    const FILEID_NSFS: c_int = 0xf1;
    /// struct file_handle with a struct nsfs_file_handle in it; type and inode 0 match any.
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: c_int,
        ns_id: u64,
        ns_type: u32,
        ns_inum: u32,
    }
    let mut handle = Handle { bytes: 16, kind: FILEID_NSFS, ns_id: id, ns_type: 0, ns_inum: 0 };
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: 16 bytes follow the head of the handle, as it says; the kernel only reads them.
    let result = unsafe { libc::syscall(libc::SYS_open_by_handle_at, FD_NSFS_ROOT, &raw mut handle, flags) };
    // SAFETY: the call returns a new descriptor.
    unsafe { owned(result) }
}
