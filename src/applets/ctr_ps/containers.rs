//! The containers that processes are in, each once, whatever way it was found.

use crate::sys::keyed::HashMap;
use std::rc::Rc;

use super::gather::Process;
use crate::container::Container;
use crate::isolation::ids::ById;

/// A container with processes.
pub(super) struct Seen {
    pub container: Rc<Container>,
    /// As it is shown, before control characters are escaped.
    pub label: String,
    pub outer: Option<usize>,
    /// Its first process, by the runtime's word; else the one that has PID 1 inside.
    pub init: Option<i32>,
    /// One of its processes.
    pub member: Option<i32>,
    /// Processes in it and in those nested in it.
    pub processes: usize,
}

#[derive(Default)]
pub(super) struct Containers {
    pub all: Vec<Seen>,
    /// The same object mostly: then nothing of it is compared. Held, so that no other gets its address.
    by_address: ById<*const Container, (Rc<Container>, usize)>,
    /// See [`Container::key`].
    by_key: HashMap<String, usize>,
}

impl Containers {
    /// Its number.
    pub(super) fn number(&mut self, container: &Rc<Container>) -> usize {
        if let Some((_, known)) = self.by_address.get(&Rc::as_ptr(container)) {
            return *known;
        }
        let outer = container.outer.as_ref().map(|outer| self.number(outer));
        let number = *self.by_key.entry(container.key()).or_insert(self.all.len());
        match self.all.get_mut(number) {
            None => self.all.push(Seen {
                label: container.label(),
                outer,
                init: container.init.map(nix::unistd::Pid::as_raw),
                member: None,
                processes: 0,
                container: container.clone(),
            }),
            Some(seen) => seen.init = seen.init.or(container.init.map(nix::unistd::Pid::as_raw)),
        }
        self.by_address.insert(Rc::as_ptr(container), (container.clone(), number));
        number
    }

    /// The container and those around it, by their numbers.
    pub(super) fn chain(&self, number: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(number), |number| self.all.get(*number).and_then(|seen| seen.outer))
    }

    /// Counts processes, and finds first ones that no record names.
    pub(super) fn complete(&mut self, processes: &[Process]) {
        for process in processes {
            let Some(own) = process.container else { continue };
            let mut around = Some(own);
            while let Some(number) = around {
                self.all[number].processes += 1;
                around = self.all[number].outer;
            }
            let seen = &mut self.all[own];
            seen.member = seen.member.or(Some(process.pid));
            if process.cpid == Some(1) && seen.init.is_none() {
                seen.init = Some(process.pid);
            }
        }
    }
}
