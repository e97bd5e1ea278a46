//! Processes of the host that take connections to published ports.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use nix::unistd::Pid;

use super::details::Port;
use super::world::{Seen, World};
use crate::net::{Listener, takes};
use crate::proc::sockets_of;

/// A process of the host that takes connections for a container.
pub(crate) struct Proxy {
    pub pid: i32,
    pub protocol: String,
    pub address: Option<IpAddr>,
    pub host_port: u16,
    /// None if only the port of the host is known.
    pub port: Option<u16>,
    /// The address of the container.
    pub target: Option<IpAddr>,
}

impl Proxy {
    pub(crate) fn is_of(&self, one: &Port) -> bool {
        let address: Option<IpAddr> = one.host_address.as_deref().and_then(|address| address.parse().ok());
        let address = address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let fits = self.address.is_none_or(|own| own == address || takes(own, false, address));
        self.protocol == one.protocol
            && Some(self.host_port) == one.host_port
            && (self.port.is_none() || self.port == one.port)
            && fits
    }
}

/// The processes of the host with that name. A container can give any name to its processes.
fn named<'a>(world: &'a World<'_>, name: &'a [u8]) -> impl Iterator<Item = &'a Seen> {
    let is_named = move |seen: &&Seen| {
        let comm = world.proc.process(Pid::from_raw(seen.pid)).name().unwrap_or_default();
        comm.trim_ascii_end().starts_with(name)
    };
    world.processes.iter().filter(|seen| seen.container.is_none()).filter(is_named)
}

/// `docker-proxy -proto tcp -host-ip A -host-port N -container-ip IP -container-port M` of root.
pub(crate) fn docker_proxies(world: &World<'_>) -> Vec<Proxy> {
    let of = |seen: &Seen| {
        let text = world.proc.process(Pid::from_raw(seen.pid)).command_line().ok()?;
        proxy(seen.pid, &text)
    };
    named(world, b"docker-proxy")
        .filter(|seen| world.started_by(seen.pid) == Some(0))
        .filter_map(of)
        .collect()
}

fn proxy(pid: i32, arguments: &[u8]) -> Option<Proxy> {
    let words: Vec<&[u8]> = arguments.split(|&b| b == 0).collect();
    let value = |option: &[u8]| {
        let at = words.iter().position(|word| word.strip_prefix(b"-").unwrap_or(word) == option)?;
        std::str::from_utf8(words.get(at + 1)?).ok()
    };
    Some(Proxy {
        pid,
        protocol: value(b"proto")?.to_owned(),
        address: value(b"host-ip").and_then(|ip| ip.parse().ok()),
        host_port: value(b"host-port")?.parse().ok()?,
        port: value(b"container-port").and_then(|port| port.parse().ok()),
        target: value(b"container-ip").and_then(|ip| ip.parse().ok()),
    })
}

/// conmon holds the sockets of root's containers; those of a user a child of it.
pub(crate) fn held(world: &World<'_>, number: usize, listeners: &[Listener]) -> Vec<Proxy> {
    let known = &world.containers[number];
    let parent = known.init.and_then(|init| world.process(init)?.ppid);
    let Some(conmon) = parent.filter(|pid| world.process(*pid).is_some_and(|seen| seen.container.is_none()))
    else {
        return Vec::new();
    };
    let of_user = named(world, b"rootlessport").filter(|seen| seen.uid == Some(known.container.owner));
    let holders: Vec<i32> = std::iter::once(conmon).chain(of_user.map(|seen| seen.pid)).collect();
    let mut found = Vec::new();
    for pid in holders {
        let mut inodes = BTreeSet::new();
        _ = sockets_of(&world.links, pid, 10_000, |inode| _ = inodes.insert(inode));
        let own = listeners.iter().filter(|one| inodes.contains(&one.inode));
        found.extend(own.map(|one| Proxy {
            pid,
            protocol: one.transport.name().to_owned(),
            address: Some(one.address),
            host_port: one.port,
            port: None,
            target: None,
        }));
    }
    found
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(arguments: &[u8]) {
    _ = proxy(1, arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_a_proxy() {
        let text = b"/usr/bin/docker-proxy\0-proto\0tcp\0-host-ip\x00127.0.0.1\0-host-port\x008081\0-container-ip\x00172.17.0.2\0-container-port\x0080\0-use-listen-fd\0";
        let found = proxy(7, text).expect("a proxy");
        let mut one = Port {
            protocol: "tcp".to_owned(),
            host_address: Some("127.0.0.1".to_owned()),
            host_port: Some(8081),
            port: Some(80),
        };
        assert!(found.is_of(&one));
        one.port = Some(81);
        assert!(!found.is_of(&one));
        assert!(proxy(7, b"docker-proxy\0-proto").is_none());
    }
}
