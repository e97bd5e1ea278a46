//! CPU time: quotas, throttling, and the CPUs that processes may use.

use std::time::Duration;

use nix::unistd::Pid;
use serde::Serialize;

use super::reader::{Own, Reader, percent, shown};
use crate::isolation::cgroup::chain::Place;
use crate::isolation::cgroup::pressure::stall;
use crate::proc::{count_of_list, cpus_allowed};
use crate::text;

#[derive(Serialize, Debug, Default)]
pub(in crate::applets::ctr_inspect) struct Cpu {
    /// In CPUs.
    pub quota: Option<f64>,
    pub quota_own: Option<f64>,
    pub quota_by: Option<String>,
    /// As the file has it: cpu.shares on v1, cpu.weight on v2.
    pub weight: Option<u64>,
    pub cpuset: Option<String>,
    pub seen_cpus: Option<u64>,
    pub effective_cpus: Option<f64>,
    pub usage_seconds: Option<f64>,
    pub throttled: Throttled,
    pub own: Option<bool>,
    /// Can the files with the limit be read?
    #[serde(skip)]
    pub is_known: bool,
}

#[derive(Serialize, Debug, Default)]
pub(in crate::applets::ctr_inspect) struct Throttled {
    pub periods: Option<u64>,
    pub throttled: Option<u64>,
    pub percent: Option<f64>,
    pub seconds: Option<f64>,
    pub by: Option<String>,
    /// Is the group that counts the container's alone? Other groups below it may have used up its quota.
    pub own: Option<bool>,
    /// Of the periods while this process looked. Null if nothing points to throttling now.
    pub percent_now: Option<f64>,
}

impl Reader<'_> {
    pub(super) fn cpu(&self) -> Cpu {
        let process = self.world.proc.process(Pid::from_raw(self.world.chief(self.subject)));
        let status = self.unknown.known("limits.cpu.cpuset", process.status_text()).unwrap_or_default();
        let cpuset = cpus_allowed(&status);
        let seen_cpus = cpuset.map(count_of_list);
        let cpuset = cpuset.map(|list| text::utf8(list).into_owned());
        let Own { place, own } = match self.known_group("cpu", "limits.cpu") {
            Ok(group) => group,
            Err(own) => return Cpu { cpuset, seen_cpus, own, ..Cpu::default() },
        };
        let least = place.least(Place::quota);
        let value = least.as_ref().map(|least| least.value);
        let by = least.as_ref().map(|least| &least.place);
        #[expect(clippy::cast_precision_loss, reason = "a number of CPUs")]
        let seen = seen_cpus.map(|cpus| cpus as f64);
        Cpu {
            quota: value,
            quota_own: place.quota(),
            quota_by: by.map(shown),
            weight: place.number(if place.v2 { "cpu.weight" } else { "cpu.shares" }),
            effective_cpus: match (value, seen) {
                (Some(quota), Some(seen)) => Some(quota.min(seen)),
                (quota, seen) => quota.or(seen),
            },
            usage_seconds: self.cpu_time(&place),
            throttled: self.throttled(&place, by, own),
            cpuset,
            seen_cpus,
            own,
            is_known: true,
        }
    }

    /// The group that has the quota counts: without a quota nothing is counted. The counters since the start hide what
    /// began a moment ago: if processes wait for a CPU, they are read twice.
    fn throttled(&self, place: &Place, by: Option<&Place>, own: Option<bool>) -> Throttled {
        const LOOK: Duration = Duration::from_millis(350); // three periods of the usual length
        let counts = || place.throttled(by?);
        let Some(mut found) = counts() else { return Throttled::default() };
        let mut percent_now = None;
        if found.throttled > 0 && self.waits_for_cpu() != Some(false) {
            std::thread::sleep(LOOK);
            let Some(after) = counts() else { return Throttled::default() };
            let periods = after.periods.checked_sub(found.periods).filter(|periods| *periods >= 2);
            percent_now = percent(after.throttled.checked_sub(found.throttled), periods);
            found = after;
        }
        Throttled {
            percent: percent(Some(found.throttled), Some(found.periods)),
            periods: Some(found.periods),
            throttled: Some(found.throttled),
            seconds: found.seconds,
            by: Some(shown(&found.place)),
            own: if found.place.path() == place.path() { own } else { self.is_own(&found.place) },
            percent_now,
        }
    }

    /// Did its processes wait for a CPU in the last 10 seconds?
    fn waits_for_cpu(&self) -> Option<bool> {
        let unified = self.unified().filter(|unified| unified.own == Some(true))?;
        Some(stall(&unified.place.read("cpu.pressure")?, "some")?.avg10 >= 5.0)
    }

    /// In seconds. The unified group has it on a hybrid host too.
    fn cpu_time(&self, cpu: &Place) -> Option<f64> {
        let seconds = |usec: u64| usec as f64 / 1e6;
        // That is the time of the host.
        if cpu.is_root() {
            return None;
        }
        if cpu.v2 {
            return cpu.field("cpu.stat", "usage_usec").map(seconds);
        }
        let accounted = self.own_group("cpuacct").filter(|own| !own.place.v2);
        match accounted.and_then(|own| own.place.number("cpuacct.usage")) {
            Some(nanoseconds) => Some(seconds(nanoseconds / 1000)),
            None => self.unified()?.place.field("cpu.stat", "usage_usec").map(seconds),
        }
    }
}
