//! Lists of all containers.

use std::rc::Rc;

use nix::unistd::Pid;

use super::Resolver;
use crate::container::runtimes::Whose;
use crate::container::{Container, verify};
use crate::order;
use crate::proc::id_hash::ById;
use crate::proc::{Scan, Status};
use crate::sys::keyed::{HashMap, HashSet};

impl Resolver<'_> {
    /// Every running container with a readable state file.
    pub fn all(&mut self) -> Vec<Rc<Container>> {
        let mut all = self.all_with_state(Whose::Everyone);
        self.find_inits(&mut all);
        all.extend(self.monitored_elsewhere(&all));
        all.retain(|container| container.init.is_some());
        order::sort_by(&mut all, |a, b| (a.runtime, &a.name, &a.id).cmp(&(b.runtime, &b.name, &b.id)));
        all
    }

    /// The containers that a monitor names, in no directory that is listed, without those in `all`.
    pub(super) fn monitored_elsewhere(&self, all: &[Rc<Container>]) -> Vec<Rc<Container>> {
        let elsewhere = self.monitored.values().flatten().filter(|container| container.id.contains('/'));
        let mut found: Vec<Rc<Container>> = Vec::new();
        for container in elsewhere {
            if !all.iter().chain(&found).any(|known| known.key() == container.key()) {
                found.push(container.clone());
            }
        }
        found
    }

    /// Every container that has a process now, with or without a state file.
    pub fn scan(&mut self) -> Vec<Rc<Container>> {
        let mut all: Vec<Rc<Container>> = Vec::new();
        let mut seen: ById<*const Container, Rc<Container>> = ById::default(); // most tags share one object
        let mut keys: HashSet<String> = HashSet::default();
        let mut nested: HashMap<String, Vec<(usize, Pid)>> = HashMap::default();
        let (Ok(pids), Ok(mut scan)) = (Scan::pids(self.proc), Scan::new(self.proc)) else { return all };
        for pid in pids {
            let Ok(status) = scan.status_text(pid).map(Status::parse) else { continue };
            if status.kernel_thread {
                continue;
            }
            let Ok(cgroup) = scan.cgroup(pid) else { continue };
            let Some(tag) = self.resolve(pid, cgroup, status.nspid.len() > 1) else { continue };
            if tag.container.outer.is_some() && status.nspid.len() > 1 && status.nspid.last() == Some(&1) {
                nested.entry(tag.container.key()).or_default().push((status.nspid.len(), pid));
            }
            let is_new = seen.insert(Rc::as_ptr(&tag.container), tag.container.clone()).is_none();
            if is_new && keys.insert(tag.container.key()) {
                all.push(tag.container);
            }
        }
        self.find_inits(&mut all);
        for container in all.iter_mut().filter(|container| container.outer.is_some()) {
            let first = nested.get(&container.key()).and_then(|pids| self.first_inside(container, pids));
            if let Some((init, init_start)) = first {
                let (init, init_start) = (Some(init), Some(init_start));
                *container = Rc::new(Container { init, init_start, ..(**container).clone() });
            }
        }
        self.last_scan.clone_from(&all);
        all
    }

    /// The containers that the last [`Resolver::scan`] found, which may have taken long. Empty if there was none.
    pub(in crate::container) fn last_scan(&self) -> &[Rc<Container>] {
        &self.last_scan
    }

    /// The init process of a nested container, among the processes with PID 1 in their pid namespaces: the outermost of
    /// them. None if there are several.
    fn first_inside(&mut self, container: &Container, pids: &[(usize, Pid)]) -> Option<(Pid, u64)> {
        let outermost = pids.iter().map(|(depth, _)| *depth).min()?;
        let mut first = pids.iter().filter(|(depth, _)| *depth == outermost).map(|(_, pid)| *pid);
        let pid = first.next().filter(|_| first.next().is_none())?;
        // The start time is read before the rest is checked again: the PID may be another process's by now.
        let start = verify::start_time(self.proc, pid)?;
        let cgroup = self.proc.process(pid).cgroup().ok()?;
        let tag = self.resolve(pid, &cgroup, true)?;
        (tag.container.key() == container.key()).then_some((pid, start))
    }
}
