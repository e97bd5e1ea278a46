//! The container of a process by its namespaces, if its control group does not verify one.

use std::rc::Rc;

use nix::unistd::Pid;

use super::Resolver;
use crate::container::by_namespace::{ByNamespace, OwnNamespaces, Spaces};
use crate::container::runtimes::{Store, Whose};
use crate::container::{Container, PidNs, Tag, cgroup_lines, verify};
use crate::isolation::identity::First;
use crate::proc::ns::Kind;

/// A container of root whose init process was not checked, as it may share no namespace with a process of interest.
pub(super) struct Unchecked {
    whose: Whose,
    store: Store,
    id: String,
    /// Those of the init processes in the state files.
    spaces: Vec<Spaces>,
}

impl Resolver<'_> {
    /// The container of a process by its namespaces and root directory. `claimed`: the control group has a name that
    /// looks like a container; then only a container with a state file is a better answer.
    pub(super) fn resolve_by_namespace(&mut self, pid: Pid, pid_ns: PidNs, claimed: bool) -> Option<Tag> {
        let proc = self.proc;
        let mut own = self.by_namespace().own_namespaces(proc, pid, pid_ns)?;
        own.set_outermost(|space| self.walk?.borrow().is_outermost(space));
        // The search of first processes, below, needs one too.
        let other = self.by_namespace().of_same_host();
        let mut by_namespace = std::mem::replace(self.by_namespace(), other);
        self.fill(&mut by_namespace, pid, &own);
        let with_state = by_namespace.with_state(proc, pid, &own);
        let answer =
            with_state.or_else(|| if claimed { None } else { by_namespace.without_state(proc, pid, &own) });
        self.by_namespace = Some(by_namespace);
        answer
    }

    /// The container that a control group names, for a process that runs in a pid namespace below that of `around`. With
    /// the host's cgroup tree in a container, the groups of its containers are not below its own group.
    pub(super) fn claimed_inside(&mut self, around: Tag, pid: Pid, cgroup: &[u8]) -> Tag {
        let pid_ns = |pid| verify::namespace(self.proc, pid, Kind::Pid);
        let outer = &around.container;
        if outer.init.is_none_or(|init| pid_ns(pid).is_none() || pid_ns(init) == pid_ns(pid)) {
            return around;
        }
        let key = (outer.key(), cgroup.to_vec());
        let container = match self.inside.get(&key) {
            Some(known) => known.clone(),
            None => {
                let cgroup = self.absolute(cgroup);
                let paths = cgroup_lines(&cgroup).map(|path| self.resolve_path(path, Some(outer.clone())));
                let deepest = paths.flatten().max_by_key(|container| container.chain().count());
                let container = deepest.unwrap_or_else(|| outer.clone());
                if self.inside.len() < Self::MOST_UNKNOWN {
                    self.inside.insert(key, container.clone());
                }
                container
            }
        };
        match Rc::ptr_eq(&container, outer) {
            true => around,
            false => Tag { identified_by: container.identified_by, container },
        }
    }

    /// Fills in the containers whose state files can confirm the namespaces of a process.
    fn fill(&mut self, by_namespace: &mut ByNamespace, pid: Pid, own: &OwnNamespaces) {
        let whose = self.whose_namespaces(pid);
        if !by_namespace.is_filled_with(whose) {
            let mut all = match self.few {
                true => self.with_state_or_unchecked(whose, by_namespace),
                false => self.all_with_state(whose),
            };
            if self.few {
                let without_init = all.iter().filter(|container| container.init.is_none());
                self.without_init = without_init.cloned().collect();
            } else {
                self.find_inits(&mut all);
                all.extend(self.monitored_elsewhere(&all));
            }
            by_namespace.fill(self.proc, whose, &all);
        }
        if !self.unchecked.is_empty() {
            let found = self.sharing(&by_namespace.spaces_around(self.proc, pid, own));
            by_namespace.add(self.proc, &found);
        }
        if !self.without_init.is_empty() {
            let found = self.inits_around(pid, own);
            by_namespace.add(self.proc, &found);
        }
    }

    /// The containers with a state file, without those in [`Self::unchecked`], which is filled.
    fn with_state_or_unchecked(&mut self, whose: Whose, by_namespace: &ByNamespace) -> Vec<Rc<Container>> {
        let mut all = Vec::new();
        let mut unchecked = Vec::new();
        for store in Store::ALL {
            for id in self.ids(whose, store, None) {
                match self.inits_of_root(whose, store, &id) {
                    Some(inits) => {
                        let spaces = inits.into_iter().map(|init| by_namespace.spaces(self.proc, init));
                        unchecked.push(Unchecked { whose, store, spaces: spaces.collect(), id });
                    }
                    None => all.extend(self.containers(whose, store, &id)),
                }
            }
        }
        self.unchecked = unchecked;
        all
    }

    /// Checks the containers that share a namespace, and returns those that run.
    fn sharing(&mut self, spaces: &Spaces) -> Vec<Rc<Container>> {
        let all = std::mem::take(&mut self.unchecked);
        let (sharing, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|unchecked| unchecked.spaces.iter().any(|of_init| of_init.share(spaces)));
        self.unchecked = others;
        let mut found = Vec::new();
        for Unchecked { whose, store, id, .. } in sharing {
            found.extend(self.containers(whose, store, &id));
        }
        found
    }

    /// Finds the init processes of containers whose state files do not name them, where they can share a namespace with
    /// this process.
    fn inits_around(&mut self, pid: Pid, own: &OwnNamespaces) -> Vec<Rc<Container>> {
        let proc = self.proc;
        let mut all = std::mem::take(&mut self.without_init);
        match self.by_namespace().first_processes(proc, pid, own) {
            Some(pids) => {
                let inits = self.inits_among(&pids.into_iter().map(First::unknown).collect::<Vec<_>>());
                self.set_inits(&mut all, &inits);
            }
            None => self.find_inits(&mut all),
        }
        let (found, without) = all.into_iter().partition(|container| container.init.is_some());
        self.without_init = without;
        found
    }

    /// A user's state file confirms only namespaces of that user. Is any user but root the owner of these?
    fn whose_namespaces(&self, pid: Pid) -> Whose {
        let of_root = |kind| verify::is_owned_by_root_alone(self.proc, pid, kind);
        if self.few && of_root(Kind::Pid) && of_root(Kind::Mnt) { Whose::Root } else { Whose::Everyone }
    }
}
