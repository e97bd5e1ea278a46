//! Hands descriptors from one process to another over a socket.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};

use crate::sys;

/// A pair of connected sockets with close-on-exec.
pub(crate) fn channel() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

pub(crate) fn send<const N: usize>(to: &OwnedFd, descriptors: [&OwnedFd; N]) -> nix::Result<()> {
    let numbers = descriptors.map(AsRawFd::as_raw_fd);
    let message = [ControlMessage::ScmRights(&numbers)];
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"d")], &message, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// Any number of descriptors, also none.
pub(crate) fn send_all(to: BorrowedFd<'_>, descriptors: &[OwnedFd]) -> nix::Result<()> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let message = [ControlMessage::ScmRights(&numbers)];
    let message = if numbers.is_empty() { &[] } else { &message[..] };
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"d")], message, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// None when the sender has ended without sending that many.
pub(crate) fn receive<const N: usize>(from: &OwnedFd) -> Option<[OwnedFd; N]> {
    receive_all(from.as_fd())?.try_into().ok()
}

/// All descriptors of one message. None when the sender has ended without sending one, or when they exceed
/// RLIMIT_NOFILE.
pub(crate) fn receive_all(from: BorrowedFd<'_>) -> Option<Vec<OwnedFd>> {
    sys::receive_descriptors(from)
}
