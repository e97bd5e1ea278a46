//! Descriptors that are handed from one process to another over a socket.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};

use crate::sys;

/// A pair of connected sockets; both are closed when a program is executed.
pub fn channel() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

pub fn send<const N: usize>(to: &OwnedFd, descriptors: [&OwnedFd; N]) -> nix::Result<()> {
    let numbers = descriptors.map(AsRawFd::as_raw_fd);
    let message = [ControlMessage::ScmRights(&numbers)];
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"d")], &message, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// None when the other side has ended without sending that many.
pub fn receive<const N: usize>(from: &OwnedFd) -> Option<[OwnedFd; N]> {
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 4]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut bytes, Some(&mut space), flags).ok()?;
    let numbers = message.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(numbers) => Some(numbers),
        _ => None,
    })?;
    let descriptors: Vec<OwnedFd> = numbers.into_iter().map(sys::received).collect();
    descriptors.try_into().ok()
}
