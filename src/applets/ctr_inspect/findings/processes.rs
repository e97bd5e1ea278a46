//! Rules about processes.

use std::time::Duration;

use nix::unistd::Pid;
use serde_json::json;

use super::Judge;
use crate::applets::ctr_inspect::finding::Severity;
use crate::applets::ctr_inspect::limits::Limits;
use crate::applets::ctr_inspect::processes::{Process, Processes};
use crate::applets::ctr_inspect::show::many;
use crate::container::Runtime;
use crate::sys;

impl Judge<'_> {
    pub(super) fn processes(&mut self, processes: &Processes, limits: Option<&Limits>) {
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

    pub(super) fn zombies(&mut self, processes: &Processes, limits: Option<&Limits>) {
        let is_zombie = |process: &&Process| process.state.as_deref() == Some("Z");
        // Without a pid namespace orphans are children of the host's first process.
        let init = processes.init.as_ref().filter(|init| init.is_init).map(|init| init.pid);
        let of_init = |process: &&Process| process.ppid.is_some() && process.ppid == init;
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

    pub(super) fn still_zombies(&self, pids: &[i32]) -> Vec<i32> {
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
