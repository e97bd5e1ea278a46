//! Processes, by the PID of the host or of a container.

use nix::unistd::Pid;

use super::answer::{Entry, Host, Role};
use super::finder::Finder;
use super::port;
use super::thing::Kind;
use crate::container::unknown::can_be_in_container;

pub(super) fn pid(finder: &Finder<'_>, pid: i32) -> Entry {
    let mut entry = Entry::new(Kind::Pid);
    let process = finder.world.proc.process(Pid::from_raw(pid));
    // Logs name threads too.
    let pid = match finder.world.process(pid) {
        Some(_) => pid,
        None => process.process_of_thread().map_or(pid, Pid::as_raw),
    };
    match finder.world.process(pid) {
        Some(_) => match finder.by_process(pid, Role::Member, String::new()) {
            Ok(answer) => entry.answers.push(answer),
            Err(host) => match finder.in_unknown(pid) {
                Some(unknown) => entry.unknown = Some(unknown),
                None => entry.host = Some(with_served(finder, pid, host)),
            },
        },
        None => {
            if process.status().is_ok_and(|status| status.kernel_thread) {
                let text = format!("thread of the kernel: {} {pid}", finder.comm(pid));
                entry.host = Some(Host { pid: Some(pid), text });
            }
        }
    }
    entry
}

/// With the containers for which a proxy or monitor works.
fn with_served(finder: &Finder<'_>, pid: i32, host: Host) -> Host {
    let label = |number: usize| &finder.world.containers[number].label;
    let named = |number: usize| format!("{}{}", label(number), finder.of_pod(number));
    let all: Vec<String> = port::served_by(finder, pid).into_iter().map(named).collect();
    let engine =
        || Some(format!("the network of {}", finder.named_process(port::served_engine(finder, pid)?)));
    let for_whom = if all.is_empty() { engine() } else { Some(all.join(", ")) };
    match for_whom {
        None => host,
        Some(whom) => Host { text: format!("{}, which works for {whom}", host.text), ..host },
    }
}

/// All processes that have this PID in a container with a pid namespace of its own.
pub(super) fn cpid(finder: &Finder<'_>, cpid: i32) -> Entry {
    let mut entry = Entry::new(Kind::Cpid);
    for process in finder.world.processes.iter().filter(|process| process.cpid == Some(cpid)) {
        let is_own = process.pid != cpid
            || process.container.is_some_and(|number| {
                finder.world.containers[number].container.init.is_some_and(|init| init.as_raw() == cpid)
            });
        if process.container.is_some() && is_own {
            entry.answers.extend(finder.by_process(process.pid, Role::Member, String::new()).ok());
        }
    }
    entry
}

impl Finder<'_> {
    /// ` of the pod NAME`, for the container that keeps the namespaces of a pod and is not called after it.
    pub(super) fn of_pod(&self, number: usize) -> String {
        let known = &self.world.containers[number];
        let pod = known.container.pod.as_ref().filter(|_| known.container.is_pause());
        let pod = pod.filter(|pod| !known.label.split([':', '/']).any(|part| part == *pod));
        pod.map(|pod| format!(" of the pod {pod}")).unwrap_or_default()
    }

    /// Of a process in no container that is known: why it can be in one that is not known.
    pub(super) fn in_unknown(&self, pid: i32) -> Option<String> {
        let seen = self.world.process(pid).filter(|seen| seen.container.is_none())?;
        let why = can_be_in_container(self.world.proc, pid, seen.cpid)?;
        Some(format!("{} {why}", self.named_process(pid)))
    }
}
