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
use crate::isolation::before::{Before, Namespace, Owner};
use crate::isolation::look::take;
use crate::isolation::ns;
use crate::isolation::operation::Operation;
use crate::order;
use crate::proc::hidepid;
use crate::proc::idmap::{Extent, Range, extents};
use crate::proc::ns::Kind;

use Finding::{Answer, No, Perhaps};

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

/// The namespaces of the operation, if this process is still where it was before.
pub(super) fn look(case: &Case<'_>) -> Option<Before> {
    let proc = case.facts.proc;
    match case.operation {
        Operation::Process { kinds, .. } => Some(take(proc, Some(pid(case)?), kinds, std::iter::empty())),
        Operation::File { fd: Some(fd), kind, .. } => {
            Some(take(proc, None, &[], std::iter::once((*kind, fd))))
        }
        _ => None,
    }
}

/// Does the run enter a user namespace, with this operation or another one?
pub(super) fn enters_user_ns(case: &Case<'_>) -> bool {
    case.operation.kinds().contains(&Kind::User)
        || case.before().is_some_and(|before| before.of_kind(Kind::User).is_some())
}

/// The namespaces of the operation.
fn namespaces<'c>(case: &'c Case<'_>, before: &'c Before) -> impl Iterator<Item = &'c Namespace> + Clone {
    case.operation.kinds().iter().filter_map(|kind| before.of_kind(*kind))
}

/// `--net`
fn option(kind: Kind) -> String {
    match kind {
        Kind::Mnt => "--mount".to_owned(),
        _ => format!("--{}", kind.proc_name()),
    }
}

fn options(namespaces: &[&Namespace]) -> String {
    list(&namespaces.iter().map(|namespace| option(namespace.kind)).collect::<Vec<String>>())
}

/// To enter a namespace, a process needs CAP_SYS_ADMIN in the user namespace that owns it, and in its own. If a user
/// namespace is entered, it has them there, and in all below.
pub(super) fn ownership(case: &Case<'_>) -> Option<Finding> {
    let before = case.before()?;
    let by_process = matches!(case.operation, Operation::Process { .. });
    if by_process && before.access == Some(false) {
        return None;
    }
    let entered = before.of_kind(Kind::User);
    if let Some(reason) = namespaces(case, before).find_map(|namespace| foreign_user_ns(case, namespace)) {
        return Some(Answer(reason));
    }
    let others = namespaces(case, before).filter(|namespace| namespace.kind != Kind::User);
    let refused = |namespace: &&Namespace| namespace.may_enter == Some(false) && !namespace.is_within_entered;
    let (own, foreign): (Vec<&Namespace>, Vec<&Namespace>) =
        others.clone().filter(refused).partition(|namespace| namespace.is_own);
    // Root of this user namespace could enter its own ones again too: see `limits::capability`.
    let root_may = |namespace: &&Namespace| entered.is_none() && namespace.owner == Owner::Own;
    let mut reasons = Vec::new();
    if !foreign.iter().any(root_may) {
        reasons.extend(already(before, &own, by_process));
    }
    let foreign: Vec<&Namespace> = foreign.into_iter().filter(|namespace| !root_may(namespace)).collect();
    reasons.extend(foreign.first().and_then(|namespace| not_owned(case, namespace, entered.is_some())));
    match reasons.is_empty() {
        false => Some(Answer(reasons.join("; also, "))),
        true if others.clone().any(|namespace| namespace.may_enter.is_none()) => None,
        true => Some(No),
    }
}

fn foreign_user_ns(case: &Case<'_>, namespace: &Namespace) -> Option<String> {
    if namespace.kind != Kind::User || namespace.is_own || namespace.may_enter != Some(false) {
        return None;
    }
    match namespace.owner {
        Owner::Below(Some(uid)) => {
            Some(format!("the user namespace belongs to {}", case.facts.other_user(uid)))
        }
        Owner::Above => Some(
            "the user namespace is not below that of this process; enter it from there, as from the host"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The kernel lets no process enter its own namespace again without CAP_SYS_ADMIN over it.
fn already(before: &Before, own: &[&Namespace], by_process: bool) -> Vec<String> {
    let (waiting, plain): (Vec<&Namespace>, Vec<&Namespace>) =
        own.iter().partition(|namespace| namespace.has_other_for_children);
    let mut reasons = Vec::new();
    if !plain.is_empty() {
        let kinds: Vec<String> = plain.iter().map(|one| one.kind.proc_name().to_owned()).collect();
        let (s, them) = if plain.len() == 1 { ("", "it") } else { ("s", "them") };
        let whose = if by_process { " of the target" } else { "" };
        reasons.push(format!(
            "this process is already in the {} namespace{s}{whose}, and may not enter {them} again; omit {} (or, in \
             place of --all, name the other namespaces)",
            list(&kinds),
            options(&plain)
        ));
    }
    if let ([first, ..], Some(pid)) = (&waiting[..], before.target) {
        let kind = first.kind.proc_name();
        let remedy = match before.child {
            Some(child) => format!("enter those of its child: --target {child}"),
            None => "give the PID of a child".to_owned(),
        };
        reasons.push(format!(
            "process {pid} is itself in the {kind} namespace of this process, and only its children are in the one \
             that it made; {remedy}"
        ));
    }
    reasons
}

/// Why this namespace, which is not that of this process, cannot be entered. None if only a capability is missing.
fn not_owned(case: &Case<'_>, namespace: &Namespace, enters_user: bool) -> Option<String> {
    let kind = namespace.kind.proc_name();
    let omit = option(namespace.kind);
    match namespace.owner {
        Owner::Above => Some(format!(
            "the {kind} namespace belongs to a user namespace that is not below this one; enter it from there, as from \
             the host"
        )),
        Owner::Own => enters_user.then(|| {
            format!(
                "the {kind} namespace belongs to the user namespace of this process, and not to the one that is \
                 entered; run as root, or omit {omit}"
            )
        }),
        // The user namespace may have been entered by now, and then ids of users are those inside.
        Owner::Below(_) if enters_user => Some(format!(
            "the {kind} namespace belongs to a user namespace that is not the one that is entered, nor below it; enter \
             that one, or omit {omit}"
        )),
        Owner::Below(Some(uid)) if case.facts.euid() == Some(uid) => Some(format!(
            "the {kind} namespace belongs to another user namespace of this user; enter that too: --user"
        )),
        Owner::Below(Some(uid)) if case.facts.lacks(Capability::CAP_SYS_ADMIN) == Some(true) => Some(format!(
            "the {kind} namespace belongs to a user namespace of {}, and enter that too: --user",
            case.facts.other_user(uid)
        )),
        Owner::Below(_) | Owner::Unknown => None,
    }
}

pub(super) fn gone(case: &Case<'_>) -> Option<Finding> {
    if !case.facts.is_readable() {
        return None;
    }
    let Some(pid) = pid(case).filter(|pid| pid.as_raw() > 0) else {
        return matches!(case.operation, Operation::Process { .. })
            .then(|| Answer("the target has ended".to_owned()));
    };
    if case.facts.proc.metadata(&case.facts.proc.path_of(pid, "")).is_err() {
        let words = match (case.operation, hidepid(case.facts.proc).is_some()) {
            (Operation::Process { .. }, _) => "the target has ended".to_owned(),
            (_, true) => return None, // it may exist: see `hidden`
            (_, false) => format!("there is no process {pid} in this pid namespace, or it has ended"),
        };
        return Some(Answer(words));
    }
    match case.facts.field_of(pid, "State") {
        Some(state)
            if state.starts_with('Z') && case.facts.field_of(pid, "Threads").is_some_and(is_several) =>
        {
            Some(Answer(format!(
                "the first thread of process {pid} has ended; others run: name one of those in /proc/{pid}/task as the target"
            )))
        }
        Some(state) if state.starts_with('Z') => {
            let parent = case.facts.field_of(pid, "PPid").unwrap_or_default();
            Some(Answer(format!(
                "process {pid} has ended and no longer has namespaces; it is a zombie until its parent, \
                 {parent}, waits for it"
            )))
        }
        Some(_) => Some(No),
        None => None,
    }
}

fn is_several(threads: String) -> bool {
    threads.parse().is_ok_and(|threads: u64| threads > 1)
}

pub(super) fn hidden(case: &Case<'_>) -> Option<Finding> {
    let pid = pid(case)?;
    let proc = case.facts.proc;
    let is_hidden = hidepid(proc).is_some() && proc.metadata(&proc.path_of(pid, "")).is_err();
    Some(match is_hidden {
        true => Perhaps(format!("process {pid} is hidden: /proc is mounted with hidepid; run as root")),
        false => No,
    })
}

/// Access to a process requires the same user and group and all of its capabilities, or CAP_SYS_PTRACE (ptrace(2)).
pub(super) fn stronger(case: &Case<'_>) -> Option<Finding> {
    if matches!(case.operation, Operation::File { .. }) {
        return None; // the file is open: access to the process is not needed
    }
    if case.before().is_some_and(|before| before.access == Some(true)) {
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
        let remedy = match other.as_str() {
            "0" => by_root.to_owned(),
            _ => format!("run as that user, or with CAP_SYS_PTRACE: {by_root}"),
        };
        return Some(Answer(format!(
            "process {pid} belongs to user {other}, and this process runs as user {own}; {remedy}"
        )));
    }
    let gid = case.facts.field_of(pid, "Gid")?;
    if let Some((own, other)) = differing(case.facts.field("Gid")?, &gid) {
        return Some(Answer(format!(
            "process {pid} runs with group {other}, and this process with group {own}; run with that group, or with \
             CAP_SYS_PTRACE: {by_root}"
        )));
    }
    more_capable(case, pid, &uid)
}

/// The own id, and an id of the target that is another: of its real, effective and saved ids.
fn differing(own: &str, target: &str) -> Option<(String, String)> {
    let own = own.split_whitespace().nth(1)?;
    let other = target.split_whitespace().take(3).find(|id| *id != own)?;
    Some((own.to_owned(), other.to_owned()))
}

/// A process of the same user and group: it has capabilities that this one lacks, or is not dumpable.
fn more_capable(case: &Case<'_>, pid: Pid, uid: &str) -> Option<Finding> {
    let by_root = case.facts.by_root(Capability::CAP_SYS_PTRACE);
    let map = |path| case.facts.text(path);
    if map(&case.facts.proc.path_of(pid, "uid_map"))? != map(&case.facts.proc.own("uid_map"))? {
        return Some(Perhaps(format!(
            "process {pid} is in a user namespace that another user has made; run as that user, or with CAP_SYS_PTRACE: \
             {by_root}"
        )));
    }
    if is_hidden(case, pid, uid) == Some(true) {
        return Some(Answer(format!(
            "process {pid} is not dumpable (prctl(2), PR_SET_DUMPABLE), so only a process with CAP_SYS_PTRACE may \
             look at it: {by_root}"
        )));
    }
    let target = mask(&case.facts.field_of(pid, "CapPrm")?)?;
    let own = mask(case.facts.field("CapPrm")?)?;
    let missing = caps::all().into_iter().filter(|cap| cap.bitmask() & target & !own != 0);
    let mut names: Vec<String> = missing.map(|cap| cap.to_string()).collect();
    order::sort(&mut names);
    Some(match names.is_empty() {
        true => No,
        // Another user namespace can have the same map; then the capabilities there do not matter.
        false => Perhaps(format!(
            "process {pid} has capabilities that this process lacks: {}; run with these too, or with CAP_SYS_PTRACE: {by_root}",
            list(&names)
        )),
    })
}

/// The files of a process that is not dumpable belong to root (proc(5)).
fn is_hidden(case: &Case<'_>, pid: Pid, uid: &str) -> Option<bool> {
    let meta = case.facts.proc.metadata(&case.facts.proc.path_of(pid, "status")).ok()?;
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
    Some(match case.before()?.of_kind(Kind::User)?.is_own {
        true => {
            let option = match case.operation {
                Operation::File { .. } => "the option that names it (--user, --user-parent)",
                _ => "--user",
            };
            Answer(format!("this process is already in that user namespace; omit {option}"))
        }
        false => No,
    })
}

pub(super) fn threads(case: &Case<'_>) -> Option<Finding> {
    let threads: u32 = case.facts.field("Threads")?.parse().ok()?;
    let matters = case.operation.kinds().contains(&Kind::User);
    Some(match threads {
        2.. if matters => Answer(format!(
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
    Some(match case.before()?.of_kind(Kind::Pid)?.is_below? {
        true => No,
        false => Answer(
            "the pid namespace is not below this one; enter it from above, as from the host".to_owned(),
        ),
    })
}

pub(super) fn other_kind(case: &Case<'_>) -> Option<Finding> {
    let Operation::File { fd: Some(fd), kind, .. } = case.operation else { return None };
    Some(match ns::kind_of(fd) {
        Some(other) if other == *kind => No,
        Some(other) => Answer(format!("that file is a {} namespace", other.proc_name())),
        None => Answer(match fstat(fd).ok()?.st_size {
            // A file made for a bind mount, with nothing mounted on it.
            0 => "that file is not a namespace: no namespace is mounted on it now".to_owned(),
            _ => "that file is not a namespace".to_owned(),
        }),
    })
}
