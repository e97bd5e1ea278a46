//! Identifies processes by their namespaces if their control group does not: rootless containers without a group of
//! their own, sandboxes, processes that entered with nsenter(1), and namespaces that no runtime claims.

use crate::sys::keyed::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::cgroup_path::candidates;
use super::runtimes::{Whose, image_of_starter};
use super::verify::{first_in_pid_ns, is_owned_by, namespace, start_time};
use super::{Container, Files, IdentifiedBy, PidNs, Runtime, Tag, cgroup_lines};
use crate::access::Lines;
use crate::isolation::ns;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use crate::sys;

/// Helper programs in sandboxes of their own, which are not containers.
const HELPERS: [&str; 1] = ["xdg-dbus-proxy"];

type FileId = ((u32, u32), u64);

/// The deepest tree of processes that is searched.
const DEEPEST: usize = 64;
/// The most children of a monitor that are looked at.
const MOST_CHILDREN: usize = 64;

/// Namespaces and root directory of a process that differ from the host's.
pub(super) struct OwnNamespaces {
    pid_ns: Option<u64>,
    net_ns: Option<u64>,
    /// Is the pid namespace known to be directly below the host's? Then no container is around it.
    outermost: bool,
    /// Its root directory differs from the host's. Not checked if the pid namespace differs: that suffices.
    root: bool,
}

impl OwnNamespaces {
    /// From a walk over all processes, which may know it.
    pub(super) fn set_outermost(&mut self, is_outermost: impl Fn(u64) -> Option<bool>) {
        self.outermost = self.pid_ns.and_then(is_outermost).unwrap_or_default();
    }
}

pub(super) struct ByNamespace {
    host: Rc<Host>,
    files: Files,
    /// Names of network namespaces, by inode.
    net_names: Rc<HashMap<u64, String>>,
    known: Option<(Whose, ByNamespaces)>,
    /// Containers without a state file, by the key that groups their processes.
    found: HashMap<String, Rc<Container>>,
    /// The ids of containers that have only another root, by mount namespace and root.
    roots: HashMap<(u64, Option<FileId>), String>,
    /// Containers without a state file that are all that is below a monitor.
    by_monitor: HashMap<Pid, Rc<Container>>,
    /// Processes without a shim of containerd above them.
    pub(super) below_no_shim: HashSet<Pid>,
}

/// The namespaces and the root directory of the host.
struct Host {
    pid_ns: Option<u64>,
    mnt_ns: Option<u64>,
    net_ns: Option<u64>,
    uts_ns: Option<u64>,
    user_ns: Option<u64>,
    root: Option<FileId>,
}

/// Containers by the namespaces of their init processes.
#[derive(Default)]
struct ByNamespaces {
    pid: HashMap<u64, Vec<Rc<Container>>>,
    mnt: HashMap<u64, Vec<Rc<Container>>>,
    /// Answers for pid namespaces that belong to no known init process.
    around: HashMap<u64, Option<Rc<Container>>>,
}

impl ByNamespace {
    pub(super) fn new(proc: &ProcRoot, files: &Files) -> ByNamespace {
        ByNamespace::empty_of(Rc::new(Host::new(proc)), files.clone(), Rc::new(net_names(files)))
    }

    /// One that knows the same host, and no containers.
    pub(super) fn of_same_host(&self) -> ByNamespace {
        ByNamespace::empty_of(self.host.clone(), self.files.clone(), self.net_names.clone())
    }

    fn empty_of(host: Rc<Host>, files: Files, net_names: Rc<HashMap<u64, String>>) -> ByNamespace {
        ByNamespace {
            host,
            files,
            net_names,
            known: None,
            found: HashMap::default(),
            roots: HashMap::default(),
            by_monitor: HashMap::default(),
            below_no_shim: HashSet::default(),
        }
    }

    /// The namespaces and the root directory that differ from the host's; None if none differs, as for most processes.
    pub(super) fn own_namespaces(&self, proc: &ProcRoot, pid: Pid, space: PidNs) -> Option<OwnNamespaces> {
        let pid_ns = match space {
            PidNs::Procs => None,
            PidNs::Own => other(namespace(proc, pid, Kind::Pid), self.host.pid_ns),
            PidNs::Id(id) => other(Some(id), self.host.pid_ns),
        };
        let is_other = |root| Some(root) != self.host.root && self.host.root.is_some();
        let root = pid_ns.is_none() && root_of(proc, pid).is_some_and(is_other);
        // The name of a network namespace counts only for a process without another namespace or root of its own.
        let may_have_net_ns = pid_ns.is_none() && !root && !self.net_names.is_empty();
        let net_ns = || namespace(proc, pid, Kind::Net).filter(|id| self.net_names.contains_key(id));
        let net_ns = if may_have_net_ns { other(net_ns(), self.host.net_ns) } else { None };
        let own = OwnNamespaces { pid_ns, net_ns, root, outermost: false };
        (own.pid_ns.is_some() || own.root || own.net_ns.is_some()).then_some(own)
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// Is the namespace of the process the host's? True if it cannot be read, as in a copy of /proc.
    pub(super) fn is_in_host_ns(&self, proc: &ProcRoot, pid: Pid, kind: Kind) -> bool {
        let hosts = match kind {
            Kind::User => self.host.user_ns,
            Kind::Pid => self.host.pid_ns,
            _ => self.host.mnt_ns,
        };
        namespace(proc, pid, kind).is_none_or(|id| hosts.is_none_or(|host| id == host))
    }

    /// Is the process in a namespace that another process has and the host has not? True if that is not known.
    pub(super) fn shares_with(&self, proc: &ProcRoot, pid: Pid, other: Pid) -> bool {
        let host = &self.host;
        let kinds = [
            (Kind::Mnt, host.mnt_ns),
            (Kind::Pid, host.pid_ns),
            (Kind::Net, host.net_ns),
            (Kind::Uts, host.uts_ns),
            (Kind::User, host.user_ns),
        ];
        let mut has_own = false;
        let shares = kinds.into_iter().any(|(kind, hosts)| {
            let of_other = namespace(proc, other, kind).filter(|id| hosts.is_some() && Some(*id) != hosts);
            has_own |= of_other.is_some();
            of_other.is_some() && namespace(proc, pid, kind).is_none_or(|id| Some(id) == of_other)
        });
        shares || !has_own
    }

    /// The first processes of the pid namespace of a process, and of those around it, without the host's. None: only a
    /// scan of /proc can find the processes with which it shares a namespace.
    pub(super) fn first_processes(&self, proc: &ProcRoot, pid: Pid, own: &OwnNamespaces) -> Option<Vec<Pid>> {
        const DEEPEST: usize = 32; // MAX_PID_NS_LEVEL of the kernel
        let mut pid_ns =
            ns::open_file(&proc.path_of(pid, &Kind::Pid.link())).ok().filter(|_| own.pid_ns.is_some())?;
        let mut found = Vec::new();
        for _ in 0..DEEPEST {
            let id = fstat(&pid_ns).ok()?.st_ino;
            match ns::process_of(&pid_ns, 1) {
                Ok(first) => match namespace(proc, first, Kind::Pid) {
                    // The links of the host's PID 1 may be unreadable even for root.
                    None if Some(id) == self.host.pid_ns => break,
                    Some(of_first) if of_first == id => found.push(first),
                    _ => return None, // the proc mount is of another pid namespace
                },
                Err(Errno::ESRCH) => {}
                Err(_) => return None,
            }
            let Ok(parent) = ns::parent_of(&pid_ns) else { break };
            pid_ns = parent;
        }
        Some(found)
    }

    /// Forgets the containers with a state file, as there are new state files.
    pub(super) fn empty(&mut self) {
        self.known = None;
    }

    /// Was [`Self::fill`] called with at least these containers?
    pub(super) fn is_filled_with(&self, whose: Whose) -> bool {
        self.known.as_ref().is_some_and(|(known, _)| *known == whose || *known == Whose::Everyone)
    }

    /// The most containers that share a namespace, as those of a pod do. Any number of state files can name one process.
    const MOST_SHARING: usize = 64;

    /// Forgets the containers so far.
    pub(super) fn fill(&mut self, proc: &ProcRoot, whose: Whose, containers: &[Rc<Container>]) {
        self.known = Some((whose, ByNamespaces::default()));
        self.add(proc, containers);
    }

    pub(super) fn add(&mut self, proc: &ProcRoot, containers: &[Rc<Container>]) {
        let Some((_, known)) = self.known.as_mut().filter(|_| !containers.is_empty()) else { return };
        known.around.clear();
        let add = |list: &mut Vec<Rc<Container>>, container: &Rc<Container>| {
            if list.len() < Self::MOST_SHARING {
                list.push(container.clone());
            }
        };
        let mut by_init: HashMap<Pid, usize> = HashMap::default();
        for container in containers {
            let same_init = container.init.map_or(0, |init| {
                let count = by_init.entry(init).or_default();
                *count += 1;
                *count
            });
            if same_init > Self::MOST_SHARING && container.owner != 0 {
                continue;
            }
            let id_of = |kind: Kind| {
                let recorded =
                    container.namespaces.iter().find(|(recorded, _)| *recorded == kind).map(|(_, id)| *id);
                recorded.or_else(|| namespace(proc, container.init?, kind))
            };
            // A state file confirms only namespaces of its owner, and none that the process merely entered.
            let is_owners =
                |kind| container.init.is_none_or(|init| is_owned_by(proc, init, kind, container.owner));
            if let Some(id) =
                id_of(Kind::Pid).filter(|id| Some(*id) != self.host.pid_ns && is_owners(Kind::Pid))
            {
                add(known.pid.entry(id).or_default(), container);
            }
            if let Some(id) =
                id_of(Kind::Mnt).filter(|id| Some(*id) != self.host.mnt_ns && is_owners(Kind::Mnt))
            {
                add(known.mnt.entry(id).or_default(), container);
            }
            let of_helper = |kind, hosts| {
                let helper = container.helper.filter(|&pid| is_owned_by(proc, pid, kind, container.owner))?;
                other(namespace(proc, helper, kind), hosts)
            };
            if let Some(id) = of_helper(Kind::Pid, self.host.pid_ns) {
                add(known.pid.entry(id).or_default(), container);
            }
            if let Some(id) = of_helper(Kind::Mnt, self.host.mnt_ns) {
                add(known.mnt.entry(id).or_default(), container);
            }
        }
    }

    /// The container with these namespaces that has a state file.
    pub(super) fn with_state(&mut self, proc: &ProcRoot, pid: Pid, own: &OwnNamespaces) -> Option<Tag> {
        let mnt_ns = || other(namespace(proc, pid, Kind::Mnt), self.host.mnt_ns);
        let container = self.known.as_mut()?.1.find(proc, pid, own, mnt_ns)?;
        // The state file names the init process; the others share its namespaces.
        let identified_by =
            if container.init == Some(pid) { container.identified_by } else { IdentifiedBy::Namespace };
        Some(Tag { container, identified_by })
    }

    /// The container that only the kernel shows, as it has no state file.
    pub(super) fn without_state(&mut self, proc: &ProcRoot, pid: Pid, own: &OwnNamespaces) -> Option<Tag> {
        if !self.is_monitor(proc, pid, own) {
            return self.by_kernel(proc, pid, own);
        }
        // A monitor can have its own namespaces, but not those of its container. It is where its parent is.
        let (parent, own) = self.above_monitors(proc, pid)?;
        self.with_state(proc, parent, &own).or_else(|| self.by_kernel(proc, parent, &own))
    }

    /// Does the process run a program that stands above containers, and is one of its children in other namespaces?
    fn is_monitor(&self, proc: &ProcRoot, pid: Pid, own: &OwnNamespaces) -> bool {
        own.pid_ns.is_none()
            && own.root
            && program(proc, &self.files, pid).as_deref().and_then(Runtime::of_program).is_some()
            && child_elsewhere(proc, pid).is_some()
    }

    /// The first process above a monitor that is no monitor, and its namespaces. None if it is outside of all containers.
    fn above_monitors(&self, proc: &ProcRoot, monitor: Pid) -> Option<(Pid, OwnNamespaces)> {
        let mut current = monitor;
        for _ in 0..DEEPEST {
            let parent = proc.process(current).status().ok()?.ppid.filter(|&parent| parent > 1)?;
            current = Pid::from_raw(parent);
            let has_own_pid_ns = proc.process(current).status().ok()?.nspid.len() > 1;
            let space = if has_own_pid_ns { PidNs::Own } else { PidNs::Procs };
            let own = self.own_namespaces(proc, current, space)?;
            if !self.is_monitor(proc, current, &own) {
                return Some((current, own));
            }
        }
        None
    }

    fn by_kernel(&mut self, proc: &ProcRoot, pid: Pid, own: &OwnNamespaces) -> Option<Tag> {
        // All threads of the kernel are in the host's pid namespace. kdevtmpfs has its own mount namespace and root.
        let is_kernel_thread = || proc.process(pid).status().is_ok_and(|status| status.kernel_thread);
        if own.pid_ns.is_none() && is_kernel_thread() {
            return None;
        }
        if own.pid_ns.is_none() && !own.root {
            let name = self.net_names.get(&own.net_ns?)?.clone();
            let make = || Container {
                name: Some(name.clone()),
                identified_by: IdentifiedBy::Namespace,
                ..Container::new(Runtime::Netns, name.clone())
            };
            let container =
                self.found.entry(format!("net {name}")).or_insert_with(|| Rc::new(make())).clone();
            return Some(Tag { container, identified_by: IdentifiedBy::Namespace });
        }
        let mnt_ns = || other(namespace(proc, pid, Kind::Mnt), self.host.mnt_ns);
        // A process that waits outside for the container it created counts as part of it: its children are inside.
        let for_children = || other(ns_inode(&proc.path_of(pid, "ns/pid_for_children")), self.host.pid_ns);
        let id = match own.pid_ns.or_else(for_children) {
            Some(id) => id.to_string(),
            None => self.id_by_root(proc, pid, mnt_ns())?,
        };
        let container = match self.found.get(&id) {
            Some(container) => container.clone(),
            None => {
                let container = self.describe(proc, pid, own, &id);
                self.found.insert(id, container.clone());
                container
            }
        };
        // If no known program created the container, skip the check of each process.
        let may_be_helper = container.runtime != Runtime::Anon || own.pid_ns.is_none();
        if may_be_helper
            && HELPERS.iter().any(|helper| program(proc, &self.files, pid).as_deref() == Some(helper))
        {
            return None;
        }
        Some(Tag { identified_by: container.identified_by, container })
    }

    /// The id of a container that has only another root directory: the number of its mount namespace, else the path. A
    /// mount namespace that is a container can have further roots, as those of schroot(1): they have both.
    fn id_by_root(&mut self, proc: &ProcRoot, pid: Pid, mnt_ns: Option<u64>) -> Option<String> {
        let path = std::fs::read_link(proc.path_of(pid, "root")).ok()?.to_string_lossy().into_owned();
        let Some(mnt_ns) = mnt_ns else { return Some(path) };
        let root = root_of(proc, pid);
        if let Some(id) = self.roots.get(&(mnt_ns, root)) {
            return Some(id.clone());
        }
        // In a copy of the host's mounts the path leads to the same directory.
        let owner = proc.process(pid).status().ok().and_then(|status| status.euid);
        let files = self.files.of_user(owner.unwrap_or_default());
        let of_host = root.is_some_and(|(device, inode)| files.is_same(&path, device, inode));
        let id = if path == "/" || of_host { mnt_ns.to_string() } else { format!("{mnt_ns}{path}") };
        self.roots.insert((mnt_ns, root), id.clone());
        Some(id)
    }

    /// Describes a container without a state file: the runtime, from the program of an ancestor process, and its init
    /// process.
    fn describe(&mut self, proc: &ProcRoot, pid: Pid, own: &OwnNamespaces, id: &str) -> Rc<Container> {
        // The program that made the container is above its first process, but not above one that entered.
        let first = own.pid_ns.and_then(|_| first_in_pid_ns(proc, pid));
        let (maker, init) = self.find_maker_and_init(proc, first.unwrap_or(pid), own);
        // A monitor of LXC is outside. A daemon with namespaces of its own is in none of its containers.
        let is_outside = |&(runtime, at): &(Runtime, Pid)| {
            !is_of_lxc(runtime) || namespace(proc, at, Kind::Mnt) != namespace(proc, pid, Kind::Mnt)
        };
        let maker = maker.filter(is_outside);
        let of_one_run = maker.filter(|(runtime, _)| runtime.spec().runs_once);
        let Some((monitor, child)) = of_one_run.and_then(|(_, pid)| Some((pid, child_elsewhere(proc, pid)?)))
        else {
            let init = init.or_else(|| first_child(proc, pid, id)).or(own.pid_ns.is_none().then_some(pid));
            return Rc::new(self.made_by(proc, pid, maker, init, id));
        };
        // All that is below the monitor is one container, whatever namespaces its processes have.
        if let Some(container) = self.by_monitor.get(&monitor) {
            return container.clone();
        }
        let pid_ns = other(namespace(proc, child, Kind::Pid), self.host.pid_ns);
        let of_child = pid_ns.or_else(|| namespace(proc, child, Kind::Mnt));
        let id = of_child.map_or_else(|| id.to_owned(), |id| id.to_string());
        let container = Rc::new(self.made_by(proc, child, maker, Some(child), &id));
        self.by_monitor.insert(monitor, container.clone());
        container
    }

    fn made_by(
        &self,
        proc: &ProcRoot,
        pid: Pid,
        maker: Option<(Runtime, Pid)>,
        init: Option<Pid>,
        id: &str,
    ) -> Container {
        let is_lxc = maker.is_some_and(|(runtime, _)| is_of_lxc(runtime));
        let named = is_lxc.then(|| self.named_by_lxc(proc, &self.files, init.unwrap_or(pid))).flatten();
        if let Some(container) = named {
            return Container { identified_by: IdentifiedBy::Namespace, ..container };
        }
        let (runtime, identified_by) = match maker {
            Some((runtime, _)) => (runtime, IdentifiedBy::Namespace),
            None => (Runtime::Anon, IdentifiedBy::Anonymous),
        };
        let (machine, image) = match maker {
            Some((Runtime::Nspawn, nspawn)) => (machine(proc, nspawn), None),
            Some((Runtime::Apptainer, starter)) => (None, image_of_starter(proc, &self.files, starter)),
            _ => (None, None),
        };
        let root = || id.contains('/').then(|| id.to_owned()); // a changed root alone
        let other_uts = other(namespace(proc, pid, Kind::Uts), self.host.uts_ns).is_some();
        Container {
            name: machine.clone().or_else(|| image.clone()).or_else(root),
            image,
            hostname: if other_uts { ns::hostname(proc, pid) } else { None },
            init,
            init_start: init.and_then(|init| start_time(proc, init)),
            owner: self.owner(proc, pid),
            identified_by,
            ..Container::new(runtime, machine.unwrap_or_else(|| id.to_owned()))
        }
    }

    /// The owner of a container: the owner of its user namespace, else the euid of the process.
    fn owner(&self, proc: &ProcRoot, pid: Pid) -> u32 {
        let user_ns = other(namespace(proc, pid, Kind::User), self.host.user_ns);
        let maker =
            user_ns.and_then(|_| ns::owner_uid(&ns::open_file(&proc.path_of(pid, &Kind::User.link())).ok()?));
        let euid = || proc.process(pid).status().ok()?.euid;
        maker.or_else(euid).unwrap_or_default()
    }

    /// Walks from a process up to the first ancestor without namespaces of its own. Finds the program that created the
    /// container, and its init process.
    fn find_maker_and_init(
        &self,
        proc: &ProcRoot,
        pid: Pid,
        own: &OwnNamespaces,
    ) -> (Option<(Runtime, Pid)>, Option<Pid>) {
        let (mut maker, mut init) = (None, None);
        let mut current = pid;
        for _ in 0..DEEPEST {
            let Ok(status) = proc.process(current).status() else { break };
            let own_pid_ns = status.nspid.len() > 1;
            let inside =
                own_pid_ns || self.own_namespaces(proc, current, PidNs::Procs).is_some_and(|own| own.root);
            if own_pid_ns
                && status.nspid.last() == Some(&1)
                && namespace(proc, current, Kind::Pid) == own.pid_ns
            {
                init = Some(current);
            }
            let program = program(proc, &self.files, current);
            if let Some(runtime) = program.as_deref().and_then(Runtime::of_program) {
                maker = Some((runtime, current));
            }
            match status.ppid {
                Some(parent) if inside && parent > 0 => current = Pid::from_raw(parent),
                _ => break,
            }
        }
        (maker, init)
    }
}

impl Host {
    /// Reads the namespaces of kthreadd, which no user can move. Without it (in a container) those of PID 1, whose links
    /// may be unreadable even for root.
    fn new(proc: &ProcRoot) -> Host {
        let kthreadd = Pid::from_raw(2);
        let is_kernel_thread = proc.process(kthreadd).status().is_ok_and(|status| status.kernel_thread);
        let host_pids = [is_kernel_thread.then_some(kthreadd), Some(Pid::from_raw(1))];
        let id = |kind| {
            let of_ctrbox = || ns_inode(&proc.own(&Kind::link(kind)));
            host_pids.into_iter().flatten().find_map(|pid| namespace(proc, pid, kind)).or_else(of_ctrbox)
        };
        Host {
            pid_ns: id(Kind::Pid),
            mnt_ns: id(Kind::Mnt),
            net_ns: id(Kind::Net),
            uts_ns: id(Kind::Uts),
            user_ns: id(Kind::User),
            root: host_pids
                .into_iter()
                .flatten()
                .find_map(|pid| root_of(proc, pid))
                .or_else(|| file_id(&proc.own("root")).filter(|_| !ctrbox_is_in_container(proc))),
        }
    }
}

/// Does ctrbox run in a container that shows all processes of the host?
#[must_use]
pub(crate) fn is_in_container_of_host(proc: &ProcRoot) -> bool {
    let kthreadd = proc.process(Pid::from_raw(2));
    kthreadd.status().is_ok_and(|status| status.kernel_thread) && ctrbox_is_in_container(proc)
}

/// Does ctrbox run in a container that shows the host's processes? Then its root directory is not the host's.
fn ctrbox_is_in_container(proc: &ProcRoot) -> bool {
    let own_groups = std::fs::read(proc.own("cgroup")).unwrap_or_default();
    let first = proc.read(Pid::from_raw(1), "cgroup").unwrap_or_default();
    // In another cgroup namespace, paths of groups above its root begin with /..
    let is_below_host_root = cgroup_lines(&first).any(|path| path.starts_with("/.."));
    is_below_host_root
        || cgroup_lines(&own_groups).flat_map(candidates).any(|candidate| candidate.distinctive)
}

impl ByNamespaces {
    /// The container with these namespaces. Containers of a pod share some: then both namespaces must match.
    fn find(
        &mut self,
        proc: &ProcRoot,
        pid: Pid,
        own: &OwnNamespaces,
        mnt_ns: impl FnOnce() -> Option<u64>,
    ) -> Option<Rc<Container>> {
        let by_pid = own.pid_ns.and_then(|id| self.pid.get(&id)).map_or(&[][..], Vec::as_slice);
        if let [one] = by_pid {
            return Some(one.clone());
        }
        let mnt_ns = if self.mnt.is_empty() || !(own.root || own.pid_ns.is_some()) { None } else { mnt_ns() };
        let by_mnt = mnt_ns.and_then(|id| self.mnt.get(&id)).map_or(&[][..], Vec::as_slice);
        let both = by_mnt.iter().find(|container| by_pid.contains(container));
        match (both, by_mnt, own.pid_ns) {
            (Some(both), _, _) => Some(both.clone()),
            (None, [one], _) if by_pid.is_empty() => Some(one.clone()),
            (None, _, Some(id)) if by_pid.is_empty() && !own.outermost => self.around(proc, pid, id),
            _ => None,
        }
    }

    /// The container whose pid namespace is an ancestor of the process's.
    fn around(&mut self, proc: &ProcRoot, pid: Pid, pid_ns: u64) -> Option<Rc<Container>> {
        if self.pid.is_empty() {
            return None;
        }
        if let Some(answer) = self.around.get(&pid_ns) {
            return answer.clone();
        }
        let mut fd = ns::open_file(&proc.path_of(pid, &Kind::Pid.link())).ok();
        let above = std::iter::from_fn(|| {
            fd = ns::parent_of(fd.as_ref()?).ok();
            Some(fstat(fd.as_ref()?).ok()?.st_ino)
        });
        let mut containers = above.map(|id| self.pid.get(&id).map(Vec::as_slice));
        let answer = containers.find_map(|known| match known {
            Some([one]) => Some(one.clone()),
            _ => None,
        });
        self.around.insert(pid_ns, answer.clone());
        answer
    }
}

pub(super) fn is_of_lxc(runtime: Runtime) -> bool {
    matches!(runtime, Runtime::Incus | Runtime::Lxc | Runtime::Lxd)
}

/// A namespace that is not the host's.
fn other(id: Option<u64>, hosts: Option<u64>) -> Option<u64> {
    id.filter(|_| id != hosts)
}

/// The first child that is in another mount or pid namespace than the process itself.
fn child_elsewhere(proc: &ProcRoot, pid: Pid) -> Option<Pid> {
    let ids = |pid: Pid| [Kind::Mnt, Kind::Pid].map(|kind| namespace(proc, pid, kind));
    let own = ids(pid);
    let is_elsewhere = |child: &Pid| {
        let of_child = ids(*child);
        own.iter().zip(&of_child).any(|(own, child)| own.is_some() && child.is_some() && own != child)
    };
    proc.process(pid).children().into_iter().take(MOST_CHILDREN).find(is_elsewhere)
}

/// PID 1 of the pid namespace that a process created for its children.
fn first_child(proc: &ProcRoot, pid: Pid, pid_ns: &str) -> Option<Pid> {
    let is_in_ns = |child: Pid| namespace(proc, child, Kind::Pid).is_some_and(|id| id.to_string() == pid_ns);
    let is_first =
        |child: Pid| proc.process(child).status().is_ok_and(|status| status.nspid.last() == Some(&1));
    proc.process(pid).children().into_iter().find(|&child| is_in_ns(child) && is_first(child))
}

/// The names of network namespaces that ip-netns(8) created, by inode.
fn net_names(files: &Files) -> HashMap<u64, String> {
    const NAMED: &str = "/run/netns";
    let names = files.list(NAMED).into_iter();
    names.filter_map(|name| Some((files.inode(&format!("{NAMED}/{name}"))?, name))).collect()
}

/// Device and inode of the root directory of a process, if they are known without a request to a file server, which
/// can block.
fn root_of(proc: &ProcRoot, pid: Pid) -> Option<FileId> {
    file_id(&proc.path_of(pid, "root"))
}

fn file_id(path: &Path) -> Option<FileId> {
    sys::file_id(AT_FDCWD, &c_path(path)?).ok()
}

fn known(path: &Path) -> nix::Result<sys::Known> {
    sys::known(AT_FDCWD, &c_path(path).ok_or(Errno::EINVAL)?)
}

fn c_path(path: &Path) -> Option<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).ok()
}

fn ns_inode(link: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    crate::proc::ns::parse_link(std::fs::read_link(link).ok()?.as_os_str().as_bytes())
}

/// The name of the program that a process runs, if root owns its file: then no user chose the name. The process can
/// have other mounts, so the path must lead to the same file for ctrbox.
fn program(proc: &ProcRoot, files: &Files, pid: Pid) -> Option<String> {
    trusted_program(proc, files, pid, |name| Runtime::of_program(name).is_some() || HELPERS.contains(&name))
}

/// The same for a name that fits.
pub(super) fn trusted_program(
    proc: &ProcRoot,
    files: &Files,
    pid: Pid,
    fits: impl Fn(&str) -> bool,
) -> Option<String> {
    let exe = proc.path_of(pid, "exe");
    let path = std::fs::read_link(&exe).ok()?;
    let name = path.file_name()?.to_str().filter(|name| fits(name))?;
    // The path is one in the mount namespace of the process. Here it can lead anywhere.
    let owner = || proc.process(pid).status().unwrap_or_default().euid.unwrap_or_default();
    let is_that_file = |known: &sys::Known| {
        let files = files.of_user(owner());
        files.is_same(path.to_str().unwrap_or_default(), known.device, known.inode)
    };
    let trusted = match known(&exe) {
        Ok(known) => known.uid == 0 && known.mode & 0o022 == 0 && is_that_file(&known),
        Err(Errno::ENOENT) => true, // a symbolic link in a copy of another system's /proc
        // FUSE refuses even root. An ordinary user sees only their own programs.
        Err(_) => !nix::unistd::geteuid().is_root(),
    };
    trusted.then(|| name.to_owned())
}

/// The machine name in the arguments of systemd-nspawn(1). Only those of root's process are trusted.
fn machine(proc: &ProcRoot, nspawn: Pid) -> Option<String> {
    let status = proc.process(nspawn).status().ok()?;
    if status.euid != Some(0) {
        return None;
    }
    let text = Lines::one(proc, nspawn).ok()?;
    let mut arguments = text.split(|&b| b == 0);
    while let Some(argument) = arguments.next() {
        let value = match argument {
            b"-M" | b"--machine" => arguments.next(),
            _ => argument.strip_prefix(b"--machine=").or_else(|| argument.strip_prefix(b"-M")),
        };
        if let Some(value) = value {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
    }
    None
}
