//! Containers that only the kernel shows, as they have no state file.

use std::rc::Rc;

use nix::unistd::Pid;

use super::program::{HELPERS, machine, program};
use super::routers::is_router;
use super::{ByNamespace, OwnNamespaces, is_of_lxc, ns_inode, other, root_of};
use crate::container::runtimes::image_of_starter;
use crate::container::verify::{first_in_pid_ns, first_of_children, namespace, start_time};
use crate::container::{Container, IdentifiedBy, PidNs, Runtime, Tag};
use crate::isolation::ns;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;

/// The deepest tree of processes that is searched.
pub(super) const DEEPEST: usize = 64;
/// The most children of a monitor that are looked at.
const MOST_CHILDREN: usize = 64;

impl ByNamespace {
    /// The container that only the kernel shows, as it has no state file.
    pub(in crate::container) fn without_state(
        &mut self,
        proc: &ProcRoot,
        pid: Pid,
        own: &OwnNamespaces,
    ) -> Option<Tag> {
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

    /// The first process above a monitor that is not a monitor itself, and its namespaces. None if it is outside of all containers.
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
        let for_children = match own.pid_ns {
            None => other(ns_inode(proc, &proc.path_of(pid, "ns/pid_for_children")), self.host.pid_ns),
            Some(_) => None,
        };
        let id = match own.pid_ns.or(for_children) {
            Some(id) => id.to_string(),
            None => self.id_by_root(proc, pid, mnt_ns())?,
        };
        let container = match self.found.get(&id) {
            Some(container) => container.clone(),
            None => {
                // One that waits outside can have entered the container, and says nothing of who made it.
                let first = for_children.and_then(|_| first_of_children(proc, pid));
                let inside =
                    first.and_then(|first| Some((first, self.own_namespaces(proc, first, PidNs::Own)?)));
                let (pid, own) = inside.as_ref().map_or((pid, own), |(first, own)| (*first, own));
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
        // In a container of bubblewrap or another runtime a user can run the program too.
        let may_be_router =
            container.runtime == Runtime::Anon && container.outer.is_none() && own.pid_ns.is_none();
        if may_be_router && is_router(proc, &self.files, pid) {
            return None;
        }
        Some(Tag { identified_by: container.identified_by, container })
    }

    /// The id of a container that has only another root directory: the number of its mount namespace, else the path. A
    /// mount namespace that is a container can have further roots, as those of schroot(1): they have both.
    fn id_by_root(&mut self, proc: &ProcRoot, pid: Pid, mnt_ns: Option<u64>) -> Option<String> {
        let path = proc.link(&proc.path_of(pid, "root")).ok()?.to_string_lossy().into_owned();
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
        let Above { nearest, outermost, init, around } = self.above(proc, first.unwrap_or(pid), own);
        // A monitor of LXC is outside. A daemon with namespaces of its own is in none of its containers.
        let is_outside = |&(runtime, at): &(Runtime, Pid)| {
            !is_of_lxc(runtime) || namespace(proc, at, Kind::Mnt) != namespace(proc, pid, Kind::Mnt)
        };
        let of_one_run = outermost.filter(is_outside).filter(|(runtime, _)| runtime.spec().runs_once);
        let Some((monitor, child)) = of_one_run.and_then(|(_, pid)| Some((pid, child_elsewhere(proc, pid)?)))
        else {
            let init = init.or_else(|| first_child(proc, pid, id)).or(own.pid_ns.is_none().then_some(pid));
            let outer = around.and_then(|around| self.container_around(proc, around));
            let maker = nearest.filter(is_outside);
            return Rc::new(Container { outer, ..self.made_by(proc, pid, maker, init, id) });
        };
        // All that is below the monitor is one container, whatever namespaces its processes have.
        if let Some(container) = self.by_monitor.get(&monitor) {
            return container.clone();
        }
        let pid_ns = other(namespace(proc, child, Kind::Pid), self.host.pid_ns);
        let of_child = pid_ns.or_else(|| namespace(proc, child, Kind::Mnt));
        let id = of_child.map_or_else(|| id.to_owned(), |id| id.to_string());
        let container = Rc::new(self.made_by(proc, child, of_one_run, Some(child), &id));
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
    pub(super) fn owner(&self, proc: &ProcRoot, pid: Pid) -> u32 {
        let user_ns = other(namespace(proc, pid, Kind::User), self.host.user_ns);
        let maker =
            user_ns.and_then(|_| ns::owner_uid(&ns::open_file(&proc.path_of(pid, &Kind::User.link())).ok()?));
        let euid = || proc.process(pid).status().ok()?.euid;
        maker.or_else(euid).unwrap_or_default()
    }

    /// Walks from a process up to the first ancestor without namespaces of its own.
    fn above(&mut self, proc: &ProcRoot, pid: Pid, own: &OwnNamespaces) -> Above {
        let mut above = Above::default();
        let mut current = pid;
        // What runs above the first process of the pid namespace around made that one.
        let mut is_past_around = false;
        self.parents.clear();
        for _ in 0..DEEPEST {
            let Ok(status) = proc.process(current).status() else { break };
            self.parents.extend(status.ppid.map(|parent| (current, parent)));
            let own_pid_ns = status.nspid.len() > 1;
            let inside =
                own_pid_ns || self.own_namespaces(proc, current, PidNs::Procs).is_some_and(|own| own.root);
            let is_first = own_pid_ns && status.nspid.last() == Some(&1);
            let is_in_ns = own_pid_ns && namespace(proc, current, Kind::Pid) == own.pid_ns;
            if is_first && is_in_ns {
                above.init = Some(current);
            }
            let is_around = own_pid_ns && !is_in_ns && own.pid_ns.is_some();
            let is_parent = is_around && above.around.is_none();
            if is_parent {
                above.around = Some(current);
            }
            is_past_around |= above.around.is_some() && !is_around || is_around && is_first && !is_parent;
            let program = program(proc, &self.files, current);
            if let Some(runtime) = program.as_deref().and_then(Runtime::of_program) {
                above.outermost = Some((runtime, current));
                above.nearest = if is_past_around { above.nearest } else { above.outermost };
            }
            match status.ppid {
                Some(parent) if inside && parent > 0 => current = Pid::from_raw(parent),
                _ => break,
            }
        }
        above
    }

    /// The container of a process in the pid namespace around that of another container. One that is too deep is shown
    /// beside the deepest.
    fn container_around(&mut self, proc: &ProcRoot, pid: Pid) -> Option<Rc<Container>> {
        let own = self.own_namespaces(proc, pid, PidNs::Own)?;
        let parents = std::mem::take(&mut self.parents);
        let tag = self.by_kernel(proc, pid, &own);
        self.parents = parents;
        let container = tag?.container;
        if container.is_deepest() { container.outer.clone() } else { Some(container) }
    }
}

/// What stands above a process.
#[derive(Default)]
struct Above {
    /// The program that made its container: the last one above it before the first process of the pid namespace around.
    nearest: Option<(Runtime, Pid)>,
    /// The program that made the outermost container.
    outermost: Option<(Runtime, Pid)>,
    /// The first process of its pid namespace.
    init: Option<Pid>,
    /// The nearest process in the pid namespace around, if that is not the host's.
    around: Option<Pid>,
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
