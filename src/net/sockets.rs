//! Sockets that wait for connections or datagrams, from sock_diag(7). The crate netlink-packet-sock-diag needs a newer
//! compiler than this program (see docs/COSTS.md), so the two structs are read here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use std::path::Path;

use netlink_packet_core::NlasIterator;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::Netlink;
use crate::isolation::visit::Place;
use crate::order;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SKV6ONLY: u16 = 11;
/// Bits of states: a listening TCP socket, a UDP socket that is not connected.
const TCP_LISTEN: u32 = 1 << 10;
const CLOSE: u32 = 1 << 7;
/// struct inet_diag_req_v2
const REQUEST: usize = 56;
/// struct inet_diag_msg
const MESSAGE: usize = 72;
/// Sockets that are kept of one namespace. A container can have any number.
const MOST: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Listener {
    pub transport: Transport,
    pub port: u16,
    pub address: IpAddr,
    /// A socket on `::` that takes no IPv4.
    pub only_v6: bool,
    pub inode: u64,
    pub uid: u32,
}

/// Of which transports and families a namespace has sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InUse {
    tcp: [bool; 2],
    udp: [bool; 2],
}

impl InUse {
    const UNKNOWN: InUse = InUse { tcp: [true; 2], udp: [true; 2] };

    /// From `/proc/PID/net` of a process in the namespace.
    pub(super) fn read(place: &Place) -> InUse {
        let net = place.path.parent().and_then(Path::parent).map(|process| process.join("net"));
        // Another process can have the PID by now: whoever enters the namespace checks that.
        let read = |name: &str| std::fs::read(net.as_ref()?.join(name)).ok();
        let [v4, v6] = ["sockstat", "sockstat6"].map(read);
        let (Some(v4), true) = (v4, place.path.ends_with("ns/net")) else { return InUse::UNKNOWN };
        // Without IPv6 in the kernel there is no file.
        let v6 = v6.unwrap_or_default();
        InUse {
            tcp: [in_use(&v4, b"TCP: inuse "), in_use(&v6, b"TCP6: inuse ")],
            udp: [in_use(&v4, b"UDP: inuse "), in_use(&v6, b"UDP6: inuse ")],
        }
    }

    pub(super) fn any(&self) -> bool {
        self.tcp.iter().chain(&self.udp).any(|is_used| *is_used)
    }
}

fn in_use(text: &[u8], key: &[u8]) -> bool {
    let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(key));
    line.is_some_and(|line| line != b"0" && !line.starts_with(b"0 "))
}

/// Of both transports and both families; and whether these are all.
pub(crate) fn listeners(netlink: &Netlink) -> nix::Result<(Vec<Listener>, bool)> {
    listeners_in_use(netlink, InUse::UNKNOWN)
}

/// The same in a namespace of which it is known what it has. Each question costs the kernel a walk over all sockets.
pub(super) fn listeners_in_use(netlink: &Netlink, in_use: InUse) -> nix::Result<(Vec<Listener>, bool)> {
    let mut found = Vec::new();
    for (transport, number, states, has) in [
        (Transport::Tcp, libc::IPPROTO_TCP, TCP_LISTEN, in_use.tcp),
        (Transport::Udp, libc::IPPROTO_UDP, CLOSE, in_use.udp),
    ] {
        let families = [libc::AF_INET, libc::AF_INET6].into_iter().zip(has);
        for family in families.filter_map(|(family, has)| has.then_some(family)) {
            let mut body = [0; REQUEST];
            body[0] = u8::try_from(family).unwrap_or(0);
            body[1] = u8::try_from(number).unwrap_or(0);
            body[4..8].copy_from_slice(&states.to_ne_bytes());
            let dumped = netlink.dump(SOCK_DIAG_BY_FAMILY, &body, |payload| {
                found.extend(listener(transport, payload));
                if found.len() < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            match dumped {
                // A kernel without IPv6. Of IPv4 it means that the module for that transport is missing (tcp_diag, udp_diag).
                Err(Errno::ENOENT) if family == libc::AF_INET6 => {}
                Err(Errno::ENOENT) => return Err(Errno::EPROTONOSUPPORT),
                dumped => dumped?,
            }
            if found.len() >= MOST {
                return Ok((found, false));
            }
        }
    }
    order::sort(&mut found);
    Ok((found, true))
}

/// Does a socket on this address take what comes to another one?
pub(crate) fn takes(listens: IpAddr, only_v6: bool, address: IpAddr) -> bool {
    listens == address
        || match listens {
            IpAddr::V4(ip) => ip.is_unspecified() && address.is_ipv4(),
            IpAddr::V6(ip) => ip.is_unspecified() && (address.is_ipv6() || !only_v6),
        }
}

/// None for a UDP socket without a port.
fn listener(transport: Transport, payload: &[u8]) -> Option<Listener> {
    let fixed: &[u8; MESSAGE] = payload.first_chunk()?;
    let number = |at: usize| fixed[at..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    let port = u16::from_be_bytes([fixed[4], fixed[5]]);
    let address: IpAddr = match i32::from(fixed[0]) {
        libc::AF_INET => Ipv4Addr::from(*fixed[8..].first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*fixed[8..].first_chunk::<16>()?).into(),
        _ => return None,
    };
    let rest = payload.get(MESSAGE..).unwrap_or_default();
    let mut attributes = NlasIterator::new(rest).map_while(Result::ok);
    let only_v6 = attributes.any(|one| one.kind() == SKV6ONLY && one.value().first() == Some(&1));
    let (uid, inode) = (number(64)?, u64::from(number(68)?));
    (port != 0).then_some(Listener { transport, port, address, only_v6, inode, uid })
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(payload: &[u8]) {
    _ = listener(Transport::Tcp, payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_sockets() {
        let text = b"sockets: used 7\nTCP: inuse 10 orphan 0\nUDP: inuse 0 mem 1\nUDPLITE: inuse 3\n";
        assert!(in_use(text, b"TCP: inuse ") && !in_use(text, b"UDP: inuse "));
        assert!(!in_use(b"TCP6: inuse 0\n", b"TCP6: inuse ") && in_use(b"TCP6: inuse 1\n", b"TCP6: inuse "));
        let bound = Place::of_file("/run/netns/blue".into(), 1);
        assert_eq!(InUse::read(&bound), InUse::UNKNOWN);
    }

    #[test]
    fn a_listening_socket() {
        let mut raw = vec![0; MESSAGE];
        raw[0] = 10;
        raw[4..6].copy_from_slice(&80_u16.to_be_bytes());
        raw[64..68].copy_from_slice(&33_u32.to_ne_bytes());
        raw[68..72].copy_from_slice(&4711_u32.to_ne_bytes());
        raw.extend([5, 0, 11, 0, 1, 0, 0, 0]);
        let found = listener(Transport::Tcp, &raw).expect("a socket");
        assert_eq!((found.port, found.uid, found.inode, found.only_v6), (80, 33, 4711, true));
        assert_eq!(found.address, Ipv6Addr::UNSPECIFIED);
        assert_eq!(listener(Transport::Tcp, &raw[..MESSAGE - 1]), None);
        raw[4..6].fill(0);
        assert_eq!(listener(Transport::Udp, &raw), None);
    }
}
