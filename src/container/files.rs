//! Reading runtimes' state files: below a root that may be another system's, and as somebody's whose files
//! may be stale, truncated, huge or hostile.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use serde::de::DeserializeOwned;

/// The files of a system, and what was wrong with those that could not be used.
pub struct Files {
    path: PathBuf,
    /// None for our own root: plain paths do.
    below: Option<OwnedFd>,
    /// Whose files count: root's, and those of the owner of the root directory.
    owner: u32,
    warnings: RefCell<Vec<String>>,
}

impl Files {
    /// Larger than any state file that runtimes write.
    const LARGEST: u64 = 16 << 20;

    pub fn new(root: &Path) -> Result<Files> {
        let cannot = || format!("cannot open {}", root.display());
        let owner = std::fs::metadata(root).with_context(cannot)?.uid();
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let below = match root == Path::new("/") {
            true => None,
            false => Some(open(root, flags, Mode::empty()).with_context(cannot)?),
        };
        Ok(Files { path: root.to_path_buf(), below, owner, warnings: RefCell::default() })
    }

    /// The file's JSON, if it is there and is what it should be.
    pub fn json<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let text = self.read(path)?;
        match serde_json::from_slice(&text) {
            Ok(value) => Some(value),
            Err(error) => self.complain(path, &error.to_string()),
        }
    }

    /// The file's only number: a PID.
    pub fn number(&self, path: &str) -> Option<i32> {
        let text = self.read(path)?;
        match std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()) {
            Some(number) => Some(number),
            None => self.complain(path, "not a number"),
        }
    }

    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let mut file = self.open(path, OFlag::O_RDONLY)?;
        let meta = file.metadata().ok()?;
        if !meta.is_file() {
            return self.complain(path, "not a regular file");
        }
        if meta.uid() != 0 && meta.uid() != self.owner {
            return self.complain(path, "does not belong to root");
        }
        if meta.len() > Self::LARGEST {
            return self.complain(path, "too large to be a state file");
        }
        let mut text = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1);
        match file.by_ref().take(Self::LARGEST).read_to_end(&mut text) {
            Ok(_) => Some(text),
            Err(error) => self.complain(path, &error.to_string()),
        }
    }

    /// The names in a directory that are text; none when it is not there.
    pub fn list(&self, path: &str) -> Vec<String> {
        let Some(directory) = self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) else {
            return Vec::new();
        };
        let Ok(entries) = std::fs::read_dir(own_descriptor(&directory)) else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }

    /// When a file was written, in seconds since 1970.
    pub fn modified(&self, path: &str) -> Option<i64> {
        self.open(path, OFlag::O_PATH)?.metadata().ok().map(|meta| meta.mtime())
    }

    /// The inode of a file: of one in /run/netns, the id of the namespace.
    pub fn inode(&self, path: &str) -> Option<u64> {
        self.open(path, OFlag::O_PATH)?.metadata().ok().map(|meta| meta.ino())
    }

    /// Where a path of that system really is, its links followed there.
    pub fn locate(&self, path: &str) -> Option<PathBuf> {
        let file = self.open(path, OFlag::O_PATH)?;
        std::fs::read_link(own_descriptor(&file)).ok()
    }

    pub fn exists(&self, path: &str) -> bool {
        self.open(path, OFlag::O_PATH).is_some()
    }

    /// What went wrong so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    /// Opens a file without waiting for it (it may be a pipe). What is not there is everyday business.
    fn open(&self, path: &str, flags: OFlag) -> Option<File> {
        let mut flags = flags | OFlag::O_CLOEXEC;
        if !flags.contains(OFlag::O_PATH) {
            flags |= OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        }
        let fd = match &self.below {
            None => open(path, flags, Mode::empty()),
            // Links in that root mean that root, not ours (openat2(2), since Linux 5.6).
            Some(root) => {
                let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
                openat2(root.as_fd(), path, how)
            }
        };
        match fd {
            Ok(fd) => Some(File::from(fd)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => None,
            Err(errno) => self.complain(path, &crate::errno::strerror(errno as i32)),
        }
    }

    fn complain<T>(&self, path: &str, problem: &str) -> Option<T> {
        let path = self.path.join(path.trim_start_matches('/'));
        self.warnings.borrow_mut().push(format!("{}: {problem}", path.display()));
        None
    }
}

fn own_descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let path = std::env::temp_dir().join(format!("ctrbox-files-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("run")).expect("a directory");
            Dir(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn links_stay_below_the_root() {
        let dir = Dir::new("links");
        std::fs::write(dir.0.join("run/pid"), "42\n").expect("a file");
        std::os::unix::fs::symlink("/run/pid", dir.0.join("absolute")).expect("a link");
        std::os::unix::fs::symlink("../../../../../../run/pid", dir.0.join("run/up")).expect("a link");
        std::os::unix::fs::symlink("/etc/passwd", dir.0.join("outside")).expect("a link");
        let files = Files::new(&dir.0).expect("a root");
        assert_eq!(files.number("/absolute"), Some(42));
        assert_eq!(files.number("/run/up"), Some(42));
        assert_eq!(files.read("/outside"), None);
        assert!(files.exists("/run") && !files.exists("/outside"));
        assert!(files.warnings().is_empty(), "a missing file is no news: {:?}", files.warnings());
    }

    #[test]
    fn what_is_no_state_file_is_told_and_passed_over() {
        let dir = Dir::new("hostile");
        let files = Files::new(&dir.0).expect("a root");
        std::fs::write(dir.0.join("cut.json"), r#"{"id": "x"#).expect("a file");
        std::fs::write(dir.0.join("deep.json"), "[".repeat(100_000)).expect("a file");
        std::fs::write(dir.0.join("pid"), "12 34").expect("a file");
        nix::unistd::mkfifo(&dir.0.join("fifo"), Mode::S_IRUSR).expect("a fifo");
        File::create(dir.0.join("huge")).and_then(|f| f.set_len(Files::LARGEST + 1)).expect("a sparse file");
        assert_eq!(files.json::<serde_json::Value>("cut.json"), None);
        assert_eq!(files.json::<serde_json::Value>("deep.json"), None);
        assert_eq!(files.number("pid"), None);
        assert_eq!(files.read("fifo"), None);
        assert_eq!(files.read("huge"), None);
        assert_eq!(files.read("run"), None);
        assert_eq!(files.warnings().len(), 6, "{:?}", files.warnings());
    }
}
