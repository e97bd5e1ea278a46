//! All that decides what a process may do, as far as others can see it.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::State;
use super::file::{self, FileCapabilities};
use crate::aside::{self, Account};
use crate::isolation::kind::Kind;
use crate::isolation::ns;
use crate::proc::ProcRoot;
use crate::sys;

pub(crate) struct Process {
    pub pid: Pid,
    /// Of its first thread.
    pub state: State,
    /// Threads whose state is another, together with those they share it with.
    pub others: Vec<(Vec<Pid>, State)>,
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

impl Process {
    pub(crate) fn read(proc: &ProcRoot, pid: Pid) -> std::io::Result<Process> {
        let state = State::read(proc, pid, None)?;
        let others = if state.threads > 1 { others(proc, pid, &state)? } else { Vec::new() };
        Ok(Process { pid, others, user_ns: UserNs::of(proc, pid), program: None, state })
    }

    /// The same with what its program's file gives.
    pub(crate) fn whole(proc: &ProcRoot, pid: Pid) -> std::io::Result<Process> {
        let process = Process::read(proc, pid)?;
        Ok(Process { program: Program::of(proc, pid), ..process })
    }
}

/// The threads that differ. One that ends meanwhile is passed over.
fn others(proc: &ProcRoot, pid: Pid, first: &State) -> std::io::Result<Vec<(Vec<Pid>, State)>> {
    let may = |state: &State| (state.sets, state.no_new_privs, state.seccomp);
    let mut groups: Vec<(Vec<Pid>, State)> = Vec::new();
    for entry in sys::directory::list(&proc.of(pid, "task"))? {
        let Some(thread) = entry.name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let thread = Pid::from_raw(thread);
        let Ok(state) = State::read(proc, pid, Some(thread)) else { continue };
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
    pub(crate) fn of(proc: &ProcRoot, pid: Pid) -> Option<UserNs> {
        let path = proc.of(pid, &Kind::User.link());
        let inode = std::fs::metadata(&path).ok()?.ino();
        let ours = std::fs::metadata(proc.own(&Kind::User.link())).ok()?.ino() == inode;
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
    fn of(proc: &ProcRoot, pid: Pid) -> Option<Program> {
        let exe = proc.of(pid, "exe");
        let path = std::fs::read_link(&exe).ok()?;
        // By the link itself: what its text names may be another file by now, or one of another root.
        let link = CString::new(exe.as_os_str().as_bytes()).ok()?;
        let gives = match asks_a_program(proc, pid, &link) {
            Ok(true) => Err(Errno::EREMOTEIO),
            Ok(false) => given(pid, &link),
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
fn asks_a_program(proc: &ProcRoot, pid: Pid, file: &CStr) -> nix::Result<bool> {
    let ((major, minor), _) = sys::file_id(nix::fcntl::AT_FDCWD, file)?;
    let device = format!("{major}:{minor}");
    let unknown = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let mounts = proc.read(pid, "mountinfo").map_err(unknown)?;
    Ok(mounts.split(|&b| b == b'\n').any(|line| {
        let mut fields = line.split(|&b| b == b' ');
        let here = fields.nth(2) == Some(device.as_bytes());
        let kind = fields.skip_while(|field| *field != b"-").nth(1).unwrap_or_default();
        here && kind.starts_with(b"fuse")
    }))
}

/// What lies below overlayfs is not known: another process asks for it, and is waited for a limited time.
#[allow(unsafe_code)] // aside::once
fn given(pid: Pid, file: &CStr) -> Result<Option<FileCapabilities>, Errno> {
    let ask = || match sys::get_xattr(file, c"security.capability", &mut [0; 64]) {
        Ok(raw) => [&0_i32.to_ne_bytes(), raw].concat(),
        Err(errno) => (errno as i32).to_ne_bytes().to_vec(),
    };
    // SAFETY: the work has a path and no descriptor.
    let answer = unsafe { aside::once(Account::Container(pid.as_raw()), ask) }?;
    let (errno, raw) = answer.split_first_chunk().ok_or(Errno::EIO)?;
    match Errno::from_raw(i32::from_ne_bytes(*errno)) {
        Errno::UnknownErrno => file::parse(raw).map(Some).ok_or(Errno::EINVAL),
        Errno::ENODATA | Errno::EOPNOTSUPP => Ok(None),
        errno => Err(errno),
    }
}
