//! Plans which groups to join, create and limit. Changes nothing.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::unistd::{Pid, getresgid, getresuid};

use super::{Request, daemon, rules};
use crate::container::target::{Lookup, Purpose, Target};
use crate::isolation::cgroup::chain::Place;
use crate::isolation::cgroup::limits::{self, Write};
use crate::isolation::cgroup::{self, Group, Hierarchies, Step};
use crate::isolation::ns;
use crate::order;
use crate::proc::{ProcRoot, count_of_list, cpus_allowed};
use crate::sys;
use crate::text;

#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In the order of joining.
    pub groups: Vec<Group>,
    /// The directories to create and the values to write.
    pub steps: Vec<Step>,
    /// The groups come from a rule: they are not removed.
    pub stays: bool,
}

pub(super) fn plan(proc: &ProcRoot, request: &Request, program: &[OsString]) -> Result<Plan> {
    if let Some(controllers) = controllers(request) {
        let some = Hierarchies::read_for(proc, &controllers)?;
        // The messages of errors name all that is mounted.
        if let Ok(plan) = named(proc, &some, request, &[]) {
            return Ok(plan);
        }
    }
    let host = Hierarchies::read(proc)?;
    if let Some(target) = &request.like {
        return like(proc, &host, target);
    }
    // The groups follow from the controllers, and percentages from the groups: so far any number will do.
    let writes = limits::here(&host, &limits::resolved(&request.limits, |_| Ok(1 << 40))?)?;
    if !request.specs.is_empty() {
        return named(proc, &host, request, &writes);
    }
    if request.own_group() {
        return fresh(proc, &host, request, &writes);
    }
    by_rules(&host, program)
}

/// The controllers that `-g` names, if these and no others are needed.
fn controllers(request: &Request) -> Option<Vec<&str>> {
    if request.specs.is_empty() || !request.limits.is_empty() {
        return None;
    }
    let mut all = Vec::new();
    for spec in &request.specs {
        let (names, _path) = spec.to_str()?.split_once(':')?;
        all.extend(names.split(','));
    }
    (!all.contains(&"*")).then_some(all)
}

/// Holds the process while its groups are read: its PID could be reused meanwhile.
fn like(proc: &ProcRoot, host: &Hierarchies, target: &Target) -> Result<Plan> {
    let held = Lookup::new("cgexec", Purpose::Enter).held(proc, target)?;
    let groups = host.groups_of(proc, held.pid)?;
    if let Some(pidfd) = &held.pidfd {
        ns::still(pidfd).with_context(|| format!("process {} has ended", held.pid))?;
    }
    if groups.is_empty() {
        bail!("process {} is in no visible control group", held.pid);
    }
    if let Some(group) = groups.iter().find(|group| group.is_frozen()) {
        let directory = group.directory();
        let shown = text::shown(directory.as_os_str());
        bail!(
            "control group {shown} of the target is frozen (paused): a program in it starts only when it is thawed; \
             thaw it first (docker unpause, podman unpause)"
        );
    }
    Ok(Plan { groups, ..Plan::default() })
}

fn named(proc: &ProcRoot, host: &Hierarchies, request: &Request, writes: &[Write]) -> Result<Plan> {
    let below = if request.from_root { None } else { daemon::default_group() };
    let mut groups: Vec<Group> = Vec::new();
    for spec in &request.specs {
        for group in host.named(spec, below.as_deref())? {
            match groups.iter_mut().find(|known| known.directory() == group.directory()) {
                Some(known) => add(&mut known.controllers, group.controllers),
                None => groups.push(group),
            }
        }
    }
    if request.waits() {
        check_hierarchies(&groups)?;
    }
    add_controllers(host, &mut groups, writes)?;
    let mut steps = Vec::new();
    for group in groups.iter().filter(|_| request.create) {
        if request.kill && group.directory().is_dir() {
            bail!("{} already exists: --kill would kill the other processes in it", group.shown());
        }
        steps.extend(cgroup::steps(group)?);
    }
    steps.extend(sets(proc, host, &groups, request)?);
    Ok(Plan { groups, steps, ..Plan::default() })
}

fn add(to: &mut Vec<String>, names: Vec<String>) {
    let new: Vec<String> = names.into_iter().filter(|name| !to.contains(name)).collect();
    to.extend(new);
}

fn check_hierarchies(groups: &[Group]) -> Result<()> {
    for (at, group) in groups.iter().enumerate() {
        if let Some(other) = groups[..at].iter().find(|other| other.mount_point == group.mount_point) {
            bail!(
                "{} and {} are in the same hierarchy: a process can be in only one of them",
                other.shown(),
                group.shown()
            );
        }
    }
    Ok(())
}

/// A v2 group gets only the controllers that are requested: add those of the limits.
fn add_controllers(host: &Hierarchies, groups: &mut [Group], writes: &[Write]) -> Result<()> {
    for write in writes {
        let group = group_for(host, groups, write)?;
        if !write.controller.is_empty() && !groups[group].controllers.contains(&write.controller) {
            groups[group].controllers.push(write.controller.clone());
        }
    }
    Ok(())
}

/// The group in the hierarchy of a limit's controller.
fn group_for(host: &Hierarchies, groups: &[Group], write: &Write) -> Result<usize> {
    let hierarchy = host.hierarchy_of(&write.controller);
    let mount_point = hierarchy.map(|hierarchy| &hierarchy.mount_point);
    groups.iter().position(|group| Some(&group.mount_point) == mount_point).with_context(|| {
        let name = &write.controller;
        format!("{}: no group given for controller '{name}': add -g {name}:PATH", write.setting.file)
    })
}

fn sets(proc: &ProcRoot, host: &Hierarchies, groups: &[Group], request: &Request) -> Result<Vec<Step>> {
    let settings = limits::resolved(&request.limits, |file| allowed(proc, host, groups, file))?;
    let set = |write: &Write| {
        let group = &groups[group_for(host, groups, write)?];
        Ok(Step::Set(group.directory().join(&write.setting.file), write.setting.value.clone()))
    };
    limits::here(host, &settings)?.iter().map(set).collect()
}

/// What the groups above the one of this limit allow: memory in bytes, or CPU time in microseconds for each 100 ms.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a positive number of microseconds"
)]
fn allowed(proc: &ProcRoot, host: &Hierarchies, groups: &[Group], file: &str) -> Result<u64> {
    let controller = file.split('.').next().unwrap_or_default();
    let hierarchy = host.hierarchy_of(controller).map(|hierarchy| &hierarchy.mount_point);
    let group = groups.iter().find(|group| Some(&group.mount_point) == hierarchy);
    let above = Place::above(group.with_context(|| format!("{file}: no group"))?);
    if controller == "memory" {
        let most = proc.memory_total().context("cannot read the size of the memory")?;
        return Ok(above.allowed_memory(most));
    }
    let status = proc.process(Pid::this()).status_text().context("cannot read the CPUs of this process")?;
    let most = cpus_allowed(&status).map(count_of_list).context("cannot read the CPUs of this process")?;
    Ok((above.allowed_cpus(most as f64) * 100_000.0) as u64)
}

fn fresh(proc: &ProcRoot, host: &Hierarchies, request: &Request, writes: &[Write]) -> Result<Plan> {
    let mut wanted: Vec<String> = writes.iter().map(|write| write.controller.clone()).collect();
    let mut more = Vec::new();
    if host.v2().is_some() {
        wanted.push(String::new()); // to kill the group, to read its pressure, and to start inside it
    } else if request.kill && host.hierarchy_of("freezer").is_some() {
        wanted.push("freezer".to_owned());
    }
    if request.report.is_some() {
        let counted = ["cpu", "cpuacct", "memory", "pids"];
        more.extend(counted.into_iter().filter(|name| host.hierarchy_of(name).is_some()).map(str::to_owned));
    }
    if wanted.is_empty() && more.is_empty() {
        wanted = host.mounted();
    }
    order::sort(&mut wanted);
    wanted.dedup();
    let all: Vec<String> = [wanted.clone(), more].concat();
    // Controllers that only measure are optional.
    let groups = cgroup::fresh(proc, host, &all).or_else(|_| cgroup::fresh(proc, host, &wanted))?;
    let mut plan = Plan::default();
    for group in &groups {
        plan.steps.extend(cgroup::steps(group)?);
    }
    plan.steps.extend(sets(proc, host, &groups, request)?);
    plan.groups = groups;
    Ok(plan)
}

fn by_rules(host: &Hierarchies, program: &[OsString]) -> Result<Plan> {
    let rules = rules::read()?;
    let text = |file: &str| std::fs::read(file).unwrap_or_default();
    let (passwd, group) = (text("/etc/passwd"), text("/etc/group"));
    let caller = rules::Caller {
        uid: getresuid()?.real.as_raw(),
        gid: getresgid()?.real.as_raw(),
        pid: Pid::this().as_raw(),
        realtime: sys::is_realtime(),
        program: program.first().map_or(OsStr::new(""), OsString::as_os_str),
        passwd: &passwd,
        group: &group,
    };
    let mut plan = Plan { stays: true, ..Plan::default() };
    for to in rules::destinations(&rules, &caller) {
        let path = cgroup::tidy(Path::new(&to.path))?;
        let below = daemon::default_group();
        for group in host.groups(&to.controllers, &path, below.as_deref())? {
            if to.template {
                plan.steps.extend(cgroup::steps(&group)?);
            }
            plan.groups.push(group);
        }
    }
    Ok(plan)
}
