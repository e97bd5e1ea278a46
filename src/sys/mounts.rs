//! Mounts by descriptor: open_tree(2) and move_mount(2) since Linux 5.2, mount_setattr(2) since 5.12.

use std::ffi::{CStr, c_int, c_uint};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;

use super::owned;

const OPEN_TREE_CLONE: c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 4;
const MOUNT_ATTR_RDONLY: u64 = 1;

/// Copies the mount that contains `name` below `dir`, with `name` as its root; with the mounts below it if
/// `recursive`. The copy is detached and disappears with its last descriptor.
pub(crate) fn clone_tree(dir: impl AsFd, name: &CStr, recursive: bool) -> nix::Result<OwnedFd> {
    let below = if recursive { libc::AT_RECURSIVE } else { 0 };
    let at = (libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::O_CLOEXEC | below) as c_uint;
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: the name is a C string, the rest are numbers.
    let result = unsafe { libc::syscall(libc::SYS_open_tree, dir, name.as_ptr(), OPEN_TREE_CLONE | at) };
    // SAFETY: the call returns a new descriptor.
    unsafe { owned(result) }
}

/// Attaches a tree at `path`. A symbolic link at the end of the path is not followed.
pub(crate) fn attach(tree: impl AsFd, path: &CStr) -> nix::Result<()> {
    let tree = tree.as_fd().as_raw_fd();
    let (from, to) = (c"".as_ptr(), path.as_ptr());
    // SAFETY: both paths are C strings, the rest are numbers.
    let result = unsafe {
        libc::syscall(libc::SYS_move_mount, tree, from, libc::AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH)
    };
    Errno::result(result).map(drop)
}

/// Makes one mount read-only: the root of the tree, without the mounts below it.
pub(crate) fn make_read_only(tree: impl AsFd) -> nix::Result<()> {
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_ns: u64,
    }
    let attributes = Attributes { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, user_ns: 0 };
    let (tree, flags) = (tree.as_fd().as_raw_fd(), libc::AT_EMPTY_PATH as c_int);
    let (path, size) = (c"".as_ptr(), size_of::<Attributes>());
    // SAFETY: the path is a C string; the kernel reads a struct of the size that it is given.
    let result =
        unsafe { libc::syscall(libc::SYS_mount_setattr, tree, path, flags, &raw const attributes, size) };
    Errno::result(result).map(drop)
}
