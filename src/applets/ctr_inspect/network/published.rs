//! Ports of the host that lead to the container.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Sources;
use super::listening::Listening;
use crate::applets::ctr_inspect::namespaces::{Namespace, sharing};
use crate::container::details::Port;
use crate::container::stopped::Stores;
use crate::container::world::Subject;
use crate::container::{Runtime, cni, proxies};
use crate::order;
use crate::proc::ns::Kind;

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

    /// For a comparison: as [`Published::shown`], and whether no process inside listens there.
    pub(in crate::applets::ctr_inspect) fn compared(all: &[Published]) -> BTreeSet<String> {
        let once = all.iter().filter(|one| !one.repeats(all.iter()));
        let words = |one: &Published| match one.listens {
            Some(false) => format!("{} (nothing listens)", one.shown()),
            _ => one.shown(),
        };
        once.map(words).collect()
    }

    /// `127.0.0.1:8081->80/tcp`
    pub(in crate::applets::ctr_inspect) fn shown(&self) -> String {
        let Published { protocol, host_address, host_port, port, .. } = self.clone();
        Port { protocol, host_address, host_port, port }.shown()
    }
}

/// Those of the container; without any, those of another one with the same network, such as the first one of a pod. Without
/// `listening` nobody knows whether something listens.
pub(super) fn read(
    sources: &Sources<'_>,
    (subject, namespace): (Subject, Option<&Namespace>),
    listening: Option<&[Listening]>,
) -> Vec<Published> {
    let Some(own) = subject.container else { return Vec::new() };
    let world = sources.world;
    let inode = namespace.filter(|one| one.host == Some(false)).and_then(|one| one.inode);
    let others = inode.into_iter().flat_map(|inode| sharing(world, subject, Kind::Net, inode));
    let stores = Stores::new(world.files);
    let all = std::iter::once(own).chain(others);
    all.map(|number| of_container(sources, &stores, number, listening))
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn of_container(
    sources: &Sources<'_>,
    stores: &Stores<'_>,
    number: usize,
    listening: Option<&[Listening]>,
) -> Vec<Published> {
    let container = &sources.world.containers[number].container;
    if container.outer.is_some() {
        return Vec::new();
    }
    let mut ports = stores.published(container);
    let uses_cni =
        matches!(container.runtime, Runtime::K8s | Runtime::Nerdctl | Runtime::Podman | Runtime::Containerd);
    if ports.is_empty() && uses_cni {
        ports = cni::ports_of(sources.world.files, container);
    }
    if ports.is_empty() {
        return Vec::new();
    }
    let proxies = match container.runtime {
        // The sockets of this host are not those of the copy.
        _ if sources.unknown.is_copy() => Vec::new(),
        Runtime::Podman => proxies::held(sources.world, number, sources.host.listeners()),
        Runtime::Docker | Runtime::K8s | Runtime::Ecs => proxies::docker_proxies(sources.world),
        _ => Vec::new(),
    };
    let mut found = Vec::new();
    for port in ports {
        let proxy = proxies.iter().find(|proxy| proxy.is_of(&port));
        let mut one = Published::of_port(port);
        if let Some(proxy) = proxy {
            (one.by, one.pid) = ("proxy", Some(proxy.pid));
        }
        one.judge(listening, container.owner);
        found.push(one);
    }
    order::sort_by(&mut found, |a, b| {
        (a.port, &a.protocol, &a.host_address).cmp(&(b.port, &b.protocol, &b.host_address))
    });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_has_each_port_once_and_whether_nothing_listens() {
        let port = |address: &str, host_port, listens| {
            let (protocol, host_address) = ("tcp".to_owned(), Some(address.to_owned()));
            let port = Port { protocol, host_address, host_port: Some(host_port), port: Some(80) };
            Published { listens, ..Published::of_port(port) }
        };
        let all = [
            port("0.0.0.0", 8080, Some(false)),
            port("::", 8080, Some(false)),
            port("127.0.0.1", 8081, Some(true)),
            port("::", 8082, None),
        ];
        let words: Vec<String> = Published::compared(&all).into_iter().collect();
        assert_eq!(
            words,
            ["*:8080->80/tcp (nothing listens)", "127.0.0.1:8081->80/tcp", "[::]:8082->80/tcp"]
        );
    }
}
