//! The control groups in the files of another host.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

/// The root directory of these files. Links in it are not followed: they name files of this host.
#[derive(Debug)]
pub(super) struct HostCopy {
    path: PathBuf,
    root: OwnedFd,
}

impl HostCopy {
    pub(super) fn new(path: &Path) -> nix::Result<HostCopy> {
        let root = open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(HostCopy { path: path.to_path_buf(), root })
    }

    /// `path`: as this host has it.
    pub(super) fn open(&self, path: &Path) -> std::io::Result<File> {
        let below = path.strip_prefix(&self.path).map_err(|_| Errno::EXDEV)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_BENEATH;
        let file = File::from(openat2(&self.root, below, OpenHow::new().flags(flags).resolve(resolve))?);
        let kind = file.metadata()?.file_type();
        if kind.is_file() || kind.is_dir() { Ok(file) } else { Err(Errno::EACCES.into()) }
    }
}

impl PartialEq for HostCopy {
    fn eq(&self, other: &HostCopy) -> bool {
        self.path == other.path
    }
}

impl Eq for HostCopy {}
