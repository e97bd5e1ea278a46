//! Who the container is, and what its first process runs.

use std::collections::BTreeMap;

use nix::unistd::Pid;
use serde::Serialize;

use super::unknown::Unknowns;
use crate::container::commands::Commands;
use crate::container::details::{Details, Ending};
use crate::container::world::{Subject, World};
use crate::container::{Container, IdentifiedBy, epoch, rfc3339};
use crate::text;

#[derive(Serialize, Debug, Default)]
pub(super) struct Identity {
    /// `RUNTIME:NAME`; for nested containers all names. Null for a process of the host.
    pub container: Option<String>,
    pub runtime: Option<&'static str>,
    pub engine: Option<&'static str>,
    pub name: Option<String>,
    pub id: Option<String>,
    pub image: Option<String>,
    pub pod: Option<String>,
    pub pod_namespace: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub owner: Option<String>,
    pub created: Option<String>,
    pub started: Option<String>,
    pub chain: Vec<String>,
    pub how: Option<&'static str>,
    /// `running`, `paused`; of a container without processes `exited`, `created`, or `stopped` if nothing says which.
    pub status: &'static str,
    pub pid: Option<i32>,
    pub cpid: Option<i32>,
    pub command: Option<String>,
    /// The process whose namespaces and privileges are shown: another one if the target is a PID.
    pub target_pid: Option<i32>,
    pub target_command: Option<String>,
    pub shim_pid: Option<i32>,
    /// Of the first process, of a container that ended; with 128 added for a signal.
    pub exit_code: Option<i64>,
    /// Was a process of it killed for lack of memory, the first one or another?
    pub oom_killed: Option<bool>,
    /// Did somebody ask its runtime to stop or to kill it?
    pub stopped_by_user: Option<bool>,
    pub finished: Option<String>,
    /// Why it could not be started.
    pub error: Option<String>,
    /// Seconds since the start; of a container that ended, since its end.
    #[serde(skip)]
    pub age: Option<u64>,
}

impl Identity {
    /// Is the process in a pid namespace of its own, which shows without rights, and nothing says in which container?
    pub(super) fn is_in_unknown(&self) -> bool {
        self.container.is_none() && self.cpid.is_some() && self.cpid != self.pid
    }
}

pub(super) fn read(world: &World<'_>, subject: Subject, commands: &Commands, paused: bool) -> Identity {
    let chief = world.chief(subject);
    let pid = Pid::from_raw(chief);
    let seen = world.process(chief);
    let stat = world.proc.process(pid).stat();
    let (start, state) = (stat.as_ref().map(|stat| stat.start), stat.as_ref().map(|stat| stat.state));
    let process = Identity {
        // A zombie has ended, and its parent has not waited for it.
        status: match (state, paused) {
            (Some(b'Z'), _) => "zombie",
            (_, true) => "paused",
            (_, false) => "running",
        },
        pid: Some(chief),
        target_pid: Some(subject.pid),
        target_command: (subject.pid != chief).then(|| commands.get(world, subject.pid)).flatten(),
        cpid: seen.and_then(|seen| seen.cpid),
        command: commands.get(world, chief),
        age: start.and_then(|start| world.clock.age(start)),
        started: start.and_then(|start| world.clock.epoch(start)).map(rfc3339),
        ..Identity::default()
    };
    let Some(number) = subject.container else { return process };
    let known = &world.containers[number];
    let named = of_container(world, &known.container);
    Identity {
        shim_pid: known.init.and_then(|init| parent_outside(world, init, number)),
        status: process.status,
        pid: process.pid,
        target_pid: process.target_pid,
        target_command: process.target_command,
        cpid: process.cpid,
        command: process.command,
        age: process.age,
        started: process.started,
        ..named
    }
}

/// The time of the host, in seconds since 1970. A copy has that of its making.
fn now(world: &World<'_>) -> Option<i64> {
    if world.proc.is_copy() {
        return world.clock.boot?.checked_add(i64::try_from(world.clock.uptime?).ok()?);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(now.as_secs()).ok()
}

/// A host without a clock counts from 1970.
fn can_be(time: i64, now: Option<i64>) -> bool {
    const SLACK: i64 = 5;
    time >= 0 && now.is_none_or(|now| time <= now.saturating_add(SLACK))
}

/// A container that only state files have.
pub(super) fn of_stopped(world: &World<'_>, details: &Details, unknown: &Unknowns) -> Identity {
    let ending = details.ending.clone().unwrap_or_default();
    let now = now(world);
    let past = |time: &Option<String>| time.as_deref().and_then(epoch).filter(|time| can_be(*time, now));
    let (started, finished) = (past(&ending.started), past(&ending.finished));
    let no_time = "its state file has no time of it that can be right";
    for (path, time) in [("identity.started", started), ("identity.finished", finished)] {
        if ending.was_started && time.is_none() {
            unknown.add(path, no_time);
        }
    }
    Identity {
        status: details.ending.as_ref().map_or("stopped", Ending::status),
        age: now.zip(finished).map(|(now, ended)| u64::try_from(now.saturating_sub(ended)).unwrap_or(0)),
        started: started.map(rfc3339),
        exit_code: ending.exit_code,
        oom_killed: ending.oom_killed,
        stopped_by_user: ending.stopped_by_user,
        finished: finished.map(rfc3339),
        error: ending.error.clone(),
        ..of_container(world, &details.container)
    }
}

/// State files have times with the offset of their writer.
fn utc(time: &str) -> String {
    epoch(time).map_or_else(|| time.to_owned(), rfc3339)
}

fn of_container(world: &World<'_>, container: &Container) -> Identity {
    let owner = container.known_owner().map(|owner| match world.users.get(owner) {
        Some(user) => text::utf8(&user.name).into_owned(),
        None => owner.to_string(),
    });
    let mut chain: Vec<String> = container.chain().map(ToString::to_string).collect();
    chain.reverse();
    Identity {
        container: Some(container.label()),
        runtime: Some(container.runtime.name()),
        engine: Some(container.engine),
        name: container.name.clone(),
        id: Some(container.id.clone()),
        image: container.image.clone(),
        pod: container.pod.clone(),
        pod_namespace: container.pod_namespace.clone(),
        labels: container.labels.iter().cloned().collect(),
        owner,
        created: container.created.as_deref().map(utc),
        chain,
        how: Some(IdentifiedBy::name(container.identified_by)),
        ..Identity::default()
    }
}

/// The parent of the first process, if it is not in the container: containerd-shim, conmon, bwrap.
fn parent_outside(world: &World<'_>, init: i32, number: usize) -> Option<i32> {
    let parent = world.process(world.process(init)?.ppid?)?;
    let is_member = parent.container.is_some_and(|own| world.is_within(own, number));
    (!is_member).then_some(parent.pid)
}
