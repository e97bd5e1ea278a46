//! Limits for people.

use super::{Page, decimal, many, short_path, time};
use crate::applets::ctr_inspect::limits::{Limits, Pressure};
use crate::output::size::size;
use crate::proc::clock::ago;
use crate::text;

/// The last kills that are shown.
const MOST_KILLS: usize = 3;

impl Page<'_> {
    pub(super) fn limits(&mut self, limits: &Limits) {
        let memory = &limits.memory;
        let mut parts = vec![self.use_of(memory.working_set, memory.limit, memory.percent)];
        parts.extend(
            memory
                .working_set
                .and(memory.limit_by.as_deref())
                .map(|by| self.by(by, limits, (memory.limit_own, memory.limit), size)),
        );
        let split = [
            ("anon", memory.anon),
            ("file", memory.file),
            ("tmpfs", memory.shmem),
            ("kernel", memory.kernel),
        ];
        let split =
            split.into_iter().filter_map(|(name, bytes)| Some((name, bytes.filter(|bytes| *bytes > 0)?)));
        parts.extend(split.map(|(name, bytes)| format!("{name} {}", size(bytes))));
        parts.extend(memory.peak.map(|peak| format!("peak {}", size(peak))));
        parts.extend(memory.swap.filter(|swap| *swap > 0).map(|swap| format!("swap {}", size(swap))));
        let sums = &limits.processes;
        if memory.working_set.is_some() {
            let sum = || {
                let rss = size(sums.rss?);
                Some(format!("at most {rss}, the sum over {}", many(sums.count, "process")))
            };
            let sum = memory.own.filter(|own| !own).and_then(|_| sum());
            self.of_group("memory", sum, parts);
        }
        let mut events = Vec::new();
        if let Some(high) = memory.high {
            events.push(format!("slowed down above {}", size(high)));
        }
        let times = |count: Option<u64>| count.filter(|count| *count > 0);
        events.extend(
            times(memory.events.oom_kill)
                .map(|kills| self.painter.alarm(&format!("{kills} killed for lack of memory")).into_owned()),
        );
        events.extend(times(memory.events.max).map(|max| format!("limit hit {}", many(max, "time"))));
        if !events.is_empty() {
            self.line("  events", &events);
        }
        for kill in memory.kills.iter().flatten().rev().take(MOST_KILLS) {
            let rss = kill.rss.map(|rss| format!(", {} resident,", size(rss))).unwrap_or_default();
            let limit = match &kill.limit_by {
                Some(path) => format!("by the limit of {}", short_path(path)),
                None => "because the host had no memory left".to_owned(),
            };
            let comm = text::escape(kill.comm.as_bytes());
            self.sentence(
                "  killed",
                &format!("{comm} (pid {}){rss} {} ago {limit}", kill.pid, ago(kill.ago)),
            );
        }
        self.cpu(limits);
        self.pids(limits);
        self.io(limits);
        if let Some(pressure) = &limits.pressure {
            let some = |one: &Option<Pressure>| {
                one.as_ref().and_then(|one| one.some.as_ref()).map_or(0.0, |some| some.avg10)
            };
            let parts = [("cpu", &pressure.cpu), ("memory", &pressure.memory), ("io", &pressure.io)];
            let parts = parts.map(|(name, one)| (name, some(one)));
            if parts.iter().any(|(_, share)| *share >= 0.5) {
                let mut parts = parts.map(|(name, share)| format!("{name} {share:.0} %")).to_vec();
                parts.push("(of the last 10 s, some waited)".to_owned());
                self.line("pressure", &parts);
            }
        }
        if limits.cgroup.own == Some(false) {
            for (group, names) in shared_groups(limits) {
                let note = format!("{} of {group}, which other processes share", names.join(" "));
                self.sentence("  shared", &note);
            }
        }
    }

    /// A line about a control group. If other processes share it, what is the container's comes first.
    fn of_group(&mut self, label: &str, own: Option<String>, parts: Vec<String>) {
        match own {
            Some(own) => {
                self.line(label, &[own]);
                self.line("  group", &parts);
            }
            None => self.line(label, &parts),
        }
    }

    pub(super) fn use_of(&self, used: Option<u64>, limit: Option<u64>, percent: Option<f64>) -> String {
        let used = used.map_or_else(|| "?".to_owned(), size);
        match (limit, percent) {
            (Some(limit), Some(percent)) => {
                let share = format!("{used} of {} ({percent:.0} %)", size(limit));
                if percent >= 90.0 { self.painter.alarm(&share).into_owned() } else { share }
            }
            _ => format!("{used}, no limit"),
        }
    }

    /// Who sets the limit: the container's own one, and the least.
    pub(super) fn by<T: Copy + PartialEq>(
        &self,
        by: &str,
        limits: &Limits,
        (own, least): (Option<T>, Option<T>),
        shown: impl Fn(T) -> String,
    ) -> String {
        let is_own = limits.cgroup.paths.values().any(|path| path == by);
        let higher = own.filter(|_| own != least).map(|own| format!(" (own: {})", shown(own)));
        match is_own && own == least {
            true => "own limit".to_owned(),
            false => format!("limit of {}{}", short_path(by), higher.unwrap_or_default()),
        }
    }

    pub(super) fn cpu(&mut self, limits: &Limits) {
        let cpu = &limits.cpu;
        let mut parts = Vec::new();
        match (cpu.quota, cpu.quota_by.as_deref()) {
            (Some(quota), Some(by)) => {
                parts.push(format!("{} CPUs at most", decimal(quota)));
                parts.push(self.by(by, limits, (cpu.quota_own, cpu.quota), decimal));
            }
            _ if cpu.is_known => parts.push("no limit".to_owned()),
            _ => {}
        }
        parts.extend(cpu.seen_cpus.map(|seen| {
            let list = cpu.cpuset.as_deref().unwrap_or_default();
            format!("sees {} ({})", many(seen, "CPU"), text::escape(list.as_bytes()))
        }));
        parts.extend(
            cpu.usage_seconds
                .filter(|seconds| *seconds >= 0.1)
                .map(|seconds| format!("used {}", time(seconds))),
        );
        if let Some(percent) = cpu.throttled.percent.filter(|percent| *percent > 0.0) {
            let own = cpu.throttled.own == Some(true);
            let by = cpu.throttled.by.as_deref().filter(|_| !own).map(short_path);
            let by = by.map(|by| format!("{by} is ")).unwrap_or_default();
            let share = format!("{by}throttled in {percent:.0} % of periods");
            parts.push(if own && percent >= 5.0 { self.painter.alarm(&share).into_owned() } else { share });
        }
        let of_processes = |seconds| format!("used {} by processes that live", time(seconds));
        let sum = limits.processes.cpu_seconds.map(of_processes).filter(|_| cpu.own == Some(false));
        if !parts.is_empty() {
            self.of_group("cpu", sum, parts);
        }
    }

    pub(super) fn pids(&mut self, limits: &Limits) {
        let pids = &limits.pids;
        let mut parts = Vec::new();
        match (pids.current, pids.limit) {
            (Some(current), Some(limit)) => {
                let share = format!("{current} of {limit}");
                parts.push(if current * 10 >= limit * 9 {
                    self.painter.alarm(&share).into_owned()
                } else {
                    share
                });
            }
            (Some(current), None) => parts.push(format!("{current}, no limit")),
            (None, _) => parts.push(many(limits.processes.count, "process")),
        }
        let limit = (pids.limit_own, pids.limit);
        let by = pids.limit_by.as_deref();
        parts.extend(by.map(|by| self.by(by, limits, limit, |number: u64| number.to_string())));
        parts.extend(pids.zombies.filter(|zombies| *zombies > 0).map(|zombies| many(zombies, "zombie")));
        parts.extend(
            pids.denied
                .filter(|denied| *denied > 0)
                .map(|denied| format!("{} refused", many(denied, "fork"))),
        );
        let is_shared = pids.own == Some(false) && pids.current.is_some();
        let sum = is_shared.then(|| many(limits.processes.count, "process"));
        self.of_group("pids", sum, parts);
    }

    pub(super) fn io(&mut self, limits: &Limits) {
        let io = &limits.io;
        let mut parts = Vec::new();
        for (what, bytes) in [("read", io.read_bytes), ("written", io.write_bytes)] {
            parts.extend(bytes.filter(|bytes| *bytes > 0).map(|bytes| format!("{what} {}", size(bytes))));
        }
        if !parts.is_empty() && io.source == Some("processes") {
            parts.push("(by processes that live)".to_owned());
        }
        for limit in io.limits.iter().flatten() {
            let unit = if limit.kind.ends_with("bps") { size(limit.limit) } else { limit.limit.to_string() };
            parts.push(format!("{} {} at most {unit}", limit.device, limit.kind));
        }
        if !parts.is_empty() {
            self.line("io", &parts);
        }
        for huge in limits.hugetlb.iter().flatten() {
            let limit =
                huge.limit.map_or_else(|| ", no limit".to_owned(), |limit| format!(" of {}", size(limit)));
            self.line("hugetlb", &[format!("{} pages: {}{limit}", huge.size, size(huge.usage.unwrap_or(0)))]);
        }
    }
}

/// The groups that are not the container's alone, each with the controllers whose numbers are those of the group.
fn shared_groups(limits: &Limits) -> Vec<(String, Vec<&'static str>)> {
    let mut groups: Vec<(String, Vec<&'static str>)> = Vec::new();
    let owns = [("memory", limits.memory.own), ("cpu", limits.cpu.own), ("pids", limits.pids.own)];
    for (controller, _) in owns.into_iter().filter(|(_, own)| *own == Some(false)) {
        let paths = &limits.cgroup.paths;
        let path = paths.get(controller).or(paths.get("unified")).map_or("/", String::as_str);
        let group = short_path(path);
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, controllers)) => controllers.push(controller),
            None => groups.push((group, vec![controller])),
        }
    }
    groups
}
