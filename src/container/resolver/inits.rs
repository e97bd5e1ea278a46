//! The init processes of containers whose state files do not name them.

use std::collections::hash_map::Entry;
use std::rc::Rc;

use nix::unistd::Pid;

use super::Resolver;
use crate::container::cgroup_path::candidates;
use crate::container::{Container, IdentifiedBy, Runtime, cgroup_lines, verify};
use crate::isolation::identity::{First, Walk, Way};
use crate::proc::Scan;
use crate::proc::ns::Kind;
use crate::sys::keyed::HashMap;

/// By runtime, id and owner; an unverified container has no owner.
pub(super) type Inits = HashMap<InitKey, Init>;
type InitKey = (Runtime, String, Option<u32>);

/// The first process of a container's pid namespace.
pub(super) struct Init {
    pid: Pid,
    start: Option<u64>,
    /// Was the start time read, and the rest after it? Else only the walk over all processes says that it is the first.
    is_checked: bool,
    group: String,
    /// First processes in other control groups with the same id, one per group.
    rivals: Vec<(Pid, String)>,
}

impl Init {
    /// More are not listed in the message.
    const MOST_RIVALS: usize = 8;

    fn rival(&mut self, pid: Pid, group: String) {
        let known = self.group == group || self.rivals.iter().any(|(_, other)| *other == group);
        if !known && self.rivals.len() < Self::MOST_RIVALS {
            self.rivals.push((pid, group));
        }
    }
}

impl Resolver<'_> {
    /// Finds the init processes of containers whose state files do not name them: PID 1 of a pid namespace, in a group of
    /// that container.
    pub(super) fn find_inits(&mut self, all: &mut [Rc<Container>]) {
        if all.iter().all(|container| container.init.is_some() || container.has_guest) {
            return;
        }
        let inits = match self.inits.take() {
            Some(inits) => inits,
            None => self.first_processes(),
        };
        self.set_inits(all, &inits);
        self.inits = Some(inits);
    }

    /// The first processes of an unverified container, one for each control group with its id: the owner of a delegated
    /// group can repeat the name of another group.
    #[must_use]
    pub fn claimants(&self, container: &Container) -> Vec<Pid> {
        let init = self.inits.as_ref().and_then(|inits| inits.get(&init_key(container)));
        let Some(init) = init.filter(|_| container.identified_by == IdentifiedBy::Cgroup) else {
            return Vec::new();
        };
        [init.pid].into_iter().chain(init.rivals.iter().map(|(pid, _)| *pid)).collect()
    }

    /// The processes with PID 1 one pid namespace further in, by the container of their group.
    pub(super) fn first_processes(&mut self) -> Inits {
        // Few processes are PID 1. Only their other files are read.
        let first = match self.walk {
            Some(walk) => walk.borrow_mut().first_processes().to_vec(),
            None => self.first_of_members().unwrap_or_else(|| {
                let pids = Scan::pids(self.proc).unwrap_or_default();
                let walk = Walk::new(self.proc, Way::Best, pids);
                walk.map_or_else(|_| Vec::new(), |mut walk| walk.first_processes().to_vec())
            }),
        };
        self.inits_among(&first)
    }

    /// The first processes of the pid namespaces of known members. None: the kernel cannot say it of each (Linux 6.11).
    fn first_of_members(&mut self) -> Option<Vec<First>> {
        let (proc, members) = (self.proc, self.members.clone()?);
        // The host's PID 1 is in no container, and its links may be unreadable even for root.
        let host = self.by_namespace();
        let others = members.into_iter().filter(|pid| !host.is_in_host_ns(proc, *pid, Kind::Pid));
        others.map(|pid| verify::first_in_pid_ns(proc, pid).map(First::unknown)).collect()
    }

    /// The same among these processes.
    pub(super) fn inits_among(&mut self, processes: &[First]) -> Inits {
        let current = self.current.take();
        let within = std::mem::replace(&mut self.finds_inits, true);
        let inits = self.find_inits_among(processes);
        self.finds_inits = within;
        self.current = current;
        inits
    }

    fn find_inits_among(&mut self, processes: &[First]) -> Inits {
        let mut inits = Inits::default();
        for &First { pid, outermost } in processes {
            let is_checked = outermost.is_none();
            // Read the start time first. If it is the same later, the other values belong to this process.
            let start = if is_checked { verify::start_time(self.proc, pid) } else { None };
            let is_init = outermost.unwrap_or_else(|| {
                let status = self.proc.process(pid).status().unwrap_or_default();
                status.nspid.len() == 2 && status.nspid.last() == Some(&1)
            });
            if !is_init {
                continue;
            }
            let Ok(cgroup) = self.cgroup_of(pid) else { continue };
            self.current = Some((pid, cgroup.clone()));
            let found = self.outermost(&cgroup).or_else(|| self.outside_of_its_group(pid));
            let Some((container, group)) = found else { continue };
            match inits.entry(container) {
                Entry::Vacant(entry) => {
                    entry.insert(Init { pid, start, is_checked, group, rivals: Vec::new() });
                }
                Entry::Occupied(mut entry) => entry.get_mut().rival(pid, group),
            }
        }
        inits
    }

    /// Sets the init processes of containers that have none yet. The map contains only outermost containers: the state
    /// file of a nested one can name any id, also that of a container of the host.
    pub(super) fn set_inits(&mut self, all: &mut [Rc<Container>], inits: &Inits) {
        let wanted = |container: &&mut Rc<Container>| container.init.is_none() && container.outer.is_none();
        for container in all.iter_mut().filter(wanted) {
            let key = init_key(container);
            let Some(init) = inits.get(&key) else { continue };
            let again = (!init.is_checked).then(|| self.inits_among(&[First::unknown(init.pid)]));
            let checked = again.as_ref().map_or(Some(init), |again| again.get(&key));
            if let Some(Init { pid, start, .. }) = checked {
                let (init, init_start) = (Some(*pid), *start);
                *container = Rc::new(Container { init, init_start, ..(**container).clone() });
            }
        }
    }

    /// The container of LXC whose init process left its group.
    fn outside_of_its_group(&mut self, pid: Pid) -> Option<(InitKey, String)> {
        let container = Rc::new(self.named_by_lxc(pid)?);
        self.monitored.insert(pid.to_string(), Some(container.clone()));
        Some((init_key(&container), String::new()))
    }

    /// The outermost container of a path, and its group. Ignores state files inside containers: the container itself can
    /// create the rest of the path.
    fn outermost(&mut self, text: &[u8]) -> Option<(InitKey, String)> {
        let mut claimed = None;
        for candidate in cgroup_lines(text).flat_map(candidates) {
            if let Some(container) = self.verified(&candidate) {
                return Some((init_key(&container), candidate.group.to_owned()));
            }
            if candidate.distinctive && claimed.is_none() {
                let group = candidate.group.to_owned();
                claimed = Some(((candidate.runtime, candidate.id.into_owned(), None), group));
            }
        }
        claimed
    }
}

fn init_key(container: &Container) -> InitKey {
    let owner = (container.identified_by != IdentifiedBy::Cgroup).then_some(container.owner);
    (container.runtime, container.id.clone(), owner)
}
