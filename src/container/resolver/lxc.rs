//! Containers of LXC, LXD and Incus: no state file says which control group they have. Their monitor does.

use std::rc::Rc;

use nix::unistd::Pid;

use super::Resolver;
use crate::container::cgroup_path::Candidate;
use crate::container::runtimes::Store;
use crate::container::{Container, verify};
use crate::proc::number;

impl Resolver<'_> {
    /// The container of a candidate of LXC, LXD or Incus: no state file says which container has the group, or whether
    /// it runs. The monitor does.
    pub(super) fn monitored(&mut self, candidate: &Candidate<'_>) -> Option<Rc<Container>> {
        if let Some(known) = self.monitored.get(candidate.group) {
            return known.clone();
        }
        let current = self.current.as_ref().map(|(pid, _)| *pid);
        let named =
            current.and_then(|pid| self.named_by_lxc(pid).or_else(|| self.named_by_group(candidate, pid)));
        let found = named.filter(|container| has_group(container, candidate)).map(|container| {
            let name = container.id.rsplit('/').next();
            let group = (name != Some(&candidate.id)).then(|| candidate.id.clone().into_owned());
            Rc::new(Container { group, ..container })
        });
        if found.is_some() {
            self.monitored.insert(candidate.group.to_owned(), found.clone());
        } else if self.inits.is_none() && !self.finds_inits {
            // The process came from elsewhere. Others of that group may be below the monitor.
            let inits = self.first_processes();
            self.inits = Some(inits);
            let found = self.monitored.entry(candidate.group.to_owned()).or_default();
            return found.clone();
        }
        found
    }

    pub(super) fn named_by_lxc(&mut self, pid: Pid) -> Option<Container> {
        let (proc, files) = (self.proc, self.files);
        self.by_namespace().named_by_lxc(proc, files, pid)
    }

    /// The container of LXC with the name of the group, if its monitor has ended.
    fn named_by_group(&mut self, candidate: &Candidate<'_>, pid: Pid) -> Option<Container> {
        let (proc, whose) = (self.proc, self.whose_group(candidate.group));
        let init = self.by_namespace().init_without_monitor(proc, pid)?;
        let known = self.lookup(whose, Store::Lxc, &candidate.id);
        let container =
            known.iter().map(|known| &known.container).find(|known| has_group(known, candidate))?;
        let init_start = verify::start_time(proc, init);
        Some(Container { init: Some(init), init_start, ..(**container).clone() })
    }
}

/// Is it the group that the monitor of this container made? LXC adds a number if another container has the name. Only
/// root, or that user, can have created the group.
fn has_group(container: &Container, candidate: &Candidate<'_>) -> bool {
    let name = container.id.rsplit('/').next().unwrap_or_default();
    let number = match candidate.id.strip_prefix(name) {
        Some("") => Some(1),
        Some(rest) => rest
            .strip_prefix('-')
            .filter(|number| !number.starts_with('0'))
            .and_then(|text| number(text.as_bytes())),
        None => None,
    };
    let above = candidate.group.rsplit_once('/').map_or("", |(above, _)| above);
    let is_owners = match container.owner {
        0 => matches!(above, "" | "/lxc" | "/lxc.payload"),
        owner => above.starts_with(&format!("{}{owner}.slice/", verify::SLICE_OF_USERS)),
    };
    is_owners && number.is_some_and(|number: u32| (1..1000).contains(&number))
}
