//! How a process came into its container: with its init process, or later.

use super::containers::Containers;
use super::gather::Process;
use crate::container::How;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// The container's first process.
    Init,
    /// A descendant of that.
    Fork,
    /// Started from outside, in the container's control group: exec, attach, a health check.
    Exec,
    /// Started from outside, and in its namespaces alone: nsenter(1).
    Ns,
}

impl Via {
    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Via::Init => "init",
            Via::Fork => "fork",
            Via::Exec => "exec",
            Via::Ns => "ns",
        }
    }

    #[must_use]
    pub(super) fn from_name(name: &str) -> Option<Via> {
        [Via::Init, Via::Fork, Via::Exec, Via::Ns].into_iter().find(|via| via.name() == name)
    }
}

/// Of every process. They stand in the order of their PIDs; the parent's may be higher.
pub(super) fn find(list: &mut [Process], containers: &Containers) {
    for at in 0..list.len() {
        // Nothing to tell, and so nothing to find it by for those below.
        if list[at].container.is_none_or(|number| containers.all[number].init.is_none()) {
            continue;
        }
        // Up to the first that is known already, or to none; then down again. A cycle ends where it began.
        let mut path = vec![at];
        let mut above = None;
        while let Some(&last) = path.last() {
            if list[last].via.is_some() {
                above = list[last].via;
                path.pop();
                break;
            }
            match parent(list, containers, last) {
                Some(parent) if path.len() <= list.len() && parent != at => path.push(parent),
                _ => break,
            }
        }
        while let Some(last) = path.pop() {
            above = of(&list[last], above, containers);
            list[last].via = above;
        }
    }
}

/// Its parent, if that is in the same container, and the process is not the first there.
fn parent(list: &[Process], containers: &Containers, at: usize) -> Option<usize> {
    let process = &list[at];
    let init = containers.all[process.container?].init;
    let ppid = process.ppid.filter(|_| init != Some(process.pid))?;
    let parent = list.binary_search_by_key(&ppid, |process| process.pid).ok()?;
    (list[parent].container == process.container).then_some(parent)
}

fn of(process: &Process, parent: Option<Via>, containers: &Containers) -> Option<Via> {
    let init = containers.all[process.container?].init?;
    let later = match process.how {
        Some(How::State | How::Cgroup) => Via::Exec,
        _ => Via::Ns,
    };
    Some(match parent {
        _ if init == process.pid => Via::Init,
        Some(Via::Init | Via::Fork) => Via::Fork,
        _ => later,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Container, Runtime};
    use std::rc::Rc;

    fn process(pid: i32, ppid: i32, container: Option<usize>, how: How) -> Process {
        Process {
            pid,
            ppid: Some(ppid),
            cpid: Some(pid),
            uid: None,
            kernel_thread: false,
            container,
            how: container.map(|_| how),
            via: None,
            command: 0..0,
            facts: None,
        }
    }

    #[test]
    fn first_ones_their_descendants_and_who_came_later() {
        let mut containers = Containers::default();
        let init = Some(nix::unistd::Pid::from_raw(10));
        let web = containers.number(&Rc::new(Container { init, ..Container::new(Runtime::Docker, "web") }));
        let unknown = containers.number(&Rc::new(Container::new(Runtime::Docker, "unknown")));
        let mut list = vec![
            process(1, 0, None, How::State),
            process(5, 12, Some(web), How::State), // PIDs have wrapped
            process(9, 1, None, How::State),
            process(10, 9, Some(web), How::State),
            process(11, 10, Some(web), How::State),
            process(12, 11, Some(web), How::State),
            process(20, 9, Some(web), How::State),
            process(21, 20, Some(web), How::State),
            process(30, 1, Some(web), How::Namespace),
            process(40, 1, Some(unknown), How::Cgroup),
            process(50, 51, Some(web), How::State), // each other's parents
            process(51, 50, Some(web), How::State),
        ];
        find(&mut list, &containers);
        let found: Vec<_> = list.iter().map(|process| process.via.map(Via::name)).collect();
        let expected = [
            None,
            Some("fork"),
            None,
            Some("init"),
            Some("fork"),
            Some("fork"),
            Some("exec"),
            Some("exec"),
            Some("ns"),
            None,
            Some("exec"),
            Some("exec"),
        ];
        assert_eq!(found, expected);
    }
}
