//! Looks at the namespaces to enter, for a hint: see [`super::before`].

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::unistd::{Pid, geteuid};

use super::before::{Before, Namespace, Owner};
use super::capabilities::own::{self, SYS_ADMIN, SYS_CHROOT};
use super::ns::{self, Set};
use crate::proc::ProcRoot;
use crate::proc::idmap::{Range, Which};
use crate::proc::ns::Kind;

/// Takes the namespaces of a process, and those behind files.
#[must_use]
pub(crate) fn look(proc: &ProcRoot, target: Option<Pid>, set: &Set) -> Before {
    let kinds = set.process.as_ref().map_or(&[][..], |(_, kinds)| kinds);
    take(proc, target, kinds, set.files.iter().map(|(kind, fd)| (*kind, fd)))
}

#[must_use]
pub(crate) fn take<'a>(
    proc: &ProcRoot,
    target: Option<Pid>,
    kinds: &[Kind],
    files: impl Iterator<Item = (Kind, &'a OwnedFd)> + Clone,
) -> Before {
    let open = |pid, link: &str| ns::open_file(&proc.path_of(pid, link)).ok();
    let mut before = Before { target, ..Before::default() };
    if let Some(pid) = target {
        let process = proc.process(pid);
        let map = |which: Which| process.id_map(which).ok().map(|map| Range::identity_of(&map));
        before.access = Some(open(pid, &Kind::User.link()).is_some());
        before.groups_denied = process.denies_setgroups();
        (before.uids, before.gids) = (map(Which::Users), map(Which::Groups));
    }
    let from_file = files.clone().find(|(kind, _)| *kind == Kind::User);
    let entered = match (from_file, target) {
        (Some((_, fd)), _) => fd.try_clone().ok(),
        (None, Some(pid)) if kinds.contains(&Kind::User) => open(pid, &Kind::User.link()),
        _ => None,
    };
    let Some(caller) = Caller::new(proc, entered) else { return before };
    before.namespaces.extend(files.map(|(kind, fd)| caller.namespace(kind, fd)));
    let Some(pid) = target else { return before };
    for &kind in kinds {
        let Some(fd) = open(pid, &kind.link()) else { continue };
        let mut namespace = caller.namespace(kind, &fd);
        if let Some(made) = for_children(proc, pid, kind).filter(|made| !same(made, &fd)) {
            namespace.has_other_for_children = true;
            before.child = before.child.or_else(|| child_in(proc, pid, kind, &made));
        }
        before.namespaces.push(namespace);
    }
    before
}

/// This process.
struct Caller<'a> {
    proc: &'a ProcRoot,
    user_ns: OwnedFd,
    effective: u64,
    /// The user namespace that is entered.
    entered: Option<OwnedFd>,
}

impl Caller<'_> {
    fn new(proc: &ProcRoot, entered: Option<OwnedFd>) -> Option<Caller<'_>> {
        let user_ns = ns::open_file(&proc.own(&Kind::User.link())).ok()?;
        Some(Caller { proc, user_ns, effective: own::flags().ok()?.effective, entered })
    }

    fn has(&self, capability: u64) -> bool {
        self.effective & capability != 0
    }

    fn namespace(&self, kind: Kind, fd: &OwnedFd) -> Namespace {
        let own = ns::open_file(&self.proc.own(&kind.link())).ok();
        let owned_by = match kind {
            Kind::User => fd.try_clone().map_err(|_| Errno::EMFILE),
            _ => ns::owner_of(fd),
        };
        let within = |owner: &OwnedFd| {
            self.entered.as_ref().is_some_and(|entered| is_below(owner, entered) == Some(true))
        };
        let owner = self.owner(owned_by.as_ref().map_err(|errno| *errno));
        let own_pid_ns = own.as_ref().filter(|_| kind == Kind::Pid);
        let is_below = own_pid_ns.and_then(|own| is_below(fd, own));
        Namespace {
            kind,
            is_own: own.as_ref().is_some_and(|own| same(own, fd)),
            has_other_for_children: false,
            owner,
            is_within_entered: owned_by.as_ref().is_ok_and(within),
            may_enter: self.may_enter(kind, owner),
            is_below,
            has_init: is_below.filter(|is_below| *is_below).and_then(|_| has_init(self.proc, fd)),
        }
    }

    fn owner(&self, owner: Result<&OwnedFd, Errno>) -> Owner {
        let unseen = |errno| if errno == Errno::EPERM { Owner::Above } else { Owner::Unknown };
        let mut topmost = match owner.and_then(|fd| fd.try_clone().map_err(|_| Errno::EMFILE)) {
            Ok(owner) if same(&owner, &self.user_ns) => return Owner::Own,
            Ok(owner) => owner,
            Err(errno) => return unseen(errno),
        };
        loop {
            match ns::parent_of(&topmost) {
                Ok(parent) if same(&parent, &self.user_ns) => return Owner::Below(ns::owner_uid(&topmost)),
                Ok(parent) => topmost = parent,
                Err(errno) => return unseen(errno),
            }
        }
    }

    /// setns(2) needs CAP_SYS_ADMIN in the owner. For a user namespace that is all. For another, it needs
    /// CAP_SYS_ADMIN in the own user namespace too, and for a mount namespace CAP_SYS_CHROOT.
    fn may_enter(&self, kind: Kind, owner: Owner) -> Option<bool> {
        let own = self.has(SYS_ADMIN) && (kind != Kind::Mnt || self.has(SYS_CHROOT));
        match (owner, kind) {
            (Owner::Unknown, _) => None,
            (Owner::Above, _) => Some(false),
            (Owner::Below(_), Kind::User) if own => Some(true),
            (Owner::Below(uid), Kind::User) => Some(uid? == geteuid().as_raw()),
            (Owner::Own, Kind::User) => Some(false), // the kernel refuses to enter the own one
            _ => Some(own),
        }
    }
}

/// Is the pid or user namespace the other one, or below it? None if the kernel does not say it.
fn is_below(wanted: &OwnedFd, other: &OwnedFd) -> Option<bool> {
    let mut above = wanted.try_clone().ok()?;
    loop {
        if same(&above, other) {
            return Some(true);
        }
        match ns::parent_of(&above) {
            Ok(parent) => above = parent,
            // The kernel shows no ancestors above the own namespace.
            Err(Errno::EPERM) => return Some(false),
            Err(_) => return None,
        }
    }
}

/// Does process 1 of a pid namespace below the own one run? After its end the kernel creates no process there. None
/// before Linux 6.11.
pub(crate) fn has_init(proc: &ProcRoot, pid_ns: &OwnedFd) -> Option<bool> {
    match ns::process_of(pid_ns, 1) {
        Ok(pid) => proc.process(pid).stat().map(|stat| !matches!(stat.state, b'Z' | b'X')),
        Err(Errno::ESRCH) => Some(false),
        Err(_) => None,
    }
}

fn for_children(proc: &ProcRoot, pid: Pid, kind: Kind) -> Option<OwnedFd> {
    matches!(kind, Kind::Pid | Kind::Time)
        .then(|| ns::open_file(&proc.path_of(pid, &format!("{}_for_children", kind.link()))).ok())?
}

/// A child of the process that is in this namespace.
fn child_in(proc: &ProcRoot, pid: Pid, kind: Kind, made: &OwnedFd) -> Option<Pid> {
    let children = proc.process(pid).children();
    children.into_iter().find(|child| is_in(&proc.path_of(*child, &kind.link()), made))
}

fn is_in(link: &Path, namespace: &OwnedFd) -> bool {
    ns::open_file(link).is_ok_and(|fd| same(&fd, namespace))
}

/// Are both descriptors of the same namespace?
pub(crate) fn same(one: impl AsFd, other: impl AsFd) -> bool {
    let id = |fd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    let one = id(one.as_fd());
    one.is_some() && one == id(other.as_fd())
}
