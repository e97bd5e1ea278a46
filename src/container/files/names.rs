//! The names in directories. Each directory is listed once.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::budget::Cost;
use super::{Files, NODE};
use crate::sys;
use crate::sys::keyed::HashMap;

/// The names in a directory.
#[derive(Default)]
pub struct Names {
    all: BTreeSet<Rc<str>>,
    /// Root's directory has more names than these, or cannot be listed.
    more: bool,
    /// Was it counted as a state directory?
    counted: Cell<bool>,
}

impl Names {
    /// Can the directory contain this name?
    pub fn may_have(&self, name: &str) -> bool {
        self.more || self.all.contains(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rc<str>> {
        self.all.iter()
    }

    pub fn has_more(&self) -> bool {
        self.more
    }
}

/// By user and path.
pub(super) type Listings = HashMap<(Option<u32>, String), Rc<Names>>;

impl Files {
    /// The names in a directory that are valid UTF-8; none if the directory is missing.
    pub fn list(&self, path: &str) -> Vec<String> {
        self.names(path).iter().map(|name| name.as_ref().to_owned()).collect()
    }

    /// The same, as of the first call for this directory.
    pub fn names(&self, path: &str) -> Rc<Names> {
        let key = (self.user, path.to_owned());
        if let Some(names) = self.system.listings.borrow().get(&key) {
            return names.clone();
        }
        let kept = path.len().saturating_add(2 * NODE);
        if path.len() > Self::LONGEST_PATH || !self.spend(path, Cost::Look, 1) || !self.keep(path, kept) {
            return Rc::default();
        }
        let names = Rc::new(self.read_names(path));
        self.system.listings.borrow_mut().insert(key, names.clone());
        names
    }

    /// The names in a state directory. None if it is empty, or if that user has too many state directories.
    pub fn state_dir(&self, path: &str) -> Option<Rc<Names>> {
        let names = self.names(path);
        let has_entries = names.more || !names.all.is_empty();
        let counted = has_entries && (names.counted.replace(true) || self.spend(path, Cost::StateDir, 1));
        counted.then_some(names)
    }

    fn read_names(&self, path: &str) -> Names {
        let mut names = Names::default();
        let most = self.budget.as_ref().map_or(Self::MOST_NAMES, |budget| budget.left(Cost::Name));
        let mut found = match self.first_names(path, most + 1) {
            Ok(found) => found,
            Err(errno) => {
                // A directory can allow access to files by name, but no listing.
                let denied = matches!(errno, Errno::EACCES | Errno::EPERM);
                names.more = self.budget.is_none() && denied;
                return if names.more { names } else { self.report_errno(path, errno).unwrap_or(names) };
            }
        };
        if found.len() > most && self.budget.is_none() {
            names.more = true;
            self.reject::<()>(path, "too many names, the rest is left out");
        }
        // Every entry counts, even one that is not a valid name.
        let kept = found.iter().map(|name| name.len() + 2 * NODE).sum(); // the name, and its entry in an index
        _ = self.spend(path, Cost::Name, found.len()) && self.keep(path, kept);
        found.truncate(most);
        names.all = found.into_iter().filter(|name| !name.is_empty()).map(Rc::from).collect();
        names
    }

    /// The first `most` names in a directory, read by this process.
    pub(super) fn names_here(&self, path: &str, most: usize) -> nix::Result<Vec<String>> {
        let directory = self.open_here(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut names: Vec<String> = Vec::new();
        sys::directory::each(&directory, |entry| {
            // An empty name stands for one that is not UTF-8.
            names.push(entry.name.into_string().unwrap_or_default());
            if names.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        // The helper process runs for long, and a container may want to unmount the directory.
        if !self.may_wait() {
            sys::close_later(directory.into());
        }
        Ok(names)
    }
}
