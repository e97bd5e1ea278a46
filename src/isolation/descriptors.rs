//! Descriptors that are handed from one process to another over a socket.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};

use crate::sys;

/// A pair of connected sockets; both are closed when a program is executed.
pub fn channel() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// As many as the kernel sends at once (SCM_MAX_FD of unix(7)).
const MOST: usize = 253;

pub fn send<const N: usize>(to: &OwnedFd, descriptors: [&OwnedFd; N]) -> nix::Result<()> {
    let numbers = descriptors.map(AsRawFd::as_raw_fd);
    let message = [ControlMessage::ScmRights(&numbers)];
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"d")], &message, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// Any number of them, none as well.
pub fn send_all(to: BorrowedFd<'_>, descriptors: &[OwnedFd]) -> nix::Result<()> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let message = [ControlMessage::ScmRights(&numbers)];
    let message = if numbers.is_empty() { &[] } else { &message[..] };
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"d")], message, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// None when the other side has ended without sending that many.
pub fn receive<const N: usize>(from: &OwnedFd) -> Option<[OwnedFd; N]> {
    receive_all(from.as_fd())?.try_into().ok()
}

/// All of one message. None when the other side has ended without sending one, or this process has no room for them.
pub fn receive_all(from: BorrowedFd<'_>) -> Option<Vec<OwnedFd>> {
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; MOST]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut bytes, Some(&mut space), flags).ok()?;
    let is_whole = message.bytes == 1 && !message.flags.contains(MsgFlags::MSG_CTRUNC);
    let rights = message.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(numbers) => Some(numbers),
        _ => None,
    });
    let descriptors = rights.unwrap_or_default().into_iter().map(sys::received).collect();
    is_whole.then_some(descriptors)
}
