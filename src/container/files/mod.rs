//! Reads the runtimes' state files, below a root directory that may be that of another system. A file can be stale,
//! truncated, huge or hostile.

mod budget;
mod remote;
mod tops;
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
use tops::Tops;
use users::{Mounts, User};

/// The files of a system, and the problems with those that cannot be used.
#[derive(Clone)]
pub struct Files {
    pub(super) system: Rc<System>,
    /// The user whose files are read. Files of other users are refused. None: only root's files count.
    pub(super) user: Option<u32>,
    /// The limits for files whose owner is not root of this host.
    pub(super) budget: Option<Rc<Budget>>,
    /// Are the directories of users left out?
    without_users: bool,
    /// Files of every owner count.
    of_anyone: bool,
    /// Problems with files. Those in a container are added to the host's.
    pub(super) warnings: Rc<RefCell<Vec<String>>>,
}

/// The names in a directory.
#[derive(Default)]
pub struct Names {
    all: BTreeSet<Rc<str>>,
    /// Root's directory has more names than these, or cannot be listed.
    more: bool,
    /// Was it counted as a state directory?
    counted: Cell<bool>,
}

impl Names {
    /// Can the directory contain this name?
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
    /// The root directory of another system. None for that of this process, where plain paths suffice.
    pub(super) root_fd: Option<OwnedFd>,
    /// The owner of the root directory. Their files count as root's do.
    owner: OnceCell<u32>,
    users: OnceCell<Vec<User>>,
    mounts: OnceCell<Mounts>,
    /// For the files of a container: the account for the time that accesses take.
    pub(super) account: Option<Account>,
    /// The helper process that reads files of users and of containers.
    pub(super) access: RefCell<Option<AccessProcess>>,
    /// The limits for the files of users, by uid.
    budgets: RefCell<HashMap<u32, Rc<Budget>>>,
    /// Directories of containerd's tasks that shims led to.
    found_tasks: RefCell<Vec<String>>,
    /// Listed directories: each is read once.
    listings: RefCell<Listings>,
    /// What the directories in `tops` contain, once that is asked for.
    tops: Tops,
    /// The content of the last file: one buffer serves thousands of files.
    text: RefCell<Vec<u8>>,
}

impl System {
    fn owner(&self) -> u32 {
        *self.owner.get_or_init(|| sys::known(AT_FDCWD, c"/").map_or(0, |root| root.uid))
    }
}

impl Files {
    /// Limits for the size of root's state files, of a user's, and of a user's list of containers. All are larger than
    /// the files that runtimes write.
    const LARGEST: u64 = 16 << 20;
    const LARGEST_OF_USER: u64 = 1 << 20;
    const LARGEST_LIST_OF_USER: u64 = 8 << 20;
    /// More names than a host has containers.
    const MOST_NAMES: usize = 50_000;
    /// More daemons than a host runs.
    const MOST_FOUND_TASKS: usize = 64;
    const MOST_WARNINGS: usize = 1_000;
    /// The kernel refuses longer paths.
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
        let owner = OnceCell::new();
        let mut root_fd = None;
        if root != Path::new("/") {
            // The root directory of a container is a link in /proc. O_PATH sends no request to a file server.
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let directory = open(root, flags, Mode::empty()).with_context(cannot)?;
            _ = owner.set(sys::known(&directory, c"").with_context(cannot)?.uid);
            root_fd = Some(directory);
        }
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
            found_tasks: RefCell::default(),
            listings: RefCell::default(),
            tops: Tops::default(),
            text: RefCell::default(),
        };
        Ok(Files {
            system: Rc::new(system),
            user: None,
            budget,
            without_users: false,
            of_anyone: false,
            warnings: Rc::default(),
        })
    }

    /// The same files, read for a user: only files of that user count, or those that root put there.
    #[must_use]
    pub fn of_user(&self, uid: u32) -> Files {
        let budget = match self.system.account {
            Some(_) => self.budget.clone(), // a container has one budget for all its users
            None => Some(self.budget_of(uid)),
        };
        Files { user: Some(uid), budget, ..self.clone() }
    }

    /// The files of a container of that host. A user's container counts as a state directory of that user and shares
    /// their budget.
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

    /// Counts a cost. False if the limit is reached; the first time with a warning.
    fn spend(&self, path: &str, cost: Cost, count: usize) -> bool {
        let Some(budget) = &self.budget else { return true };
        match budget.spend(cost, count) {
            Spent::Yes => true,
            Spent::No => false,
            Spent::First => {
                let problem =
                    format!("limit for the state files of {} reached, the rest is not read", budget.owner);
                self.warn(path, &problem);
                false
            }
        }
    }

    /// Directories with the bundles of containerd's tasks, other than the usual ones.
    pub fn found_tasks(&self) -> Vec<String> {
        self.system.found_tasks.borrow().clone()
    }

    /// Adds one of them. False if it is known, or if there are too many.
    pub fn add_tasks(&self, directory: String) -> bool {
        let mut found = self.system.found_tasks.borrow_mut();
        let is_new = found.len() < Self::MOST_FOUND_TASKS && !found.contains(&directory);
        if is_new {
            found.push(directory);
        }
        is_new
    }

    /// Counts bytes that stay in memory.
    pub fn keep(&self, path: &str, bytes: usize) -> bool {
        self.spend(path, Cost::Kept, bytes)
    }

    /// Counts the check of an init process in a state file.
    pub fn may_check(&self, id: &str) -> bool {
        self.spend(id, Cost::Look, budget::CHECK)
    }

    /// The same files without the directories of users: to find those costs accesses to every home directory.
    #[must_use]
    pub fn without_users(&self) -> Files {
        Files { without_users: true, ..self.clone() }
    }

    /// The users who can have rootless containers.
    pub fn users(&self) -> &[User] {
        if self.without_users {
            return &[];
        }
        self.system.users.get_or_init(|| users::find(self))
    }

    /// Can an access to that path block without limit, on a file server or on a process of a user?
    pub fn may_hang(&self, path: &str) -> bool {
        let path = self.system.path.join(path.trim_start_matches('/'));
        self.mounts().may_hang(&path)
    }

    pub(super) fn mounts(&self) -> &Mounts {
        self.system.mounts.get_or_init(Mounts::read)
    }

    /// The JSON of a file; None if the file is missing or invalid.
    pub fn json<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.json_dated(path).map(|(value, _)| value)
    }

    /// The same, with the time of the last change in seconds since 1970.
    pub fn json_dated<T: DeserializeOwned>(&self, path: &str) -> Option<(T, i64)> {
        let mut text = self.system.text.borrow_mut();
        let (length, modified) = self.read_into(path, &mut text, self.largest())?;
        let value = serde_json::from_slice(&text[..length]);
        release(&mut text);
        value.map_or_else(|error| self.reject(path, &bad_json(&error)), |value| Some((value, modified)))
    }

    /// Passes the elements of a JSON list to `take`, until it returns false. None if the file is missing or invalid: the
    /// caller must drop the elements it received.
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

    /// The number that is the content of a file, and the time of the last change.
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

    /// Reads a file into `text`. Returns its length, and the time of the last change in seconds since 1970.
    fn read_into(&self, path: &str, text: &mut Vec<u8>, largest: u64) -> Option<(usize, i64)> {
        // Opening a device or a pipe can have effects. A user or a container can put one here, so check the type first.
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
        if self.of_anyone && meta.size == 0 {
            // Files of proc have no size. Reading one can have effects, or show what the container may not read.
            text.clear();
            return Some((0, meta.modified));
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
        // The file can have grown, or report no size.
        if length as u64 > largest || !self.spend(path, Cost::Byte, length.saturating_sub(size)) {
            return self.reject(path, "too large to be a state file");
        }
        Some((length, meta.modified))
    }

    /// The names in a directory that are valid UTF-8; none if the directory is missing.
    pub fn list(&self, path: &str) -> Vec<String> {
        self.names(path).iter().map(|name| name.as_ref().to_owned()).collect()
    }

    /// The same, as of the first call for this directory.
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

    /// The names in a state directory. None if it is empty, or if that user has too many state directories.
    pub fn state_dir(&self, path: &str) -> Option<Rc<Names>> {
        let names = self.names(path);
        let has_entries = names.more || !names.all.is_empty();
        let counted = has_entries && (names.counted.replace(true) || self.spend(path, Cost::StateDir, 1));
        counted.then_some(names)
    }

    fn read_names(&self, path: &str) -> Names {
        let mut names = Names::default();
        let most = self.budget.as_ref().map_or(Self::MOST_NAMES, |budget| budget.left(Cost::Name));
        let mut found = match self.first_names(path, most + 1) {
            Ok(found) => found,
            Err(errno) => {
                // A directory can allow access to files by name, but no listing.
                let denied = matches!(errno, Errno::EACCES | Errno::EPERM);
                names.more = self.budget.is_none() && denied;
                return if names.more { names } else { self.report_errno(path, errno).unwrap_or(names) };
            }
        };
        if found.len() > most && self.budget.is_none() {
            names.more = true;
            self.reject::<()>(path, "too many names, the rest is left out");
        }
        // Every entry counts, even one that is not a valid name.
        let kept = found.iter().map(|name| name.len() + 2 * NODE).sum(); // the name, and its entry in an index
        _ = self.spend(path, Cost::Name, found.len()) && self.keep(path, kept);
        found.truncate(most);
        names.all = found.into_iter().filter(|name| !name.is_empty()).map(Rc::from).collect();
        names
    }

    /// The first `most` names in a directory, read by this process.
    pub(super) fn names_here(&self, path: &str, most: usize) -> nix::Result<Vec<String>> {
        let directory = self.open_here(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut names: Vec<String> = Vec::new();
        sys::directory::each(&directory, |entry| {
            // An empty name stands for one that is not UTF-8.
            names.push(entry.name.into_string().unwrap_or_default());
            if names.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(names)
    }

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

    pub fn exists(&self, path: &str) -> bool {
        self.open(path, OFlag::O_PATH).is_some()
    }

    /// Does the name exist, even as a dangling symbolic link?
    pub fn is_there(&self, path: &str) -> bool {
        self.open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW).is_some()
    }

    /// The problems so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    /// The same, but files of every owner count: for files that concern the container alone.
    #[must_use]
    pub fn of_anyone(self) -> Files {
        Files { of_anyone: true, ..self }
    }

    /// The problem with the owner of a file, if there is one.
    fn owner_problem(&self, path: &str, meta: &Meta) -> Option<&'static str> {
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
            Some(root) => {
                let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
                openat2(root.as_fd(), path, how.resolve(resolve))
            }
        };
        fd.map(File::from)
    }

    /// Opens a file, in the helper process if that can block without limit.
    fn open(&self, path: &str, flags: OFlag) -> Option<Opened> {
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
            Some(root) => {
                let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
                openat2(root.as_fd(), path, how)
            }
        };
        fd.map(File::from)
    }

    /// Records a problem, but not for a missing file, which is normal.
    fn report_errno<T>(&self, path: &str, errno: Errno) -> Option<T> {
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => None,
            // Normal if the caller is an ordinary user.
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

/// The memory that a name or a label takes beside its bytes: the string, its entry in a map, the allocator's overhead.
pub(super) const NODE: usize = 64;

/// Describes an error without serde's message, which would print content of the file.
fn bad_json(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => "not the JSON that was expected",
        Category::Eof => "JSON that is cut off",
        Category::Io | Category::Syntax => "not JSON",
    };
    format!("{what} (line {})", error.line())
}

/// Frees the buffer after a large file. Otherwise one buffer serves thousands of files.
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

/// Opens a path, but follows no magic links of /proc: those lead into the mounts of another process.
fn open_plain(path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match openat2(AT_FDCWD, path, how) {
        Err(Errno::ENOSYS) => open(path, flags, Mode::empty()), // before Linux 5.6
        result => result,
    }
}

/// Reads a whole file, whose reported size can be 0 (/proc) or outdated. Returns the length; it is larger than `largest`
/// if the file is.
fn fill(file: &mut File, size: u64, largest: u64, text: &mut Vec<u8>) -> std::io::Result<usize> {
    if size == 0 {
        text.clear();
        return file.take(largest + 1).read_to_end(text);
    }
    let size = usize::try_from(size).unwrap_or(0);
    // One byte more than the size shows that the file has grown. The buffer is not shortened: to grow it again would
    // clear memory for each file.
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
        assert!(files.warnings().is_empty(), "a missing file is not a problem: {:?}", files.warnings());
    }

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

    #[test]
    fn invalid_state_files_are_reported_and_skipped() {
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
    fn the_files_read_for_one_user_are_limited() {
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
        // Every open counts, in any directory.
        let looks = Cost::Look.limit();
        (0..2 * looks).for_each(|number| assert!(!files.exists(&format!("no/{number}"))));
        assert_eq!(files.read("record"), None);
        let reached =
            root.warnings().iter().filter(|warning| warning.contains("limit for the state files")).count();
        assert_eq!(reached, 1, "{:?}", root.warnings());
        assert!(root.of_user(me + 1).exists("record"), "another user's files are still read");
        assert!(root.read("record").is_some() || me != 0, "root's too");

        let root = Files::new(&dir.0).expect("a root");
        let files = root.of_user(me);
        let read = (0..100).filter(|_| files.read("record").is_some()).count();
        assert_eq!(read, Cost::Byte.limit() / usize::try_from(Files::LARGEST_OF_USER).expect("a size"));
    }

    /// A directory is read once, and every entry counts even if it is not a valid name.
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
            name.pop(); // not valid UTF-8
            std::fs::create_dir(dir.0.join(std::ffi::OsString::from_vec(name))).expect("a directory");
        }
        assert!(files.names("/").iter().all(|name| **name == *"run"));
        assert!(!files.exists("run"), "the names used up the limit");
        assert!(root.warnings()[0].contains("limit for the state files"), "{:?}", root.warnings());
    }

    #[test]
    fn state_directories_are_counted_once() {
        let dir = Dir::new("state-dirs");
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
