//! The containers of the processes. Each container has one entry, however many ways it was found.

use crate::sys::keyed::HashMap;
use std::rc::Rc;

use super::process::Process;
use crate::container::Container;
use crate::container::records::Records;
use crate::proc::id_hash::ById;
use crate::text::matches_glob;

/// A container with processes.
pub(super) struct Seen {
    pub container: Rc<Container>,
    /// The name as shown, with control characters not yet escaped.
    pub label: String,
    /// The container that this one is nested in.
    pub outer: Option<usize>,
    /// The first process: from the state file, otherwise the process with PID 1 inside.
    pub init: Option<i32>,
    /// The process that the others come from, as far as they are listed.
    pub head: Option<i32>,
    /// The number of processes, those in nested containers included.
    pub processes: usize,
    /// It does not run: only its state files are there.
    pub stopped: bool,
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

/// Does a pattern match the name of a container: as ctr-ps prints it, without the runtime, or its last part?
pub(super) fn matches_name(pattern: &str, container: &Container) -> bool {
    let name = container.name.as_deref();
    let last = name.and_then(|name| name.rsplit('/').next());
    let label = container.label();
    [Some(label.as_str()), name, last].into_iter().flatten().any(|name| matches_glob(pattern, name))
}

impl Seen {
    /// The process that stands for the container.
    pub(super) fn first(&self) -> Option<i32> {
        self.init.or(self.head)
    }
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
                head: None,
                processes: 0,
                stopped: false,
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

    /// Adds the containers that only state files have.
    pub(super) fn add_stopped(&mut self, records: &Records<'_>) {
        for record in records.all() {
            let container = &record.container;
            if !self.by_key.contains_key(&container.key()) {
                let number = self.number(&Rc::new(Container { init: None, ..container.clone() }));
                self.all[number].stopped = true;
            }
        }
    }

    /// Adds the labels that are in other files than those that identify the container: in those of its pod.
    pub(super) fn add_labels(&mut self, records: &Records<'_>) {
        for seen in &mut self.all {
            if let Some(labels) = records.labels(&seen.container) {
                seen.container = Rc::new(Container { labels, ..Container::clone(&seen.container) });
            }
        }
    }

    /// Counts the processes, and finds the first process of containers whose state file does not name it.
    pub(super) fn complete(&mut self, processes: &[Process]) {
        for process in processes {
            let Some(own) = process.container() else { continue };
            let mut around = Some(own);
            while let Some(number) = around {
                self.all[number].processes += 1;
                around = self.all[number].outer;
            }
            let seen = &mut self.all[own];
            if process.cpid == Some(1) && seen.init.is_none() {
                seen.init = Some(process.pid);
            }
        }
        self.find_heads(processes);
    }

    /// Finds the first process, in the order of the list, whose parent is not in the container.
    fn find_heads(&mut self, processes: &[Process]) {
        let wanted = |process: &&Process| process.container().is_some_and(|own| self.all[own].init.is_none());
        let members: Vec<&Process> = processes.iter().filter(wanted).collect();
        let all: HashMap<i32, Option<usize>> =
            members.iter().map(|process| (process.pid, process.container())).collect();
        for process in members {
            let is_head = process.ppid.and_then(|parent| all.get(&parent)) != Some(&process.container());
            if let Some(number) = process.container().filter(|_| is_head) {
                let seen = &mut self.all[number];
                seen.head = seen.head.or(Some(process.pid));
            }
        }
    }
}
