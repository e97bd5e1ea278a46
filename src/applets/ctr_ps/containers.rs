//! The containers of the processes. Each container has one entry, however many ways it was found.

use crate::sys::keyed::HashMap;
use std::rc::Rc;

use super::process::Process;
use crate::container::Container;
use crate::proc::id_hash::ById;

/// A container with processes.
pub(super) struct Seen {
    pub container: Rc<Container>,
    /// The name as shown, with control characters not yet escaped.
    pub label: String,
    /// The container that this one is nested in.
    pub outer: Option<usize>,
    /// The first process: from the state file, otherwise the process with PID 1 inside.
    pub init: Option<i32>,
    /// Any process of the container.
    pub member: Option<i32>,
    /// The number of processes, those in nested containers included.
    pub processes: usize,
}

#[derive(Default)]
pub(super) struct Containers {
    pub all: Vec<Seen>,
    /// Most lookups are for the same object, and need no comparison. The `Rc` is kept, so that the address is not
    /// reused.
    by_address: ById<*const Container, (Rc<Container>, usize)>,
    /// See [`Container::key`].
    by_key: HashMap<String, usize>,
}

impl Containers {
    /// The number of a container, which is added if it is new.
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

    /// The numbers of a container and of those it is nested in, innermost first.
    pub(super) fn chain(&self, number: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(number), |number| self.all.get(*number).and_then(|seen| seen.outer))
    }

    /// Counts the processes, and finds the first process of containers whose state file does not name it.
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
