//! Processes, by the PID of the host or of a container.

use nix::unistd::Pid;

use super::answer::{Entry, Host, Role};
use super::finder::Finder;
use super::thing::Kind;
use crate::proc::ns::Kind as Namespace;

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
                None => entry.host = Some(host),
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
    /// Of a process in no container that is known: is it in a pid namespace of its own, which shows without rights, so that
    /// it can be in one that is not known? Says why.
    pub(super) fn in_unknown(&self, pid: i32) -> Option<String> {
        let seen = self.world.process(pid).filter(|seen| seen.container.is_none())?;
        seen.cpid.filter(|cpid| *cpid != pid)?;
        let link = self.world.proc.path_of(Pid::from_raw(pid), &Namespace::Pid.link());
        let why = match self.world.proc.link(&link) {
            Ok(_) => String::new(),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                "; its container shows only to root, or with CAP_SYS_PTRACE".to_owned()
            }
            Err(error) => format!("; its namespaces cannot be read: {}", crate::errno::cause(&error)),
        };
        Some(format!("{} has a pid namespace of its own{why}", self.named_process(pid)))
    }
}
