//! The groups of a process for reading: for each controller its group and those above it, on v1, v2 and hybrid hosts.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;

use super::hierarchy::{Hierarchies, Membership, parse_whole};
use super::kept::Kept;
use crate::proc::{HostCopy, decimal, number};
use crate::sys::directory::{Entry, each};
use crate::text::lines;

/// A group, for the files of one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub v2: bool,
    mount_point: PathBuf,
    /// The group that the mount shows at the mount point.
    root: PathBuf,
    /// Below the mount point.
    below: PathBuf,
    /// The files of another host, if it is a group of that.
    copy: Option<HostCopy>,
    /// For a group that is read again and again.
    kept: Option<Rc<Kept>>,
}

/// The controllers (comma separated, empty for v2) and the path of a process in each hierarchy.
pub(crate) struct Lines(pub Vec<(Vec<u8>, Vec<u8>)>);

/// The lines of `/proc/PID/cgroup` and the mounted hierarchies.
pub(crate) struct Groups<'a> {
    mounted: &'a Hierarchies,
    lines: Lines,
}

/// The least value of a chain of groups, and the group that has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Least<T> {
    pub value: T,
    pub place: Place,
}

impl<'a> Groups<'a> {
    #[must_use]
    pub(crate) fn new(mounted: &'a Hierarchies, text: &[u8]) -> Groups<'a> {
        let lines = parse_whole(text).map(|line| (line.controllers.to_vec(), line.path.to_vec()));
        Groups { mounted, lines: Lines(lines.collect()) }
    }

    /// The controllers and the path of each hierarchy.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.0.iter().map(|(controllers, path)| (controllers.as_slice(), path.as_slice()))
    }

    #[must_use]
    pub(crate) fn place(&self, controller: &str) -> Option<Place> {
        self.lines.place(self.mounted, controller)
    }

    #[must_use]
    pub(crate) fn unified(&self) -> Option<Place> {
        place(self.mounted, self.lines.unified()?)
    }
}

impl Lines {
    /// The group whose files a controller has: in its v1 hierarchy, else in the unified one.
    #[must_use]
    pub(crate) fn place(&self, mounted: &Hierarchies, controller: &str) -> Option<Place> {
        let has = |names: &[u8]| names.split(|&b| b == b',').any(|name| name == controller.as_bytes());
        let v1 = self.0.iter().find(|(names, _)| has(names));
        place(mounted, v1.or_else(|| self.unified())?)
    }

    pub(crate) fn unified(&self) -> Option<&(Vec<u8>, Vec<u8>)> {
        self.0.iter().find(|(names, _)| names.is_empty())
    }
}

/// None if no mount shows the group: it may be above the root of this process's cgroup namespace.
fn place(mounted: &Hierarchies, (controllers, path): &(Vec<u8>, Vec<u8>)) -> Option<Place> {
    let outside = |path: &Path| path.components().any(|part| part == Component::ParentDir);
    let (hierarchy, below) = mounted.place(Membership { controllers, path })?;
    (!outside(below)).then(|| Place {
        v2: hierarchy.is_v2(),
        mount_point: hierarchy.mount_point.clone(),
        root: hierarchy.root.clone(),
        below: below.components().filter(|part| matches!(part, Component::Normal(_))).collect(),
        copy: hierarchy.copy.clone(),
        kept: None,
    })
}

impl Place {
    /// A group that a mount shows, at a path below the mount point.
    #[must_use]
    pub(super) fn at(v2: bool, mount_point: &Path, below: &Path) -> Place {
        Place {
            v2,
            mount_point: mount_point.to_path_buf(),
            root: PathBuf::from("/"),
            below: below.to_path_buf(),
            copy: None,
            kept: None,
        }
    }

    /// From now on its files stay open, as long as their descriptors are below this number.
    #[must_use]
    pub(crate) fn keep(self, most: usize) -> Place {
        Place { kept: Some(Rc::new(Kept::new(most))), ..self }
    }

    #[must_use]
    pub(crate) fn directory(&self) -> PathBuf {
        self.mount_point.join(&self.below)
    }

    /// The path in the hierarchy.
    #[must_use]
    pub(crate) fn path(&self) -> PathBuf {
        let path = self.root.join(&self.below);
        path.components().collect() // without a slash at the end
    }

    #[must_use]
    pub(crate) fn is_root(&self) -> bool {
        self.below.as_os_str().is_empty()
    }

    /// The group of the same hierarchy with this path; None if it is not this one or one above.
    #[must_use]
    pub(crate) fn ancestor(&self, path: &[u8]) -> Option<Place> {
        self.chain().find(|place| place.path().as_os_str().as_bytes() == path)
    }

    /// This group and those above it, up to the root of the mount.
    pub(crate) fn chain(&self) -> impl Iterator<Item = Place> {
        let other = |below: &Path| Place { below: below.to_path_buf(), kept: None, ..self.clone() };
        self.below.ancestors().enumerate().map(move |(depth, below)| match depth {
            0 => self.clone(),
            _ => other(below),
        })
    }

    /// ENOENT is None: the kernel has no such file, or the group is the root.
    pub(crate) fn try_read(&self, file: &str) -> std::io::Result<Option<Vec<u8>>> {
        match self.try_with(file, |text| text.to_vec()) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn try_with<T>(&self, file: &str, take: impl FnOnce(&[u8]) -> T) -> std::io::Result<T> {
        let path = || self.directory().join(file);
        match &self.kept {
            Some(kept) => kept.with(file, path, |path| self.open(path), |text| take(text.trim_ascii())),
            None => {
                let mut text = Vec::new();
                self.open(&path())?.read_to_end(&mut text)?;
                Ok(take(text.trim_ascii()))
            }
        }
    }

    fn open(&self, path: &Path) -> std::io::Result<File> {
        match &self.copy {
            Some(copy) => {
                let below = path.strip_prefix(copy.path()).map_err(|_| Errno::EXDEV)?;
                Ok(copy.open_exact(below)?.into())
            }
            None => File::open(path),
        }
    }

    /// Was the group removed? The files of another host can lack groups that were there.
    pub(crate) fn is_gone(&self) -> bool {
        self.copy.is_none() && !self.directory().is_dir()
    }

    /// Does the group exist, and the directory of a copy have the files of this controller? A controller that is off has
    /// none in a group of v2.
    #[must_use]
    pub(crate) fn is_there(&self, controller: &str) -> bool {
        if self.copy.is_none() {
            return self.open(&self.directory()).is_ok();
        }
        let is_its = |entry: &Entry| {
            let name = entry.name.to_str().unwrap_or_default();
            let of_it = |rest: &str| controller.is_empty() || rest.starts_with('.');
            name == "cgroup.controllers" || name.strip_prefix(controller).is_some_and(of_it)
        };
        self.entries().iter().any(is_its)
    }

    /// The names in the directory of the group.
    #[must_use]
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut all = Vec::new();
        if let Ok(directory) = self.open(&self.directory()) {
            _ = each(&directory, |entry| {
                all.push(entry);
                ControlFlow::Continue(())
            });
        }
        all
    }

    /// Hands the text of a file to `take`, without a copy of it.
    pub(crate) fn with<T>(&self, file: &str, take: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.try_with(file, take).ok()
    }

    #[must_use]
    pub(crate) fn read(&self, file: &str) -> Option<Vec<u8>> {
        self.try_read(file).ok()?
    }

    #[must_use]
    pub(crate) fn number(&self, file: &str) -> Option<u64> {
        self.with(file, decimal)?
    }

    /// The number after a name in a file with lines like `inactive_file 4096`.
    #[must_use]
    pub(crate) fn field(&self, file: &str, name: &str) -> Option<u64> {
        self.with(file, |text| field(text, name))?
    }

    /// The PIDs in this group and all groups below it. None if a group cannot be read, or there are too many.
    #[must_use]
    pub(crate) fn members(&self) -> Option<Vec<i32>> {
        let mut members = Vec::new();
        for place in self.tree()? {
            let text = place.read("cgroup.procs")?;
            members.extend(text.split(|&b| b == b'\n').filter_map(number::<i32>));
        }
        Some(members)
    }

    /// Does the pids controller count more tasks in this group and those below than they list? These are zombies. None if
    /// the group does not have that controller.
    #[must_use]
    pub(crate) fn has_unlisted(&self) -> Option<bool> {
        let counted: u64 = self.number("pids.current")?;
        let file = if self.v2 { "cgroup.threads" } else { "tasks" };
        let lines = |place: &Place| {
            let text = place.read(file)?;
            Some(text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).count() as u64)
        };
        let listed: Option<u64> = self.tree()?.iter().map(lines).sum();
        Some(counted > listed?)
    }

    /// This group and all below it. None if there are too many: a container can make groups without end.
    #[must_use]
    pub(crate) fn tree(&self) -> Option<Vec<Place>> {
        const MOST: usize = 1_000;
        // Lists of processes can be longer than what a file that stays open gives in one read.
        let (mut all, mut next) = (vec![Place { kept: None, ..self.clone() }], 0);
        while let Some(place) = all.get(next).cloned() {
            next += 1;
            for entry in place.entries().into_iter().filter(|entry| entry.is_directory).take(MOST) {
                all.push(Place { below: place.below.join(&entry.name), kept: None, ..place.clone() });
            }
            if all.len() > MOST {
                return None;
            }
        }
        Some(all)
    }

    /// The least value of this group and those above it. If several are equal, the outermost, because it also limits
    /// other groups.
    #[must_use]
    pub(crate) fn least<T: PartialOrd>(&self, value: impl Fn(&Place) -> Option<T>) -> Option<Least<T>> {
        let mut least: Option<Least<T>> = None;
        for place in self.chain() {
            let Some(value) = value(&place) else { continue };
            if least.as_ref().is_none_or(|least| value <= least.value) {
                least = Some(Least { value, place });
            }
        }
        least
    }
}

/// The number after a name: `inactive_file 4096`.
#[must_use]
pub(crate) fn field(text: &[u8], name: &str) -> Option<u64> {
    lines(text).find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        (found == name.as_bytes()).then(|| decimal(value.strip_prefix(b" ")?))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Tree {
            let root = std::env::temp_dir().join(format!("ctrbox-chain-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
                std::fs::write(path, text).expect("a file");
            }
            Tree(root)
        }

        fn mounted(&self) -> Hierarchies {
            let root = self.0.display();
            let text = format!("1 2 0:1 / {root} rw - cgroup2 cgroup2 rw\n");
            Hierarchies::parse(text.as_bytes())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_outermost_of_equal_limits_binds() {
        let tree = Tree::new(
            "least",
            &[("a/max", "5\n"), ("a/b/max", "max\n"), ("a/b/c/max", "5\n"), ("a/b/c/d/max", "9\n")],
        );
        let mounted = tree.mounted();
        let groups = Groups::new(&mounted, b"0::/a/b/c/d\n");
        let place = groups.place("memory").expect("a group");
        assert_eq!(place.number("max"), Some(9));
        let least = place.least(|place| place.number("max")).expect("a limit");
        assert_eq!((least.value, least.place.path()), (5, PathBuf::from("/a")));
        assert_eq!(place.chain().count(), 5);
        assert!(place.chain().last().expect("a root").is_root());
        assert_eq!(place.ancestor(b"/a/b").expect("an ancestor").number("max"), None);
        assert_eq!(place.ancestor(b"/x"), None);
    }

    #[test]
    fn groups_outside_of_the_namespace_have_no_place() {
        let mounted = Hierarchies::parse(b"1 2 0:1 / /c rw - cgroup2 cgroup2 rw\n");
        assert_eq!(Groups::new(&mounted, b"0::/../x\n").place("memory"), None);
        assert!(Groups::new(&mounted, b"0::/\n").place("memory").is_some_and(|place| place.is_root()));
    }

    #[test]
    fn processes_of_groups_below_are_members() {
        let tree = Tree::new("members", &[("a/cgroup.procs", "7\n"), ("a/b/cgroup.procs", "8\n9\n")]);
        let mounted = tree.mounted();
        let place = Groups::new(&mounted, b"0::/a\n").unified().expect("a group");
        let mut members = place.members().expect("members");
        members.sort_unstable();
        assert_eq!(members, [7, 8, 9]);
        assert_eq!(place.has_unlisted(), None, "there is no count");
    }

    #[test]
    fn a_count_above_the_list_tells_of_zombies() {
        let files = |count| {
            [("a/pids.current", count), ("a/cgroup.threads", "7\n"), ("a/b/cgroup.threads", "8\n9\n")]
        };
        for (count, has_unlisted) in [("3\n", false), ("4\n", true)] {
            let tree = Tree::new(&format!("unlisted-{}", count.trim()), &files(count));
            let mounted = tree.mounted();
            let place = Groups::new(&mounted, b"0::/a\n").unified().expect("a group");
            assert_eq!(place.has_unlisted(), Some(has_unlisted));
        }
    }
}
