//! Limits and rules that prevent new namespaces: settings of the host, filters, capabilities.

use std::path::{Path, PathBuf};

use caps::Capability;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::unistd::chroot;

use super::{Case, Finding, list, target};
use crate::isolation::ns;
use crate::isolation::operation::Operation;
use crate::proc::idmap::Which;
use crate::proc::mountinfo;
use crate::proc::ns::Kind;
use crate::sys;

use Finding::{Answer, No, Perhaps, Sure};

/// The kernel's limit for the nesting of pid and user namespaces.
const DEEPEST: u32 = 32;

/// `user.max_net_namespaces`
fn setting(kind: Kind) -> String {
    format!("max_{}_namespaces", kind.proc_name())
}

/// ENOSPC: a limit of this user namespace or of an ancestor is reached. Each of them counts per user.
pub(super) fn used_up(case: &Case<'_>) -> Option<Finding> {
    let limits: Vec<(Kind, Option<u64>)> = case
        .operation
        .kinds()
        .iter()
        .map(|&kind| (kind, case.facts.sysctl(&format!("user/{}", setting(kind)))))
        .collect();
    let zero: Vec<String> = limits
        .iter()
        .filter(|(_, limit)| *limit == Some(0))
        .map(|(kind, _)| format!("user.{}", setting(*kind)))
        .collect();
    if let [first, ..] = &zero[..] {
        let are = if zero.len() == 1 { "is" } else { "are" };
        return Some(Sure(format!("{} {are} 0 here; as root: sysctl {first}=1000", list(&zero))));
    }
    let shown: Vec<String> = limits
        .iter()
        .map(|(kind, limit)| match limit {
            Some(limit) => format!("user.{} ({limit} here)", setting(*kind)),
            None => format!("user.{}", setting(*kind)),
        })
        .collect();
    let one = if shown.len() == 1 { "" } else { "one of " };
    let mut words = format!(
        "{one}{} is used up by this user, here or in a user namespace above (lsns(8) lists them); \
         end some, or raise it there as root with sysctl(8)",
        list(&shown)
    );
    if limits.iter().any(|(kind, _)| matches!(kind, Kind::User | Kind::Pid)) {
        words += &format!("; or they are already nested {DEEPEST} levels deep");
    }
    Some(Sure(words))
}

/// Kinds of namespaces that this kernel lacks, and the version that added them.
pub(super) fn kernel(case: &Case<'_>) -> Option<Finding> {
    if !case.facts.is_readable() {
        return None;
    }
    let kinds: Vec<Kind> = match case.operation {
        Operation::Open(path) => Kind::ALL.into_iter().filter(|kind| path.ends_with(kind.link())).collect(),
        other => other.kinds().to_vec(),
    };
    let missing = |kind: &Kind| !ns::known(case.facts.proc, *kind);
    Some(match kinds.into_iter().find(missing) {
        Some(kind) => {
            let since = match kind {
                Kind::Time => ", which Linux 5.6 added",
                Kind::Cgroup => ", which Linux 4.6 added",
                _ => "",
            };
            let name = kind.proc_name();
            let option =
                if kind == Kind::Mnt { "" } else { &format!(" (CONFIG_{}_NS)", name.to_uppercase()) };
            let option = if kind == Kind::Cgroup { " (CONFIG_CGROUPS)" } else { option };
            Sure(format!("this kernel has no {name} namespaces{since}{option}"))
        }
        None => No,
    })
}

/// The capabilities that the call requires in the user namespace of this process.
pub(super) fn capability(case: &Case<'_>) -> Option<Finding> {
    let needed: &[Capability] = match case.operation {
        Operation::Chroot { .. } => &[Capability::CAP_SYS_CHROOT],
        Operation::Groups { .. } | Operation::Id { which: Which::Groups, .. } => &[Capability::CAP_SETGID],
        Operation::Id { which: Which::Users, .. } => &[Capability::CAP_SETUID],
        // They are needed in the user namespace that is entered; who may enter it has them there.
        Operation::Process { .. } | Operation::File { .. } if target::enters_user_ns(case) => return None,
        Operation::Process { kinds, .. } if kinds.contains(&Kind::Mnt) => {
            &[Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_CHROOT]
        }
        Operation::File { kind: Kind::Mnt, .. } => &[Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_CHROOT],
        _ => &[Capability::CAP_SYS_ADMIN],
    };
    let mut missing = Vec::new();
    for &capability in needed {
        if case.facts.lacks(capability)? {
            missing.push(capability);
        }
    }
    let Some(&first) = missing.first() else { return Some(No) };
    let by_root = case.facts.by_root(first);
    let remedy = match case.operation {
        _ if case.facts.euid() == Some(0) => by_root.to_owned(),
        // A new user namespace gives all capabilities over what is made in it.
        Operation::Unshare(_) | Operation::Chroot { entering: false } if may_make_user_ns(case) => {
            format!("{by_root}, or make a user namespace too: unshare --map-root-user")
        }
        _ => by_root.to_owned(),
    };
    let is = if missing.len() == 1 { "is" } else { "are" };
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    Some(Answer(format!("{} {is} missing; {remedy}", list(&names))))
}

/// As far as settings and filters show. If it may not, the hint must not propose a user namespace.
fn may_make_user_ns(case: &Case<'_>) -> bool {
    let sysctl = |name: &str| case.facts.sysctl(name);
    let is_filtered = || {
        let probed = probe(&Operation::Unshare(vec![Kind::User]));
        case.facts.filtered() == Some(true) && probed.is_some_and(|(_, errno, expected)| errno != expected)
    };
    sysctl("user/max_user_namespaces") != Some(0)
        && sysctl("kernel/unprivileged_userns_clone") != Some(0)
        && sysctl("kernel/apparmor_restrict_unprivileged_userns") != Some(1)
        && !is_filtered()
}

/// Is the root directory not that of the mount namespace? The kernel makes no user namespace there.
pub(super) fn in_chroot(case: &Case<'_>) -> Option<Finding> {
    const REMEDY: &str = "the kernel makes no user namespace there; make it outside, or enter the directory by \
                          pivot_root(2) in place of chroot(2)";
    if sys::is_mount_root(c"/") == Some(false) {
        return Some(Answer(format!("this process is in a chroot: {REMEDY}")));
    }
    Some(match root_seen_by_others(case)? {
        Some(place) => Answer(format!("this process is in a chroot, {}: {REMEDY}", place.display())),
        None => No,
    })
}

/// Where another process of this mount namespace, whose root is above, sees the root of this process mounted.
fn root_seen_by_others(case: &Case<'_>) -> Option<Option<PathBuf>> {
    let root = case.facts.mounts()?.iter().rfind(|mount| mount.mount_point == Path::new("/"))?.mnt_id;
    let mnt = Kind::Mnt.link();
    let own = case.facts.proc.link(&case.facts.proc.own(&mnt)).ok()?;
    let proc = case.facts.proc;
    for process in proc.list(&proc.of_host("")).ok()? {
        let directory = proc.of_host(process.name);
        // Others do not have that mount, and a container can have many processes with very many mounts.
        if proc.link(&directory.join(&mnt)).ok().as_ref() != Some(&own) {
            continue;
        }
        let Some(text) = case.facts.text(&directory.join("mountinfo")) else { continue };
        // The parser is slow. A line begins with the id of its mount.
        let begin = format!("{root} ");
        let Some(line) = text.lines().find(|line| line.starts_with(&begin)) else { continue };
        let other = mountinfo::parse(line).pop().map(|mount| mount.mount_point);
        if let Some(place) = other.filter(|place| place != Path::new("/")) {
            return Some(Some(place));
        }
    }
    Some(None)
}

/// A user or group whose id is not mapped in its user namespace cannot own a new one.
pub(super) fn unmapped(case: &Case<'_>) -> Option<Finding> {
    for (which, id) in [(Which::Users, case.facts.euid()), (Which::Groups, case.facts.egid())] {
        let (Some(id), Some(ids)) = (id, case.facts.own_ids(which.file())) else { continue };
        if !ids.iter().any(|range| range.contains(id)) {
            let (kind, option) = match which {
                Which::Users => ("user", "--map-root-user"),
                Which::Groups => ("group", "--map-root-user or --map-group"),
            };
            return Some(Answer(format!(
                "the {kind} of this process has no id in its user namespace, so it cannot own one; map the id there, \
                 as unshare {option} does"
            )));
        }
    }
    case.facts.euid().and(case.facts.own_ids("uid_map")).map(|_| No)
}

/// Debian's sysctl.
pub(super) fn userns_clone(case: &Case<'_>) -> Option<Finding> {
    if !case.facts.is_readable() {
        return None;
    }
    if case.facts.sysctl("kernel/unprivileged_userns_clone") != Some(0) {
        return Some(No);
    }
    let words = "kernel.unprivileged_userns_clone is 0: only root may make user namespaces; run as root, or as \
                 root: sysctl kernel.unprivileged_userns_clone=1";
    unprivileged(case, words)
}

const APPARMOR: &str = "give this program an AppArmor profile with 'userns,' in /etc/apparmor.d, run as root, or as \
                        root: sysctl kernel.apparmor_restrict_unprivileged_userns=0";

/// Ubuntu's sysctl: only programs with a profile that allows it may make user namespaces.
pub(super) fn apparmor(case: &Case<'_>) -> Option<Finding> {
    if !case.facts.is_readable() {
        return None;
    }
    if case.facts.sysctl("kernel/apparmor_restrict_unprivileged_userns") != Some(1) {
        return Some(No);
    }
    let words = format!("kernel.apparmor_restrict_unprivileged_userns is 1; {APPARMOR}");
    match case.facts.label() {
        None => unprivileged(case, &words),
        Some(_) => Some(Perhaps(words)), // the profile may allow it
    }
}

fn unprivileged(case: &Case<'_>, words: &str) -> Option<Finding> {
    Some(match case.facts.lacks(Capability::CAP_SYS_ADMIN) {
        Some(true) => Sure(words.to_owned()),
        Some(false) => No,
        None => Perhaps(words.to_owned()),
    })
}

/// On Ubuntu unshare(2) succeeds, and then a profile removes the capabilities in the new user namespace.
pub(super) fn apparmor_after(case: &Case<'_>) -> Option<Finding> {
    let profile = case.facts.label().filter(|label| label.starts_with("unprivileged_userns"));
    Some(match profile {
        Some(_) => Answer(format!(
            "the user namespace was made, but AppArmor removed its capabilities (profile unprivileged_userns); \
             {APPARMOR}"
        )),
        None if !case.facts.is_readable() => return None,
        None => No,
    })
}

/// Repeats the system call with arguments that the kernel refuses before any other check. Returns its name, the errno
/// of this attempt, and the errno that the kernel gives when no filter interferes.
fn probe(operation: &Operation) -> Option<(&'static str, Errno, Errno)> {
    let outcome = |result: nix::Result<()>| result.err().unwrap_or(Errno::UnknownErrno);
    let nowhere = Path::new("");
    Some(match operation {
        Operation::Unshare(kinds) => {
            ("unshare", outcome(sys::unshare_nothing(ns::mask(kinds))), Errno::EINVAL)
        }
        Operation::Process { .. } | Operation::File { .. } => {
            let file = ns::open_file(Path::new("/")).ok()?; // no namespace
            ("setns", outcome(sys::setns(file, ns::mask(operation.kinds()))), Errno::EINVAL)
        }
        Operation::Chroot { .. } => ("chroot", outcome(chroot(nowhere)), Errno::ENOENT),
        Operation::Proc | Operation::Binfmt | Operation::Propagation | Operation::Keep { .. } => {
            let result = mount(Some("none"), nowhere, None::<&str>, MsFlags::empty(), None::<&str>);
            ("mount", outcome(result), Errno::ENOENT)
        }
        _ => return None,
    })
}

pub(super) fn seccomp(case: &Case<'_>) -> Option<Finding> {
    if !case.facts.filtered()? {
        return Some(No);
    }
    let (call, errno, expected) = probe(case.operation)?;
    Some(match errno {
        _ if errno == case.errno && errno != expected => Answer(format!(
            "a seccomp filter refuses {call}(2); start the container or service with another filter \
             (docker, podman: --security-opt seccomp=FILE; systemd: RestrictNamespaces=, SystemCallFilter=)"
        )),
        _ => Perhaps("a seccomp filter: this process has one".to_owned()),
    })
}

pub(super) fn module(case: &Case<'_>) -> Option<Finding> {
    Some(match case.facts.label() {
        Some(label) => {
            Perhaps(format!("a rule of the security module, which confines this process as '{label}'"))
        }
        None if !case.facts.is_readable() => return None,
        None => No,
    })
}
