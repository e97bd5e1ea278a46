//! All that decides what a process may do, as far as others can see it.

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
    /// Of its first thread.
    pub state: Credentials,
    /// Threads whose state is another, together with those they share it with.
    pub others: Vec<(Vec<Pid>, Credentials)>,
    pub user_ns: Option<UserNs>,
    /// Only when the whole is asked for.
    pub program: Option<Program>,
}

pub(crate) struct UserNs {
    pub inode: u64,
    /// Is it the one we are in?
    pub ours: bool,
    /// Who made it.
    pub owner: Option<u32>,
}

/// What it executes.
pub(crate) struct Program {
    pub path: PathBuf,
    /// What its file gives; an error when that cannot be read.
    pub gives: Result<Option<FileCapabilities>, Errno>,
}

impl Capable {
    pub(crate) fn read(process: Process<'_>) -> std::io::Result<Capable> {
        let state = process.credentials()?;
        let others = if state.threads > 1 { others(process, &state)? } else { Vec::new() };
        Ok(Capable { pid: process.pid, others, user_ns: UserNs::of(process), program: None, state })
    }

    /// The same with what its program's file gives.
    pub(crate) fn whole(process: Process<'_>) -> std::io::Result<Capable> {
        Ok(Capable { program: Program::of(process), ..Capable::read(process)? })
    }
}

/// The threads that differ. One that ends meanwhile is passed over.
fn others(process: Process<'_>, first: &Credentials) -> std::io::Result<Vec<(Vec<Pid>, Credentials)>> {
    let may = |state: &Credentials| (state.sets, state.no_new_privs, state.seccomp);
    let mut groups: Vec<(Vec<Pid>, Credentials)> = Vec::new();
    for entry in sys::directory::list(&process.path("task"))? {
        let Some(thread) = entry.name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let thread = Pid::from_raw(thread);
        let Ok(state) = process.thread_credentials(thread) else { continue };
        if may(&state) == may(first) {
            continue;
        }
        match groups.iter_mut().find(|(_, other)| may(other) == may(&state)) {
            Some((threads, _)) => threads.push(thread),
            None => groups.push((vec![thread], state)),
        }
    }
    Ok(groups)
}

impl UserNs {
    /// None: we may not look.
    #[must_use]
    pub(crate) fn of(process: Process<'_>) -> Option<UserNs> {
        let path = process.ns_path(Kind::User);
        let inode = std::fs::metadata(&path).ok()?.ino();
        let ours = std::fs::metadata(process.root.own(&Kind::User.link())).ok()?.ino() == inode;
        let owner = ns::open_file(&path).ok().and_then(|fd| ns::owner_uid(&fd));
        Some(UserNs { inode, ours, owner })
    }

    /// `only inside user namespace 4026532333, owned by uid 1000`; nothing of our own.
    #[must_use]
    pub(crate) fn limits(&self) -> Option<String> {
        let owner = self.owner.map(|uid| format!(", owned by uid {uid}")).unwrap_or_default();
        (!self.ours).then(|| format!("only inside user namespace {}{owner}", self.inode))
    }
}

impl Program {
    /// None for a thread of the kernel, and of a process that we may not look into.
    fn of(process: Process<'_>) -> Option<Program> {
        let exe = process.path("exe");
        let path = std::fs::read_link(&exe).ok()?;
        // By the link itself: what its text names may be another file by now, or one of another root.
        let link = CString::new(exe.as_os_str().as_bytes()).ok()?;
        let gives = match asks_a_program(process, &link) {
            Ok(true) => Err(Errno::EREMOTEIO),
            Ok(false) => given(process.pid, &link),
            Err(errno) => Err(errno),
        };
        Some(Program { path, gives })
    }
}

impl Program {
    /// Why it is not known what the file gives.
    #[must_use]
    pub(crate) fn unknown(&self) -> Option<String> {
        match self.gives {
            Ok(_) => None,
            Err(Errno::EREMOTEIO) => Some("not asked for, its filesystem may be FUSE".to_owned()),
            Err(Errno::ETIMEDOUT) => Some("its filesystem does not answer in time".to_owned()),
            Err(errno) => Some(crate::errno::strerror(errno as i32)),
        }
    }
}

/// Is the file on a filesystem whose answers a program gives (FUSE)? One in a container could let us wait forever.
/// Where the file is, the kernel tells without asking.
fn asks_a_program(process: Process<'_>, file: &CStr) -> nix::Result<bool> {
    let ((major, minor), _) = sys::file_id(nix::fcntl::AT_FDCWD, file)?;
    let device = format!("{major}:{minor}");
    let unknown = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let text = process.mountinfo().map_err(unknown)?;
    Ok(mounts(&text).any(|mount| mount.device == device.as_bytes() && mount.kind.starts_with(b"fuse")))
}

/// What lies below overlayfs is not known: another process asks for it, and is waited for a limited time.
#[allow(unsafe_code)] // access::once
fn given(pid: Pid, file: &CStr) -> Result<Option<FileCapabilities>, Errno> {
    let ask = || match sys::get_xattr(file, c"security.capability", &mut [0; 64]) {
        Ok(raw) => [&0_i32.to_ne_bytes(), raw].concat(),
        Err(errno) => (errno as i32).to_ne_bytes().to_vec(),
    };
    // SAFETY: the work has a path and no descriptor.
    let answer = unsafe { access::once(Account::Container(pid.as_raw()), ask) }?;
    let (errno, raw) = answer.split_first_chunk().ok_or(Errno::EIO)?;
    match Errno::from_raw(i32::from_ne_bytes(*errno)) {
        Errno::UnknownErrno => file::parse(raw).map(Some).ok_or(Errno::EINVAL),
        Errno::ENODATA | Errno::EOPNOTSUPP => Ok(None),
        errno => Err(errno),
    }
}
