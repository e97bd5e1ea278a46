//! Reads a container's control groups: memory, its limit, and whether the container is paused. On v1, v2 and hybrid
//! hosts.

use nix::unistd::Pid;

use crate::container::{Container, group_of};
use crate::isolation::cgroup::chain::Lines;
use crate::isolation::cgroup::{self, Hierarchies, Membership};
use crate::proc::ProcRoot;

/// The container's own control groups.
pub(super) struct Groups(Lines);

impl Groups {
    /// Finds the groups by a process of the container. None if the process is in none of the container's own groups.
    pub(super) fn find(proc: &ProcRoot, pid: Pid, container: &Container) -> Option<Groups> {
        let text = proc.process(pid).cgroup().ok()?;
        let own = |line: Membership<'_>| {
            let group = group_of(std::str::from_utf8(line.path).ok()?, container)?;
            Some((line.controllers.to_vec(), group.as_bytes().to_vec()))
        };
        let lines: Vec<_> = cgroup::parse(&text).filter_map(own).collect();
        (!lines.is_empty()).then_some(Groups(Lines(lines)))
    }

    /// The path in the unified hierarchy, or in the first one if there is none.
    pub(super) fn path(&self) -> Option<&[u8]> {
        self.0.unified().or(self.0.0.first()).map(|(_, path)| path.as_slice())
    }

    /// Memory in use in bytes, without inactive file cache, as `docker stats` counts it.
    pub(super) fn memory(&self, mounted: &Hierarchies) -> Option<u64> {
        let place = self.0.place(mounted, "memory")?;
        let (used, cache) = match place.v2 {
            false => ("memory.usage_in_bytes", "total_inactive_file"),
            true => ("memory.current", "inactive_file"),
        };
        let used = place.number(used)?;
        Some(used.saturating_sub(place.field("memory.stat", cache).unwrap_or(0)))
    }

    /// The lowest limit of the group and its ancestors. None if there is no limit.
    pub(super) fn limit(&self, mounted: &Hierarchies) -> Option<u64> {
        let place = self.0.place(mounted, "memory")?;
        if place.v2 {
            return place.least(|place| place.number("memory.max")).map(|least| least.value);
        }
        // Without a limit it is 2^63 less a page.
        place.field("memory.stat", "hierarchical_memory_limit").filter(|&limit| limit < 1 << 62)
    }

    /// CPU time, in microseconds.
    pub(super) fn cpu_time(&self, mounted: &Hierarchies) -> Option<u64> {
        match self.0.place(mounted, "cpuacct")? {
            place if place.v2 => place.field("cpu.stat", "usage_usec"),
            place => place.number("cpuacct.usage").map(|nanoseconds| nanoseconds / 1_000),
        }
    }

    /// How many processes the kernel killed for lack of memory.
    pub(super) fn oom_kills(&self, mounted: &Hierarchies) -> Option<u64> {
        self.0.place(mounted, "memory")?.oom_kills()
    }

    /// The part of the last 10 seconds in which some process waited for `cpu`, `memory` or `io`, in tenths of a percent.
    /// None on v1.
    pub(super) fn pressure(&self, mounted: &Hierarchies, resource: &str) -> Option<u64> {
        // The files are in the unified hierarchy, even if v1 has the controller.
        let place = self.0.place(mounted, "").filter(|place| place.v2)?;
        average(&place.read(&format!("{resource}.pressure"))?)
    }

    /// Is the group frozen? None if this cannot be read.
    pub(super) fn paused(&self, mounted: &Hierarchies) -> Option<bool> {
        let place = self.0.place(mounted, "freezer")?;
        match place.v2 {
            false => place.read("freezer.state").map(|state| state != b"THAWED"),
            true => place.field("cgroup.events", "frozen").map(|frozen| frozen != 0),
        }
    }
}

/// `some avg10=1.23 avg60=…`, in tenths.
fn average(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let some = text.lines().find_map(|line| line.strip_prefix("some avg10="))?;
    let (whole, part) = some.split_whitespace().next()?.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 10 + u64::from(part.bytes().next()?.checked_sub(b'0')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_of_pressure() {
        let text =
            b"some avg10=12.34 avg60=0.00 avg300=0.00 total=5\nfull avg10=1.00 avg60=0 avg300=0 total=0";
        assert_eq!(average(text), Some(123));
        assert_eq!(average(b"full avg10=1.00"), None);
        assert_eq!(average(b"some avg10=x"), None);
    }
}
