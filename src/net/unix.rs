//! Unix sockets by file or by name, from sock_diag(7).

use std::ops::ControlFlow;

use netlink_packet_core::NlasIterator;
use nix::errno::Errno;

use super::search::{packed, unpacked};
use super::{Netlink, Protocol};
use crate::isolation::visit::{Place, visit};
use crate::proc::ns::Kind;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SHOW_NAME: u32 = 1;
const SHOW_FILE: u32 = 2;
const ALL_STATES: u32 = u32::MAX;
/// The attributes of an answer: UNIX_DIAG_NAME, UNIX_DIAG_VFS.
const NAME: u16 = 0;
const FILE: u16 = 1;
/// struct unix_diag_req
const REQUEST: usize = 24;
/// struct unix_diag_msg
const MESSAGE: usize = 16;
/// Sockets that are kept of one namespace. Each connection to a server has the server's name.
const MOST: usize = 1_000;

/// What is sought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnixSocket {
    /// The file to which it is bound, which can have several names. A few file systems, as btrfs, give another device to
    /// stat(2) than the kernel has: there no socket fits. Its name proves nothing, as anybody can give it to a socket.
    File { device: (u32, u32), inode: u64 },
    /// The name that was given to bind(2). An abstract one begins with `@` here, as in /proc/net/unix.
    Name(Vec<u8>),
}

impl UnixSocket {
    fn is(&self, name: Option<&[u8]>, file: Option<((u32, u32), u32)>) -> bool {
        match self {
            // The kernel cuts the number.
            UnixSocket::File { device, inode } => file.is_some_and(|(of_file, number)| {
                of_file == *device && u64::from(number) == inode & u64::from(u32::MAX)
            }),
            UnixSocket::Name(wanted) => name.is_some_and(|name| written(name) == *wanted),
        }
    }
}

/// The name as /proc/net/unix has it. Programs give the whole sun_path, with NULs at its end, or only the name.
fn written(name: &[u8]) -> Vec<u8> {
    let end = name.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    name[..end].iter().map(|&b| if b == 0 { b'@' } else { b }).collect()
}

/// The inodes of the sockets in the namespace of a netlink socket.
pub(crate) fn unix_sockets(netlink: &Netlink, wanted: &UnixSocket) -> nix::Result<Vec<u64>> {
    let mut body = [0; REQUEST];
    body[0] = u8::try_from(libc::AF_UNIX).unwrap_or(0);
    body[4..8].copy_from_slice(&ALL_STATES.to_ne_bytes());
    body[12..16].copy_from_slice(&(SHOW_NAME | SHOW_FILE).to_ne_bytes());
    let mut found = Vec::new();
    let listed = netlink.dump(SOCK_DIAG_BY_FAMILY, &body, |payload| {
        // To break off would leave the rest in the socket, which others use after this.
        found.extend(inode(payload, wanted).filter(|_| found.len() < MOST));
        ControlFlow::Continue(())
    });
    match listed {
        // The module is missing (unix_diag).
        Err(Errno::ENOENT) => Err(Errno::EPROTONOSUPPORT),
        listed => listed.map(|()| found),
    }
}

/// The same in many namespaces, each with the number of its namespace.
pub(crate) fn search_unix(places: &[Place], wanted: &UnixSocket) -> nix::Result<Vec<(usize, u64)>> {
    let answers = visit(places, Kind::Net, |_| {
        let netlink = Netlink::open(Protocol::SocketDiagnosis);
        packed(netlink.and_then(|netlink| unix_sockets(&netlink, wanted)))
    })?;
    unpacked(&answers)
}

fn inode(payload: &[u8], wanted: &UnixSocket) -> Option<u64> {
    let fixed: &[u8; MESSAGE] = payload.first_chunk()?;
    let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    let (mut name, mut file) = (None, None);
    for one in NlasIterator::new(payload.get(MESSAGE..).unwrap_or_default()).map_while(Result::ok) {
        match (one.kind(), one.value()) {
            (NAME, value) => name = Some(value.to_vec()),
            (FILE, value) => {
                // The number of a device as the kernel keeps it.
                let (inode, device) = (number(value)?, number(value.get(4..)?)?);
                file = Some(((device >> 20, device & 0xf_ffff), inode));
            }
            _ => {}
        }
    }
    wanted.is(name.as_deref(), file).then(|| number(&fixed[4..]).map(u64::from)).flatten()
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(payload: &[u8]) {
    _ = inode(payload, &UnixSocket::Name(b"@x".to_vec()));
    _ = inode(payload, &UnixSocket::File { device: (0, 0), inode: 0 });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(inode: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut raw = vec![0; MESSAGE];
        raw[4..8].copy_from_slice(&inode.to_ne_bytes());
        for (kind, value) in attributes {
            super::super::netlink::push(&mut raw, *kind, value);
        }
        raw
    }

    #[test]
    fn sockets_by_name() {
        let of = |name: &[u8], wanted: &[u8]| {
            inode(&message(77, &[(NAME, name)]), &UnixSocket::Name(wanted.to_vec())).is_some()
        };
        assert!(of(b"\0x", b"@x") && of(b"\0x\0\0\0", b"@x") && of(b"\0a\0b", b"@a@b"));
        assert!(of(b"/run/x\0", b"/run/x") && of(b"/run/x", b"/run/x"));
        assert!(!of(b"/run/x", b"/run/y") && !of(b"\0xy", b"@x"));
        assert!(inode(&message(77, &[]), &UnixSocket::Name(Vec::new())).is_none());
    }

    #[test]
    fn sockets_by_file() {
        let file = |inode: u32, device: u32| [inode.to_ne_bytes(), device.to_ne_bytes()].concat();
        let wanted = UnixSocket::File { device: (8, 1), inode: (1 << 32) + 5 };
        let of = |name: &[u8], file: &[u8]| inode(&message(77, &[(NAME, name), (FILE, file)]), &wanted);
        // Inside, the same file can have another name.
        assert_eq!(of(b"/inside/y", &file(5, (8 << 20) + 1)), Some(77));
        assert_eq!(of(b"/inside/y", &file(5, 99)), None);
        assert_eq!(of(b"/inside/x", &file(6, (8 << 20) + 1)), None);
        assert_eq!(of(b"/inside/x", &[5]), None);
        assert_eq!(inode(&[0; 3], &wanted), None);
    }
}
