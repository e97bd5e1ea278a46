//! Relations between namespaces: parents, owners, and the ids by which a network namespace knows others.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use nix::sys::stat::fstat;

use super::collect::Found;
use crate::isolation::ns;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;

/// The relations of one namespace. An inode of 0 means that there is none, or that the caller may not see it.
#[derive(Default, Clone, Copy)]
pub(super) struct Relation {
    pub parent: u64,
    pub owner: u64,
}

/// The relations of all namespaces. With `implicits`, it adds parents and owners that were not found otherwise.
pub(super) fn relate(proc: &ProcRoot, found: &mut Found, kinds: &[Kind], implicits: bool) -> Vec<Relation> {
    let mut relations = Vec::new();
    while relations.len() < found.namespaces.len() {
        let at = relations.len();
        let kind = found.namespaces[at].kind;
        let fd = found.namespaces[at].open(proc);
        let owner = fd.as_ref().and_then(|fd| ns::owner_of(fd).ok());
        let parent = match kind {
            Kind::User | Kind::Pid => fd.as_ref().and_then(|fd| ns::parent_of(fd).ok()),
            _ => None,
        };
        let mut inode_of = |relative: Option<OwnedFd>, kind: Kind| {
            let Some(inode) = relative.as_ref().and_then(|fd| fstat(fd).ok()).map(|stat| stat.st_ino) else {
                return 0;
            };
            if implicits && kinds.contains(&kind) && found.find(kind, inode).is_none() {
                let implicit = found.entry(kind, inode);
                found.namespaces[implicit].implicit = relative;
            }
            inode
        };
        let relation = Relation { parent: inode_of(parent, kind), owner: inode_of(owner, Kind::User) };
        relations.push(relation);
    }
    relations
}

/// Asks the kernel, over rtnetlink(7), for the ids by which the caller's network namespace knows others.
pub(super) struct NetIds(Option<OwnedFd>);

const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

impl NetIds {
    #[must_use]
    pub(super) fn new() -> NetIds {
        let flags = SockFlag::SOCK_CLOEXEC;
        NetIds(socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute).ok())
    }

    /// `unassigned`, or the number. None if the kernel does not answer.
    #[must_use]
    pub(super) fn id_of(&self, namespace: &OwnedFd) -> Option<String> {
        let socket = self.0.as_ref()?;
        let mut request = Vec::with_capacity(28);
        request.extend_from_slice(&28_u32.to_ne_bytes()); // nlmsghdr: length, type, flags, sequence, port
        request.extend_from_slice(&RTM_GETNSID.to_ne_bytes());
        request.extend_from_slice(&1_u16.to_ne_bytes()); // NLM_F_REQUEST
        request.extend_from_slice(&[0; 8]);
        request.extend_from_slice(&[0; 4]); // rtgenmsg: family, padded
        request.extend_from_slice(&8_u16.to_ne_bytes()); // rtattr: length, type, value
        request.extend_from_slice(&NETNSA_FD.to_ne_bytes());
        request.extend_from_slice(&namespace.as_raw_fd().to_ne_bytes());
        send(socket.as_raw_fd(), &request, MsgFlags::empty()).ok()?;
        let mut reply = [0; 256];
        let length = recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty()).ok()?;
        match parse(reply.get(..length)?)? {
            -1 => Some("unassigned".to_owned()),
            id => Some(id.to_string()),
        }
    }
}

/// The id in a reply of the kernel.
fn parse(reply: &[u8]) -> Option<i32> {
    let word = |at: usize| Some(u16::from_ne_bytes(reply.get(at..at + 2)?.try_into().ok()?));
    if word(4)? != RTM_GETNSID - 2 {
        return None; // an error
    }
    let mut at = 20;
    while let (Some(length), Some(kind)) = (word(at), word(at + 2)) {
        if kind == NETNSA_NSID {
            return Some(i32::from_ne_bytes(reply.get(at + 4..at + 8)?.try_into().ok()?));
        }
        at += usize::from(length).max(4).next_multiple_of(4);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_parsed_and_errors_are_not() {
        let mut reply = vec![0; 20];
        reply[4] = 88;
        reply.extend_from_slice(&[8, 0, 9, 0, 1, 1, 1, 1]);
        reply.extend_from_slice(&[8, 0, 1, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(parse(&reply), Some(-1));
        for end in 0..reply.len() - 1 {
            assert_eq!(parse(&reply[..end]), None, "{end}");
        }
        reply[4] = 2;
        assert_eq!(parse(&reply), None);
    }
}
