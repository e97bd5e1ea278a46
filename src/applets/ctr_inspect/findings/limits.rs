//! Rules about limits and their use.

use serde_json::{Value, json};

use super::Judge;
use crate::applets::ctr_inspect::finding::Severity;
use crate::applets::ctr_inspect::limits::{Limits, Memory, percent};
use crate::applets::ctr_inspect::show::{many, short_path};
use crate::isolation::cgroup::pressure::Stall;
use crate::output::size::size;
use crate::proc::clock::ago;
use crate::text;

impl Judge<'_> {
    pub(super) fn limits(&mut self, limits: &Limits, age: Option<u64>) {
        if self.runtime.is_some() && limits.memory.usage.is_some() && limits.memory.limit.is_none() {
            let evidence = vec![("limits.memory.limit", Value::Null)];
            self.add("no-memory-limit", Severity::Note, "no memory limit", evidence);
        }
        if self.runtime.is_some() && limits.pids.own.is_some() && limits.pids.limit.is_none() {
            self.add(
                "no-pids-limit",
                Severity::Note,
                "no limit of processes",
                vec![("limits.pids.limit", Value::Null)],
            );
        }
        self.memory(limits);
        self.cpu(limits, age);
        if limits.cgroup.frozen == Some(true) {
            let text = "paused: the runtime or root can thaw it";
            self.add("frozen", Severity::High, text, vec![("limits.cgroup.frozen", json!(true))]);
        }
        let pids = &limits.pids;
        if let Some((current, limit)) =
            pids.limit_current.zip(pids.limit).filter(|(current, limit)| current * 10 >= limit * 9)
        {
            let evidence =
                vec![("limits.pids.limit_current", json!(current)), ("limits.pids.limit", json!(limit))];
            let above = pids.limit_by.as_deref().filter(|_| pids.limit_own != pids.limit);
            let whose = above.map(|by| format!(" in {}", short_path(by))).unwrap_or_default();
            let text = format!("{current} of {limit} processes{whose}");
            self.add("pids-near-limit", Severity::High, text, evidence);
        }
        if let Some(denied) = pids.denied.filter(|denied| *denied > 0) {
            let text = format!("the limit of processes refused {}", many(denied, "fork"));
            self.add("pids-denied", Severity::High, text, vec![("limits.pids.denied", json!(denied))]);
        }
    }

    pub(super) fn memory(&mut self, limits: &Limits) {
        let memory = &limits.memory;
        // The numbers of a shared group include other processes.
        let own = memory.own == Some(true);
        self.near_memory_limit(limits);
        let pressure = limits.pressure.as_ref().and_then(|all| all.memory.as_ref());
        let avg60 = |stall: Option<&Stall>| stall.map_or(0.0, |stall| stall.avg60);
        let (some, full) =
            pressure.map_or((0.0, 0.0), |one| (avg60(one.some.as_ref()), avg60(one.full.as_ref())));
        if full >= 5.0 || some >= 20.0 {
            let text = format!("waits for memory {some:.0} % of the time");
            let evidence = vec![
                ("limits.pressure.memory.some.avg60", json!(some)),
                ("limits.pressure.memory.full.avg60", json!(full)),
            ];
            self.add("memory-pressure", Severity::Medium, text, evidence);
        }
        let Some(kills) = memory.events.oom_kill.filter(|kills| *kills > 0) else { return };
        if !own {
            return self.kills_in_shared_group(limits, kills);
        }
        let last = memory.kills.iter().flatten().last();
        let severity =
            if last.is_some_and(|last| last.ago < 3600) { Severity::High } else { Severity::Medium };
        let text = match last {
            Some(last) => {
                let by = match &last.limit_by {
                    Some(path) => format!("by the limit of {}", short_path(path)),
                    None => "as the host had no memory left".to_owned(),
                };
                let others = if kills > 1 { format!(", {kills} in all") } else { String::new() };
                format!(
                    "{} (pid {}) killed {} ago {by}{others}; PID 1 lives on",
                    last.comm,
                    last.pid,
                    ago(last.ago)
                )
            }
            None => {
                let by = oom_by(memory).map(|by| format!(" by the limit of {}", short_path(by)));
                let by = by.unwrap_or_default();
                format!("{} killed for lack of memory{by}; PID 1 lives on", many(kills, "process"))
            }
        };
        let mut evidence = vec![("limits.memory.events.oom_kill", json!(kills))];
        evidence.extend(oom_by(memory).map(|by| ("limits.memory.events.oom_by", json!(by))));
        evidence.extend(last.map(|last| ("limits.memory.kills", json!(last))));
        self.add("oom-kill", severity, text, evidence);
    }

    /// Nothing says whether the victim was a process of the container.
    fn kills_in_shared_group(&mut self, limits: &Limits, kills: u64) {
        let group = limits.cgroup.paths.get("memory").map_or("/", String::as_str);
        // The root group has the processes of the whole host.
        if self.runtime.is_none() || group == "/" {
            return;
        }
        let last = limits.memory.kills.iter().flatten().last();
        let is_recent = last.is_some_and(|last| last.ago < 3600);
        let severity = if is_recent { Severity::Medium } else { Severity::Note };
        let last = last.map(|last| {
            let victim = text::escape(last.comm.as_bytes());
            format!("; the last one {} ago: {victim} (pid {})", ago(last.ago), last.pid)
        });
        let text = format!(
            "{} killed for lack of memory in {}, which is not the container's alone{}",
            many(kills, "process"),
            short_path(group),
            last.unwrap_or_default()
        );
        let evidence = vec![
            ("limits.memory.own", json!(limits.memory.own)),
            ("limits.memory.events.oom_kill", json!(kills)),
        ];
        self.add("oom-kill", severity, text, evidence);
    }

    /// In the group that has the limit, which can be one above with other containers in it.
    fn near_memory_limit(&mut self, limits: &Limits) {
        let memory = &limits.memory;
        let share = |used: Option<u64>| percent(used, memory.limit).unwrap_or(0.0);
        let limit = size(memory.limit.unwrap_or(0));
        let above = memory.limit_by.as_deref().filter(|_| memory.limit_own != memory.limit);
        let whose = above.map(|by| format!(" in {}", short_path(by))).unwrap_or_default();
        let evidence = vec![
            ("limits.memory.limit", json!(memory.limit)),
            ("limits.memory.limit_by", json!(memory.limit_by)),
            ("limits.memory.limit_usage", json!(memory.limit_usage)),
        ];
        let fixed = share(memory.limit_fixed);
        if let Some(bytes) = memory.limit_fixed.filter(|_| fixed >= 90.0) {
            let severity = if fixed >= 98.0 { Severity::High } else { Severity::Medium };
            let text = format!("{} of {limit}{whose} cannot be reclaimed ({fixed:.0} %)", size(bytes));
            self.add("memory-near-limit", severity, text, evidence);
        } else if share(memory.limit_working_set) >= 90.0 || share(memory.limit_usage) >= 95.0 {
            let text = "page cache fills the limit: the kernel reclaims it when memory is needed";
            self.add("memory-near-limit", Severity::Note, text, evidence);
        }
    }

    pub(super) fn cpu(&mut self, limits: &Limits, age: Option<u64>) {
        let cpu = &limits.cpu;
        let throttled = &cpu.throttled;
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let burst = throttled.seconds.zip(age).is_some_and(|(seconds, age)| seconds < age as f64 / 100.0);
        let percent = throttled.percent.filter(|percent| {
            *percent >= 5.0 && throttled.periods.is_some_and(|periods| periods >= 100) && !burst
        });
        let now = throttled.percent_now.filter(|now| *now >= 5.0);
        if percent.is_none() {
            if let Some(now) = now {
                let by = throttled.by.as_deref().map(short_path).unwrap_or_default();
                let text = format!("throttled now, in {now:.0} % of periods, by the quota of {by}");
                let evidence = vec![("limits.cpu.throttled.percent_now", json!(now))];
                self.add("cpu-throttled", throttling(now), text, evidence);
            }
        }
        if let Some(percent) = percent {
            let severity = throttling(percent);
            let by = throttled.by.as_deref().map(short_path).unwrap_or_default();
            let text = format!("throttled in {percent:.0} % of periods by the quota of {by}");
            let evidence = vec![
                ("limits.cpu.throttled.percent", json!(percent)),
                ("limits.cpu.throttled.periods", json!(throttled.periods)),
            ];
            self.add("cpu-throttled", severity, text, evidence);
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of CPUs")]
        if let Some((quota, seen)) = cpu
            .quota
            .zip(cpu.seen_cpus)
            .filter(|(quota, seen)| *seen as f64 > quota.ceil() && *seen as f64 > quota * 2.0)
        {
            let is_throttled = percent.is_some() || now.is_some();
            let severity = if is_throttled { Severity::Medium } else { Severity::Note };
            let text = format!("sees {} but may use {quota:.2}", many(seen, "CPU"));
            let evidence = vec![("limits.cpu.seen_cpus", json!(seen)), ("limits.cpu.quota", json!(quota))];
            self.add("cpus-seen", severity, text, evidence);
        }
    }
}

fn throttling(percent: f64) -> Severity {
    if percent >= 25.0 { Severity::High } else { Severity::Medium }
}

/// The group whose limit was reached. v1 does not count it: then the group above that binds, if there is one.
fn oom_by(memory: &Memory) -> Option<&str> {
    let binding = memory.limit_by.as_deref().filter(|_| memory.limit_own != memory.limit);
    memory.events.oom_by.as_deref().or(binding)
}
