//! One scan of processes: their containers, and the containers' first processes.

use std::rc::Rc;

use anyhow::{Context, Result, anyhow};
use nix::libc;
use nix::unistd::Pid;

use super::matching;
use super::near::instead;
use super::target::{self, Target};
use super::{Container, Few, Files, IdentifiedBy, Tag, each_process};
use crate::exit;
use crate::isolation::cgroup::Hierarchies;
use crate::isolation::identity::Identity;
use crate::proc::clock::Clock;
use crate::proc::{ProcRoot, Scan, Users, vanished};
use crate::sys::keyed::HashMap;

/// A process of the host or of a container. Threads of the kernel are not kept.
pub(crate) struct Seen {
    pub pid: i32,
    pub ppid: Option<i32>,
    /// The PID in its own pid namespace.
    pub cpid: Option<i32>,
    /// The user, if the real and the effective one are the same.
    pub uid: Option<u32>,
    /// The number of its container in [`World::containers`].
    pub container: Option<usize>,
    pub how: Option<IdentifiedBy>,
}

/// A container that has a process.
pub(crate) struct Known {
    pub container: Rc<Container>,
    pub label: String,
    /// The numbers of the containers it is nested in.
    outer: Option<usize>,
    /// The first process: from the state file, otherwise the process with PID 1 inside.
    pub init: Option<i32>,
    /// Any process of it.
    pub member: i32,
}

impl Known {
    /// The process that stands for the container.
    pub(crate) fn chief(&self) -> i32 {
        self.init.unwrap_or(self.member)
    }
}

/// The inspected host.
pub(crate) struct World<'a> {
    pub proc: &'a ProcRoot,
    pub files: &'a Files,
    pub mounted: Hierarchies,
    /// Reads links of many processes.
    pub links: Scan,
    pub clock: Clock,
    pub users: Users,
    passwd: Vec<u8>,
    /// Sorted by PID.
    pub processes: Vec<Seen>,
    pub containers: Vec<Known>,
    /// Problems with state files.
    pub problems: Vec<String>,
    /// Are these only the processes that the targets need?
    is_few: bool,
}

/// What a TARGET means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    /// The process whose namespaces and privileges are shown.
    pub pid: i32,
    pub container: Option<usize>,
}

impl<'a> World<'a> {
    /// The name of a container, or the PID of a process in none.
    #[must_use]
    pub(crate) fn label_of(&self, subject: Subject) -> String {
        match subject.container {
            Some(number) => self.containers[number].label.clone(),
            None => format!("process {}", subject.pid),
        }
    }

    /// All processes, or few of them.
    pub(crate) fn new(proc: &'a ProcRoot, files: &'a Files, few: Option<Few<'a>>) -> Result<World<'a>> {
        World::read(proc, files, few, None)
    }

    /// The processes that have one of these PIDs in their own pid namespace.
    pub(crate) fn with_cpids(proc: &'a ProcRoot, files: &'a Files, cpids: &[i32]) -> Result<World<'a>> {
        World::read(proc, files, None, Some(cpids))
    }

    fn read(
        proc: &'a ProcRoot,
        files: &'a Files,
        few: Option<Few<'a>>,
        cpids: Option<&[i32]>,
    ) -> Result<World<'a>> {
        let unreadable = || format!("cannot read {}: is proc mounted there?", proc.path().display());
        let is_few = few.is_some() || cpids.is_some();
        let wants = |identity: &Identity| {
            cpids.is_none_or(|cpids| identity.cpid.is_some_and(|cpid| cpids.contains(&cpid)))
        };
        let passwd = files.read("/etc/passwd").unwrap_or_default();
        let mut world = World {
            proc,
            files,
            links: Scan::new(proc).with_context(unreadable)?,
            mounted: Hierarchies::read(proc).unwrap_or_default(),
            clock: Clock::read(proc),
            users: Users::parse(&passwd),
            passwd,
            processes: Vec::new(),
            containers: Vec::new(),
            problems: Vec::new(),
            is_few,
        };
        let mut numbers = HashMap::default();
        each_process((proc, files), few, wants, |pid, identity, tag| {
            let (container, how) = match &tag {
                Some(Tag { container, identified_by }) => {
                    (Some(world.number(container, pid.as_raw(), &mut numbers)), Some(*identified_by))
                }
                None => (None, None),
            };
            let (ppid, cpid) = (identity.ppid, identity.cpid);
            let uid = identity.ruid.filter(|_| identity.ruid == identity.euid);
            world.processes.push(Seen { pid: pid.as_raw(), ppid, cpid, uid, container, how });
        })?;
        world.find_first_processes();
        world.problems = files.warnings();
        Ok(world)
    }

    /// The user who chose the program and its arguments. None of a set-user-ID program of root: any user can start it, under
    /// any name.
    pub(crate) fn started_by(&self, pid: i32) -> Option<u32> {
        let uid = self.process(pid)?.uid?;
        if uid != 0 || self.proc.is_copy() {
            return Some(uid);
        }
        let program = self.proc.process(Pid::from_raw(pid)).program_file()?;
        (u32::from(program.mode) & libc::S_ISUID == 0).then_some(uid)
    }

    fn number(&mut self, container: &Rc<Container>, pid: i32, numbers: &mut HashMap<String, usize>) -> usize {
        let key = container.key();
        if let Some(number) = numbers.get(&key) {
            let known = &mut self.containers[*number];
            known.init = known.init.or(container.init.map(Pid::as_raw));
            return *number;
        }
        let outer = container.outer.as_ref().map(|outer| self.number(outer, pid, numbers));
        let (label, init) = (container.label(), container.init.map(Pid::as_raw));
        self.containers.push(Known { container: container.clone(), label, outer, init, member: pid });
        numbers.insert(key, self.containers.len() - 1);
        self.containers.len() - 1
    }

    fn find_first_processes(&mut self) {
        let mut has_member = vec![false; self.containers.len()];
        for process in &self.processes {
            let Some(number) = process.container else { continue };
            let known = &mut self.containers[number];
            // The process that was seen first may be in a nested container.
            if !std::mem::replace(&mut has_member[number], true) {
                known.member = process.pid;
            }
            if process.cpid == Some(1) && known.init.is_none() {
                known.init = Some(process.pid);
            }
        }
    }

    pub(crate) fn process(&self, pid: i32) -> Option<&Seen> {
        self.processes.binary_search_by_key(&pid, |process| process.pid).ok().map(|at| &self.processes[at])
    }

    /// Was there such a process when the processes were read? One can have ended since, or started.
    pub(crate) fn was_there(&self, pid: i32) -> bool {
        if !self.is_few || self.process(pid).is_some() {
            return self.process(pid).is_some();
        }
        let start = |pid| self.proc.process(pid).start_time();
        start(Pid::from_raw(pid)).is_some_and(|other| start(Pid::this()).is_some_and(|this| other < this))
    }

    /// The process that stands for the container of a target; without one the process itself.
    pub(crate) fn chief(&self, subject: Subject) -> i32 {
        subject.container.map_or(subject.pid, |number| self.containers[number].chief())
    }

    /// Is a container this one, or nested in it?
    pub(crate) fn is_within(&self, number: usize, outer: usize) -> bool {
        std::iter::successors(Some(number), |number| self.containers[*number].outer).any(|one| one == outer)
    }

    /// The processes of a container and of those nested in it.
    pub(crate) fn members(&self, number: usize) -> impl Iterator<Item = &Seen> {
        let within = move |process: &&Seen| process.container.is_some_and(|own| self.is_within(own, number));
        self.processes.iter().filter(within)
    }

    /// What a word on the command line means, and what to say about it.
    pub(crate) fn find(&self, word: &std::ffi::OsStr) -> Result<(Vec<Subject>, Vec<String>)> {
        let shown = || crate::text::shown(word).into_owned();
        if word.is_empty() {
            return Err(anyhow!("the target is empty"));
        }
        match Target::parse(word) {
            Ok(Target::Pid { pid, inode }) => {
                if inode.is_some() {
                    // The number alone may be another process by now.
                    target::Lookup::new("", target::Purpose::Read)
                        .held(self.proc, &Target::Pid { pid, inode })?;
                }
                Ok((vec![self.by_pid(pid.as_raw())?], Vec::new()))
            }
            Ok(Target::Container(word)) => self.by_name(&word),
            Err(errno) => Err(anyhow::Error::from(errno).context(format!("invalid target '{}'", shown()))),
        }
    }

    fn by_pid(&self, pid: i32) -> Result<Subject> {
        let process = self.process(pid).ok_or_else(|| match self.is_kernel_thread(pid) {
            true => anyhow!("process {pid} is a thread of the kernel"),
            false => anyhow!("no process {pid}"),
        })?;
        Ok(Subject { pid, container: process.container })
    }

    /// A container can have a number as its name.
    pub(crate) fn hint_at_container(&self, word: &std::ffi::OsStr) {
        let Ok(Target::Pid { pid, inode: None }) = Target::parse(word) else { return };
        let pid = pid.as_raw();
        if self.is_few {
            return target::hint_at_container(self.proc, Some(self.files), Pid::from_raw(pid));
        }
        exit::hint(|| {
            let all: Vec<Rc<Container>> =
                self.containers.iter().map(|known| known.container.clone()).collect();
            let found =
                matching::named(&all, pid).filter(|found| found.init.map(Pid::as_raw) != Some(pid))?;
            Some(format!("{pid} means the process with this PID; to name the container: {found}"))
        });
    }

    fn is_kernel_thread(&self, pid: i32) -> bool {
        self.proc.process(Pid::from_raw(pid)).status().is_ok_and(|status| status.kernel_thread)
    }

    fn by_name(&self, typed: &str) -> Result<(Vec<Subject>, Vec<String>)> {
        let name = target::without_cpid(typed);
        let cpid = typed.strip_prefix(name).and_then(|rest| rest.strip_prefix('@')?.parse::<i32>().ok());
        if cpid.is_some() {
            target::refuse_pid(name)?;
        }
        let all: Vec<Rc<Container>> = self.containers.iter().map(|known| known.container.clone()).collect();
        let found = matching::among(self.proc, &all, name);
        let chosen = match matching::group(&found, name) {
            Some(group) => group,
            None if found.is_empty() => return Err(self.unnamed(name)),
            None => vec![matching::one(&found, name)?],
        };
        let mut notes = Vec::new();
        let mut subjects = Vec::new();
        for container in chosen {
            notes.extend(target::unverified(&container, name));
            notes.extend(target::of_another_user(&container, name, || self.passwd.clone()));
            let key = container.key();
            let at = self.containers.iter().position(|known| known.container.key() == key);
            let number = at.context("the container has ended")?;
            let pid = match cpid {
                None => self.containers[number].chief(),
                Some(cpid) => {
                    self.inside(number, cpid).ok_or_else(|| target::no_process(&container, cpid))?
                }
            };
            subjects.push(Subject { pid, container: Some(number) });
        }
        Ok((subjects, notes))
    }

    /// The container may run, with its name in a file that the caller may not read.
    fn unnamed(&self, word: &str) -> anyhow::Error {
        let shown = crate::text::escape(word.as_bytes());
        let all: Vec<Rc<Container>> = self.containers.iter().map(|known| known.container.clone()).collect();
        let near = instead(&all, word);
        let near = near.map(|near| format!("; {near}")).unwrap_or_default();
        let problem = self.problems.first().map(|problem| {
            let problem = crate::text::escape(problem.as_bytes());
            format!("; some state files cannot be read, so names may be missing: {problem}")
        });
        let lists = "('ctr-ps -l -a' lists the containers)";
        let problem = problem.unwrap_or_default();
        let seen = exit::that_is_seen();
        exit::NotSeen(format!("no process or container '{shown}'{seen} {lists}{near}{problem}")).into()
    }

    /// The process of a container that has this PID inside.
    fn inside(&self, number: usize, cpid: i32) -> Option<i32> {
        let has = |process: &&Seen| process.container == Some(number) && process.cpid == Some(cpid);
        self.processes.iter().find(has).map(|process| process.pid)
    }

    /// Has the process ended since the scan?
    pub(crate) fn has_ended(&self, pid: i32) -> bool {
        let read = Scan::new(self.proc).and_then(|mut scan| scan.status_text(Pid::from_raw(pid)).map(|_| ()));
        read.is_err_and(vanished)
    }
}
