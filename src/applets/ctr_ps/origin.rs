//! How a process came into its container: with its init process, or later.

use super::containers::Containers;
use super::process::{Origin, Process};
use crate::container::IdentifiedBy;

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

fn of(process: &Process, parent: Option<Origin>, containers: &Containers) -> Option<Origin> {
    let init = containers.all[process.container?].init?;
    let later = match process.how {
        Some(IdentifiedBy::State | IdentifiedBy::Cgroup) => Origin::Exec,
        _ => Origin::Ns,
    };
    Some(match parent {
        _ if init == process.pid => Origin::Init,
        Some(Origin::Init | Origin::Fork) => Origin::Fork,
        _ => later,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Container, Runtime};
    use std::rc::Rc;

    fn process(pid: i32, ppid: i32, container: Option<usize>, how: IdentifiedBy) -> Process {
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
            details: None,
        }
    }

    #[test]
    fn first_ones_their_descendants_and_who_came_later() {
        let mut containers = Containers::default();
        let init = Some(nix::unistd::Pid::from_raw(10));
        let web = containers.number(&Rc::new(Container { init, ..Container::new(Runtime::Docker, "web") }));
        let unknown = containers.number(&Rc::new(Container::new(Runtime::Docker, "unknown")));
        let mut list = vec![
            process(1, 0, None, IdentifiedBy::State),
            process(5, 12, Some(web), IdentifiedBy::State), // PIDs have wrapped
            process(9, 1, None, IdentifiedBy::State),
            process(10, 9, Some(web), IdentifiedBy::State),
            process(11, 10, Some(web), IdentifiedBy::State),
            process(12, 11, Some(web), IdentifiedBy::State),
            process(20, 9, Some(web), IdentifiedBy::State),
            process(21, 20, Some(web), IdentifiedBy::State),
            process(30, 1, Some(web), IdentifiedBy::Namespace),
            process(40, 1, Some(unknown), IdentifiedBy::Cgroup),
            process(50, 51, Some(web), IdentifiedBy::State), // each other's parents
            process(51, 50, Some(web), IdentifiedBy::State),
        ];
        find(&mut list, &containers);
        let found: Vec<_> = list.iter().map(|process| process.via.map(Origin::name)).collect();
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
