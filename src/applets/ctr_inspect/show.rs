//! A report for people: aligned lines that fit the terminal.

use std::fmt::Write;

use super::files::{Files, Mounted, is_below};
use super::finding::{Finding, Severity};
use super::limits::{Limits, Pressure};
use super::namespaces::{Extent, Namespaces, ORDER};
use super::privileges::Privileges;
use super::processes::Processes;
use super::report::Report;
use super::unknown::Unknown;
use crate::container::short;
use crate::output::Out;
use crate::output::size::size;
use crate::output::style::Painter;
use crate::proc::clock::ago;
use crate::text;

/// The last kills that are shown.
const MOST_KILLS: usize = 3;
/// The processes that are shown without -a.
const MOST_PROCESSES: usize = 20;
/// The width of the labels at the left.
const LABEL: usize = 11;

pub(super) struct Page<'a> {
    pub out: &'a mut Out,
    pub painter: Painter,
    pub columns: usize,
}

impl Page<'_> {
    pub(super) fn report(&mut self, report: &Report, all: bool) {
        self.heading(report);
        self.findings(&report.findings, all, false);
        if let Some(namespaces) = &report.namespaces {
            self.namespaces(namespaces);
        }
        if let Some(limits) = &report.limits {
            self.limits(limits);
        }
        if let Some(privileges) = &report.privileges {
            self.privileges(privileges, all);
        }
        if let Some(files) = &report.files {
            self.files(files, all);
        }
        if let Some(processes) = &report.processes {
            self.processes(processes, all);
        }
        self.unknown(&report.unknown, all);
    }

    /// The findings alone, with their reasons.
    pub(super) fn reasons(&mut self, report: &Report, all: bool) {
        self.heading(report);
        self.findings(&report.findings, all, true);
    }

    fn findings(&mut self, findings: &[Finding], all: bool, with_reasons: bool) {
        let is_shown = |finding: &&Finding| all || finding.severity != Severity::Note;
        for finding in findings.iter().filter(is_shown) {
            let mark = match finding.severity {
                Severity::High => "!!",
                Severity::Medium => "! ",
                Severity::Note => "  ",
            };
            let head = format!("  {mark} {:<18} ", finding.id);
            let width = head.len();
            let head = match finding.severity {
                Severity::Note => head,
                _ => self.painter.alarm(&head).into_owned(),
            };
            let text = text::escape(finding.text.as_bytes()).into_owned();
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            self.flow_after(&head, width, &words, (1, width));
            if with_reasons {
                self.sentence("     why:", finding.why);
                self.sentence("     do:", finding.remedy);
            }
        }
        let notes = findings.iter().filter(|finding| finding.severity == Severity::Note).count() as u64;
        if notes > 0 && !all {
            let line = format!("  ({}: -a)\n", many(notes, "note"));
            self.out.push(self.painter.faint(&line).as_bytes());
        } else if findings.is_empty() && with_reasons {
            self.out.push(b"  nothing found\n");
        }
    }

    fn heading(&mut self, report: &Report) {
        let Some(identity) = &report.identity else { return };
        let label = identity.container.clone().unwrap_or_else(|| "host process".to_owned());
        let id = identity.id.as_deref().unwrap_or_default();
        let mut parts = Vec::new();
        if !identity.container.as_deref().unwrap_or_default().contains(short(id)) {
            parts.push(short(id).to_owned());
        }
        parts.extend(identity.image.clone());
        let age = identity.age.map(|age| format!(" {}", ago(age))).unwrap_or_default();
        parts.push(format!("{}{age}", identity.status));
        let inside = identity.cpid.filter(|cpid| *cpid != identity.pid);
        let inside = inside.map(|cpid| format!(" ({cpid} inside)")).unwrap_or_default();
        parts.push(format!("pid {}{inside}", identity.pid));
        let label = text::escape(label.as_bytes()).into_owned();
        let colour = identity.id.clone().unwrap_or_default();
        let first = self.painter.container(&label, &colour).into_owned();
        let rest: Vec<String> = parts.iter().map(|part| text::escape(part.as_bytes()).into_owned()).collect();
        self.flow(&first, text::width(&label), &rest, 2);
        if let Some(command) = &identity.command {
            let room = self.columns.saturating_sub(LABEL);
            let command = text::escape(command.as_bytes());
            let cut = text::cut(&command, room).to_owned();
            self.line("command", &[cut]);
        }
        if identity.target_pid != identity.pid {
            let command = identity.target_command.as_deref().unwrap_or_default();
            let words = format!("{} {}", identity.target_pid, text::escape(command.as_bytes()));
            let cut = text::cut(&words, self.columns.saturating_sub(LABEL)).to_owned();
            self.line("process", &[cut]);
            self.sentence("", "its namespaces, privileges and files are shown");
        }
        let owner = identity.owner.as_deref().filter(|owner| *owner != "root");
        if let Some(owner) = owner.filter(|_| identity.container.is_some()) {
            self.line("owner", &[text::escape(owner.as_bytes()).into_owned()]);
        }
    }

    fn namespaces(&mut self, found: &Namespaces) {
        let of = |wanted: &dyn Fn(&super::namespaces::Namespace) -> bool| {
            let kinds = ORDER.iter().map(|kind| kind.proc_name());
            kinds.filter(|name| found.kinds.get(name).is_some_and(wanted)).collect::<Vec<_>>().join(" ")
        };
        let (own, hosts) = (of(&|one| one.own == Some(true)), of(&|one| one.host == Some(true)));
        let is_known = found.kinds.values().all(|one| one.own.is_some());
        let mut parts = Vec::new();
        match own.is_empty() {
            true if is_known => parts.push("in nothing of its own".to_owned()),
            true => {}
            false => parts.push(own),
        }
        if !hosts.is_empty() {
            parts.push(format!("the host's: {hosts}"));
        }
        if !parts.is_empty() {
            self.line("isolated", &parts);
        }
        let mut shared: Vec<(String, Vec<&str>)> = Vec::new();
        for kind in ORDER.iter().map(|kind| kind.proc_name()) {
            let Some(one) = found.kinds.get(kind).filter(|one| !one.shared_with.is_empty()) else { continue };
            let with = few(&one.shared_with);
            match shared.iter_mut().find(|(known, _)| *known == with) {
                Some((_, kinds)) => kinds.push(kind),
                None => shared.push((with, vec![kind])),
            }
        }
        for (with, kinds) in shared {
            self.line("  shared", &[format!("{} with {with}", kinds.join(" "))]);
        }
        self.users(found);
        let is_own = found.kinds.get("uts").is_some_and(|uts| uts.host == Some(false));
        if let Some(hostname) = found.hostname.as_ref().filter(|_| is_own) {
            self.line("  hostname", &[text::escape(hostname.as_bytes()).into_owned()]);
        }
        if let Some(offsets) = found.time_offsets.filter(|one| (one.monotonic, one.boottime) != (0.0, 0.0)) {
            let parts = [("monotonic", offsets.monotonic), ("boottime", offsets.boottime)];
            let parts = parts.map(|(clock, offset)| format!("{clock} {offset:+} s"));
            self.line("  clocks", &parts);
        }
        for foreign in &found.foreign {
            let command = foreign.command.clone().unwrap_or_default();
            let line = format!("{} {}", foreign.pid, text::escape(command.as_bytes()));
            let line = text::cut(&line, self.columns.saturating_sub(LABEL)).to_owned();
            self.line("  entered", &[line]);
        }
    }

    /// The id maps, unless they map every id to itself.
    fn users(&mut self, found: &Namespaces) {
        let maps = [("uid", &found.uid_map), ("gid", &found.gid_map)];
        let is_plain = |map: &Vec<Extent>| {
            map.iter().all(|line| line.inside == line.outside && line.inside == 0 && line.count == u32::MAX)
        };
        let shown: Vec<(&str, String)> = maps
            .into_iter()
            .filter_map(|(what, map)| Some((what, map.as_ref().filter(|map| !is_plain(map))?)))
            .map(|(what, map)| (what, map_in_words(map)))
            .collect();
        match &shown[..] {
            [(_, uids), (_, gids)] if uids == gids => self.sentence("  ids", uids),
            all => all.iter().for_each(|(what, words)| self.sentence(&format!("  {what}s"), words)),
        }
        let user = found.kinds.get("user").filter(|user| user.host == Some(false));
        if let Some(owner) = user.and_then(|user| user.owner_uid).filter(|owner| *owner != 0) {
            self.line("  made by", &[format!("uid {owner} of the host")]);
        }
    }

    fn limits(&mut self, limits: &Limits) {
        let memory = &limits.memory;
        let mut parts = vec![self.use_of(memory.working_set, memory.limit, memory.percent)];
        parts.extend(
            memory
                .working_set
                .and(memory.limit_by.as_deref())
                .map(|by| self.by(by, limits, memory.limit_own == memory.limit)),
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
        if memory.working_set.is_some() {
            self.line("memory", &parts);
        }
        let mut events = Vec::new();
        if let Some(high) = memory.high {
            events.push(format!("slowed down above {}", size(high)));
        }
        let times = |count: Option<u64>| count.filter(|count| *count > 0);
        events.extend(times(memory.events.oom_kill).map(|kills| {
            let by = memory.events.oom_by.as_deref().map(|by| format!(" by the limit of {}", short_path(by)));
            self.painter
                .alarm(&format!("{kills} killed for lack of memory{}", by.unwrap_or_default()))
                .into_owned()
        }));
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
            let path = limits.cgroup.paths.get("memory").or(limits.cgroup.paths.get("unified"));
            let group = path.map(|path| short_path(path)).unwrap_or_default();
            let note = format!("these numbers are of {group}, which other processes share");
            self.sentence("  group", &note);
            let sums = &limits.processes;
            let mut parts = vec![format!("{} of its own:", many(sums.count, "process"))];
            parts.extend(sums.rss.map(|rss| format!("memory at most {}", size(rss))));
            parts.extend(sums.cpu_seconds.map(|seconds| format!("CPU time {}", time(seconds))));
            self.line("", &parts);
        }
    }

    fn use_of(&self, used: Option<u64>, limit: Option<u64>, percent: Option<f64>) -> String {
        let used = used.map_or_else(|| "?".to_owned(), size);
        match (limit, percent) {
            (Some(limit), Some(percent)) => {
                let share = format!("{used} of {} ({percent:.0} %)", size(limit));
                if percent >= 90.0 { self.painter.alarm(&share).into_owned() } else { share }
            }
            _ => format!("{used}, no limit"),
        }
    }

    /// Who sets a limit.
    fn by(&self, by: &str, limits: &Limits, is_own: bool) -> String {
        let own = limits.cgroup.paths.values().any(|path| path == by);
        if own && is_own { "own limit".to_owned() } else { format!("limit of {}", short_path(by)) }
    }

    fn cpu(&mut self, limits: &Limits) {
        let cpu = &limits.cpu;
        let mut parts = Vec::new();
        match (cpu.quota, cpu.quota_by.as_deref()) {
            (Some(quota), Some(by)) => {
                parts.push(format!("{} CPUs at most", decimal(quota)));
                parts.push(self.by(by, limits, cpu.quota_own == cpu.quota));
            }
            _ => parts.push("no limit".to_owned()),
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
            let share = format!("throttled in {percent:.0} % of periods");
            parts.push(if percent >= 5.0 { self.painter.alarm(&share).into_owned() } else { share });
        }
        self.line("cpu", &parts);
    }

    fn pids(&mut self, limits: &Limits) {
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
        parts.extend(pids.limit_by.as_deref().map(|by| self.by(by, limits, pids.limit_own == pids.limit)));
        parts.extend(pids.zombies.filter(|zombies| *zombies > 0).map(|zombies| many(zombies, "zombie")));
        parts.extend(
            pids.denied
                .filter(|denied| *denied > 0)
                .map(|denied| format!("{} refused", many(denied, "fork"))),
        );
        self.line("pids", &parts);
    }

    fn io(&mut self, limits: &Limits) {
        let io = &limits.io;
        let mut parts = Vec::new();
        for (what, bytes) in [("read", io.read_bytes), ("written", io.write_bytes)] {
            parts.extend(bytes.filter(|bytes| *bytes > 0).map(|bytes| format!("{what} {}", size(bytes))));
        }
        if !parts.is_empty() && io.source == Some("processes") {
            parts.push("(by processes that live)".to_owned());
        }
        for limit in &io.limits {
            let unit = if limit.kind.ends_with("bps") { size(limit.limit) } else { limit.limit.to_string() };
            parts.push(format!("{} {} at most {unit}", limit.device, limit.kind));
        }
        if !parts.is_empty() {
            self.line("io", &parts);
        }
        for huge in &limits.hugetlb {
            let limit =
                huge.limit.map_or_else(|| ", no limit".to_owned(), |limit| format!(" of {}", size(limit)));
            self.line("hugetlb", &[format!("{} pages: {}{limit}", huge.size, size(huge.usage.unwrap_or(0)))]);
        }
    }

    fn privileges(&mut self, privileges: &Privileges, all: bool) {
        let Some(bounding) = &privileges.bounding else { return };
        let mut parts = Vec::new();
        parts.push(match (privileges.root_on_host, privileges.uid, privileges.uid_host) {
            (Some(true), ..) => "root on the host".to_owned(),
            (_, Some(0), Some(0)) => "root".to_owned(),
            (_, Some(0), Some(host)) => format!("root inside, uid {host} on the host"),
            (_, Some(uid), Some(host)) if uid != host => format!("uid {uid} inside, {host} on the host"),
            (_, _, Some(host)) => format!("uid {host}"),
            _ => "uid unknown".to_owned(),
        });
        let is_limited = privileges.privileged.is_some() && !privileges.on_host && bounding.bits != 0;
        let place = if is_limited { " in its user namespace" } else { "" };
        parts.push(format!("{}{place}", privileges.words));
        parts.push(match (privileges.seccomp, privileges.seccomp_filters) {
            (Some("filter"), Some(count @ 2..)) => format!("seccomp: {count} filters"),
            (Some("filter"), _) => "seccomp on".to_owned(),
            (Some(other), _) => format!("seccomp {other}"),
            (None, _) => "seccomp unknown".to_owned(),
        });
        parts.push(match &privileges.lsm {
            Some(lsm) => format!("{} {}", lsm.kind, text::escape(lsm.label.as_bytes())),
            None => "no LSM".to_owned(),
        });
        let can_grow = privileges.no_new_privs == Some(false) && bounding.bits != 0;
        parts.push(if can_grow { "privileges can grow" } else { "no new privileges" }.to_owned());
        self.sentence("rights", &parts.join("; "));
        if !privileges.uncovered.is_empty() {
            let parts: Vec<String> = privileges.uncovered.clone();
            self.words("  exposed", &parts);
        }
        if all {
            for (label, list) in [("  masked", &privileges.masked), ("  readonly", &privileges.readonly)] {
                let list: Vec<String> =
                    list.iter().map(|path| text::escape(path.as_bytes()).into_owned()).collect();
                if !list.is_empty() {
                    self.words(label, &list);
                }
            }
        }
    }

    fn files(&mut self, files: &Files, all: bool) {
        let mut parts = Vec::new();
        parts.extend(files.root.fstype.as_ref().map(|fstype| {
            let mode = if files.root.read_only == Some(true) { "read-only" } else { "rw" };
            format!("/ {} {mode}", text::escape(fstype.as_bytes()))
        }));
        let overlay = files.root.overlay.as_ref();
        let upper = overlay.and_then(|overlay| overlay.upper.as_deref());
        let path = upper.or(files.root.path.as_deref());
        let what = if upper.is_some() { "upper " } else { "" };
        parts.extend(path.map(|path| format!("{what}{}", short_path(path))));
        if !parts.is_empty() {
            self.line("files", &parts);
        }
        if let Some(overlay) = overlay.filter(|_| all) {
            overlay.lower.iter().for_each(|layer| self.line("  layer", &[short_path(layer)]));
        }
        self.mounts(files, all);
        for file in files.deleted.iter().flatten().filter(|file| all || file.bytes >= 1 << 20) {
            let path = text::escape(file.path.as_bytes());
            let line =
                format!("{} still taken by {path} (pid {}, fd {})", size(file.bytes), file.pid, file.fd);
            self.sentence("  deleted", &line);
        }
    }

    /// Those that show a part of the host. What came along below one is counted.
    fn mounts(&mut self, files: &Files, all: bool) {
        let (from_host, same) = files.parts_of_host();
        if same > 0 {
            self.line("  mounts", &[format!("{same} as on the host")]);
        }
        let is_below = |mount: &Mounted, other: &Mounted| is_below(&mount.target, &other.target);
        for mount in &from_host {
            if !all && (mount.is_usual() || from_host.iter().any(|other| is_below(mount, other))) {
                continue;
            }
            let mode = if mount.read_only { "ro" } else { "rw" };
            let below = from_host.iter().filter(|other| is_below(other, mount)).count() as u64;
            let more =
                if below > 0 && !all { format!(", {} below", many(below, "mount")) } else { String::new() };
            let paths = (short_path(&mount.source), short_path(&mount.target));
            self.sentence("  mount", &format!("{} -> {} {mode}{more}", paths.0, paths.1));
            if !mount.writable_below.is_empty() {
                let below = few(&mount.writable_below);
                let words = self.painter.alarm("can be written below it:").into_owned();
                self.sentence("", &format!("{words} {below}"));
            }
        }
    }

    fn processes(&mut self, processes: &Processes, all: bool) {
        if let Some(init) = &processes.init {
            let mut parts = Vec::new();
            let stop = init.stop_signal.as_deref();
            for name in stop
                .into_iter()
                .chain(["TERM", "HUP", "INT", "QUIT"].into_iter().filter(|name| stop != Some(name)))
            {
                let verdict = init.signals.get(name).copied().flatten();
                parts.extend(verdict.map(|verdict| format!("SIG{name} {verdict}")));
            }
            if !parts.is_empty() {
                self.line("signals", &parts);
            }
        }
        let zombies = processes.zombies;
        if zombies > 0 {
            self.line("processes", &[many(processes.count, "process"), many(zombies, "zombie")]);
        } else {
            self.line("processes", &[processes.count.to_string()]);
        }
        let most = if all { usize::MAX } else { MOST_PROCESSES };
        for process in processes.list.iter().take(most) {
            let cpid = process.cpid.filter(|cpid| *cpid != process.pid).map(|cpid| cpid.to_string());
            let state = process.state.as_deref().unwrap_or("?");
            let via = process.via.filter(|via| matches!(*via, "exec" | "ns"));
            let via = via.map(|via| format!("({via}) ")).unwrap_or_default();
            let command = process.command.clone().unwrap_or_default();
            let fds = process.fds.zip(process.fds_limit).filter(|(fds, limit)| *fds * 10 >= *limit * 8);
            let fds = fds.map(|(fds, limit)| format!("[{fds} of {limit} open files] ")).unwrap_or_default();
            let line = format!(
                "{:>9} {:>5} {state}  {}{via}{fds}{}",
                process.pid,
                cpid.unwrap_or_default(),
                "  ".repeat(process.depth.min(10)),
                text::escape(command.as_bytes())
            );
            self.out.push(text::cut(&line, self.columns).as_bytes());
            self.out.push(b"\n");
        }
        if processes.list.len() > most {
            let line = format!("{:>9} more (-a shows them)\n", processes.list.len() - most);
            self.out.push(line.as_bytes());
        }
    }

    /// Those with the same reason in one line.
    fn unknown(&mut self, unknown: &[Unknown], all: bool) {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for one in unknown.iter().filter(|one| all || one.path != "privileges.securebits") {
            match reasons.iter_mut().find(|(why, _)| *why == one.why) {
                Some((_, paths)) => paths.push(&one.path),
                None => reasons.push((&one.why, vec![&one.path])),
            }
        }
        for (why, paths) in reasons {
            let line = format!("{}: {}", paths.join(" "), text::escape(why.as_bytes()));
            self.sentence("unknown", &line);
        }
    }

    /// Parts that are never cut in two, with wide gaps.
    pub(super) fn line(&mut self, label: &str, parts: &[String]) {
        self.labelled(label, parts, 3);
    }

    pub(super) fn sentence(&mut self, label: &str, text: &str) {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        self.words(label, &words);
    }

    /// Words of a sentence.
    pub(super) fn words(&mut self, label: &str, parts: &[String]) {
        self.labelled(label, parts, 1);
    }

    fn labelled(&mut self, label: &str, parts: &[String], gap: usize) {
        let mut padded = format!("{label:LABEL$}");
        if padded.len() > LABEL {
            padded.push(' ');
        }
        let width = padded.len();
        let first = if label.starts_with(' ') {
            self.painter.faint(&padded).into_owned()
        } else {
            self.painter.heading(&padded).into_owned()
        };
        self.flow_after(&first, width, parts, (gap, LABEL));
    }

    fn flow(&mut self, first: &str, width: usize, parts: &[String], gap: usize) {
        let first = format!("{first}{}", " ".repeat(gap));
        self.flow_after(&first, width + gap, parts, (gap, LABEL));
    }

    fn flow_after(&mut self, first: &str, width: usize, parts: &[String], (gap, indent): (usize, usize)) {
        let mut text = first.to_owned();
        let (mut column, mut is_first) = (width, true);
        for part in parts {
            let part_width = text::width(&uncoloured(part));
            if !is_first && column + gap + part_width > self.columns {
                _ = write!(text, "\n{}", " ".repeat(indent));
                (column, is_first) = (indent, true);
            }
            let space = if is_first { 0 } else { gap };
            _ = write!(text, "{}{part}", " ".repeat(space));
            (column, is_first) = (column + space + part_width, false);
        }
        text.push('\n');
        self.out.push(text.as_bytes());
    }
}

/// Without the escape sequences of colours.
fn uncoloured(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('\x1b');
    plain.push_str(parts.next().unwrap_or_default());
    parts.for_each(|part| plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest)));
    plain
}

/// A path of a group, with long ids cut.
pub(super) fn short_path(path: &str) -> String {
    const LONG: usize = 32;
    const KEPT: usize = 12;
    let cut = |part: &str| {
        let digits = |at: &usize| part.as_bytes()[*at..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        // Whatever follows the id is cut too: `.scope`.
        let id = (0..part.len()).find(|at| digits(at) >= LONG).filter(|_| part.is_ascii());
        id.map_or_else(|| part.to_owned(), |at| format!("{}…", &part[..at + KEPT]))
    };
    let parts: Vec<String> = path.split('/').map(cut).collect();
    text::escape(parts.join("/").as_bytes()).into_owned()
}

/// A few names, and how many more there are.
fn few(names: &[String]) -> String {
    const MOST: usize = 4;
    let mut text =
        names.iter().take(MOST).map(|name| text::escape(name.as_bytes())).collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        _ = write!(text, " and {} more", names.len() - MOST);
    }
    text
}

pub(super) fn many(count: u64, what: &str) -> String {
    match (count, what.ends_with('s')) {
        (1, _) => format!("1 {what}"),
        (_, true) => format!("{count} {what}es"),
        (_, false) => format!("{count} {what}s"),
    }
}

fn decimal(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time that is not negative")]
fn time(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.1}s") } else { ago(seconds as u64) }
}

fn map_in_words(map: &[Extent]) -> String {
    let range = |first: u32, count: u32| match count {
        0 | 1 => first.to_string(),
        _ => format!("{first}-{}", u64::from(first) + u64::from(count) - 1),
    };
    let line = |line: &Extent| {
        format!("{} inside is {}", range(line.inside, line.count), range(line.outside, line.count))
    };
    const MOST: usize = 3;
    let mut words = map.iter().take(MOST).map(line).collect::<Vec<_>>().join(", ");
    match map.len() {
        0 => words.push_str("no id is mapped"),
        count if count > MOST => _ = write!(words, " and {} more", count - MOST),
        _ => {}
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ids_in_paths_are_cut() {
        let id = "0123456789ab".to_owned() + &"cd".repeat(26);
        assert_eq!(short_path(&format!("/docker/{id}")), "/docker/0123456789ab…");
        assert_eq!(short_path(&format!("/a/docker-{id}.scope/b")), "/a/docker-0123456789ab…/b");
        assert_eq!(short_path("/user.slice/user-1000.slice"), "/user.slice/user-1000.slice");
    }

    #[test]
    fn lines_are_filled_up_to_the_width() {
        let mut out = Out::kept();
        let mut page = Page { out: &mut out, painter: Painter { colour: false }, columns: 30 };
        let parts = ["a".repeat(10), "b".repeat(6), "c".repeat(30), "d".to_owned()];
        page.line("memory", &parts);
        let text = String::from_utf8(out.into_bytes()).expect("text");
        let blank = " ".repeat(11);
        let expected = format!("memory     {}   {}\n{blank}{}\n{blank}d\n", parts[0], parts[1], parts[2]);
        assert_eq!(text, expected);
    }

    #[test]
    fn maps_and_numbers_in_words() {
        let map = [
            Extent { inside: 0, outside: 1000, count: 1 },
            Extent { inside: 1, outside: 100_000, count: 65_536 },
        ];
        assert_eq!(map_in_words(&map), "0 inside is 1000, 1-65536 inside is 100000-165535");
        assert_eq!(map_in_words(&[]), "no id is mapped");
        assert_eq!((decimal(0.5), decimal(2.0), decimal(1.255)), ("0.5".into(), "2".into(), "1.25".into()));
        assert_eq!(
            (many(1, "process"), many(2, "process"), many(2, "fork")),
            ("1 process".into(), "2 processes".into(), "2 forks".into())
        );
    }
}
