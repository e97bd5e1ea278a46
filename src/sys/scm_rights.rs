//! Receives descriptors over a socket (unix(7), SCM_RIGHTS).

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// The kernel's limit for one message (SCM_MAX_FD of unix(7)).
pub(crate) const MOST_DESCRIPTORS: usize = 253;

/// Receives a part of one message into `bytes`, and its descriptors with close-on-exec. The length of the part, which is not 0.
/// None when the sender has ended without sending one, or when the descriptors exceed RLIMIT_NOFILE.
pub(crate) fn receive_descriptors(from: BorrowedFd<'_>, bytes: &mut [u8]) -> Option<(usize, Vec<OwnedFd>)> {
    let mut bytes = [IoSliceMut::new(bytes)];
    let mut space = nix::cmsg_space!([RawFd; MOST_DESCRIPTORS]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut bytes, Some(&mut space), flags).ok()?;
    let is_whole = message.bytes > 0 && !message.flags.contains(MsgFlags::MSG_CTRUNC);
    let rights = message.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(numbers) => Some(numbers),
        _ => None,
    });
    let descriptors = rights.unwrap_or_default().into_iter().map(from_scm_rights).collect();
    is_whole.then_some((message.bytes, descriptors))
}

fn from_scm_rights(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has made this descriptor for the message just received; nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
