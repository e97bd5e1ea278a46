//! Nested containers: reads the state files of a runtime inside a container through the root directory of that
//! container.
//!
//! The outer container controls these files. They count only for processes inside it.

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
    /// Opens the system below a container's root directory. `still` runs after that directory is open: before, another
    /// process could have taken the PID.
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

    /// The container of a candidate. The PIDs in its state file belong to the inner pid namespace, so they are
    /// dropped.
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
            helper: None,
            init_start: None,
            init_written: None,
            namespaces: Vec::new(),
            config: None,       // a path inside
            owner: outer.owner, // root inside is the owner of the outer container
            outer: Some(outer.clone()),
            ..loaded
        }))
    }
}

/// The files that a process sees; None if one of its file systems is known to be able to block. Others can block
/// too: overlayfs hides its lower file systems.
#[must_use]
pub(crate) fn inside(proc: &ProcRoot, pid: Pid, account: Account) -> Option<Files> {
    if may_hang(proc, pid) { None } else { Files::of_process(proc, pid, account).ok() }
}

/// A file system that a process of the container serves can block ctrbox without limit. lxcfs is mounted over files
/// of /proc and /sys, which contain no state files.
fn may_hang(proc: &ProcRoot, init: Pid) -> bool {
    let Ok(text) = proc.process(init).mountinfo() else { return true };
    mounts(&text).any(|mount| {
        mount.is_served() && !mount.point.starts_with(b"/proc") && !mount.point.starts_with(b"/sys")
    })
}
