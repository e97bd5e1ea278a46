//! Gathers the processes: first the identity and container of each, then, for those that are shown, what the columns
//! need.

use std::cell::RefCell;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

use super::columns::needs;
use super::containers::Containers;
use super::details::Reader;
use super::origin;
use super::process::{Commands, Process};
use super::select::{Filter, Selection};
use crate::access::{Lines, Reading};
use crate::container::{Files, Resolver, Tagger};
use crate::isolation::identity::{Walk, Way};
use crate::proc::{ProcRoot, Scan, vanished};

/// What to gather.
pub(super) struct Wanted<'a> {
    pub selection: &'a Selection,
    pub way: Way,
    /// See [`super::columns::needs`].
    pub needs: u16,
    pub no_args: bool,
}

impl Wanted<'_> {
    fn command_lines(&self) -> bool {
        self.needs & needs::COMMAND != 0 && !self.no_args
    }
}

pub(super) struct Found {
    pub list: Vec<Process>,
    pub commands: Commands,
    pub containers: Containers,
    /// The selected containers.
    pub chosen: Filter,
    /// The selected PIDs that do not exist.
    pub missing: Vec<i32>,
    /// The processes whose arguments cannot be read because their memory is locked.
    pub locked: Vec<i32>,
}

pub(super) fn gather(proc: &ProcRoot, files: &Files, wanted: &Wanted<'_>) -> Result<Found> {
    let unreadable = || format!("cannot read {}: is proc mounted there?", proc.path().display());
    let needs_all = wanted.needs & needs::VIA != 0 || wanted.selection.needs_all();
    let few = !needs_all && !wanted.selection.pids.is_empty();
    let pids: Vec<Pid> = match few {
        true => wanted.selection.pids.iter().copied().map(Pid::from_raw).collect(),
        false => Scan::pids(proc).with_context(unreadable)?,
    };
    if pids.is_empty() {
        bail!("there are no processes in {}: is proc mounted there?", proc.path().display());
    }
    // If all are shown, all are read while they are identified.
    let reading =
        (wanted.command_lines() && wanted.selection.is_all()).then(|| Reading::start(proc, pids.clone()));
    let mut list = Vec::with_capacity(pids.len());
    let walk = RefCell::new(Walk::new(proc, wanted.way, pids).with_context(unreadable)?);
    let resolver = if few { Resolver::for_few(proc, files) } else { Resolver::for_walk(proc, files, &walk) };
    let mut tagger = Tagger::new(&walk, Scan::new(proc).with_context(unreadable)?, resolver);
    let mut containers = Containers::default();
    loop {
        let next = walk.borrow_mut().next();
        let Some((pid, identity)) = next else { break };
        if identity.kernel_thread && !wanted.selection.shows_kernel_thread(pid.as_raw()) {
            continue;
        }
        let cannot = || format!("cannot read {}", proc.path_of(pid, "cgroup").display());
        let tag = tagger.tag(pid, &identity).with_context(cannot)?;
        list.push(Process {
            pid: pid.as_raw(),
            ppid: identity.ppid,
            cpid: identity.cpid,
            uid: identity.euid,
            kernel_thread: identity.kernel_thread,
            container: tag.as_ref().map(|tag| containers.number(&tag.container)),
            how: tag.map(|tag| tag.identified_by),
            via: None,
            command: 0..0,
            details: None,
        });
    }
    containers.complete(&list);
    if needs_all {
        origin::find(&mut list, &containers);
    }
    let selected = wanted.selection.pids.iter().copied();
    let missing =
        selected.filter(|pid| list.binary_search_by_key(pid, |process| process.pid).is_err()).collect();
    let chosen = Filter::new(&list, &containers, wanted.selection)?;
    list.retain(|process| chosen.shows(&containers, wanted.selection, process));
    let lines = match reading {
        Some(reading) => reading.finish(),
        None if wanted.command_lines() => Reading::start(proc, with_arguments(&list)).finish(),
        None => Lines::default(),
    };
    let locked =
        lines.locked().filter(|pid| list.binary_search_by_key(pid, |process| process.pid).is_ok()).collect();
    let mut reader = Reader::new((proc, tagger.scan), (wanted.needs, wanted.no_args), lines);
    if wanted.needs != 0 {
        list.retain_mut(|process| reader.read(process).map_or_else(|errno| !vanished(errno), |()| true));
    }
    Ok(Found { list, commands: reader.into_commands(), containers, chosen, missing, locked })
}

fn with_arguments(list: &[Process]) -> Vec<Pid> {
    let all = list.iter().filter(|process| !process.kernel_thread);
    all.map(|process| Pid::from_raw(process.pid)).collect()
}
