//! The steps of nsenter. The order matters: nsenter first opens everything that must be opened outside. From then on
//! no other process can inspect this one. Then it enters the namespaces and the rest, see [`super::entry`], and
//! executes the program. For another pid namespace, it creates the program's process last, see [`super::child`].

use std::ffi::OsString;
use std::sync::Arc;

use anyhow::anyhow;
use nix::errno::Errno;
use nix::unistd::Pid;

use super::child;
use super::entry::{Credentials, Entry};
use super::inside;
use super::lookup;
use super::open::{NoTarget, Opened, hint_container_name, is_told_by_pidfd, open_all};
use super::plan::Request;
use crate::access::watch::{self, Guard};
use crate::container::is_gvisor;
use crate::container::target::{Lookup, Purpose, Target};
use crate::exit::{self, Exit, Outcome};
use crate::isolation::look::look;
use crate::launch::harden;
use crate::launch::pty::Outside;
use crate::proc::ProcRoot;

pub(super) fn act(name: &str, request: &Request, program: &[OsString]) -> Outcome {
    let proc = ProcRoot::default();
    let lookup = Lookup::new(name, Purpose::Enter).with_profile(request.as_container);
    // A child finds a container by its name, and hands back only the process, and which files have its profile.
    let target = request.target.as_ref().map(|target| lookup.held(&proc, target)).transpose();
    let guard = match target.as_ref() {
        Ok(Some(held)) if request.reads_target(|| is_told_by_pidfd(held), exit::hints_wanted) => {
            guard(name, &proc, held.pid)?
        }
        _ => None,
    };
    let profile = lookup.profile();
    let mut opened = match target.and_then(|target| open_all(name, &proc, request, target, profile)) {
        Ok(opened) => opened,
        Err(error) if error.is::<NoTarget>() => {
            return Err(Exit::from(error).or_hint(hint_container_name(request)));
        }
        // util-linux's message is about process 0.
        Err(error) if request.all && request.target.is_none() => {
            let name_hint = hint_container_name(request);
            let hint = || "option -a needs a target: -t PID or -t CONTAINER".to_owned();
            return Err(Exit::from(error).or_hint(move || name_hint().or_else(|| Some(hint()))));
        }
        Err(error) => return lookup::outcome(error),
    };
    let terminal = request.new_tty.then(|| Outside::hold(&proc)).transpose()?;
    if opened.set.is_empty() && !request.changes_the_program() {
        let (name_hint, has_target) = (hint_container_name(request), request.target.is_some());
        let hint = || {
            "-a enters all namespaces of the target, -n only its network namespace (see --help)".to_owned()
        };
        if let (true, Some(pid)) = (request.all, opened.pid) {
            return Err(anyhow!("this process is already in all namespaces of process {pid}").into());
        }
        let error = Exit::from(anyhow!("no namespace specified"));
        return Err(error.or_hint(move || name_hint().or_else(|| has_target.then(hint))));
    }
    if is_entered_in_steps(&opened) && exit::hints_wanted() {
        opened.set.before = Some(Arc::new(look(&proc, opened.pid, &opened.set)));
    }
    if let Some(pid) = opened.pid.filter(|_| request.enters_files()) {
        note_guest(name, &proc, request, pid);
    }
    let user = Credentials::resolve(request, &opened);
    opened.shell = inside::shell(&proc, request, &opened, user.uid);
    _ = exit::hints_asked_for(); // reads CTRBOX_HINTS before the environment is wiped
    if terminal.is_some() {
        _ = exit::hints_wanted(); // the new terminal is not the caller's
    }
    let hints = request.enters_files() && exit::hints_wanted();
    opened.missing = hints.then(|| inside::hint(&proc, request));
    drop(guard);
    if request.is_exposed() {
        harden::pass_only(&proc, &request.pass_fds)?;
    }
    harden::hide()?;
    let mut entry = Entry { name, request, opened, user, groups_dropped: true };
    if entry.opened.fork || terminal.is_some() {
        return child::start(entry, terminal, program);
    }
    if let Err(error) = entry.enter().and_then(|()| entry.join_groups()) {
        return Err(error.into());
    }
    match entry.settle() {
        Ok(ready) => Err(ready.execute(request, program)),
        Err(error) => Err(error.into()),
    }
}

/// Reads of the target's files in /proc may not end. Until the guard is dropped, another process ends this one then.
fn guard(name: &str, proc: &ProcRoot, pid: Pid) -> Result<Option<Guard>, Exit> {
    let say = |blocked| exit::warn(name, &watch::cannot_read(blocked));
    match Guard::start(proc, pid, say) {
        Ok(guard) => Ok(guard),
        Err(Errno::ETIMEDOUT) => Err(anyhow!(watch::cannot_read(pid)).into()),
        Err(errno) => Err(anyhow!(errno).context("poll failed").into()),
    }
}

/// Can a step fail after another one has changed what this process sees? Then hints need what it saw before.
fn is_entered_in_steps(opened: &Opened) -> bool {
    opened.set.len() > 1 || opened.root.is_some() || opened.other_root.is_some()
}

/// Says that the processes of a container of gVisor cannot be entered. A user who names a container expects to enter
/// them; a PID means the sandbox itself.
fn note_guest(name: &str, proc: &ProcRoot, request: &Request, pid: Pid) {
    let note = || {
        format!(
            "process {pid} is part of gVisor's sandbox: the container's processes run on gVisor's own kernel, not on \
             this one, and nsenter cannot reach them; use runsc exec (docker exec, kubectl exec)"
        )
    };
    match request.target {
        Some(Target::Container(_)) if is_gvisor(proc, pid) => exit::warn(name, &note()),
        _ => exit::hint(|| is_gvisor(proc, pid).then(note)),
    }
}
