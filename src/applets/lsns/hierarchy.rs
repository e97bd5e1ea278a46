//! Relations between namespaces: parents and owners.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use nix::sys::stat::fstat;

use super::collect::{Found, Namespace, unless_broken};
use crate::isolation::ns;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;

/// The relations of one namespace. An inode of 0 means that there is none, or that the caller may not see it.
#[derive(Default, Clone, Copy)]
pub(super) struct Relation {
    pub parent: u64,
    pub owner: u64,
}

/// The relations of all namespaces. With `implicits`, it adds parents and owners that were not found otherwise. An error is
/// one of the host: without it, a namespace would seem to have no owner.
pub(super) fn relate(
    proc: &ProcRoot,
    found: &mut Found,
    kinds: &[Kind],
    implicits: bool,
) -> Result<Vec<Relation>> {
    let mut relations = Vec::new();
    while relations.len() < found.namespaces.len() {
        let at = relations.len();
        let kind = found.namespaces[at].kind;
        let (owner, parent) = above(proc, &found.namespaces[at]).with_context(|| {
            format!("cannot read the owner of {}:[{}]", kind.link(), found.namespaces[at].inode)
        })?;
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
    Ok(relations)
}

/// The owner and the parent.
fn above(proc: &ProcRoot, namespace: &Namespace) -> nix::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    let Some(fd) = namespace.open(proc)? else { return Ok((None, None)) };
    let parent = match namespace.kind {
        Kind::User | Kind::Pid => unless_broken(ns::parent_of(&fd))?,
        _ => None,
    };
    Ok((unless_broken(ns::owner_of(&fd))?, parent))
}
