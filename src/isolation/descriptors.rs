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

/// Of the last message, and of those before it.
const LAST: &[u8] = b"d";
const MORE: &[u8] = b"+";

/// Any number of descriptors, also none.
pub(crate) fn send_all(to: BorrowedFd<'_>, descriptors: &[OwnedFd]) -> nix::Result<()> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let mut rest = &numbers[..];
    loop {
        let (part, after) = rest.split_at(rest.len().min(sys::MOST_DESCRIPTORS));
        let rights = [ControlMessage::ScmRights(part)];
        let message = if part.is_empty() { &[] } else { &rights[..] };
        let bytes = [IoSlice::new(if after.is_empty() { LAST } else { MORE })];
        sendmsg::<()>(to.as_raw_fd(), &bytes, message, MsgFlags::MSG_NOSIGNAL, None)?;
        if after.is_empty() {
            return Ok(());
        }
        rest = after;
    }
}

/// None when the sender has ended without sending that many.
pub(crate) fn receive<const N: usize>(from: &OwnedFd) -> Option<[OwnedFd; N]> {
    receive_all(from.as_fd())?.try_into().ok()
}

/// All descriptors of one call of [`send_all`]. None when the sender has ended without sending them, or when they exceed
/// RLIMIT_NOFILE.
pub(crate) fn receive_all(from: BorrowedFd<'_>) -> Option<Vec<OwnedFd>> {
    let mut all = Vec::new();
    loop {
        let (byte, part) = sys::receive_descriptors(from)?;
        all.extend(part);
        if [byte] != MORE {
            return Some(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_descriptors_than_one_message_can_have() {
        let (from, to) = channel().expect("sockets");
        for count in [0, 1, 253, 254, 600] {
            let sent: Vec<OwnedFd> = (0..count).map(|_| to.try_clone().expect("a copy")).collect();
            std::thread::scope(|threads| {
                threads.spawn(|| send_all(to.as_fd(), &sent).expect("sent"));
                assert_eq!(receive_all(from.as_fd()).expect("received").len(), count);
            });
        }
    }
}
