//! Containers in containers: the records that a runtime inside of one keeps, read through its root directory.
//!
//! What they say is the outer container's own word, and counts for what is inside of it only.

use std::rc::Rc;

use nix::unistd::Pid;

use super::cgroup_path::Candidate;
use super::records::{Records, Store};
use super::users::is_served;
use super::{Container, Files};
use crate::aside::Account;
use crate::proc::ProcRoot;

pub(super) struct Nested {
    files: Files,
    /// In the order of [`Store::ALL`].
    records: [Box<dyn Records>; Store::ALL.len()],
}

impl Nested {
    /// The system below a container's root directory. `still` is asked when that is open: before, the PID may
    /// have become another's.
    pub(super) fn open(
        proc: &ProcRoot,
        container: &Container,
        still: impl FnOnce(Pid) -> bool,
    ) -> Option<Nested> {
        let init = container.init?;
        let files = inside(proc, init, Account::of_owner(container.owner, init.as_raw()))?;
        let records = Store::ALL.map(Store::records);
        still(init).then_some(Nested { files, records })
    }

    /// The container of a candidate. Its PIDs are those of that pid namespace, and mean nothing here.
    pub(super) fn load(&self, candidate: &Candidate<'_>, outer: &Rc<Container>) -> Option<Rc<Container>> {
        let loaded = candidate.stores.iter().find_map(|&store| {
            let records = &self.records[store as usize];
            records.load(&self.files, &candidate.id).into_iter().next()
        })?;
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
    if may_hang(proc, pid) { None } else { Files::of_container(&proc.of(pid, "root"), account).ok() }
}

/// A file system served by a process of that container could make us wait for ever. One of lxcfs lies over
/// files of /proc and /sys, where no records are.
fn may_hang(proc: &ProcRoot, init: Pid) -> bool {
    let Ok(text) = proc.read(init, "mountinfo") else { return true };
    text.split(|&b| b == b'\n').any(|line| {
        let mut fields = line.split(|&b| b == b' ');
        let place = fields.nth(4).unwrap_or_default();
        let kind = fields.skip_while(|field| *field != b"-").nth(1).unwrap_or_default();
        is_served(kind) && !place.starts_with(b"/proc") && !place.starts_with(b"/sys")
    })
}
