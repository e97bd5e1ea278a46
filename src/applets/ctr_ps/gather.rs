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
use crate::container::{Files, PidNs, Resolver, Tag, is_of_group};
use crate::isolation::cgroup;
use crate::isolation::identity::{Identity, Walk, Way};
use crate::proc::id_hash::ById;
use crate::proc::{ProcRoot, Scan, broken, vanished};

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
    let mut tagger = Tagger {
        walk: &walk,
        scan: Scan::new(proc).with_context(unreadable)?,
        resolver: if few { Resolver::for_few(proc, files) } else { Resolver::for_walk(proc, files, &walk) },
        verified: ById::default(),
        texts: ById::default(),
    };
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

/// Finds the container of each process.
struct Tagger<'a> {
    walk: &'a RefCell<Walk>,
    scan: Scan,
    resolver: Resolver<'a>,
    /// The verified containers, by the ids of the control group and the pid namespace.
    verified: ById<(u64, u64), Tag>,
    /// The content of /proc/PID/cgroup, by the id of the group. Used only on hosts with one hierarchy.
    texts: ById<u64, Vec<u8>>,
}

impl Tagger<'_> {
    /// Most processes share a group with another process: the cgroup file is then not read again.
    fn tag(&mut self, pid: Pid, identity: &Identity) -> nix::Result<Option<Tag>> {
        if identity.kernel_thread {
            return Ok(None);
        }
        let space = match (identity.own_pid_ns, identity.group) {
            (false, _) => PidNs::Procs,
            (true, None) => PidNs::Own,
            (true, Some((_, id))) => PidNs::Id(id),
        };
        if let Some(group) = identity.group {
            if let Some(tag) = self.verified.get(&group) {
                return Ok(Some(tag.clone()));
            }
            if let Some(text) = self.texts.get(&group.0) {
                return Ok(self.resolver.resolve_in(pid, text, space));
            }
        }
        let text = match self.scan.cgroup(pid) {
            Err(errno) if broken(errno) => return Err(errno),
            read => read.unwrap_or_default(),
        };
        let tag = self.resolver.resolve_in(pid, text, space);
        if identity.group.is_some() {
            // Is the unified hierarchy the only one?
            let alone = text.starts_with(b"0::") && cgroup::parse(text).count() == 1;
            let sure = tag.as_ref().filter(|tag| is_of_group(tag));
            // Cache the container only if the unified hierarchy alone identifies it: then neither v1 nor namespaces
            // matter. A process of the host can be in the container's group in some hierarchies only.
            let mut same =
                || (alone || identity.own_pid_ns) && self.resolver.resolve_unified(text).as_ref() == sure;
            let sure = sure.filter(|_| same());
            if alone || sure.is_some() {
                let text = alone.then(|| text.to_vec());
                self.learn(pid, identity, text, sure.cloned());
            }
        }
        Ok(tag)
    }

    /// Caches what was found, for the next process in the group.
    fn learn(&mut self, pid: Pid, identity: &Identity, text: Option<Vec<u8>>, sure: Option<Tag>) {
        // The process may have moved to another group before its file was read.
        let Some(group) = identity.group.filter(|group| self.walk.borrow().group_now(pid) == Some(group.0))
        else {
            return;
        };
        if let Some(text) = text {
            self.texts.insert(group.0, text);
        }
        if let Some(tag) = sure {
            self.verified.insert(group, tag);
        }
    }
}
