//! Finds the origin of each process: how it came into its container.

use super::containers::Containers;
use super::process::{Origin, Process};
use crate::container::IdentifiedBy;

/// Sets the origin of every process. The list is sorted by PID; the PID of a parent may be higher than the child's.
pub(super) fn find(list: &mut [Process], containers: &Containers) {
    for at in 0..list.len() {
        // Without a known first process the origin is unknown.
        if list[at].container().is_none_or(|number| containers.all[number].init.is_none()) {
            continue;
        }
        // Go up to the first ancestor whose origin is known or that has no parent here, then down again. A cycle ends
        // at the process where it began.
        let mut path = vec![at];
        let mut parent_origin = None;
        while let Some(&last) = path.last() {
            if list[last].via.is_some() {
                parent_origin = list[last].via;
                path.pop();
                break;
            }
            match parent(list, containers, last) {
                Some(parent) if path.len() <= list.len() && parent != at => path.push(parent),
                _ => break,
            }
        }
        while let Some(last) = path.pop() {
            parent_origin = origin_of(&list[last], parent_origin, containers);
            list[last].via = parent_origin;
        }
    }
}

/// The parent of a process, if it is in the same container and the process is not the first one there.
fn parent(list: &[Process], containers: &Containers, at: usize) -> Option<usize> {
    let process = &list[at];
    let init = containers.all[process.container()?].init;
    let ppid = process.ppid.filter(|_| init != Some(process.pid))?;
    let parent = list.binary_search_by_key(&ppid, |process| process.pid).ok()?;
    (list[parent].container() == process.container()).then_some(parent)
}

/// The origin of a process, by that of its parent.
fn origin_of(process: &Process, parent: Option<Origin>, containers: &Containers) -> Option<Origin> {
    let init = containers.all[process.container()?].init?;
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
    use crate::access::Span;
    use crate::container::{Container, Runtime};
    use std::rc::Rc;

    fn process(pid: i32, ppid: i32, container: Option<usize>, how: IdentifiedBy) -> Process {
        Process {
            pid,
            thread: None,
            ppid: Some(ppid),
            cpid: Some(pid),
            uid: None,
            kernel_thread: false,
            container: container.and_then(|number| u32::try_from(number).ok()),
            how: container.map(|_| how),
            via: None,
            command: Span::default(),
            details: None,
        }
    }

    #[test]
    fn origins_of_init_descendants_and_later_processes() {
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
