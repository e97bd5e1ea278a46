//! The network namespace of this process, and the other ends of veth pairs.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use nix::unistd::Pid;

use super::{Peer, utf8};
use crate::container::world::World;
use crate::isolation::ns;
use crate::net::{self, Interface, Listener, Netlink, Protocol};
use crate::proc::ProcRoot;
use crate::proc::ns::{Kind, parse_link};

#[derive(Default)]
pub(in crate::applets::ctr_inspect) struct HostNetwork {
    netlink: OnceCell<Option<Netlink>>,
    interfaces: OnceCell<Vec<Interface>>,
    listeners: OnceCell<Vec<Listener>>,
    /// One process of each network namespace, with its container.
    others: OnceCell<Vec<(i32, Option<usize>)>>,
}

impl HostNetwork {
    pub(super) fn netlink(&self) -> Option<&Netlink> {
        self.netlink.get_or_init(|| Netlink::open(Protocol::Route).ok()).as_ref()
    }

    /// Is it the namespace of this process?
    pub(super) fn is_here(&self, inode: Option<u64>) -> bool {
        let own = ns::open_file(&ProcRoot::default().own(&Kind::Net.link())).ok();
        let own = own.and_then(|own| crate::sys::file_id(&own, c"").ok());
        inode.is_some() && own.map(|(_, inode)| inode) == inode
    }

    pub(super) fn id_of(&self, namespace: &OwnedFd) -> Option<i32> {
        net::namespace_id(self.netlink()?, namespace).ok()?
    }

    fn interfaces(&self) -> &[Interface] {
        self.interfaces.get_or_init(|| {
            self.netlink().and_then(|netlink| net::interfaces(netlink, None).ok()).unwrap_or_default()
        })
    }

    pub(super) fn listeners(&self) -> &[Listener] {
        self.listeners.get_or_init(|| {
            let found = Netlink::open(Protocol::SocketDiagnosis).and_then(|netlink| net::listeners(&netlink));
            found.map(|(all, _)| all).unwrap_or_default()
        })
    }

    pub(super) fn name(&self, index: u32) -> Option<String> {
        self.interfaces().iter().find(|one| one.index == index).map(|one| utf8(&one.name))
    }

    /// The other end of a veth. Indexes are unique in a namespace only: the other end must name this one.
    pub(super) fn peer(
        &self,
        world: &World<'_>,
        one: &Interface,
        index: u32,
        id: Option<i32>,
        (netlink, same): (&Netlink, &[Interface]),
    ) -> Peer {
        let unknown = Peer { index, ..Peer::default() };
        let Some(there) = one.link_namespace else {
            let other = same.iter().find(|other| other.index == index);
            return Peer { name: other.map(|other| utf8(&other.name)), ..unknown };
        };
        let names_it = |other: &&Interface| {
            other.index == index
                && other.link == Some(one.index)
                && id.is_some()
                && other.link_namespace == id
        };
        let on_host = self.interfaces().iter().find(names_it);
        let is_on_host = || {
            let own = ns::open_file(&ProcRoot::default().own(&Kind::Net.link())).ok()?;
            net::namespace_id(netlink, &own).ok()?.filter(|own| *own == there)?;
            self.interfaces().iter().find(|other| other.index == index && other.link == Some(one.index))
        };
        if let Some(other) = on_host.or_else(is_on_host) {
            let bridge = other.master.and_then(|master| self.name(master));
            return Peer { name: Some(utf8(&other.name)), bridge, ..unknown };
        }
        let others = net::interfaces(netlink, Some(there)).unwrap_or_default();
        let name = others.iter().find(|other| other.index == index).map(|other| utf8(&other.name));
        let is_there = |(pid, _): &&(i32, Option<usize>)| {
            let fd = ns::open_file(&world.proc.path_of(Pid::from_raw(*pid), &Kind::Net.link())).ok();
            fd.and_then(|fd| net::namespace_id(netlink, &fd).ok()?) == Some(there)
        };
        let holder = self.others(world).iter().find(is_there).and_then(|(_, container)| *container);
        let container = holder.map(|number| world.containers[number].label.clone());
        Peer { name, container, ..unknown }
    }

    fn others(&self, world: &World<'_>) -> &[(i32, Option<usize>)] {
        self.others.get_or_init(|| {
            let (mut seen, mut buffer, link) = (BTreeSet::new(), [0; 64], Kind::Net.link());
            let mut is_new = |pid: i32| {
                let found = world.links.link(Pid::from_raw(pid), &link, &mut buffer);
                found.ok().and_then(parse_link).is_some_and(|inode| seen.insert(inode))
            };
            let containers = world.containers.iter().enumerate();
            let chiefs = containers.map(|(number, known)| (known.chief(), Some(number)));
            chiefs.filter(|(pid, _)| is_new(*pid)).collect()
        })
    }
}
