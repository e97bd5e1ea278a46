//! Reads and parses files of /proc, below a [`ProcRoot`].

pub(crate) mod addresses;
pub(crate) mod clock;
mod copy;
pub(crate) mod covers;
mod credentials;
mod dents;
mod descriptors;
pub(crate) mod hidden;
pub(crate) mod hidden_mounts;
mod hidepid;
pub(crate) mod id_hash;
pub(crate) mod idmap;
pub(crate) mod mountinfo;
pub(crate) mod ns;
pub(crate) mod overlay;
mod passwd;
mod plain;
mod process;
mod rare;
mod scan;
pub(crate) mod signals;
mod stat;
mod status;
mod survivors;

pub(crate) use copy::{HostCopy, below_root};
pub(crate) use credentials::Sets;
pub use credentials::{Credentials, Mask};
pub(crate) use dents::entries;
pub(crate) use descriptors::{links_of, sockets_of};
pub(crate) use hidepid::hidepid;
pub(crate) use passwd::{UserLine, group_name, user_name};
pub use passwd::{Users, gid_of, groups, groups_with, id, uid_of, users};
pub(crate) use plain::{open_of_proc, open_plain, open_plain_by};
pub(crate) use process::Process;
pub(crate) use rare::mount_id;
pub(crate) use scan::{Namespaces, Scan, inode_of_link};
pub use stat::Stat;
pub(crate) use stat::TICKS;
pub use status::Status;
pub(crate) use status::{count_of_list, cpus_allowed, decimal, number};
pub(crate) use survivors::{MOST as MOST_THREADS, living_thread, unexamined};

use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use nix::unistd::{Pid, read};

use crate::sys;

/// The mount point of proc, or a directory with a copy of another host's /proc.
#[derive(Debug, Clone)]
pub struct ProcRoot {
    path: PathBuf,
    copy: Option<HostCopy>,
}

fn is_proc(path: &Path) -> bool {
    statfs(path).is_ok_and(|info| info.filesystem_type() == PROC_SUPER_MAGIC)
}

impl Default for ProcRoot {
    fn default() -> Self {
        ProcRoot { path: PathBuf::from("/proc"), copy: None }
    }
}

impl ProcRoot {
    /// The largest file that is read. A hostile process can extend its environ and cmdline to terabytes (PR_SET_MM_MAP),
    /// and its mountinfo to hundreds of megabytes.
    pub const LARGEST: u64 = 16 << 20;

    /// A copy is read by [`HostCopy`]: the directory that holds it is its root directory.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let is_copy = path != Path::new("/proc") && !is_proc(&path);
        let copy = path.parent().filter(|_| is_copy).and_then(|root| {
            HostCopy::new(if root.as_os_str().is_empty() { Path::new(".") } else { root }).ok()
        });
        ProcRoot { path, copy }
    }

    /// No files, for a process that may not read those that its /proc has.
    #[must_use]
    pub(crate) fn nowhere() -> ProcRoot {
        // No system call takes such a path.
        ProcRoot { path: PathBuf::from("/proc\0"), copy: None }
    }

    /// Is it that of this process, or none?
    #[must_use]
    pub(crate) fn is_own(&self) -> bool {
        [ProcRoot::default(), ProcRoot::nowhere()].iter().any(|own| own.path == self.path)
    }

    /// Does it show no PIDs but those of the pid namespace of this process? Those of another one, or of a copy, are the numbers
    /// of other processes here. One that is not mounted shows none.
    #[must_use]
    pub(crate) fn has_own_pids(&self) -> bool {
        match self.link(&self.base().join("self")) {
            Ok(own) => own.as_os_str().as_encoded_bytes() == Pid::this().to_string().as_bytes(),
            // In another pid namespace this process has no number.
            Err(_) => !self.is_copy() && !is_proc(&self.path),
        }
    }

    /// As the caller named it: for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files of another host, if this is a copy of its /proc. Then what its files name is not of this host.
    #[must_use]
    pub(crate) fn copy(&self) -> Option<&HostCopy> {
        self.copy.as_ref()
    }

    #[must_use]
    pub(crate) fn is_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// Where the paths of [`Self::path_of`] begin.
    fn base(&self) -> &Path {
        match self.copy {
            // No file has this path: only the methods here reach a file of a copy.
            Some(_) => Path::new("/proc/a copy"),
            None => &self.path,
        }
    }

    /// `/proc/PID/FILE`. In a copy only the methods here open it.
    #[must_use]
    pub fn path_of(&self, pid: Pid, file: &str) -> PathBuf {
        match hidden::is_hidden(pid) {
            // No file has this path.
            true => self.base().join(format!("{pid} (hidden)")).join(file),
            false => {
                let process = self.base().join(pid.to_string());
                match survivors::thread(pid, file) {
                    Some(thread) => process.join("task").join(thread.to_string()).join(file),
                    None => process.join(file),
                }
            }
        }
    }

    /// `/proc/self/FILE`. In a copy only the methods here open it.
    #[must_use]
    pub fn own(&self, file: &str) -> PathBuf {
        self.base().join("self").join(file)
    }

    /// `/proc/FILE`. In a copy only the methods here open it.
    #[must_use]
    pub(crate) fn of_host(&self, file: impl AsRef<Path>) -> PathBuf {
        self.base().join(file)
    }

    /// Such a path for a message.
    #[must_use]
    pub fn shown(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.base()).map_or_else(|_| path.to_path_buf(), |below| self.path.join(below))
    }

    /// Opens such a path for reading, a file or a directory, without blocking: in a copy of /proc it can be a pipe.
    pub(crate) fn open(&self, path: &Path) -> nix::Result<OwnedFd> {
        match &self.copy {
            None => {
                let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
                openat(AT_FDCWD, path, flags, Mode::empty())
            }
            Some(copy) => copy.open(&self.in_copy(path)?),
        }
    }

    /// The root directory of a process, opened with O_PATH. In a copy it is a directory or unknown: a link there leads from
    /// the mounts of that process.
    pub(crate) fn open_root(&self, pid: Pid) -> nix::Result<OwnedFd> {
        let path = self.path_of(pid, "root");
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match &self.copy {
            None => openat(AT_FDCWD, &path, flags, Mode::empty()),
            Some(copy) => copy.directory(&self.in_copy(&path)?),
        }
    }

    /// Reads what no thread of a process has that has ended: a second time if another one stands for it from now on.
    pub(super) fn of_living<T>(&self, pid: Pid, read: impl Fn() -> std::io::Result<T>) -> std::io::Result<T> {
        let result = read();
        let errno = result.as_ref().err().and_then(std::io::Error::raw_os_error).map(Errno::from_raw);
        if self.is_copy() || !errno.is_some_and(survivors::is_without_thread) {
            return result;
        }
        let found = self.directory().is_ok_and(|proc| survivors::find(&proc, pid));
        if found { read() } else { result }
    }

    /// A thread that runs, if the first one of the process has ended.
    pub(super) fn living_thread(&self, pid: Pid) -> Option<Pid> {
        if self.is_copy() { None } else { living_thread(&self.directory().ok()?, pid) }
    }

    fn directory(&self) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(AT_FDCWD, &self.path, flags, Mode::empty())
    }

    /// The text of a link with such a path.
    pub(crate) fn link(&self, path: &Path) -> std::io::Result<PathBuf> {
        match &self.copy {
            None => std::fs::read_link(path),
            Some(copy) => Ok(copy.link(&self.in_copy(path)?)?),
        }
    }

    /// Is there a file with such a path, even a link that leads nowhere?
    pub(crate) fn has(&self, path: &Path) -> bool {
        match &self.copy {
            None => std::fs::symlink_metadata(path).is_ok(),
            Some(copy) => self.in_copy(path).is_ok_and(|below| copy.has(&below)),
        }
    }

    /// What stat(2) says of such a path.
    pub(crate) fn metadata(&self, path: &Path) -> std::io::Result<std::fs::Metadata> {
        match &self.copy {
            None => std::fs::metadata(path),
            Some(_) => std::fs::File::from(self.open(path)?).metadata(),
        }
    }

    /// The entries of a directory with such a path.
    pub(crate) fn list(&self, path: &Path) -> std::io::Result<Vec<sys::directory::Entry>> {
        let mut all = Vec::new();
        sys::directory::each(self.open(path)?, |entry| {
            all.push(entry);
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    /// Below the root directory of the copy.
    fn in_copy(&self, path: &Path) -> nix::Result<PathBuf> {
        let below = path.strip_prefix(self.base()).map_err(|_| Errno::EXDEV)?;
        Ok(Path::new(self.path.file_name().ok_or(Errno::EXDEV)?).join(below))
    }

    /// Reads a whole file without blocking: in a copy of /proc it can be a pipe. EFBIG beyond [`Self::LARGEST`].
    pub fn read(&self, pid: Pid, file: &str) -> std::io::Result<Vec<u8>> {
        self.read_until(&self.path_of(pid, file), |_, _| false)
    }

    /// The same for a file of this process.
    pub(crate) fn read_own(&self, file: &str) -> std::io::Result<Vec<u8>> {
        self.read_until(&self.own(file), |_, _| false)
    }

    /// The same for a file of the host.
    pub(crate) fn read_of_host(&self, file: &str) -> std::io::Result<Vec<u8>> {
        self.read_until(&self.of_host(file), |_, _| false)
    }

    /// The same for a file of the host that proc writes whole at the first read.
    pub(crate) fn read_host_whole(&self, file: &str) -> std::io::Result<Vec<u8>> {
        self.read_until(&self.of_host(file), |filled, room| filled < room)
    }

    /// The same for a file that proc writes whole at the first read, such as `status`: a read that leaves room in the
    /// buffer has reached the end.
    pub(crate) fn read_whole(&self, pid: Pid, file: &str) -> std::io::Result<Vec<u8>> {
        self.read_until(&self.path_of(pid, file), |filled, room| filled < room)
    }

    fn read_until(&self, path: &Path, is_end: impl Fn(usize, usize) -> bool) -> std::io::Result<Vec<u8>> {
        let mut text = vec![0; 4096]; // most files are shorter, and none reports its size
        let filled = fill(&self.open(path)?, &mut text, is_end)?;
        text.truncate(filled);
        Ok(text)
    }
}

/// Reads a file of which proc writes lines, shorter than 1 KB, into a page at each read: if one more has room there, they
/// were all. Returns how long the text is.
pub(crate) fn fill_lines(file: &OwnedFd, text: &mut Vec<u8>) -> nix::Result<usize> {
    fill(file, text, |filled, _| filled < 3072)
}

fn fill(file: &OwnedFd, text: &mut Vec<u8>, is_end: impl Fn(usize, usize) -> bool) -> nix::Result<usize> {
    let mut filled = 0;
    loop {
        match read(file, &mut text[filled..]) {
            Ok(0) => return Ok(filled),
            Ok(n) => filled += n,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        if filled as u64 >= ProcRoot::LARGEST {
            return Err(Errno::EFBIG);
        }
        if is_end(filled, text.len()) {
            return Ok(filled);
        }
        if filled == text.len() {
            text.resize(filled * 2, 0);
        }
    }
}

/// Is it an error of the host? Other errors mean that the process has ended, or belongs to another user.
#[must_use]
pub(crate) fn broken(errno: Errno) -> bool {
    matches!(errno, Errno::EIO | Errno::ENOMEM | Errno::ENOSYS | Errno::EMFILE | Errno::ENFILE)
}

/// Has the process ended? That is normal between the listing of /proc and a read.
#[must_use]
pub(crate) fn vanished(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ESRCH)
}
