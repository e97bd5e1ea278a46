//! Which processes matter for a control group.

use std::collections::BTreeSet;
use std::rc::Rc;

use memchr::memmem::Finder;
use nix::unistd::Pid;

use super::super::thing::is_id;
use super::{Focus, MOST, inits};
use crate::container::stopped::Stores;
use crate::isolation::cgroup::{Listing, View, parse, shared_depth};
use crate::proc::ns::Kind as Namespace;

impl Focus<'_> {
    /// With many groups for each process the processes are read.
    pub(super) fn listing(&self) -> Option<&Listing> {
        self.groups.get_or_init(|| Listing::read(self.proc, self.pids.len())).as_ref()
    }

    /// The text of the cgroup file of a process. Several readings of a word need it.
    pub(super) fn groups_of(&mut self, pid: Pid) -> Option<Rc<[u8]>> {
        if let Some(known) = self.texts.get(&pid.as_raw()) {
            return known.clone();
        }
        let text: Option<Rc<[u8]>> = self.scan.cgroup(pid).ok().map(Rc::from);
        self.texts.insert(pid.as_raw(), text.clone());
        text
    }

    /// The processes in a group or in another one of the same container.
    pub(super) fn in_group(&mut self, path: &str) -> Option<Vec<i32>> {
        let id = path.split(['/', '-', '.', ':']).rfind(|part| is_id(part));
        let records = id.map(|id| Stores::new(self.files).all_with(&|other| other == id));
        let last = path.trim_end_matches('/').rsplit('/').next().filter(|last| !last.is_empty())?;
        let found = records.as_deref().and_then(inits);
        Some(found.unwrap_or_else(|| match id {
            Some(id) => self.in_groups(id),
            None if path.starts_with('/') => self.in_or_above(path, last),
            None => self.in_groups_called(last),
        }))
    }

    /// The processes in the groups that are wanted by their paths. None if only the processes can tell.
    fn members(&self, wants: impl Fn(&[u8]) -> bool) -> Option<Vec<i32>> {
        let listing = self.listing()?;
        let (mut found, mut is_there) = (BTreeSet::new(), false);
        for group in listing.groups().iter().filter(|group| wants(&group.path)) {
            is_there = true;
            found.extend(listing.members(group)?);
        }
        let is_known = |pid: &i32| self.pids.binary_search(&Pid::from_raw(*pid)).is_ok();
        let found: Vec<i32> = found.into_iter().filter(is_known).collect();
        // A process that goes from one group to another and back can be in neither when that is read.
        if found.is_empty() && is_there { None } else { Some(found) }
    }

    /// The processes with the last part of the path in their groups; without any those in the nearest group above, if they can
    /// be those of one container.
    fn in_or_above(&mut self, path: &str, last: &str) -> Vec<i32> {
        let inside = self.in_groups_called(last);
        if !inside.is_empty() {
            return inside;
        }
        let found = self.listed_above(path.as_bytes()).unwrap_or_else(|| self.read_above(path.as_bytes()));
        let host = self.link(Pid::this(), Namespace::Mnt);
        let is_hosts = |pid: &i32| self.link(Pid::from_raw(*pid), Namespace::Mnt) == host;
        if found.len() > MOST || found.iter().all(is_hosts) { Vec::new() } else { found }
    }

    fn listed_above(&self, path: &[u8]) -> Option<Vec<i32>> {
        let depths = self.listing()?.groups().iter().map(|group| shared_depth(path, &group.path));
        match depths.max().filter(|deepest| *deepest > 0) {
            Some(deepest) => self.members(|other| shared_depth(path, other) == deepest),
            None => Some(Vec::new()),
        }
    }

    fn read_above(&mut self, path: &[u8]) -> Vec<i32> {
        let (mut deepest, mut found) = (1, Vec::new());
        for pid in self.pids.clone() {
            let Some(groups) = self.groups_of(pid) else { continue };
            let depth = parse(&groups).map(|line| shared_depth(path, line.path)).max().unwrap_or(0);
            if depth > deepest {
                (deepest, found) = (depth, Vec::new());
            }
            if depth == deepest {
                found.push(pid.as_raw());
            }
        }
        found
    }

    /// The processes with the text in the paths of their control groups.
    pub(super) fn in_groups(&mut self, text: &str) -> Vec<i32> {
        let finder = Finder::new(text);
        self.in_groups_that(|paths| finder.find(paths).is_some())
    }

    /// The processes in a group of this name, or below it.
    fn in_groups_called(&mut self, name: &str) -> Vec<i32> {
        let part = format!("/{name}");
        let finder = Finder::new(&part);
        self.in_groups_that(|paths| has_part(paths, &finder))
    }

    /// `wants` gets the path of a group, or the text with those of a process.
    fn in_groups_that(&mut self, wants: impl Fn(&[u8]) -> bool) -> Vec<i32> {
        if let Some(found) = self.members(&wants) {
            return found;
        }
        let (mut found, mut is_relative) = (Vec::new(), false);
        for pid in self.pids.clone() {
            let Some(groups) = self.groups_of(pid) else { continue };
            // Then the names of the groups above that of this process are not in the text.
            is_relative |= View::is_relative(&groups);
            found.extend(wants(&groups).then_some(pid.as_raw()));
        }
        self.is_incomplete |= is_relative;
        found
    }
}

/// Is it a whole part of a path? A path can be followed by ` (deleted)`.
fn has_part(paths: &[u8], part: &Finder<'_>) -> bool {
    let is_whole =
        |at: usize| matches!(paths.get(at + part.needle().len()), None | Some(b'/' | b'\n' | b' '));
    part.find_iter(paths).any(is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_whole_part_of_a_path() {
        let part = Finder::new("/f");
        for text in ["/a/f", "/f/b", "4:pids:/x\n0::/a/f\n", "/fa/f (deleted)", "/ff/f"] {
            assert!(has_part(text.as_bytes(), &part), "{text}");
        }
        for text in ["/fa", "/a/ff/b", "/af", ""] {
            assert!(!has_part(text.as_bytes(), &part), "{text}");
        }
    }
}
