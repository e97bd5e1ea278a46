//! Why another process or its namespaces cannot be used: its user namespace, its user, its capabilities, or that it
//! has ended.

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use caps::Capability;
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::facts::mask;
use super::maps::covered;
use super::{Case, Finding, list};
use crate::isolation::before::{Before, Namespace, Rights};
use crate::isolation::ns;
use crate::isolation::operation::Operation;
use crate::proc::idmap::{Extent, Range, extents};
use crate::proc::mountinfo::MountInfo;
use crate::proc::ns::Kind;

use Finding::{Answer, No, Perhaps, Sure};

/// The PID of the target: the kernel shows it for a pidfd, and a path below /proc contains it.
fn pid(case: &Case<'_>) -> Option<Pid> {
    let number = match case.operation {
        Operation::Process { before: Some(before), .. } if before.target.is_some() => return before.target,
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

pub(super) fn before<'c>(case: &'c Case<'_>) -> Option<&'c Before> {
    match case.operation {
        Operation::Process { before, .. } | Operation::File { before, .. } => before.as_deref(),
        _ => None,
    }
}

/// The namespaces of the operation, as they were seen before the first one was entered.
fn namespaces<'c>(case: &'c Case<'_>, before: &'c Before) -> impl Iterator<Item = &'c Namespace> {
    case.operation.kinds().iter().filter_map(|kind| before.of_kind(*kind))
}

/// `--net`
fn option(kind: Kind) -> &'static str {
    match kind {
        Kind::Mnt => "--mount",
        Kind::Uts => "--uts",
        Kind::Ipc => "--ipc",
        Kind::Net => "--net",
        Kind::Pid => "--pid",
        Kind::Cgroup => "--cgroup",
        Kind::User => "--user",
        Kind::Time => "--time",
    }
}

/// The kernel refuses to enter a namespace again without CAP_SYS_ADMIN over it.
pub(super) fn already(case: &Case<'_>) -> Option<Finding> {
    let before = before(case)?;
    let refused = |namespace: &&Namespace| {
        namespace.is_own
            && namespace.kind != Kind::User
            && matches!(namespace.rights, Rights::Lacking | Rights::Above)
    };
    let own: Vec<&Namespace> = namespaces(case, before).filter(refused).collect();
    if own.is_empty() {
        return Some(No);
    }
    let mut reasons = Vec::new();
    let (waiting, plain): (Vec<&Namespace>, Vec<&Namespace>) =
        own.into_iter().partition(|namespace| namespace.has_other_for_children);
    if !plain.is_empty() {
        let kinds: Vec<String> =
            plain.iter().map(|namespace| namespace.kind.proc_name().to_owned()).collect();
        let options: Vec<String> = plain.iter().map(|namespace| option(namespace.kind).to_owned()).collect();
        let (s, them) = if plain.len() == 1 { ("", "it") } else { ("s", "them") };
        reasons.push(format!(
            "this process is already in the {} namespace{s} of the target, and may not enter {them} again; omit \
             {} (in place of --all, name the other kinds)",
            list(&kinds),
            list(&options)
        ));
    }
    if let ([first, ..], Some(pid)) = (&waiting[..], before.target) {
        let kind = first.kind.proc_name();
        reasons.push(match before.child {
            Some(child) => format!(
                "process {pid} is itself in the {kind} namespace of this process; only its children are in the \
                 {kind} namespace that it made; enter that of its child: --target {child}"
            ),
            None => format!(
                "process {pid} is itself in the {kind} namespace of this process; only its children are in the \
                 {kind} namespace that it made; give the PID of a child"
            ),
        });
    }
    Some(Answer(reasons.join("; also, ")))
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

/// To enter a namespace, a process needs CAP_SYS_ADMIN in the user namespace that owns it, and in its own.
pub(super) fn other_user_ns(case: &Case<'_>) -> Option<Finding> {
    let before = before(case)?;
    let enters_user = before.of_kind(Kind::User).is_some();
    // The user namespace is entered first, and separately from this one.
    let inside = enters_user && !case.operation.kinds().contains(&Kind::User);
    let reasons: Vec<String> = namespaces(case, before)
        .filter(|namespace| !namespace.is_own)
        .filter_map(|namespace| foreign(case, namespace, enters_user, inside))
        .collect();
    match reasons.first() {
        Some(reason) => Some(Answer(reason.clone())),
        None if namespaces(case, before).any(|namespace| namespace.rights == Rights::Unknown) => None,
        None => Some(No),
    }
}

/// Why this namespace, which is not that of this process, cannot be entered.
fn foreign(case: &Case<'_>, namespace: &Namespace, enters_user: bool, inside: bool) -> Option<String> {
    let kind = namespace.kind.proc_name();
    let belongs = match namespace.kind {
        Kind::User => "its user namespace belongs".to_owned(),
        _ => format!("its {kind} namespace belongs to a user namespace"),
    };
    let too = if enters_user { "" } else { ", and enter that too: --user" };
    match namespace.rights {
        Rights::Above if namespace.kind == Kind::User => Some(
            "its user namespace is not below that of this process; enter it from there, as from the host"
                .to_owned(),
        ),
        Rights::Above => {
            Some(format!("{belongs} that is not below this one; enter it from there, as from the host"))
        }
        Rights::Lacking if namespace.kind == Kind::User => None,
        Rights::Lacking => Some(format!(
            "its {kind} namespace belongs to the user namespace of this process, in which CAP_SYS_ADMIN is \
             missing; {}",
            case.facts.by_root(Capability::CAP_SYS_ADMIN)
        )),
        Rights::OtherUser(uid) if namespace.kind == Kind::User => {
            Some(format!("{belongs} to {}", case.facts.other_user(uid)))
        }
        Rights::OtherUser(uid) => Some(format!("{belongs} of {}{too}", case.facts.other_user(uid))),
        Rights::Inside if !enters_user => {
            Some(format!("its {kind} namespace belongs to another user namespace of this user; enter that too: --user"))
        }
        Rights::Inside if inside => Some(format!(
            "its {kind} namespace belongs to a user namespace that is not the one entered, nor below it; enter \
             that user namespace instead"
        )),
        Rights::Inside | Rights::Held | Rights::Unknown => None,
    }
}

/// Access to a process requires the same user and group and all of its capabilities, or CAP_SYS_PTRACE (ptrace(2)).
pub(super) fn stronger(case: &Case<'_>) -> Option<Finding> {
    if matches!(case.operation, Operation::File { .. }) {
        return None; // the file is open: access to the process is not needed
    }
    if before(case).is_some_and(|before| before.access == Some(true)) {
        return Some(No);
    }
    let pid = pid(case)?;
    if stands_above(case, pid)? {
        return Some(Answer(format!(
            "process {pid} is in a user namespace that is not below this one; enter it from there, as from the host"
        )));
    }
    if !case.facts.lacks(Capability::CAP_SYS_PTRACE)? {
        return Some(No);
    }
    let by_root = case.facts.by_root(Capability::CAP_SYS_PTRACE);
    let uid = case.facts.field_of(pid, "Uid")?;
    if let Some((own, other)) = differing(case.facts.field("Uid")?, &uid) {
        return Some(Answer(format!(
            "process {pid} belongs to user {other}, and this process runs as user {own}; be that user, or have \
             CAP_SYS_PTRACE: {by_root}"
        )));
    }
    let gid = case.facts.field_of(pid, "Gid")?;
    if let Some((own, other)) = differing(case.facts.field("Gid")?, &gid) {
        return Some(Answer(format!(
            "process {pid} runs with group {other}, and this process with group {own}; have that group, or \
             CAP_SYS_PTRACE: {by_root}"
        )));
    }
    Some(match stronger_sets(case, pid)? {
        Some(words) => words,
        None if is_hidden(case, pid, &uid) == Some(true) => Answer(format!(
            "process {pid} is not dumpable (prctl(2), PR_SET_DUMPABLE), so only a process with CAP_SYS_PTRACE may \
             look at it: {by_root}"
        )),
        None => No,
    })
}

/// The own id, and an id of the target that is another: of its real, effective and saved ids.
fn differing(own: &str, target: &str) -> Option<(String, String)> {
    let own = own.split_whitespace().nth(1)?;
    let other = target.split_whitespace().take(3).find(|id| *id != own)?;
    Some((own.to_owned(), other.to_owned()))
}

/// The capabilities of the target that this process lacks. In a user namespace below they do not matter, but who owns
/// that does.
fn stronger_sets(case: &Case<'_>, pid: Pid) -> Option<Option<Finding>> {
    let map = |path| case.facts.text(path);
    if map(&case.facts.proc.path_of(pid, "uid_map"))? != map(&case.facts.proc.own("uid_map"))? {
        return Some(Some(Perhaps(format!(
            "process {pid} is in a user namespace that another user has made; be that user, or have \
             CAP_SYS_PTRACE: {}",
            case.facts.by_root(Capability::CAP_SYS_PTRACE)
        ))));
    }
    let target = mask(&case.facts.field_of(pid, "CapPrm")?)?;
    let own = mask(case.facts.field("CapPrm")?)?;
    let mut more: Vec<String> = caps::all()
        .iter()
        .filter(|cap| cap.bitmask() & target & !own != 0)
        .map(ToString::to_string)
        .collect();
    more.sort();
    Some((!more.is_empty()).then(|| {
        // Another user namespace can have the same map.
        Perhaps(format!(
            "process {pid} has capabilities that this process lacks: {}; have them too, or CAP_SYS_PTRACE: {}",
            list(&more),
            case.facts.by_root(Capability::CAP_SYS_PTRACE)
        ))
    }))
}

/// The files of a process that is not dumpable belong to root (proc(5)).
fn is_hidden(case: &Case<'_>, pid: Pid, uid: &str) -> Option<bool> {
    let meta = std::fs::metadata(case.facts.proc.path_of(pid, "status")).ok()?;
    let euid: u32 = uid.split_whitespace().nth(1)?.parse().ok()?;
    Some(meta.uid() != euid)
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
    Some(match before(case)?.of_kind(Kind::User)?.is_own {
        true => {
            Answer("this process is already in that user namespace; omit --user".to_owned())
        }
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
    Some(match before(case)?.of_kind(Kind::Pid)?.is_below? {
        true => No,
        false => Sure(
            "its pid namespace is not below this one; enter it from above, as from the host".to_owned(),
        ),
    })
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
