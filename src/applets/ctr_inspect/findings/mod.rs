//! What is odd about a container: rules over the report.

mod files;
mod limits;
mod network;
mod privileges;
mod processes;
mod reasons;

use nix::unistd::Pid;
use serde_json::{Value, json};

use super::finding::{Evidence, Finding, Severity};
use super::identity::Identity;
use super::limits::Kill;
use super::report::Report;
use super::show::{many, short_path};
use super::sockets::RuntimeSockets;
use crate::container::Runtime;
use crate::container::details::may_be_first_killed;
use crate::container::world::{Subject, World};
use crate::order;
use reasons::REASONS;

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
    sockets: Option<&RuntimeSockets<'_>>,
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
    if let Some((files, sockets)) = report.files.as_ref().zip(sockets) {
        judge.files(files, report.privileges.as_ref(), sockets);
    }
    if let Some(network) = &report.network {
        let start = world.proc.process(Pid::from_raw(world.chief(subject))).start_time();
        judge.network(network, start.and_then(|start| world.clock.age(start)));
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
    order::sort_by_key(&mut judge.found, |finding| std::cmp::Reverse(finding.severity));
    judge.found
}

/// A container that ended because it had no memory left. `kill`: what the kernel's log has of that.
pub(super) fn ended(identity: &Identity, kill: Option<&Kill>) -> Option<Finding> {
    if identity.oom_killed != Some(true) {
        return None;
    }
    let recent = identity.age.is_some_and(|age| age < 3600);
    let severity = if recent { Severity::High } else { Severity::Medium };
    let by = kill.map(|kill| match &kill.limit_by {
        Some(path) => format!(" by the limit of {}", short_path(path)),
        None => ", as the host had no memory left".to_owned(),
    });
    let (who, end) = match may_be_first_killed(identity.exit_code) {
        true => ("the first process", ", and the container ended"),
        false => ("a process", ""),
    };
    let text = format!("{who} was killed for lack of memory{}{end}", by.unwrap_or_default());
    let mut evidence = vec![("identity.oom_killed", json!(true))];
    evidence.extend(kill.map(|kill| ("limits.memory.kills", json!(kill))));
    Some(finding("oom-kill", severity, text, evidence))
}

fn finding(id: &'static str, severity: Severity, text: String, evidence: Vec<(&str, Value)>) -> Finding {
    let reason = REASONS.iter().find(|(known, ..)| *known == id);
    let (why, remedy) = reason.map_or(("", ""), |(_, why, remedy)| (*why, *remedy));
    let evidence =
        evidence.into_iter().map(|(path, value)| Evidence { path: path.to_owned(), value }).collect();
    Finding { id, severity, text, evidence, why, remedy }
}

impl Judge<'_> {
    fn add(
        &mut self,
        id: &'static str,
        severity: Severity,
        text: impl Into<String>,
        evidence: Vec<(&str, Value)>,
    ) {
        self.found.push(finding(id, severity, text.into(), evidence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_its_reason_once() {
        let source = [
            include_str!("mod.rs"),
            include_str!("files.rs"),
            include_str!("limits.rs"),
            include_str!("network.rs"),
            include_str!("privileges.rs"),
            include_str!("processes.rs"),
        ]
        .concat();
        for (id, why, remedy) in REASONS {
            assert!(!why.is_empty() && !remedy.is_empty(), "{id}");
            assert_eq!(REASONS.iter().filter(|(other, ..)| other == id).count(), 1, "{id}");
        }
        let used = source.split("self.add(\"").skip(1).filter_map(|rest| rest.split('"').next());
        let used: Vec<&str> = used.filter(|id| !id.contains(')')).collect();
        assert!(used.len() > 20);
        used.iter().for_each(|id| assert!(REASONS.iter().any(|(known, ..)| known == id), "{id}"));
    }
}
