//! System calls that neither std nor nix offers in a safe form, and the only unsafe code of the library.
//!
//! Each function makes one call with one fixed request, and returns a `Result`. Decisions are made elsewhere. A
//! function is safe when no argument can break memory safety or the ownership of a descriptor. Any other function is
//! an `unsafe fn` whose `# Safety` section says what its caller promises.
#![allow(unsafe_code)]

mod capability;
mod close;
mod descriptor;
pub(crate) mod directory;
mod file;
mod fork;
pub(crate) mod keyed;
pub(crate) mod memory;
pub(crate) mod mounts;
mod network;
mod nsfs;
mod pidfd;
mod process;
mod program;
mod regex;
mod scm_rights;
mod seccomp;
mod shared;
mod signal;
mod terminal;
mod time;

pub(crate) use capability::{
    ambient_clear, ambient_is_set, ambient_lower, ambient_raise, bounding_set_drop, bounding_set_read,
    capget, capset, securebits, set_keep_caps, set_securebits,
};
pub(crate) use close::{
    close, close_all, close_later, close_many, close_others, close_range, close_unneeded, kept_apart,
    raise_descriptor_limit, share_of_open_files,
};
pub(crate) use descriptor::{
    FileLock, Stdio, check_netlink_strictly, descriptor_flags, duplicate_above_stdio, hold_closed_stdio,
    set_close_on_exec, set_close_on_exec_range,
};
pub(crate) use file::{
    Extent, Known, extent, file_id, get_dents, get_xattr, has_attribute, is_mount_root, known, read_link_at,
    working_directory,
};
pub(crate) use fork::{fork, fork_into, fork_sibling, fork_silent};
pub(crate) use network::loopback_up;
pub(crate) use nsfs::{
    mount_namespace_id, namespace_owner, namespace_owner_uid, namespace_parent, namespace_type,
    open_namespace, pid_from_namespace, pid_in_namespace, pidfd_pid_namespace, pidfd_user_namespace,
    socket_namespace,
};
pub(crate) use pidfd::{PidfdInfo, pidfd_alive, pidfd_getfd, pidfd_info, pidfd_open, pidfd_signal};
pub(crate) use process::{
    Ended, SharedNumber, continue_step, exit_now, has_output_begun, is_realtime, output_begins, setns,
    unshare, unshare_nothing, wait, wait_for_step, watch_output,
};
pub(crate) use program::acts_for_another;
pub(crate) use program::{Image, environment, execute, wipe_environment, with_variable};
pub use program::{arguments, promise_no_locks};
pub(crate) use regex::{Regex, utf8_letters};
pub(crate) use scm_rights::{MOST_DESCRIPTORS, receive_descriptors};
pub(crate) use seccomp::install_filter;
pub(crate) use shared::SharedBytes;
pub(crate) use signal::{
    block, default_action, die_of, has_screen, is_ignored, kill, next_signal, on_end_restore, on_end_write,
    set_parent_death_signal, stops,
};
pub(crate) use terminal::{open_peer, set_controlling_tty, set_window_size, terminal_width, window_size};
pub(crate) use time::{local_time, sleep};

use std::ffi::c_long;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// The new descriptor that a system call has returned.
///
/// # Safety
/// `result` is the return value of a call that, when it succeeds, makes a new descriptor without another owner.
unsafe fn owned(result: c_long) -> nix::Result<OwnedFd> {
    let fd = Errno::result(result)?;
    // SAFETY: the caller promises that this number is a new descriptor without an owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// The part of a buffer that a system call has filled.
fn filled(buffer: &[u8], length: c_long) -> nix::Result<&[u8]> {
    let length = usize::try_from(Errno::result(length)?).unwrap_or(0);
    Ok(buffer.get(..length).unwrap_or_default())
}
