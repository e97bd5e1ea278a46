//! Netlink sockets of another network namespace.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::ForkResult;

use super::{Netlink, Protocol};
use crate::isolation::descriptors::{channel, receive, send};
use crate::sys;

/// A child enters the namespace, makes a socket of each protocol there, hands them over and ends.
pub(crate) fn enter(namespace: &OwnedFd) -> nix::Result<(Netlink, Netlink)> {
    let (here, there) = channel()?;
    let child = match sys::fork_silent()? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            drop(here);
            let made = sys::setns(namespace, libc::CLONE_NEWNET).and_then(|()| {
                let route = Netlink::open(Protocol::Route)?.into_fd();
                let diagnosis = Netlink::open(Protocol::SocketDiagnosis)?.into_fd();
                send(&there, [&route, &diagnosis])
            });
            sys::exit_now(made.map_or_else(|errno| errno as i32, |()| 0));
        }
    };
    drop(there);
    match sys::wait_for_step(child)? {
        sys::Ended::Exited(0) => {}
        sys::Ended::Exited(errno) => return Err(Errno::from_raw(errno.into())),
        _ => return Err(Errno::ECHILD),
    }
    let [route, diagnosis] = receive::<2>(&here).ok_or(Errno::EMFILE)?;
    Ok((Netlink::from_fd(route), Netlink::from_fd(diagnosis)))
}
