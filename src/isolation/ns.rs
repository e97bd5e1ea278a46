//! Namespaces: open them by process or path, and enter a set of them.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::stat::Mode;
use nix::sys::utsname::uname;
use nix::unistd::Pid;

use super::operation::{Operation, refused};
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use crate::sys;

/// Namespaces to enter: those of one process, and those held open one by one.
#[derive(Default)]
pub(crate) struct Set {
    /// The process, and the kinds to take from it with one setns(2).
    pub process: Option<(OwnedFd, Vec<Kind>)>,
    pub files: Vec<(Kind, OwnedFd)>,
}

impl Set {
    /// This file and no other for the kind.
    pub(crate) fn replace(&mut self, kind: Kind, fd: OwnedFd) {
        self.files.retain(|(other, _)| *other != kind);
        self.files.push((kind, fd));
    }
}

/// Opens a file, closed when a program is executed.
pub(crate) fn open_file(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty())
        .with_context(|| refused(format!("cannot open {}", path.display()), Operation::Open(path.to_owned())))
}

/// Opens the file behind a descriptor of a process, or at a mount point, if it is a namespace. Anything else is not
/// opened: that could wait for a pipe, or for the server of a file system.
#[must_use]
pub(crate) fn open_if_namespace(dir: impl AsFd, path: &CStr) -> Option<(OwnedFd, u64)> {
    let named = openat(dir, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let (device, inode) = sys::file_id(&named, c"").ok()?;
    let (nsfs, _) = sys::file_id(AT_FDCWD, c"/proc/self/ns/net").ok()?;
    let own = format!("/proc/self/fd/{}", named.as_raw_fd());
    (device == nsfs).then(|| open_file(Path::new(&own)).ok()).flatten().map(|opened| (opened, inode))
}

/// Opens a namespace by the id that the kernel gave it for good, which is not its inode.
pub(crate) fn open_id(id: u64) -> Result<OwnedFd> {
    sys::open_namespace(id).with_context(|| format!("cannot open namespace of id {id}"))
}

/// Is the kind there on this kernel?
#[must_use]
pub(crate) fn known(proc: &ProcRoot, kind: Kind) -> bool {
    std::fs::symlink_metadata(proc.own(&kind.link())).is_ok()
}

/// Are we in the user namespace of `pid`? Entering one's own is refused by the kernel (setns(2), EINVAL).
pub(crate) fn same_user_ns(proc: &ProcRoot, pid: Pid) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| {
        let meta = std::fs::metadata(path).with_context(|| format!("stat of {} failed", path.display()))?;
        Ok::<_, anyhow::Error>((meta.dev(), meta.ino()))
    };
    let link = Kind::User.link();
    Ok(id(&proc.path_of(pid, &link))? == id(&proc.own(&link))?)
}

/// setns(2) takes a pidfd since Linux 5.8; pidfds themselves are from 5.3.
#[must_use]
pub(crate) fn setns_takes_pidfd() -> bool {
    kernel() >= (5, 8)
}

/// Version of the running kernel.
#[must_use]
pub(crate) fn kernel() -> (u32, u32) {
    let release = uname().ok().map(|uts| uts.release().to_string_lossy().into_owned()).unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The user namespace above: of a user namespace its parent, of any other its owner.
pub(crate) fn parent_user_ns(fd: &OwnedFd) -> Result<OwnedFd> {
    owner_of(fd).context("failed to open parent namespace")
}

/// The user namespace that owns this namespace, and of a user namespace the parent.
pub(crate) fn owner_of(fd: &OwnedFd) -> nix::Result<OwnedFd> {
    sys::namespace_owner(fd)
}

/// The parent of a pid or user namespace.
pub(crate) fn parent_of(fd: &OwnedFd) -> nix::Result<OwnedFd> {
    sys::namespace_parent(fd)
}

/// Of which kind the namespace behind a descriptor is.
#[must_use]
pub(crate) fn kind_of(fd: &OwnedFd) -> Option<Kind> {
    let flag = sys::namespace_type(fd).ok()?;
    Kind::ALL.into_iter().find(|kind| kind.flag() == flag)
}

/// Who made a user namespace.
#[must_use]
pub(crate) fn owner_uid(fd: &OwnedFd) -> Option<u32> {
    sys::namespace_owner_uid(fd).ok()
}

/// The user namespace of the process behind a pidfd; an error before Linux 6.11.
pub(crate) fn user_ns_of(pidfd: &OwnedFd) -> nix::Result<OwnedFd> {
    sys::pidfd_user_namespace(pidfd)
}

/// The network namespace of a socket that another process holds as its descriptor `fd`.
pub(crate) fn net_ns_of_socket(pidfd: &OwnedFd, fd: i32) -> Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let holder = pidfd.as_raw_fd();
    let socket = sys::pidfd_getfd(pidfd, fd).with_context(|| format!("pidfd_getfd({holder}, {fd})"))?;
    let number = socket.as_raw_fd();
    sys::socket_namespace(&socket).with_context(|| format!("ioctl({number}, SIOCGSKNS)"))
}

impl Set {
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.process.as_ref().is_none_or(|(_, kinds)| kinds.is_empty())
    }

    #[must_use]
    pub(crate) fn contains(&self, kind: Kind) -> bool {
        self.process.as_ref().is_some_and(|(_, kinds)| kinds.contains(&kind))
            || self.files.iter().any(|(other, _)| *other == kind)
    }

    /// Takes one kind out of it, to be entered at another time.
    pub(crate) fn split_off(&mut self, kind: Kind) -> Result<Set> {
        let mut split = Set::default();
        if let Some((pidfd, kinds)) = self.process.as_mut().filter(|(_, kinds)| kinds.contains(&kind)) {
            kinds.retain(|other| *other != kind);
            split.process = Some((pidfd.try_clone()?, vec![kind]));
        }
        let (taken, left) =
            std::mem::take(&mut self.files).into_iter().partition(|(other, _)| *other == kind);
        self.files = left;
        split.files = taken;
        Ok(split)
    }

    /// Enters what the capabilities that we have reach, all but the user namespace; what fails is left.
    ///
    /// Entering goes twice over, as no single order serves everybody. Root enters a rootless container's
    /// namespaces with the capabilities from outside, which root of that container could not (its user
    /// namespace may own only some of them). An ordinary user has capabilities for them only once inside the
    /// user namespace: [`Self::enter_rest`].
    pub(crate) fn enter_with_ours(&mut self) {
        if let Some((pidfd, kinds)) = &mut self.process {
            let (user, rest): (Vec<Kind>, Vec<Kind>) = kinds.iter().partition(|&&kind| kind == Kind::User);
            if !rest.is_empty() && sys::setns(&*pidfd, mask(&rest)).is_ok() {
                *kinds = user;
            }
        }
        self.files.sort_by_key(|(kind, _)| *kind);
        self.files.retain(|(kind, fd)| *kind == Kind::User || sys::setns(fd, kind.flag()).is_err());
    }

    /// Is nothing left but the user namespace, if that?
    #[must_use]
    pub(crate) fn only_user_left(&self) -> bool {
        let process = self.process.iter().flat_map(|(_, kinds)| kinds);
        process.chain(self.files.iter().map(|(kind, _)| kind)).all(|kind| *kind == Kind::User)
    }

    /// Enters the user namespace and then what is left, and now failure counts.
    pub(crate) fn enter_rest(&mut self) -> Result<()> {
        if let Some((pidfd, kinds)) = self.process.as_ref().filter(|(_, kinds)| !kinds.is_empty()) {
            // The kernel enters the user namespace first, and all or none.
            sys::setns(pidfd, mask(kinds)).with_context(|| {
                let operation = Operation::Process { pidfd: pidfd.try_clone().ok(), kinds: kinds.clone() };
                refused("reassociate to namespaces failed", operation)
            })?;
        }
        for (kind, fd) in &self.files {
            sys::setns(fd, kind.flag()).with_context(|| {
                let operation = Operation::File { fd: fd.try_clone().ok(), kind: *kind };
                refused(format!("reassociate to namespace '{}' failed", kind.link()), operation)
            })?;
        }
        self.process = None;
        self.files.clear();
        Ok(())
    }
}

/// Moves us into new namespaces. The user namespace comes first, by the kernel's own order.
///
/// A mount namespace that is to be kept in a file must be younger than the one the file is in, or the bind is
/// refused as a loop. Youth goes by an id, and since Linux 6.18 each processor hands out ids of its own: then
/// the new one may count as older. The processor that gave the old id gives higher ones only, so another
/// namespace is made on each until one is younger.
pub(crate) fn unshare(kinds: &[Kind], keep_mnt: bool) -> Result<()> {
    let before = if keep_mnt { own_mnt_id() } else { None };
    sys::unshare(mask(kinds))?;
    let Some(before) = before else { return Ok(()) };
    let younger = || own_mnt_id().is_none_or(|now| now > before);
    if younger() {
        return Ok(());
    }
    let this_process = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_process)?;
    for cpu in 0..CpuSet::count() {
        let mut one = CpuSet::new();
        one.set(cpu)?;
        // Refused where there is no such processor, or our cpuset lacks it. Others than were allowed count.
        if sched_setaffinity(this_process, &one).is_ok() {
            sys::unshare(Kind::Mnt.flag())?;
            if younger() {
                break;
            }
        }
    }
    sched_setaffinity(this_process, &allowed)?;
    Ok(())
}

/// The id of our mount namespace, where the kernel tells it (since Linux 6.10).
fn own_mnt_id() -> Option<u64> {
    let file = open_file(&ProcRoot::default().own(&Kind::Mnt.link())).ok()?;
    sys::mount_namespace_id(file).ok()
}

pub(crate) fn mask(kinds: &[Kind]) -> c_int {
    kinds.iter().fold(0, |mask, kind| mask | kind.flag())
}

/// The host name that another process sees. No file tells it: we go there to ask, and come back.
#[must_use]
pub(crate) fn hostname(proc: &ProcRoot, pid: Pid) -> Option<String> {
    let home = open_file(&ProcRoot::default().own(&Kind::Uts.link())).ok()?;
    let there = open_file(&proc.path_of(pid, &Kind::Uts.link())).ok()?;
    sys::setns(&there, Kind::Uts.flag()).ok()?;
    let name = nix::unistd::gethostname();
    sys::setns(&home, Kind::Uts.flag()).ok()?;
    name.ok()?.into_string().ok()
}

/// A pidfd where the kernel has them. Not to have one is no failure: files below /proc serve as well.
#[must_use]
pub(crate) fn pidfd(pid: Pid) -> Option<OwnedFd> {
    sys::pidfd_open(pid).ok()
}

/// Does the process that the pidfd was opened for still run? Then what was opened by its number is its own.
pub(crate) fn still(pidfd: &OwnedFd) -> nix::Result<()> {
    match sys::pidfd_alive(pidfd) {
        Err(Errno::ESRCH) => Err(Errno::ESRCH),
        _ => Ok(()), // EPERM is alive too
    }
}
