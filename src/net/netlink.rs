//! Requests to the kernel over netlink, and its answers.

use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{Emitable, NetlinkBuffer, NetlinkHeader};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send, socket,
};

use crate::sys;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// rtnetlink(7)
    Route,
    /// sock_diag(7)
    SocketDiagnosis,
}

/// A netlink socket that only the kernel can send to.
pub(crate) struct Netlink(OwnedFd);

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER: usize = 16;
/// The kernel fills at most 32 KiB with one part of an answer.
const ROOM: usize = 64 << 10;

impl Netlink {
    pub(crate) fn open(protocol: Protocol) -> nix::Result<Netlink> {
        let number = match protocol {
            Protocol::Route => SockProtocol::NetlinkRoute,
            Protocol::SocketDiagnosis => SockProtocol::NetlinkSockDiag,
        };
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, number)?;
        // Then the kernel refuses messages of processes, which root of the namespace could send.
        connect(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        if protocol == Protocol::Route {
            // Before Linux 4.20 the kernel ignores the id of another namespace in a request for addresses.
            _ = sys::check_netlink_strictly(&fd);
        }
        Ok(Netlink(fd))
    }

    pub(super) fn from_fd(fd: OwnedFd) -> Netlink {
        Netlink(fd)
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Asks for one object.
    pub(super) fn ask(&self, kind: u16, body: &[u8]) -> nix::Result<Vec<u8>> {
        let mut answer = None;
        self.exchange(kind, ACKNOWLEDGE, body, &mut |_, payload| {
            answer = Some(payload.to_vec());
            ControlFlow::Continue(())
        })?;
        answer.ok_or(Errno::ENODATA)
    }

    /// Asks for all objects. If `take` breaks off, the rest of the answer stays in the socket, which is of no more use.
    pub(super) fn dump(
        &self,
        kind: u16,
        body: &[u8],
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> nix::Result<()> {
        self.exchange(kind, DUMP, body, &mut |_, payload| take(payload))
    }

    fn exchange(
        &self,
        kind: u16,
        flags: u16,
        body: &[u8],
        take: &mut dyn FnMut(u16, &[u8]) -> ControlFlow<()>,
    ) -> nix::Result<()> {
        let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::EMSGSIZE)?;
        let mut header = NetlinkHeader::default();
        (header.length, header.message_type, header.flags) = (length, kind, REQUEST | flags);
        let mut request = vec![0; HEADER];
        header.emit(&mut request);
        request.extend_from_slice(body);
        send(self.0.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut buffer = vec![0; ROOM];
        loop {
            let length = match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                length => length?,
            };
            if parts(buffer.get(..length).unwrap_or_default(), take)?.is_break() {
                return Ok(());
            }
        }
    }
}

/// Breaks at the end of the answer, or if `take` does.
fn parts(
    mut rest: &[u8],
    take: &mut dyn FnMut(u16, &[u8]) -> ControlFlow<()>,
) -> nix::Result<ControlFlow<()>> {
    if rest.is_empty() {
        return Err(Errno::EPROTO);
    }
    while !rest.is_empty() {
        let message = NetlinkBuffer::new_checked(rest).map_err(|_| Errno::EPROTO)?;
        let payload = message.payload();
        let code = || payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
        match message.message_type() {
            ERROR | DONE if code() < 0 => return Err(Errno::from_raw(code().saturating_neg())),
            ERROR | DONE => return Ok(ControlFlow::Break(())),
            kind if take(kind, payload).is_break() => return Ok(ControlFlow::Break(())),
            _ => {}
        }
        let length = (message.length() as usize).next_multiple_of(4).max(HEADER);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(ControlFlow::Continue(()))
}

/// Adds an attribute with a value of four bytes.
pub(super) fn push_number(body: &mut Vec<u8>, kind: u16, value: [u8; 4]) {
    push(body, kind, &value);
}

/// Adds an attribute. A value that is too long for one is cut.
pub(super) fn push(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    const MOST: usize = 4_096;
    let value = value.get(..MOST).unwrap_or(value);
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend_from_slice(&length.to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(data: &[u8], take: &mut dyn FnMut(&[u8])) {
    _ = parts(data, &mut |_, payload| {
        take(payload);
        ControlFlow::Continue(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + payload.len()).expect("short");
        let mut raw = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], payload].concat();
        raw.resize(raw.len().next_multiple_of(4), 0);
        raw
    }

    fn read(raw: &[u8]) -> (nix::Result<ControlFlow<()>>, Vec<Vec<u8>>) {
        let mut all = Vec::new();
        let result = parts(raw, &mut |_, payload| {
            all.push(payload.to_vec());
            ControlFlow::Continue(())
        });
        (result, all)
    }

    #[test]
    fn answers_end_with_done_or_an_error() {
        let two = [message(16, b"one"), message(16, b"three")].concat();
        assert_eq!(read(&two), (Ok(ControlFlow::Continue(())), vec![b"one".to_vec(), b"three".to_vec()]));
        let done = [two.clone(), message(DONE, &[0; 4]), message(16, b"late")].concat();
        assert_eq!(read(&done).0, Ok(ControlFlow::Break(())));
        assert_eq!(read(&done).1.len(), 2);
        assert_eq!(read(&message(ERROR, &(-1_i32).to_ne_bytes())).0, Err(Errno::EPERM));
        assert_eq!(read(&message(ERROR, &i32::MIN.to_ne_bytes())).0, Err(Errno::UnknownErrno));
    }

    #[test]
    fn only_the_kernel_is_heard() {
        use nix::sys::socket::{bind, getsockname, sendto};
        let Ok(netlink) = Netlink::open(Protocol::Route) else { return };
        let own: NetlinkAddr = getsockname(netlink.0.as_raw_fd()).expect("an address");
        let flags = SockFlag::SOCK_CLOEXEC;
        let other = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)
            .expect("a socket");
        bind(other.as_raw_fd(), &NetlinkAddr::new(0, 0)).expect("bound");
        let forged = message(16, b"forged");
        let sent = sendto(other.as_raw_fd(), &forged, &NetlinkAddr::new(own.pid(), 0), MsgFlags::empty());
        // Without CAP_NET_ADMIN no process may send to another one.
        assert!(matches!(sent, Err(Errno::ECONNREFUSED | Errno::EPERM)), "{sent:?}");
    }

    #[test]
    fn no_answer_is_read_beyond_its_end() {
        let mut long = message(16, b"four");
        long[0] = 200;
        assert_eq!(read(&long).0, Err(Errno::EPROTO));
        let mut short = message(16, b"four");
        short[0] = 0;
        assert_eq!(read(&short).0, Err(Errno::EPROTO));
        assert_eq!(read(&long[..7]).0, Err(Errno::EPROTO));
        assert_eq!(read(&[]).0, Err(Errno::EPROTO));
    }
}
