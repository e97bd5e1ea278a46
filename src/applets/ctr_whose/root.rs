//! The files of the host that is looked at. With `--root` no link leads out of its directory.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::proc::{HostCopy, open_plain};

/// More than any file has that is read here.
const LARGEST: u64 = 64 << 10;

pub(super) struct Root {
    /// None for this host.
    copy: Option<HostCopy>,
}

impl Root {
    pub(super) fn new(path: &Path) -> nix::Result<Root> {
        let is_own = path == Path::new("/");
        Ok(Root { copy: (!is_own).then(|| HostCopy::new(path)).transpose()? })
    }

    pub(super) fn is_own(&self) -> bool {
        self.copy.is_none()
    }

    /// The path on the host of a file that is named with the directory of a copy, or without it.
    pub(super) fn on_host(&self, path: &Path) -> PathBuf {
        let below = self.copy.as_ref().and_then(|copy| path.strip_prefix(copy.path()).ok());
        below.map_or_else(|| path.to_owned(), |below| Path::new("/").join(below))
    }

    /// Of the last link itself.
    pub(super) fn metadata(&self, path: &Path) -> std::io::Result<Metadata> {
        match &self.copy {
            None => path.symlink_metadata(),
            Some(copy) => File::from(copy.place(path)?).metadata(),
        }
    }

    /// Says the kernel that there is no such file? It may also not say it to this user.
    pub(super) fn is_missing(&self, path: &Path) -> bool {
        let kind = self.metadata(path).map_err(|error| error.kind());
        matches!(kind, Err(ErrorKind::NotFound | ErrorKind::NotADirectory))
    }

    pub(super) fn has_directory(&self, path: &Path) -> bool {
        match &self.copy {
            None => path.is_dir(),
            Some(copy) => {
                let file = copy.open(path).map(File::from);
                file.is_ok_and(|file| file.metadata().is_ok_and(|meta| meta.is_dir()))
            }
        }
    }

    pub(super) fn link(&self, path: &Path) -> std::io::Result<PathBuf> {
        match &self.copy {
            None => std::fs::read_link(path),
            Some(copy) => Ok(copy.link(path)?),
        }
    }

    /// A short file, as those of /sys.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        let file = match &self.copy {
            None => open_plain(path).ok()?,
            Some(copy) => copy.open(path).ok()?.into(),
        };
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_this_host() {
        let root = Root::new(Path::new("/")).expect("a root");
        assert!(
            root.is_own()
                && root.has_directory(Path::new("/proc"))
                && root.metadata(Path::new("/proc")).is_ok()
        );
        assert!(!root.has_directory(Path::new("/proc/version")));
        assert!(root.text(Path::new("/proc/version")).is_some_and(|text| text.starts_with("Linux")));
    }
}
