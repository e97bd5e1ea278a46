//! Mounts that only one side has. A directory of the host is mounted with all that is mounted below it.

use super::{Difference, Is};
use crate::order;

/// For each difference the place of the outermost mount above it, of those that the same side lacks. A container can have
/// thousands of mounts: each is compared with one other.
pub(super) fn above(all: &[Difference]) -> Vec<Option<usize>> {
    let mut found = vec![None; all.len()];
    for lacks in [|one: &Difference| one.a_is == Is::Absent, |one: &Difference| one.b_is == Is::Absent] {
        let is_mount = |at: &usize| all[*at].path.starts_with("files.mounts./") && lacks(&all[*at]);
        let mut mounts: Vec<usize> = (0..all.len()).filter(is_mount).collect();
        // In this order those below a directory follow it.
        order::sort_by(&mut mounts, |one, other| all[*one].path.split('/').cmp(all[*other].path.split('/')));
        let mut top: Option<usize> = None;
        for at in mounts {
            match top.filter(|top| is_below(&all[at].path, &all[*top].path)) {
                Some(top) => found[at] = Some(top),
                None => top = Some(at),
            }
        }
    }
    found
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}
