//! Reads a container's control groups: memory, its limit, and whether the container is paused. On v1, v2 and hybrid
//! hosts.

use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use crate::container::{Container, group_of};
use crate::isolation::cgroup::{self, Hierarchies, Membership};
use crate::proc::{ProcRoot, number};

/// The container's own control groups.
pub(super) struct Groups {
    /// Controllers and path in each hierarchy.
    lines: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Groups {
    /// Finds the groups by a process of the container. None if the process is in none of the container's own groups.
    pub(super) fn find(proc: &ProcRoot, pid: Pid, container: &Container) -> Option<Groups> {
        let text = proc.process(pid).cgroup().ok()?;
        let own = |line: Membership<'_>| {
            let group = group_of(std::str::from_utf8(line.path).ok()?, container)?;
            Some((line.controllers.to_vec(), group.as_bytes().to_vec()))
        };
        let lines: Vec<_> = cgroup::parse(&text).filter_map(own).collect();
        (!lines.is_empty()).then_some(Groups { lines })
    }

    /// The path in the unified hierarchy, or in the first one if there is none.
    pub(super) fn path(&self) -> Option<&[u8]> {
        let unified = self.lines.iter().find(|(controllers, _)| controllers.is_empty());
        unified.or(self.lines.first()).map(|(_, path)| path.as_slice())
    }

    /// Memory in use in bytes, without inactive file cache, as `docker stats` counts it.
    pub(super) fn memory(&self, mounted: &Hierarchies) -> Option<u64> {
        let directory = self.directory(mounted, "memory")?;
        let (used, cache) = match directory.version {
            Version::One => ("memory.usage_in_bytes", "total_inactive_file"),
            Version::Two => ("memory.current", "inactive_file"),
        };
        let used = directory.number(used)?;
        Some(used.saturating_sub(directory.field("memory.stat", cache).unwrap_or(0)))
    }

    /// The lowest limit of the group and its ancestors. None if there is no limit.
    pub(super) fn limit(&self, mounted: &Hierarchies) -> Option<u64> {
        let directory = self.directory(mounted, "memory")?;
        match directory.version {
            Version::One => {
                directory.field("memory.stat", "hierarchical_memory_limit").filter(|&limit| limit < 1 << 62)
            } // without a limit it is 2^63 less a page
            Version::Two => {
                directory.upwards().filter_map(|above| number_in(&above.join("memory.max"))).min()
            }
        }
    }

    /// Is the group frozen? None if this cannot be read.
    pub(super) fn paused(&self, mounted: &Hierarchies) -> Option<bool> {
        let directory = self.directory(mounted, "freezer")?;
        match directory.version {
            Version::One => read(&directory.path.join("freezer.state")).map(|state| state != b"THAWED"),
            Version::Two => directory.field("cgroup.events", "frozen").map(|frozen| frozen != 0),
        }
    }

    /// The directory of a controller: in its v1 hierarchy, otherwise in the unified one.
    fn directory(&self, mounted: &Hierarchies, controller: &str) -> Option<Directory> {
        let has =
            |controllers: &[u8]| controllers.split(|&b| b == b',').any(|name| name == controller.as_bytes());
        let legacy = self.lines.iter().find(|(controllers, _)| has(controllers));
        let (line, version) = match legacy {
            Some(line) => (line, Version::One),
            None => (self.lines.iter().find(|(controllers, _)| controllers.is_empty())?, Version::Two),
        };
        let membership = Membership { controllers: &line.0, path: &line.1 };
        Some(Directory { path: mounted.directory(membership)?, depth: depth(&line.1), version })
    }
}

#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

struct Directory {
    path: PathBuf,
    /// The number of levels below the root of the hierarchy.
    depth: usize,
    version: Version,
}

impl Directory {
    fn number(&self, file: &str) -> Option<u64> {
        number_in(&self.path.join(file))
    }

    /// The number after a name in a file with lines like `inactive_file 4096`.
    fn field(&self, file: &str, name: &str) -> Option<u64> {
        let text = read(&self.path.join(file))?;
        text.split(|&b| b == b'\n').find_map(|line| {
            let (found, value) = line.split_at_checked(name.len())?;
            (found == name.as_bytes()).then(|| number(value.strip_prefix(b" ")?))?
        })
    }

    /// This directory and its ancestors in the hierarchy.
    fn upwards(&self) -> impl Iterator<Item = &Path> {
        self.path.ancestors().take(self.depth)
    }
}

fn depth(path: &[u8]) -> usize {
    path.split(|&b| b == b'/').filter(|component| !component.is_empty()).count()
}

fn number_in(path: &Path) -> Option<u64> {
    number(&read(path)?)
}

fn read(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok().map(|text| text.trim_ascii().to_vec())
}
