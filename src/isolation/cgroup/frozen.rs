//! Frozen groups: a process that joins one stops until the group is thawed (cgroups(7), "Freezer"; Linux
//! Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst). `docker pause` freezes, and so does a container that may
//! write to its groups.

use std::path::Path;

use anyhow::Result;
use nix::unistd::Pid;

use super::group::{Group, words};
use super::hierarchy::Hierarchies;
use crate::proc::ProcRoot;

impl Group {
    /// Is the group frozen, or being frozen, by itself or by a group above?
    #[must_use]
    pub(crate) fn is_frozen(&self) -> bool {
        let directory = self.directory();
        if !self.v2 {
            return words(&directory.join("freezer.state")).is_ok_and(|words| words != ["THAWED"]);
        }
        // The mount may not show all groups above. This file covers them too, but only when every process is frozen.
        let events = words(&directory.join("cgroup.events")).unwrap_or_default();
        let is_done = events.chunks(2).any(|event| event == ["frozen", "1"]);
        let is_asked =
            |directory: &Path| words(&directory.join("cgroup.freeze")).is_ok_and(|words| words == ["1"]);
        is_done || self.path.ancestors().any(|path| is_asked(&self.mount_point.join(path)))
    }
}

impl Hierarchies {
    /// A frozen group of the process, in any visible hierarchy.
    pub(crate) fn frozen_group_of(&self, proc: &ProcRoot, pid: Pid) -> Result<Option<Group>> {
        Ok(self.groups_of(proc, pid)?.into_iter().find(Group::is_frozen))
    }
}
