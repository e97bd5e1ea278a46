//! The contents of the cells. They are read on demand, and cached if they may be needed again.

use crate::sys::keyed::{HashMap, HashSet};
use std::cell::{OnceCell, RefCell};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use super::collect::{Found, Holder, Namespace};
use super::columns::Id;
use super::hierarchy::Relation;
use crate::access::{Lines, Reading};
use crate::container::{Container, Files, Resolver};
use crate::isolation::ns;
use crate::net::{self, Netlink, Protocol, Veths};
use crate::output::smartcols;
use crate::proc::idmap::extents;
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, Scan, Status, Users};
use crate::text;

/// The directories in which ip-netns(8) mounts named network namespaces.
const NETNS: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// The details of a process that is shown.
struct ProcessInfo {
    uid: Option<u32>,
    ppid: Option<i32>,
    name: Vec<u8>,
}

/// What a column shows of a container.
type Value = fn(&Container) -> Option<String>;

pub(super) struct Cells<'a> {
    proc: &'a ProcRoot,
    found: &'a Found,
    relations: Vec<Relation>,
    one_line: bool,
    /// The only namespace that is shown, with all members.
    only: Option<u64>,
    users: Users,
    scan: RefCell<Scan>,
    processes: RefCell<HashMap<Pid, Rc<ProcessInfo>>>,
    resolver: RefCell<Resolver<'a>>,
    containers: RefCell<HashMap<Pid, Option<Rc<Container>>>>,
    route: OnceCell<Option<Netlink>>,
    veths: OnceCell<Option<Veths>>,
    lines: OnceCell<Lines>,
}

impl<'a> Cells<'a> {
    pub(super) fn new(
        (proc, files, resolver): (&'a ProcRoot, &'a Files, Resolver<'a>),
        found: &'a Found,
        relations: Vec<Relation>,
        (one_line, only): (bool, Option<u64>),
    ) -> Result<Self> {
        let scan = Scan::new(proc).with_context(|| format!("cannot read {}", proc.path().display()))?;
        let pid_namespaces = found.namespaces.iter().filter(|namespace| namespace.kind == Kind::Pid);
        let members: Vec<Pid> =
            pid_namespaces.filter_map(|namespace| namespace.members.first().copied()).collect();
        Ok(Cells {
            scan: RefCell::new(scan),
            proc,
            found,
            relations,
            one_line,
            only,
            users: Users::parse(&files.read("/etc/passwd").unwrap_or_default()),
            processes: RefCell::default(),
            resolver: RefCell::new(resolver.for_many(members)),
            containers: RefCell::default(),
            route: OnceCell::new(),
            veths: OnceCell::new(),
            lines: OnceCell::new(),
        })
    }

    pub(super) fn cell(&self, id: Id, at: usize, pid: Option<Pid>) -> Option<String> {
        let namespace = &self.found.namespaces[at];
        match id {
            Id::Ns => Some(namespace.inode.to_string()),
            Id::Type => Some(namespace.kind.proc_name().to_owned()),
            Id::Path => pid.map(|pid| {
                self.proc.shown(&self.proc.path_of(pid, &namespace.kind.link())).display().to_string()
            }),
            Id::Nprocs => Some(namespace.nprocs.to_string()),
            Id::Pid => pid.map(|pid| pid.to_string()),
            Id::Ppid => self.process(pid?).ppid.map(|ppid| ppid.to_string()),
            Id::Command => pid.map(|pid| self.command(pid)),
            Id::Uid => self.uid(at, pid).map(|uid| uid.to_string()),
            Id::User => self.uid(at, pid).map(|uid| self.user(uid)),
            Id::Netnsid => self.netnsid(namespace),
            Id::Nsfs => {
                self.joined(namespace.mounts.iter().map(|path| smartcols::cell(path.as_os_str().as_bytes())))
            }
            Id::Pns => Some(self.relation(at).parent.to_string()),
            Id::Ons => Some(self.relation(at).owner.to_string()),
            Id::Netname => netname(namespace),
            Id::Container => self.of_each_container(namespace, of_container),
            Id::Runtime => self.of_each_container(namespace, of_runtime),
            Id::Pod => self.of_each_container(namespace, of_pod),
            Id::Image => self.of_each_container(namespace, of_image),
            Id::Created => self.of_each_container(namespace, of_creation),
            Id::Users => self.uid_map(namespace),
            Id::Heldby => held_by(namespace),
            Id::Veth => self.veths(namespace),
        }
    }

    /// The text of a cell in a table. A namespace of the host is shared with containers without end: there their number
    /// is enough.
    pub(super) fn cell_in_table(&self, id: Id, at: usize, pid: Option<Pid>) -> Option<String> {
        let namespace = &self.found.namespaces[at];
        let (before, value): (_, Value) = match id {
            Id::Container => ("host +", of_container),
            Id::Pod => ("+", of_pod),
            Id::Image => ("+", of_image),
            Id::Created => ("+", of_creation),
            _ => return self.cell(id, at, pid),
        };
        if !self.is_hosts(namespace) {
            return self.cell(id, at, pid);
        }
        let count = self.values(namespace, value).len();
        (count > 0).then(|| format!("{before}{count}"))
    }

    /// Is it a namespace of the host: of kthreadd, or of a PID 1 that is in no container?
    fn is_hosts(&self, namespace: &Namespace) -> bool {
        let has = |pid| namespace.members.binary_search(&pid).is_ok();
        let is_kernel_thread =
            |pid| self.scan.borrow_mut().status_text(pid).is_ok_and(|text| Status::parse(text).kernel_thread);
        let (init, kthreadd) = (Pid::from_raw(1), Pid::from_raw(2));
        has(init) && self.container(init).is_none() || has(kthreadd) && is_kernel_thread(kthreadd)
    }

    #[must_use]
    pub(super) fn ppid(&self, pid: Pid) -> Option<Pid> {
        self.process(pid).ppid.map(Pid::from_raw)
    }

    /// The user namespace that owns this one, if it is listed.
    #[must_use]
    pub(super) fn owner(&self, at: usize) -> Option<usize> {
        self.found.find(Kind::User, self.relation(at).owner)
    }

    #[must_use]
    pub(super) fn parent(&self, at: usize) -> Option<usize> {
        self.found.find(self.found.namespaces[at].kind, self.relation(at).parent)
    }

    fn relation(&self, at: usize) -> Relation {
        self.relations.get(at).copied().unwrap_or_default()
    }

    /// The user of the process; without a process, the owner of the namespace's user namespace.
    fn uid(&self, at: usize, pid: Option<Pid>) -> Option<u32> {
        if let Some(pid) = pid {
            return self.process(pid).uid;
        }
        let namespace = &self.found.namespaces[at];
        let fd = namespace.open(self.proc).ok()??;
        match namespace.kind {
            Kind::User => ns::owner_uid(&fd),
            _ => ns::owner_uid(&ns::owner_of(&fd).ok()?),
        }
    }

    fn user(&self, uid: u32) -> String {
        match self.users.get(uid) {
            Some(user) => smartcols::cell(&user.name),
            None => uid.to_string(),
        }
    }

    fn process(&self, pid: Pid) -> Rc<ProcessInfo> {
        self.processes.borrow_mut().entry(pid).or_insert_with(|| Rc::new(self.read_process(pid))).clone()
    }

    fn read_process(&self, pid: Pid) -> ProcessInfo {
        let mut scan = self.scan.borrow_mut();
        let stat = scan.stat_text(pid).unwrap_or_default();
        // PID (COMM) STATE PPID: COMM may contain any byte, also `) `. The last `)` ends it.
        let open = stat.iter().position(|&b| b == b'(').map_or(0, |at| at + 1);
        let close = stat.iter().rposition(|&b| b == b')').unwrap_or(stat.len());
        let ppid = stat.get(close + 1..).unwrap_or_default().split(|&b| b == b' ').nth(2);
        let ppid = ppid.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let name = stat.get(open..close).unwrap_or_default().to_vec();
        let uid = self.proc.metadata(&self.proc.path_of(pid, "")).ok().map(|meta| meta.uid());
        ProcessInfo { uid, ppid, name }
    }

    /// The arguments of the process, or its name. The NUL at the end is dropped; a NUL between arguments becomes a
    /// blank.
    fn command(&self, pid: Pid) -> String {
        let lines = self
            .lines
            .get_or_init(|| Reading::start(self.proc, self.found.shown_members(self.only)).finish());
        match lines.get(pid) {
            Ok([arguments @ .., _]) if !arguments.is_empty() => {
                let blank = |&byte: &u8| if byte == 0 { b' ' } else { byte };
                smartcols::cell(&arguments.iter().map(blank).collect::<Vec<u8>>())
            }
            _ => smartcols::cell(&self.process(pid).name),
        }
    }

    /// The processes whose arguments cannot be read because their memory is locked.
    #[must_use]
    pub(super) fn locked(&self) -> Vec<i32> {
        self.lines.get().map(|lines| lines.locked().collect()).unwrap_or_default()
    }

    fn netnsid(&self, namespace: &Namespace) -> Option<String> {
        if namespace.kind != Kind::Net {
            return None;
        }
        let route = self.route.get_or_init(|| Netlink::open(Protocol::Route).ok()).as_ref()?;
        let id = net::namespace_id(route, &namespace.open(self.proc).ok()??).ok()?;
        Some(id.map_or_else(|| "unassigned".to_owned(), |id| id.to_string()))
    }

    fn veths(&self, namespace: &Namespace) -> Option<String> {
        if namespace.kind != Kind::Net {
            return None;
        }
        let veths = self.veths.get_or_init(Veths::read).as_ref()?;
        self.joined(veths.leading_to(&namespace.open(self.proc).ok()??).map(smartcols::cell))
    }

    /// Several values in one cell, separated by newlines or commas.
    fn joined(&self, values: impl Iterator<Item = String>) -> Option<String> {
        let values: Vec<String> = values.collect();
        let separator = if self.one_line { "," } else { "\n" };
        (!values.is_empty()).then(|| values.join(separator))
    }

    fn container(&self, pid: Pid) -> Option<Rc<Container>> {
        let identify = || {
            let mut scan = self.scan.borrow_mut();
            let status = Status::parse(scan.status_text(pid).ok()?);
            if status.kernel_thread {
                return None;
            }
            let own_pid_ns = status.nspid.len() > 1;
            let tag = self.resolver.borrow_mut().resolve(pid, scan.cgroup(pid).ok()?, own_pid_ns);
            tag.map(|tag| tag.container)
        };
        self.containers.borrow_mut().entry(pid).or_insert_with(identify).clone()
    }

    fn of_each_container(&self, namespace: &Namespace, value: Value) -> Option<String> {
        let values = self.values(namespace, value);
        (!values.is_empty()).then(|| text::escape(values.join(",").as_bytes()).into_owned())
    }

    /// The values of all containers with a process in the namespace, without duplicates.
    fn values(&self, namespace: &Namespace, value: Value) -> Vec<String> {
        let mut values: Vec<String> = Vec::new();
        let mut known: HashSet<String> = HashSet::default();
        let mut last = None;
        for container in namespace.members.iter().filter_map(|pid| self.container(*pid)) {
            if last.as_ref().is_some_and(|last| Rc::ptr_eq(last, &container)) {
                continue; // processes of one container are mostly adjacent
            }
            values.extend(value(&container).filter(|value| known.insert(value.clone())));
            last = Some(container);
        }
        values
    }

    fn uid_map(&self, namespace: &Namespace) -> Option<String> {
        if namespace.kind != Kind::User {
            return None;
        }
        let mut scan = self.scan.borrow_mut();
        let map = scan.uid_map(*namespace.members.first()?).ok()?;
        let ranges: Vec<String> =
            extents(map).map(|line| format!("{}:{}:{}", line.inner, line.outer, line.count)).collect();
        (!ranges.is_empty()).then(|| ranges.join(","))
    }
}

fn of_container(container: &Container) -> Option<String> {
    Some(container.to_string())
}

fn of_runtime(container: &Container) -> Option<String> {
    Some(container.runtime.name().to_owned())
}

fn of_pod(container: &Container) -> Option<String> {
    container.pod.clone()
}

fn of_image(container: &Container) -> Option<String> {
    container.image.clone()
}

fn of_creation(container: &Container) -> Option<String> {
    container.created.clone()
}

fn netname(namespace: &Namespace) -> Option<String> {
    let named = |path: &Path| NETNS.iter().any(|directory| path.parent() == Some(Path::new(directory)));
    let path = namespace.mounts.iter().find(|path| namespace.kind == Kind::Net && named(path))?;
    Some(text::shown(path.file_name()?).into_owned())
}

fn held_by(namespace: &Namespace) -> Option<String> {
    if namespace.nprocs > 0 {
        return None;
    }
    let mounts = namespace.mounts.iter().map(|path| format!("file {}", text::shown(path.as_os_str())));
    let holder = namespace.holder.as_ref().map(|holder| match holder {
        Holder::Descriptor { pid, fd } => format!("fd {fd} of {pid}"),
        Holder::Socket { pid, fd, .. } => format!("socket {fd} of {pid}"),
    });
    let all: Vec<String> = mounts.chain(holder).collect();
    (!all.is_empty()).then(|| all.join(", "))
}
