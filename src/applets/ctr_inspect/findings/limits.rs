//! Rules about limits and their use.

use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Judge;
use crate::applets::ctr_inspect::finding::Severity;
use crate::applets::ctr_inspect::limits::{HOUR, Limits, percent};
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
        if self.runtime.is_some() && limits.pids.is_known && limits.pids.limit.is_none() {
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
        let some = |count: Option<u64>| count.filter(|count| *count > 0);
        if let Some(denied) = some(pids.denied) {
            let forks = many(denied, "fork");
            let (severity, since) = match pids.own {
                Some(true) => (Severity::High, "since its start"),
                Some(false) => (Severity::Note, "in its group, in which others are too"),
                None => (Severity::Note, "in its group, in which others may be too"),
            };
            let text = format!("a limit of processes refused {forks} {since}");
            self.add("pids-denied", severity, text, vec![("limits.pids.denied", json!(denied))]);
        } else if let Some(denied) = some(pids.limit_denied) {
            let by = pids.limit_by.as_deref().map(short_path).unwrap_or_default();
            let text =
                format!("the limit of {by} refused {}, of this container or others", many(denied, "fork"));
            let evidence = vec![("limits.pids.limit_denied", json!(denied))];
            self.add("pids-denied", Severity::Note, text, evidence);
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
        let is_recent = last.is_some_and(|last| last.ago < HOUR) || memory.has_recent_kills;
        let severity = if is_recent { Severity::High } else { Severity::Medium };
        let lives = if self.has_first_process() { "; PID 1 lives on" } else { "" };
        let mut text = match last {
            Some(last) => {
                let by = match &last.limit_by {
                    Some(path) => format!("by the limit of {}", short_path(path)),
                    None => "as the host had no memory left".to_owned(),
                };
                let others = if kills > 1 { format!(", {kills} in all") } else { String::new() };
                format!("{} (pid {}) killed {} ago {by}{others}", last.comm, last.pid, ago(last.ago))
            }
            None => format!("{} killed for lack of memory since its start", many(kills, "process")),
        };
        let mut evidence = vec![("limits.memory.events.oom_kill", json!(kills))];
        match (last, &memory.events.oom_by) {
            (Some(last), _) => evidence.push(("limits.memory.kills", json!(last))),
            // The kernel counts where a limit was reached, and where a process was killed.
            (None, Some(by)) => {
                text += &format!("; the limit of {} was reached", short_path(by));
                evidence.push(("limits.memory.events.oom_by", json!(by)));
            }
            (None, None) => {}
        }
        self.add("oom-kill", severity, text + lives, evidence);
    }

    /// Does the container have a PID 1 of its own? In the host's pid namespace it has none.
    fn has_first_process(&self) -> bool {
        let init = self.subject.container.and_then(|number| self.world.containers[number].init);
        let status = init.and_then(|pid| self.world.proc.process(Pid::from_raw(pid)).status().ok());
        status.is_some_and(|status| status.nspid.len() > 1 && status.nspid.last() == Some(&1))
    }

    /// Nothing says whether the victim was a process of the container.
    fn kills_in_shared_group(&mut self, limits: &Limits, kills: u64) {
        let group = limits.cgroup.paths.get("memory").map_or("/", String::as_str);
        // The root group has the processes of the whole host.
        if self.runtime.is_none() || group == "/" {
            return;
        }
        let last = limits.memory.kills.iter().flatten().last();
        let is_recent = last.is_some_and(|last| last.ago < HOUR);
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
        let throttled = throttling(limits, age);
        if let Some(Throttling { severity, text, path, percent }) = &throttled {
            let evidence =
                vec![(*path, json!(percent)), ("limits.cpu.throttled.periods", json!(cpu.throttled.periods))];
            self.add("cpu-throttled", *severity, text, evidence);
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of CPUs")]
        if let Some((quota, seen)) = cpu
            .quota
            .zip(cpu.seen_cpus)
            .filter(|(quota, seen)| *seen as f64 > quota.ceil() && *seen as f64 > quota * 2.0)
        {
            let is_throttled = throttled.is_some_and(|one| one.severity != Severity::Note);
            let severity = if is_throttled { Severity::Medium } else { Severity::Note };
            let text = format!("sees {} but may use {quota:.2}", many(seen, "CPU"));
            let evidence = vec![("limits.cpu.seen_cpus", json!(seen)), ("limits.cpu.quota", json!(quota))];
            self.add("cpus-seen", severity, text, evidence);
        }
    }
}

struct Throttling {
    severity: Severity,
    text: String,
    /// Where the report has the share.
    path: &'static str,
    percent: f64,
}

/// The counters are those of the group with the quota, since it was made: they count what other groups below it used, and
/// what is long past.
fn throttling(limits: &Limits, age: Option<u64>) -> Option<Throttling> {
    let throttled = &limits.cpu.throttled;
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let is_burst = throttled.seconds.zip(age).is_some_and(|(seconds, age)| seconds < age as f64 / 100.0);
    let is_often = |percent: &f64| *percent >= 5.0 && throttled.periods >= Some(100) && !is_burst;
    let (in_all, now) = (throttled.percent.filter(is_often), throttled.percent_now.filter(|now| *now >= 5.0));
    let own = throttled.own == Some(true);
    let waited = if own { Some(true) } else { has_waited(limits, age) };
    if waited == Some(false) {
        return None;
    }
    let by = throttled.by.as_deref().map(short_path).unwrap_or_default();
    let since = if own { "since its start" } else { "since that group was made" };
    let (path, percent, mut text) = match (in_all, now) {
        (Some(percent), now) => {
            let text = format!("throttled in {percent:.0} % of periods {since}, by the quota of {by}");
            let now = match (now, throttled.percent_now.is_none() && pressure_of_cpu(limits).is_some()) {
                (Some(now), _) => format!("; now in {now:.0} %"),
                (None, true) => "; it does not wait now".to_owned(),
                (None, false) => String::new(),
            };
            ("limits.cpu.throttled.percent", percent, text + &now)
        }
        (None, Some(now)) => {
            let text = format!("throttled now, in {now:.0} % of periods, by the quota of {by}");
            ("limits.cpu.throttled.percent_now", now, text)
        }
        (None, None) => return None,
    };
    let severity = match () {
        () if waited.is_none() => Severity::Note,
        () if percent >= 25.0 => Severity::High,
        () => Severity::Medium,
    };
    if waited.is_none() {
        text += ", which others share: whether this container waited is not known";
    }
    Some(Throttling { severity, text, path, percent })
}

fn pressure_of_cpu(limits: &Limits) -> Option<&Stall> {
    limits.pressure.as_ref()?.cpu.as_ref()?.some.as_ref()
}

/// Did the container wait for a CPU: for 1 % of its time, or lately?
fn has_waited(limits: &Limits, age: Option<u64>) -> Option<bool> {
    let some = pressure_of_cpu(limits)?;
    let is_lately = some.avg10 >= 5.0 || some.avg300 >= 5.0;
    Some(is_lately || some.total / 10_000 >= age?.max(1))
}
