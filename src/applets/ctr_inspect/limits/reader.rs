//! The control groups of a container, and whether they are its own.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::Pid;

use crate::applets::ctr_inspect::unknown::Unknowns;
pub(super) use crate::container::Own;
use crate::container::group_of;
use crate::container::world::{Subject, World};
use crate::isolation::cgroup::chain::{Groups, Place};
use crate::text;

pub(in crate::applets::ctr_inspect) struct Reader<'a> {
    pub(super) world: &'a World<'a>,
    pub(super) subject: Subject,
    pub(super) groups: Groups<'a>,
    pub(super) members: Vec<i32>,
    pub(super) unknown: &'a Unknowns,
}

impl<'a> Reader<'a> {
    pub(in crate::applets::ctr_inspect) fn new(
        world: &'a World<'a>,
        subject: Subject,
        unknown: &'a Unknowns,
    ) -> Reader<'a> {
        let process = world.proc.process(Pid::from_raw(world.chief(subject)));
        let text = unknown.known("limits.cgroup", process.cgroup()).unwrap_or_default();
        let members = match subject.container {
            Some(number) => world.members(number).map(|process| process.pid).collect(),
            None => vec![subject.pid],
        };
        Reader { world, subject, groups: Groups::new(&world.mounted, &text), members, unknown }
    }

    /// Is it paused? That is also in the identity.
    pub(in crate::applets::ctr_inspect) fn frozen(&self) -> Option<bool> {
        let v1 = self.own_group("freezer").filter(|own| !own.place.v2);
        let v1 = v1.and_then(|own| own.place.read("freezer.state")).map(|state| state != b"THAWED");
        let unified = self.unified().and_then(|own| own.place.field("cgroup.events", "frozen"));
        match (v1, unified.map(|frozen| frozen != 0)) {
            // docker pause uses v1's on a hybrid host; the unified group then says no.
            (Some(v1), Some(unified)) => Some(v1 || unified),
            (v1, unified) => v1.or(unified),
        }
    }

    pub(super) fn mode(&self) -> Option<&'static str> {
        let v2 = self.groups.lines().any(|(controllers, _)| controllers.is_empty());
        let v1 = self.groups.lines().any(|(controllers, _)| !controllers.is_empty());
        match (v1, v2) {
            (true, true) => Some("hybrid"),
            (true, false) => Some("v1"),
            (false, true) => Some("v2"),
            (false, false) => None,
        }
    }

    /// By controller; the unified hierarchy as `unified`.
    pub(super) fn paths(&self) -> BTreeMap<String, String> {
        let mut paths = BTreeMap::new();
        for (controllers, path) in self.groups.lines() {
            let path = text::utf8(self.of_container(path).unwrap_or(path)).into_owned();
            if controllers.is_empty() {
                for name in self.world.mounted.v2_controllers() {
                    paths.entry(name).or_insert_with(|| path.clone());
                }
                paths.insert("unified".to_owned(), path);
                continue;
            }
            for name in controllers.split(|&b| b == b',') {
                paths.insert(text::utf8(name).into_owned(), path.clone());
            }
        }
        paths
    }

    /// The part of a path that is the container's group.
    pub(super) fn of_container<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let container = &self.world.containers[self.subject.container?].container;
        group_of(std::str::from_utf8(path).ok()?, container).map(str::as_bytes)
    }

    pub(super) fn own_group(&self, controller: &str) -> Option<Own> {
        self.groups.place(controller).map(|place| self.own(place))
    }

    pub(super) fn unified(&self) -> Option<Own> {
        self.groups.unified().map(|place| self.own(place))
    }

    /// The group of the container: by the id in its path, else the group of the first process, which can also be that
    /// of others.
    pub(super) fn own(&self, place: Place) -> Own {
        let path = place.path();
        let named = self.of_container(path.as_os_str().as_bytes()).and_then(|path| place.ancestor(path));
        match named {
            Some(place) => Own::named(place),
            None => Own::unnamed(place, |place| self.is_own(place)),
        }
    }

    /// Are all processes of the group processes of the container? None if that cannot be read.
    pub(super) fn is_own(&self, place: &Place) -> Option<bool> {
        let is_other = |pid: &i32| self.members.binary_search(pid).is_err() && self.world.was_there(*pid);
        Some(!place.members()?.iter().any(is_other))
    }

    /// The group. If its files cannot be read: is it the container's alone? The reason is in the list of unknown values.
    pub(super) fn known_group(&self, controller: &str, path: &str) -> Result<Own, Option<bool>> {
        let own = self.own_group(controller).ok_or(None);
        let is_readable = own.as_ref().is_ok_and(|own| own.place.is_there(controller));
        if !is_readable && self.mode().is_some() {
            self.unknown.add(path, self.why_unreadable(own.is_ok(), controller));
        }
        own.and_then(|own| if is_readable { Ok(own) } else { Err(own.own) })
    }

    fn why_unreadable(&self, is_mounted: bool, controller: &str) -> String {
        match (self.unknown.is_copy(), is_mounted) {
            (true, _) => "the copy has no control group files".to_owned(),
            (false, true) => "its control group was removed".to_owned(),
            (false, false) => format!("no mount of control groups here shows its {controller} group"),
        }
    }

    /// Are the files of the unified group there? A copy can lack them: then their values are unknown.
    pub(super) fn has_unified_files(&self, path: &str) -> bool {
        let is_there = || self.groups.unified().is_some_and(|place| place.is_there(""));
        let is_missing = self.unknown.is_copy() && !is_there();
        if is_missing {
            self.unknown.add(path, self.why_unreadable(true, ""));
        }
        !is_missing
    }
}

/// The path of a group, as it is printed.
pub(super) fn shown(place: &Place) -> String {
    text::utf8(place.path().as_os_str().as_bytes()).into_owned()
}

#[expect(clippy::cast_precision_loss, reason = "a percentage")]
pub(in crate::applets::ctr_inspect) fn percent(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    let (part, whole) = (part? as f64, whole.filter(|whole| *whole > 0)? as f64);
    Some((part / whole * 1000.0).round() / 10.0)
}
