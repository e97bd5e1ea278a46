//! Interfaces, IP addresses and MAC addresses.

use std::net::IpAddr;

use super::answer::{Answer, By, Entry, Host, Owner, Role};
use super::finder::{Finder, recorded, status};
use super::thing::{Kind, Reading};
use crate::container::cni::{self, Attachment};
use crate::container::spaces::Space;
use crate::exit;
use crate::isolation::ns;
use crate::isolation::visit::Place;
use crate::net::{self, Found, Interface, Route};
use crate::text;

/// A name that the host has means the host's interface: inside, a container gives any name.
pub(super) fn interface(finder: &Finder<'_>, name: &[u8]) -> Entry {
    let mut entry = Entry::new(Kind::Interface);
    match finder.interfaces().iter().find(|one| one.name == name) {
        Some(one) => of_host(finder, one, &mut entry),
        None => {
            let is_absent = finder.is_absent(&Reading::Interface(name.to_vec()));
            let found = if is_absent { Vec::new() } else { search_name(finder, name) };
            for (number, found) in found {
                of_space(finder, number, &mut entry, Role::Interface, &described(finder, &found));
            }
            if entry.is_empty() {
                let is_it = |one: &&Attachment| one.interfaces.iter().any(|other| other.as_bytes() == name);
                history(finder, finder.attachments().iter().filter(is_it), Role::Interface, &mut entry);
                finder.doubt(&mut entry);
            }
        }
    }
    entry
}

pub(super) fn address(finder: &Finder<'_>, address: IpAddr) -> Entry {
    let mut entry = Entry::new(Kind::Address);
    let has = |one: &Interface| one.addresses.iter().any(|(ip, _)| *ip == address);
    for one in finder.interfaces().iter().filter(|one| has(one)) {
        entry.host = Some(Host::new(format!("{} of the host", shown(&one.name))));
    }
    for (number, found) in search_address(finder, address) {
        let prefix = found.interface.addresses.iter().find(|(ip, _)| *ip == address).map_or(0, |(_, p)| *p);
        let detail = format!("{} {address}/{prefix}", shown(&found.interface.name));
        of_space(finder, number, &mut entry, Role::Address, &detail);
    }
    if entry.is_empty() {
        address_in_state(finder, address, &mut entry);
        finder.doubt(&mut entry);
    }
    entry
}

/// Who had an address that nobody has now.
fn address_in_state(finder: &Finder<'_>, address: IpAddr, entry: &mut Entry) {
    let of_docker = finder.records().of_docker_mentioning(&format!("\"{address}\""));
    for details in
        of_docker.iter().chain(finder.others_of_engines()).filter(|one| one.uses.addresses.contains(&address))
    {
        let owner = match finder.running(details.container.owner, details.container.bare_id()) {
            Some(number) => Owner::Running(number),
            None => recorded(&details.container, status(details)),
        };
        entry.answers.push(Answer::stated(owner, Role::Address, format!("its address {address}")));
    }
    let of_ipam = cni::holder_of_address(finder.files, address);
    let of_results = finder.attachments().iter().filter(|one| one.addresses.contains(&address));
    history(finder, of_ipam.iter().chain(of_results), Role::Address, entry);
}

pub(super) fn mac(finder: &Finder<'_>, mac: &str) -> Entry {
    let mut entry = Entry::new(Kind::Mac);
    let has = |one: &Interface| mac_of(one) == mac;
    for one in finder.interfaces().iter().filter(|one| has(one)) {
        let mut of_interface = Entry::new(Kind::Mac);
        of_host(finder, one, &mut of_interface);
        entry.answers.extend(of_interface.answers);
        entry.host = entry.host.or(of_interface.host);
    }
    for (number, found) in search(finder, has) {
        of_space(finder, number, &mut entry, Role::Interface, &described(finder, &found));
    }
    if entry.is_empty() {
        let of_docker = finder.records().of_docker_mentioning(&format!("\"{mac}\""));
        let all = of_docker.iter().chain(finder.others_of_engines());
        for one in all.filter(|one| one.uses.macs.iter().any(|own| own == mac)) {
            let owner = match finder.running(one.container.owner, one.container.bare_id()) {
                Some(number) => Owner::Running(number),
                None => recorded(&one.container, status(one)),
            };
            entry.answers.push(Answer::stated(owner, Role::Interface, "its MAC address"));
        }
        let is_it = |one: &&Attachment| one.macs.iter().any(|other| other == mac);
        history(finder, finder.attachments().iter().filter(is_it), Role::Interface, &mut entry);
        finder.doubt(&mut entry);
    }
    entry
}

fn history<'a>(
    finder: &Finder<'_>,
    attachments: impl Iterator<Item = &'a Attachment>,
    role: Role,
    entry: &mut Entry,
) {
    for one in attachments {
        let owner = finder.attached(one);
        let key = finder.named(&owner).key;
        if entry.answers.iter().all(|known| finder.named(&known.owner).key != key) {
            let detail = format!("attached to the network {}", one.network);
            entry.answers.push(Answer::stated(owner, role, detail));
        }
    }
}

fn search_address(finder: &Finder<'_>, address: IpAddr) -> Vec<(usize, Found)> {
    let (numbers, places): (Vec<usize>, Vec<Place>) =
        finder.spaces().others().map(|(number, space)| (number, space.place.clone())).unzip();
    let found = finder.known("network namespaces", net::search_address(&places, address)).unwrap_or_default();
    found.into_iter().map(|(at, found)| (numbers[at], found)).collect()
}

fn search_name(finder: &Finder<'_>, name: &[u8]) -> Vec<(usize, Found)> {
    with_places(finder, |places, host| net::search_name(places, host, name))
}

/// In all namespaces but the host's.
fn search(finder: &Finder<'_>, wants: impl Fn(&Interface) -> bool) -> Vec<(usize, Found)> {
    with_places(finder, |places, host| net::search(places, host, wants))
}

fn with_places(
    finder: &Finder<'_>,
    search: impl FnOnce(&[Place], Option<&Place>) -> nix::Result<Vec<(usize, Found)>>,
) -> Vec<(usize, Found)> {
    let spaces = finder.spaces();
    let (numbers, places): (Vec<usize>, Vec<Place>) =
        spaces.others().map(|(number, space)| (number, space.place.clone())).unzip();
    let host = spaces.host.map(|host| &spaces.all[host].place);
    let found = finder.known("network namespaces", search(&places, host)).unwrap_or_default();
    found.into_iter().map(|(at, found)| (numbers[at], found)).collect()
}

/// The containers in a namespace; without one what the host has there.
fn of_space(finder: &Finder<'_>, number: usize, entry: &mut Entry, role: Role, detail: &str) {
    let space = &finder.spaces().all[number];
    for container in &space.containers {
        let pid = finder.world.containers[*container].chief();
        let answer = Answer::new(Owner::Running(*container), role, By::Kernel, detail);
        entry.answers.push(answer.of_process(Some(pid)));
    }
    if space.containers.is_empty() && entry.host.is_none() {
        entry.host = Some(described_space(finder, space, detail));
    }
}

fn described_space(finder: &Finder<'_>, space: &Space, detail: &str) -> Host {
    let place = match (&space.file, space.pid) {
        (Some(file), _) => format!("network namespace {file}"),
        (None, Some(pid)) => format!("network namespace of {}", finder.process_of_host(pid).text),
        (None, None) => "a network namespace".to_owned(),
    };
    Host { pid: space.pid, text: format!("{detail} in the {place}") }
}

fn of_host(finder: &Finder<'_>, one: &Interface, entry: &mut Entry) {
    match &one.kind[..] {
        b"veth" => match peer(finder, one) {
            Peer::In(number, peer) => {
                let detail = format!("peer of {}", with_addresses(&peer));
                return of_space(finder, number, entry, Role::Peer, &detail);
            }
            Peer::OnHost(name) => entry.host = Some(Host::new(format!("veth of the host, peer of {name}"))),
            Peer::Nowhere => {
                let text = "veth whose peer is in a namespace without a process or name";
                entry.host = Some(Host::new(text));
            }
            Peer::Unknown(why) => {
                entry.unknown = Some(format!("where the peer of the veth is: {why}"));
            }
        },
        b"bridge" => {
            for port in finder.interfaces().iter().filter(|port| port.master == Some(one.index)) {
                if let Peer::In(number, peer) = peer(finder, port) {
                    let detail = format!("port {}, peer of {}", shown(&port.name), with_addresses(&peer));
                    of_space(finder, number, entry, Role::Member, &detail);
                }
            }
            entry.host = Some(Host::new("bridge of the host"));
        }
        b"tun" => match holder_of_tun(finder, &one.name) {
            Some(pid) => match finder.by_process(pid, Role::Holder, finder.named_process(pid)) {
                Ok(answer) => entry.answers.push(answer),
                Err(host) => {
                    entry.host =
                        Some(Host { text: format!("tap or tun of the host, held by {}", host.text), ..host });
                }
            },
            None => entry.host = Some(Host::new("tap or tun of the host")),
        },
        b"" => entry.host = Some(Host::new("interface of the host")),
        kind => entry.host = Some(Host::new(format!("{} of the host", shown(kind)))),
    }
    // What macvlan, ipvlan and vlan devices in containers are based on.
    let is_on_it = |other: &Interface| other.link == Some(one.index) && other.kind != b"veth";
    for (number, found) in search(finder, is_on_it) {
        if found.link_is_there {
            of_space(finder, number, entry, Role::Member, &described(finder, &found));
        }
    }
}

enum Peer {
    In(usize, Interface),
    OnHost(String),
    Nowhere,
    Unknown(&'static str),
}

/// The other end of a veth of the host: by the id of its namespace, as indexes are unique in a namespace only.
fn peer(finder: &Finder<'_>, one: &Interface) -> Peer {
    let (Some(index), Some(route)) = (one.link.filter(|_| one.kind == b"veth"), finder.route()) else {
        return Peer::Nowhere;
    };
    let Some(id) = one.link_namespace else {
        let other = finder.interfaces().iter().find(|other| other.index == index);
        return other.map_or(Peer::Nowhere, |other| Peer::OnHost(shown(&other.name)));
    };
    let mut has_ids = true;
    let has_id = |(_, space): &(usize, &Space)| {
        let Ok(fd) = ns::open_file(&space.place.path) else { return false };
        let own = net::namespace_id(route, &fd);
        has_ids &= own.is_ok();
        own == Ok(Some(id))
    };
    let found = finder.spaces().others().find(has_id);
    let Some((number, space)) = found else {
        return match (finder.spaces().is_partial && exit::sees_less_than_root(), has_ids) {
            (true, _) => Peer::Unknown("only root sees the network namespaces of other users"),
            (false, false) => Peer::Unknown("the kernel does not tell the ids of network namespaces"),
            (false, true) => Peer::Nowhere,
        };
    };
    let is_peer = |other: &Interface| other.index == index && other.link == Some(one.index);
    let found = net::search(std::slice::from_ref(&space.place), None, is_peer);
    match finder.known("the namespace of the peer", found).map(|found| found.into_iter().next()) {
        Some(Some((_, found))) => Peer::In(number, found.interface),
        Some(None) => Peer::Nowhere,
        None => Peer::Unknown("its namespace cannot be asked"),
    }
}

/// Which process has the device open: `/proc/PID/fdinfo` of /dev/net/tun names it.
fn holder_of_tun(finder: &Finder<'_>, name: &[u8]) -> Option<i32> {
    /// Descriptors that are looked at, of one process.
    const MOST: usize = 10_000;
    let line = [b"iff:\t", name, b"\n"].concat();
    let has = |pid: i32| {
        let path = |directory: &str| finder.world.proc.path_of(nix::unistd::Pid::from_raw(pid), directory);
        let Ok(entries) = std::fs::read_dir(path("fd")) else { return false };
        entries.flatten().take(MOST).any(|entry| {
            let is_tun = std::fs::read_link(entry.path())
                .is_ok_and(|target| target.as_os_str().as_encoded_bytes().ends_with(b"/net/tun"));
            is_tun
                && std::fs::read(path("fdinfo").join(entry.file_name()))
                    .is_ok_and(|text| memchr::memmem::find(&text, &line).is_some())
        })
    };
    finder.world.processes.iter().map(|process| process.pid).find(|pid| has(*pid))
}

/// `eth0 (172.17.0.2)`
pub(super) fn with_addresses(one: &Interface) -> String {
    let is_global = |ip: &&IpAddr| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let all: Vec<String> =
        one.addresses.iter().map(|(ip, _)| ip).filter(is_global).map(ToString::to_string).collect();
    let name = shown(&one.name);
    if all.is_empty() { name } else { format!("{name} ({})", all.join(" ")) }
}

/// What an interface inside is.
fn described(finder: &Finder<'_>, found: &Found) -> String {
    let one = &found.interface;
    let named = with_addresses(one);
    let outside = one.link.filter(|_| found.link_is_there);
    let outside = outside.and_then(|index| finder.interfaces().iter().find(|other| other.index == index));
    match (&one.kind[..], outside) {
        (b"veth", Some(peer)) => format!("{named}, peer of {}", shown(&peer.name)),
        (b"tun", _) => format!("tap or tun {named}"),
        (b"", _) => named,
        (kind, Some(parent)) => format!("{} {named} on {}", shown(kind), shown(&parent.name)),
        (kind, None) => format!("{} {named}", shown(kind)),
    }
}

fn mac_of(one: &Interface) -> String {
    one.mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

pub(super) fn shown(name: &[u8]) -> String {
    text::utf8(name).into_owned()
}

/// The addresses of containers and the veths that lead to them: for lines of a log.
pub(super) struct Index {
    pub addresses: Vec<(IpAddr, Vec<usize>)>,
    pub interfaces: Vec<(Vec<u8>, Vec<usize>)>,
}

/// Would the host send to this address through that interface? A container that may set its addresses can take any.
fn leads_to(finder: &Finder<'_>, routes: &[Route], ip: IpAddr, outside: &Interface) -> bool {
    let covers = |route: &&Route| route.destination.is_some_and(|(net, length)| is_within(ip, net, length));
    let longest =
        routes.iter().filter(covers).max_by_key(|route| route.destination.map(|(_, length)| length));
    let through = |index: u32| index == outside.index || Some(index) == outside.master;
    if let Some(route) = longest {
        return route.interface.is_some_and(through);
    }
    // Networks that the host has no part in, of an interface without a network on the host.
    let is_private = match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    };
    let is_local = |(own, _): &(IpAddr, u8)| matches!(own, IpAddr::V6(own) if own.is_unicast_link_local());
    let has_network = |one: &Interface| through(one.index) && !one.addresses.iter().all(is_local);
    is_private && !finder.interfaces().iter().any(has_network)
}

fn is_within(ip: IpAddr, net: IpAddr, length: u8) -> bool {
    match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => {
            let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            (ip.to_bits() ^ net.to_bits()) & !host == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(net)) => {
            let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            (ip.to_bits() ^ net.to_bits()) & !host == 0
        }
        _ => false,
    }
}

/// All of them. The host's own addresses are left out, and so are those that never leave a namespace, and those to which
/// the host would not send through the container's interface.
pub(super) fn index(finder: &Finder<'_>) -> Index {
    let is_hosts =
        |ip: &IpAddr| finder.interfaces().iter().any(|one| one.addresses.iter().any(|(own, _)| own == ip));
    let routes = finder.route().and_then(|route| net::routes(route).ok()).unwrap_or_default();
    let mut addresses: std::collections::BTreeMap<IpAddr, Vec<usize>> = std::collections::BTreeMap::new();
    let mut interfaces = Vec::new();
    for (number, found) in search(finder, |_| true) {
        let containers = &finder.spaces().all[number].containers;
        let outside = found.interface.link.filter(|_| found.link_is_there);
        let outside = outside.and_then(|index| finder.interfaces().iter().find(|one| one.index == index));
        let is_usable = |ip: &IpAddr| {
            !is_hosts(ip) && outside.is_some_and(|outside| leads_to(finder, &routes, *ip, outside))
        };
        for (ip, _) in found.interface.addresses.iter().filter(|(ip, _)| is_usable(ip)) {
            let owners = addresses.entry(*ip).or_default();
            // A namespace without a container has it too: then nobody is named.
            if containers.is_empty() {
                owners.push(usize::MAX);
            }
            owners.extend(containers);
        }
        let outside = outside.filter(|_| found.interface.kind == b"veth");
        if let Some(outside) = outside.filter(|one| one.link == Some(found.interface.index)) {
            interfaces.push((outside.name.clone(), containers.clone()));
        }
    }
    Index { addresses: addresses.into_iter().collect(), interfaces }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_addresses() {
        let within = |ip: &str, net: &str, length| {
            is_within(ip.parse().expect("an address"), net.parse().expect("an address"), length)
        };
        assert!(within("10.1.2.3", "10.1.2.0", 24) && !within("10.1.3.3", "10.1.2.0", 24));
        assert!(within("10.1.2.3", "0.0.0.0", 0) && within("10.1.2.3", "10.1.2.3", 32));
        assert!(within("fd00::1:2", "fd00::", 64) && !within("fd01::1", "fd00::", 64));
        assert!(!within("10.0.0.1", "::", 0));
    }
}
