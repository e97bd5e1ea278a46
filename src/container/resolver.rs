//! Finds the container of a process, and all containers. Looks up and checks each candidate once.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::unistd::Pid;

use super::by_namespace::{ByNamespace, OwnNamespaces};
use super::cgroup_path::{Candidate, candidates};
use super::nested::Nested;
use super::runtimes::{self, StateReader, Store, Whose};
use super::{Container, Files, IdentifiedBy, PidNs, Runtime, Tag, cgroup_lines, verify};
use crate::isolation::cgroup::{self, View};
use crate::isolation::identity::{First, Walk, Way};
use crate::isolation::ns;
use crate::proc::id_hash::ById;
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, Scan, Status, number};
use crate::sys::keyed::{HashMap, HashSet};

/// A container from a state file, after the check against the kernel.
#[derive(Clone)]
struct Checked {
    container: Rc<Container>,
    /// The groups of its init process in any hierarchy, each cut after the component with the id.
    groups: Vec<String>,
}

/// By runtime, id and owner; an unverified container has no owner.
type Inits = HashMap<InitKey, Init>;
type InitKey = (Runtime, String, Option<u32>);

/// The first process of a container's pid namespace.
struct Init {
    pid: Pid,
    start: Option<u64>,
    /// Was the start time read, and the rest after it? Else only the walk over all processes says that it is the first.
    is_checked: bool,
    group: String,
    /// First processes in other control groups with the same id, one per group.
    rivals: Vec<(Pid, String)>,
}

/// The reader of a store, and its results so far.
struct Cache {
    reader: Box<dyn StateReader>,
    files: Files,
    known: HashMap<String, Rc<[Checked]>>,
    /// How many of the known ids have no state file.
    unknown: usize,
}

impl Cache {
    fn new(store: Store, files: Files) -> Cache {
        Cache { reader: store.reader(), files, known: HashMap::default(), unknown: 0 }
    }

    /// In the order of [`Store::ALL`].
    fn of_all_stores(files: &Files) -> Vec<Cache> {
        Store::ALL.into_iter().map(|store| Cache::new(store, files.clone())).collect()
    }
}

/// The containers to look for in the state files.
pub(super) struct Asked<'a> {
    pub stores: &'a [Store],
    /// The only id, if it is known.
    pub id: Option<&'a str>,
    /// The name, or the beginning of the id.
    pub name: Option<&'a str>,
    pub selects: &'a dyn Fn(&Container) -> bool,
}

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
    caches: Vec<Cache>,
    /// The same for root's state files alone.
    caches_of_root: Vec<Cache>,
    /// Are few processes resolved? Then state files of users are read only where a user's container is possible, and
    /// /proc is scanned only if nothing else leads to an answer.
    few: bool,
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
    /// The deepest nesting of containers. Deeper processes belong to the last one. A path has room for hundreds of names
    /// that look like containers, and a user can create thousands of such groups.
    const DEEPEST: usize = 8;

    #[must_use]
    pub fn new(proc: &'a ProcRoot, files: &'a Files) -> Self {
        Resolver {
            proc,
            files,
            caches: Cache::of_all_stores(files),
            caches_of_root: Cache::of_all_stores(&files.without_users()),
            few: false,
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

    /// A resolver for a caller that knows one process of each pid namespace, and so the first processes without a walk.
    #[must_use]
    pub(crate) fn for_members(proc: &'a ProcRoot, files: &'a Files, members: Vec<Pid>) -> Self {
        Resolver { members: Some(members), ..Resolver::new(proc, files) }
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
        let tag = self.resolve_known(pid, cgroup, pid_ns);
        match &tag {
            Some(found) if self.finds_state_files(pid, found) => self.resolve_known(pid, cgroup, pid_ns),
            _ => tag,
        }
    }

    /// Does the monitor above a process lead to state files that were not read yet?
    fn finds_state_files(&mut self, pid: Pid, tag: &Tag) -> bool {
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
        let tasks = self.by_namespace().tasks_above(proc, below, known_parent);
        if !tasks.is_some_and(|tasks| runtimes::add_tasks(self.files, tasks)) {
            return false;
        }
        for caches in [&mut self.caches, &mut self.caches_of_root] {
            for store in [Store::Containerd, Store::Docker] {
                let cache = &mut caches[store as usize];
                *cache = Cache::new(store, cache.files.clone());
            }
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
        match View::is_relative(text) {
            true => self.view.get_or_init(|| View::read(self.proc)).absolute(text),
            false => text.into(),
        }
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
        let is_below = |path: &[u8]| {
            let below = |group: &String| path.strip_prefix(group.as_bytes());
            groups.iter().filter_map(below).any(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
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

    /// Every running container with a readable state file.
    pub fn all(&mut self) -> Vec<Rc<Container>> {
        let mut all = self.all_with_state(Whose::Everyone);
        self.find_inits(&mut all);
        all.extend(self.monitored_elsewhere(&all));
        all.retain(|container| container.init.is_some());
        all.sort_by(|a, b| (a.runtime, &a.name, &a.id).cmp(&(b.runtime, &b.name, &b.id)));
        all
    }

    /// The containers that a monitor names, in no directory that is listed, without those in `all`.
    fn monitored_elsewhere(&self, all: &[Rc<Container>]) -> Vec<Rc<Container>> {
        let elsewhere = self.monitored.values().flatten().filter(|container| container.id.contains('/'));
        let mut found: Vec<Rc<Container>> = Vec::new();
        for container in elsewhere {
            if !all.iter().chain(&found).any(|known| known.key() == container.key()) {
                found.push(container.clone());
            }
        }
        found
    }

    /// Every container with a state file, also those whose state file does not name the init process.
    fn all_with_state(&mut self, whose: Whose) -> Vec<Rc<Container>> {
        let mut all: Vec<Rc<Container>> = Vec::new();
        for store in Store::ALL {
            for id in self.ids(whose, store, None) {
                all.extend(self.lookup(whose, store, &id).iter().map(|known| known.container.clone()));
            }
        }
        all
    }

    /// The ids in a store, each once; with a name only those that can have it.
    fn ids(&mut self, whose: Whose, store: Store, name: Option<&str>) -> Vec<String> {
        let cache = self.cache(whose, store);
        let mut ids = match name {
            Some(name) => cache.reader.ids_for(&cache.files, name),
            None => cache.reader.ids(&cache.files),
        };
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn cache(&mut self, whose: Whose, store: Store) -> &mut Cache {
        match whose {
            Whose::Root => &mut self.caches_of_root[store as usize],
            Whose::Everyone => &mut self.caches[store as usize],
        }
    }

    /// The running containers that `asked` selects by their state files. Only those are checked, and only for those an
    /// init process is searched for.
    pub(super) fn by_record(&mut self, whose: Whose, asked: &Asked<'_>) -> Vec<Rc<Container>> {
        let mut all: Vec<Rc<Container>> = Vec::new();
        for &store in asked.stores {
            let ids = match asked.id {
                Some(id) => vec![id.to_owned()],
                None => self.ids(whose, store, asked.name),
            };
            for id in ids {
                let known = match self.cache(whose, store).known.get(&id) {
                    Some(known) => known.clone(),
                    None => {
                        let cache = self.cache(whose, store);
                        let selected = |all: &[Container]| all.iter().any(asked.selects);
                        if cache.reader.load_names(&cache.files, &id).is_some_and(|all| !selected(&all)) {
                            continue;
                        }
                        let loaded = cache.reader.load(&cache.files, &id);
                        if !selected(&loaded) {
                            continue;
                        }
                        self.hold_inits(&loaded);
                        self.check_all(whose, store, &id, loaded)
                    }
                };
                let selected = known.iter().filter(|known| (asked.selects)(&known.container));
                all.extend(selected.map(|known| known.container.clone()));
            }
        }
        self.find_inits(&mut all);
        let monitored = self.monitored_elsewhere(&all);
        all.extend(monitored.into_iter().filter(|container| (asked.selects)(container)));
        all.retain(|container| container.init.is_some());
        all.sort_by(|a, b| (a.runtime, &a.name, &a.id).cmp(&(b.runtime, &b.name, &b.id)));
        all
    }

    /// Every container that has a process now, with or without a state file.
    pub fn scan(&mut self) -> Vec<Rc<Container>> {
        let mut all: Vec<Rc<Container>> = Vec::new();
        let mut seen: ById<*const Container, Rc<Container>> = ById::default(); // most tags share one object
        let mut keys: HashSet<String> = HashSet::default();
        let mut nested: HashMap<String, Vec<(usize, Pid)>> = HashMap::default();
        let (Ok(pids), Ok(mut scan)) = (Scan::pids(self.proc), Scan::new(self.proc)) else { return all };
        for pid in pids {
            let Ok(status) = scan.status_text(pid).map(Status::parse) else { continue };
            if status.kernel_thread {
                continue;
            }
            let Ok(cgroup) = scan.cgroup(pid) else { continue };
            let Some(tag) = self.resolve(pid, cgroup, status.nspid.len() > 1) else { continue };
            if tag.container.outer.is_some() && status.nspid.len() > 1 && status.nspid.last() == Some(&1) {
                nested.entry(tag.container.key()).or_default().push((status.nspid.len(), pid));
            }
            let is_new = seen.insert(Rc::as_ptr(&tag.container), tag.container.clone()).is_none();
            if is_new && keys.insert(tag.container.key()) {
                all.push(tag.container);
            }
        }
        self.find_inits(&mut all);
        for container in all.iter_mut().filter(|container| container.outer.is_some()) {
            let first = nested.get(&container.key()).and_then(|pids| self.first_inside(container, pids));
            if let Some((init, init_start)) = first {
                let (init, init_start) = (Some(init), Some(init_start));
                *container = Rc::new(Container { init, init_start, ..(**container).clone() });
            }
        }
        all
    }

    /// The init process of a nested container, among the processes with PID 1 in their pid namespaces: the outermost of
    /// them. None if there are several.
    fn first_inside(&mut self, container: &Container, pids: &[(usize, Pid)]) -> Option<(Pid, u64)> {
        let outermost = pids.iter().map(|(depth, _)| *depth).min()?;
        let mut first = pids.iter().filter(|(depth, _)| *depth == outermost).map(|(_, pid)| *pid);
        let pid = first.next().filter(|_| first.next().is_none())?;
        // The start time is read before the rest is checked again: the PID may be another process's by now.
        let start = verify::start_time(self.proc, pid)?;
        let cgroup = self.proc.process(pid).cgroup().ok()?;
        let tag = self.resolve(pid, &cgroup, true)?;
        (tag.container.key() == container.key()).then_some((pid, start))
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

    /// The container of a process by its namespaces and root directory. `claimed`: the control group has a name that
    /// looks like a container; then only a container with a state file is a better answer.
    fn resolve_by_namespace(&mut self, pid: Pid, pid_ns: PidNs, claimed: bool) -> Option<Tag> {
        let proc = self.proc;
        let mut own = self.by_namespace().own_namespaces(proc, pid, pid_ns)?;
        own.set_outermost(|space| self.walk?.borrow().is_outermost(space));
        // The search of first processes, below, needs one too.
        let other = self.by_namespace().of_same_host();
        let mut by_namespace = std::mem::replace(self.by_namespace(), other);
        self.fill(&mut by_namespace, pid, &own);
        let with_state = by_namespace.with_state(proc, pid, &own);
        let answer =
            with_state.or_else(|| if claimed { None } else { by_namespace.without_state(proc, pid, &own) });
        self.by_namespace = Some(by_namespace);
        answer
    }

    /// The container that a control group names, for a process that runs in a pid namespace below that of `around`. With
    /// the host's cgroup tree in a container, the groups of its containers are not below its own group.
    fn claimed_inside(&mut self, around: Tag, pid: Pid, cgroup: &[u8]) -> Tag {
        let pid_ns = |pid| verify::namespace(self.proc, pid, Kind::Pid);
        let outer = &around.container;
        if outer.init.is_none_or(|init| pid_ns(pid).is_none() || pid_ns(init) == pid_ns(pid)) {
            return around;
        }
        let key = (outer.key(), cgroup.to_vec());
        let container = match self.inside.get(&key) {
            Some(known) => known.clone(),
            None => {
                let cgroup = self.absolute(cgroup);
                let paths = cgroup_lines(&cgroup).map(|path| self.resolve_path(path, Some(outer.clone())));
                let deepest = paths.flatten().max_by_key(|container| container.chain().count());
                let container = deepest.unwrap_or_else(|| outer.clone());
                if self.inside.len() < Self::MOST_UNKNOWN {
                    self.inside.insert(key, container.clone());
                }
                container
            }
        };
        match Rc::ptr_eq(&container, outer) {
            true => around,
            false => Tag { identified_by: container.identified_by, container },
        }
    }

    /// Fills in the containers whose state files can confirm the namespaces of a process.
    fn fill(&mut self, by_namespace: &mut ByNamespace, pid: Pid, own: &OwnNamespaces) {
        let whose = self.whose_namespaces(pid);
        if !by_namespace.is_filled_with(whose) {
            let mut all = self.all_with_state(whose);
            if self.few {
                let without_init = all.iter().filter(|container| container.init.is_none());
                self.without_init = without_init.cloned().collect();
            } else {
                self.find_inits(&mut all);
                all.extend(self.monitored_elsewhere(&all));
            }
            by_namespace.fill(self.proc, whose, &all);
        }
        if !self.without_init.is_empty() {
            let found = self.inits_around(pid, own);
            by_namespace.add(self.proc, &found);
        }
    }

    /// Finds the init processes of containers whose state files do not name them, where they can share a namespace with
    /// this process.
    fn inits_around(&mut self, pid: Pid, own: &OwnNamespaces) -> Vec<Rc<Container>> {
        let proc = self.proc;
        let mut all = std::mem::take(&mut self.without_init);
        match self.by_namespace().first_processes(proc, pid, own) {
            Some(pids) => {
                let inits = self.inits_among(&pids.into_iter().map(First::unknown).collect::<Vec<_>>());
                self.set_inits(&mut all, &inits);
            }
            None => self.find_inits(&mut all),
        }
        let (found, without) = all.into_iter().partition(|container| container.init.is_some());
        self.without_init = without;
        found
    }

    /// The containers of the paths of all hierarchies. The one with the most verified containers comes first; equal ones
    /// are in the order of the paths.
    fn resolve_text(&mut self, text: &[u8]) -> Vec<Rc<Container>> {
        let mut paths: Vec<&str> = Vec::new();
        cgroup_lines(text).for_each(|path| {
            if !paths.contains(&path) {
                paths.push(path);
            }
        });
        let mut found: Vec<Rc<Container>> = Vec::new();
        for path in paths {
            let container = self.innermost(path);
            found.extend(container.filter(|container| !found.contains(container)));
        }
        found.sort_by_key(|container| {
            let is_verified = |link: &&Container| link.identified_by != IdentifiedBy::Cgroup;
            let verified = container.chain().filter(is_verified).count();
            std::cmp::Reverse((verified, container.chain().count()))
        });
        found
    }

    /// The innermost container of a path, with those around it.
    fn innermost(&mut self, path: &str) -> Option<Rc<Container>> {
        if let Some(answer) = self.by_path.get(path) {
            return answer.clone();
        }
        let answer = self.resolve_path(path, None);
        self.by_path.insert(path.to_owned(), answer.clone());
        answer
    }

    /// The innermost container of a path, inside of `outer`.
    fn resolve_path(&mut self, path: &str, mut outer: Option<Rc<Container>>) -> Option<Rc<Container>> {
        for candidate in candidates(path) {
            if outer.as_ref().is_some_and(|outer| outer.chain().count() == Self::DEEPEST) {
                break;
            }
            // Two components can have the id of one container: count it once.
            if outer.as_ref().is_some_and(|outer| has_id(outer, &candidate.id)) {
                continue;
            }
            let found = self.verified(&candidate).map(|container| nest(&container, outer.as_ref()));
            let found = found.or_else(|| self.nested_container(outer.as_ref()?, &candidate));
            if outer.as_ref().zip(found.as_ref()).is_some_and(|(outer, found)| outer.id == found.id) {
                continue;
            }
            match found {
                Some(container) => outer = Some(container),
                None if candidate.distinctive => outer = Some(Rc::new(unverified(&candidate, outer))),
                None => {}
            }
        }
        outer
    }

    /// The container of a candidate that a state file confirms.
    fn verified(&mut self, candidate: &Candidate<'_>) -> Option<Rc<Container>> {
        let whose = self.whose_group(candidate.group);
        candidate.stores.iter().find_map(|&store| {
            if store == Store::Lxc {
                return self.monitored(candidate);
            }
            let known = self.lookup(whose, store, &candidate.id);
            let mut confirmed = known.iter().filter(|known| {
                let in_group = known.groups.iter().any(|group| group == candidate.group);
                in_group || known.container.owner == 0 && is_group_of_guest(candidate)
            });
            // Two containers in one group: their namespaces decide.
            confirmed.next().filter(|_| confirmed.next().is_none()).map(|known| known.container.clone())
        })
    }

    /// The container of a candidate of LXC, LXD or Incus: no state file says which container has the group, or whether
    /// it runs. The monitor does.
    fn monitored(&mut self, candidate: &Candidate<'_>) -> Option<Rc<Container>> {
        if let Some(known) = self.monitored.get(candidate.group) {
            return known.clone();
        }
        let current = self.current.as_ref().map(|(pid, _)| *pid);
        let named =
            current.and_then(|pid| self.named_by_lxc(pid).or_else(|| self.named_by_group(candidate, pid)));
        let found = named.filter(|container| has_group(container, candidate)).map(|container| {
            let name = container.id.rsplit('/').next();
            let group = (name != Some(&candidate.id)).then(|| candidate.id.clone().into_owned());
            Rc::new(Container { group, ..container })
        });
        if found.is_some() {
            self.monitored.insert(candidate.group.to_owned(), found.clone());
        } else if self.inits.is_none() && !self.finds_inits {
            // The process came from elsewhere. Others of that group may be below the monitor.
            let inits = self.first_processes();
            self.inits = Some(inits);
            let found = self.monitored.entry(candidate.group.to_owned()).or_default();
            return found.clone();
        }
        found
    }

    fn named_by_lxc(&mut self, pid: Pid) -> Option<Container> {
        let (proc, files) = (self.proc, self.files);
        self.by_namespace().named_by_lxc(proc, files, pid)
    }

    /// The container of LXC with the name of the group, if its monitor has ended.
    fn named_by_group(&mut self, candidate: &Candidate<'_>, pid: Pid) -> Option<Container> {
        let (proc, whose) = (self.proc, self.whose_group(candidate.group));
        let init = self.by_namespace().init_without_monitor(proc, pid)?;
        let known = self.lookup(whose, Store::Lxc, &candidate.id);
        let container =
            known.iter().map(|known| &known.container).find(|known| has_group(known, candidate))?;
        let init_start = verify::start_time(proc, init);
        Some(Container { init: Some(init), init_start, ..(**container).clone() })
    }

    /// A user's state file confirms only groups below the slice of that user.
    fn whose_group(&self, group: &str) -> Whose {
        if self.few && !group.starts_with(verify::SLICE_OF_USERS) { Whose::Root } else { Whose::Everyone }
    }

    /// A user's state file confirms only namespaces of that user. Is any user but root the owner of these?
    fn whose_namespaces(&self, pid: Pid) -> Whose {
        let of_root = |kind| verify::is_owned_by_root_alone(self.proc, pid, kind);
        if self.few && of_root(Kind::Pid) && of_root(Kind::Mnt) { Whose::Root } else { Whose::Everyone }
    }

    /// The container of a candidate, from a state file inside the container around it.
    fn nested_container(
        &mut self,
        outer: &Rc<Container>,
        candidate: &Candidate<'_>,
    ) -> Option<Rc<Container>> {
        // A name that is any word is too weak here: it would look up every group of an init system inside.
        if outer.identified_by == IdentifiedBy::Cgroup
            || !(candidate.distinctive || candidate.stores.contains(&Store::Docker))
        {
            return None;
        }
        let key = outer.key();
        if !self.nested.contains_key(&key) {
            let mut around = vec![outer.clone()];
            self.find_inits(&mut around);
            let nested = Nested::open(self.proc, self.files, &around[0], |pid| self.is_init(&around[0], pid));
            self.nested.insert(key.clone(), nested);
        }
        let nested = self.nested.get(&key)?.as_ref()?;
        nested.load(candidate, outer)
    }

    /// The running containers with this id in a store. There can be several: runtimes that share a store, and users,
    /// choose ids independently.
    fn lookup(&mut self, whose: Whose, store: Store, id: &str) -> Rc<[Checked]> {
        let cache = self.cache(whose, store);
        if let Some(known) = cache.known.get(id) {
            return known.clone();
        }
        let loaded = cache.reader.load(&cache.files, id);
        self.check_all(whose, store, id, loaded)
    }

    /// Checks the containers with this id in a store, and remembers the result.
    fn check_all(&mut self, whose: Whose, store: Store, id: &str, loaded: Vec<Container>) -> Rc<[Checked]> {
        let unknown = loaded.is_empty();
        let claims = loaded.into_iter().filter_map(|container| self.check(store, container));
        let known: Rc<[Checked]> = claims.collect();
        let cache = self.cache(whose, store);
        // Every component of a group's path is looked up, and users create groups of any name.
        if !unknown || cache.unknown < Self::MOST_UNKNOWN {
            cache.unknown += usize::from(unknown);
            cache.known.insert(id.to_owned(), known.clone());
        }
        known
    }

    /// Opens pidfds before a check, which then holds for the process behind the pidfd.
    fn hold_inits(&mut self, containers: &[Container]) {
        for pid in containers.iter().filter_map(|container| container.init) {
            if self.held.len() < Self::MOST_HELD {
                self.held.entry(pid).or_insert_with(|| ns::pidfd(pid));
            }
        }
    }

    /// The pidfd of an init process that was checked after the pidfd was opened.
    pub(super) fn checked_pidfd(&mut self, pid: Pid) -> Option<OwnedFd> {
        self.held.remove(&pid).flatten()
    }

    fn check(&self, store: Store, mut container: Container) -> Option<Checked> {
        let files = match container.owner {
            0 => self.files.clone(),
            user => self.files.of_user(user),
        };
        if container.init.is_some() && !files.may_check(&container.id) {
            return None;
        }
        let groups = container.init.map(|init| match &self.current {
            Some((pid, text)) if *pid == init => verify::groups_with_id_in(text, &container),
            _ => self.groups_with_id(init, &container),
        });
        let groups = groups.unwrap_or_default();
        if groups.is_empty() && container.init_start.is_none() && container.init_written.is_none() {
            self.caches[store as usize].reader.date_init(self.files, &mut container);
        }
        let alive = match container.init {
            Some(init) => verify::is_running(self.proc, init, &container, &groups),
            // LXC writes the PID to no file.
            None => !container.runtime.spec().names_init || container.has_guest,
        };
        let confirmed = |&helper: &Pid| {
            verify::is_running(self.proc, helper, &Container { init_start: None, ..container.clone() }, &[])
        };
        container.helper = container.helper.filter(confirmed);
        (alive && files.keep(&container.id, container.size()))
            .then(|| Checked { container: Rc::new(container), groups })
    }

    /// Finds the init processes of containers whose state files do not name them: PID 1 of a pid namespace, in a group of
    /// that container.
    fn find_inits(&mut self, all: &mut [Rc<Container>]) {
        if all.iter().all(|container| container.init.is_some() || container.has_guest) {
            return;
        }
        let inits = match self.inits.take() {
            Some(inits) => inits,
            None => self.first_processes(),
        };
        self.set_inits(all, &inits);
        self.inits = Some(inits);
    }

    /// The first processes of an unverified container, one for each control group with its id: the owner of a delegated
    /// group can repeat the name of another group.
    #[must_use]
    pub fn claimants(&self, container: &Container) -> Vec<Pid> {
        let init = self.inits.as_ref().and_then(|inits| inits.get(&init_key(container)));
        let Some(init) = init.filter(|_| container.identified_by == IdentifiedBy::Cgroup) else {
            return Vec::new();
        };
        [init.pid].into_iter().chain(init.rivals.iter().map(|(pid, _)| *pid)).collect()
    }

    /// The processes with PID 1 one pid namespace further in, by the container of their group.
    fn first_processes(&mut self) -> Inits {
        // Few processes are PID 1. Only their other files are read.
        let first = match self.walk {
            Some(walk) => walk.borrow_mut().first_processes().to_vec(),
            None => self.first_of_members().unwrap_or_else(|| {
                let pids = Scan::pids(self.proc).unwrap_or_default();
                let walk = Walk::new(self.proc, Way::Best, pids);
                walk.map_or_else(|_| Vec::new(), |mut walk| walk.first_processes().to_vec())
            }),
        };
        self.inits_among(&first)
    }

    /// The first processes of the pid namespaces of known members. None: the kernel cannot say it of each (Linux 6.11).
    fn first_of_members(&mut self) -> Option<Vec<First>> {
        let (proc, members) = (self.proc, self.members.clone()?);
        // The host's PID 1 is in no container, and its links may be unreadable even for root.
        let host = self.by_namespace();
        let others = members.into_iter().filter(|pid| !host.is_in_host_ns(proc, *pid, Kind::Pid));
        others.map(|pid| verify::first_in_pid_ns(proc, pid).map(First::unknown)).collect()
    }

    /// The same among these processes.
    fn inits_among(&mut self, processes: &[First]) -> Inits {
        let current = self.current.take();
        let within = std::mem::replace(&mut self.finds_inits, true);
        let inits = self.find_inits_among(processes);
        self.finds_inits = within;
        self.current = current;
        inits
    }

    fn find_inits_among(&mut self, processes: &[First]) -> Inits {
        let mut inits = Inits::default();
        for &First { pid, outermost } in processes {
            let is_checked = outermost.is_none();
            // Read the start time first. If it is the same later, the other values belong to this process.
            let start = if is_checked { verify::start_time(self.proc, pid) } else { None };
            let is_init = outermost.unwrap_or_else(|| {
                let status = self.proc.process(pid).status().unwrap_or_default();
                status.nspid.len() == 2 && status.nspid.last() == Some(&1)
            });
            if !is_init {
                continue;
            }
            let Ok(cgroup) = self.cgroup_of(pid) else { continue };
            self.current = Some((pid, cgroup.clone()));
            let found = self.outermost(&cgroup).or_else(|| self.outside_of_its_group(pid));
            let Some((container, group)) = found else { continue };
            match inits.entry(container) {
                Entry::Vacant(entry) => {
                    entry.insert(Init { pid, start, is_checked, group, rivals: Vec::new() });
                }
                Entry::Occupied(mut entry) => entry.get_mut().rival(pid, group),
            }
        }
        inits
    }

    /// Sets the init processes of containers that have none yet. The map contains only outermost containers: the state
    /// file of a nested one can name any id, also that of a container of the host.
    fn set_inits(&mut self, all: &mut [Rc<Container>], inits: &Inits) {
        let wanted = |container: &&mut Rc<Container>| container.init.is_none() && container.outer.is_none();
        for container in all.iter_mut().filter(wanted) {
            let key = init_key(container);
            let Some(init) = inits.get(&key) else { continue };
            let again = (!init.is_checked).then(|| self.inits_among(&[First::unknown(init.pid)]));
            let checked = again.as_ref().map_or(Some(init), |again| again.get(&key));
            if let Some(Init { pid, start, .. }) = checked {
                let (init, init_start) = (Some(*pid), *start);
                *container = Rc::new(Container { init, init_start, ..(**container).clone() });
            }
        }
    }

    /// The container of LXC whose init process left its group.
    fn outside_of_its_group(&mut self, pid: Pid) -> Option<(InitKey, String)> {
        let container = Rc::new(self.named_by_lxc(pid)?);
        self.monitored.insert(pid.to_string(), Some(container.clone()));
        Some((init_key(&container), String::new()))
    }

    /// The outermost container of a path, and its group. Ignores state files inside containers: the container itself can
    /// create the rest of the path.
    fn outermost(&mut self, text: &[u8]) -> Option<(InitKey, String)> {
        let mut claimed = None;
        for candidate in cgroup_lines(text).flat_map(candidates) {
            if let Some(container) = self.verified(&candidate) {
                return Some((init_key(&container), candidate.group.to_owned()));
            }
            if candidate.distinctive && claimed.is_none() {
                let group = candidate.group.to_owned();
                claimed = Some(((candidate.runtime, candidate.id.into_owned(), None), group));
            }
        }
        claimed
    }
}

impl Init {
    /// More are not listed in the message.
    const MOST_RIVALS: usize = 8;

    fn rival(&mut self, pid: Pid, group: String) {
        let known = self.group == group || self.rivals.iter().any(|(_, other)| *other == group);
        if !known && self.rivals.len() < Self::MOST_RIVALS {
            self.rivals.push((pid, group));
        }
    }
}

fn init_key(container: &Container) -> InitKey {
    let owner = (container.identified_by != IdentifiedBy::Cgroup).then_some(container.owner);
    (container.runtime, container.id.clone(), owner)
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

fn has_id(container: &Container, id: &str) -> bool {
    container.id == id || container.group.as_deref() == Some(id)
}

/// Is it the group that the monitor of this container made? LXC adds a number if another container has the name. Only
/// root, or that user, can have created the group.
fn has_group(container: &Container, candidate: &Candidate<'_>) -> bool {
    let name = container.id.rsplit('/').next().unwrap_or_default();
    let number = match candidate.id.strip_prefix(name) {
        Some("") => Some(1),
        Some(rest) => rest
            .strip_prefix('-')
            .filter(|number| !number.starts_with('0'))
            .and_then(|text| number(text.as_bytes())),
        None => None,
    };
    let above = candidate.group.rsplit_once('/').map_or("", |(above, _)| above);
    let is_owners = match container.owner {
        0 => matches!(above, "" | "/lxc" | "/lxc.payload"),
        owner => above.starts_with(&format!("{}{owner}.slice/", verify::SLICE_OF_USERS)),
    };
    is_owners && number.is_some_and(|number: u32| (1..1000).contains(&number))
}

/// Is it the group of a virtual machine, at a place where only root can create one?
fn is_group_of_guest(candidate: &Candidate<'_>) -> bool {
    let mut parts = candidate.group.split('/').skip(1);
    let of_kubelet = parts.next().is_some_and(|first| first.starts_with("kube"));
    candidate.of_guest && (of_kubelet || parts.count() == 1)
}

fn nest(container: &Rc<Container>, outer: Option<&Rc<Container>>) -> Rc<Container> {
    match outer {
        None => container.clone(),
        Some(outer) => Rc::new(Container { outer: Some(outer.clone()), ..(**container).clone() }),
    }
}

fn unverified(candidate: &Candidate<'_>, outer: Option<Rc<Container>>) -> Container {
    Container {
        identified_by: IdentifiedBy::Cgroup,
        outer,
        ..Container::new(candidate.runtime, candidate.id.clone())
    }
}
