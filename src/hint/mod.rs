//! Finds out why the kernel refused an operation: by checking, not by guessing.
//!
//! An errno says little: EPERM of unshare(2) alone has eight causes. Each of them can be checked. So an error carries
//! the operation that failed ([`Operation`]), and if hints are wanted, the checks that [`checks`] lists for it run in
//! order. A certain cause is reported as certain. A possible cause is reported as possible, with the causes that were
//! ruled out.

mod facts;
mod ids;
mod limits;
mod maps;
mod mounts;
mod program;
mod target;

use std::cell::OnceCell;

use nix::errno::Errno;

use crate::isolation::before::Before;
use crate::isolation::ns;
use crate::isolation::operation::Operation;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use facts::Facts;

/// The input of a check.
struct Case<'a> {
    operation: &'a Operation,
    errno: Errno,
    facts: Facts<'a>,
    before: OnceCell<Option<Before>>,
}

impl Case<'_> {
    /// The namespaces to enter, as they were seen before. If this process is still where it was, it looks now.
    fn before(&self) -> Option<&Before> {
        match self.operation {
            Operation::Process { before: Some(before), .. }
            | Operation::File { before: Some(before), .. }
            | Operation::Fork { before: Some(before) }
            | Operation::Groups { before: Some(before), .. }
            | Operation::Id { before: Some(before), .. } => Some(before),
            _ => self.before.get_or_init(|| target::look(self)).as_ref(),
        }
    }
}

enum Finding {
    /// The cause is certain, and no other has to be looked for. With the remedy.
    Answer(String),
    /// The cause is certain. Another one may prevent the operation too. With the remedy.
    Sure(String),
    /// The cause is possible.
    Perhaps(String),
    No,
}

struct Check {
    /// The cause that is checked, as it is shown after `Ruled out:`.
    cause: &'static str,
    /// Returns None if it cannot be checked.
    look: fn(&Case<'_>) -> Option<Finding>,
}

const SECCOMP: Check = Check { cause: "a seccomp filter", look: limits::seccomp };
const MODULE: Check = Check { cause: "a security module (AppArmor, SELinux)", look: limits::module };
const CAPABILITY: Check = Check { cause: "a missing capability", look: limits::capability };
const APPARMOR_AFTER: Check =
    Check { cause: "AppArmor's restriction of user namespaces", look: limits::apparmor_after };
const KERNEL: Check = Check { cause: "a kernel without this kind of namespace", look: limits::kernel };
const ENDED: Check = Check { cause: "a process that has ended", look: target::gone };
const NO_ACCESS: Check =
    Check { cause: "a process of another user or with more capabilities", look: target::stronger };

/// The checks for an operation and its errno, in the order in which they run.
fn checks(operation: &Operation, errno: Errno) -> &'static [Check] {
    use Errno::{EACCES, EINVAL, ENODEV, ENOENT, ENOMEM, ENOSPC, ENOSYS, EPERM, ESRCH};
    match (operation, errno) {
        (Operation::Unshare(kinds), EPERM | EACCES) if kinds.contains(&Kind::User) => &[
            Check { cause: "a chroot", look: limits::in_chroot },
            Check {
                cause: "a user or group without an id in the user namespace of this process",
                look: limits::unmapped,
            },
            Check { cause: "kernel.unprivileged_userns_clone", look: limits::userns_clone },
            Check { cause: "kernel.apparmor_restrict_unprivileged_userns", look: limits::apparmor },
            SECCOMP,
            MODULE,
        ],
        (Operation::Unshare(_), EPERM | EACCES) => &[APPARMOR_AFTER, CAPABILITY, SECCOMP, MODULE],
        (Operation::Unshare(_), ENOSPC) => &[Check { cause: "user.max_*_namespaces", look: limits::used_up }],
        (Operation::Unshare(_), EINVAL) => &[KERNEL],
        (Operation::Unshare(_) | Operation::Process { .. } | Operation::File { .. }, ENOSYS) => &[SECCOMP],

        (Operation::Process { .. }, ESRCH) => &[ENDED],
        (Operation::Process { .. } | Operation::File { .. }, EPERM | EACCES) => &[
            APPARMOR_AFTER,
            NO_ACCESS,
            Check { cause: "the user namespaces that own the namespaces", look: target::ownership },
            CAPABILITY,
            SECCOMP,
            MODULE,
        ],
        (Operation::Process { .. } | Operation::File { .. }, EINVAL) => &[
            Check { cause: "the user namespace of this process", look: target::same_user_ns },
            Check { cause: "a process with several threads", look: target::threads },
            Check {
                cause: "a pid namespace that is not below that of this process",
                look: target::not_below,
            },
            Check { cause: "a file of another kind", look: target::other_kind },
            KERNEL,
        ],
        (Operation::Open(_), ENOENT) => {
            &[ENDED, KERNEL, Check { cause: "a /proc that hides processes", look: target::hidden }]
        }
        (Operation::Open(_), ESRCH) => &[ENDED],
        (Operation::Open(_), EPERM | EACCES) => &[ENDED, NO_ACCESS, MODULE],

        (Operation::Chroot { .. }, EPERM) => &[APPARMOR_AFTER, CAPABILITY, SECCOMP],
        (Operation::Proc, EPERM | EACCES) => &[
            APPARMOR_AFTER,
            Check { cause: "a pid namespace of another user namespace", look: mounts::foreign_pid_ns },
            Check { cause: "mounts over parts of /proc", look: mounts::masked },
            CAPABILITY,
            SECCOMP,
            MODULE,
        ],
        (Operation::Binfmt, EPERM) => &[
            APPARMOR_AFTER,
            Check { cause: "the version of the kernel", look: mounts::binfmt },
            CAPABILITY,
            SECCOMP,
        ],
        (Operation::Binfmt, ENODEV) => &[Check { cause: "a missing kernel module", look: mounts::no_binfmt }],
        (Operation::Propagation, EINVAL) => {
            &[Check { cause: "a root directory that is not a mount point", look: mounts::root_is_no_mount }]
        }
        (Operation::Propagation, EPERM | EACCES) => &[APPARMOR_AFTER, CAPABILITY, SECCOMP, MODULE],
        (Operation::Keep { .. }, EINVAL | ENOENT) => &[
            Check { cause: "a missing file", look: mounts::no_file },
            Check { cause: "a pid namespace without a process", look: mounts::no_child },
            Check { cause: "a shared mount", look: mounts::shared },
        ],
        (Operation::Keep { .. }, EPERM | EACCES) => &[CAPABILITY, SECCOMP, MODULE],

        (Operation::Map { .. }, EPERM | EACCES) => &[
            APPARMOR_AFTER,
            Check { cause: "a map that was written before", look: maps::written },
            Check { cause: "ids that do not exist outside", look: maps::missing_outside },
            Check { cause: "a missing capability", look: maps::capability },
            MODULE,
        ],
        (Operation::Map { .. }, _) => &[
            Check { cause: "the number of ranges", look: maps::too_many },
            Check { cause: "ranges that overlap", look: maps::overlap },
        ],
        (Operation::Setgroups, EPERM) => {
            &[APPARMOR_AFTER, Check { cause: "a setting that was made before", look: maps::denied_before }]
        }
        (Operation::Grant { .. }, _) => &[Check { cause: "a missing line", look: maps::no_grant }],
        (Operation::Mapper { .. }, _) => &[
            Check { cause: "a missing program", look: maps::no_mapper },
            Check { cause: "a program without the rights", look: maps::weak_mapper },
            Check { cause: "a user without a name", look: maps::nameless },
            Check { cause: "another group than that of /etc/passwd", look: maps::other_group },
            Check { cause: "ids that are not granted", look: maps::not_granted },
            Check { cause: "the number of ranges", look: maps::too_many },
            Check { cause: "ranges that overlap", look: maps::overlap },
        ],
        (Operation::Groups { .. }, EPERM) => &[
            Check { cause: "setgroups(2) denied in the user namespace", look: ids::groups_denied },
            Check { cause: "a user namespace without group ids", look: ids::no_groups },
            APPARMOR_AFTER,
            CAPABILITY,
            SECCOMP,
        ],
        (Operation::Id { .. }, EINVAL) => {
            &[Check { cause: "an id that is not mapped", look: ids::not_mapped }]
        }
        (Operation::Id { .. }, EPERM) => &[APPARMOR_AFTER, CAPABILITY, SECCOMP],
        (Operation::Fork { .. }, ENOMEM) => {
            &[Check { cause: "a pid namespace whose process 1 has ended", look: ids::no_init }]
        }
        _ => &[],
    }
}

/// The cause, as far as it can be found from this process.
#[must_use]
pub fn hint_for(operation: &Operation, errno: Errno, proc: &ProcRoot) -> Option<String> {
    if let Operation::Execute(files) = operation {
        return files.iter().find_map(|file| program::not_started(file, errno));
    }
    let nowhere = ProcRoot::nowhere();
    let proc = if ns::has_files_of_others() { &nowhere } else { proc };
    let case = Case { operation, errno, facts: Facts::new(proc), before: OnceCell::new() };
    let (mut sure, mut perhaps, mut ruled_out) = (Vec::new(), Vec::new(), Vec::new());
    for check in checks(operation, errno) {
        match (check.look)(&case) {
            Some(Finding::Answer(words)) => {
                sure.push(words);
                break;
            }
            Some(Finding::Sure(words)) => sure.push(words),
            Some(Finding::Perhaps(words)) => perhaps.push(words),
            Some(Finding::No) => ruled_out.push(check.cause),
            None => {}
        }
    }
    let not =
        if ruled_out.is_empty() { String::new() } else { format!(". Ruled out: {}", ruled_out.join(", ")) };
    match (sure.is_empty(), perhaps.is_empty()) {
        (false, _) => Some(sure.join("; also, ")),
        (true, false) => Some(format!("perhaps {}{not}", perhaps.join("; or "))),
        // Only for a refusal: the message of any other error already says what is wrong.
        (true, true) if errno == Errno::EPERM && !not.is_empty() => {
            Some(format!("the cause cannot be found from here{not}"))
        }
        (true, true) if !case.facts.is_readable() && !checks(operation, errno).is_empty() => {
            Some("/proc cannot be read here, so the cause cannot be found".to_owned())
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

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    program::fuzz(data);
}
