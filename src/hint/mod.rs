//! Finds out why the kernel refused an operation: by checking, not by guessing.
//!
//! An errno says little: EPERM of unshare(2) alone has eight causes. Each of them can be checked. So an error carries
//! the operation that failed ([`Operation`]), and if hints are wanted, the checks that [`checks`] lists for it run in
//! order. A certain cause is reported as certain. A possible cause is reported as possible, with the causes that were
//! ruled out.

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

/// The input of a check.
struct Case<'a> {
    operation: &'a Operation,
    errno: Errno,
    facts: Facts<'a>,
}

enum Finding {
    /// The cause is certain. With the remedy.
    Sure(String),
    /// The cause is possible.
    Perhaps(String),
    No,
}

struct Check {
    /// The cause that is checked, as it is shown when it is ruled out.
    cause: &'static str,
    /// Returns None if it cannot be checked.
    look: fn(&Case<'_>) -> Option<Finding>,
}

const SECCOMP: Check = Check { cause: "a seccomp filter", look: limits::seccomp };
const MODULE: Check = Check { cause: "a security module", look: limits::module };
const CAPABILITY: Check = Check { cause: "capabilities", look: limits::capability };
const APPARMOR_AFTER: Check = Check { cause: "AppArmor's user namespaces", look: limits::apparmor_after };
const KERNEL: Check = Check { cause: "the kernel version", look: limits::kernel };

/// The checks for an operation and its errno, in the order in which they run.
fn checks(operation: &Operation, errno: Errno) -> &'static [Check] {
    use Errno::{EACCES, EINVAL, ENODEV, ENOENT, ENOSPC, ENOSYS, EPERM, ESRCH};
    match (operation, errno) {
        (Operation::Unshare(kinds), EPERM | EACCES) if kinds.contains(&Kind::User) => &[
            Check { cause: "a chroot", look: limits::in_chroot },
            Check { cause: "unmapped ids", look: limits::unmapped },
            Check { cause: "kernel.unprivileged_userns_clone", look: limits::userns_clone },
            Check { cause: "kernel.apparmor_restrict_unprivileged_userns", look: limits::apparmor },
            SECCOMP,
            MODULE,
        ],
        (Operation::Unshare(_), EPERM | EACCES) => &[CAPABILITY, APPARMOR_AFTER, SECCOMP, MODULE],
        (Operation::Unshare(_), ENOSPC) => &[Check { cause: "user.max_*_namespaces", look: limits::used_up }],
        (Operation::Unshare(_), EINVAL) => &[KERNEL],
        (Operation::Unshare(_) | Operation::Process { .. } | Operation::File { .. }, ENOSYS) => &[SECCOMP],

        (Operation::Process { .. }, ESRCH) => &[Check { cause: "an ended process", look: target::gone }],
        (Operation::Process { .. } | Operation::File { .. }, EPERM | EACCES) => &[
            Check { cause: "its user namespace", look: target::other_user_ns },
            CAPABILITY,
            Check { cause: "its user and capabilities", look: target::stronger },
            APPARMOR_AFTER,
            SECCOMP,
            MODULE,
        ],
        (Operation::Process { .. } | Operation::File { .. }, EINVAL) => &[
            Check { cause: "the own user namespace", look: target::same_user_ns },
            Check { cause: "threads", look: target::threads },
            Check { cause: "the order of pid namespaces", look: target::not_below },
            Check { cause: "the kind of the file", look: target::other_kind },
            KERNEL,
        ],
        (Operation::Open(_), ENOENT) => &[
            Check { cause: "an ended process", look: target::gone },
            KERNEL,
            Check { cause: "hidden processes", look: target::hidden },
        ],
        (Operation::Open(_), EPERM | EACCES) => &[
            Check { cause: "an ended process", look: target::gone },
            Check { cause: "its user and capabilities", look: target::stronger },
            MODULE,
        ],

        (Operation::Chroot, EPERM) => &[CAPABILITY, APPARMOR_AFTER, SECCOMP],
        (Operation::Proc, EPERM | EACCES) => &[
            Check { cause: "the pid namespace's owner", look: mounts::foreign_pid_ns },
            Check { cause: "mounts over /proc", look: mounts::masked },
            CAPABILITY,
            APPARMOR_AFTER,
            SECCOMP,
            MODULE,
        ],
        (Operation::Binfmt, EPERM) => &[
            Check { cause: "the kernel version", look: mounts::binfmt },
            CAPABILITY,
            APPARMOR_AFTER,
            SECCOMP,
        ],
        (Operation::Binfmt, ENODEV) => &[Check { cause: "the module", look: mounts::no_binfmt }],
        (Operation::Propagation, EINVAL) => {
            &[Check { cause: "the root directory", look: mounts::root_is_no_mount }]
        }
        (Operation::Propagation, EPERM | EACCES) => &[CAPABILITY, APPARMOR_AFTER, SECCOMP, MODULE],
        (Operation::Keep { .. }, EINVAL | ENOENT) => &[
            Check { cause: "the file", look: mounts::no_file },
            Check { cause: "the first process", look: mounts::no_child },
            Check { cause: "the mount of the file", look: mounts::shared },
        ],
        (Operation::Keep { .. }, EPERM | EACCES) => &[CAPABILITY, SECCOMP, MODULE],

        (Operation::Map { .. }, EPERM | EACCES) => &[
            APPARMOR_AFTER,
            Check { cause: "an earlier map", look: maps::written },
            Check { cause: "the ids outside", look: maps::missing_outside },
            Check { cause: "the writer's capabilities", look: maps::capability },
            MODULE,
        ],
        (Operation::Map { .. }, _) => &[
            Check { cause: "the number of lines", look: maps::too_many },
            Check { cause: "the ranges", look: maps::overlap },
        ],
        (Operation::Setgroups, EPERM) => {
            &[APPARMOR_AFTER, Check { cause: "an earlier setting", look: maps::denied_before }]
        }
        (Operation::Grant { .. }, _) => &[Check { cause: "the file", look: maps::no_grant }],
        (Operation::Mapper { .. }, _) => &[
            Check { cause: "the program", look: maps::no_mapper },
            Check { cause: "the program's rights", look: maps::weak_mapper },
            Check { cause: "the grants", look: maps::not_granted },
            Check { cause: "the number of lines", look: maps::too_many },
        ],
        _ => &[],
    }
}

/// The cause, as far as it can be found from this process.
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
            Some(Finding::No) => ruled_out.push(check.cause),
            None => {}
        }
    }
    let not = if ruled_out.is_empty() { String::new() } else { format!("not {}", ruled_out.join(", ")) };
    match (sure.is_empty(), perhaps.is_empty()) {
        (false, _) => Some(sure.join("; also, ")),
        (true, false) if not.is_empty() => Some(format!("perhaps {}", perhaps.join("; or "))),
        (true, false) => Some(format!("perhaps {} ({not})", perhaps.join("; or "))),
        (true, true) if !case.facts.is_readable() => {
            Some("/proc cannot be read here, so the cause cannot be found".to_owned())
        }
        // Only for a refusal: the message of any other error already says what is wrong.
        (true, true) if errno == Errno::EPERM && !not.is_empty() => {
            Some(format!("the cause cannot be found from here: {not}"))
        }
        (true, true) => None,
    }
}

/// `a`, `a and b`, `a, b and c`; only the first ones of many.
fn list(words: &[String]) -> String {
    const MOST: usize = 4;
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] if words.len() <= MOST => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", words[..MOST - 1].join(", "), words.len() - (MOST - 1)),
    }
}
