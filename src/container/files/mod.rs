//! Reads the runtimes' state files, below a root directory that may be that of another system. A file can be stale,
//! truncated, huge or hostile.

mod budget;
mod meta;
mod names;
mod open;
mod read;
mod remote;
mod tops;
pub(super) mod users;

use std::cell::{OnceCell, RefCell};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::access::{AccessProcess, Account};
use crate::proc::ProcRoot;
use crate::sys;
use crate::sys::keyed::HashMap;
use budget::{Budget, Cost, Spent};
use names::Listings;
pub(super) use names::Names;
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
    /// Directories of containerd's tasks that need no search.
    usual_tasks: OnceCell<Vec<PathBuf>>,
    /// Others, that shims led to.
    found_tasks: RefCell<Vec<String>>,
    /// Listed directories: each is read once.
    listings: RefCell<Listings>,
    /// What the directories in `tops` contain, once that is asked for.
    tops: Tops,
    /// The content of the last file: one buffer serves thousands of files.
    text: RefCell<Vec<u8>>,
}

impl Drop for System {
    fn drop(&mut self) {
        sys::close_unneeded();
    }
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
    /// Nearly all state files of root are smaller.
    const LARGEST_UNCHECKED: usize = 64 << 10;
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

    /// The files that a process sees.
    pub(crate) fn of_process(proc: &ProcRoot, pid: Pid, account: Account) -> Result<Files> {
        let path = proc.shown(&proc.path_of(pid, "root"));
        let root = proc.open_root(pid).with_context(|| format!("cannot open {}", path.display()))?;
        Files::with_root(&path, Some(root), Some(account))
    }

    fn open_root(root: &Path, account: Option<Account>) -> Result<Files> {
        if root == Path::new("/") {
            return Files::with_root(root, None, account);
        }
        // The root directory of a container is a link in /proc. O_PATH sends no request to a file server.
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(root, flags, Mode::empty());
        let directory = directory.with_context(|| format!("cannot open {}", root.display()))?;
        Files::with_root(root, Some(directory), account)
    }

    fn with_root(root: &Path, root_fd: Option<OwnedFd>, account: Option<Account>) -> Result<Files> {
        let owner = OnceCell::new();
        if let Some(directory) = &root_fd {
            let known =
                sys::known(directory, c"").with_context(|| format!("cannot open {}", root.display()))?;
            _ = owner.set(known.uid);
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
            usual_tasks: OnceCell::new(),
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

    /// The usual directories with such bundles, as `find` finds them.
    pub fn usual_tasks(&self, find: impl FnOnce() -> Vec<PathBuf>) -> &[PathBuf] {
        self.system.usual_tasks.get_or_init(find)
    }

    /// Adds a directory to the found ones. False if it is known, or if there are too many.
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
        self.mounts().may_hang(&path) || users::is_beyond_process(&path)
    }

    pub(super) fn mounts(&self) -> &Mounts {
        self.system.mounts.get_or_init(Mounts::read)
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

fn describe(errno: Errno) -> String {
    match errno {
        Errno::ETIMEDOUT => "its file system does not answer in time".to_owned(),
        errno => crate::errno::strerror(errno as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
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
