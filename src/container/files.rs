//! Reading runtimes' state files: below a root that may be another system's, and as somebody's whose files
//! may be stale, truncated, huge or hostile.

use crate::sys::keyed::HashMap;
use std::cell::{OnceCell, RefCell};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::reach::{Meta, Opened};
use super::users::{self, Mounts, User};
use crate::aside::{Account, Aside};
use crate::sys;

/// The files of a system, and what was wrong with those that could not be used.
#[derive(Clone)]
pub struct Files {
    pub(super) system: Rc<System>,
    /// One of its users, whose own files count and nobody else's; else root's count.
    pub(super) user: Option<u32>,
}

/// What was read of one user's files.
#[derive(Default)]
pub(super) struct Spent {
    bytes: u64,
    opened: usize,
}

pub(super) struct System {
    path: PathBuf,
    /// None for our own root: plain paths do.
    pub(super) below: Option<OwnedFd>,
    /// Of the root directory: his files count as root's do.
    owner: u32,
    users: OnceCell<Vec<User>>,
    mounts: OnceCell<Mounts>,
    warnings: RefCell<Vec<String>>,
    /// Of a container, which may have put anything anywhere in it: who accounts for the time that takes.
    pub(super) account: Option<Account>,
    /// The process that reads files of users and of containers.
    pub(super) aside: RefCell<Option<Aside>>,
    /// What was read so far of the files of users, by user.
    spent: RefCell<HashMap<u32, Spent>>,
    /// Of the file read last: one piece of memory does for thousands of them.
    text: RefCell<Vec<u8>>,
}

impl Files {
    /// Larger than any state file that runtimes write.
    const LARGEST: u64 = 16 << 20;
    /// More than any host has containers, so that nobody makes us read for ever.
    const MOST_NAMES: usize = 50_000;
    /// Of one user: names in a directory, bytes altogether, and warnings.
    const MOST_NAMES_OF_USER: usize = 2_000;
    const LARGEST_OF_USER: u64 = 8 << 20;
    /// Of one user: a record, a list of containers, and files and directories that are opened. A user with a
    /// thousand containers stays below.
    const LARGEST_RECORD_OF_USER: u64 = 1 << 20;
    const LARGEST_LIST_OF_USER: u64 = 8 << 20;
    const MOST_OPENED_OF_USER: usize = 8_000;
    const MOST_WARNINGS: usize = 1_000;

    pub fn new(root: &Path) -> Result<Files> {
        Files::open_root(root, None)
    }

    /// The files of a container, seen from outside of it.
    pub fn of_container(root: &Path, account: Account) -> Result<Files> {
        Files::open_root(root, Some(account))
    }

    fn open_root(root: &Path, account: Option<Account>) -> Result<Files> {
        let cannot = || format!("cannot open {}", root.display());
        // A container's is reached by its link in /proc. Nothing of that asks the server of a file system.
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(root, flags, Mode::empty()).with_context(cannot)?;
        let owner = sys::known(&directory, c"").with_context(cannot)?.uid;
        let below = (root != Path::new("/")).then_some(directory);
        let path = root.to_path_buf();
        let system = System {
            path,
            below,
            owner,
            users: OnceCell::new(),
            mounts: OnceCell::new(),
            warnings: RefCell::default(),
            account,
            aside: RefCell::default(),
            spent: RefCell::default(),
            text: RefCell::default(),
        };
        Ok(Files { system: Rc::new(system), user: None })
    }

    /// The same files as one of the users may vouch for them: root's word is not his.
    #[must_use]
    pub fn of_user(&self, uid: u32) -> Files {
        Files { system: self.system.clone(), user: Some(uid) }
    }

    /// Those who may have containers without being root.
    pub fn users(&self) -> &[User] {
        self.system.users.get_or_init(|| users::find(self))
    }

    /// May a look at that path wait for ever, for a file server or for a process of somebody's?
    pub fn may_hang(&self, path: &str) -> bool {
        let path = self.system.path.join(path.trim_start_matches('/'));
        self.mounts().may_hang(&path)
    }

    pub(super) fn mounts(&self) -> &Mounts {
        self.system.mounts.get_or_init(Mounts::read)
    }

    /// The file's JSON, if it is there and is what it should be.
    pub fn json<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.json_dated(path).map(|(value, _)| value)
    }

    /// The same, and when it was written, in seconds since 1970.
    pub fn json_dated<T: DeserializeOwned>(&self, path: &str) -> Option<(T, i64)> {
        let mut text = self.system.text.borrow_mut();
        let (length, modified) = self.read_into(path, &mut text)?;
        match serde_json::from_slice(&text[..length]) {
            Ok(value) => Some((value, modified)),
            // Not serde's own words: they tell what stands in the file.
            Err(error) => {
                let what = match error.classify() {
                    Category::Data => "not the JSON that was expected",
                    Category::Eof => "JSON that is cut off",
                    Category::Io | Category::Syntax => "not JSON",
                };
                self.complain(path, &format!("{what} (line {})", error.line()))
            }
        }
    }

    /// The file's only number, a PID, and when it was written.
    pub fn number_dated(&self, path: &str) -> Option<(i32, i64)> {
        let mut text = self.system.text.borrow_mut();
        let (length, modified) = self.read_into(path, &mut text)?;
        match std::str::from_utf8(&text[..length]).ok().and_then(|text| text.trim().parse().ok()) {
            Some(number) => Some((number, modified)),
            None => self.complain(path, "not a number"),
        }
    }

    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let (length, _) = self.read_into(path, &mut text)?;
        text.truncate(length);
        Some(text)
    }

    /// How long it is, and when it was written, in seconds since 1970.
    fn read_into(&self, path: &str, text: &mut Vec<u8>) -> Option<(usize, i64)> {
        // Only to open a device or a pipe may do something: of what others put there it is seen first.
        let Opened { meta, file } =
            self.open(path, if self.may_wait() { OFlag::O_PATH } else { OFlag::O_RDONLY })?;
        if !meta.is_file() {
            return self.complain(path, "not a regular file");
        }
        if let Some(problem) = self.foreign(path, &meta) {
            return self.complain(path, problem);
        }
        if meta.size > self.largest(path) {
            return self.complain(path, "too large to be a state file");
        }
        if !self.spend(path, |spent| spent.bytes = spent.bytes.saturating_add(meta.size)) {
            return None;
        }
        let filled = match file {
            Some(mut file) => fill(&mut file, meta.size, text).map_err(|error| crate::errno::cause(&error)),
            None => match self.content() {
                Ok(content) => {
                    *text = content;
                    Ok(text.len())
                }
                Err(Errno::EACCES | Errno::EPERM) if self.user.is_some() => return None,
                Err(errno) => Err(why(errno)),
            },
        };
        match filled {
            Ok(length) => Some((length, meta.modified)),
            Err(problem) => self.complain(path, &problem),
        }
    }

    /// The most that is read of a file.
    fn largest(&self, path: &str) -> u64 {
        match self.user {
            None => Self::LARGEST,
            Some(_) if path.ends_with("/containers.json") => Self::LARGEST_LIST_OF_USER,
            Some(_) => Self::LARGEST_RECORD_OF_USER,
        }
    }

    /// Counts what is read of a user's files. When that is too much, nothing more of that user is read: they
    /// choose how much there is, and shall not choose how long ctrbox takes.
    fn spend(&self, path: &str, count: impl FnOnce(&mut Spent)) -> bool {
        let Some(user) = self.user else { return true };
        let mut spent = self.system.spent.borrow_mut();
        let spent = spent.entry(user).or_default();
        let used_up =
            |spent: &Spent| spent.bytes > Self::LARGEST_OF_USER || spent.opened > Self::MOST_OPENED_OF_USER;
        if used_up(spent) {
            return false;
        }
        count(spent);
        if used_up(spent) {
            let _: Option<()> =
                self.complain(path, "left out with all that follows, as there is too much of that user's");
            return false;
        }
        true
    }

    /// The names in a directory that are text; none when it is not there.
    pub fn list(&self, path: &str) -> Vec<String> {
        if !self.spend(path, |spent| spent.opened += 1) {
            return Vec::new();
        }
        let most = if self.user.is_some() { Self::MOST_NAMES_OF_USER } else { Self::MOST_NAMES };
        let mut names = match self.names(path, most + 1) {
            Ok(names) => names,
            Err(errno) => return self.failed(path, errno).unwrap_or_default(),
        };
        if names.len() > most {
            names.truncate(most);
            return self.complain(path, "too many names, the rest is left out").unwrap_or(names);
        }
        names
    }

    /// The same by this process; at most so many.
    pub(super) fn names_here(&self, path: &str, most: usize) -> nix::Result<Vec<String>> {
        let directory = self.open_here(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut names: Vec<String> = Vec::new();
        sys::directory::each(&directory, |entry| {
            names.extend(entry.name.into_string());
            if names.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(names)
    }

    /// When a file was written, in seconds since 1970.
    pub fn modified(&self, path: &str) -> Option<i64> {
        self.open(path, OFlag::O_PATH).map(|opened| opened.meta.modified)
    }

    /// The inode of a file: of one in /run/netns, the id of the namespace.
    pub fn inode(&self, path: &str) -> Option<u64> {
        self.open(path, OFlag::O_PATH).map(|opened| opened.meta.inode)
    }

    /// Has the file of this path, which has no symbolic links in it, this device and inode?
    pub fn is_same(&self, path: &str, (major, minor): (u32, u32), inode: u64) -> bool {
        let device = libc::makedev(major, minor);
        !self.may_hang(path)
            && self
                .opened_exact(path)
                .is_ok_and(|here| (here.meta.device, here.meta.inode) == (device, inode))
    }

    /// Where a path of that system really is, its links followed there.
    pub fn locate(&self, path: &str) -> Option<PathBuf> {
        let file = self.open_here(path, OFlag::O_PATH).ok()?;
        std::fs::read_link(own_descriptor(&file)).ok()
    }

    pub fn exists(&self, path: &str) -> bool {
        self.open(path, OFlag::O_PATH).is_some()
    }

    /// Is there such a name, be it of a link that leads nowhere?
    pub fn is_there(&self, path: &str) -> bool {
        self.open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW).is_some()
    }

    /// What went wrong so far.
    pub fn warnings(&self) -> Vec<String> {
        self.system.warnings.borrow().clone()
    }

    /// What is wrong with the owner of a file.
    fn foreign(&self, path: &str, meta: &Meta) -> Option<&'static str> {
        let of_root = meta.uid == 0 || meta.uid == self.system.owner;
        match self.user {
            None if of_root => None,
            None => Some("does not belong to root"),
            Some(uid) if meta.uid == uid => None,
            // Where no link leads there root put it there. A link may be the user's, to read what he may not.
            Some(_) if of_root && self.opened_exact(path).is_ok_and(|exact| exact.meta == *meta) => None,
            Some(_) => Some("does not belong to that user"),
        }
    }

    /// Opens a file of a path without symbolic links, and does not read it.
    pub(super) fn open_exact_here(&self, path: &str) -> nix::Result<File> {
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
        let fd = match &self.system.below {
            None => openat2(AT_FDCWD, path, how.resolve(ResolveFlag::RESOLVE_NO_SYMLINKS)),
            Some(root) => {
                let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
                openat2(root.as_fd(), path, how.resolve(resolve))
            }
        };
        fd.map(File::from)
    }

    /// Opens a file, by another process where that may take for ever.
    fn open(&self, path: &str, flags: OFlag) -> Option<Opened> {
        if !self.spend(path, |spent| spent.opened += 1) {
            return None;
        }
        self.opened(path, flags).map_or_else(|errno| self.failed(path, errno), Some)
    }

    /// Opens a file without waiting for it (it may be a pipe).
    pub(super) fn open_here(&self, path: &str, flags: OFlag) -> nix::Result<File> {
        let mut flags = flags | OFlag::O_CLOEXEC;
        if !flags.contains(OFlag::O_PATH) {
            flags |= OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        }
        let fd = match &self.system.below {
            None => match self.user.and_then(|_| self.mounts().to_stay_on(Path::new(path))) {
                None => open_plain(path, flags),
                Some(mount) => stay_on(mount, path, flags),
            },
            // Links in that root mean that root, not ours (openat2(2), since Linux 5.6).
            Some(root) => {
                let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
                openat2(root.as_fd(), path, how)
            }
        };
        fd.map(File::from)
    }

    /// What is not there is everyday business.
    fn failed<T>(&self, path: &str, errno: Errno) -> Option<T> {
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => None,
            // Other users' business, when we are one.
            Errno::EACCES | Errno::EPERM if self.user.is_some() => None,
            errno => self.complain(path, &why(errno)),
        }
    }

    fn complain<T>(&self, path: &str, problem: &str) -> Option<T> {
        let path = self.system.path.join(path.trim_start_matches('/'));
        let warning = format!("{}: {problem}", path.display());
        let mut warnings = self.system.warnings.borrow_mut();
        if warnings.len() < Self::MOST_WARNINGS && !warnings.contains(&warning) {
            warnings.push(warning);
        }
        None
    }
}

fn why(errno: Errno) -> String {
    match errno {
        Errno::ETIMEDOUT => "its file system does not answer in time".to_owned(),
        errno => crate::errno::strerror(errno as i32),
    }
}

/// The links of /proc to files of processes are not followed: they lead into the mounts of whoever made the process.
fn open_plain(path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match openat2(AT_FDCWD, path, how) {
        Err(Errno::ENOSYS) => open(path, flags, Mode::empty()), // before Linux 5.6
        result => result,
    }
}

/// The content of a file that a descriptor names only.
pub(super) fn content_of(file: &File, size: u64) -> nix::Result<Vec<u8>> {
    let (mut file, mut text) = (reopened(file)?, Vec::new());
    let length = fill(&mut file, size, &mut text)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    text.truncate(length);
    Ok(text)
}

/// A whole file of a size that it says, and of one that says none what there is; its length.
fn fill(file: &mut File, size: u64, text: &mut Vec<u8>) -> std::io::Result<usize> {
    if size == 0 {
        text.clear();
        return file.take(Files::LARGEST).read_to_end(text);
    }
    let size = usize::try_from(size).unwrap_or(0);
    // One more: whoever fills that has grown meanwhile. Never shorter again: it will be written over.
    if text.len() <= size {
        text.resize(size + 1, 0);
    }
    let mut filled = 0;
    while filled < size {
        match file.read(&mut text[filled..=size]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if filled > size {
        text.truncate(filled);
        filled += file.take(Files::LARGEST).read_to_end(text)?;
    }
    Ok(filled)
}

/// A user's link may lead to a file system that he answers for, or a server that is gone.
fn stay_on(mount: &Path, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    let base = open(mount, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let rest = Path::new(path).strip_prefix(mount).map_err(|_| Errno::EXDEV)?;
    let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
    openat2(base.as_fd(), rest, OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_XDEV))
}

/// What a descriptor stands for that names it only, to be read.
fn reopened(file: &File) -> nix::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    open(&own_descriptor(file), flags, Mode::empty()).map(File::from)
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
        assert_eq!(files.number_dated("/absolute").map(|found| found.0), Some(42));
        assert_eq!(files.number_dated("/run/up").map(|found| found.0), Some(42));
        assert_eq!(files.read("/outside"), None);
        assert!(files.exists("/run") && !files.exists("/outside"));
        assert!(files.warnings().is_empty(), "a missing file is no news: {:?}", files.warnings());
    }

    #[test]
    fn no_link_leads_to_another_mount_where_that_may_hang() {
        let open = |path: &str| stay_on(Path::new("/"), path, OFlag::O_RDONLY | OFlag::O_CLOEXEC);
        assert!(open("/").is_ok());
        assert_eq!(open("/proc/self/status").map(drop), Err(Errno::EXDEV));
        assert_eq!(
            stay_on(Path::new("/proc"), "/proc/self/root/etc", OFlag::O_PATH).map(drop),
            Err(Errno::EXDEV)
        );
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
        assert_eq!(files.number_dated("pid"), None);
        assert_eq!(files.read("fifo"), None);
        assert_eq!(files.read("huge"), None);
        assert_eq!(files.read("run"), None);
        assert_eq!(files.warnings().len(), 6, "{:?}", files.warnings());
    }

    #[test]
    fn what_one_user_can_have_read_is_bounded() {
        let dir = Dir::new("budget");
        let me = nix::unistd::geteuid().as_raw();
        let sized = |name: &str, size: u64| {
            File::create(dir.0.join(name)).and_then(|file| file.set_len(size)).expect("a sparse file");
        };
        sized("record", Files::LARGEST_RECORD_OF_USER);
        sized("larger", Files::LARGEST_RECORD_OF_USER + 1);
        let root = Files::new(&dir.0).expect("a root");
        let files = root.of_user(me);
        assert!(files.read("record").is_some());
        assert_eq!(files.read("larger"), None);
        // All that is opened counts, in whatever place.
        (0..2 * Files::MOST_OPENED_OF_USER)
            .for_each(|number| assert!(!files.exists(&format!("no/{number}"))));
        assert_eq!(files.read("record"), None);
        let left_out = root.warnings().iter().filter(|warning| warning.contains("too much")).count();
        assert_eq!(left_out, 1, "{:?}", root.warnings());
        assert!(root.read("record").is_some() || me != 0, "root's are read all the same");

        let root = Files::new(&dir.0).expect("a root");
        let files = root.of_user(me);
        let read = (0..100).filter(|_| files.read("record").is_some()).count() as u64;
        assert_eq!(read, Files::LARGEST_OF_USER / Files::LARGEST_RECORD_OF_USER);
    }
}
