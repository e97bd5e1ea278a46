//! Ports of the host that lead to the container.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use nix::unistd::Pid;
use serde::Serialize;

use super::Sources;
use super::listening::Listening;
use crate::container::Runtime;
use crate::container::details::Port;
use crate::container::stopped::published;
use crate::container::world::{Seen, Subject};
use crate::net::takes;
use crate::proc::sockets_of;

#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub(in crate::applets::ctr_inspect) struct Published {
    pub protocol: String,
    /// Null for all addresses.
    pub host_address: Option<String>,
    pub host_port: Option<u16>,
    /// In the container.
    pub port: Option<u16>,
    /// `proxy`: a process takes connections; `state`: only a state file says it.
    pub by: &'static str,
    pub pid: Option<i32>,
    pub listener: Option<Listener>,
    /// Does a process in the container listen where the connections go? Null if that is not known.
    pub listens: Option<bool>,
}

/// Who listens on the port in the container.
#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub(in crate::applets::ctr_inspect) struct Listener {
    pub address: String,
    pub pid: Option<i32>,
    pub cpid: Option<i32>,
    pub command: Option<String>,
}

impl Published {
    pub(in crate::applets::ctr_inspect) fn of_port(port: Port) -> Published {
        Published {
            protocol: port.protocol,
            host_address: port.host_address,
            host_port: port.host_port,
            port: port.port,
            by: "state",
            pid: None,
            listener: None,
            listens: None,
        }
    }

    /// The same for all addresses of IPv6 as another one for all of IPv4.
    pub(in crate::applets::ctr_inspect) fn repeats<'a>(
        &self,
        mut all: impl Iterator<Item = &'a Published>,
    ) -> bool {
        let is_v4 = |other: &Published| matches!(other.host_address.as_deref(), None | Some("0.0.0.0"));
        self.host_address.as_deref() == Some("::")
            && all.any(|other| {
                is_v4(other)
                    && (&other.protocol, other.host_port, other.port)
                        == (&self.protocol, self.host_port, self.port)
            })
    }

    /// `127.0.0.1:8081->80/tcp`
    pub(in crate::applets::ctr_inspect) fn shown(&self) -> String {
        let number = |port: Option<u16>| port.map_or_else(|| "?".to_owned(), |port| port.to_string());
        let address = match self.host_address.as_deref() {
            None | Some("0.0.0.0") => "*".to_owned(),
            Some(address) if address.contains(':') => format!("[{address}]"),
            Some(address) => address.to_owned(),
        };
        format!("{address}:{}->{}/{}", number(self.host_port), number(self.port), self.protocol)
    }
}

/// Without `listening` nobody knows whether something listens.
pub(super) fn read(
    sources: &Sources<'_>,
    subject: Subject,
    listening: Option<&[Listening]>,
) -> Vec<Published> {
    let Some(number) = subject.container else { return Vec::new() };
    let container = &sources.world.containers[number].container;
    if container.outer.is_some() {
        return Vec::new();
    }
    let ports = published(sources.world.files, container);
    let mut found: Vec<Published> = ports.into_iter().map(Published::of_port).collect();
    let proxies = match container.runtime {
        Runtime::Podman => held(sources, number),
        _ => docker_proxies(sources),
    };
    for one in &mut found {
        let proxy = proxies.iter().find(|proxy| proxy.is_of(one));
        if let Some(proxy) = proxy {
            (one.by, one.pid) = ("proxy", Some(proxy.pid));
        }
        one.judge(listening, container.owner);
    }
    found.sort_by(|a, b| (a.port, &a.protocol, &a.host_address).cmp(&(b.port, &b.protocol, &b.host_address)));
    found
}

impl Published {
    fn judge(&mut self, listening: Option<&[Listening]>, owner: u32) {
        let Some((all, port)) = listening.zip(self.port) else { return };
        let fits = |one: &&Listening| one.protocol == self.protocol && one.port == port;
        // A rootless proxy connects from inside.
        let is_reached = |one: &&Listening| fits(one) && (owner != 0 || !one.ip.is_loopback());
        let found = all.iter().find(is_reached).or_else(|| all.iter().find(fits));
        self.listens = match &*self.protocol {
            "tcp" | "udp" => Some(all.iter().any(|one| is_reached(&one))),
            _ => None,
        };
        self.listener = found.map(|one| Listener {
            address: one.address.clone(),
            pid: one.pid,
            cpid: one.cpid,
            command: one.command.clone(),
        });
    }
}

/// A process of the host that takes connections for a container.
struct Proxy {
    pid: i32,
    protocol: String,
    address: Option<IpAddr>,
    host_port: u16,
    /// None if only the port of the host is known.
    port: Option<u16>,
}

impl Proxy {
    fn is_of(&self, one: &Published) -> bool {
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
fn named<'a>(sources: &'a Sources<'_>, name: &'a [u8]) -> impl Iterator<Item = &'a Seen> {
    let world = sources.world;
    let is_named = move |seen: &&Seen| {
        let comm = world.proc.process(Pid::from_raw(seen.pid)).name().unwrap_or_default();
        comm.trim_ascii_end().starts_with(name)
    };
    world.processes.iter().filter(|seen| seen.container.is_none()).filter(is_named)
}

/// `docker-proxy -proto tcp -host-ip A -host-port N -container-ip IP -container-port M` of root.
fn docker_proxies(sources: &Sources<'_>) -> Vec<Proxy> {
    let of = |seen: &Seen| {
        let text = sources.world.proc.process(Pid::from_raw(seen.pid)).command_line().ok()?;
        proxy(seen.pid, &text)
    };
    named(sources, b"docker-proxy").filter(|seen| seen.uid == Some(0)).filter_map(of).collect()
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
    })
}

/// conmon holds the sockets of root's containers; those of a user a child of it.
fn held(sources: &Sources<'_>, number: usize) -> Vec<Proxy> {
    let world = sources.world;
    let known = &world.containers[number];
    let parent = known.init.and_then(|init| world.process(init)?.ppid);
    let Some(conmon) = parent.filter(|pid| world.process(*pid).is_some_and(|seen| seen.container.is_none()))
    else {
        return Vec::new();
    };
    let of_user = named(sources, b"rootlessport").filter(|seen| seen.uid == Some(known.container.owner));
    let holders: Vec<i32> = std::iter::once(conmon).chain(of_user.map(|seen| seen.pid)).collect();
    let mut found = Vec::new();
    for pid in holders {
        let mut inodes = BTreeSet::new();
        _ = sockets_of(world.proc, pid, 10_000, |inode| _ = inodes.insert(inode));
        let own = sources.host.listeners().iter().filter(|one| inodes.contains(&one.inode));
        found.extend(own.map(|one| Proxy {
            pid,
            protocol: one.transport.name().to_owned(),
            address: Some(one.address),
            host_port: one.port,
            port: None,
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_a_proxy() {
        let text = b"/usr/bin/docker-proxy\0-proto\0tcp\0-host-ip\x00127.0.0.1\0-host-port\x008081\0-container-ip\x00172.17.0.2\0-container-port\x0080\0-use-listen-fd\0";
        let found = proxy(7, text).expect("a proxy");
        let mut one = Published::of_port(Port {
            protocol: "tcp".to_owned(),
            host_address: Some("127.0.0.1".to_owned()),
            host_port: Some(8081),
            port: Some(80),
        });
        assert!(found.is_of(&one));
        assert_eq!(one.shown(), "127.0.0.1:8081->80/tcp");
        one.port = Some(81);
        assert!(!found.is_of(&one));
        assert!(proxy(7, b"docker-proxy\0-proto").is_none());
    }
}
