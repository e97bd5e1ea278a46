//! Moves processes into groups, and finds out why the kernel refuses it.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, ForkResult, Pid, faccessat};

use super::group::{Group, words};
use super::hierarchy::Hierarchies;
use crate::errno;
use crate::proc::ProcRoot;
use crate::sys;

/// Moves this process into the group of an open `cgroup.procs` or `tasks`.
pub(crate) fn join(entrance: &OwnedFd) -> nix::Result<()> {
    nix::unistd::write(entrance, b"0").map(drop)
}

/// Moves another process into the group.
pub(crate) fn put(entrance: &OwnedFd, pid: Pid) -> nix::Result<()> {
    nix::unistd::write(entrance, pid.to_string().as_bytes()).map(drop)
}

/// Opens the entrance of the group for [`enter`]. So a missing group is found before any group is joined.
pub(crate) fn open(group: &Group) -> Result<OwnedFd> {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    nix::fcntl::open(&group.entrance(), flags, Mode::empty()).map_err(|errno| cannot_join(group, errno))
}

pub(crate) fn enter(group: &Group, entrance: &OwnedFd) -> Result<()> {
    join(entrance).map_err(|errno| cannot_join(group, errno))
}

/// Forks a child that starts in a v2 group; None if that is not possible. A seccomp filter gives EPERM or ENOSYS, a
/// kernel before 5.7 EINVAL or E2BIG.
pub(crate) fn fork_into(group: &Group) -> Result<Option<ForkResult>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = nix::fcntl::open(&group.directory(), flags, Mode::empty())
        .map_err(|errno| cannot_join(group, errno))?;
    match sys::fork_into(&directory) {
        Ok(forked) => Ok(Some(forked)),
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL | Errno::E2BIG) => Ok(None),
        Err(errno @ Errno::EAGAIN) => {
            let refused =
                Refused::new(errno, "a limit of processes is reached: pids.max of the group or of one above");
            Err(Error::new(refused).context(format!("{}: cannot start a process", group.shown())))
        }
        Err(errno) => Err(cannot_join(group, errno)),
    }
}

/// An errno with a remedy.
#[derive(Debug)]
pub(crate) struct Refused {
    pub errno: Errno,
    remedy: String,
}

impl Refused {
    pub(crate) fn new(errno: Errno, remedy: impl Into<String>) -> Refused {
        Refused { errno, remedy: remedy.into() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&errno::strerror(self.errno as i32))?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, " ({})", self.remedy) }
    }
}

impl std::error::Error for Refused {}

pub(super) fn cannot_join(group: &Group, errno: Errno) -> Error {
    let refused = Refused::new(errno, remedy(group, errno));
    Error::new(refused).context(format!("{}: cannot join {}", group.shown(), group.directory().display()))
}

fn remedy(group: &Group, errno: Errno) -> String {
    let directory = group.directory();
    match errno {
        Errno::ENOENT | Errno::ENODEV => "the group does not exist; --create creates it".to_owned(),
        Errno::EACCES | Errno::EPERM => not_delegated(group),
        Errno::ENOSPC => {
            let empty = ["cpuset.cpus", "cpuset.mems"].map(|file| (file, directory.join(file)));
            let empty = empty.iter().filter(|(_, path)| words(path).is_ok_and(|words| words.is_empty()));
            let names: Vec<&str> = empty.map(|(file, _)| *file).collect();
            format!(
                "{} must be set before anything can run there; --create copies the parent's",
                names.join(" and ")
            )
        }
        Errno::EBUSY if group.v2 => {
            let on = words(&directory.join("cgroup.subtree_control")).unwrap_or_default();
            format!(
                "it enables controllers for groups below it ({}), so processes may only be in those: join one of them",
                on.join(" ")
            )
        }
        Errno::EOPNOTSUPP if group.v2 => {
            let kind = std::fs::read_to_string(directory.join("cgroup.type")).unwrap_or_default();
            format!(
                "its cgroup.type is '{}': a process may join only a domain or a threaded domain",
                kind.trim_end()
            )
        }
        _ => String::new(),
    }
}

/// On v2 a process needs write permission for cgroup.procs of the target group and of the nearest common ancestor of
/// source and target (cgroups(7), "Delegation containment").
fn not_delegated(group: &Group) -> String {
    let entrance = group.entrance();
    let refusing = if writable(&entrance) {
        common_ancestor(group).map(|ancestor| ancestor.join("cgroup.procs"))
    } else {
        Some(entrance)
    };
    match refusing.filter(|file| !writable(file)) {
        Some(file) if group.v2 => format!(
            "{} is not writable by you: to move a process, you need write permission for the target group and the \
             nearest group above both; start inside a delegated one: systemd-run --user --scope",
            file.display()
        ),
        Some(_) => {
            "its file tasks is not writable by you: root can allow it with chown or cgcreate -t".to_owned()
        }
        None => "you may not move the process, or a policy forbids it".to_owned(),
    }
}

/// The deepest directory above both the group of this process and the target group.
fn common_ancestor(group: &Group) -> Option<PathBuf> {
    let proc = ProcRoot::default();
    let own = Hierarchies::read(&proc).ok()?.groups_of(&proc, Pid::this()).ok()?;
    let own = own.into_iter().find(|own| own.mount_point == group.mount_point)?.path;
    let shared = own.components().zip(group.path.components()).take_while(|(a, b)| a == b);
    Some(group.mount_point.join(shared.map(|(component, _)| component).collect::<PathBuf>()))
}

/// May this process write to it? Checks the effective ids.
pub(super) fn writable(path: &Path) -> bool {
    faccessat(nix::fcntl::AT_FDCWD, path, AccessFlags::W_OK, AtFlags::AT_EACCESS).is_ok()
}
