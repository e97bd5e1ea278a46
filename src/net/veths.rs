//! The veths of a network namespace, by the namespaces in which their other ends are.

use std::os::fd::OwnedFd;

use super::{Interface, Netlink, Protocol, interfaces, namespace_id};

/// Those of the namespace of this process.
pub(crate) struct Veths {
    route: Netlink,
    all: Vec<Interface>,
}

impl Veths {
    /// None if the kernel does not list the interfaces.
    #[must_use]
    pub(crate) fn read() -> Option<Veths> {
        let route = Netlink::open(Protocol::Route).ok()?;
        let mut all = interfaces(&route, None).ok()?;
        all.retain(|one| one.kind == b"veth" && one.link_namespace.is_some());
        Some(Veths { route, all })
    }

    /// The names of those whose other end is in that namespace: by its id, as indexes are unique in a namespace only.
    pub(crate) fn leading_to(&self, namespace: &OwnedFd) -> impl Iterator<Item = &[u8]> {
        let id = match self.all.is_empty() {
            true => None,
            false => namespace_id(&self.route, namespace).ok().flatten(),
        };
        let leads_there = move |one: &&Interface| id.is_some() && one.link_namespace == id;
        self.all.iter().filter(leads_there).map(|one| &*one.name)
    }
}
