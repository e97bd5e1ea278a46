//! The host's own processes by unit of systemd, or by other control group.

use std::rc::Rc;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::line::{Line, lines};
use crate::proc::ProcRoot;
use crate::sys::keyed::HashMap;

/// A group of the host's own processes.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Service {
    pub path: String,
    pub pid: i32,
    pub start: Option<u64>,
    pub groups: Vec<Line>,
}

/// The services of processes.
#[derive(Default)]
pub(super) struct Services {
    /// Those that are new, or begin with another process, each with its number.
    pub found: Vec<(usize, Service)>,
    /// The number of the service of each process.
    pub of: HashMap<i32, usize>,
}

impl Services {
    /// Of these processes of the host. Numbers of known services stay.
    pub(super) fn find(
        proc: &ProcRoot,
        pids: impl Iterator<Item = i32>,
        known: &[Rc<Service>],
        is_there: impl Fn(i32) -> bool,
    ) -> Services {
        let mut services = Services::default();
        let path = |(number, service): (usize, &Rc<Service>)| (service.path.clone(), number);
        let mut numbers: HashMap<String, usize> = known.iter().enumerate().map(path).collect();
        // Is its first process known to run?
        let mut begins: Vec<bool> = known.iter().map(|service| is_there(service.pid)).collect();
        for pid in pids {
            let Some((path, groups)) = groups(proc, pid) else { continue };
            let next = numbers.len();
            let number = *numbers.entry(path.clone()).or_insert(next);
            begins.resize(numbers.len(), false);
            if !std::mem::replace(&mut begins[number], true) {
                let start = proc.process(Pid::from_raw(pid)).start_time();
                services.found.push((number, Service { path, pid, start, groups }));
            }
            services.of.insert(pid, number);
        }
        services
    }
}

/// The unit of a process, or its other group, and its group in each hierarchy. None for a process in the root.
fn groups(proc: &ProcRoot, pid: i32) -> Option<(String, Vec<Line>)> {
    named(lines(&proc.process(Pid::from_raw(pid)).cgroup().ok()?, None))
}

fn named(mut groups: Vec<Line>) -> Option<(String, Vec<Line>)> {
    // Without systemd, a host with version 1 can have groups in hierarchies with controllers alone.
    let below = |controllers: &str| {
        groups
            .iter()
            .find(|line| line.path != "/" && line.controllers.split(',').any(|one| one == controllers))
    };
    let named = ["", "name=systemd", "memory", "cpu", "pids", "blkio"].into_iter().find_map(below)?;
    let path = unit(&named.path).to_owned();
    for line in &mut groups {
        let own = unit(&line.path).to_owned();
        (line.own, line.path) = (own == path, own);
    }
    (path != "/").then_some((path, groups))
}

/// The group of a unit of systemd, or the whole path.
fn unit(path: &str) -> &str {
    const ENDS: [&str; 5] = [".service", ".scope", ".mount", ".socket", ".swap"];
    let mut end = 0;
    for part in path.split_inclusive('/') {
        end += part.len();
        let part = part.trim_end_matches('/');
        // `user@1000.service` has the services of the user below it.
        if ENDS.iter().any(|unit| part.ends_with(unit)) && !part.starts_with("user@") {
            break;
        }
    }
    match path[..end].trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_that_names_a_service() {
        let path = |text: &str| named(lines(text.as_bytes(), None)).map(|(path, _)| path);
        let of = |text: &str| path(text).unwrap_or_default();
        assert_eq!(of("1:name=systemd:/a\n0::/b\n"), "/b");
        assert_eq!(of("5:memory:/c\n1:name=systemd:/a\n0::/\n"), "/a");
        assert_eq!(of("6:pids:/p\n5:cpu,cpuacct:/c\n1:name=systemd:/\n0::/\n"), "/c");
        assert_eq!(path("5:memory:/\n0::/\n"), None);
    }

    #[test]
    fn units() {
        for (path, expected) in [
            ("/system.slice/ssh.service", "/system.slice/ssh.service"),
            ("/system.slice/x.service/inner/deep", "/system.slice/x.service"),
            (
                "/user.slice/user-0.slice/user@0.service/app.slice/a.service/b",
                "/user.slice/user-0.slice/user@0.service/app.slice/a.service",
            ),
            ("/", "/"),
            ("/plain/group", "/plain/group"),
        ] {
            assert_eq!(unit(path), expected);
        }
    }
}
