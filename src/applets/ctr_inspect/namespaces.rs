//! The namespaces of a container, compared with those of the host and of other containers.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use nix::unistd::Pid;
use serde::Serialize;

use super::proven;
use super::unknown::Unknowns;
use crate::container::IdentifiedBy;
use crate::container::commands::Commands;
use crate::container::world::{Subject, World};
use crate::isolation::ns;
use crate::order;
use crate::proc::idmap::{Which, extents};
use crate::proc::ns::{Kind, parse_link};
use crate::proc::{ProcRoot, Status, number};
use crate::sys;
use crate::text;

#[derive(Serialize, Debug, Default)]
pub(super) struct Namespaces {
    #[serde(flatten)]
    pub kinds: BTreeMap<&'static str, Namespace>,
    /// The container can change it.
    pub hostname: Option<String>,
    pub uid_map: Option<Vec<Extent>>,
    pub gid_map: Option<Vec<Extent>>,
    pub time_offsets: Option<Offsets>,
    /// Processes that entered the namespaces from outside. None if these are not known.
    pub foreign: Option<Vec<Foreign>>,
}

#[derive(Serialize, Debug, Default, Clone)]
pub(super) struct Namespace {
    pub inode: Option<u64>,
    /// Is it neither the host's nor another container's?
    pub own: Option<bool>,
    pub host: Option<bool>,
    /// None if the namespace is not known.
    pub shared_with: Option<Vec<String>>,
    /// The user namespace that owns it, and the user who created that.
    pub owner_ns: Option<u64>,
    pub owner_uid: Option<u32>,
}

#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

#[derive(Serialize, Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Offsets {
    /// In seconds.
    pub monotonic: f64,
    pub boottime: f64,
}

#[derive(Serialize, Debug)]
pub(super) struct Foreign {
    pub pid: i32,
    pub command: Option<String>,
}

/// The order of the output.
pub(super) const ORDER: [Kind; 8] =
    [Kind::Mnt, Kind::Pid, Kind::Net, Kind::Ipc, Kind::Uts, Kind::User, Kind::Cgroup, Kind::Time];

/// The namespaces of the host, by the kind's place in [`ORDER`].
pub(super) struct HostNamespaces([Option<u64>; 8]);

impl HostNamespaces {
    /// Those of PID 1, or of kthreadd: PID 1 can have a capability that this process lacks. Where neither can be
    /// read, the inodes of the first namespaces count.
    pub(super) fn read(proc: &ProcRoot) -> HostNamespaces {
        let first = proc.process(Pid::from_raw(1));
        let second = proc.process(Pid::from_raw(2));
        let is_kthreadd = second.status().is_ok_and(|status: Status| status.kernel_thread);
        HostNamespaces(ORDER.map(|kind| {
            let thread = || if is_kthreadd { second.ns(kind) } else { None };
            first.ns(kind).or_else(thread).or_else(|| kind.first_inode())
        }))
    }

    /// Is a process in the host's namespace of this kind?
    pub(super) fn has(&self, proc: &ProcRoot, pid: Pid, kind: Kind) -> Option<bool> {
        match proc.process(pid).ns(kind) {
            Some(inode) => self.is(kind, inode),
            None => proven::is_hosts(proc, pid, kind),
        }
    }

    pub(super) fn is(&self, kind: Kind, inode: u64) -> Option<bool> {
        let at = ORDER.iter().position(|other| *other == kind)?;
        self.0[at].map(|host| host == inode)
    }
}

pub(super) fn read(
    world: &World<'_>,
    subject: Subject,
    host: &HostNamespaces,
    commands: &Commands,
    unknown: &Unknowns,
) -> Namespaces {
    let process = world.proc.process(Pid::from_raw(subject.pid));
    let mut kinds = BTreeMap::new();
    for kind in ORDER {
        if let Some(found) = namespace(world, subject, host, kind, unknown) {
            kinds.insert(kind.proc_name(), found);
        }
    }
    let map = |which: Which| {
        let path = format!("namespaces.{}", which.file());
        let text = unknown.known(&path, process.id_map(which))?;
        let extent = |line: crate::proc::idmap::Extent| Extent {
            inside: line.inner,
            outside: line.outer,
            count: line.count,
        };
        Some(extents(&text).map(extent).collect())
    };
    let is_hosts = kinds.get("uts").is_some_and(|uts| uts.host == Some(true));
    Namespaces {
        hostname: hostname(world, subject, is_hosts, unknown),
        uid_map: map(Which::Users),
        gid_map: map(Which::Groups),
        time_offsets: offsets(world, subject, unknown),
        foreign: kinds
            .get("pid")
            .is_none_or(|pid| pid.inode.is_some())
            .then(|| foreign(world, subject, commands)),
        kinds,
    }
}

/// None if the kernel does not have the kind.
pub(super) fn namespace(
    world: &World<'_>,
    subject: Subject,
    host: &HostNamespaces,
    kind: Kind,
    unknown: &Unknowns,
) -> Option<Namespace> {
    let process = world.proc.process(Pid::from_raw(subject.pid));
    let link = match world.proc.link(&process.ns_path(kind)) {
        // A zombie has lost most links, whatever the kernel has.
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound && !unknown.is_copy() && !unknown.is_zombie() =>
        {
            return None;
        }
        Err(error) => {
            let is_refused = error.kind() == std::io::ErrorKind::PermissionDenied && !unknown.is_copy();
            let pid = Pid::from_raw(subject.pid);
            let host = if is_refused { proven::is_hosts(world.proc, pid, kind) } else { None };
            let what = if host.is_some() { ".inode" } else { "" };
            unknown.known::<()>(&format!("namespaces.{}{what}", kind.proc_name()), Err(error));
            let own = host.filter(|is_hosts| *is_hosts).map(|_| false);
            return Some(Namespace { host, own, ..Namespace::default() });
        }
        Ok(link) => link,
    };
    let inode = parse_link(link.as_os_str().as_encoded_bytes());
    let Some(inode) = inode else { return Some(Namespace::default()) };
    // An ordinary user can read the links of own containers, and not those of the host.
    let proven = || proven::is_hosts(world.proc, process.pid, kind).filter(|_| !unknown.is_copy());
    let is_hosts = host.is(kind, inode).or_else(proven);
    let shared_with = match is_hosts {
        Some(true) => Vec::new(),
        _ => others_in(world, subject, kind, inode),
    };
    let owner = ns::open_file(&process.ns_path(kind)).ok().and_then(|fd| owner(&fd, kind));
    Some(Namespace {
        inode: Some(inode),
        own: is_hosts.map(|is_hosts| !is_hosts && shared_with.is_empty()),
        host: is_hosts,
        shared_with: Some(shared_with),
        owner_ns: owner.map(|owner| owner.0),
        owner_uid: owner.and_then(|owner| owner.1),
    })
}

fn others_in(world: &World<'_>, subject: Subject, kind: Kind, inode: u64) -> Vec<String> {
    let others = sharing(world, subject, kind, inode).into_iter();
    let mut labels: Vec<String> = others.map(|number| world.containers[number].label.clone()).collect();
    order::sort(&mut labels);
    labels
}

/// The other containers whose first process is in this namespace.
pub(super) fn sharing(world: &World<'_>, subject: Subject, kind: Kind, inode: u64) -> Vec<usize> {
    let (mut numbers, link, mut buffer) = (Vec::new(), kind.link(), [0; 64]);
    for (number, known) in world.containers.iter().enumerate() {
        let related =
            subject.container.is_some_and(|own| world.is_within(own, number) || world.is_within(number, own));
        if related {
            continue;
        }
        let found = world.links.link(Pid::from_raw(known.chief()), &link, &mut buffer);
        if found.is_ok_and(|text| parse_link(text) == Some(inode)) {
            numbers.push(number);
        }
    }
    numbers
}

/// The user namespace that owns a namespace (for a user namespace: itself), and the user who created it.
fn owner(fd: &OwnedFd, kind: Kind) -> Option<(u64, Option<u32>)> {
    let inode = |fd: &OwnedFd| sys::file_id(fd, c"").ok().map(|(_, inode)| inode);
    if kind == Kind::User {
        return Some((inode(fd)?, ns::owner_uid(fd)));
    }
    let owner = ns::owner_of(fd).ok()?;
    Some((inode(&owner)?, ns::owner_uid(&owner)))
}

/// A container that shares the host's UTS namespace has the host name of this process. To read another one takes
/// CAP_SYS_ADMIN.
fn hostname(world: &World<'_>, subject: Subject, is_hosts: bool, unknown: &Unknowns) -> Option<String> {
    if is_hosts && world.proc.path() == std::path::Path::new("/proc") {
        let name = nix::unistd::gethostname().ok()?;
        return Some(text::utf8(name.as_encoded_bytes()).into_owned());
    }
    let path = "namespaces.hostname";
    if !unknown.is_live(path) {
        return None;
    }
    let name = ns::hostname(world.proc, Pid::from_raw(subject.pid));
    if name.is_none() {
        unknown.refused(path, "enter its UTS namespace and ask");
    }
    name
}

/// None before Linux 5.6.
fn offsets(world: &World<'_>, subject: Subject, unknown: &Unknowns) -> Option<Offsets> {
    let read = world.proc.process(Pid::from_raw(subject.pid)).clock_offsets();
    let text = unknown.maybe("namespaces.time_offsets", read)?;
    let of = |clock: &[u8]| {
        let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(clock))?;
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let (seconds, nanoseconds) = (number::<i64>(fields.next()?)?, number::<i64>(fields.next()?)?);
        #[expect(clippy::cast_precision_loss, reason = "an offset of millions of years is none")]
        Some(seconds as f64 + nanoseconds as f64 / 1e9)
    };
    Some(Offsets { monotonic: of(b"monotonic")?, boottime: of(b"boottime")? })
}

/// Those that came by setns(2), and not as children of processes inside.
fn foreign(world: &World<'_>, subject: Subject, commands: &Commands) -> Vec<Foreign> {
    let Some(number) = subject.container else { return Vec::new() };
    let found = entered(world, number).map(|pid| Foreign { pid, command: commands.get(world, pid) });
    found.collect()
}

/// The processes that are in the container's namespaces alone, whose parent is outside.
pub(super) fn entered<'a>(world: &'a World<'_>, number: usize) -> impl Iterator<Item = i32> + 'a {
    let known = &world.containers[number];
    // A container that is known by namespaces alone has only such processes.
    let by_group =
        !matches!(known.container.identified_by, IdentifiedBy::Anonymous | IdentifiedBy::Namespace);
    let is_inside = move |pid: i32| world.process(pid).is_some_and(|parent| parent.container == Some(number));
    world
        .processes
        .iter()
        .filter(move |process| {
            process.container == Some(number)
                && Some(process.pid) != known.init
                && (!by_group || process.how == Some(IdentifiedBy::Namespace))
                && known.init.is_some()
                // An orphan is the child of PID 1 of the host, if the container has no pid namespace.
                && !process.ppid.is_some_and(|ppid| ppid == 1 || is_inside(ppid))
        })
        .map(|process| process.pid)
}
