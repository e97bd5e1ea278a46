//! Why the kernel refused: found out by looking, never guessed.
//!
//! An errno says little: EPERM of unshare(2) alone has eight causes. Each cause can be looked for from here,
//! so a refusal is told with what was asked ([`Asked`]), and if somebody wants to know, the checks that
//! [`checks`] has for it are made in order. What is certain is said as certain. What only may be the cause is
//! said so, with what was ruled out.

mod facts;
mod limits;
mod maps;
mod mounts;
mod program;
mod target;

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::errno::Errno;

use super::idmap::{Range, Which};
use super::kind::Kind;
use crate::exit::Reasoned;
use crate::proc::ProcRoot;
use facts::Facts;

pub use program::not_started;

/// What was asked of the kernel, or of a program that stands between it and us.
pub enum Asked {
    /// unshare(2)
    Unshare(Vec<Kind>),
    /// setns(2), of a process
    Process {
        pidfd: Option<OwnedFd>,
        kinds: Vec<Kind>,
    },
    /// setns(2), of a namespace's file
    File {
        fd: Option<OwnedFd>,
        kind: Kind,
    },
    /// open(2) of a file of another process below /proc
    Open(PathBuf),
    Chroot,
    /// mount(2) of a new proc
    Proc,
    /// mount(2) of binfmt_misc
    Binfmt,
    /// mount(2) that changes how mounts are passed on
    Propagation,
    /// mount(2) of a namespace on a file, to keep it
    Keep {
        kind: Kind,
        source: PathBuf,
        file: PathBuf,
    },
    /// write(2) of a map, by ourselves inside or by a helper outside
    Map {
        which: Which,
        file: PathBuf,
        ranges: Vec<Range>,
        helper: bool,
    },
    /// write(2) of /proc/self/setgroups
    Setgroups,
    /// A line for this user in /etc/subuid or /etc/subgid
    Grant {
        which: Which,
        user: String,
    },
    /// newuidmap(1) or newgidmap(1)
    Mapper {
        which: Which,
        ranges: Vec<Range>,
    },
}

/// The words of an error, with the reason behind it for who asks: context for an errno.
pub fn refused(words: impl Into<String>, asked: Asked) -> Reasoned {
    Reasoned::new(words, move |errno| hint(&asked, errno, &ProcRoot::default()))
}

/// What a check is given.
struct Case<'a> {
    asked: &'a Asked,
    errno: Errno,
    facts: Facts<'a>,
}

enum Finding {
    /// This refuses it, with the remedy.
    Sure(String),
    /// This may.
    Perhaps(String),
    No,
}

struct Check {
    /// What is looked at, for when it is not that.
    of: &'static str,
    /// None: it cannot be looked at.
    look: fn(&Case<'_>) -> Option<Finding>,
}

const SECCOMP: Check = Check { of: "a seccomp filter", look: limits::seccomp };
const MODULE: Check = Check { of: "a security module", look: limits::module };
const CAPABILITY: Check = Check { of: "capabilities", look: limits::capability };
const APPARMOR_AFTER: Check = Check { of: "AppArmor's user namespaces", look: limits::apparmor_after };
const KERNEL: Check = Check { of: "the kernel's age", look: limits::kernel };

/// The table: what was asked and how it was refused, to the checks that can tell why, in their order.
fn checks(asked: &Asked, errno: Errno) -> &'static [Check] {
    use Errno::{EACCES, EINVAL, ENODEV, ENOENT, ENOSPC, ENOSYS, EPERM, ESRCH};
    match (asked, errno) {
        (Asked::Unshare(kinds), EPERM | EACCES) if kinds.contains(&Kind::User) => &[
            Check { of: "a chroot", look: limits::in_chroot },
            Check { of: "our ids", look: limits::unmapped },
            Check { of: "kernel.unprivileged_userns_clone", look: limits::userns_clone },
            Check { of: "kernel.apparmor_restrict_unprivileged_userns", look: limits::apparmor },
            SECCOMP,
            MODULE,
        ],
        (Asked::Unshare(_), EPERM | EACCES) => &[CAPABILITY, APPARMOR_AFTER, SECCOMP, MODULE],
        (Asked::Unshare(_), ENOSPC) => &[Check { of: "user.max_*_namespaces", look: limits::used_up }],
        (Asked::Unshare(_), EINVAL) => &[KERNEL],
        (Asked::Unshare(_) | Asked::Process { .. } | Asked::File { .. }, ENOSYS) => &[SECCOMP],

        (Asked::Process { .. }, ESRCH) => &[Check { of: "its end", look: target::gone }],
        (Asked::Process { .. } | Asked::File { .. }, EPERM | EACCES) => &[
            Check { of: "its user namespace", look: target::other_user_ns },
            CAPABILITY,
            Check { of: "its user and capabilities", look: target::stronger },
            APPARMOR_AFTER,
            SECCOMP,
            MODULE,
        ],
        (Asked::Process { .. } | Asked::File { .. }, EINVAL) => &[
            Check { of: "our own user namespace", look: target::same_user_ns },
            Check { of: "threads", look: target::threads },
            Check { of: "the order of pid namespaces", look: target::not_below },
            Check { of: "the kind of the file", look: target::other_kind },
            KERNEL,
        ],
        (Asked::Open(_), ENOENT) => &[
            Check { of: "its end", look: target::gone },
            KERNEL,
            Check { of: "hidden processes", look: target::hidden },
        ],
        (Asked::Open(_), EPERM | EACCES) => &[
            Check { of: "its end", look: target::gone },
            Check { of: "its user and capabilities", look: target::stronger },
            MODULE,
        ],

        (Asked::Chroot, EPERM) => &[CAPABILITY, APPARMOR_AFTER, SECCOMP],
        (Asked::Proc, EPERM | EACCES) => &[
            Check { of: "the pid namespace's owner", look: mounts::foreign_pid_ns },
            Check { of: "mounts over /proc", look: mounts::masked },
            CAPABILITY,
            APPARMOR_AFTER,
            SECCOMP,
            MODULE,
        ],
        (Asked::Binfmt, EPERM) => {
            &[Check { of: "the kernel's age", look: mounts::binfmt }, CAPABILITY, APPARMOR_AFTER, SECCOMP]
        }
        (Asked::Binfmt, ENODEV) => &[Check { of: "the module", look: mounts::no_binfmt }],
        (Asked::Propagation, EINVAL) => &[Check { of: "the root directory", look: mounts::root_is_no_mount }],
        (Asked::Propagation, EPERM | EACCES) => &[CAPABILITY, APPARMOR_AFTER, SECCOMP, MODULE],
        (Asked::Keep { .. }, EINVAL | ENOENT) => &[
            Check { of: "the file", look: mounts::no_file },
            Check { of: "the first process", look: mounts::no_child },
            Check { of: "the mount of the file", look: mounts::shared },
        ],
        (Asked::Keep { .. }, EPERM | EACCES) => &[CAPABILITY, SECCOMP, MODULE],

        (Asked::Map { .. }, EPERM | EACCES) => &[
            APPARMOR_AFTER,
            Check { of: "an earlier map", look: maps::written },
            Check { of: "the ids outside", look: maps::not_ours },
            Check { of: "the writer's capabilities", look: maps::capability },
            MODULE,
        ],
        (Asked::Map { .. }, _) => &[
            Check { of: "the number of lines", look: maps::too_many },
            Check { of: "the ranges", look: maps::overlap },
        ],
        (Asked::Setgroups, EPERM) => {
            &[APPARMOR_AFTER, Check { of: "an earlier setting", look: maps::denied_before }]
        }
        (Asked::Grant { .. }, _) => &[Check { of: "the file", look: maps::no_grant }],
        (Asked::Mapper { .. }, _) => &[
            Check { of: "the program", look: maps::no_mapper },
            Check { of: "the program's rights", look: maps::weak_mapper },
            Check { of: "the grants", look: maps::not_granted },
            Check { of: "the number of lines", look: maps::too_many },
        ],
        _ => &[],
    }
}

/// The reason, as far as it can be seen from here.
#[must_use]
pub fn hint(asked: &Asked, errno: Errno, proc: &ProcRoot) -> Option<String> {
    let case = Case { asked, errno, facts: Facts::new(proc) };
    let (mut sure, mut perhaps, mut ruled_out) = (Vec::new(), Vec::new(), Vec::new());
    for check in checks(asked, errno) {
        match (check.look)(&case) {
            Some(Finding::Sure(words)) => sure.push(words),
            Some(Finding::Perhaps(words)) => perhaps.push(words),
            Some(Finding::No) => ruled_out.push(check.of),
            None => {}
        }
    }
    let not = if ruled_out.is_empty() { String::new() } else { format!("not {}", ruled_out.join(", ")) };
    match (sure.is_empty(), perhaps.is_empty()) {
        (false, _) => Some(sure.join("; also, ")),
        (true, false) if not.is_empty() => Some(format!("perhaps {}", perhaps.join("; or "))),
        (true, false) => Some(format!("perhaps {} ({not})", perhaps.join("; or "))),
        (true, true) if !case.facts.seen() => {
            Some("/proc cannot be read here, so the reason cannot be looked up".to_owned())
        }
        // Said of a refusal only: what else was asked wrongly has its words already.
        (true, true) if errno == Errno::EPERM && !not.is_empty() => {
            Some(format!("the reason is not to be seen from here: {not}"))
        }
        (true, true) => None,
    }
}

impl Asked {
    fn kinds(&self) -> &[Kind] {
        match self {
            Asked::Unshare(kinds) | Asked::Process { kinds, .. } => kinds,
            Asked::File { kind, .. } | Asked::Keep { kind, .. } => std::slice::from_ref(kind),
            _ => &[],
        }
    }
}

/// `a`, `a and b`, `a, b and c`; of many, the first.
fn list(words: &[String]) -> String {
    const MOST: usize = 4;
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] if words.len() <= MOST => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", words[..MOST - 1].join(", "), words.len() - (MOST - 1)),
    }
}
