//! Interfaces, their addresses, routes, and the ids of network namespaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{NlaBuffer, NlasIterator};
use netlink_packet_route::address::AddressHeader;
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::route::{RouteHeader, RouteType};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::Netlink;
use super::netlink::push_number;

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const RTM_GETNSID: u16 = 90;

const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;
const NSID_HEADER: usize = 4;

/// Attributes of a link: IFLA_*.
mod link {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const NAME: u16 = 3;
    pub(super) const LINK: u16 = 5;
    pub(super) const MASTER: u16 = 10;
    pub(super) const INFO: u16 = 18;
    pub(super) const STATS64: u16 = 23;
    pub(super) const EXT_MASK: u16 = 29;
    pub(super) const LINK_NETNSID: u16 = 37;
    pub(super) const TARGET_NETNSID: u16 = 46;
    pub(super) const INFO_KIND: u16 = 1;
    /// RTEXT_FILTER_SKIP_STATS: the counters are most of the work of the kernel.
    pub(super) const SKIP_STATS: u32 = 1 << 3;
    /// IFNAMSIZ, with the NUL.
    pub(super) const LONGEST_NAME: usize = 16;
}
/// IFA_*
mod address {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const LOCAL: u16 = 2;
    pub(super) const TARGET_NETNSID: u16 = 10;
}
/// RTA_*
mod route {
    pub(super) const DESTINATION: u16 = 1;
    pub(super) const INTERFACE: u16 = 4;
    pub(super) const GATEWAY: u16 = 5;
    pub(super) const METRIC: u16 = 6;
    pub(super) const TABLE: u16 = 15;
}
/// NETNSA_*
mod nsid {
    pub(super) const ID: u16 = 1;
    pub(super) const FD: u16 = 3;
}

/// Objects that are kept of one answer: more than any host has. The namespace of a container can have any number.
const MOST: usize = 20_000;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Interface {
    pub index: u32,
    pub name: Vec<u8>,
    /// `veth`, `bridge`; empty for loopback and for hardware.
    pub kind: Vec<u8>,
    pub mac: Vec<u8>,
    pub is_up: bool,
    /// The index of the peer, or of the interface that this one is based on, in the namespace `link_namespace`.
    pub link: Option<u32>,
    /// The id of the other namespace, in the namespace of the socket that asked; None for the same namespace.
    pub link_namespace: Option<i32>,
    pub master: Option<u32>,
    pub addresses: Vec<(IpAddr, u8)>,
}

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// None for the default route.
    pub destination: Option<(IpAddr, u8)>,
    pub gateway: Option<IpAddr>,
    pub interface: Option<u32>,
    pub metric: Option<u32>,
    pub is_v6: bool,
}

/// All interfaces of a namespace: that of the socket, or the one with this id.
pub(crate) fn interfaces(netlink: &Netlink, namespace: Option<i32>) -> nix::Result<Vec<Interface>> {
    let mut body = vec![0; LINK_HEADER];
    push_number(&mut body, link::EXT_MASK, link::SKIP_STATS.to_ne_bytes());
    namespace.into_iter().for_each(|id| push_number(&mut body, link::TARGET_NETNSID, id.to_ne_bytes()));
    let mut found = Vec::new();
    netlink.dump(RTM_GETLINK, &body, |payload| keep(&mut found, interface(payload)))?;
    let mut body = vec![0; ADDRESS_HEADER];
    namespace.into_iter().for_each(|id| push_number(&mut body, address::TARGET_NETNSID, id.to_ne_bytes()));
    let mut addresses = Vec::new();
    if found.len() < MOST {
        netlink.dump(RTM_GETADDR, &body, |payload| keep(&mut addresses, address_of(payload)))?;
    }
    for (index, address, prefix) in addresses {
        let with_index = |one: &&mut Interface| one.index == index;
        found.iter_mut().find(with_index).into_iter().for_each(|one| one.addresses.push((address, prefix)));
    }
    Ok(found)
}

/// Does the namespace of this process have an interface with this name? That takes half the time of a request by
/// rtnetlink(7). The kernel loads a module of this name if the caller may: only a child of [`crate::isolation::visit`] asks.
pub(crate) fn has_interface(name: &[u8]) -> nix::Result<bool> {
    if name.len() >= link::LONGEST_NAME {
        return Ok(false);
    }
    match nix::net::if_::if_nametoindex(name) {
        Ok(_) => Ok(true),
        Err(Errno::ENODEV) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// What an interface received and sent, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub name: Vec<u8>,
    pub is_loopback: bool,
    pub received: u64,
    pub sent: u64,
}

/// Of all interfaces in the namespace of the socket.
pub(crate) fn traffic(netlink: &Netlink) -> nix::Result<Vec<Traffic>> {
    let mut found = Vec::new();
    netlink.dump(RTM_GETLINK, &[0; LINK_HEADER], |payload| keep(&mut found, traffic_of(payload)))?;
    Ok(found)
}

/// Does an interface in the namespace of the socket have this address?
pub(crate) fn has_address(netlink: &Netlink, wanted: IpAddr) -> nix::Result<bool> {
    let (mut found, mut count) = (false, 0);
    netlink.dump(RTM_GETADDR, &[0; ADDRESS_HEADER], |payload| {
        found |= address_of(payload).is_some_and(|(_, address, _)| address == wanted);
        count += 1;
        if count < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

/// The routes of the main tables.
pub(crate) fn routes(netlink: &Netlink) -> nix::Result<Vec<Route>> {
    let mut found = Vec::new();
    netlink.dump(RTM_GETROUTE, &[0; ROUTE_HEADER], |payload| keep(&mut found, route_of(payload)))?;
    Ok(found)
}

/// The id of a namespace in that of the socket; None if it has none there. Makes no id.
pub(crate) fn namespace_id(netlink: &Netlink, namespace: &OwnedFd) -> nix::Result<Option<i32>> {
    let mut body = vec![0; NSID_HEADER];
    push_number(&mut body, nsid::FD, namespace.as_raw_fd().to_ne_bytes());
    let answer = netlink.ask(RTM_GETNSID, &body)?;
    let mut all = attributes(&answer, NSID_HEADER);
    let id = all.find(|one| one.kind() == nsid::ID).and_then(|one| signed(one.value()));
    Ok(id.filter(|id| *id >= 0))
}

fn keep<T>(all: &mut Vec<T>, one: Option<T>) -> ControlFlow<()> {
    all.extend(one);
    if all.len() < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn attributes(payload: &[u8], header: usize) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(payload.get(header..).unwrap_or_default()).map_while(Result::ok)
}

fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn signed(value: &[u8]) -> Option<i32> {
    value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => value.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
        16 => value.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
        _ => None,
    }
}

/// Without the NUL at its end.
fn text(value: &[u8]) -> Vec<u8> {
    value.iter().copied().take_while(|byte| *byte != 0).collect()
}

fn interface(payload: &[u8]) -> Option<Interface> {
    let header = LinkHeader::parse(payload).ok()?;
    let is_up = header.flags.contains(LinkFlags::Up);
    let mut found = Interface { index: header.index, is_up, ..Interface::default() };
    for one in attributes(payload, LINK_HEADER) {
        let value = one.value();
        match one.kind() {
            link::ADDRESS => found.mac = value.to_vec(),
            link::NAME => found.name = text(value),
            link::LINK => found.link = number(value).filter(|index| *index != 0),
            link::MASTER => found.master = number(value),
            link::LINK_NETNSID => found.link_namespace = signed(value),
            link::INFO => {
                let kind = attributes(value, 0).find(|one| one.kind() == link::INFO_KIND);
                found.kind = kind.map(|one| text(one.value())).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(found)
}

fn traffic_of(payload: &[u8]) -> Option<Traffic> {
    let header = LinkHeader::parse(payload).ok()?;
    let of = |kind: u16| attributes(payload, LINK_HEADER).find(|one| one.kind() == kind);
    // struct rtnl_link_stats64: packets received and sent, bytes received and sent.
    let counters = of(link::STATS64)?;
    let counter =
        |at: usize| counters.value().get(at * 8..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    Some(Traffic {
        name: text(of(link::NAME)?.value()),
        is_loopback: header.flags.contains(LinkFlags::Loopback),
        received: counter(2)?,
        sent: counter(3)?,
    })
}

fn address_of(payload: &[u8]) -> Option<(u32, IpAddr, u8)> {
    let header = AddressHeader::parse(payload).ok()?;
    let of = |kind: u16| {
        let found = attributes(payload, ADDRESS_HEADER).find(|one| one.kind() == kind);
        found.and_then(|one| ip(one.value()))
    };
    // Of a link between two points ADDRESS is the other end.
    let address = of(address::LOCAL).or_else(|| of(address::ADDRESS))?;
    Some((header.index, address, header.prefix_len))
}

fn route_of(payload: &[u8]) -> Option<Route> {
    let header = RouteHeader::parse(payload).ok()?;
    let is_v6 = u8::from(header.address_family) == u8::try_from(libc::AF_INET6).unwrap_or(10);
    let mut table = u32::from(header.table);
    let mut found = Route { destination: None, gateway: None, interface: None, metric: None, is_v6 };
    for one in attributes(payload, ROUTE_HEADER) {
        let value = one.value();
        match one.kind() {
            route::DESTINATION => {
                found.destination = ip(value).map(|ip| (ip, header.destination_prefix_length));
            }
            route::INTERFACE => found.interface = number(value),
            route::GATEWAY => found.gateway = ip(value),
            route::METRIC => found.metric = number(value),
            route::TABLE => table = number(value)?,
            _ => {}
        }
    }
    let is_usual = table == u32::from(RouteHeader::RT_TABLE_MAIN) && header.kind == RouteType::Unicast;
    is_usual.then_some(found)
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(payload: &[u8]) {
    _ = interface(payload);
    _ = address_of(payload);
    _ = route_of(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).expect("short");
        let mut raw = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        raw.resize(raw.len().next_multiple_of(4), 0);
        raw
    }

    #[test]
    fn names_of_interfaces_are_bytes() {
        let mut raw = vec![0; LINK_HEADER];
        raw[4] = 7;
        raw.extend(attribute(link::NAME, b"a\xff\x1b\0"));
        raw.extend(attribute(link::INFO, &attribute(link::INFO_KIND, b"veth\0")));
        raw.extend(attribute(link::LINK, &9_u32.to_ne_bytes()));
        raw.extend(attribute(link::LINK_NETNSID, &3_i32.to_ne_bytes()));
        let found = interface(&raw).expect("an interface");
        assert_eq!(
            (found.index, found.name.as_slice(), found.kind.as_slice()),
            (7, &b"a\xff\x1b"[..], &b"veth"[..])
        );
        assert_eq!((found.link, found.link_namespace), (Some(9), Some(3)));
        assert_eq!(interface(&raw[..LINK_HEADER - 1]), None);
        // A cut attribute ends the list.
        assert_eq!(interface(&raw[..raw.len() - 2]).expect("an interface").link_namespace, None);
    }

    #[test]
    fn the_own_end_of_a_link_between_two_points_is_its_address() {
        let mut raw = vec![2, 32, 0, 0, 5, 0, 0, 0];
        raw.extend(attribute(address::ADDRESS, &[10, 0, 0, 1]));
        raw.extend(attribute(address::LOCAL, &[10, 0, 0, 2]));
        assert_eq!(address_of(&raw), Some((u32::from_ne_bytes([5, 0, 0, 0]), [10, 0, 0, 2].into(), 32)));
    }
}
