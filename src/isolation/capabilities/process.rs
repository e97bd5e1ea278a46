//! Everything that limits what a process may do, as far as another process can read it.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::file::{self, FileCapabilities};
use crate::access::{self, Account};
use crate::isolation::ns;
use crate::proc::mountinfo::mounts;
use crate::proc::ns::Kind;
use crate::proc::{Credentials, Process};
use crate::sys;

pub(crate) struct Capable {
    pub pid: Pid,
    /// The state of its first thread.
    pub state: Credentials,
    /// Threads with another state, grouped by state. Without their supplementary groups.
    pub others: Vec<(Vec<Pid>, Credentials)>,
    pub user_ns: Option<UserNs>,
    /// Only from [`Capable::whole`].
    pub program: Option<Program>,
}

pub(crate) struct UserNs {
    pub inode: u64,
    /// Is it the user namespace of this process?
    pub is_own: bool,
    /// The user who created it.
    pub owner: Option<u32>,
}

/// The program that it executes.
pub(crate) struct Program {
    pub path: PathBuf,
    /// The file capabilities; an error when they cannot be read.
    pub gives: Result<Option<FileCapabilities>, Errno>,
}

impl Capable {
    pub(crate) fn read(process: Process<'_>) -> std::io::Result<Capable> {
        let state = process.credentials()?;
        let others = if state.threads > 1 { others(process, &state)? } else { Vec::new() };
        Ok(Capable { pid: process.pid, others, user_ns: UserNs::read(process), program: None, state })
    }

    /// The same, with the capabilities of the program's file.
    pub(crate) fn whole(process: Process<'_>) -> std::io::Result<Capable> {
        Ok(Capable { program: Program::read(process), ..Capable::read(process)? })
    }
}

/// The threads that differ. A thread that has ended is skipped.
fn others(process: Process<'_>, first: &Credentials) -> std::io::Result<Vec<(Vec<Pid>, Credentials)>> {
    let may = |state: &Credentials| (state.sets, state.no_new_privs, state.seccomp);
    let mut groups: Vec<(Vec<Pid>, Credentials)> = Vec::new();
    for entry in process.root.list(&process.path("task"))? {
        let Some(thread) = entry.name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let thread = Pid::from_raw(thread);
        let Ok(state) = process.thread_credentials(thread) else { continue };
        if may(&state) == may(first) {
            continue;
        }
        match groups.iter_mut().find(|(_, other)| may(other) == may(&state)) {
            Some((threads, _)) => threads.push(thread),
            None => groups.push((vec![thread], state.without_groups())),
        }
    }
    Ok(groups)
}

impl UserNs {
    /// None if this process may not read it.
    #[must_use]
    pub(crate) fn read(process: Process<'_>) -> Option<UserNs> {
        let path = process.ns_path(Kind::User);
        let inode = std::fs::metadata(&path).ok()?.ino();
        let is_own = std::fs::metadata(process.root.own(&Kind::User.link())).ok()?.ino() == inode;
        let owner = ns::open_file(&path).ok().and_then(|fd| ns::owner_uid(&fd));
        Some(UserNs { inode, is_own, owner })
    }

    /// `only inside user namespace 4026532333, owned by uid 1000`; None for the user namespace of this process.
    #[must_use]
    pub(crate) fn limits(&self) -> Option<String> {
        let owner = self.owner.map(|uid| format!(", owned by uid {uid}")).unwrap_or_default();
        (!self.is_own).then(|| format!("only inside user namespace {}{owner}", self.inode))
    }
}

impl Program {
    /// None for a kernel thread, and for a process that this process may not read.
    fn read(process: Process<'_>) -> Option<Program> {
        let exe = process.path("exe");
        let path = process.root.link(&exe).ok()?;
        // Uses the link itself: the path that it shows may lead to another file by now, or below another root.
        let link = CString::new(exe.as_os_str().as_bytes()).ok()?;
        let gives = match is_on_fuse(process, &link) {
            Ok(true) => Err(Errno::EREMOTEIO),
            Ok(false) => given(process.pid, &link),
            Err(errno) => Err(errno),
        };
        Some(Program { path, gives })
    }
}

impl Program {
    /// Why the file capabilities are not known.
    #[must_use]
    pub(crate) fn unknown(&self) -> Option<String> {
        match self.gives {
            Ok(_) => None,
            Err(Errno::EREMOTEIO) => Some("not read, because its filesystem may be FUSE".to_owned()),
            Err(Errno::ETIMEDOUT) => Some("its filesystem does not answer in time".to_owned()),
            Err(errno) => Some(crate::errno::strerror(errno as i32)),
        }
    }
}

/// Is the file on FUSE, where a program answers requests? A program in a container could block the reader forever.
/// The kernel reports the file system without asking the program.
fn is_on_fuse(process: Process<'_>, file: &CStr) -> nix::Result<bool> {
    let ((major, minor), _) = sys::file_id(nix::fcntl::AT_FDCWD, file)?;
    let device = format!("{major}:{minor}");
    let unknown = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let text = process.mountinfo().map_err(unknown)?;
    Ok(mounts(&text).any(|mount| mount.device == device.as_bytes() && mount.kind.starts_with(b"fuse")))
}

/// The file system below overlayfs is unknown: another process reads the attribute, with a time limit.
#[allow(unsafe_code)] // access::once
fn given(pid: Pid, file: &CStr) -> Result<Option<FileCapabilities>, Errno> {
    let ask = || match sys::get_xattr(file, c"security.capability", &mut [0; 64]) {
        Ok(raw) => [&0_i32.to_ne_bytes(), raw].concat(),
        Err(errno) => (errno as i32).to_ne_bytes().to_vec(),
    };
    // SAFETY: the closure holds a path and no descriptor.
    let answer = unsafe { access::once(Account::of_owner(0, pid.as_raw()), ask) }?;
    let (errno, raw) = answer.split_first_chunk().ok_or(Errno::EIO)?;
    match Errno::from_raw(i32::from_ne_bytes(*errno)) {
        Errno::UnknownErrno => file::parse(raw).map(Some).ok_or(Errno::EINVAL),
        Errno::ENODATA | Errno::EOPNOTSUPP => Ok(None),
        errno => Err(errno),
    }
}
