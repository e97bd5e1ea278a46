//! What a hint needs to know about the namespaces to enter, as this process sees them before it enters the first one.
//! Afterwards /proc may be that of the container, and the rights of this process are others.
//!
//! It holds numbers and answers, and no descriptor: the memory of this process may become visible in the container.

use nix::unistd::Pid;

use crate::proc::idmap::{Range, Which};
use crate::proc::ns::Kind;

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
    pub uids: Option<Vec<Range>>,
    pub gids: Option<Vec<Range>>,
}

#[derive(Debug)]
pub struct Namespace {
    pub kind: Kind,
    /// This process is in it.
    pub is_own: bool,
    /// The target's children are in another one of this kind.
    pub has_other_for_children: bool,
    /// The user namespace that owns it; for a user namespace, the namespace itself.
    pub owner: Owner,
    /// Is the owner the user namespace that is entered too, or below it? False if none is entered.
    pub is_within_entered: bool,
    /// May this process enter it with the rights that it has before? None if the kernel does not say it.
    pub may_enter: Option<bool>,
    /// For a pid namespace: is it that of this process, or below it?
    pub is_below: Option<bool>,
    /// For a pid namespace: has it a process 1 that runs?
    pub has_init: Option<bool>,
}

/// Where a user namespace stands, as seen from that of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It is that of this process.
    Own,
    /// It is below. The user is who made the topmost one below that of this process: they have all capabilities in it.
    Below(Option<u32>),
    /// It is not below.
    Above,
    Unknown,
}

impl Before {
    #[must_use]
    pub fn of_kind(&self, kind: Kind) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.kind == kind)
    }

    /// The ids that exist in the target's user namespace.
    #[must_use]
    pub fn ids(&self, which: Which) -> Option<&[Range]> {
        match which {
            Which::Users => self.uids.as_deref(),
            Which::Groups => self.gids.as_deref(),
        }
    }
}
