//! Data of files and directories in buffers of the caller, and without waiting for the server of a file system.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;

use super::filled;

/// readlinkat(2): the target of the link, truncated to the buffer.
pub(crate) fn read_link_at<'a>(dir: impl AsFd, name: &CStr, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: the name is a C string; the kernel writes no more than the buffer's length into it.
    let length = unsafe { libc::readlinkat(dir, name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    filled(buffer, length as _)
}

/// getxattr(2).
pub(crate) fn get_xattr<'a>(path: &CStr, name: &CStr, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    let (value, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: path and name are C strings; the kernel writes no more than the buffer's length into it.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value, size) };
    filled(buffer, length as _)
}

/// getdents64(2): as many raw entries as fit; empty at the end.
pub(crate) fn get_dents(dir: impl AsFd, buffer: &mut [u8]) -> nix::Result<&[u8]> {
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: the kernel writes no more than the buffer's length into it.
    let length = unsafe { libc::syscall(libc::SYS_getdents64, dir, buffer.as_mut_ptr(), buffer.len()) };
    filled(buffer, length)
}

/// The system call getcwd(2). glibc's function searches for the directory when the kernel reports `(unreachable)`,
/// and may find another one that looks the same.
pub(crate) fn working_directory(buffer: &mut [u8]) -> nix::Result<&[u8]> {
    // SAFETY: the kernel writes no more than the buffer's length into it.
    let length = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    filled(buffer, length)
}

/// What the kernel knows of a file without asking the server of its file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) device: (u32, u32),
    pub(crate) inode: u64,
    pub(crate) uid: u32,
    pub(crate) mode: u16,
    /// The number of the mount it is on, which no mount in another namespace has. None before Linux 5.8.
    pub(crate) mount: Option<u64>,
    /// The numbers of a character device.
    pub(crate) special: Option<(u32, u32)>,
}

/// statx(2) with AT_STATX_DONT_SYNC: uses cached data, so that it does not wait for FUSE, or overlayfs on top of it.
/// An empty name means the file of the descriptor.
pub(crate) fn known(dir: impl AsFd, name: &CStr) -> nix::Result<Known> {
    let empty = if name.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    /// Since Linux 6.8 a number that is not used again.
    const MOUNT: u32 = 0x1000 | 0x4000;
    let mask = libc::STATX_INO | libc::STATX_UID | libc::STATX_MODE | libc::STATX_TYPE | MOUNT;
    let found = statx(dir.as_fd().as_raw_fd(), name, libc::AT_STATX_DONT_SYNC | empty, mask)?;
    let device = (found.stx_dev_major, found.stx_dev_minor);
    let is_character = u32::from(found.stx_mode) & libc::S_IFMT == libc::S_IFCHR;
    let special = is_character.then_some((found.stx_rdev_major, found.stx_rdev_minor));
    let mount = (found.stx_mask & MOUNT != 0).then_some(found.stx_mnt_id);
    Ok(Known { device, inode: found.stx_ino, uid: found.stx_uid, mode: found.stx_mode, mount, special })
}

/// How much of a file system a file takes, from cached data too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Extent {
    pub(crate) device: (u32, u32),
    pub(crate) inode: u64,
    pub(crate) links: u32,
    pub(crate) size: u64,
    /// In bytes.
    pub(crate) allocated: u64,
    pub(crate) is_regular: bool,
}

pub(crate) fn extent(path: &CStr) -> nix::Result<Extent> {
    let mask = libc::STATX_BASIC_STATS;
    let found = statx(libc::AT_FDCWD, path, libc::AT_STATX_DONT_SYNC, mask)?;
    Ok(Extent {
        device: (found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
        links: found.stx_nlink,
        size: found.stx_size,
        allocated: found.stx_blocks.saturating_mul(512),
        is_regular: u32::from(found.stx_mode) & libc::S_IFMT == libc::S_IFREG,
    })
}

fn statx(dir: RawFd, name: &CStr, flags: c_int, mask: u32) -> nix::Result<libc::statx> {
    // SAFETY: a statx has only integers, for which zeros are a value.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the name is a C string; the kernel writes a whole statx.
    Errno::result(unsafe { libc::statx(dir, name.as_ptr(), flags, mask, &raw mut found) })?;
    Ok(found)
}

/// Device and inode of the file that a name leads to, with the same flag.
pub(crate) fn file_id(dir: impl AsFd, name: &CStr) -> nix::Result<((u32, u32), u64)> {
    known(dir, name).map(|known| (known.device, known.inode))
}

/// Is this directory the root of a mount? None before Linux 5.8, which added the attribute.
#[must_use]
pub(crate) fn is_mount_root(path: &CStr) -> Option<bool> {
    const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
    let found = statx(libc::AT_FDCWD, path, 0, 0).ok()?;
    let is_known = found.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT != 0;
    is_known.then_some(found.stx_attributes & STATX_ATTR_MOUNT_ROOT != 0)
}

/// Does the file have a non-empty extended attribute of this name (getxattr(2))?
#[must_use]
pub(crate) fn has_attribute(path: &CStr, name: &CStr) -> bool {
    // SAFETY: path and name are C strings; with a size of 0 nothing is written.
    unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}
