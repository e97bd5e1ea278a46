//! Reading runtimes' state files: below a root that may be another system's, and as somebody's whose files
//! may be stale, truncated, huge or hostile.

mod budget;
mod remote;
pub(super) mod users;

use crate::sys::keyed::HashMap;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
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
use serde::de::{DeserializeOwned, DeserializeSeed};
use serde_json::error::Category;

use crate::access::{AccessProcess, Account};
use crate::container::runtimes::Each;
use crate::sys;
use budget::{Budget, Cost, Spent};
use remote::{Meta, Opened};
use users::{Mounts, User};

/// The files of a system, and what was wrong with those that could not be used.
#[derive(Clone)]
pub struct Files {
    pub(super) system: Rc<System>,
    /// One of its users, whose own files count and nobody else's; else root's count.
    pub(super) user: Option<u32>,
    /// What may be spent on them, if their owner is not root of this host.
    pub(super) budget: Option<Rc<Budget>>,
    /// What could not be used. Those of a container add to the host's.
    pub(super) warnings: Rc<RefCell<Vec<String>>>,
}

/// The names in a directory.
#[derive(Default)]
pub struct Names {
    all: BTreeSet<Rc<str>>,
    /// Root's directory, and there are more names than these, or it cannot be listed.
    more: bool,
    /// Was it counted as a place with records?
    counted: Cell<bool>,
}

impl Names {
    /// Is it worth a look?
    pub fn may_have(&self, name: &str) -> bool {
        self.more || self.all.contains(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rc<str>> {
        self.all.iter()
    }

    pub fn has_more(&self) -> bool {
        self.more
    }
}

/// By user and path.
type Listings = HashMap<(Option<u32>, String), Rc<Names>>;

pub(super) struct System {
    path: PathBuf,
    /// None for our own root: plain paths do.
    pub(super) root_fd: Option<OwnedFd>,
    /// Of the root directory: his files count as root's do.
    owner: u32,
    users: OnceCell<Vec<User>>,
    mounts: OnceCell<Mounts>,
    /// Of a container, which may have put anything anywhere in it: who accounts for the time that takes.
    pub(super) account: Option<Account>,
    /// The process that reads files of users and of containers.
    pub(super) access: RefCell<Option<AccessProcess>>,
    /// What may be spent on the files of users, by user.
    budgets: RefCell<HashMap<u32, Rc<Budget>>>,
    /// Directories that were listed: each is read once.
    listings: RefCell<Listings>,
    /// Of the file read last: one piece of memory does for thousands of them.
    text: RefCell<Vec<u8>>,
}

impl Files {
    /// Larger than any state file that runtimes write: root's, a user's, and a user's list of containers.
    const LARGEST: u64 = 16 << 20;
    const LARGEST_OF_USER: u64 = 1 << 20;
    const LARGEST_LIST_OF_USER: u64 = 8 << 20;
    /// More than any host has containers.
    const MOST_NAMES: usize = 50_000;
    const MOST_WARNINGS: usize = 1_000;
    /// The kernel opens no longer path.
    const LONGEST_PATH: usize = 4095;

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
        let root_fd = (root != Path::new("/")).then_some(directory);
        let path = root.to_path_buf();
        let budget = account.map(|_| Rc::new(Budget::new("this container".to_owned())));
        let system = System {
            path,
            root_fd,
            owner,
            users: OnceCell::new(),
            mounts: OnceCell::new(),
            account,
            access: RefCell::default(),
            budgets: RefCell::default(),
            listings: RefCell::default(),
            text: RefCell::default(),
        };
        Ok(Files { system: Rc::new(system), user: None, budget, warnings: Rc::default() })
    }

    /// The same files as one of the users may vouch for them: root's word is not his.
    #[must_use]
    pub fn of_user(&self, uid: u32) -> Files {
        let budget = match self.system.account {
            Some(_) => self.budget.clone(), // one for all its users
            None => Some(self.budget_of(uid)),
        };
        Files { user: Some(uid), budget, ..self.clone() }
    }

    /// The files of a container of that host. Of one that belongs to a user it counts as a place of theirs, and what
    /// is spent on both is counted together.
    pub fn below(self, host: &Files, owner: u32) -> Option<Files> {
        let budget = match owner {
            0 => self.budget,
            uid => Some(host.budget_of(uid)),
        };
        let files = Files { budget, warnings: host.warnings.clone(), ..self };
        files.spend("", Cost::StateDir, 1).then_some(files)
    }

    fn budget_of(&self, uid: u32) -> Rc<Budget> {
        let mut budgets = self.system.budgets.borrow_mut();
        budgets.entry(uid).or_insert_with(|| Rc::new(Budget::new(format!("user {uid}")))).clone()
    }

    /// Is that still to be had? Says once that it is not.
    fn spend(&self, path: &str, cost: Cost, count: usize) -> bool {
        let Some(budget) = &self.budget else { return true };
        match budget.spend(cost, count) {
            Spent::Yes => true,
            Spent::No => false,
            Spent::First => {
                let problem =
                    format!("limit for the records of {} reached, the rest is not read", budget.whose);
                self.warn(path, &problem);
                false
            }
        }
    }

    /// May that much memory be kept of what was read?
    pub fn keep(&self, path: &str, bytes: usize) -> bool {
        self.spend(path, Cost::Kept, bytes)
    }

    /// May the init process of a record be looked at?
    pub fn may_check(&self, id: &str) -> bool {
        self.spend(id, Cost::Look, budget::CHECK)
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
        let (length, modified) = self.read_into(path, &mut text, self.largest())?;
        let value = serde_json::from_slice(&text[..length]);
        release(&mut text);
        value.map_or_else(|error| self.reject(path, &bad_json(&error)), |value| Some((value, modified)))
    }

    /// The elements of a list of containers, one by one until `take` wants no more. What it got is not to be
    /// used if the file is not what it should be.
    pub fn json_each<T: DeserializeOwned>(&self, path: &str, mut take: impl FnMut(T) -> bool) -> Option<()> {
        let mut text = self.system.text.borrow_mut();
        let largest = self.budget.as_ref().map_or(Self::LARGEST, |_| Self::LARGEST_LIST_OF_USER);
        let (length, _) = self.read_into(path, &mut text, largest)?;
        let mut json = serde_json::Deserializer::from_slice(&text[..length]);
        let each = Each::new(|element| self.spend(path, Cost::Name, 1) && take(element));
        let done = each.deserialize(&mut json).and_then(|()| json.end());
        release(&mut text);
        done.map_or_else(|error| self.reject(path, &bad_json(&error)), Some)
    }

    /// The file's only number, a PID, and when it was written.
    pub fn number_dated(&self, path: &str) -> Option<(i32, i64)> {
        let mut text = self.system.text.borrow_mut();
        let (length, modified) = self.read_into(path, &mut text, self.largest())?;
        match std::str::from_utf8(&text[..length]).ok().and_then(|text| text.trim().parse().ok()) {
            Some(number) => Some((number, modified)),
            None => self.reject(path, "not a number"),
        }
    }

    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let (length, _) = self.read_into(path, &mut text, self.largest())?;
        text.truncate(length);
        Some(text)
    }

    fn largest(&self) -> u64 {
        self.budget.as_ref().map_or(Self::LARGEST, |_| Self::LARGEST_OF_USER)
    }

    /// How long it is, and when it was written, in seconds since 1970.
    fn read_into(&self, path: &str, text: &mut Vec<u8>, largest: u64) -> Option<(usize, i64)> {
        // Only to open a device or a pipe may do something: of what others put there it is seen first.
        let Opened { meta, file } =
            self.open(path, if self.may_wait() { OFlag::O_PATH } else { OFlag::O_RDONLY })?;
        if !meta.is_file() {
            return self.reject(path, "not a regular file");
        }
        if let Some(problem) = self.owner_problem(path, &meta) {
            return self.reject(path, problem);
        }
        if meta.size > largest {
            return self.reject(path, "too large to be a state file");
        }
        let size = usize::try_from(meta.size).unwrap_or(usize::MAX);
        if !self.spend(path, Cost::Byte, size) || file.is_none() && !self.spend(path, Cost::Look, 1) {
            return None;
        }
        let filled = match file {
            Some(mut file) => {
                fill(&mut file, meta.size, largest, text).map_err(|error| crate::errno::cause(&error))
            }
            None => match self.content(largest) {
                Ok(content) => {
                    *text = content;
                    Ok(text.len())
                }
                Err(Errno::EACCES | Errno::EPERM) if self.user.is_some() => return None,
                Err(errno) => Err(describe(errno)),
            },
        };
        let length = match filled {
            Ok(length) => length,
            Err(problem) => return self.reject(path, &problem),
        };
        // It may have grown since, or not say its size.
        if length as u64 > largest || !self.spend(path, Cost::Byte, length.saturating_sub(size)) {
            return self.reject(path, "too large to be a state file");
        }
        Some((length, meta.modified))
    }

    /// The names in a directory that are text; none when it is not there.
    pub fn list(&self, path: &str) -> Vec<String> {
        self.names(path).iter().map(|name| name.as_ref().to_owned()).collect()
    }

    /// The same, as they were when they were asked for first.
    pub fn names(&self, path: &str) -> Rc<Names> {
        let key = (self.user, path.to_owned());
        if let Some(names) = self.system.listings.borrow().get(&key) {
            return names.clone();
        }
        let kept = path.len().saturating_add(2 * NODE);
        if path.len() > Self::LONGEST_PATH || !self.spend(path, Cost::Look, 1) || !self.keep(path, kept) {
            return Rc::default();
        }
        let names = Rc::new(self.read_names(path));
        self.system.listings.borrow_mut().insert(key, names.clone());
        names
    }

    /// A directory with records of containers, if there are any and it is not one too many of that user's.
    pub fn state_dir(&self, path: &str) -> Option<Rc<Names>> {
        let names = self.names(path);
        let there = names.more || !names.all.is_empty();
        let counted = there && (names.counted.replace(true) || self.spend(path, Cost::StateDir, 1));
        counted.then_some(names)
    }

    fn read_names(&self, path: &str) -> Names {
        let mut names = Names::default();
        let most = self.budget.as_ref().map_or(Self::MOST_NAMES, |budget| budget.left(Cost::Name));
        let mut found = match self.first_names(path, most + 1) {
            Ok(found) => found,
            Err(errno) => {
                // A directory can let root's records be read and not be listed.
                let denied = matches!(errno, Errno::EACCES | Errno::EPERM);
                names.more = self.budget.is_none() && denied;
                return if names.more { names } else { self.report_errno(path, errno).unwrap_or(names) };
            }
        };
        if found.len() > most && self.budget.is_none() {
            names.more = true;
            self.reject::<()>(path, "too many names, the rest is left out");
        }
        // Whatever is there counts, even if it can be no name.
        let kept = found.iter().map(|name| name.len() + 2 * NODE).sum(); // beside the name its place in an index
        _ = self.spend(path, Cost::Name, found.len()) && self.keep(path, kept);
        found.truncate(most);
        names.all = found.into_iter().filter(|name| !name.is_empty()).map(Rc::from).collect();
        names
    }

    /// The same by this process; at most so many.
    pub(super) fn names_here(&self, path: &str, most: usize) -> nix::Result<Vec<String>> {
        let directory = self.open_here(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut names: Vec<String> = Vec::new();
        sys::directory::each(&directory, |entry| {
            // An empty one stands for what is no text.
            names.push(entry.name.into_string().unwrap_or_default());
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
            && self.open_exact(path).is_ok_and(|here| (here.meta.device, here.meta.inode) == (device, inode))
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
        self.warnings.borrow().clone()
    }

    /// What is wrong with the owner of a file.
    fn owner_problem(&self, path: &str, meta: &Meta) -> Option<&'static str> {
        let of_root = meta.uid == 0 || meta.uid == self.system.owner;
        match self.user {
            None if of_root => None,
            None => Some("does not belong to root"),
            Some(uid) if meta.uid == uid => None,
            // Where no link leads there root put it there. A link may be the user's, to read what he may not.
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

    /// Opens a file of a path without symbolic links, and does not read it.
    pub(super) fn open_exact_here(&self, path: &str) -> nix::Result<File> {
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
        let fd = match &self.system.root_fd {
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
        if path.len() > Self::LONGEST_PATH || !self.spend(path, Cost::Look, 1) {
            return None;
        }
        self.open_file(path, flags).map_or_else(|errno| self.report_errno(path, errno), Some)
    }

    /// Opens a file without waiting for it (it may be a pipe).
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
            // Links in that root mean that root, not ours (openat2(2), since Linux 5.6).
            Some(root) => {
                let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
                openat2(root.as_fd(), path, how)
            }
        };
        fd.map(File::from)
    }

    /// What is not there is everyday business.
    fn report_errno<T>(&self, path: &str, errno: Errno) -> Option<T> {
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => None,
            // Other users' business, when we are one.
            Errno::EACCES | Errno::EPERM if self.user.is_some() => None,
            errno => self.reject(path, &describe(errno)),
        }
    }

    fn reject<T>(&self, path: &str, problem: &str) -> Option<T> {
        if self.budget.as_ref().is_none_or(|budget| budget.take(Cost::Warning, 1)) {
            self.warn(path, problem);
        }
        None
    }

    fn warn(&self, path: &str, problem: &str) {
        let path = self.system.path.join(path.trim_matches('/'));
        let warning = format!("{}: {problem}", path.display());
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < Self::MOST_WARNINGS && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}

/// What a name or a label takes beside its bytes: the string, its place in a map, the allocator's own.
pub(super) const NODE: usize = 64;

/// Not serde's own words: they tell what stands in the file.
fn bad_json(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => "not the JSON that was expected",
        Category::Eof => "JSON that is cut off",
        Category::Io | Category::Syntax => "not JSON",
    };
    format!("{what} (line {})", error.line())
}

/// One piece of memory does for thousands of records, and none is kept for the few large files.
fn release(text: &mut Vec<u8>) {
    if text.len() as u64 > Files::LARGEST_OF_USER {
        *text = Vec::new();
    }
}

fn describe(errno: Errno) -> String {
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

/// A whole file of a size that it says, and of one that says none what there is; its length, which is more than
/// `largest` if the file is.
fn fill(file: &mut File, size: u64, largest: u64, text: &mut Vec<u8>) -> std::io::Result<usize> {
    if size == 0 {
        text.clear();
        return file.take(largest + 1).read_to_end(text);
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
        filled += file.take((largest + 1).saturating_sub(filled as u64)).read_to_end(text)?;
    }
    Ok(filled)
}

/// A user's link may lead to a file system that he answers for, or a server that is gone.
fn open_on_mount(mount: &Path, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    let base = open(mount, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let rest = Path::new(path).strip_prefix(mount).map_err(|_| Errno::EXDEV)?;
    let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
    openat2(base.as_fd(), rest, OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_XDEV))
}

/// What a descriptor stands for that names it only, to be read.
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
    use std::os::unix::ffi::OsStringExt;

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
        let open = |path: &str| open_on_mount(Path::new("/"), path, OFlag::O_RDONLY | OFlag::O_CLOEXEC);
        assert!(open("/").is_ok());
        assert_eq!(open("/proc/self/status").map(drop), Err(Errno::EXDEV));
        assert_eq!(
            open_on_mount(Path::new("/proc"), "/proc/self/root/etc", OFlag::O_PATH).map(drop),
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
        sized("record", Files::LARGEST_OF_USER);
        sized("larger", Files::LARGEST_OF_USER + 1);
        let root = Files::new(&dir.0).expect("a root");
        let files = root.of_user(me);
        assert!(files.read("record").is_some());
        assert_eq!(files.read("larger"), None);
        // All that is opened counts, in whatever place.
        let looks = Cost::Look.limit();
        (0..2 * looks).for_each(|number| assert!(!files.exists(&format!("no/{number}"))));
        assert_eq!(files.read("record"), None);
        let reached =
            root.warnings().iter().filter(|warning| warning.contains("limit for the records")).count();
        assert_eq!(reached, 1, "{:?}", root.warnings());
        assert!(root.of_user(me + 1).exists("record"), "another user's are read all the same");
        assert!(root.read("record").is_some() || me != 0, "root's too");

        let root = Files::new(&dir.0).expect("a root");
        let files = root.of_user(me);
        let read = (0..100).filter(|_| files.read("record").is_some()).count();
        assert_eq!(read, Cost::Byte.limit() / usize::try_from(Files::LARGEST_OF_USER).expect("a size"));
    }

    /// Those of one place are read once, and what is there counts even if it is no name.
    #[test]
    fn names_are_listed_once_and_counted() {
        let dir = Dir::new("names");
        let me = nix::unistd::geteuid().as_raw();
        let root = Files::new(&dir.0).expect("a root");
        let files = root.of_user(me);
        assert!(files.names("run").iter().next().is_none());
        std::fs::write(dir.0.join("run/late"), "").expect("a file");
        assert!(!files.names("run").may_have("late"));
        assert!(files.state_dir("run").is_none(), "there is nothing in it");

        let most = Cost::Name.limit();
        for number in 0..=most {
            let mut name = format!("{number}\u{ff}").into_bytes();
            name.pop(); // half a letter
            std::fs::create_dir(dir.0.join(std::ffi::OsString::from_vec(name))).expect("a directory");
        }
        assert!(files.names("/").iter().all(|name| **name == *"run"));
        assert!(!files.exists("run"), "the names used up what there was");
        assert!(root.warnings()[0].contains("limit for the records"), "{:?}", root.warnings());
    }

    #[test]
    fn places_are_counted_once() {
        let dir = Dir::new("places");
        let me = nix::unistd::geteuid().as_raw();
        let root = Files::new(&dir.0).expect("a root");
        let files = root.of_user(me);
        let most = Cost::StateDir.limit();
        for number in 0..=most {
            std::fs::create_dir_all(dir.0.join(format!("{number}/x"))).expect("a directory");
        }
        let found = |path: &str| files.state_dir(path).is_some();
        assert!((0..10 * most).all(|_| found("0")));
        assert!((0..most).all(|number| found(&number.to_string())));
        assert!(!found(&most.to_string()));
        assert!(root.state_dir("0").is_some());
    }
}
