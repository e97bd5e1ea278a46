//! Opens namespaces by process or path, and enters a set of them.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::stat::{Mode, fstat};
use nix::sys::utsname::uname;
use nix::unistd::Pid;

use super::before::Before;
use super::operation::{Operation, refused};
use crate::order;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use crate::sys;
use crate::text;

/// Namespaces to enter: those of one process, and files that are open.
#[derive(Default)]
pub(crate) struct Set {
    /// The process, and the kinds of its namespaces to enter with one setns(2).
    pub process: Option<(Rc<OwnedFd>, Vec<Kind>)>,
    /// Those that are left out if the kernel lacks them, which a failure of that call shows.
    pub assumed: Vec<Kind>,
    pub files: Vec<(Kind, OwnedFd)>,
    /// For the hint, if hints are wanted.
    pub before: Option<Arc<Before>>,
}

impl Set {
    /// This file must be used for the kind.
    pub(crate) fn replace(&mut self, kind: Kind, fd: OwnedFd) {
        self.files.retain(|(other, _)| *other != kind);
        self.files.push((kind, fd));
    }
}

/// Opens a file with close-on-exec.
pub(crate) fn open_file(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    // open(3) of musl sets close-on-exec once more, with a further system call; openat(3) does not.
    openat(AT_FDCWD, path, flags, Mode::empty())
        .with_context(|| refused(format!("cannot open {}", path.display()), Operation::Open(path.to_owned())))
}

/// Opens a descriptor of a process, or a mount point, only if it is a namespace. Opening anything else could wait for
/// a FIFO, or for the server of a file system.
#[must_use]
pub(crate) fn open_if_namespace(dir: impl AsFd, path: &CStr) -> Option<(OwnedFd, u64)> {
    let named = openat(dir, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let (device, inode) = sys::file_id(&named, c"").ok()?;
    let (nsfs, _) = sys::file_id(AT_FDCWD, c"/proc/self/ns/net").ok()?;
    let own = format!("/proc/self/fd/{}", named.as_raw_fd());
    (device == nsfs).then(|| open_file(Path::new(&own)).ok()).flatten().map(|opened| (opened, inode))
}

/// Opens a namespace by its permanent id, which is not its inode.
pub(crate) fn open_id(id: u64) -> Result<OwnedFd> {
    sys::open_namespace(id).with_context(|| format!("cannot open namespace of id {id}"))
}

/// Does this kernel have the kind?
#[must_use]
pub(crate) fn known(proc: &ProcRoot, kind: Kind) -> bool {
    proc.has(&proc.own(&kind.link()))
}

/// Is this process in the user namespace of `pid`? The kernel refuses to enter it again (setns(2), EINVAL).
pub(crate) fn same_user_ns(proc: &ProcRoot, pid: Pid) -> Result<bool> {
    let id = |path: &Path| {
        let message = || format!("stat of {} failed", path.display());
        let meta =
            std::fs::metadata(path).with_context(|| refused(message(), Operation::Open(path.to_owned())))?;
        Ok::<_, anyhow::Error>((meta.dev(), meta.ino()))
    };
    let link = Kind::User.link();
    Ok(id(&proc.path_of(pid, &link))? == id(&proc.own(&link))?)
}

/// The same by a pidfd, without a read of the target's files, which may not end. None where the kernel does not say it
/// (before Linux 6.11), and for a process that this one may not trace.
#[must_use]
pub(crate) fn same_user_ns_by_pidfd(proc: &ProcRoot, pidfd: &OwnedFd) -> Option<bool> {
    let of_target = fstat(user_ns_of(pidfd).ok()?).ok()?;
    let own = std::fs::metadata(proc.own(&Kind::User.link())).ok()?;
    Some((of_target.st_dev, of_target.st_ino) == (own.dev(), own.ino()))
}

/// setns(2) accepts a pidfd since Linux 5.8; pidfds exist since 5.3.
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

/// For a user namespace its parent, for any other its owner.
pub(crate) fn parent_user_ns(fd: &OwnedFd) -> Result<OwnedFd> {
    owner_of(fd).context("failed to open parent namespace")
}

/// The user namespace that owns this namespace; for a user namespace, its parent.
pub(crate) fn owner_of(fd: &OwnedFd) -> nix::Result<OwnedFd> {
    sys::namespace_owner(fd)
}

/// The parent of a pid or user namespace.
pub(crate) fn parent_of(fd: &OwnedFd) -> nix::Result<OwnedFd> {
    sys::namespace_parent(fd)
}

/// The process that has this PID in a pid namespace. ENOTTY: the kernel is older than Linux 6.11.
pub(crate) fn process_of(pid_ns: &OwnedFd, inner: i32) -> nix::Result<Pid> {
    sys::pid_from_namespace(pid_ns, inner)
}

/// The kind of the namespace behind a descriptor.
#[must_use]
pub(crate) fn kind_of(fd: &OwnedFd) -> Option<Kind> {
    let flag = sys::namespace_type(fd).ok()?;
    Kind::ALL.into_iter().find(|kind| kind.flag() == flag)
}

/// The user who created a user namespace.
#[must_use]
pub(crate) fn owner_uid(fd: &OwnedFd) -> Option<u32> {
    sys::namespace_owner_uid(fd).ok()
}

/// The user namespace of the process behind a pidfd; an error before Linux 6.11.
pub(crate) fn user_ns_of(pidfd: &OwnedFd) -> nix::Result<OwnedFd> {
    sys::pidfd_user_namespace(pidfd)
}

/// The network namespace of a socket that is descriptor `fd` of another process.
pub(crate) fn net_ns_of_socket(pidfd: &OwnedFd, fd: i32) -> Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let holder = pidfd.as_raw_fd();
    let socket = sys::pidfd_getfd(pidfd, fd).with_context(|| format!("pidfd_getfd({holder}, {fd})"))?;
    let number = socket.as_raw_fd();
    sys::socket_namespace(&socket).with_context(|| format!("ioctl({number}, SIOCGSKNS)"))
}

/// The network namespace of an interface of /dev/net/tun that is descriptor `fd` of another process.
pub(crate) fn net_ns_of_tun(pidfd: &OwnedFd, fd: i32) -> Option<OwnedFd> {
    const TUN: (u32, u32) = (10, 200);
    let file = sys::pidfd_getfd(pidfd, fd).ok()?;
    // A file that another program serves can have any name, and may not answer.
    let is_tun = sys::known(&file, c"").is_ok_and(|known| known.special == Some(TUN));
    if is_tun { sys::socket_namespace(&file).ok() } else { None }
}

impl Set {
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.process.as_ref().is_none_or(|(_, kinds)| kinds.is_empty())
    }

    /// The number of namespaces.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.files.len() + self.process.as_ref().map_or(0, |(_, kinds)| kinds.len())
    }

    #[must_use]
    pub(crate) fn contains(&self, kind: Kind) -> bool {
        self.process.as_ref().is_some_and(|(_, kinds)| kinds.contains(&kind))
            || self.files.iter().any(|(other, _)| *other == kind)
    }

    /// Removes one kind, to be entered separately.
    pub(crate) fn split_off(&mut self, kind: Kind) -> Result<Set> {
        let mut split = Set { before: self.before.clone(), assumed: self.assumed.clone(), ..Set::default() };
        if let Some((pidfd, kinds)) = self.process.as_mut().filter(|(_, kinds)| kinds.contains(&kind)) {
            kinds.retain(|other| *other != kind);
            split.process = Some((Rc::clone(pidfd), vec![kind]));
        }
        let (taken, left) =
            std::mem::take(&mut self.files).into_iter().partition(|(other, _)| *other == kind);
        self.files = left;
        split.files = taken;
        Ok(split)
    }

    /// Enters all namespaces, except the user namespace, that the current capabilities allow. Those that fail stay in
    /// the set.
    ///
    /// Namespaces are entered in two passes, because no single order works for everyone. Root enters the namespaces
    /// of a rootless container with the capabilities from outside; root of that container could not (its user
    /// namespace may own only some of them). An ordinary user has capabilities for them only inside the user
    /// namespace: [`Self::enter_rest`].
    pub(crate) fn enter_permitted(&mut self) {
        if let Some((pidfd, kinds)) = &mut self.process {
            let (user, rest): (Vec<Kind>, Vec<Kind>) = kinds.iter().partition(|&&kind| kind == Kind::User);
            if !rest.is_empty() && enter(&*pidfd, &rest).is_ok() {
                *kinds = user;
            } else if !self.assumed.is_empty() {
                let proc = ProcRoot::default();
                // What the files of others say does not count.
                let is_known = |kind| has_files_of_others() || known(&proc, kind);
                kinds.retain(|kind| !self.assumed.contains(kind) || is_known(*kind));
            }
            // One call enters all or none.
            kinds.retain(|kind| *kind == Kind::User || enter(&*pidfd, &[*kind]).is_err());
        }
        order::sort_by_key(&mut self.files, |(kind, _)| *kind);
        self.files.retain(|(kind, fd)| *kind == Kind::User || enter(fd, &[*kind]).is_err());
    }

    /// Is the set empty, or is only the user namespace left?
    #[must_use]
    pub(crate) fn only_user_left(&self) -> bool {
        let process = self.process.iter().flat_map(|(_, kinds)| kinds);
        process.chain(self.files.iter().map(|(kind, _)| kind)).all(|kind| *kind == Kind::User)
    }

    /// Enters the user namespace and then all that is left. A failure is an error.
    pub(crate) fn enter_rest(&mut self) -> Result<()> {
        if let Some((pidfd, kinds)) = self.process.as_ref().filter(|(_, kinds)| !kinds.is_empty()) {
            enter_with_user(pidfd, kinds).with_context(|| {
                let (pidfd, before) = (pidfd.try_clone().ok(), self.before.clone());
                let operation = Operation::Process { pidfd, kinds: kinds.clone(), before };
                refused("reassociate to namespaces failed", operation)
            })?;
        }
        for (kind, fd) in &self.files {
            enter(fd, &[*kind]).with_context(|| {
                let operation =
                    Operation::File { fd: fd.try_clone().ok(), kind: *kind, before: self.before.clone() };
                refused(format!("reassociate to namespace '{}' failed", kind.link()), operation)
            })?;
        }
        self.process = None;
        self.files.clear();
        Ok(())
    }
}

/// One call enters all or none, and checks the rights that this process has before it. Inside the user namespace it may
/// have more.
fn enter_with_user(pidfd: &OwnedFd, kinds: &[Kind]) -> nix::Result<()> {
    let together = enter(pidfd, kinds);
    if together != Err(Errno::EPERM) || kinds.len() < 2 || !kinds.contains(&Kind::User) {
        return together;
    }
    let rest: Vec<Kind> = kinds.iter().copied().filter(|kind| *kind != Kind::User).collect();
    enter(pidfd, &[Kind::User]).and_then(|()| enter(pidfd, &rest))
}

static HAS_FILES_OF_OTHERS: AtomicBool = AtomicBool::new(false);

/// Has this process entered a mount namespace or a root directory of others? They choose what its /proc is: it can lie, or not
/// answer.
#[must_use]
pub(crate) fn has_files_of_others() -> bool {
    HAS_FILES_OF_OTHERS.load(Ordering::Relaxed)
}

pub(crate) fn enters_files_of_others() {
    HAS_FILES_OF_OTHERS.store(true, Ordering::Relaxed);
}

fn enter(fd: impl AsFd, kinds: &[Kind]) -> nix::Result<()> {
    sys::setns(fd, mask(kinds))?;
    if kinds.contains(&Kind::Mnt) {
        enters_files_of_others();
    }
    Ok(())
}

/// Moves this process into new namespaces. The kernel makes the user namespace first.
///
/// The kernel binds a mount namespace to a file only if it is younger than the mount namespace of the file; otherwise
/// the mount would be a loop. It compares ids. Since Linux 6.18 each CPU allocates ids from its own batch, so that a
/// new namespace may have a lower id. The CPU that gave the old id gives only higher ones, so a namespace is made on
/// each CPU until one is younger.
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
        // Fails if there is no such CPU, or the cpuset lacks it. CPUs that were not allowed before also count.
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

/// The id of the mount namespace of this process (since Linux 6.10).
fn own_mnt_id() -> Option<u64> {
    let file = open_file(&ProcRoot::default().own(&Kind::Mnt.link())).ok()?;
    sys::mount_namespace_id(file).ok()
}

pub(crate) fn mask(kinds: &[Kind]) -> c_int {
    kinds.iter().fold(0, |mask, kind| mask | kind.flag())
}

/// The host name that another process sees. No file shows it: this process enters the UTS namespace, reads it, and
/// returns.
#[must_use]
pub(crate) fn hostname(proc: &ProcRoot, pid: Pid) -> Option<String> {
    let home = open_file(&ProcRoot::default().own(&Kind::Uts.link())).ok()?;
    let there = open_file(&proc.path_of(pid, &Kind::Uts.link())).ok()?;
    sys::setns(&there, Kind::Uts.flag()).ok()?;
    let name = nix::unistd::gethostname();
    sys::setns(&home, Kind::Uts.flag()).ok()?;
    Some(text::utf8(name.ok()?.as_encoded_bytes()).into_owned())
}

/// A pidfd of the process with this number in proc, if the kernel has them. None is not an error: the files below /proc are
/// used instead. If proc shows the PIDs of another pid namespace, here the number is that of another process.
#[must_use]
pub(crate) fn pidfd(proc: &ProcRoot, pid: Pid) -> Option<OwnedFd> {
    if !proc.has_own_pids() {
        return None;
    }
    sys::pidfd_open(pid).ok()
}

/// Does the process of the pidfd still run? Then files that were opened by its PID belong to it.
pub(crate) fn still(pidfd: &OwnedFd) -> nix::Result<()> {
    match sys::pidfd_alive(pidfd) {
        Err(Errno::ESRCH) => Err(Errno::ESRCH),
        _ => Ok(()), // with EPERM it also runs
    }
}
