//! What is known of an open file.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;

/// The metadata of a file that ctrbox uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub device: u64,
    pub inode: u64,
    pub mode: u32,
    pub uid: u32,
    pub size: u64,
    pub modified: i64,
}

impl Meta {
    pub(super) fn read(file: &File) -> nix::Result<Meta> {
        let meta =
            file.metadata().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        Ok(Meta {
            device: meta.dev(),
            inode: meta.ino(),
            mode: meta.mode(),
            uid: meta.uid(),
            size: meta.size(),
            modified: meta.mtime(),
        })
    }

    pub(super) fn is_file(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let (mode, uid) = (self.mode.to_ne_bytes(), self.uid.to_ne_bytes());
        let numbers = [self.device, self.inode, self.size].map(u64::to_ne_bytes);
        [numbers.as_flattened(), &self.modified.to_ne_bytes(), &mode, &uid].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Meta> {
        let long = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let short = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        Some(Meta {
            device: long(0)?,
            inode: long(8)?,
            size: long(16)?,
            modified: long(24)? as i64,
            mode: short(32)?,
            uid: short(36)?,
        })
    }
}

/// An open file: in this process, or in the helper process as the last one that it opened.
pub(super) struct Opened {
    pub meta: Meta,
    pub file: Option<File>,
}

impl Opened {
    pub(super) fn new(file: File) -> nix::Result<Opened> {
        Ok(Opened { meta: Meta::read(&file)?, file: Some(file) })
    }
}
