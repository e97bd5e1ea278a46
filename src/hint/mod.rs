//! Why the kernel refused: found out by looking, never guessed.
//!
//! An errno says little: EPERM of unshare(2) alone has eight causes. Each cause can be looked for from here,
//! so a refusal is told with what was operation ([`Operation`]), and if somebody wants to know, the checks that
//! [`checks`] has for it are made in order. What is certain is said as certain. What only may be the cause is
//! said so, with what was ruled out.

mod facts;
mod limits;
mod maps;
mod mounts;
mod program;
mod target;

use nix::errno::Errno;

use crate::isolation::operation::Operation;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use facts::Facts;

/// What a check is given.
struct Case<'a> {
    operation: &'a Operation,
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

/// The table: what was operation and how it was refused, to the checks that can tell why, in their order.
fn checks(operation: &Operation, errno: Errno) -> &'static [Check] {
    use Errno::{EACCES, EINVAL, ENODEV, ENOENT, ENOSPC, ENOSYS, EPERM, ESRCH};
    match (operation, errno) {
        (Operation::Unshare(kinds), EPERM | EACCES) if kinds.contains(&Kind::User) => &[
            Check { of: "a chroot", look: limits::in_chroot },
            Check { of: "our ids", look: limits::unmapped },
            Check { of: "kernel.unprivileged_userns_clone", look: limits::userns_clone },
            Check { of: "kernel.apparmor_restrict_unprivileged_userns", look: limits::apparmor },
            SECCOMP,
            MODULE,
        ],
        (Operation::Unshare(_), EPERM | EACCES) => &[CAPABILITY, APPARMOR_AFTER, SECCOMP, MODULE],
        (Operation::Unshare(_), ENOSPC) => &[Check { of: "user.max_*_namespaces", look: limits::used_up }],
        (Operation::Unshare(_), EINVAL) => &[KERNEL],
        (Operation::Unshare(_) | Operation::Process { .. } | Operation::File { .. }, ENOSYS) => &[SECCOMP],

        (Operation::Process { .. }, ESRCH) => &[Check { of: "its end", look: target::gone }],
        (Operation::Process { .. } | Operation::File { .. }, EPERM | EACCES) => &[
            Check { of: "its user namespace", look: target::other_user_ns },
            CAPABILITY,
            Check { of: "its user and capabilities", look: target::stronger },
            APPARMOR_AFTER,
            SECCOMP,
            MODULE,
        ],
        (Operation::Process { .. } | Operation::File { .. }, EINVAL) => &[
            Check { of: "our own user namespace", look: target::same_user_ns },
            Check { of: "threads", look: target::threads },
            Check { of: "the order of pid namespaces", look: target::not_below },
            Check { of: "the kind of the file", look: target::other_kind },
            KERNEL,
        ],
        (Operation::Open(_), ENOENT) => &[
            Check { of: "its end", look: target::gone },
            KERNEL,
            Check { of: "hidden processes", look: target::hidden },
        ],
        (Operation::Open(_), EPERM | EACCES) => &[
            Check { of: "its end", look: target::gone },
            Check { of: "its user and capabilities", look: target::stronger },
            MODULE,
        ],

        (Operation::Chroot, EPERM) => &[CAPABILITY, APPARMOR_AFTER, SECCOMP],
        (Operation::Proc, EPERM | EACCES) => &[
            Check { of: "the pid namespace's owner", look: mounts::foreign_pid_ns },
            Check { of: "mounts over /proc", look: mounts::masked },
            CAPABILITY,
            APPARMOR_AFTER,
            SECCOMP,
            MODULE,
        ],
        (Operation::Binfmt, EPERM) => {
            &[Check { of: "the kernel's age", look: mounts::binfmt }, CAPABILITY, APPARMOR_AFTER, SECCOMP]
        }
        (Operation::Binfmt, ENODEV) => &[Check { of: "the module", look: mounts::no_binfmt }],
        (Operation::Propagation, EINVAL) => {
            &[Check { of: "the root directory", look: mounts::root_is_no_mount }]
        }
        (Operation::Propagation, EPERM | EACCES) => &[CAPABILITY, APPARMOR_AFTER, SECCOMP, MODULE],
        (Operation::Keep { .. }, EINVAL | ENOENT) => &[
            Check { of: "the file", look: mounts::no_file },
            Check { of: "the first process", look: mounts::no_child },
            Check { of: "the mount of the file", look: mounts::shared },
        ],
        (Operation::Keep { .. }, EPERM | EACCES) => &[CAPABILITY, SECCOMP, MODULE],

        (Operation::Map { .. }, EPERM | EACCES) => &[
            APPARMOR_AFTER,
            Check { of: "an earlier map", look: maps::written },
            Check { of: "the ids outside", look: maps::not_ours },
            Check { of: "the writer's capabilities", look: maps::capability },
            MODULE,
        ],
        (Operation::Map { .. }, _) => &[
            Check { of: "the number of lines", look: maps::too_many },
            Check { of: "the ranges", look: maps::overlap },
        ],
        (Operation::Setgroups, EPERM) => {
            &[APPARMOR_AFTER, Check { of: "an earlier setting", look: maps::denied_before }]
        }
        (Operation::Grant { .. }, _) => &[Check { of: "the file", look: maps::no_grant }],
        (Operation::Mapper { .. }, _) => &[
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
pub fn hint_for(operation: &Operation, errno: Errno, proc: &ProcRoot) -> Option<String> {
    if let Operation::Execute(files) = operation {
        return files.iter().find_map(|file| program::not_started(file, errno));
    }
    let case = Case { operation, errno, facts: Facts::new(proc) };
    let (mut sure, mut perhaps, mut ruled_out) = (Vec::new(), Vec::new(), Vec::new());
    for check in checks(operation, errno) {
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
        // Said of a refusal only: what else was operation wrongly has its words already.
        (true, true) if errno == Errno::EPERM && !not.is_empty() => {
            Some(format!("the reason is not to be seen from here: {not}"))
        }
        (true, true) => None,
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
