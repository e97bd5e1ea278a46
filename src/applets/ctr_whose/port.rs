//! Ports: who listens on the host, which container a published port leads to, and who listens there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::answer::{Answer, By, Entry, Host, Owner, Role};
use super::finder::{Finder, recorded, status};
use super::nat;
use super::servers::{DAEMON, is_monitor_name, is_parent, is_proxy_name, is_worker_name, serves};
use super::thing::{Kind, Port};
use crate::container::details;
use crate::container::{is_router_name, proxies};
use crate::isolation::ns;
use crate::isolation::visit::Place;
use crate::net::{self, Interface, Listener, Transport, takes};
use crate::order;
use crate::proc::ns::Kind as Namespace;
use crate::proc::{links_of, sockets_of};

/// Descriptors of a proxy that are looked at.
const MOST_DESCRIPTORS: usize = 10_000;

/// A port of the host that leads to a container.
struct Published {
    container: usize,
    port: details::Port,
    by: By,
    /// The process that takes connections.
    via: Option<i32>,
}

pub(super) fn port(finder: &Finder<'_>, asked: &Port) -> Entry {
    let mut entry = Entry::new(Kind::Port);
    if let Some(spaces) = asked.address.and_then(|address| spaces_with(finder, address)) {
        inside(finder, asked, &spaces, &mut entry);
        return entry;
    }
    let published = on_host(finder, asked, &mut entry);
    add_published(finder, published, &mut entry);
    if entry.is_empty() {
        let all: Vec<usize> = finder.spaces().others().map(|(number, _)| number).collect();
        inside(finder, asked, &all, &mut entry);
    }
    if entry.is_empty() {
        entry.answers = of_stopped(finder, asked);
    }
    entry
}

/// The containers that publish the port when they run.
fn of_stopped(finder: &Finder<'_>, asked: &Port) -> Vec<Answer> {
    let published = |port: &details::Port| format!("publishes {} when it runs", port.shown());
    let mut found = Vec::new();
    for one in finder.stopped() {
        for port in one.ports.iter().filter(|port| asked.fits_published(port)) {
            let owner = recorded(&one.container, status(one));
            found.push(Answer::stated(owner, Role::Published, published(port)));
        }
    }
    for attachment in finder.attachments() {
        let port = attachment.ports.iter().find(|port| asked.fits_published(port));
        if let (Some(port), owner @ Owner::Recorded(_)) = (port, finder.attached(attachment)) {
            found.push(Answer::stated(owner, Role::Published, published(port)));
        }
    }
    found
}

/// The namespaces of containers with this address; None if it is the host's, or nobody's.
fn spaces_with(finder: &Finder<'_>, address: IpAddr) -> Option<Vec<usize>> {
    let has = |one: &Interface| one.addresses.iter().any(|(ip, _)| *ip == address);
    if address.is_loopback() || finder.interfaces().iter().any(has) {
        return None;
    }
    let (numbers, places) = places(finder, finder.spaces().others().map(|(number, _)| number));
    let found = finder.known("network namespaces", net::search_address(&places, address))?;
    let mut spaces: Vec<usize> = found.into_iter().map(|(at, _)| numbers[at]).collect();
    spaces.dedup();
    (!spaces.is_empty()).then_some(spaces)
}

fn places(finder: &Finder<'_>, numbers: impl Iterator<Item = usize>) -> (Vec<usize>, Vec<Place>) {
    numbers.map(|number| (number, finder.spaces().all[number].place.clone())).unzip()
}

impl Port {
    fn fits_published(&self, port: &details::Port) -> bool {
        let address: Option<IpAddr> = port.host_address.as_deref().and_then(|address| address.parse().ok());
        port.host_port == Some(self.number)
            && self.transport.is_none_or(|transport| transport.name() == port.protocol)
            && (self.address.is_none()
                || address.is_none_or(|own| self.address.is_some_and(|asked| takes(own, false, asked))))
    }
}

/// Those who listen on the host, and the ports that state files and rules publish.
fn on_host(finder: &Finder<'_>, asked: &Port, entry: &mut Entry) -> Vec<Published> {
    let listeners: Vec<&Listener> = finder.listeners().iter().filter(|one| asked.fits(one)).collect();
    let holders = finder.holders(listeners.iter().map(|one| one.inode));
    let stated = stated(finder, asked);
    let mut published: Vec<Published> = Vec::new();
    let mut also_inside: Vec<&Listener> = Vec::new();
    for listener in listeners {
        let Some(&pid) = holders.get(&listener.inode) else {
            let socket = format!("the socket {}", shown(listener));
            entry.unknown.get_or_insert_with(|| finder.without_holder(&socket));
            continue;
        };
        let detail = format!("{} listens on {}", finder.named_process(pid), shown(listener));
        match finder.by_process(pid, Role::Listener, detail) {
            Ok(answer) => push(&mut entry.answers, answer),
            Err(host) => match by_proxy(finder, pid, listener, &stated) {
                Some(found) => published.extend(found),
                None => {
                    entry.host = entry.host.take().or(Some(host));
                    also_inside.push(listener);
                }
            },
        }
    }
    // A socket can have several holders: who started the container's process, and that process.
    let inside = finder.holders_in_containers(also_inside.iter().map(|one| one.inode));
    for listener in also_inside {
        if let Some(&pid) = inside.get(&listener.inode) {
            let detail = format!("{} listens on {}", finder.named_process(pid), shown(listener));
            finder
                .by_process(pid, Role::Listener, detail)
                .into_iter()
                .for_each(|one| push(&mut entry.answers, one));
        }
    }
    let is_new = |all: &[Published], container: usize, port: &details::Port| {
        all.iter().all(|known| (known.container, known.port.port) != (container, port.port))
    };
    // A listener of the host that is no proxy has the port, whatever a state file says.
    if entry.host.is_none() && entry.unknown.is_none() {
        for (container, port) in stated {
            if is_new(&published, container, &port) {
                published.push(Published { container, port, by: By::State, via: None });
            }
        }
    }
    if published.is_empty() && entry.is_empty() {
        for (container, port) in nat::forwarded(finder, asked, entry) {
            if is_new(&published, container, &port) {
                published.push(Published { container, port, by: By::Nat, via: None });
            }
        }
    }
    published
}

fn push(all: &mut Vec<Answer>, answer: Answer) {
    if all.iter().all(|known| known.pid != answer.pid || known.role != answer.role) {
        all.push(answer);
    }
}

/// What state files of running containers publish at that port.
fn stated(finder: &Finder<'_>, asked: &Port) -> Vec<(usize, details::Port)> {
    let mut found = Vec::new();
    for (owner, id, port) in finder.records().published_at(asked.number) {
        if asked.fits_published(&port) {
            found.extend(finder.running(owner, &id).map(|number| (number, port)));
        }
    }
    for attachment in finder.attachments() {
        for port in attachment.ports.iter().filter(|port| asked.fits_published(port)) {
            if let Owner::Running(number) = finder.attached(attachment) {
                let all = finder.beside_pause(number).into_iter();
                found.extend(all.map(|number| (number, port.clone())));
            }
        }
    }
    found
}

/// None if the process is no proxy of a container: any process can have such a name.
fn by_proxy(
    finder: &Finder<'_>,
    pid: i32,
    listener: &Listener,
    stated: &[(usize, details::Port)],
) -> Option<Vec<Published>> {
    let world = finder.world;
    let comm = finder.comm(pid);
    if !is_proxy_name(&comm) {
        return None;
    }
    let uid = world.started_by(pid)?;
    let fits = |port: &details::Port| {
        let address: Option<IpAddr> = port.host_address.as_deref().and_then(|address| address.parse().ok());
        port.protocol == listener.transport.name()
            && address.is_none_or(|address| {
                listener.address.is_unspecified() || address.is_unspecified() || address == listener.address
            })
    };
    let may_be = |number: usize| match comm.as_str() {
        "conmon" => is_parent(finder, pid, number),
        _ => serves(&comm, uid, &world.containers[number].container),
    };
    // dockerd takes no connections: that the port is the container's, only the state file says.
    let by = if comm == DAEMON { By::State } else { By::Proxy };
    let mut found: Vec<Published> = Vec::new();
    for (container, port) in stated.iter().filter(|(container, port)| may_be(*container) && fits(port)) {
        if found.iter().all(|known| known.container != *container || known.port.port != port.port) {
            found.push(Published { container: *container, port: port.clone(), by, via: Some(pid) });
        }
    }
    if found.is_empty() {
        found.extend(match comm.as_str() {
            "conmon" => by_conmon(finder, pid, listener),
            "docker-proxy" if uid == 0 => by_arguments(finder, pid, listener),
            comm if is_router_name(comm) => by_namespaces(finder, pid, listener),
            _ => Vec::new(),
        });
    }
    (!found.is_empty()).then_some(found)
}

/// The containers for which a process of the host does its work: it takes their connections, or is above their first process.
/// What dockerd does is not for one of them.
pub(super) fn served_by(finder: &Finder<'_>, pid: i32) -> Vec<usize> {
    let (world, comm) = (finder.world, finder.comm(pid));
    let mut found: Vec<usize> = Vec::new();
    if is_monitor_name(&comm) {
        found.extend((0..world.containers.len()).filter(|number| is_parent(finder, pid, *number)));
    }
    found.extend(proxied(finder, pid, &comm).into_iter().map(|(_, container)| container));
    if is_worker_name(&comm) {
        found.extend(in_namespaces(finder, &joined(finder, pid)));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The dockerd of a user in whose network the process works: its containers have their bridges there.
pub(super) fn served_engine(finder: &Finder<'_>, pid: i32) -> Option<i32> {
    let inodes = if is_worker_name(&finder.comm(pid)) { joined(finder, pid) } else { BTreeSet::new() };
    let is_it = |inode: u64| finder.spaces().others().any(|(_, space)| space.place.inode == inode);
    let inode = inodes.into_iter().find(|inode| is_it(*inode))?;
    let is_in = |pid: i32| finder.world.proc.process(Pid::from_raw(pid)).ns(Namespace::Net) == Some(inode);
    let hosts = finder.world.processes.iter().filter(|seen| seen.container.is_none());
    hosts.map(|seen| seen.pid).find(|pid| finder.comm(*pid) == DAEMON && is_in(*pid))
}

/// The network namespaces in which the process is, or has an interface: it receives there what it sends for others.
fn joined(finder: &Finder<'_>, pid: i32) -> BTreeSet<u64> {
    let (world, pid) = (finder.world, Pid::from_raw(pid));
    let mut inodes: BTreeSet<u64> = world.proc.process(pid).ns(Namespace::Net).into_iter().collect();
    let Some(holder) = ns::pidfd(world.proc, pid) else { return inodes };
    _ = links_of(&world.links, pid.as_raw(), MOST_DESCRIPTORS, |name, link| {
        let fd = Some(name).filter(|_| link.ends_with(b"/net/tun"));
        let fd = fd.and_then(|name| name.to_str().ok()?.parse().ok());
        let namespace = fd.and_then(|fd| ns::net_ns_of_tun(&holder, fd));
        inodes.extend(namespace.and_then(|namespace| Some(fstat(namespace).ok()?.st_ino)));
    });
    inodes
}

/// The containers in these network namespaces, except the host's.
fn in_namespaces<'f>(finder: &'f Finder<'_>, inodes: &'f BTreeSet<u64>) -> impl Iterator<Item = usize> + 'f {
    let spaces = finder.spaces().others().filter(|(_, space)| inodes.contains(&space.place.inode));
    spaces.flat_map(|(_, space)| space.containers.iter().copied())
}

/// The containers for which a process of the host with this name takes connections, with the port of the host.
fn proxied(finder: &Finder<'_>, pid: i32, comm: &str) -> Vec<(u16, usize)> {
    if !is_proxy_name(comm) || comm == DAEMON || finder.world.proc.is_copy() {
        return Vec::new();
    }
    let (mut inodes, mut found) = (BTreeSet::new(), Vec::new());
    _ = sockets_of(&finder.world.links, pid, MOST_DESCRIPTORS, |inode| _ = inodes.insert(inode));
    for listener in finder.listeners().iter().filter(|one| inodes.contains(&one.inode)) {
        let asked = Port { number: listener.port, transport: Some(listener.transport), address: None };
        let published = by_proxy(finder, pid, listener, &stated(finder, &asked));
        found.extend(published.into_iter().flatten().map(|one| (listener.port, one.container)));
    }
    found
}

/// The proxies of the host: PID, port of the host, and container.
pub(super) fn proxies(finder: &Finder<'_>) -> Vec<(i32, u16, usize)> {
    let all = finder.world.processes.iter();
    let hosts = all.filter(|seen| seen.container.is_none());
    let of = |pid: i32| {
        proxied(finder, pid, &finder.comm(pid)).into_iter().map(move |(port, one)| (pid, port, one))
    };
    hosts.flat_map(|seen| of(seen.pid)).collect()
}

/// conmon is the parent of the container's first process.
fn by_conmon(finder: &Finder<'_>, pid: i32, listener: &Listener) -> Vec<Published> {
    let all = (0..finder.world.containers.len()).filter(|number| is_parent(finder, pid, *number));
    let of =
        |container| Published { container, port: port_of(listener, None), by: By::Proxy, via: Some(pid) };
    all.map(of).collect()
}

/// pasta(1) can start the program that has the new namespace.
fn by_namespaces(finder: &Finder<'_>, pid: i32, listener: &Listener) -> Vec<Published> {
    let children = finder.world.processes.iter().filter(|seen| seen.ppid == Some(pid));
    let pids: Vec<i32> = children.map(|seen| seen.pid).collect();
    let inode = |pid: i32| finder.world.proc.process(Pid::from_raw(pid)).ns(Namespace::Net);
    let mut inodes: BTreeSet<u64> = pids.into_iter().filter_map(inode).collect();
    inodes.extend(joined(finder, pid));
    let containers = in_namespaces(finder, &inodes);
    let port = port_of(listener, None);
    containers
        .map(|container| Published { container, port: port.clone(), by: By::Proxy, via: Some(pid) })
        .collect()
}

fn port_of(listener: &Listener, port: Option<u16>) -> details::Port {
    details::Port {
        protocol: listener.transport.name().to_owned(),
        host_address: Some(listener.address.to_string()),
        host_port: Some(listener.port),
        port,
    }
}

/// The arguments of root's docker-proxy have the address of the container.
fn by_arguments(finder: &Finder<'_>, pid: i32, listener: &Listener) -> Vec<Published> {
    let all = proxies::docker_proxies(finder.world);
    let is_it = |proxy: &&proxies::Proxy| proxy.pid == pid && proxy.host_port == listener.port;
    let Some(proxy) = all.iter().find(is_it) else { return Vec::new() };
    let spaces = proxy.target.and_then(|target| spaces_with(finder, target)).unwrap_or_default();
    let containers = spaces.iter().flat_map(|space| finder.spaces().all[*space].containers.iter().copied());
    let port = port_of(listener, proxy.port);
    containers
        .map(|container| Published { container, port: port.clone(), by: By::Proxy, via: Some(pid) })
        .collect()
}

/// With who listens inside.
fn add_published(finder: &Finder<'_>, mut published: Vec<Published>, entry: &mut Entry) {
    // `::` repeats what is published for all of IPv4.
    let mut seen = Vec::new();
    published.retain(|one| {
        let is_any = matches!(one.port.host_address.as_deref(), None | Some("0.0.0.0" | "::"));
        let key = (one.container, one.port.port, one.port.protocol.clone(), is_any);
        let is_new = !is_any || !seen.contains(&key);
        seen.push(key);
        is_new
    });
    let spaces: Vec<Option<usize>> = published.iter().map(|one| finder.space_of(one.container)).collect();
    let wanted: Vec<u16> = published.iter().filter_map(|one| one.port.port).collect();
    let mut numbers: Vec<usize> = spaces.iter().flatten().copied().collect();
    numbers.sort_unstable();
    numbers.dedup();
    let (numbers, places) = places(finder, numbers.into_iter());
    let listeners = net::search_listeners(&places, |one| wanted.contains(&one.port));
    let listeners = finder.known("sockets in network namespaces", listeners);
    let holders = finder.holders_in_containers(listeners.iter().flatten().map(|(_, one)| one.inode));
    for (one, space) in published.iter().zip(spaces) {
        let here = |at: usize| space == Some(numbers[at]);
        let fits = |(at, socket): &&(usize, Listener)| {
            here(*at) && Some(socket.port) == one.port.port && socket.transport.name() == one.port.protocol
        };
        let mut own: Vec<&Listener> =
            listeners.iter().flatten().filter(fits).map(|(_, socket)| socket).collect();
        order::sort_by_key(&mut own, |socket| socket.address.is_loopback());
        let pid = own.first().and_then(|socket| holders.get(&socket.inode)).copied();
        let listens = pid.and_then(|pid| finder.world.process(pid)?.container);
        let listens = listens.filter(|number| finder.spaces().of_container(*number) == space);
        let same = published.iter().filter(|other| other.port.port == one.port.port);
        let candidates: Vec<usize> = same.map(|other| other.container).collect();
        let is_pause = finder.world.containers[one.container].container.is_pause();
        let container = publisher((one.container, is_pause), listens, &candidates);
        let other = listens.filter(|number| *number != container);
        let other = other.map(|number| format!(" of {}", finder.world.containers[number].label));
        let inside = match (own.first(), listeners.is_some() && space.is_some() && one.port.port.is_some()) {
            (Some(socket), _) => {
                let who = pid.map_or_else(|| "a process".to_owned(), |pid| finder.named_process(pid));
                let who = format!("{who}{}", other.unwrap_or_default());
                // A proxy of a user connects from inside.
                let owner = finder.world.containers[one.container].container.owner;
                match socket.address.is_loopback() && owner == 0 {
                    true => format!("; {who} listens on {} only", socket.address),
                    false => format!("; {who} listens"),
                }
            }
            (None, true) => "; nothing listens there".to_owned(),
            (None, false) => String::new(),
        };
        let via = one.via.map(|via| format!(" ({})", finder.comm(via))).unwrap_or_default();
        let of_pod = finder.of_pod(container);
        let detail = format!("published {}{via}{of_pod}{inside}", one.port.shown());
        let answer = Answer::new(Owner::Running(container), Role::Published, one.by, detail);
        entry.answers.push(answer.of_process(pid));
    }
}

/// Of several that may have published a port, as those of a pod, the one that listens. One that only shares the network of
/// the publisher has not published it.
fn publisher((stated, is_pause): (usize, bool), listens: Option<usize>, candidates: &[usize]) -> usize {
    listens.filter(|number| is_pause || candidates.contains(number)).unwrap_or(stated)
}

/// Who listens in these namespaces.
fn inside(finder: &Finder<'_>, asked: &Port, spaces: &[usize], entry: &mut Entry) {
    let (numbers, places) = places(finder, spaces.iter().copied());
    let found = net::search_listeners(&places, |one| asked.fits(one));
    let found = finder.known("sockets in network namespaces", found).unwrap_or_default();
    let inodes: Vec<u64> = found.iter().map(|(_, one)| one.inode).collect();
    let mut holders = finder.holders_in_containers(inodes.iter().copied());
    holders.extend(
        finder.holders(inodes.into_iter().filter(|inode| !holders.contains_key(inode)).collect::<Vec<_>>()),
    );
    let mut by_process: BTreeMap<(usize, i32, Transport), Vec<&Listener>> = BTreeMap::new();
    for (at, listener) in &found {
        let pid = holders.get(&listener.inode).copied().unwrap_or(0);
        by_process.entry((numbers[*at], pid, listener.transport)).or_default().push(listener);
    }
    for ((space, pid, _), listeners) in by_process {
        let space = &finder.spaces().all[space];
        let pid = Some(pid).filter(|pid| *pid != 0);
        let on: Vec<String> = listeners.iter().map(|one| shown(one)).collect();
        let who = pid.map_or_else(|| "a process".to_owned(), |pid| finder.named_process(pid));
        let detail = format!("{who} listens on {} inside", on.join(" "));
        let own = pid.and_then(|pid| finder.world.process(pid)?.container);
        let containers = own.map_or_else(|| space.containers.clone(), |own| vec![own]);
        for container in &containers {
            let answer = Answer::new(Owner::Running(*container), Role::Listener, By::Kernel, &*detail);
            entry.answers.push(answer.of_process(pid));
        }
        if containers.is_empty() && entry.host.is_none() {
            entry.host = Some(Host { pid, text: format!("{detail} another network namespace") });
        }
    }
}

/// `0.0.0.0:80/tcp`
fn shown(listener: &Listener) -> String {
    let address = match (listener.address, listener.address.is_unspecified()) {
        (IpAddr::V6(_), true) if !listener.only_v6 => "*".to_owned(),
        (IpAddr::V6(ip), _) => format!("[{ip}]"),
        (ip, _) => ip.to_string(),
    };
    format!("{address}:{}/{}", listener.port, listener.transport.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_published_a_port() {
        let (web, side, pause) = ((1, false), Some(2), (3, true));
        assert_eq!(publisher(web, Some(1), &[1]), 1);
        assert_eq!(publisher(web, None, &[1]), 1);
        assert_eq!(publisher(web, side, &[1]), 1, "a neighbour in the same network");
        assert_eq!(publisher(web, side, &[1, 2]), 2, "containers of a pod");
        assert_eq!(publisher(pause, side, &[3]), 2);
    }
}
