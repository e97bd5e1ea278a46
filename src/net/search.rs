//! The same question in many network namespaces.

use std::net::IpAddr;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::sockets::{InUse, listeners_in_use};
use super::{Interface, Listener, Netlink, Protocol, has_address, has_interface, interfaces, namespace_id};
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
    search_with(places, there, &|| true, &wants)
}

/// The interfaces with a name. A namespace without it is asked for no more.
pub(crate) fn search_name(
    places: &[Place],
    there: Option<&Place>,
    name: &[u8],
) -> nix::Result<Vec<(usize, Found)>> {
    search_with(places, there, &|| has_interface(name).unwrap_or(true), &|one| one.name == name)
}

/// The interfaces with an address. A namespace without it is asked for no more than its addresses.
pub(crate) fn search_address(places: &[Place], address: IpAddr) -> nix::Result<Vec<(usize, Found)>> {
    let has = || {
        let netlink = Netlink::open(Protocol::Route);
        netlink.and_then(|netlink| has_address(&netlink, address)).unwrap_or(true)
    };
    search_with(places, None, &has, &|one| one.addresses.iter().any(|(ip, _)| *ip == address))
}

fn search_with(
    places: &[Place],
    there: Option<&Place>,
    may_have: &dyn Fn() -> bool,
    wants: &dyn Fn(&Interface) -> bool,
) -> nix::Result<Vec<(usize, Found)>> {
    let answers = visit(places, Kind::Net, |_| {
        if !may_have() {
            return Vec::new();
        }
        packed(Netlink::open(Protocol::Route).and_then(|netlink| {
            let all = interfaces(&netlink, None)?;
            let mut wanted = all.into_iter().filter(|one| wants(one)).peekable();
            if wanted.peek().is_none() {
                return Ok(Vec::new());
            }
            let id = there.and_then(|place| {
                let fd = ns::open_file(&place.path).ok()?;
                namespace_id(&netlink, &fd).ok()?
            });
            let found = |interface: Interface| Found {
                link_is_there: id.is_some() && interface.link_namespace == id,
                interface,
            };
            Ok(wanted.map(found).collect())
        }))
    })?;
    unpacked(&answers)
}

/// The sockets that listen and that `wants` selects, each with the number of its namespace.
pub(crate) fn search_listeners(
    places: &[Place],
    wants: impl Fn(&Listener) -> bool,
) -> nix::Result<Vec<(usize, Listener)>> {
    // To enter a namespace and to ask there for sockets costs more than to read how many it has.
    let in_use: Vec<InUse> = places.iter().map(InUse::read).collect();
    let has_sockets = |number: &usize| in_use[*number].any();
    let numbers: Vec<usize> = (0..places.len()).filter(has_sockets).collect();
    let chosen: Vec<Place> = numbers.iter().map(|number| places[*number].clone()).collect();
    let answers = visit(&chosen, Kind::Net, |at| {
        let netlink = Netlink::open(Protocol::SocketDiagnosis);
        let found = netlink.and_then(|netlink| listeners_in_use(&netlink, in_use[numbers[at]]));
        packed(found.map(|(all, _)| all.into_iter().filter(|one| wants(one)).collect()))
    })?;
    let found = unpacked(&answers)?.into_iter();
    Ok(found.map(|(at, one)| (numbers[at], one)).collect())
}

/// What one namespace answers: nothing, objects, or the number of an error.
pub(super) fn packed<T: Serialize>(found: nix::Result<Vec<T>>) -> Vec<u8> {
    match found {
        Ok(found) if found.is_empty() => Vec::new(),
        found => serde_json::to_vec(&found.map_err(|errno| errno as i32)).unwrap_or_default(),
    }
}

/// Objects, each with the number of its namespace. An error if there are none and a namespace could not be asked.
pub(super) fn unpacked<T: for<'de> Deserialize<'de>>(
    answers: &[(usize, Vec<u8>)],
) -> nix::Result<Vec<(usize, T)>> {
    let (mut found, mut failure) = (Vec::new(), None);
    for (number, answer) in answers {
        match serde_json::from_slice::<Result<Vec<T>, i32>>(answer) {
            Ok(Ok(all)) => found.extend(all.into_iter().map(|one| (*number, one))),
            Ok(Err(errno)) => failure = Some(Errno::from_raw(errno)),
            Err(_) => failure = Some(Errno::EPROTO),
        }
    }
    failure.filter(|_| found.is_empty()).map_or(Ok(found), Err)
}
