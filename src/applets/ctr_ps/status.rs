//! What a container does, or how it ended.

use super::containers::Seen;
use super::usage::Groups;
use crate::container::records::Record;
use crate::isolation::cgroup::Hierarchies;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    /// Its control group is frozen.
    Paused,
    /// It ended, and its runtime starts it again after a while.
    Restarting,
    /// It was never started, or could not be.
    Created,
    Exited,
    /// It does not run; its state files do not say more.
    Stopped,
}

impl Status {
    pub(super) const ALL: [Status; 6] = [
        Status::Running,
        Status::Paused,
        Status::Restarting,
        Status::Created,
        Status::Exited,
        Status::Stopped,
    ];

    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Created => "created",
            Status::Exited => "exited",
            Status::Stopped => "stopped",
        }
    }

    /// Also as crictl(1) writes it: `Exited` and `CONTAINER_EXITED`.
    #[must_use]
    pub(super) fn from_name(name: &str) -> Option<Status> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("container_").unwrap_or(&name);
        Status::ALL.into_iter().find(|status| status.name() == name)
    }

    #[must_use]
    pub(super) fn runs(self) -> bool {
        matches!(self, Status::Running | Status::Paused)
    }

    /// None if its control group cannot be read.
    #[must_use]
    pub(super) fn of(
        seen: &Seen,
        groups: Option<&Groups>,
        mounted: &Hierarchies,
        record: Option<&Record>,
    ) -> Option<Status> {
        if !seen.stopped {
            return match groups.map(|groups| groups.paused(mounted)) {
                Some(None) => None,
                Some(Some(true)) => Some(Status::Paused),
                Some(Some(false)) | None => Some(Status::Running),
            };
        }
        Some(match record.and_then(|record| record.ending.as_ref()) {
            None => Status::Stopped,
            Some(ending) if ending.restarts => Status::Restarting,
            Some(ending) if ending.was_started => Status::Exited,
            Some(_) => Status::Created,
        })
    }
}
