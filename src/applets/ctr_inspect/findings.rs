//! What is odd about a container: rules over the report.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Pid;
use serde_json::{Value, json};

use super::files::{Files, Mounted, is_below};
use super::finding::{Evidence, Finding, Severity};
use super::limits::Limits;
use super::namespaces::Namespaces;
use super::privileges::Privileges;
use super::processes::Processes;
use super::report::Report;
use super::scan::{Subject, World};
use super::show::{many, short_path};
use super::sockets::RuntimeSockets;
use crate::container::Runtime;
use crate::isolation::capabilities::{bits, number as capability};
use crate::output::size::size;
use crate::proc::Mask;
use crate::proc::clock::ago;
use crate::proc::covers::is_dangerous;
use crate::sys;

/// For each id: why it matters, and what to do.
const REASONS: &[(&str, &str, &str)] = &[
    (
        "privileged",
        "root in the container can do all that root on the host can",
        "run it without --privileged; add the capabilities and devices that it needs",
    ),
    (
        "host-user-ns-root",
        "a process that escapes is root on the host",
        "run it as another user, or in a user namespace",
    ),
    (
        "dangerous-capability",
        "the capability reaches beyond the container",
        "drop it if the program does not need it",
    ),
    (
        "seccomp-off",
        "every system call of the kernel can be attacked",
        "run it with the runtime's default profile",
    ),
    (
        "lsm-off",
        "the host's security module does not confine it",
        "run it with the runtime's default profile",
    ),
    (
        "runtime-socket",
        "who can connect to it can start a container with all rights; a read-only mount does not prevent that",
        "do not mount it; use a proxy that filters requests",
    ),
    (
        "host-root-mounted",
        "files of the host can be read, and changed if writable",
        "mount only the directories that the program needs, read-only",
    ),
    (
        "proc-writable",
        "settings of the host's kernel can be changed or read",
        "keep the runtime's masked and read-only paths",
    ),
    (
        "shares-host-pid",
        "it sees all processes of the host and can send signals to them",
        "run it without the host's pid namespace",
    ),
    (
        "shares-host-net",
        "it reaches services that listen on the host's loopback, and can listen on the host's ports",
        "use a network of its own and publish ports",
    ),
    (
        "shares-host-ipc",
        "it can use shared memory and semaphores of the host",
        "run it with an ipc namespace of its own",
    ),
    (
        "shares-host-uts",
        "with CAP_SYS_ADMIN it can change the host name",
        "run it with a uts namespace of its own",
    ),
    (
        "shares-host-user",
        "a uid inside is the same uid on the host",
        "use user namespaces if the runtime supports them",
    ),
    ("no-memory-limit", "it can take all memory of the host", "set a memory limit"),
    ("no-pids-limit", "a fork bomb can take all PIDs of the host", "set a limit of processes"),
    (
        "memory-near-limit",
        "the next allocation can get a process killed",
        "raise the limit, or find what takes the memory",
    ),
    (
        "memory-pressure",
        "processes wait for memory instead of running",
        "raise the limit, or find what takes the memory",
    ),
    (
        "oom-kill",
        "a process was killed for lack of memory; runtimes report that only if it was the first one",
        "raise the limit that was reached, or find what takes the memory",
    ),
    (
        "cpu-throttled",
        "processes stand still until the next period, although they could run",
        "raise the quota, or use fewer threads",
    ),
    (
        "cpus-seen",
        "programs that count CPUs start too many threads for the quota",
        "set the number of threads, or limit the CPUs (cpuset)",
    ),
    ("pids-near-limit", "new processes and threads will fail", "raise the limit, or find what starts them"),
    ("pids-denied", "new processes or threads failed", "raise the limit, or find what starts them"),
    (
        "pid1-drops-sigterm",
        "a stop waits for its timeout, then kills: the program cannot clean up",
        "handle the signal, start the program with exec, or use an init (--init)",
    ),
    (
        "pid1-does-not-reap",
        "zombies stay until the container ends, and each takes a PID",
        "use an init (--init), or wait for children",
    ),
    ("zombies", "a parent does not wait for its children", "fix the parent program"),
    ("frozen", "no process of it runs", "thaw it with the runtime (docker unpause) if that was not meant"),
    (
        "deleted-files",
        "the space is free only when the files are closed",
        "restart the program, or make it open its logs anew",
    ),
    (
        "fds-near-limit",
        "new files and connections will fail",
        "raise the limit (ulimit -n), or find what leaks",
    ),
    ("foreign-process", "a process entered from outside (nsenter)", "end it if nobody needs it any more"),
    (
        "exec-leftover",
        "a process that was started with exec is still there",
        "end it if nobody needs it any more",
    ),
    (
        "clock-offset",
        "clocks inside differ from those of the host",
        "take care when times in logs are compared",
    ),
    (
        "cwd-outside",
        "through its working directory the process reaches files of the host (CVE-2024-21626)",
        "stop the container and update runc",
    ),
    ("unknown", "the caller's rights or the kernel withhold some values", "run it as root"),
];

/// What to expect of a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// Capabilities, seccomp and masks are limited by default.
    Strict,
    /// Kubernetes: no seccomp unless the pod asks for it.
    Kubernetes,
    /// The runtime has another idea of isolation.
    Own,
}

fn policy(runtime: Runtime) -> Policy {
    match runtime {
        Runtime::Docker | Runtime::Podman | Runtime::Nerdctl | Runtime::Ecs | Runtime::Containerd => {
            Policy::Strict
        }
        Runtime::K8s => Policy::Kubernetes,
        _ => Policy::Own,
    }
}

struct Judge<'a> {
    world: &'a World<'a>,
    subject: Subject,
    /// None for a process of the host.
    runtime: Option<Runtime>,
    is_pause: bool,
    found: Vec<Finding>,
}

pub(super) fn judge(
    world: &World<'_>,
    subject: Subject,
    report: &Report,
    sockets: &RuntimeSockets,
) -> Vec<Finding> {
    let container = subject.container.map(|number| &world.containers[number].container);
    let mut judge = Judge {
        world,
        subject,
        runtime: container.map(|container| container.runtime),
        is_pause: container.is_some_and(|container| container.is_pause()),
        found: Vec::new(),
    };
    if let (Some(privileges), Some(runtime)) = (&report.privileges, judge.runtime) {
        judge.privileges(privileges, report.namespaces.as_ref(), policy(runtime));
    }
    if let (Some(namespaces), Some(runtime)) = (&report.namespaces, judge.runtime) {
        judge.namespaces(namespaces, report.privileges.as_ref(), policy(runtime));
    }
    if let Some(limits) = &report.limits {
        let age = report.identity.as_ref().and_then(|identity| identity.age);
        judge.limits(limits, age);
    }
    if let Some(files) = &report.files {
        judge.files(files, sockets);
    }
    if let Some(processes) = &report.processes {
        judge.processes(processes, report.limits.as_ref());
    }
    let withheld: Vec<&str> = report
        .unknown
        .iter()
        .map(|one| one.path.as_str())
        .filter(|path| *path != "privileges.securebits")
        .collect();
    if !withheld.is_empty() {
        let text = format!("{} not known", many(withheld.len() as u64, "value"));
        judge.add("unknown", Severity::Note, text, vec![("unknown", json!(withheld))]);
    }
    judge.found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    judge.found
}

impl Judge<'_> {
    fn add(
        &mut self,
        id: &'static str,
        severity: Severity,
        text: impl Into<String>,
        evidence: Vec<(&str, Value)>,
    ) {
        let reason = REASONS.iter().find(|(known, ..)| *known == id);
        let (why, remedy) = reason.map_or(("", ""), |(_, why, remedy)| (*why, *remedy));
        let evidence =
            evidence.into_iter().map(|(path, value)| Evidence { path: path.to_owned(), value }).collect();
        self.found.push(Finding { id, severity, text: text.into(), evidence, why, remedy });
    }

    fn privileges(&mut self, privileges: &Privileges, namespaces: Option<&Namespaces>, policy: Policy) {
        let Some(bounding) = &privileges.bounding else { return };
        let is_privileged = privileges.privileged == Some(true) && policy != Policy::Own;
        if is_privileged {
            let text = format!("{} capabilities, no seccomp, nothing of /proc masked", bounding.names.len());
            let evidence = vec![
                ("privileges.bounding.mask", json!(bounding.mask)),
                ("privileges.seccomp", json!(privileges.seccomp)),
                ("privileges.masked", json!(privileges.masked)),
            ];
            self.add("privileged", Severity::High, text, evidence);
        }
        let effective = privileges.effective.as_ref().map_or(0, |set| set.bits);
        if privileges.root_on_host == Some(true) && effective != 0 {
            let evidence = vec![("privileges.root_on_host", json!(true))];
            self.add("host-user-ns-root", Severity::Note, "its root is root on the host", evidence);
        }
        if !is_privileged && privileges.on_host {
            self.capabilities(privileges, namespaces);
        }
        if privileges.seccomp == Some("off") {
            let severity = if policy == Policy::Strict { Severity::Medium } else { Severity::Note };
            let evidence = vec![("privileges.seccomp", json!("off"))];
            self.add("seccomp-off", severity, "no seccomp filter", evidence);
        }
        let unconfined = |label: &str| {
            label.starts_with("unconfined") || label.contains(":spc_t:") || label.contains(":unconfined_t:")
        };
        let label = privileges.lsm.as_ref().map(|lsm| lsm.label.as_str());
        if !privileges.host_lsms.is_empty() && label.is_some_and(unconfined) {
            let severity = if policy == Policy::Strict { Severity::Medium } else { Severity::Note };
            let text = format!("not confined by {}", privileges.host_lsms.join(", "));
            self.add("lsm-off", severity, text, vec![("privileges.lsm.label", json!(label))]);
        }
        let open: Vec<&String> = privileges.uncovered.iter().filter(|path| is_dangerous(path)).collect();
        if privileges.on_host && !open.is_empty() {
            // A kubelet asks for masks; a container of a bare request has none.
            let has_any = !privileges.masked.is_empty() || !privileges.readonly.is_empty();
            let medium = policy == Policy::Strict || (policy == Policy::Kubernetes && has_any);
            let severity = if medium { Severity::Medium } else { Severity::Note };
            let names = open.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(", ");
            self.add(
                "proc-writable",
                severity,
                format!("not covered: {names}"),
                vec![("privileges.uncovered", json!(open))],
            );
        }
    }

    /// Those beyond the runtime's default.
    fn capabilities(&mut self, privileges: &Privileges, namespaces: Option<&Namespaces>) {
        const HIGH: [&str; 4] = ["cap_sys_admin", "cap_sys_module", "cap_sys_rawio", "cap_dac_read_search"];
        const MEDIUM: [&str; 9] = [
            "cap_sys_ptrace",
            "cap_net_admin",
            "cap_sys_boot",
            "cap_sys_time",
            "cap_bpf",
            "cap_perfmon",
            "cap_syslog",
            "cap_mac_override",
            "cap_mac_admin",
        ];
        let shares = |kind: &str| {
            namespaces.and_then(|all| all.kinds.get(kind)).is_some_and(|one| one.host == Some(true))
        };
        let cannot_grow = privileges.uid != Some(0) && privileges.no_new_privs == Some(true);
        let mut groups: [(Severity, Vec<&str>); 3] =
            [(Severity::High, Vec::new()), (Severity::Medium, Vec::new()), (Severity::Note, Vec::new())];
        for name in privileges.added.iter().map(String::as_str) {
            let severity = match name {
                _ if !HIGH.contains(&name) && !MEDIUM.contains(&name) => continue,
                _ if cannot_grow => Severity::Note,
                "cap_sys_ptrace" if shares("pid") => Severity::High,
                "cap_net_admin" if !shares("net") => Severity::Note,
                _ if HIGH.contains(&name) => Severity::High,
                _ => Severity::Medium,
            };
            let group = groups.iter_mut().find(|(known, _)| *known == severity);
            group.into_iter().for_each(|(_, names)| names.push(name));
        }
        for (severity, names) in groups.into_iter().filter(|(_, names)| !names.is_empty()) {
            let shown = names.iter().map(|name| name.trim_start_matches("cap_").to_uppercase());
            let text = format!("{} beyond the default", shown.collect::<Vec<_>>().join(" "));
            self.add("dangerous-capability", severity, text, vec![("privileges.added", json!(names))]);
        }
    }

    fn namespaces(&mut self, namespaces: &Namespaces, privileges: Option<&Privileges>, policy: Policy) {
        const KINDS: [(&str, &str, Severity); 5] = [
            ("pid", "shares-host-pid", Severity::Medium),
            ("net", "shares-host-net", Severity::Medium),
            ("ipc", "shares-host-ipc", Severity::Note),
            ("uts", "shares-host-uts", Severity::Note),
            ("user", "shares-host-user", Severity::Note),
        ];
        let bounding: Mask = privileges.and_then(|all| all.bounding.as_ref()).map_or(0, |set| set.bits);
        let traces = ["cap_sys_ptrace", "cap_sys_admin"]
            .iter()
            .any(|name| capability(name).is_some_and(|wanted| bits(bounding).any(|number| number == wanted)));
        let is_sandbox = policy == Policy::Own && self.runtime != Some(Runtime::Nspawn);
        for (kind, id, severity) in KINDS {
            let is_hosts = namespaces.kinds.get(kind).is_some_and(|one| one.host == Some(true));
            if !is_hosts {
                continue;
            }
            let severity = match kind {
                _ if is_sandbox => Severity::Note,
                "pid" if traces && privileges.is_some_and(|all| all.on_host) => Severity::High,
                _ => severity,
            };
            let path = format!("namespaces.{kind}.host");
            self.add(
                id,
                severity,
                format!("uses the {kind} namespace of the host"),
                vec![(&path, json!(true))],
            );
        }
        if let Some(offsets) =
            namespaces.time_offsets.filter(|one| (one.monotonic, one.boottime) != (0.0, 0.0))
        {
            let evidence = vec![("namespaces.time_offsets", json!(offsets))];
            self.add("clock-offset", Severity::Note, "its clocks are shifted", evidence);
        }
        if !namespaces.foreign.is_empty() {
            let pids: Vec<i32> = namespaces.foreign.iter().map(|one| one.pid).collect();
            let text = format!("{} entered from outside", many(pids.len() as u64, "process"));
            self.add("foreign-process", Severity::Note, text, vec![("namespaces.foreign", json!(pids))]);
        }
    }

    fn limits(&mut self, limits: &Limits, age: Option<u64>) {
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
            pids.current.zip(pids.limit).filter(|(current, limit)| current * 10 >= limit * 9)
        {
            let evidence = vec![("limits.pids.current", json!(current)), ("limits.pids.limit", json!(limit))];
            self.add("pids-near-limit", Severity::High, format!("{current} of {limit} processes"), evidence);
        }
        if let Some(denied) = pids.denied.filter(|denied| *denied > 0) {
            let text = format!("the limit of processes refused {}", many(denied, "fork"));
            self.add("pids-denied", Severity::High, text, vec![("limits.pids.denied", json!(denied))]);
        }
    }

    fn memory(&mut self, limits: &Limits) {
        let memory = &limits.memory;
        let fixed = memory.anon.map(|anon| anon + memory.shmem.unwrap_or(0) + memory.kernel.unwrap_or(0));
        let share = |used: Option<u64>| super::limits::percent(used, memory.limit);
        // The numbers of a shared group include other processes.
        let own = memory.own == Some(true);
        if let Some((fixed, percent)) = fixed.zip(share(fixed)).filter(|(_, percent)| own && *percent >= 90.0)
        {
            let severity = if percent >= 98.0 { Severity::High } else { Severity::Medium };
            let text = format!(
                "{} of {} cannot be reclaimed ({percent:.0} %)",
                size(fixed),
                size(memory.limit.unwrap_or(0))
            );
            let evidence = vec![
                ("limits.memory.limit", json!(memory.limit)),
                ("limits.memory.anon", json!(memory.anon)),
            ];
            self.add("memory-near-limit", severity, text, evidence);
        } else if share(memory.usage).is_some_and(|percent| own && percent >= 95.0) {
            let text = "page cache fills the limit: the kernel reclaims it when memory is needed";
            self.add(
                "memory-near-limit",
                Severity::Note,
                text,
                vec![("limits.memory.usage", json!(memory.usage))],
            );
        }
        let pressure = limits.pressure.as_ref().and_then(|all| all.memory.as_ref());
        let avg60 = |stall: Option<&super::limits::Stall>| stall.map_or(0.0, |stall| stall.avg60);
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
        let Some(kills) = memory.events.oom_kill.filter(|kills| *kills > 0 && own) else { return };
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
            None => format!("{} killed for lack of memory; PID 1 lives on", many(kills, "process")),
        };
        let mut evidence = vec![("limits.memory.events.oom_kill", json!(kills))];
        evidence.extend(last.map(|last| ("limits.memory.kills", json!(last))));
        self.add("oom-kill", severity, text, evidence);
    }

    fn cpu(&mut self, limits: &Limits, age: Option<u64>) {
        let cpu = &limits.cpu;
        let throttled = &cpu.throttled;
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let burst = throttled.seconds.zip(age).is_some_and(|(seconds, age)| seconds < age as f64 / 100.0);
        let percent = throttled.percent.filter(|percent| {
            *percent >= 5.0 && throttled.periods.is_some_and(|periods| periods >= 100) && !burst
        });
        if let Some(percent) = percent {
            let severity = if percent >= 25.0 { Severity::High } else { Severity::Medium };
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
            let severity = if percent.is_some() { Severity::Medium } else { Severity::Note };
            let text = format!("sees {} but may use {quota:.2}", many(seen, "CPU"));
            let evidence = vec![("limits.cpu.seen_cpus", json!(seen)), ("limits.cpu.quota", json!(quota))];
            self.add("cpus-seen", severity, text, evidence);
        }
    }

    fn files(&mut self, files: &Files, sockets: &RuntimeSockets) {
        if files.cwd_outside == Some(true) && self.runtime.is_some() {
            let text =
                format!("its working directory is outside its root: {}", files.cwd.as_deref().unwrap_or("?"));
            self.add("cwd-outside", Severity::High, text, vec![("files.cwd", json!(files.cwd))]);
        }
        let bytes: u64 = files.deleted.iter().flatten().map(|file| file.bytes).fold(0, u64::saturating_add);
        if bytes > 100 << 20 {
            let text = format!("{} of deleted files are still taken", size(bytes));
            self.add("deleted-files", Severity::Medium, text, vec![("files.deleted", json!(bytes))]);
        }
        // Without a root of its own it sees the files of the host by design.
        if self.runtime.is_none() || files.root.path.as_deref() == Some("/") {
            return;
        }
        let owner = self.subject.container.map_or(0, |number| self.world.containers[number].container.owner);
        let targets: Vec<(&Path, PathBuf)> = sockets
            .of(owner)
            .flat_map(|socket| reached(&files.mounts, socket).into_iter().map(move |target| (socket, target)))
            .collect();
        if let Some((socket, target)) = targets.first() {
            let more = match targets.len() {
                1 => String::new(),
                count => format!(", and {} more", count - 1),
            };
            let text = format!("{} is reachable as {}{more}", socket.display(), target.display());
            let paths: Vec<_> = targets.iter().map(|(_, target)| target.to_string_lossy()).collect();
            self.add("runtime-socket", Severity::High, text, vec![("files.mounts", json!(paths))]);
        }
        self.host_directories(&files.mounts);
    }

    fn host_directories(&mut self, mounts: &[Mounted]) {
        const JUDGED: [&str; 10] = [
            "/",
            "/etc",
            "/root",
            "/boot",
            "/proc",
            "/sys",
            "/dev",
            "/var/lib/docker",
            "/var/lib/kubelet",
            "/run",
        ];
        let judged = |mount: &&Mounted| mount.from_host && JUDGED.contains(&mount.source.as_str());
        let all: Vec<&Mounted> = mounts.iter().filter(judged).collect();
        let is_sandbox = matches!(
            self.runtime,
            Some(Runtime::Bwrap | Runtime::Flatpak | Runtime::Firejail | Runtime::Snap)
        );
        for mount in &all {
            // What came along with a directory above is part of that finding.
            if all.iter().any(|other| is_below(&mount.target, &other.target)) {
                continue;
            }
            let writable = !mount.read_only || !mount.writable_below.is_empty();
            let severity = match () {
                () if is_sandbox => Severity::Note,
                () if writable => Severity::High,
                () => Severity::Medium,
            };
            let how = match (mount.read_only, writable) {
                (false, _) => "writable".to_owned(),
                (true, false) => "read-only".to_owned(),
                (true, true) => format!(
                    "read-only, but {} below can be written",
                    many(mount.writable_below.len() as u64, "mount")
                ),
            };
            let text = format!("{} of the host is mounted on {}, {how}", mount.source, mount.target);
            let evidence = vec![
                ("files.mounts", json!(mount.target)),
                ("files.mounts.writable_below", json!(mount.writable_below)),
            ];
            self.add("host-root-mounted", severity, text, evidence);
        }
    }

    fn processes(&mut self, processes: &Processes, limits: Option<&Limits>) {
        let stops =
            matches!(self.runtime, Some(Runtime::Docker | Runtime::Podman | Runtime::K8s | Runtime::Nerdctl));
        if let Some(init) = processes.init.as_ref().filter(|init| init.is_init && init.stops == Some(false)) {
            if stops && !self.is_pause {
                let signal = init.stop_signal.as_deref().unwrap_or("TERM");
                let verdict = init.signals.get(signal).copied().flatten().unwrap_or("dropped");
                let cause = if verdict == "ignored" { "ignores it" } else { "has no handler" };
                let text = format!("a stop sends SIG{signal}, and the first process {cause}");
                let path = format!("processes.init.signals.{signal}");
                self.add("pid1-drops-sigterm", Severity::Medium, text, vec![(&path, json!(verdict))]);
            }
        }
        self.zombies(processes, limits);
        for process in &processes.list {
            let Some((fds, limit)) = process.fds.zip(process.fds_limit) else { continue };
            if limit > 0 && fds * 10 >= limit * 8 {
                let text = format!("process {} has {fds} of {limit} open files", process.pid);
                let evidence =
                    vec![("processes.list.fds", json!(fds)), ("processes.list.fds_limit", json!(limit))];
                self.add("fds-near-limit", Severity::Medium, text, evidence);
            }
        }
        let is_old = |age: Option<u64>| age.is_some_and(|age| age > 3600);
        let old = processes
            .list
            .iter()
            .filter(|process| process.via == Some("exec") && is_old(process.age_seconds));
        let pids: Vec<i32> = old.map(|process| process.pid).collect();
        if !pids.is_empty() {
            let text = format!("{} of an exec more than an hour ago", many(pids.len() as u64, "process"));
            self.add("exec-leftover", Severity::Note, text, vec![("processes.list", json!(pids))]);
        }
    }

    fn zombies(&mut self, processes: &Processes, limits: Option<&Limits>) {
        let is_zombie = |process: &&super::processes::Process| process.state.as_deref() == Some("Z");
        let init = processes.init.as_ref().map(|init| init.pid);
        let of_init = |process: &&super::processes::Process| process.ppid.is_some() && process.ppid == init;
        let (own, others): (Vec<_>, Vec<_>) = processes.list.iter().filter(is_zombie).partition(of_init);
        // A zombie that is there for a moment is normal: look twice.
        let left = self.still_zombies(&own.iter().map(|process| process.pid).collect::<Vec<_>>());
        if !left.is_empty() {
            let most = limits.and_then(|limits| limits.pids.limit);
            let many_ = most.is_some_and(|most| processes.zombies * 2 >= most);
            let severity = if many_ { Severity::High } else { Severity::Medium };
            let text = format!("the first process leaves {} behind", many(left.len() as u64, "zombie"));
            self.add("pid1-does-not-reap", severity, text, vec![("processes.zombies", json!(left.len()))]);
        }
        if others.len() > 10 {
            let text = format!("{} of other parents", many(others.len() as u64, "zombie"));
            self.add("zombies", Severity::Note, text, vec![("processes.zombies", json!(others.len()))]);
        }
    }

    fn still_zombies(&self, pids: &[i32]) -> Vec<i32> {
        if pids.is_empty() {
            return Vec::new();
        }
        let start = |pid: i32| {
            let stat = self.world.proc.process(Pid::from_raw(pid)).stat();
            stat.filter(|stat| stat.state == b'Z').map(|stat| stat.start)
        };
        let before: Vec<(i32, Option<u64>)> = pids.iter().map(|pid| (*pid, start(*pid))).collect();
        _ = sys::sleep(Duration::from_millis(100));
        let same = before.into_iter().filter(|(pid, then)| then.is_some() && start(*pid) == *then);
        same.map(|(pid, _)| pid).collect()
    }
}

/// Where a file of the host is in the container: mounts lead to it, and no other mount covers it.
fn reached(mounts: &[Mounted], socket: &Path) -> Vec<PathBuf> {
    let target_in = |mount: &Mounted| {
        let below = socket.strip_prefix(&mount.source).ok()?;
        let target = Path::new(&mount.target);
        let inside = if below.as_os_str().is_empty() { target.to_path_buf() } else { target.join(below) };
        let depth = |mount: &&Mounted| Path::new(&mount.target).components().count();
        let covers = |other: &&Mounted| {
            let inside = inside.to_str().unwrap_or_default();
            other.target == inside || is_below(inside, &other.target)
        };
        let last = mounts.iter().filter(covers).max_by_key(depth)?;
        (last.target == mount.target).then_some(inside)
    };
    mounts.iter().rev().filter(|mount| mount.from_host).filter_map(target_in).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_its_reason_once() {
        let source = include_str!("findings.rs");
        for (id, why, remedy) in REASONS {
            assert!(!why.is_empty() && !remedy.is_empty(), "{id}");
            assert_eq!(REASONS.iter().filter(|(other, ..)| other == id).count(), 1, "{id}");
        }
        let used = source.split("self.add(\"").skip(1).filter_map(|rest| rest.split('"').next());
        let used: Vec<&str> = used.filter(|id| !id.contains(')')).collect();
        assert!(used.len() > 20);
        used.iter().for_each(|id| assert!(REASONS.iter().any(|(known, ..)| known == id), "{id}"));
    }

    #[test]
    fn a_socket_below_a_mount_is_reached_unless_it_is_covered() {
        let mount = |target: &str, source: &str, from_host| Mounted {
            target: target.to_owned(),
            source: source.to_owned(),
            fstype: "x".to_owned(),
            read_only: true,
            from_host,
            writable_below: Vec::new(),
        };
        let socket = Path::new("/run/docker.sock");
        let found =
            |mounts: &[Mounted]| reached(mounts, socket).first().map(|path| path.display().to_string());
        assert_eq!(found(&[mount("/s", "/run/docker.sock", true)]).as_deref(), Some("/s"));
        assert_eq!(found(&[mount("/host", "/", true)]).as_deref(), Some("/host/run/docker.sock"));
        assert_eq!(found(&[mount("/host", "/", true), mount("/host/run", "tmpfs", false)]), None);
        assert_eq!(found(&[mount("/s", "/run/docker.socket", true)]), None);
        assert_eq!(found(&[mount("/s", "/run/docker.sock", false)]), None);
    }
}
