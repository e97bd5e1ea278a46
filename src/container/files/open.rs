//! Opens files below the root directory, and says which file a path leads to.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use super::Files;
use super::budget::Cost;
use super::meta::{Meta, Opened};
use crate::proc::{ProcRoot, below_root};
use crate::sys;

impl Files {
    /// The time of the last change of a file, in seconds since 1970.
    pub fn modified(&self, path: &str) -> Option<i64> {
        self.open(path, OFlag::O_PATH).map(|opened| opened.meta.modified)
    }

    /// The inode of a file. For a file in /run/netns, that of the namespace.
    pub fn inode(&self, path: &str) -> Option<u64> {
        self.open(path, OFlag::O_PATH).map(|opened| opened.meta.inode)
    }

    /// Does the path lead without symbolic links to a file with this device and inode?
    pub fn is_same(&self, path: &str, (major, minor): (u32, u32), inode: u64) -> bool {
        if self.may_hang(path) {
            return false;
        }
        match self.open_below_root(path) {
            Ok(file) => sys::file_id(&file, c"").is_ok_and(|id| id == ((major, minor), inode)),
            Err(Some(_)) => false,
            Err(None) => {
                let device = libc::makedev(major, minor);
                let is_file = |here: Opened| (here.meta.device, here.meta.inode) == (device, inode);
                self.open_exact(path).is_ok_and(is_file)
            }
        }
    }

    /// The path below the host's root for a path of that system, with symbolic links resolved.
    pub fn locate(&self, path: &str) -> Option<PathBuf> {
        let file = self.open_here(path, OFlag::O_PATH).ok()?;
        std::fs::read_link(own_descriptor(&file)).ok()
    }

    /// The proc of that system; `root` as the caller named it, None for this host.
    pub(crate) fn proc(&self, root: Option<&Path>) -> Result<ProcRoot> {
        let Some(root) = root else { return Ok(ProcRoot::default()) };
        let path = root.join("proc");
        let cannot = || format!("cannot read {}", path.display());
        let file = match self.open_here("/proc", OFlag::O_PATH) {
            Err(Errno::ENOENT) => bail!("{}: is proc mounted there?", cannot()),
            file => file.with_context(cannot)?,
        };
        Ok(ProcRoot::new(std::fs::read_link(own_descriptor(&file)).with_context(cannot)?))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.open(path, OFlag::O_PATH).is_some()
    }

    /// Is it certain that there is no such file? The kernel does not follow all links below another root (EXDEV), and what may
    /// not be looked at can exist.
    pub fn lacks(&self, path: &str) -> bool {
        matches!(self.open_file(path, OFlag::O_PATH), Err(Errno::ENOENT | Errno::ENOTDIR))
    }

    /// Does the name exist, even as a dangling symbolic link?
    pub fn is_there(&self, path: &str) -> bool {
        self.open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW).is_some()
    }

    /// The problem with the owner of a file, if there is one.
    pub(super) fn owner_problem(&self, path: &str, meta: &Meta) -> Option<&'static str> {
        if self.of_anyone {
            return None;
        }
        let of_root = meta.uid == 0 || meta.uid == self.system.owner();
        match self.user {
            None if of_root => None,
            None => Some("does not belong to root"),
            Some(uid) if meta.uid == uid => None,
            // Without symbolic links on the path, root put the file there. A user can create a symbolic link to a file that
            // they may not read.
            Some(_)
                if of_root
                    && self.spend(path, Cost::Look, 1)
                    && self.open_exact(path).is_ok_and(|exact| exact.meta == *meta) =>
            {
                None
            }
            Some(_) => Some("does not belong to that user"),
        }
    }

    /// Opens a file with O_PATH. Fails if the path contains a symbolic link.
    pub(super) fn open_exact_here(&self, path: &str) -> nix::Result<File> {
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
        let fd = match &self.system.root_fd {
            None => openat2(AT_FDCWD, path, how.resolve(ResolveFlag::RESOLVE_NO_SYMLINKS)),
            Some(root) => below_root(root, Path::new(path), OFlag::O_PATH, ResolveFlag::RESOLVE_NO_SYMLINKS),
        };
        fd.map(File::from)
    }

    /// Opens a file, in the helper process if that can block without limit.
    pub(super) fn open(&self, path: &str, flags: OFlag) -> Option<Opened> {
        if path.len() > Self::LONGEST_PATH || !self.spend(path, Cost::Look, 1) {
            return None;
        }
        self.open_file(path, flags).map_or_else(|errno| self.report_errno(path, errno), Some)
    }

    /// Opens a file without blocking, as it can be a pipe.
    pub(super) fn open_here(&self, path: &str, flags: OFlag) -> nix::Result<File> {
        let mut flags = flags | OFlag::O_CLOEXEC;
        if !flags.contains(OFlag::O_PATH) {
            flags |= OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        }
        let fd = match &self.system.root_fd {
            None => match self.user.and_then(|_| self.mounts().mount_to_stay_on(Path::new(path))) {
                None => open_plain(path, flags),
                Some(mount) => open_on_mount(mount, path, flags),
            },
            // Resolve symbolic links below that root (openat2(2), since Linux 5.6).
            Some(root) => below_root(root, Path::new(path), flags, ResolveFlag::empty()),
        };
        fd.map(File::from)
    }
}

/// Opens a path, but follows no magic links of /proc: those lead into the mounts of another process.
fn open_plain(path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match openat2(AT_FDCWD, path, how) {
        Err(Errno::ENOSYS) => open(path, flags, Mode::empty()), // before Linux 5.6
        result => result,
    }
}

/// Opens a path on one mount only. A user's symbolic link can lead to a file system that the user serves, or to a server
/// that does not answer.
fn open_on_mount(mount: &Path, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    let base = open(mount, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let rest = Path::new(path).strip_prefix(mount).map_err(|_| Errno::EXDEV)?;
    let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
    openat2(base.as_fd(), rest, OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_XDEV))
}

/// Opens the file of an O_PATH descriptor for reading.
pub(super) fn reopen(file: &File) -> nix::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    open(&own_descriptor(file), flags, Mode::empty()).map(File::from)
}

fn own_descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbolic_links_to_another_mount_are_not_followed() {
        let open = |path: &str| open_on_mount(Path::new("/"), path, OFlag::O_RDONLY | OFlag::O_CLOEXEC);
        assert!(open("/").is_ok());
        assert_eq!(open("/proc/self/status").map(drop), Err(Errno::EXDEV));
        assert_eq!(
            open_on_mount(Path::new("/proc"), "/proc/self/root/etc", OFlag::O_PATH).map(drop),
            Err(Errno::EXDEV)
        );
    }
}
