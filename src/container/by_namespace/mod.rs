//! Identifies processes by their namespaces if their control group does not: rootless containers without a group of
//! their own, sandboxes, processes that entered with nsenter(1), and namespaces that no runtime claims.

mod by_kernel;
mod host;
mod known;
mod program;
mod routers;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::runtimes::Whose;
use super::verify::namespace;
use super::{Container, Files, PidNs, Runtime};
use crate::isolation::ns;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use crate::sys;
use crate::sys::keyed::{HashMap, HashSet};
use host::Host;
pub(crate) use host::is_in_container_of_host;
use known::ByNamespaces;
pub(super) use known::Spaces;
pub(super) use program::trusted_program;
pub(crate) use routers::is_router_name;

type FileId = ((u32, u32), u64);

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
    /// The parents of a process and of those above it, from the last search for what made a container.
    pub(super) parents: Vec<(Pid, i32)>,
    /// Processes without a shim of containerd above them.
    pub(super) below_no_shim: HashSet<Pid>,
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
            parents: Vec::new(),
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
}

pub(super) fn is_of_lxc(runtime: Runtime) -> bool {
    matches!(runtime, Runtime::Incus | Runtime::Lxc | Runtime::Lxd)
}

/// A namespace that is not the host's.
fn other(id: Option<u64>, hosts: Option<u64>) -> Option<u64> {
    id.filter(|_| id != hosts)
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
    match proc.is_copy() {
        false => proc.process(pid).root_id(),
        // No file of a copy is the directory itself. The path of the link stands for it.
        true => proc.link(&proc.path_of(pid, "root")).ok().map(|path| {
            let mut hasher = DefaultHasher::new();
            path.hash(&mut hasher);
            ((0, 0), hasher.finish())
        }),
    }
}

fn file_id(path: &Path) -> Option<FileId> {
    sys::file_id(AT_FDCWD, &c_path(path)?).ok()
}

fn c_path(path: &Path) -> Option<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).ok()
}

fn ns_inode(proc: &ProcRoot, link: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    crate::proc::ns::parse_link(proc.link(link).ok()?.as_os_str().as_bytes())
}
