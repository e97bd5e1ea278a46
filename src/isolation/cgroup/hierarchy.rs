//! The groups of a process and their directories, on v1, v2 and hybrid hosts.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::isolation::operation::{Operation, refused};
use crate::order;
use crate::proc::mountinfo::{Mount, mounts_of, unescape, wanted_of};
use crate::proc::{HostCopy, ProcRoot};

/// A line of `/proc/PID/cgroup` (cgroups(7)): `ID:CONTROLLERS:PATH`.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Membership<'a> {
    /// `cpu,cpuacct`, `name=systemd`; empty for v2.
    pub controllers: &'a [u8],
    /// From the root of the hierarchy, as the cgroup namespace of the reader shows it.
    pub path: &'a [u8],
}

/// The text of `/proc/PID/cgroup`.
pub(super) fn read_groups(proc: &ProcRoot, pid: Pid) -> Result<Vec<u8>> {
    let file = proc.shown(&proc.path_of(pid, "cgroup"));
    let message = || format!("cannot open {}", file.display());
    let text = proc.process(pid).cgroup();
    let text = text.with_context(|| refused(message(), Operation::Open(file.clone())))?;
    if parse_whole(&text).any(|line| line.is_cut()) {
        bail!("cannot find a group of process {pid}: its path is longer than {} shows", file.display());
    }
    Ok(text)
}

/// The lines of `/proc/PID/cgroup`. A path may contain any byte except a newline, also colons.
pub fn parse(text: &[u8]) -> impl Iterator<Item = Membership<'_>> {
    // The kernel adds this to the path of a removed group in which a zombie is left.
    parse_whole(text)
        .map(|line| Membership { path: line.path.strip_suffix(b" (deleted)").unwrap_or(line.path), ..line })
}

/// The same with paths that lead to directories: also the name of a group can end in ` (deleted)`.
pub(crate) fn parse_whole(text: &[u8]) -> impl Iterator<Item = Membership<'_>> {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let mut fields = line.splitn(3, |&b| b == b':');
        let (_id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Membership { controllers, path })
    })
}

impl Membership<'_> {
    /// Can the kernel have cut the path? It does so without a sign, and what is left can be the path of another group.
    pub(super) fn is_cut(&self) -> bool {
        self.path.len() >= libc::PATH_MAX as usize - 1
    }
}

/// Is the path that of a group, or below it?
pub(crate) fn is_within(path: &[u8], group: &[u8]) -> bool {
    path.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// How many components two paths have in common from the root.
pub(crate) fn shared_depth(path: &[u8], other: &[u8]) -> usize {
    let parts = |path| <[u8]>::split(path, |&b| b == b'/').filter(|part| !part.is_empty());
    parts(path).zip(parts(other)).take_while(|(one, other)| one == other).count()
}

/// A mounted hierarchy.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Hierarchy {
    /// As in `/proc/PID/cgroup`; none for v2.
    pub controllers: Vec<String>,
    /// The group that is visible at the mount point.
    pub root: PathBuf,
    pub mount_point: PathBuf,
    /// The files of another host, if it is one of that.
    pub(super) copy: Option<HostCopy>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hierarchies(pub Vec<Hierarchy>);

impl Hierarchies {
    /// The hierarchies that are mounted and visible.
    pub fn read(proc: &ProcRoot) -> Result<Hierarchies> {
        Hierarchies::read_where(proc, |_| true)
    }

    /// Those that can have one of these controllers: the others take most of the time.
    pub fn read_for(proc: &ProcRoot, controllers: &[&str]) -> Result<Hierarchies> {
        Hierarchies::read_where(proc, |line| may_have(line, controllers))
    }

    fn read_where(proc: &ProcRoot, is_wanted: impl Fn(&[u8]) -> bool) -> Result<Hierarchies> {
        let path = proc.own("mountinfo");
        let read = match proc.is_copy() {
            true => proc.read_own("mountinfo"), // it can be a pipe there
            false => {
                // Files of proc do not report their length. Without a large buffer, reading takes a dozen calls.
                let mut text = Vec::with_capacity(1 << 15);
                std::fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut text)).map(|_| text)
            }
        };
        let text = read.with_context(|| format!("cannot read {}", proc.shown(&path).display()))?;
        let all = Hierarchies(wanted_of(&text, KINDS, is_wanted).filter_map(hierarchy).collect());
        let Some(copy) = proc.copy() else { return Ok(all) };
        Ok(all.below(copy))
    }

    /// In the files of another host, mount points lie below the directory with these files: without that, the groups of
    /// this host would be read.
    fn below(self, copy: &HostCopy) -> Hierarchies {
        let root = copy.path();
        let moved = |hierarchy: Hierarchy| {
            let below = hierarchy.mount_point.strip_prefix(root).or(hierarchy.mount_point.strip_prefix("/"));
            let mount_point = root.join(below.unwrap_or(&hierarchy.mount_point));
            Hierarchy { mount_point, copy: Some(copy.clone()), ..hierarchy }
        };
        Hierarchies(self.0.into_iter().map(moved).collect())
    }

    /// Parses the text of `/proc/PID/mountinfo`.
    #[must_use]
    pub fn parse(mountinfo: &[u8]) -> Hierarchies {
        Hierarchies(mounts_of(mountinfo, KINDS).filter_map(hierarchy).collect())
    }

    /// The group whose directory is this one, or that would be there. None if no hierarchy is mounted above it.
    #[must_use]
    pub(crate) fn group_at(&self, directory: &Path) -> Option<PathBuf> {
        let fits =
            self.0.iter().filter_map(|one| Some((one, directory.strip_prefix(&one.mount_point).ok()?)));
        let (hierarchy, below) = fits.max_by_key(|(one, _)| one.mount_point.as_os_str().len())?;
        Some(hierarchy.root.join(below))
    }

    /// The directory of a group, if its hierarchy is mounted and the mount shows the group.
    #[must_use]
    pub fn directory(&self, membership: Membership<'_>) -> Option<PathBuf> {
        let (hierarchy, below) = self.place(membership)?;
        Some(hierarchy.mount_point.join(below))
    }

    /// The hierarchy of a group, and the path of the group relative to the mount point.
    #[must_use]
    pub fn place<'a>(&'a self, membership: Membership<'a>) -> Option<(&'a Hierarchy, &'a Path)> {
        if membership.is_cut() {
            return None;
        }
        let mut wanted: Vec<&[u8]> =
            membership.controllers.split(|&b| b == b',').filter(|name| !name.is_empty()).collect();
        order::sort(&mut wanted);
        let path = Path::new(std::ffi::OsStr::from_bytes(membership.path));
        self.0.iter().find_map(|hierarchy| {
            let same = hierarchy.controllers.iter().map(String::as_bytes).eq(wanted.iter().copied());
            let below = path.strip_prefix(&hierarchy.root).ok().filter(|_| same)?;
            Some((hierarchy, below))
        })
    }

    /// `cgroup.procs` of every group of `pid` that this process is not in, opened for [`super::join()`].
    pub fn open_groups(&self, proc: &ProcRoot, pid: Pid) -> Result<Vec<OwnedFd>> {
        let text = read_groups(proc, pid)?;
        let own = proc.read_own("cgroup").unwrap_or_default();
        let others = parse_whole(&text).filter(|membership| !parse_whole(&own).any(|own| own == *membership));
        let directories = others.filter_map(|membership| self.directory(membership));
        directories
            .map(|directory| {
                let path = directory.join("cgroup.procs");
                let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                open(&path, flags, Mode::empty()).with_context(|| format!("cannot open {}", path.display()))
            })
            .collect()
    }
}

/// How the file system types of control groups begin.
const KINDS: &str = "cgroup";

/// May a line of mountinfo be that of a hierarchy with one of these controllers? One of v2 can have any.
fn may_have(line: &[u8], controllers: &[&str]) -> bool {
    let mut last = line.rsplit(|&b| b == b' ');
    let (options, _source, kind) = (last.next(), last.next(), last.next());
    let is_named = |option: &[u8]| controllers.iter().any(|name| name.as_bytes() == option);
    kind == Some(b"cgroup2") || options.is_some_and(|options| options.split(|&b| b == b',').any(is_named))
}

/// The hierarchy that a mount shows.
fn hierarchy(mount: Mount<'_>) -> Option<Hierarchy> {
    let named = |option: &&[u8]| match *option {
        b"cpu" | b"cpuacct" | b"cpuset" | b"memory" | b"devices" | b"freezer" | b"net_cls" | b"net_prio"
        | b"blkio" | b"perf_event" | b"hugetlb" | b"pids" | b"rdma" | b"misc" => true,
        option => option.starts_with(b"name="),
    };
    let mut controllers: Vec<String> = match mount.kind {
        b"cgroup2" => Vec::new(),
        b"cgroup" if !mount.options.is_empty() => {
            let names = mount.options.split(|&b| b == b',').filter(named);
            names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
        }
        _ => return None,
    };
    order::sort(&mut controllers);
    let (root, mount_point) = (unescape(mount.root), unescape(mount.point));
    Some(Hierarchy { controllers, root, mount_point, copy: None })
}

#[cfg(test)]
mod tests {
    use super::super::View;
    use super::*;

    const HYBRID: &[u8] = b"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        36 31 0:33 / /sys/fs/cgroup/freezer rw shared:7 - cgroup cgroup rw,freezer\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
        77 31 0:99 / /mnt/\xff - cgroup\nx\n\
        41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw,nsdelegate\n";
    const UNIFIED: &[u8] = b"30 23 0:26 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn memberships_keep_colons_and_drop_the_deleted_mark() {
        let text = b"2:cpu,cpuacct:/a:b/c\n1:name=systemd:/x (deleted)\n0::/\nrubbish\n3:x\n";
        let found: Vec<_> = parse(text).map(|m| (m.controllers, m.path)).collect();
        assert_eq!(found, [(&b"cpu,cpuacct"[..], &b"/a:b/c"[..]), (b"name=systemd", b"/x"), (b"", b"/")]);
        assert_eq!(parse(b"").count(), 0);
    }

    #[test]
    fn lines_of_other_controllers_are_left_out() {
        let kept = |controllers: &[&str]| {
            let lines = HYBRID.split(|&b| b == b'\n').filter(|line| may_have(line, controllers));
            lines.map(|line| line[..2].to_vec()).collect::<Vec<_>>().concat()
        };
        assert_eq!(kept(&["cpuacct"]), b"3241");
        assert_eq!(kept(&["name=systemd", "freezer"]), b"364041");
        assert_eq!(kept(&["pids"]), b"41", "any controller can be in v2");
    }

    #[test]
    fn directories_on_a_hybrid_host() {
        let host = Hierarchies::parse(HYBRID);
        let directory = |controllers: &[u8], path: &[u8]| {
            host.directory(Membership { controllers, path }).map(|dir| dir.display().to_string())
        };
        assert_eq!(directory(b"cpuacct,cpu", b"/x").as_deref(), Some("/sys/fs/cgroup/cpu,cpuacct/x"));
        assert_eq!(directory(b"name=systemd", b"/").as_deref(), Some("/sys/fs/cgroup/systemd/"));
        assert_eq!(directory(b"", b"/x/y").as_deref(), Some("/sys/fs/cgroup/uni fied/x/y"));
        assert_eq!(directory(b"pids", b"/x"), None);
    }

    #[test]
    fn a_mount_of_a_part_shows_that_part_only() {
        let host = Hierarchies::parse(UNIFIED);
        let at = |path: &[u8]| host.directory(Membership { controllers: b"", path });
        assert_eq!(at(b"/a/b").as_deref(), Some(Path::new("/sys/fs/cgroup/b")));
        assert_eq!(at(b"/other"), None);
    }

    #[test]
    fn a_path_that_may_be_cut_is_no_directory() {
        let host = Hierarchies::parse(UNIFIED);
        let long = [b"/a/", "x".repeat(4092).as_bytes()].concat();
        let at = |path: &[u8]| host.directory(Membership { controllers: b"", path });
        assert!(at(&long).is_none() && at(&long[..4094]).is_some());
        let text = [b"0::", &*long, b"\n"].concat();
        assert_eq!(View::parse(b"0::/..\n").absolute(&text), text);
    }

    #[test]
    fn the_groups_of_this_process_exist() {
        let proc = ProcRoot::default();
        let host = Hierarchies::read(&proc).expect("own mountinfo");
        let text = proc.read(Pid::this(), "cgroup").expect("own cgroup");
        for membership in parse(&text) {
            if let Some(directory) = host.directory(membership) {
                assert!(directory.join("cgroup.procs").exists(), "{}", directory.display());
            }
        }
    }
}
