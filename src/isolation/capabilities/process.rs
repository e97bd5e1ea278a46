//! All that decides what a process may do, as far as others can see it.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::State;
use super::file::{self, FileCapabilities};
use crate::isolation::kind::Kind;
use crate::isolation::ns;
use crate::proc::ProcRoot;
use crate::sys;

pub struct Process {
    pub pid: Pid,
    /// Of its first thread.
    pub state: State,
    /// Threads whose state is another, together with those they share it with.
    pub others: Vec<(Vec<Pid>, State)>,
    pub user_ns: Option<UserNs>,
    pub program: Program,
}

pub struct UserNs {
    pub inode: u64,
    /// Is it the one we are in?
    pub ours: bool,
    /// Who made it.
    pub owner: Option<u32>,
}

/// What it executes. None of it for a thread of the kernel.
pub struct Program {
    pub path: Option<PathBuf>,
    /// What its file gives; an error when that cannot be read.
    pub gives: Result<Option<FileCapabilities>, Errno>,
}

impl Process {
    pub fn read(proc: &ProcRoot, pid: Pid) -> std::io::Result<Process> {
        let state = State::read(proc, pid, None)?;
        let others = if state.threads > 1 { others(proc, pid, &state)? } else { Vec::new() };
        Ok(Process { pid, others, user_ns: UserNs::of(proc, pid), program: Program::of(proc, pid), state })
    }
}

/// The threads that differ. One that ends meanwhile is passed over.
fn others(proc: &ProcRoot, pid: Pid, first: &State) -> std::io::Result<Vec<(Vec<Pid>, State)>> {
    let may = |state: &State| (state.sets, state.no_new_privs, state.seccomp);
    let mut groups: Vec<(Vec<Pid>, State)> = Vec::new();
    for entry in std::fs::read_dir(proc.of(pid, "task"))? {
        let Some(thread) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
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
    pub fn of(proc: &ProcRoot, pid: Pid) -> Option<UserNs> {
        let path = proc.of(pid, &Kind::User.link());
        let inode = std::fs::metadata(&path).ok()?.ino();
        let ours = std::fs::metadata(proc.own(&Kind::User.link())).ok()?.ino() == inode;
        let owner = ns::open_file(&path).ok().and_then(|fd| ns::owner_uid(&fd));
        Some(UserNs { inode, ours, owner })
    }

    /// `only inside user namespace 4026532333, owned by uid 1000`; nothing of our own.
    #[must_use]
    pub fn limits(&self) -> Option<String> {
        let owner = self.owner.map(|uid| format!(", owned by uid {uid}")).unwrap_or_default();
        (!self.ours).then(|| format!("only inside user namespace {}{owner}", self.inode))
    }
}

impl Program {
    fn of(proc: &ProcRoot, pid: Pid) -> Program {
        let exe = proc.of(pid, "exe");
        let path = std::fs::read_link(&exe).ok();
        // By the link itself: what its text names may be another file by now, or one of another root.
        let gives = match CString::new(exe.as_os_str().as_bytes()) {
            Ok(exe) => read(&exe),
            Err(_) => Err(Errno::EINVAL),
        };
        Program { gives: if path.is_some() { gives } else { Ok(None) }, path }
    }
}

fn read(file: &CString) -> Result<Option<FileCapabilities>, Errno> {
    match sys::get_xattr(file, c"security.capability", &mut [0; 64]) {
        Ok(raw) => file::parse(raw).map(Some).ok_or(Errno::EINVAL),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}
