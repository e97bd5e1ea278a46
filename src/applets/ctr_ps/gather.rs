//! Gathers the processes: first the identity and container of each, then, for those that are shown, what the columns
//! need.

use std::cell::RefCell;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use super::columns::needs;
use super::containers::Containers;
use super::details::Reader;
use super::origin;
use super::process::{Commands, Process};
use super::select::{Filter, Selection, Terminal};
use crate::access::{Lines, Reading, Span};
use crate::container::records::Records;
use crate::container::{Files, Resolver, Tagger};
use crate::isolation::identity::{Walk, Way};
use crate::proc::{ProcRoot, Scan, Stat, clock, vanished};
use crate::sys;

/// Descriptors for everything but the processes.
const RESERVED: usize = 256;

/// What to gather.
pub(super) struct Wanted<'a> {
    pub selection: &'a Selection,
    pub way: Way,
    /// See [`super::columns::needs`].
    pub needs: u32,
    pub no_args: bool,
    /// Also list the threads of each process.
    pub threads: bool,
    pub records: &'a Records<'a>,
    /// Also containers that do not run.
    pub stopped: bool,
    /// All labels of containers.
    pub labels: bool,
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
    /// The selected PIDs that are those of threads, and the processes that they belong to.
    pub threads: Vec<(i32, i32)>,
    /// What was read of each process; see [`super::columns::needs`].
    pub needs: u32,
    /// The processes whose arguments cannot be read because their memory is locked.
    pub locked: Vec<i32>,
}

/// Where `-p` has the ID of a thread, the process counts that it belongs to.
pub(super) fn gather(proc: &ProcRoot, files: &Files, wanted: &Wanted<'_>) -> Result<Found> {
    let found = gather_once(proc, files, wanted)?;
    if found.threads.is_empty() {
        return Ok(found);
    }
    let mut selection = wanted.selection.clone();
    for (thread, process) in &found.threads {
        selection.pids.retain(|pid| pid != thread);
        selection.pids.push(*process);
    }
    selection.pids.sort_unstable();
    selection.pids.dedup();
    let threads = found.threads;
    let found = gather_once(proc, files, &Wanted { selection: &selection, ..*wanted })?;
    Ok(Found { threads, ..found })
}

fn gather_once(proc: &ProcRoot, files: &Files, wanted: &Wanted<'_>) -> Result<Found> {
    let unreadable = || format!("cannot read {}: is proc mounted there?", proc.path().display());
    let needs_all = wanted.needs & needs::VIA != 0 || wanted.selection.needs_all();
    let few = !needs_all && !wanted.selection.pids.is_empty();
    let pids: Vec<Pid> = match few {
        true => wanted.selection.pids.iter().copied().map(Pid::from_raw).collect(),
        false => Scan::pids(proc)?,
    };
    // If all are shown, all are read while they are identified.
    let reading =
        (wanted.command_lines() && wanted.selection.is_all()).then(|| Reading::start(proc, pids.clone()));
    let mut list = Vec::with_capacity(pids.len());
    let mut walk = Walk::new(proc, wanted.way, pids).with_context(unreadable)?;
    walk.hold(sys::raise_descriptor_limit().saturating_sub(RESERVED));
    let walk = RefCell::new(walk);
    let resolver = if few { Resolver::for_few(proc, files) } else { Resolver::for_walk(proc, files, &walk) };
    let mut tagger = Tagger::new(&walk, Scan::new(proc).with_context(unreadable)?, resolver);
    let mut containers = Containers::default();
    let mut threads = Vec::new();
    loop {
        let next = walk.borrow_mut().next();
        let Some((pid, identity)) = next else { break };
        if identity.kernel_thread && !wanted.selection.shows_kernel_thread(pid.as_raw()) {
            continue;
        }
        // With a pidfd it is known to be a process.
        if few && identity.group.is_none() {
            threads.extend(thread_of(proc, pid.as_raw()));
        }
        let cannot = || format!("cannot read {}", proc.shown(&proc.path_of(pid, "cgroup")).display());
        let tag = tagger.tag(pid, &identity).with_context(cannot)?;
        list.push(Process {
            pid: pid.as_raw(),
            thread: None,
            ppid: identity.ppid,
            cpid: identity.cpid,
            uid: identity.euid,
            kernel_thread: identity.kernel_thread,
            container: tag.as_ref().and_then(|tag| u32::try_from(containers.number(&tag.container)).ok()),
            how: tag.map(|tag| tag.identified_by),
            via: None,
            command: Span::default(),
            details: None,
        });
    }
    containers.complete(&list);
    if wanted.stopped {
        containers.add_stopped(wanted.records);
    }
    if wanted.labels {
        containers.add_labels(wanted.records);
    }
    if needs_all {
        origin::find(&mut list, &containers);
    }
    let selected = wanted.selection.pids.iter().copied();
    let missing: Vec<i32> =
        selected.filter(|pid| list.binary_search_by_key(pid, |process| process.pid).is_err()).collect();
    threads.extend(missing.iter().filter_map(|&pid| thread_of(proc, pid)));
    let chosen = Filter::new(&list, &containers, wanted.selection, (proc, wanted.records))?;
    if !wanted.selection.is_all() {
        list.retain(|process| chosen.shows(&containers, wanted.selection, process));
    }
    if !wanted.selection.terminals.is_empty() {
        list.retain(|process| is_on(&mut tagger.scan, process.pid, &wanted.selection.terminals));
    }
    let lines = match reading {
        Some(reading) => reading.finish(),
        None if wanted.command_lines() => Reading::start(proc, with_arguments(&list)).finish(),
        None => Lines::default(),
    };
    let locked =
        lines.locked().filter(|pid| list.binary_search_by_key(pid, |process| process.pid).is_ok()).collect();
    if wanted.threads {
        list = with_threads(&mut tagger.scan, list);
    }
    let mut reader = Reader::new((proc, tagger.scan), (wanted.needs, wanted.no_args), lines);
    if wanted.needs != 0 {
        list.retain_mut(|process| reader.read(process).map_or_else(|errno| !vanished(errno), |()| true));
    }
    let ended = walk.borrow().ended();
    if !ended.is_empty() {
        list.retain(|process| ended.binary_search(&process.pid).is_err());
    }
    Ok(Found {
        list,
        commands: reader.into_commands(),
        containers,
        chosen,
        missing,
        threads,
        needs: wanted.needs,
        locked,
    })
}

/// The ID of a thread, and the process that it belongs to.
fn thread_of(proc: &ProcRoot, id: i32) -> Option<(i32, i32)> {
    let process = proc.process(Pid::from_raw(id)).process_of_thread()?;
    Some((id, process.as_raw()))
}

/// Is this the terminal of the process?
fn is_on(scan: &mut Scan, pid: i32, terminals: &[Terminal]) -> bool {
    let stat = scan.stat_text(Pid::from_raw(pid)).ok().and_then(Stat::parse);
    let Some(stat) = stat else { return false };
    let tty = clock::tty(stat.tty);
    terminals.iter().any(|terminal| terminal.is(tty.as_deref()))
}

/// The processes, each followed by its other threads.
fn with_threads(scan: &mut Scan, list: Vec<Process>) -> Vec<Process> {
    let mut all = Vec::with_capacity(list.len());
    for process in list {
        let threads = scan.threads(Pid::from_raw(process.pid)).unwrap_or_default();
        let at = all.len();
        all.push(process);
        for thread in threads {
            let first: &Process = &all[at];
            if thread.as_raw() != first.pid {
                all.push(first.thread(thread.as_raw()));
            }
        }
    }
    all
}

fn with_arguments(list: &[Process]) -> Vec<Pid> {
    let all = list.iter().filter(|process| !process.kernel_thread);
    all.map(|process| Pid::from_raw(process.pid)).collect()
}
