//! What is odd about a container: rules over the report.

mod files;
mod limits;
mod network;
mod privileges;
mod processes;
mod rules;

use nix::unistd::Pid;
use serde_json::{Value, json};

use super::finding::{Evidence, Finding, Severity};
use super::report::{Report, is_part};
use super::show::many;
use super::sockets::RuntimeSockets;
use super::unknown::Unknown;
use crate::container::Runtime;
use crate::container::world::{Subject, World};
use crate::order;
pub(crate) use rules::{RULES, Rule};

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
    if let (Some(namespaces), Some(_)) = (&report.namespaces, judge.runtime) {
        judge.namespaces(namespaces, report.privileges.as_ref());
    }
    let start = world.proc.process(Pid::from_raw(world.chief(subject))).start_time();
    let age = start.and_then(|start| world.clock.age(start));
    if let Some(limits) = &report.limits {
        judge.limits(limits, age);
    }
    if let Some((files, sockets)) = report.files.as_ref().zip(sockets) {
        judge.files(files, report.privileges.as_ref(), sockets);
    }
    if let Some(network) = &report.network {
        judge.network(network, age);
    }
    if let Some(processes) = &report.processes {
        judge.processes(processes, report.limits.as_ref());
    }
    judge.found.extend(of_unknown(&report.unknown, &report.undecided));
    order::sort_by_key(&mut judge.found, |finding| std::cmp::Reverse(finding.severity));
    judge.found
}

/// What is withheld, in one note. Nothing shows the securebits of another process.
pub(super) fn of_unknown(unknown: &[Unknown], undecided: &[&str]) -> Option<Finding> {
    let paths = unknown.iter().map(|one| one.path.as_str());
    let withheld: Vec<&str> = paths.filter(|path| *path != "privileges.securebits").collect();
    if withheld.is_empty() {
        return None;
    }
    let mut text = format!("{} not known", many(withheld.len() as u64, "value"));
    let mut evidence = vec![("unknown", json!(withheld))];
    if !undecided.is_empty() {
        text += &format!("; not decided: {}", undecided.join(" "));
        evidence.push(("findings", json!(undecided)));
    }
    Some(finding("unknown", Severity::Note, text, evidence))
}

fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// Could the report have had this finding?
pub(super) fn is_judged(report: &Report, id: &str) -> bool {
    rule(id).is_none_or(|rule| {
        let is_known = |part: &str| !report.unknown.iter().any(|one| is_part(&one.path, part));
        (rule.of_host || !report.is_of_host) && rule.needs.iter().all(|part| is_known(part))
    })
}

/// What could be a finding of high severity, if all were known.
pub(super) fn undecided(report: &Report) -> Vec<&'static str> {
    let is_shown = |part: &str| match part.split('.').next().unwrap_or_default() {
        "privileges" => report.privileges.is_some(),
        "namespaces" => report.namespaces.is_some(),
        "limits" => report.limits.is_some(),
        "files" => report.files.is_some(),
        "network" => report.network.is_some(),
        _ => report.processes.is_some(),
    };
    // Of a process that may be in a container no rule about containers is judged.
    let may_be_in_one = report.unknown.iter().any(|one| one.path == "identity.container");
    let can_be_high = |rule: &&Rule| {
        rule.severity.contains("high") && (rule.of_host || may_be_in_one || !report.is_of_host)
    };
    let rules = RULES.iter().filter(can_be_high).filter(|rule| rule.needs.iter().all(|part| is_shown(part)));
    let mut all: Vec<&str> = rules.map(|rule| rule.id).filter(|id| !is_judged(report, id)).collect();
    let memory = report.limits.as_ref().map(|limits| &limits.memory);
    // When a process was killed shows in the log, unless all is recent.
    if memory.is_some_and(|memory| memory.is_time_of_kills_unknown()) {
        all.push("oom-kill");
    }
    all
}

pub(super) fn finding(
    id: &'static str,
    severity: Severity,
    text: String,
    evidence: Vec<(&str, Value)>,
) -> Finding {
    let (why, remedy) = rule(id).map_or(("", ""), |rule| (rule.why, rule.remedy));
    let evidence =
        evidence.into_iter().map(|(path, value)| Evidence { path: path.to_owned(), value }).collect();
    Finding { id, severity, text, evidence, more: Vec::new(), why, remedy }
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
        for rule in RULES {
            let texts = [rule.severity, rule.when, rule.why, rule.remedy];
            assert!(texts.iter().all(|text| !text.is_empty() && text.is_ascii()), "{}", rule.id);
            assert_eq!(RULES.iter().filter(|other| other.id == rule.id).count(), 1, "{}", rule.id);
        }
        let used = source.split("self.add(\"").skip(1).filter_map(|rest| rest.split('"').next());
        let used: Vec<&str> = used.filter(|id| !id.contains(')')).collect();
        assert!(used.len() > 20);
        used.iter().for_each(|id| assert!(rule(id).is_some(), "{id}"));
    }
}
