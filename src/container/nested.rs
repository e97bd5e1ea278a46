//! Containers in containers: the records that a runtime inside of one keeps, read through its root directory.
//!
//! What they say is the outer container's own word, and counts for what is inside of it only.

use std::rc::Rc;

use nix::unistd::Pid;

use super::cgroup_path::Candidate;
use super::runtimes::{StateReader, Store};
use super::{Container, Files};
use crate::access::Account;
use crate::proc::ProcRoot;
use crate::proc::mountinfo::mounts;

pub(super) struct Nested {
    files: Files,
    /// In the order of [`Store::ALL`].
    readers: [Box<dyn StateReader>; Store::ALL.len()],
}

impl Nested {
    /// The system below a container's root directory. `still` is asked when that is open: before, the PID may
    /// have become another's.
    pub(super) fn open(
        proc: &ProcRoot,
        host: &Files,
        container: &Container,
        still: impl FnOnce(Pid) -> bool,
    ) -> Option<Nested> {
        let init = container.init?;
        let files = inside(proc, init, Account::of_owner(container.owner, init.as_raw()))?;
        let files = files.below(host, container.owner)?;
        let readers = Store::ALL.map(Store::reader);
        still(init).then_some(Nested { files, readers })
    }

    /// The container of a candidate. Its PIDs are those of that pid namespace, and mean nothing here.
    pub(super) fn load(&self, candidate: &Candidate<'_>, outer: &Rc<Container>) -> Option<Rc<Container>> {
        let loaded = candidate.stores.iter().find_map(|&store| {
            let reader = &self.readers[store as usize];
            reader.load(&self.files, &candidate.id).into_iter().next()
        })?;
        if !self.files.keep(&loaded.id, loaded.size()) {
            return None;
        }
        Some(Rc::new(Container {
            init: None,
            init_start: None,
            init_noted: None,
            namespaces: Vec::new(),
            owner: outer.owner, // root inside is whoever the outer one belongs to
            outer: Some(outer.clone()),
            ..loaded
        }))
    }
}

/// The files that a process sees; none if its file system is known to be one that need not answer. Of others it is
/// not known: overlayfs hides what it lies over.
#[must_use]
pub(crate) fn inside(proc: &ProcRoot, pid: Pid, account: Account) -> Option<Files> {
    if may_hang(proc, pid) { None } else { Files::of_container(&proc.path_of(pid, "root"), account).ok() }
}

/// A file system served by a process of that container could make us wait for ever. One of lxcfs lies over
/// files of /proc and /sys, where no records are.
fn may_hang(proc: &ProcRoot, init: Pid) -> bool {
    let Ok(text) = proc.read(init, "mountinfo") else { return true };
    mounts(&text).any(|mount| {
        mount.is_served() && !mount.point.starts_with(b"/proc") && !mount.point.starts_with(b"/sys")
    })
}
