//! The files of another host. What links in them name is of that host, so no link leads to a file of this one.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use crate::sys;

/// The root directory of these files.
#[derive(Debug, Clone)]
pub(crate) struct HostCopy {
    path: PathBuf,
    root: Arc<OwnedFd>,
}

impl HostCopy {
    pub(crate) fn new(path: &Path) -> nix::Result<HostCopy> {
        let root = open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(HostCopy { path: path.to_path_buf(), root: Arc::new(root) })
    }

    /// The directory, as this host has it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file or a directory for reading, without blocking: it can be a pipe.
    pub(crate) fn open(&self, below: &Path) -> nix::Result<OwnedFd> {
        self.open_with(below, ResolveFlag::empty())
    }

    /// The same for a path without any link.
    pub(crate) fn open_exact(&self, below: &Path) -> nix::Result<OwnedFd> {
        self.open_with(below, ResolveFlag::RESOLVE_NO_SYMLINKS)
    }

    fn open_with(&self, below: &Path, resolve: ResolveFlag) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::from(self.below(below, flags, resolve)?);
        let kind = file.metadata().map_err(|_| Errno::EIO)?.file_type();
        if kind.is_file() || kind.is_dir() { Ok(file.into()) } else { Err(Errno::EACCES) }
    }

    /// The text of a link.
    pub(crate) fn link(&self, below: &Path) -> nix::Result<PathBuf> {
        /// A longer path has no link.
        const LONGEST: usize = 4_096;
        let link = self.place(below)?;
        let mut buffer = [0; LONGEST];
        let text = match sys::read_link_at(&link, c"", &mut buffer) {
            Err(Errno::ENOENT) => Err(Errno::EINVAL), // so the kernel says that it is no link
            text => text,
        }?;
        Ok(OsString::from_vec(text.to_vec()).into())
    }

    /// The file itself, or the link.
    pub(crate) fn place(&self, below: &Path) -> nix::Result<OwnedFd> {
        self.below(below, OFlag::O_PATH | OFlag::O_NOFOLLOW, ResolveFlag::empty())
    }

    pub(crate) fn has(&self, below: &Path) -> bool {
        self.place(below).is_ok()
    }

    /// A directory that is no link.
    pub(crate) fn directory(&self, below: &Path) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        self.below(below, flags, ResolveFlag::empty())
    }

    fn below(&self, below: &Path, flags: OFlag, resolve: ResolveFlag) -> nix::Result<OwnedFd> {
        below_root(&self.root, below, flags, resolve | ResolveFlag::RESOLVE_NO_MAGICLINKS)
    }
}

/// Opens a path that neither links nor `..` lead out of this root directory (since Linux 5.6). The kernel follows no magic
/// link of proc here: EXDEV, with RESOLVE_NO_MAGICLINKS ELOOP.
pub(crate) fn below_root(
    root: impl AsFd,
    path: &Path,
    flags: OFlag,
    resolve: ResolveFlag,
) -> nix::Result<OwnedFd> {
    let resolve = resolve | ResolveFlag::RESOLVE_IN_ROOT;
    openat2(root, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve))
}

impl AsFd for HostCopy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

impl PartialEq for HostCopy {
    fn eq(&self, other: &HostCopy) -> bool {
        self.path == other.path
    }
}

impl Eq for HostCopy {}
