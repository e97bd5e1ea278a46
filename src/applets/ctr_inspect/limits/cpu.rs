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
}

#[derive(Serialize, Debug, Default)]
pub(in crate::applets::ctr_inspect) struct Throttled {
    pub periods: Option<u64>,
    pub throttled: Option<u64>,
    pub percent: Option<f64>,
    pub seconds: Option<f64>,
    pub by: Option<String>,
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
        let Some(Own { place, own }) = self.known_group("cpu", "limits.cpu") else {
            return Cpu { cpuset, seen_cpus, ..Cpu::default() };
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
            throttled: self.throttled(&place, by),
            cpuset,
            seen_cpus,
            own,
        }
    }

    /// The counters since the start hide what began a moment ago: if processes wait for a CPU, they are read twice.
    fn throttled(&self, place: &Place, by: Option<&Place>) -> Throttled {
        const LOOK: Duration = Duration::from_millis(350); // three periods of the usual length
        let before = throttled(place, by);
        let waits = || {
            let unified = self.unified().filter(|unified| unified.own == Some(true))?;
            let pressure = unified.place.read("cpu.pressure")?;
            Some(stall(&pressure, "some")?.avg10 >= 5.0)
        };
        if before.throttled.is_none_or(|throttled| throttled == 0) || waits() == Some(false) {
            return before;
        }
        std::thread::sleep(LOOK);
        let after = throttled(place, by);
        let grown = |before: Option<u64>, after: Option<u64>| after?.checked_sub(before?);
        let periods = grown(before.periods, after.periods).filter(|periods| *periods >= 2);
        Throttled { percent_now: percent(grown(before.throttled, after.throttled), periods), ..after }
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

/// The group that has the quota counts. Without a quota nothing is counted.
fn throttled(place: &Place, by: Option<&Place>) -> Throttled {
    let Some(found) = by.and_then(|by| place.throttled(by)) else { return Throttled::default() };
    Throttled {
        percent: percent(Some(found.throttled), Some(found.periods)),
        periods: Some(found.periods),
        throttled: Some(found.throttled),
        seconds: found.seconds,
        by: Some(shown(&found.place)),
        percent_now: None,
    }
}
