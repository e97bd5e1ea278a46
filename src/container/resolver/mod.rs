//! Finds the container of a process. Looks up and checks each candidate once.

mod inits;
mod list;
mod lookup;
mod lxc;
mod namespaces;
mod paths;

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::unistd::Pid;

use super::by_namespace::ByNamespace;
use super::nested::Nested;
use super::runtimes::{self, Store};
use super::{Container, Files, IdentifiedBy, PidNs, Runtime, Tag, verify};
use crate::isolation::cgroup::{self, View};
use crate::isolation::identity::Walk;
use crate::proc::ProcRoot;
use crate::sys::keyed::HashMap;
use inits::Inits;
use lookup::Caches;
pub(super) use lookup::Query;
use namespaces::Unchecked;

/// The result for the text of a cgroup file.
struct Answer {
    tag: Option<Tag>,
    /// Containers whose group the process is in, in fewer hierarchies than the init process. They come before the tag
    /// for a process that shares a namespace with the init process.
    partial: Rc<[Rc<Container>]>,
    /// The pid namespaces in which neither a state file nor namespaces confirm the container. One process of the group
    /// in each of them was checked; the result holds for the others.
    unverified_in: Vec<PidNs>,
}

pub struct Resolver<'a> {
    proc: &'a ProcRoot,
    files: &'a Files,
    caches: Caches,
    /// The same for root's state files alone.
    caches_of_root: Caches,
    /// Are few processes resolved? Then state files of users are read only where a user's container is possible, and
    /// /proc is scanned only if nothing else leads to an answer.
    few: bool,
    last_scan: Vec<Rc<Container>>,
    /// Answers by the whole text of a cgroup file: most processes share it with others.
    by_text: HashMap<Vec<u8>, Answer>,
    /// Answers by a single path. Hierarchies share paths, and the host's path is in nearly every text.
    by_path: HashMap<String, Option<Rc<Container>>>,
    /// The size of the texts in `by_text`, in bytes.
    remembered: usize,
    /// Containers that a control group names inside of another container, by the key of that container and the text of
    /// the cgroup file.
    inside: HashMap<(String, Vec<u8>), Rc<Container>>,
    /// State readers for nested containers, by the key of the outer container.
    nested: HashMap<String, Option<Nested>>,
    /// First processes of containers, once they are needed.
    inits: Option<Inits>,
    /// Containers that a monitor names, by control group; without one, by the PID of the init process.
    monitored: HashMap<String, Option<Rc<Container>>>,
    /// How often the monitor was sought of a container that is in no state file.
    sought: HashMap<*const Container, usize>,
    by_namespace: Option<ByNamespace>,
    /// For few processes: the containers whose state files name no init process, which is not known yet.
    without_init: Vec<Rc<Container>>,
    /// For few processes: the containers whose init processes were not checked.
    unchecked: Vec<Unchecked>,
    /// The pidfds of init processes in state files that a word selects.
    held: HashMap<Pid, Option<OwnedFd>>,
    /// The process that is being resolved, and the text of its cgroup file. Often it is the init process of the state
    /// file; then the file need not be read again.
    current: Option<(Pid, Vec<u8>)>,
    /// Is [`Self::inits_among`] running?
    finds_inits: bool,
    /// The walk of the caller over all processes.
    walk: Option<&'a RefCell<Walk>>,
    /// One process of each pid namespace, if the caller knows that.
    members: Option<Vec<Pid>>,
    /// What the paths of control groups begin with, once that matters.
    view: OnceCell<View>,
}

impl<'a> Resolver<'a> {
    /// Pid namespaces remembered for one group. Beyond that number each process is checked.
    const MOST_PID_NS: usize = 64;
    /// Ids without a state file that are remembered. Others are looked up again.
    const MOST_UNKNOWN: usize = 4_096;
    /// Bytes of cgroup files whose answers are remembered.
    const MOST_ANSWERS: usize = 4 << 20;
    /// Processes of one container above which the monitor is sought.
    const MOST_SOUGHT: usize = 2;
    /// More containers with one name have no pidfds. They are checked again.
    const MOST_HELD: usize = 16;

    #[must_use]
    pub fn new(proc: &'a ProcRoot, files: &'a Files) -> Self {
        Resolver {
            proc,
            files,
            caches: Caches::new(files),
            caches_of_root: Caches::new(&files.without_users()),
            few: false,
            last_scan: Vec::new(),
            by_text: HashMap::default(),
            by_path: HashMap::default(),
            remembered: 0,
            inside: HashMap::default(),
            nested: HashMap::default(),
            inits: None,
            monitored: HashMap::default(),
            sought: HashMap::default(),
            by_namespace: None,
            without_init: Vec::new(),
            unchecked: Vec::new(),
            held: HashMap::default(),
            current: None,
            finds_inits: false,
            walk: None,
            members: None,
            view: OnceCell::new(),
        }
    }

    /// A resolver for the processes of a walk over all. The walk must not be borrowed while a process is resolved.
    #[must_use]
    pub(crate) fn for_walk(proc: &'a ProcRoot, files: &'a Files, walk: &'a RefCell<Walk>) -> Self {
        Resolver { walk: Some(walk), ..Resolver::new(proc, files) }
    }

    /// Makes a resolver for few processes one for many. It keeps the state files that it has read, but not its answers.
    /// `members`: one process of each pid namespace, if that is known; then the first processes need no walk.
    #[must_use]
    pub(crate) fn for_many(self, members: Vec<Pid>) -> Self {
        Resolver {
            caches: self.caches,
            caches_of_root: self.caches_of_root,
            held: self.held,
            members: Some(members).filter(|members| !members.is_empty()),
            ..Resolver::new(self.proc, self.files)
        }
    }

    /// A resolver for few processes. [`Self::new`] is for all of them.
    #[must_use]
    pub fn for_few(proc: &'a ProcRoot, files: &'a Files) -> Self {
        Resolver { few: true, ..Resolver::new(proc, files) }
    }

    /// The container of a process, from the text of its `/proc/PID/cgroup`. If that does not verify a container, its
    /// namespaces decide. `own_pid_ns`: is its pid namespace another one than that of the proc mount?
    pub fn resolve(&mut self, pid: Pid, cgroup: &[u8], own_pid_ns: bool) -> Option<Tag> {
        self.resolve_in(pid, cgroup, if own_pid_ns { PidNs::Own } else { PidNs::Procs })
    }

    /// The same for a caller that may know which pid namespace it is.
    pub fn resolve_in(&mut self, pid: Pid, cgroup: &[u8], pid_ns: PidNs) -> Option<Tag> {
        if self.few {
            self.list_tops(); // many stores can be asked, each once
        }
        let tag = self.resolve_known(pid, cgroup, pid_ns);
        match &tag {
            Some(found) if self.finds_state_files((pid, pid_ns), found) => {
                self.resolve_known(pid, cgroup, pid_ns)
            }
            _ => tag,
        }
    }

    /// Does the monitor above a process lead to state files that were not read yet?
    fn finds_state_files(&mut self, (pid, pid_ns): (Pid, PidNs), tag: &Tag) -> bool {
        if !matches!(tag.identified_by, IdentifiedBy::Anonymous | IdentifiedBy::Cgroup) {
            return false;
        }
        let sought = self.sought.entry(Rc::as_ptr(&tag.container)).or_default();
        *sought += 1;
        if *sought > Self::MOST_SOUGHT {
            return false;
        }
        let proc = self.proc;
        // The first process is below the monitor; another one may have come from elsewhere.
        let below = tag.container.init.filter(|_| *sought == 1).unwrap_or(pid);
        let walk = self.walk;
        let known_parent = |pid| walk.and_then(|walk| walk.borrow().parent_of(pid));
        let is_inside = below == pid && pid_ns != PidNs::Procs;
        let tasks = self.by_namespace().tasks_above(proc, (below, is_inside), known_parent);
        if !tasks.is_some_and(|tasks| runtimes::add_tasks(self.files, tasks)) {
            return false;
        }
        for caches in [&mut self.caches, &mut self.caches_of_root] {
            caches.forget(Store::Containerd);
            caches.forget(Store::Docker);
        }
        self.by_text.clear();
        self.by_path.clear();
        self.inside.clear();
        self.inits = None;
        self.by_namespace().empty();
        true
    }

    /// The text of a cgroup file with paths from the root of each hierarchy.
    fn absolute<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        View::absolute_once(&self.view, self.proc, text)
    }

    fn cgroup_of(&self, pid: Pid) -> std::io::Result<Vec<u8>> {
        let text = self.proc.process(pid).cgroup()?;
        Ok(self.absolute(&text).into_owned())
    }

    /// The control groups of a process with the id of a container.
    fn groups_with_id(&self, pid: Pid, container: &Container) -> Vec<String> {
        let text = self.cgroup_of(pid);
        text.map(|text| verify::groups_with_id_in(&text, container)).unwrap_or_default()
    }

    fn by_namespace(&mut self) -> &mut ByNamespace {
        self.by_namespace.get_or_insert_with(|| ByNamespace::new(self.proc, self.files))
    }

    fn resolve_known(&mut self, pid: Pid, cgroup: &[u8], pid_ns: PidNs) -> Option<Tag> {
        let (by_group, unverified_in) = self.by_cgroup(cgroup, (pid, pid_ns));
        match &by_group {
            None => self.resolve_by_namespace(pid, pid_ns, false),
            Some(tag) if tag.identified_by == IdentifiedBy::State || unverified_in => by_group,
            Some(tag) => {
                // An unverified name is better than none. Namespaces may identify the container.
                let around = self.resolve_by_namespace(pid, pid_ns, true);
                let by_namespace = around.map(|around| self.claimed_inside(around, pid, cgroup));
                if by_namespace.is_none() && is_of_group(tag) {
                    let answer = self.by_text.get_mut(cgroup);
                    if let Some(answer) =
                        answer.filter(|answer| answer.unverified_in.len() < Self::MOST_PID_NS)
                    {
                        answer.unverified_in.reserve_exact(1); // most have one
                        answer.unverified_in.push(pid_ns);
                    }
                }
                by_namespace.or(by_group)
            }
        }
    }

    /// The container from the line of the unified hierarchy alone.
    pub fn resolve_unified(&mut self, text: &[u8]) -> Option<Tag> {
        let text = self.absolute(text);
        let path = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
        let container = self.innermost(std::str::from_utf8(path).ok()?)?;
        Some(Tag::new(container))
    }

    /// The container from the text of a cgroup file. The flag: are the namespaces of this group and pid namespace known
    /// to identify nothing more?
    fn by_cgroup(&mut self, text: &[u8], process: (Pid, PidNs)) -> (Option<Tag>, bool) {
        let (pid, pid_ns) = process;
        if !self.by_text.contains_key(text) {
            let answer = self.answer(text, pid);
            self.remembered += text.len();
            if self.remembered > Self::MOST_ANSWERS {
                self.remembered = text.len();
                self.by_text.clear();
                self.by_path.clear();
            }
            self.by_text.insert(text.to_vec(), answer);
        }
        let Some(answer) = self.by_text.get(text) else { return (None, false) };
        let (tag, unverified_in) = (answer.tag.clone(), answer.unverified_in.contains(&pid_ns));
        if answer.partial.is_empty() {
            return (tag, unverified_in);
        }
        let (partial, proc) = (answer.partial.clone(), self.proc);
        let is_inside = |container: &&Rc<Container>| {
            container.init.is_some_and(|init| self.by_namespace().shares_with(proc, pid, init))
        };
        match partial.iter().find(is_inside) {
            Some(container) => (Some(Tag::new(container.clone())), false),
            None => (tag, unverified_in),
        }
    }

    fn answer(&mut self, text: &[u8], pid: Pid) -> Answer {
        let text = &*self.absolute(text);
        self.current = Some((pid, text.to_vec()));
        let mut containers = self.resolve_text(text).into_iter().peekable();
        let mut partial = Vec::new();
        while let Some(container) = containers.next_if(|container| self.is_partly_in(text, container)) {
            partial.push(container);
        }
        self.current = None;
        Answer { tag: containers.next().map(Tag::new), partial: partial.into(), unverified_in: Vec::new() }
    }

    /// Is the process in the control groups of the init process in some hierarchies only? Root can put any process into
    /// one group, to account or to limit it.
    fn is_partly_in(&self, text: &[u8], container: &Container) -> bool {
        let (Some(init), IdentifiedBy::State) = (container.init, container.identified_by) else {
            return false;
        };
        if self.current.as_ref().is_some_and(|(pid, _)| *pid == init) || cgroup::parse(text).count() < 2 {
            return false;
        }
        let of_init = self.cgroup_of(init).unwrap_or_default();
        let groups = verify::groups_with_id_in(&of_init, container);
        let is_below = |path: &[u8]| groups.iter().any(|group| cgroup::is_within(path, group.as_bytes()));
        let of_init: HashMap<_, _> =
            cgroup::parse(&of_init).map(|line| (line.controllers, is_below(line.path))).collect();
        let is_shared = cgroup::parse(text)
            .filter(|line| of_init.get(line.controllers) == Some(&true))
            .map(|line| is_below(line.path));
        // In none of them: the group beside those of the init process is its own, as `kata_SANDBOX` is.
        let (mut shared, mut others) = (false, false);
        is_shared.for_each(|is_shared| if is_shared { shared = true } else { others = true });
        shared && others
    }

    /// The state files of all runtimes are sought.
    pub(super) fn list_tops(&self) {
        self.files.list_tops();
    }

    #[must_use]
    pub fn proc(&self) -> &ProcRoot {
        self.proc
    }

    /// The text of /etc/passwd, for messages.
    #[must_use]
    pub fn passwd(&self) -> Vec<u8> {
        self.files.read("/etc/passwd").unwrap_or_default()
    }

    /// The problems with state files so far.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.files.warnings()
    }

    /// Is `pid` still the init process of that container? The kernel reuses PIDs; groups and start times show it.
    #[must_use]
    pub fn is_init(&self, container: &Container, pid: Pid) -> bool {
        match (container.init_start, container.identified_by) {
            (Some(start), _) => verify::start_time(self.proc, pid) == Some(start),
            (None, IdentifiedBy::State) => {
                let groups = self.groups_with_id(pid, container);
                verify::is_running(self.proc, pid, container, &groups)
            }
            (None, _) => false,
        }
    }
}

/// Does the result for one process hold for all processes in its group and pid namespace? Helper processes of Flatpak
/// and snapd run in the group of the application, outside of its container.
#[must_use]
pub(crate) fn is_of_group(tag: &Tag) -> bool {
    match tag.identified_by {
        IdentifiedBy::State => true,
        IdentifiedBy::Cgroup => !matches!(tag.container.runtime, Runtime::Flatpak | Runtime::Snap),
        IdentifiedBy::Namespace | IdentifiedBy::Anonymous => false,
    }
}
