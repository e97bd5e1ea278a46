//! The same question in many network namespaces.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Interface, Listener, Netlink, Protocol, has_address, interfaces, listeners, namespace_id};
use crate::isolation::ns;
use crate::isolation::visit::{Place, visit};
use crate::proc::ns::Kind;

/// An interface in one of the namespaces.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Found {
    pub interface: Interface,
    /// Is the namespace of `link` the one that the caller named?
    pub link_is_there: bool,
}

/// The interfaces that `wants` selects, each with the number of its namespace. `there`: the namespace to which links are
/// compared.
pub(crate) fn search(
    places: &[Place],
    there: Option<&Place>,
    wants: impl Fn(&Interface) -> bool,
) -> nix::Result<Vec<(usize, Found)>> {
    search_with(places, there, None, &wants)
}

/// The interfaces with an address. A namespace without it is asked for no more than its addresses.
pub(crate) fn search_address(places: &[Place], address: IpAddr) -> nix::Result<Vec<(usize, Found)>> {
    search_with(places, None, Some(address), &|one| one.addresses.iter().any(|(ip, _)| *ip == address))
}

fn search_with(
    places: &[Place],
    there: Option<&Place>,
    address: Option<IpAddr>,
    wants: &dyn Fn(&Interface) -> bool,
) -> nix::Result<Vec<(usize, Found)>> {
    let answers = visit(places, Kind::Net, |_| {
        let Ok(netlink) = Netlink::open(Protocol::Route) else { return Vec::new() };
        if address.is_some_and(|address| !has_address(&netlink, address).unwrap_or(true)) {
            return Vec::new();
        }
        // After an answer that was broken off the socket is of no more use.
        let Ok(netlink) = (if address.is_some() { Netlink::open(Protocol::Route) } else { Ok(netlink) })
        else {
            return Vec::new();
        };
        let all = interfaces(&netlink, None).unwrap_or_default();
        let mut wanted = all.into_iter().filter(|one| wants(one)).peekable();
        if wanted.peek().is_none() {
            return Vec::new();
        }
        let id = there.and_then(|place| {
            let fd = ns::open_file(&place.path).ok()?;
            namespace_id(&netlink, &fd).ok()?
        });
        let found = |interface: Interface| Found {
            link_is_there: id.is_some() && interface.link_namespace == id,
            interface,
        };
        serde_json::to_vec(&wanted.map(found).collect::<Vec<_>>()).unwrap_or_default()
    })?;
    Ok(unpacked(&answers))
}

/// The sockets that listen and that `wants` selects, each with the number of its namespace.
pub(crate) fn search_listeners(
    places: &[Place],
    wants: impl Fn(&Listener) -> bool,
) -> nix::Result<Vec<(usize, Listener)>> {
    let answers = visit(places, Kind::Net, |_| {
        let found = Netlink::open(Protocol::SocketDiagnosis).and_then(|netlink| listeners(&netlink));
        let wanted: Vec<Listener> = found.map(|(all, _)| all).unwrap_or_default();
        let wanted: Vec<Listener> = wanted.into_iter().filter(|one| wants(one)).collect();
        if wanted.is_empty() { Vec::new() } else { serde_json::to_vec(&wanted).unwrap_or_default() }
    })?;
    Ok(unpacked(&answers))
}

fn unpacked<T: for<'de> Deserialize<'de>>(answers: &[(usize, Vec<u8>)]) -> Vec<(usize, T)> {
    let each = |(number, answer): &(usize, Vec<u8>)| {
        let all: Vec<T> = serde_json::from_slice(answer).unwrap_or_default();
        all.into_iter().map(|one| (*number, one)).collect::<Vec<_>>()
    };
    answers.iter().flat_map(each).collect()
}
