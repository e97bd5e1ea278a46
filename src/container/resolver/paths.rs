//! The containers that the paths of control groups name.

use std::rc::Rc;

use super::Resolver;
use crate::container::cgroup_path::{Candidate, candidates};
use crate::container::nested::Nested;
use crate::container::runtimes::{Store, Whose};
use crate::container::{Container, IdentifiedBy, cgroup_lines, verify};
use crate::order;

impl Resolver<'_> {
    /// The containers of the paths of all hierarchies. The one with the most verified containers comes first; equal ones
    /// are in the order of the paths.
    pub(super) fn resolve_text(&mut self, text: &[u8]) -> Vec<Rc<Container>> {
        let mut paths: Vec<&str> = Vec::new();
        cgroup_lines(text).for_each(|path| {
            if !paths.contains(&path) {
                paths.push(path);
            }
        });
        let mut found: Vec<Rc<Container>> = Vec::new();
        for path in paths {
            let container = self.innermost(path);
            found.extend(container.filter(|container| !found.contains(container)));
        }
        order::sort_by_key(&mut found, |container| {
            let is_verified = |link: &&Container| link.identified_by != IdentifiedBy::Cgroup;
            let verified = container.chain().filter(is_verified).count();
            std::cmp::Reverse((verified, container.chain().count()))
        });
        found
    }

    /// The innermost container of a path, with those around it.
    pub(super) fn innermost(&mut self, path: &str) -> Option<Rc<Container>> {
        if let Some(answer) = self.by_path.get(path) {
            return answer.clone();
        }
        let answer = self.resolve_path(path, None);
        self.by_path.insert(path.to_owned(), answer.clone());
        answer
    }

    /// The innermost container of a path, inside of `outer`.
    pub(super) fn resolve_path(
        &mut self,
        path: &str,
        mut outer: Option<Rc<Container>>,
    ) -> Option<Rc<Container>> {
        for candidate in candidates(path) {
            if outer.as_ref().is_some_and(|outer| outer.is_deepest()) {
                break;
            }
            // Two components can have the id of one container: count it once.
            if outer.as_ref().is_some_and(|outer| has_id(outer, &candidate.id)) {
                continue;
            }
            let found = self.verified(&candidate).map(|container| nest(&container, outer.as_ref()));
            let found = found.or_else(|| self.nested_container(outer.as_ref()?, &candidate));
            if outer.as_ref().zip(found.as_ref()).is_some_and(|(outer, found)| outer.id == found.id) {
                continue;
            }
            match found {
                Some(container) => outer = Some(container),
                None if candidate.distinctive => outer = Some(Rc::new(unverified(&candidate, outer))),
                None => {}
            }
        }
        outer
    }

    /// The container of a candidate that a state file confirms.
    pub(super) fn verified(&mut self, candidate: &Candidate<'_>) -> Option<Rc<Container>> {
        let whose = self.whose_group(candidate.group);
        candidate.stores.iter().find_map(|&store| {
            if store == Store::Lxc {
                return self.monitored(candidate);
            }
            let known = self.lookup(whose, store, &candidate.id);
            let mut confirmed = known.iter().filter(|known| {
                let in_group = known.groups.iter().any(|group| group == candidate.group);
                in_group || known.container.owner == 0 && is_group_of_guest(candidate)
            });
            // Two containers in one group: their namespaces decide.
            confirmed.next().filter(|_| confirmed.next().is_none()).map(|known| known.container.clone())
        })
    }

    /// A user's state file confirms only groups below the slice of that user.
    pub(super) fn whose_group(&self, group: &str) -> Whose {
        if self.few && !group.starts_with(verify::SLICE_OF_USERS) { Whose::Root } else { Whose::Everyone }
    }

    /// The container of a candidate, from a state file inside the container around it.
    fn nested_container(
        &mut self,
        outer: &Rc<Container>,
        candidate: &Candidate<'_>,
    ) -> Option<Rc<Container>> {
        // A name that is any word is too weak here: it would look up every group of an init system inside.
        if outer.identified_by == IdentifiedBy::Cgroup
            || !(candidate.distinctive || candidate.stores.contains(&Store::Docker))
        {
            return None;
        }
        let key = outer.key();
        if !self.nested.contains_key(&key) {
            let mut around = vec![outer.clone()];
            self.find_inits(&mut around);
            let nested = Nested::open(self.proc, self.files, &around[0], |pid| self.is_init(&around[0], pid));
            self.nested.insert(key.clone(), nested);
        }
        let nested = self.nested.get(&key)?.as_ref()?;
        nested.load(candidate, outer)
    }
}

fn has_id(container: &Container, id: &str) -> bool {
    container.id == id || container.group.as_deref() == Some(id)
}

/// Is it the group of a virtual machine, at a place where only root can create one?
fn is_group_of_guest(candidate: &Candidate<'_>) -> bool {
    let mut parts = candidate.group.split('/').skip(1);
    let of_kubelet = parts.next().is_some_and(|first| first.starts_with("kube"));
    candidate.of_guest && (of_kubelet || parts.count() == 1)
}

fn nest(container: &Rc<Container>, outer: Option<&Rc<Container>>) -> Rc<Container> {
    match outer {
        None => container.clone(),
        Some(outer) => Rc::new(Container { outer: Some(outer.clone()), ..(**container).clone() }),
    }
}

fn unverified(candidate: &Candidate<'_>, outer: Option<Rc<Container>>) -> Container {
    Container {
        identified_by: IdentifiedBy::Cgroup,
        outer,
        ..Container::new(candidate.runtime, candidate.id.clone())
    }
}
