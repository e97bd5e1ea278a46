//! The namespaces to enter, as this process sees them before it enters the first one. Afterwards /proc may be that of
//! the container, and the rights of this process are others. A hint compares and explains with this.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::unistd::{Pid, geteuid};

use super::capabilities::own;
use super::ns::{self, Set};
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;

const SYS_ADMIN: u64 = 1 << 21;

#[derive(Debug, Default)]
pub struct Before {
    pub target: Option<Pid>,
    /// May this process read the target's namespaces (ptrace(2), "Ptrace access mode checking")? None without a
    /// target.
    pub access: Option<bool>,
    pub namespaces: Vec<Namespace>,
    /// The target has made a pid or time namespace for its children, and this child is in it.
    pub child: Option<Pid>,
    /// Does the target's user namespace deny setgroups(2)?
    pub groups_denied: Option<bool>,
}

#[derive(Debug)]
pub struct Namespace {
    pub kind: Kind,
    /// This process is in it.
    pub is_own: bool,
    /// The target's children are in another one of this kind.
    pub has_other_for_children: bool,
    pub rights: Rights,
    /// For a pid namespace: is it that of this process, or below it?
    pub is_below: Option<bool>,
}

/// The right to enter a namespace: CAP_SYS_ADMIN in the user namespace that owns it. For a user namespace, in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    Held,
    /// The owner is the user namespace of this process, which has no CAP_SYS_ADMIN.
    Lacking,
    /// The owner is below, and belongs to the user of this process: they have the capability inside.
    Inside,
    /// The owner is below, and belongs to another user.
    OtherUser(u32),
    /// The owner is not below the user namespace of this process.
    Above,
    Unknown,
}

impl Before {
    #[must_use]
    pub(crate) fn look(proc: &ProcRoot, target: Option<Pid>, set: &Set) -> Before {
        let caller = Caller::new(proc);
        let mut before = Before { target, ..Before::default() };
        for (kind, fd) in &set.files {
            before.namespaces.extend(caller.as_ref().map(|caller| caller.namespace(*kind, fd)));
        }
        let Some(pid) = target else { return before };
        let open = |link: &str| ns::open_file(&proc.path_of(pid, link)).ok();
        before.access = Some(open(&Kind::User.link()).is_some());
        let word = proc.read(pid, "setgroups").ok();
        before.groups_denied = word.map(|word| word.trim_ascii() == b"deny");
        let Some(caller) = caller else { return before };
        for &kind in set.process.iter().flat_map(|(_, kinds)| kinds) {
            let Some(fd) = open(&kind.link()) else { continue };
            let mut namespace = caller.namespace(kind, &fd);
            if let Some(made) = for_children(proc, pid, kind).filter(|made| !same(made, &fd)) {
                namespace.has_other_for_children = true;
                before.child = before.child.or_else(|| child_in(proc, pid, kind, &made));
            }
            before.namespaces.push(namespace);
        }
        before
    }

    #[must_use]
    pub fn of_kind(&self, kind: Kind) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.kind == kind)
    }
}

/// This process.
struct Caller<'a> {
    proc: &'a ProcRoot,
    user_ns: OwnedFd,
    is_admin: bool,
}

impl Caller<'_> {
    fn new(proc: &ProcRoot) -> Option<Caller<'_>> {
        let user_ns = ns::open_file(&proc.own(&Kind::User.link())).ok()?;
        Some(Caller { proc, user_ns, is_admin: own::flags().ok()?.effective & SYS_ADMIN != 0 })
    }

    fn namespace(&self, kind: Kind, fd: &OwnedFd) -> Namespace {
        let own = ns::open_file(&self.proc.own(&kind.link())).ok();
        Namespace {
            kind,
            is_own: own.as_ref().is_some_and(|own| same(own, fd)),
            has_other_for_children: false,
            rights: self.rights(kind, fd),
            is_below: own.filter(|_| kind == Kind::Pid).and_then(|own| is_below(fd, &own)),
        }
    }

    fn rights(&self, kind: Kind, fd: &OwnedFd) -> Rights {
        let owner = match kind {
            Kind::User => fd.try_clone().map_err(|_| Errno::EMFILE),
            _ => ns::owner_of(fd),
        };
        let mut owner = match owner {
            Ok(owner) => owner,
            Err(Errno::EPERM) => return Rights::Above,
            Err(_) => return Rights::Unknown,
        };
        if same(&owner, &self.user_ns) {
            return if self.is_admin { Rights::Held } else { Rights::Lacking };
        }
        // The owner of the topmost one below the own user namespace has all capabilities in those below it.
        loop {
            match ns::parent_of(&owner) {
                Ok(parent) if same(&parent, &self.user_ns) => break,
                Ok(parent) => owner = parent,
                Err(Errno::EPERM) => return Rights::Above,
                Err(_) => return Rights::Unknown,
            }
        }
        match ns::owner_uid(&owner) {
            _ if self.is_admin => Rights::Held,
            Some(uid) if uid == geteuid().as_raw() => Rights::Inside,
            Some(uid) => Rights::OtherUser(uid),
            None => Rights::Unknown,
        }
    }
}

/// None if the kernel does not say it.
fn is_below(wanted: &OwnedFd, own: &OwnedFd) -> Option<bool> {
    let mut above = wanted.try_clone().ok()?;
    loop {
        if same(&above, own) {
            return Some(true);
        }
        match ns::parent_of(&above) {
            Ok(parent) => above = parent,
            // The kernel shows no ancestors above the own pid namespace.
            Err(Errno::EPERM) => return Some(false),
            Err(_) => return None,
        }
    }
}

fn for_children(proc: &ProcRoot, pid: Pid, kind: Kind) -> Option<OwnedFd> {
    matches!(kind, Kind::Pid | Kind::Time)
        .then(|| ns::open_file(&proc.path_of(pid, &format!("{}_for_children", kind.link()))).ok())?
}

/// A child of the process that is in this namespace.
fn child_in(proc: &ProcRoot, pid: Pid, kind: Kind, made: &OwnedFd) -> Option<Pid> {
    let list = proc.read(pid, &format!("task/{pid}/children")).ok()?;
    let children = std::str::from_utf8(&list).ok()?.split_whitespace().filter_map(|word| word.parse().ok());
    children.map(Pid::from_raw).find(|child| is_in(&proc.path_of(*child, &kind.link()), made))
}

fn is_in(link: &Path, namespace: &OwnedFd) -> bool {
    ns::open_file(link).is_ok_and(|fd| same(&fd, namespace))
}

fn same(one: impl AsFd, other: impl AsFd) -> bool {
    let id = |fd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    let one = id(one.as_fd());
    one.is_some() && one == id(other.as_fd())
}
