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

/// The first byte of the last message, and of those before it.
const LAST: &[u8] = b"d";
const MORE: &[u8] = b"+";

/// The most bytes that fit in a message.
pub(crate) const MOST_BYTES: usize = 1_024;

/// Any number of descriptors, also none, and not more than [`MOST_BYTES`] with the last of them.
pub(crate) fn send_all(to: BorrowedFd<'_>, descriptors: &[OwnedFd], bytes: &[u8]) -> nix::Result<()> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let mut rest = &numbers[..];
    loop {
        let (part, after) = rest.split_at(rest.len().min(sys::MOST_DESCRIPTORS));
        let rights = [ControlMessage::ScmRights(part)];
        let message = if part.is_empty() { &[] } else { &rights[..] };
        let is_last = after.is_empty();
        let parts = if is_last { [LAST, bytes] } else { [MORE, b""] };
        let parts = parts.map(IoSlice::new);
        sendmsg::<()>(to.as_raw_fd(), &parts, message, MsgFlags::MSG_NOSIGNAL, None)?;
        if is_last {
            return Ok(());
        }
        rest = after;
    }
}

/// None when the sender has ended without sending that many.
pub(crate) fn receive<const N: usize>(from: &OwnedFd) -> Option<[OwnedFd; N]> {
    receive_all(from.as_fd())?.0.try_into().ok()
}

/// All descriptors of one call of [`send_all`], and the bytes. None when the sender has ended without sending them, or when
/// they exceed RLIMIT_NOFILE.
pub(crate) fn receive_all(from: BorrowedFd<'_>) -> Option<(Vec<OwnedFd>, Vec<u8>)> {
    let mut all = Vec::new();
    let mut buffer = [0; LAST.len() + MOST_BYTES];
    loop {
        let (length, part) = sys::receive_descriptors(from, &mut buffer)?;
        all.extend(part);
        let (kind, bytes) = buffer[..length].split_at(LAST.len());
        if kind != MORE {
            return Some((all, bytes.to_vec()));
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
            let bytes = vec![b'x'; count.min(MOST_BYTES)];
            std::thread::scope(|threads| {
                threads.spawn(|| send_all(to.as_fd(), &sent, &bytes).expect("sent"));
                let (descriptors, received) = receive_all(from.as_fd()).expect("received");
                assert_eq!((descriptors.len(), received), (count, bytes.clone()));
            });
        }
    }
}
