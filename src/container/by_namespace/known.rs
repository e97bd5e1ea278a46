//! Containers with a state file, by the namespaces of their init processes.

use std::rc::Rc;

use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::{ByNamespace, OwnNamespaces, other};
use crate::container::runtimes::Whose;
use crate::container::verify::{is_owned_by, namespace};
use crate::container::{Container, IdentifiedBy, Tag};
use crate::isolation::ns;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use crate::sys::keyed::HashMap;

/// Containers by the namespaces of their init processes.
#[derive(Default)]
pub(super) struct ByNamespaces {
    pid: HashMap<u64, Vec<Rc<Container>>>,
    mnt: HashMap<u64, Vec<Rc<Container>>>,
    /// Answers for pid namespaces that belong to no known init process.
    around: HashMap<u64, Option<Rc<Container>>>,
}

impl ByNamespaces {
    /// The container with these namespaces. Containers of a pod share some: then both namespaces must match.
    fn find(
        &mut self,
        proc: &ProcRoot,
        pid: Pid,
        own: &OwnNamespaces,
        mnt_ns: impl FnOnce() -> Option<u64>,
    ) -> Option<Rc<Container>> {
        let by_pid = own.pid_ns.and_then(|id| self.pid.get(&id)).map_or(&[][..], Vec::as_slice);
        if let [one] = by_pid {
            return Some(one.clone());
        }
        let mnt_ns = if self.mnt.is_empty() || !(own.root || own.pid_ns.is_some()) { None } else { mnt_ns() };
        let by_mnt = mnt_ns.and_then(|id| self.mnt.get(&id)).map_or(&[][..], Vec::as_slice);
        let both = by_mnt.iter().find(|container| by_pid.contains(container));
        match (both, by_mnt, own.pid_ns) {
            (Some(both), _, _) => Some(both.clone()),
            (None, [one], _) if by_pid.is_empty() => Some(one.clone()),
            (None, _, Some(id)) if by_pid.is_empty() && !own.outermost => self.around(proc, pid, id),
            _ => None,
        }
    }

    /// The container whose pid namespace is an ancestor of the process's.
    fn around(&mut self, proc: &ProcRoot, pid: Pid, pid_ns: u64) -> Option<Rc<Container>> {
        if self.pid.is_empty() {
            return None;
        }
        if let Some(answer) = self.around.get(&pid_ns) {
            return answer.clone();
        }
        let mut containers = pid_ns_above(proc, pid).map(|id| self.pid.get(&id).map(Vec::as_slice));
        let answer = containers.find_map(|known| match known {
            Some([one]) => Some(one.clone()),
            _ => None,
        });
        self.around.insert(pid_ns, answer.clone());
        answer
    }
}

/// The pid namespaces around that of a process, innermost first.
fn pid_ns_above(proc: &ProcRoot, pid: Pid) -> impl Iterator<Item = u64> {
    let mut fd = ns::open_file(&proc.path_of(pid, &Kind::Pid.link())).ok();
    std::iter::from_fn(move || {
        fd = ns::parent_of(fd.as_ref()?).ok();
        Some(fstat(fd.as_ref()?).ok()?.st_ino)
    })
}

/// Namespaces that are not the host's.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::container) struct Spaces {
    pid: Vec<u64>,
    mnt: Option<u64>,
}

impl Spaces {
    pub(in crate::container) fn share(&self, other: &Spaces) -> bool {
        self.pid.iter().any(|id| other.pid.contains(id)) || self.mnt.is_some() && self.mnt == other.mnt
    }
}

impl ByNamespace {
    /// The namespaces of a process.
    pub(in crate::container) fn spaces(&self, proc: &ProcRoot, pid: Pid) -> Spaces {
        let of = |kind, hosts| other(namespace(proc, pid, kind), hosts);
        Spaces {
            pid: of(Kind::Pid, self.host.pid_ns).into_iter().collect(),
            mnt: of(Kind::Mnt, self.host.mnt_ns),
        }
    }

    /// The namespaces by which [`Self::with_state`] finds the container of a process: also the pid namespaces around.
    pub(in crate::container) fn spaces_around(
        &self,
        proc: &ProcRoot,
        pid: Pid,
        own: &OwnNamespaces,
    ) -> Spaces {
        let around = own.pid_ns.filter(|_| !own.outermost).into_iter().flat_map(|_| pid_ns_above(proc, pid));
        let above = around.filter(|id| Some(*id) != self.host.pid_ns);
        Spaces {
            pid: own.pid_ns.into_iter().chain(above).collect(),
            mnt: other(namespace(proc, pid, Kind::Mnt), self.host.mnt_ns),
        }
    }

    /// Forgets the containers with a state file, as there are new state files.
    pub(in crate::container) fn empty(&mut self) {
        self.known = None;
    }

    /// Was [`Self::fill`] called with at least these containers?
    pub(in crate::container) fn is_filled_with(&self, whose: Whose) -> bool {
        self.known.as_ref().is_some_and(|(known, _)| *known == whose || *known == Whose::Everyone)
    }

    /// The most containers that share a namespace, as those of a pod do. Any number of state files can name one process.
    const MOST_SHARING: usize = 64;

    /// Forgets the containers so far.
    pub(in crate::container) fn fill(&mut self, proc: &ProcRoot, whose: Whose, containers: &[Rc<Container>]) {
        self.known = Some((whose, ByNamespaces::default()));
        self.add(proc, containers);
    }

    pub(in crate::container) fn add(&mut self, proc: &ProcRoot, containers: &[Rc<Container>]) {
        let Some((_, known)) = self.known.as_mut().filter(|_| !containers.is_empty()) else { return };
        known.around.clear();
        let add = |list: &mut Vec<Rc<Container>>, container: &Rc<Container>| {
            if list.len() < Self::MOST_SHARING {
                list.push(container.clone());
            }
        };
        let mut by_init: HashMap<Pid, usize> = HashMap::default();
        for container in containers {
            let same_init = container.init.map_or(0, |init| {
                let count = by_init.entry(init).or_default();
                *count += 1;
                *count
            });
            if same_init > Self::MOST_SHARING && container.owner != 0 {
                continue;
            }
            let id_of = |kind: Kind| {
                let recorded =
                    container.namespaces.iter().find(|(recorded, _)| *recorded == kind).map(|(_, id)| *id);
                recorded.or_else(|| namespace(proc, container.init?, kind))
            };
            // A state file confirms only namespaces of its owner, and none that the process merely entered.
            let is_owners =
                |kind| container.init.is_none_or(|init| is_owned_by(proc, init, kind, container.owner));
            if let Some(id) =
                id_of(Kind::Pid).filter(|id| Some(*id) != self.host.pid_ns && is_owners(Kind::Pid))
            {
                add(known.pid.entry(id).or_default(), container);
            }
            if let Some(id) =
                id_of(Kind::Mnt).filter(|id| Some(*id) != self.host.mnt_ns && is_owners(Kind::Mnt))
            {
                add(known.mnt.entry(id).or_default(), container);
            }
            let of_helper = |kind, hosts| {
                let helper = container.helper.filter(|&pid| is_owned_by(proc, pid, kind, container.owner))?;
                other(namespace(proc, helper, kind), hosts)
            };
            if let Some(id) = of_helper(Kind::Pid, self.host.pid_ns) {
                add(known.pid.entry(id).or_default(), container);
            }
            if let Some(id) = of_helper(Kind::Mnt, self.host.mnt_ns) {
                add(known.mnt.entry(id).or_default(), container);
            }
        }
    }

    /// The container with these namespaces that has a state file.
    pub(in crate::container) fn with_state(
        &mut self,
        proc: &ProcRoot,
        pid: Pid,
        own: &OwnNamespaces,
    ) -> Option<Tag> {
        let mnt_ns = || other(namespace(proc, pid, Kind::Mnt), self.host.mnt_ns);
        let container = self.known.as_mut()?.1.find(proc, pid, own, mnt_ns)?;
        // The state file names the init process; the others share its namespaces.
        let identified_by =
            if container.init == Some(pid) { container.identified_by } else { IdentifiedBy::Namespace };
        Some(Tag { container, identified_by })
    }
}
