//! Why another process or its namespaces cannot be used: its user namespace, its user, its capabilities, or that it
//! has ended.

use std::os::fd::{AsRawFd, OwnedFd};

use caps::Capability;
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::facts::mask;
use super::maps::covered;
use super::{Case, Finding};
use crate::isolation::ns;
use crate::isolation::operation::Operation;
use crate::proc::idmap::{Extent, Range, extents};
use crate::proc::mountinfo::MountInfo;
use crate::proc::ns::Kind;

use Finding::{No, Perhaps, Sure};

/// The PID of the target: the kernel shows it for a pidfd, and a path below /proc contains it.
fn pid(case: &Case<'_>) -> Option<Pid> {
    let number = match case.operation {
        Operation::Process { pidfd, .. } => {
            let file = format!("fdinfo/{}", pidfd.as_ref()?.as_raw_fd());
            let info = case.facts.text(&case.facts.proc.own(&file))?;
            info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?
        }
        Operation::Open(path) => {
            let below = path.strip_prefix(case.facts.proc.path()).ok()?;
            below.components().next()?.as_os_str().to_str()?.parse().ok()?
        }
        _ => return None,
    };
    Some(Pid::from_raw(number))
}

/// The namespaces of the operation, as far as this process may open them.
fn namespaces(case: &Case<'_>) -> Vec<(Kind, OwnedFd)> {
    match case.operation {
        Operation::File { fd, kind } => {
            let fd = fd.as_ref().and_then(|fd| fd.try_clone().ok());
            fd.map(|fd| (*kind, fd)).into_iter().collect()
        }
        Operation::Process { kinds, .. } => {
            let Some(pid) = pid(case) else { return Vec::new() };
            let open =
                |&kind: &Kind| Some((kind, ns::open_file(&case.facts.proc.path_of(pid, &kind.link())).ok()?));
            kinds.iter().filter_map(open).collect()
        }
        _ => Vec::new(),
    }
}

fn same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let id = |fd: &OwnedFd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    id(one).is_some() && id(one) == id(other)
}

pub(super) fn gone(case: &Case<'_>) -> Option<Finding> {
    if !case.facts.is_readable() {
        return None;
    }
    let Some(pid) = pid(case).filter(|pid| pid.as_raw() > 0) else {
        return matches!(case.operation, Operation::Process { .. })
            .then(|| Sure("the target has ended".to_owned()));
    };
    if !case.facts.proc.path_of(pid, "").exists() {
        let words = match (case.operation, hides(case)) {
            (Operation::Process { .. }, _) => "the target has ended".to_owned(),
            (_, true) => return None, // it may exist: see `hidden`
            (_, false) => format!("there is no process {pid} in this pid namespace, or it has ended"),
        };
        return Some(Sure(words));
    }
    match case.facts.field_of(pid, "State") {
        Some(state) if state.starts_with('Z') => {
            let parent = case.facts.field_of(pid, "PPid").unwrap_or_default();
            Some(Sure(format!(
                "process {pid} has ended and no longer has namespaces; it is a zombie until its parent, \
                 {parent}, waits for it"
            )))
        }
        Some(_) => Some(No),
        None => None,
    }
}

/// Is proc mounted with hidepid, so that it does not show the processes of other users?
fn hides(case: &Case<'_>) -> bool {
    let is_proc = |mount: &&MountInfo| mount.mount_point == case.facts.proc.path();
    let mount = case.facts.mounts().and_then(|mounts| mounts.iter().rfind(is_proc));
    let hides = |mount: &MountInfo| match mount.super_options.get("hidepid") {
        Some(Some(mode)) => mode != "0" && mode != "off",
        _ => false,
    };
    mount.is_some_and(hides)
}

pub(super) fn hidden(case: &Case<'_>) -> Option<Finding> {
    let pid = pid(case)?;
    Some(match hides(case) && !case.facts.proc.path_of(pid, "").exists() {
        true => Perhaps(format!("process {pid} is hidden: /proc is mounted with hidepid; be root")),
        false => No,
    })
}

/// To enter a namespace, a process needs capabilities in the user namespace that owns it.
pub(super) fn other_user_ns(case: &Case<'_>) -> Option<Finding> {
    let own = case.facts.own_ns(Kind::User)?;
    let namespaces = namespaces(case);
    if let Some((_, user)) = namespaces.iter().find(|(kind, _)| *kind == Kind::User) {
        return owned_by_another(case, user);
    }
    let (kind, fd) = namespaces.first()?;
    let owner = match ns::owner_of(fd) {
        Ok(owner) if same(&owner, &own) => return Some(No),
        Ok(owner) => Some(owner),
        Err(nix::errno::Errno::EPERM) => None, // not below the own one: the kernel does not show it
        Err(_) => return None,
    };
    let name = kind.proc_name();
    let uid = owner.as_ref().and_then(ns::owner_uid);
    Some(match (uid, case.facts.euid()) {
        (Some(uid), Some(euid)) if uid == euid => Sure(format!(
            "its {name} namespace belongs to another user namespace of this user; enter that too: --user"
        )),
        (Some(uid), _) => Sure(format!(
            "its {name} namespace belongs to a user namespace of user {uid}; be root or that user, and enter \
             that too: --user"
        )),
        (None, _) => Sure(format!(
            "its {name} namespace belongs to a user namespace that is not below this one; enter it from there, as \
             from the host"
        )),
    })
}

/// Its owner may enter it, and any process with CAP_SYS_ADMIN in a user namespace above.
fn owned_by_another(case: &Case<'_>, user: &OwnedFd) -> Option<Finding> {
    let (uid, euid) = (ns::owner_uid(user)?, case.facts.euid()?);
    Some(match case.facts.lacks(Capability::CAP_SYS_ADMIN)? {
        true if uid != euid => Sure(format!(
            "its user namespace belongs to user {uid}, and this process runs as user {euid}; be root or that user"
        )),
        _ => No,
    })
}

/// Access to a process requires the same user and all of its capabilities, or CAP_SYS_PTRACE (ptrace(2)).
pub(super) fn stronger(case: &Case<'_>) -> Option<Finding> {
    if matches!(case.operation, Operation::File { .. }) {
        return None; // the file is open: access to the process is not needed
    }
    let pid = pid(case)?;
    if stands_above(case, pid)? {
        return Some(Sure(format!(
            "process {pid} is in a user namespace that is not below this one; enter it from there, as from the host"
        )));
    }
    if !case.facts.lacks(Capability::CAP_SYS_PTRACE)? {
        return Some(No);
    }
    let uids = case.facts.field_of(pid, "Uid")?;
    let euid = case.facts.euid()?;
    if let Some(uid) = uids.split_whitespace().take(3).find(|uid| **uid != euid.to_string()) {
        return Some(Sure(format!(
            "process {pid} belongs to user {uid}, and this process runs as user {euid}; be root or that user (or have CAP_SYS_PTRACE)"
        )));
    }
    let target = mask(&case.facts.field_of(pid, "CapPrm")?)?;
    let own = mask(case.facts.field("CapEff")?)?;
    let names = caps::all();
    let mut more: Vec<String> =
        names.iter().filter(|cap| cap.bitmask() & target & !own != 0).map(ToString::to_string).collect();
    more.sort();
    Some(match more.is_empty() {
        true => No,
        // Only possible: in a user namespace below, the capabilities of the target do not matter.
        false => Perhaps(format!(
            "process {pid} has capabilities that this process lacks: {}; it needs them too, or CAP_SYS_PTRACE",
            super::list(&more)
        )),
    })
}

/// A process reads the outer ids of another's map as ids of its own user namespace. For a process in the same user
/// namespace the kernel shows the same map; for one below, outer ids that exist here.
fn stands_above(case: &Case<'_>, pid: Pid) -> Option<bool> {
    let target = case.facts.text(&case.facts.proc.path_of(pid, "uid_map"))?;
    let own = case.facts.text(&case.facts.proc.own("uid_map"))?;
    let ids = Range::identity_of(own.as_bytes());
    let foreign = |line: Extent| !covered(&ids, &Range { inner: None, outer: line.outer, count: line.count });
    Some(target != own && extents(target.as_bytes()).any(foreign))
}

pub(super) fn same_user_ns(case: &Case<'_>) -> Option<Finding> {
    if !case.operation.kinds().contains(&Kind::User) {
        return Some(No);
    }
    let own = case.facts.own_ns(Kind::User)?;
    let namespaces = namespaces(case);
    let (_, user) = namespaces.iter().find(|(kind, _)| *kind == Kind::User)?;
    Some(match same(user, &own) {
        true => Sure("this process is already in that user namespace; omit --user".to_owned()),
        false => No,
    })
}

pub(super) fn threads(case: &Case<'_>) -> Option<Finding> {
    let threads: u32 = case.facts.field("Threads")?.parse().ok()?;
    let matters = case.operation.kinds().contains(&Kind::User);
    Some(match threads {
        2.. if matters => Sure(format!(
            "this process has {threads} threads, and only a process with one thread may enter it"
        )),
        _ => No,
    })
}

/// A pid namespace can be entered only from an ancestor or from itself.
pub(super) fn not_below(case: &Case<'_>) -> Option<Finding> {
    if !case.operation.kinds().contains(&Kind::Pid) {
        return Some(No);
    }
    let own = case.facts.own_ns(Kind::Pid)?;
    let namespaces = namespaces(case);
    let (_, wanted) = namespaces.iter().find(|(kind, _)| *kind == Kind::Pid)?;
    let mut above = wanted.try_clone().ok()?;
    loop {
        if same(&above, &own) {
            return Some(No);
        }
        match ns::parent_of(&above) {
            Ok(parent) => above = parent,
            // The kernel shows no ancestors above the own pid namespace.
            Err(nix::errno::Errno::EPERM) => {
                return Some(Sure(
                    "its pid namespace is not below this one; enter it from above, as from the host"
                        .to_owned(),
                ));
            }
            Err(_) => return None,
        }
    }
}

pub(super) fn other_kind(case: &Case<'_>) -> Option<Finding> {
    let Operation::File { fd: Some(fd), kind } = case.operation else { return None };
    Some(match ns::kind_of(fd) {
        Some(other) if other == *kind => No,
        Some(other) => Sure(format!("that file is a {} namespace", other.proc_name())),
        None => Sure(match fstat(fd).ok()?.st_size {
            // A file made for a bind mount, with nothing mounted on it.
            0 => "that file is not a namespace; the one kept there is gone, or none was kept yet".to_owned(),
            _ => "that file is not a namespace".to_owned(),
        }),
    })
}
