//! Relations between namespaces: parents and owners.

use std::os::fd::OwnedFd;

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
