//! The network of a container: interfaces and their other ends, routes, name servers, and who listens where.

mod dns;
mod host;
mod listening;
mod published;

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::Pid;
use serde::Serialize;

pub(super) use dns::Dns;
pub(super) use host::HostNetwork;
pub(super) use listening::Listening;
pub(super) use published::Published;

use super::namespaces::Namespace;
use super::unknown::Unknowns;
use crate::container::commands::Commands;
use crate::container::world::{Subject, World};
use crate::isolation::ns;
use crate::net;
use crate::proc::ns::Kind;
use crate::text;

#[derive(Serialize, Debug, Default)]
pub(super) struct Network {
    /// Is the namespace neither the host's nor another container's?
    pub own: Option<bool>,
    pub interfaces: Option<Vec<Interface>>,
    /// Of the main tables.
    pub routes: Option<Vec<Route>>,
    pub dns: Option<Dns>,
    /// In the container's namespace; of the host's namespace those of the container's processes.
    pub listening: Option<Vec<Listening>>,
    pub published: Option<Vec<Published>>,
    #[serde(skip)]
    pub is_hosts: Option<bool>,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Interface {
    pub name: String,
    pub index: u32,
    pub mac: Option<String>,
    pub addresses: Vec<String>,
    /// The other end of a veth.
    pub peer: Option<Peer>,
    /// `veth`, `macvlan`; null for loopback and for hardware.
    pub kind: Option<String>,
    pub up: bool,
    /// What a macvlan, ipvlan or vlan is based on.
    pub parent: Option<String>,
    #[serde(skip)]
    pub is_loopback: bool,
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Peer {
    pub name: Option<String>,
    pub index: u32,
    /// Null on the host.
    pub container: Option<String>,
    /// The bridge that the peer is a port of.
    pub bridge: Option<String>,
}

#[derive(Serialize, Debug)]
pub(super) struct Route {
    /// `default`, or a network.
    pub destination: String,
    pub gateway: Option<String>,
    pub interface: Option<String>,
    pub metric: Option<u32>,
}

/// What a section needs to know beside the process.
pub(super) struct Sources<'a> {
    pub world: &'a World<'a>,
    pub host: &'a HostNetwork,
    pub commands: &'a Commands,
    pub unknown: &'a Unknowns,
}

pub(super) fn read(sources: &Sources<'_>, subject: Subject, namespace: Option<&Namespace>) -> Network {
    let Sources { world, unknown, .. } = sources;
    let is_hosts = namespace.and_then(|one| one.host);
    // Of a namespace that cannot be entered, the state files still say what is published.
    let unread = || Network {
        own: namespace.and_then(|one| one.own),
        published: Some(published::read(sources, (subject, namespace), None)),
        is_hosts,
        ..Network::default()
    };
    if !unknown.is_live("network") {
        return unread();
    }
    let dns = dns::read(world, subject, unknown);
    let opened = ns::open_file(&world.proc.path_of(Pid::from_raw(subject.pid), &Kind::Net.link()));
    let Some(fd) = opened.ok().filter(|_| namespace.is_some()) else {
        unknown.refused("network", "open its network namespace");
        return Network { dns, ..unread() };
    };
    // The child of a host with thousands of processes is only needed for another namespace than this one.
    let entered = match sources.host.is_here(namespace.and_then(|one| one.inode)) {
        true => net::Netlink::open(net::Protocol::Route)
            .and_then(|route| Ok((route, net::Netlink::open(net::Protocol::SocketDiagnosis)?))),
        false => net::enter(&fd),
    };
    if matches!(entered, Err(Errno::EPERM)) {
        unknown.add("network", "only with CAP_SYS_ADMIN can its network namespace be entered");
    }
    let entered = unknown.known("network", entered.map_err(std::io::Error::from));
    let found = interfaces(sources, &fd, entered.as_ref().map(|(route, _)| route));
    let routes = entered.as_ref().and_then(|(route, _)| net::routes(route).ok());
    let sockets = entered.as_ref().and_then(|(_, diagnosis)| {
        let (all, whole) =
            unknown.known("network.listening", net::listeners(diagnosis).map_err(std::io::Error::from))?;
        if !whole {
            unknown.add("network.listening", "too many sockets: the rest is not looked at");
        }
        Some(all)
    });
    let listening = sockets.map(|all| listening::owned(sources, subject, all, is_hosts == Some(true)));
    let published = published::read(sources, (subject, namespace), listening.as_deref());
    let routes =
        routes.map(|routes| routes.iter().map(|route| shown_route(route, found.as_deref())).collect());
    Network {
        own: namespace.and_then(|one| one.own),
        interfaces: found,
        routes,
        dns,
        listening,
        published: Some(published),
        is_hosts,
    }
}

/// From outside if the namespace has an id here, else from inside.
fn interfaces(
    sources: &Sources<'_>,
    namespace: &OwnedFd,
    inside: Option<&net::Netlink>,
) -> Option<Vec<Interface>> {
    let host = sources.host;
    let id = host.id_of(namespace);
    let outside = host.netlink().zip(id).and_then(|(netlink, id)| {
        Some((netlink, net::interfaces(netlink, Some(id)).ok().filter(|all| !all.is_empty())?))
    });
    let (netlink, all) = match (outside, inside) {
        (Some(found), _) => found,
        (None, Some(inside)) => (inside, net::interfaces(inside, None).ok()?),
        (None, None) => return None,
    };
    let shown = |one: &net::Interface| {
        let is_veth = one.kind == b"veth";
        let parent = one.link.filter(|_| !is_veth && one.kind != b"").map(|index| {
            let same = all.iter().find(|other| one.link_namespace.is_none() && other.index == index);
            same.map_or_else(|| host.name(index), |other| Some(utf8(&other.name)))
        });
        Interface {
            name: utf8(&one.name),
            index: one.index,
            mac: mac(&one.mac),
            addresses: one.addresses.iter().map(|(ip, prefix)| format!("{ip}/{prefix}")).collect(),
            peer: one
                .link
                .filter(|_| is_veth)
                .map(|index| host.peer(sources.world, one, index, id, (netlink, &all))),
            kind: (!one.kind.is_empty()).then(|| utf8(&one.kind)),
            up: one.is_up,
            parent: parent.flatten(),
            is_loopback: one.addresses.iter().any(|(ip, _)| ip.is_loopback()) || one.name == b"lo",
        }
    };
    Some(all.iter().map(shown).collect())
}

fn utf8(name: &[u8]) -> String {
    text::utf8(name).into_owned()
}

/// None for loopback, which has zeros.
fn mac(bytes: &[u8]) -> Option<String> {
    let shown = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    bytes.iter().any(|byte| *byte != 0).then_some(shown)
}

fn shown_route(route: &net::Route, interfaces: Option<&[Interface]>) -> Route {
    let interface = route.interface.and_then(|index| {
        let found = interfaces?.iter().find(|one| one.index == index)?;
        Some(found.name.clone())
    });
    let any = if route.is_v6 { "default6" } else { "default" };
    Route {
        destination: route
            .destination
            .map_or_else(|| any.to_owned(), |(ip, prefix)| format!("{ip}/{prefix}")),
        gateway: route.gateway.map(|ip| ip.to_string()),
        interface,
        metric: route.metric,
    }
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(data: &[u8]) {
    dns::fuzz(data);
}
