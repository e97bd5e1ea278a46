//! Networks of containers, from the kernel: netlink(7) with the formats of rtnetlink(7) and sock_diag(7).
//!
//! A netlink socket belongs to the network namespace in which it was made, so a child process enters the namespace of a
//! container, makes the sockets there and hands them over. That child has the mounts and the PIDs of the host; a process
//! of the container sees it only if it shares the host's pid namespace. Interfaces and addresses of a namespace that has
//! an id in this one are read without that (IFLA_TARGET_NETNSID, since Linux 4.20).
//!
//! Interfaces have any name without `/`, `:` and blanks: names are bytes.

mod enter;
mod interfaces;
mod netlink;
mod search;
mod sockets;
mod unix;
mod veths;

pub(crate) use enter::enter;
pub(crate) use interfaces::{
    Interface, Route, has_address, has_interface, interfaces, namespace_id, routes, traffic,
};
pub(crate) use netlink::{Netlink, Protocol};
pub(crate) use search::{Found, search, search_address, search_listeners, search_name};
pub(crate) use sockets::{Listener, Transport, listeners, takes};
pub(crate) use unix::{UnixSocket, search_unix, unix_sockets};
pub(crate) use veths::Veths;

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    netlink::fuzz(data, &mut |payload| {
        interfaces::fuzz(payload);
        sockets::fuzz(payload);
        unix::fuzz(payload);
    });
    interfaces::fuzz(data);
    sockets::fuzz(data);
    unix::fuzz(data);
}
