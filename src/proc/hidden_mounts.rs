//! Which mounts no look-up of a path reaches, as other mounts cover them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::mountinfo::Mount;
use crate::order;

/// The ids of the mounts that others cover.
pub(crate) struct HiddenMounts<'a>(BTreeSet<&'a [u8]>);

impl<'a> HiddenMounts<'a> {
    #[must_use]
    pub(crate) fn of(all: impl Iterator<Item = Mount<'a>>) -> HiddenMounts<'a> {
        let all: Vec<Mount<'a>> = all.collect();
        let at: BTreeMap<&[u8], usize> = all.iter().enumerate().map(|(at, mount)| (mount.id, at)).collect();
        let parents: Vec<Option<usize>> = all.iter().map(|mount| at.get(mount.parent).copied()).collect();
        let mut hidden = below_siblings(&all);
        inherit(&mut hidden, &parents);
        for (mount, parent) in all.iter().zip(&parents) {
            // On top of its parent. Paths begin below a mount on the root, and `/..` leads onto it: both are reached.
            if let Some(parent) = parent.filter(|parent| all[*parent].point == mount.point && !is_root(mount))
            {
                hidden[parent] = all[parent].id != mount.id || hidden[parent];
            }
        }
        HiddenMounts(
            all.iter().zip(hidden).filter_map(|(mount, hidden)| hidden.then_some(mount.id)).collect(),
        )
    }

    #[must_use]
    pub(crate) fn has(&self, mount: &Mount<'_>) -> bool {
        self.0.contains(mount.id)
    }
}

fn is_root(mount: &Mount<'_>) -> bool {
    mount.point == b"/"
}

/// Those below the mount point of another mount with the same parent, or on the same point before it.
fn below_siblings(all: &[Mount<'_>]) -> Vec<bool> {
    let point = |at: usize| Path::new(OsStr::from_bytes(all[at].point));
    let mut sorted: Vec<usize> = (0..all.len()).filter(|at| !is_root(&all[*at])).collect();
    order::sort_by_key(&mut sorted, |at| (all[*at].parent, point(*at), Reverse(*at)));
    let (mut hidden, mut above) = (vec![false; all.len()], None::<usize>);
    for at in sorted {
        match above {
            Some(above) if all[above].parent == all[at].parent && point(at).starts_with(point(above)) => {
                hidden[at] = true;
            }
            _ => above = Some(at),
        }
    }
    hidden
}

/// What is in a hidden mount is hidden too. The chain of a mount ends where it is known, or in a circle.
fn inherit(hidden: &mut [bool], parents: &[Option<usize>]) {
    let mut is_known = vec![false; hidden.len()];
    for first in 0..hidden.len() {
        let (mut chain, mut next) = (Vec::new(), Some(first));
        while let Some(at) = next.filter(|at| !is_known[*at]) {
            is_known[at] = true;
            chain.push(at);
            next = parents[at];
        }
        let mut above = next.is_some_and(|at| hidden[at]);
        for at in chain.into_iter().rev() {
            above |= hidden[at];
            hidden[at] = above;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::mountinfo::mounts;

    fn reached(lines: &[(u32, u32, &str)]) -> Vec<u32> {
        let line = |(id, parent, point): &(u32, u32, &str)| {
            format!("{id} {parent} 0:{id} / {point} rw - tmpfs tmpfs rw\n")
        };
        let text: String = lines.iter().map(line).collect();
        let hidden = HiddenMounts::of(mounts(text.as_bytes()));
        let seen = mounts(text.as_bytes()).filter(|mount| !hidden.has(mount));
        seen.filter_map(|mount| crate::proc::number(mount.id)).collect()
    }

    #[test]
    fn mounts_below_a_later_one_are_not_reached() {
        let root = (1, 0, "/");
        assert_eq!(
            reached(&[root, (2, 1, "/h/etc"), (3, 2, "/h/etc/x"), (4, 1, "/h"), (5, 4, "/h/etc")]),
            [1, 4, 5]
        );
        assert_eq!(reached(&[root, (2, 1, "/h"), (3, 2, "/h/etc")]), [1, 2, 3], "a mount in a mount");
        assert_eq!(reached(&[root, (2, 1, "/h"), (3, 1, "/h2"), (4, 1, "/h-a/b")]), [1, 2, 3, 4]);
        assert_eq!(reached(&[root, (2, 1, "/h"), (3, 2, "/h/x"), (4, 2, "/h")]), [1, 4], "on top");
        assert_eq!(reached(&[root, (2, 1, "/h"), (3, 2, "/h"), (4, 3, "/h/x")]), [1, 3, 4], "in the top one");
        assert_eq!(reached(&[root, (2, 1, "/h"), (3, 1, "/h")]), [1, 3], "the later one");
        assert_eq!(reached(&[(3, 2, "/h/x"), (4, 1, "/h"), (2, 1, "/h/x"), root]), [4, 1], "in any order");
        assert_eq!(reached(&[root, (2, 1, "/h"), (3, 1, "/"), (4, 3, "/x")]), [1, 2, 3, 4], "on the root");
        assert_eq!(reached(&[(2, 9, "/a/b"), (3, 9, "/a")]), [3], "after chroot(2)");
        assert_eq!(reached(&[(1, 2, "/a"), (2, 1, "/b"), (3, 3, "/c")]), [1, 2, 3], "a circle");
    }
}
