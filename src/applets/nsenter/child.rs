//! Runs a program as a child: in another pid namespace, or on a terminal of its own. Three processes take part: the
//! one that waits, the intermediate one and the program's, see [`crate::launch::sibling`]. The one that waits can be the
//! intermediate one too, if it needs nothing of the outside afterwards.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, Pid, pipe2, read};

use super::entry::{Entry, Ready};
use super::open::Opened;
use super::plan::Request;
use crate::exit::{self, Exit, Outcome};
use crate::isolation::before::Before;
use crate::isolation::cgroup::{self, Hierarchies};
use crate::isolation::descriptors::channel;
use crate::isolation::mounts;
use crate::isolation::operation::{Operation, refused};
use crate::launch::exec;
use crate::launch::exec::ChildSupervisor;
use crate::launch::job_control::JobControl;
use crate::launch::pty::{Outside, Pair, lead_session};
use crate::launch::sibling::{Birth, Started};
use crate::proc::ProcRoot;
use crate::sys::{self, Stdio};
use crate::text;

pub(super) fn start(mut entry: Entry<'_>, mut terminal: Option<Outside>, program: &[OsString]) -> Outcome {
    exec::reset_sigchld()?;
    let job = if terminal.is_none() { JobControl::detect() } else { None };
    if terminal.is_none() && waits_as_program(&entry) {
        return directly(&mut entry, job, program);
    }
    let mut outcome = Attempt::new(&mut entry, &mut terminal, job.as_ref(), Place::Inherited).run(program)?;
    if matches!(outcome.0, Started::NoRoom) {
        outcome = Attempt::new(&mut entry, &mut terminal, job.as_ref(), Place::Given).run(program)?;
    }
    entry.opened = Opened::default();
    match outcome {
        (Started::Not(ended), pair) => {
            let messages = pair.map(|pair| pair.messages()).unwrap_or_default();
            if !messages.is_empty() {
                exit::say(&messages);
            }
            exec::as_child(ended)
        }
        (Started::NoRoom, _) => Err(Error::from(Errno::EAGAIN).context("fork failed").into()),
        (Started::Program(child), pair) => match (terminal.zip(pair), job) {
            (Some((terminal, pair)), _) => terminal.session(pair).stand_in_for(child),
            (None, Some(job)) => job.stand_in_for(child),
            (None, None) => exec::stand_in_for(child),
        },
    }
}

/// Can the process that waits have the rights of the program? Not in its control groups, where it would count and be
/// killed with the container. Not with fewer rights than the caller: a filter can deny what waiting takes, and with
/// another user or in a user's namespace the program and that user could end or stop it.
fn waits_as_program(entry: &Entry<'_>) -> bool {
    entry.opened.groups.is_empty() && !entry.opened.is_restricted(entry.request)
}

/// Enters, and starts the program's process: one process less, as the container cannot see the process that waits.
fn directly(entry: &mut Entry<'_>, job: Option<JobControl>, program: &[OsString]) -> Outcome {
    let request = entry.request;
    let inner = Inner::enter(entry.take(), false, None)?;
    match sys::fork().map_err(|errno| inner.no_fork(errno))? {
        ForkResult::Child => Err(inner.run(job.as_ref(), request, program).unwrap_or_else(Exit::from)),
        ForkResult::Parent { child } => {
            drop(inner);
            match job {
                Some(job) => job.stand_in_for(child),
                None => exec::stand_in_for(child),
            }
        }
    }
}

/// How the program's process gets into the control groups of the target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The intermediate process joins them first, and the program's process is created in them.
    Inherited,
    /// The process that waits moves it there before it runs. A group that has reached its pids.max accepts a
    /// process that is moved, but none that is forked in it.
    Given,
}

struct Attempt<'a, 'b> {
    entry: &'a mut Entry<'b>,
    terminal: &'a mut Option<Outside>,
    job: Option<&'a JobControl>,
    place: Place,
}

impl<'a, 'b> Attempt<'a, 'b> {
    fn new(
        entry: &'a mut Entry<'b>,
        terminal: &'a mut Option<Outside>,
        job: Option<&'a JobControl>,
        place: Place,
    ) -> Self {
        Attempt { entry, terminal, job, place }
    }

    /// Returns the result and the program's new terminal in the process that waits, and the reason of a failure in
    /// the two others.
    fn run(self, program: &[OsString]) -> Result<(Started, Option<Pair>), Exit> {
        let birth = Birth::new()?;
        let (wait, go) = match self.place {
            Place::Inherited => (None, None),
            Place::Given => pipe2(OFlag::O_CLOEXEC).map(|(wait, go)| (Some(wait), Some(go)))?,
        };
        let (receiver, sender) = match &self.terminal {
            Some(_) => channel()
                .map(|(receiver, sender)| (Some(receiver), Some(sender)))
                .context("socketpair failed")?,
            None => (None, None),
        };
        // Without pidfds, before Linux 5.3, the intermediate process goes on alone.
        let supervisor = ChildSupervisor::new(Some(libc::SIGKILL), &[]).ok();
        match sys::fork().context("fork failed")? {
            ForkResult::Child => {
                // If this process is interrupted, the program must not start later.
                supervisor.map_or(Ok(()), |supervisor| supervisor.watch())?;
                drop((receiver, go));
                Err(self.intermediate(birth, wait, sender, program).unwrap_or_else(Exit::from))
            }
            ForkResult::Parent { child } => {
                drop((sender, wait));
                let groups = &self.entry.opened.groups;
                let started = match go {
                    None => {
                        let mut late = FrozenNote { name: self.entry.name, said: groups.is_empty() };
                        birth.wait(child, || late.say(child))?
                    }
                    Some(go) => birth.wait_and_place(child, go, |pid| {
                        let mut groups = groups.iter();
                        let placed = groups.try_for_each(|group| cgroup::put(group, pid));
                        placed.context("cannot join the control group of the target")
                    })?,
                };
                Ok((started, receiver.as_ref().and_then(Pair::receive)))
            }
        }
    }

    /// Returns only on failure: in the program's process the reason why the program is not executed, in the
    /// intermediate process an error.
    fn intermediate(
        self,
        birth: Birth,
        go: Option<OwnedFd>,
        socket: Option<OwnedFd>,
        program: &[OsString],
    ) -> Result<Exit> {
        birth.keep_from_children()?;
        if let Some(go) = go {
            wait_for_end(&go).context("cannot wait for the parent process")?;
        }
        let entry = self.entry.take();
        let request = entry.request;
        let grouped = self.place == Place::Inherited && !entry.opened.groups.is_empty();
        let inner = Inner::enter(entry, grouped, self.terminal.take().zip(socket))?;
        match birth.fork() {
            Ok(ForkResult::Child) => std::mem::forget(birth), // the child does not have its memory
            Ok(ForkResult::Parent { .. }) => std::process::exit(0),
            Err(Errno::EAGAIN) if grouped => {
                birth.no_room();
                std::process::exit(0);
            }
            Err(errno) => return Err(inner.no_fork(errno)),
        }
        inner.run(self.job, request, program)
    }
}

/// A process that has entered all but the pid namespace, and clones the program's.
struct Inner<'a> {
    /// What the program's process still has to settle, or nothing.
    ready: Result<Ready, Entry<'a>>,
    /// Where to mount proc.
    proc_at: Option<PathBuf>,
    /// The terminal that it becomes the leader of.
    standard: Option<Stdio>,
    before: Option<Arc<Before>>,
}

impl<'a> Inner<'a> {
    fn enter(mut entry: Entry<'a>, joins: bool, terminal: Option<(Outside, OwnedFd)>) -> Result<Self> {
        entry.enter()?;
        if joins {
            entry.join_groups()?;
        }
        let standard = match terminal {
            Some((terminal, socket)) => {
                let pair = terminal.open()?;
                pair.send(&socket)?;
                Some(terminal.replace_by(&pair, entry.becomes())?)
            }
            None => None,
        };
        let finishes_inside = entry.finishes_inside();
        let proc_at = entry.opened.proc_at.take();
        let before = entry.opened.set.before.clone();
        let ready = if finishes_inside { Err(entry) } else { Ok(entry.settle()?) };
        Ok(Inner { ready, proc_at, standard, before })
    }

    fn no_fork(&self, errno: Errno) -> Error {
        Error::from(errno).context(refused("fork failed", Operation::Fork { before: self.before.clone() }))
    }

    /// In the program's process. Returns only on failure, with the reason why the program is not executed.
    fn run(self, job: Option<&JobControl>, request: &Request, program: &[OsString]) -> Result<Exit> {
        if let Some(directory) = self.proc_at {
            mounts::mount_proc(&directory)?;
        }
        let ready = self.ready.or_else(Entry::settle)?;
        if let Some(standard) = self.standard {
            lead_session(standard)?;
        }
        if let Some(job) = job {
            job.begin()?;
        }
        Ok(ready.execute(request, program))
    }
}

/// Says once why the program does not start: the container can freeze a group while it is joined.
struct FrozenNote<'a> {
    name: &'a str,
    said: bool,
}

impl FrozenNote<'_> {
    fn say(&mut self, intermediate: Pid) {
        if self.said {
            return;
        }
        let proc = ProcRoot::default();
        let group =
            Hierarchies::read(&proc).and_then(|all| all.frozen_group_of(&proc, intermediate)).ok().flatten();
        if let Some(group) = group {
            let directory = text::shown(group.directory().as_os_str()).into_owned();
            exit::warn(self.name, &format!("the program starts when control group {directory} is thawed"));
            self.said = true;
        }
    }
}

/// Returns when the other end of the pipe is closed.
fn wait_for_end(pipe: &OwnedFd) -> nix::Result<()> {
    loop {
        match read(pipe, &mut [0]) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}
