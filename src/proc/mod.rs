//! Reads and parses files of /proc, below a [`ProcRoot`].

mod addresses;
pub(crate) mod clock;
pub(crate) mod covers;
mod credentials;
mod descriptors;
pub(crate) mod hidden;
pub(crate) mod hidden_mounts;
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

pub(crate) use credentials::Sets;
pub use credentials::{Credentials, Mask};
pub(crate) use descriptors::{links_of, sockets_of};
pub(crate) use passwd::{UserLine, group_name, user_name};
pub use passwd::{Users, gid_of, groups, groups_with, id, uid_of, users};
pub(crate) use plain::{open_of_proc, open_plain, open_plain_by};
pub(crate) use process::Process;
pub(crate) use rare::mount_id;
pub(crate) use scan::{Scan, entries};
pub use stat::Stat;
pub(crate) use stat::TICKS;
pub use status::Status;
pub(crate) use status::{count_of_list, cpus_allowed, number};

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use nix::unistd::{Pid, read};

/// The mount point of proc, or a directory with a copy of another host's /proc.
#[derive(Debug, Clone)]
pub struct ProcRoot(PathBuf);

impl Default for ProcRoot {
    fn default() -> Self {
        ProcRoot(PathBuf::from("/proc"))
    }
}

impl ProcRoot {
    /// The largest file that is read. A hostile process can extend its environ and cmdline to terabytes (PR_SET_MM_MAP),
    /// and its mountinfo to hundreds of megabytes.
    pub const LARGEST: u64 = 16 << 20;

    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        ProcRoot(path.into())
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Is it a copy of another host's /proc? Then what its files name is not of this host.
    #[must_use]
    pub(crate) fn is_copy(&self) -> bool {
        let is_proc = || statfs(&self.0).is_ok_and(|info| info.filesystem_type() == PROC_SUPER_MAGIC);
        self.0 != Path::new("/proc") && !is_proc()
    }

    /// `/proc/PID/FILE`
    #[must_use]
    pub fn path_of(&self, pid: Pid, file: &str) -> PathBuf {
        match hidden::is_hidden(pid) {
            // No file has this path.
            true => self.0.join(format!("{pid} (hidden)")).join(file),
            false => self.0.join(pid.to_string()).join(file),
        }
    }

    /// `/proc/self/FILE`
    #[must_use]
    pub fn own(&self, file: &str) -> PathBuf {
        self.0.join("self").join(file)
    }

    /// Reads a whole file without blocking: in a copy of /proc it can be a pipe. EFBIG beyond [`Self::LARGEST`].
    pub fn read(&self, pid: Pid, file: &str) -> std::io::Result<Vec<u8>> {
        read_until(&self.path_of(pid, file), |_, _| false)
    }

    /// The same for a file of this process.
    pub(crate) fn read_own(&self, file: &str) -> std::io::Result<Vec<u8>> {
        read_until(&self.own(file), |_, _| false)
    }

    /// The same for a file of the host.
    pub(crate) fn read_of_host(&self, file: &str) -> std::io::Result<Vec<u8>> {
        read_until(&self.0.join(file), |_, _| false)
    }

    /// The same for a file that proc writes whole at the first read, such as `status`: a read that leaves room in the
    /// buffer has reached the end.
    pub(crate) fn read_whole(&self, pid: Pid, file: &str) -> std::io::Result<Vec<u8>> {
        read_until(&self.path_of(pid, file), |filled, room| filled < room)
    }

    /// The same for a file of which proc writes lines, shorter than 1 KB, into a page at each read: if one more has room
    /// there, they were all.
    pub(crate) fn read_lines(&self, pid: Pid, file: &str) -> std::io::Result<Vec<u8>> {
        read_until(&self.path_of(pid, file), |filled, _| filled < 3072)
    }
}

fn read_until(path: &Path, is_end: impl Fn(usize, usize) -> bool) -> std::io::Result<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = openat(AT_FDCWD, path, flags, Mode::empty())?;
    let (mut text, mut filled) = (vec![0; 4096], 0); // most files are shorter, and none reports its size
    loop {
        match read(&file, &mut text[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if filled as u64 >= ProcRoot::LARGEST {
            return Err(Errno::EFBIG.into());
        }
        if is_end(filled, text.len()) {
            break;
        }
        if filled == text.len() {
            text.resize(filled * 2, 0);
        }
    }
    text.truncate(filled);
    Ok(text)
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
