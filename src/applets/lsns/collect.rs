//! Finds namespaces and their processes: one walk over /proc, then the mounts.
//!
//! readlink(2) returns a namespace's inode number at half the cost of stat(2), for which the kernel must create the
//! inode. A namespace is opened once, on demand, not once per process.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::hash::BuildHasher;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::access::{self, Account};
use crate::isolation::ns;
use crate::order;
use crate::proc::mountinfo;
use crate::proc::ns::{Kind, parse_link};
use crate::proc::{ProcRoot, Scan, broken, entries, living_thread};
use crate::sys;
use crate::sys::keyed::{HashMap, HashSet, Keyed};

/// A descriptor or socket that keeps a namespace alive without processes in it.
pub(super) enum Holder {
    Descriptor {
        pid: Pid,
        fd: i32,
    },
    /// A socket that was made in the namespace, and a descriptor of the namespace.
    Socket {
        pid: Pid,
        fd: i32,
        namespace: OwnedFd,
    },
}

pub(super) struct Namespace {
    pub kind: Kind,
    pub inode: u64,
    /// Processes in it, in order of PID; only the first unless [`Wanted`] asks for all.
    pub members: Vec<Pid>,
    pub nprocs: usize,
    pub holder: Option<Holder>,
    /// Its mount points, in the order of mountinfo.
    pub mounts: Vec<PathBuf>,
    /// A descriptor of it, if it is known only as parent or owner of another namespace.
    pub implicit: Option<OwnedFd>,
}

/// What to search for.
pub(super) struct Wanted {
    pub kinds: Vec<Kind>,
    pub descriptors: bool,
    /// Collect all members of this namespace.
    pub members_of: Option<u64>,
    /// Collect all members of every namespace.
    pub all_members: bool,
}

#[derive(Default)]
pub(super) struct Found {
    pub namespaces: Vec<Namespace>,
    /// The first process whose descriptors were not all examined, because of [`Allowance`].
    pub unexamined: Option<Pid>,
    by_id: HashMap<(Kind, u64), usize>,
}

impl Found {
    #[must_use]
    pub(super) fn find(&self, kind: Kind, inode: u64) -> Option<usize> {
        self.by_id.get(&(kind, inode)).copied()
    }

    /// The index of a namespace, which is added if it is new.
    pub(super) fn entry(&mut self, kind: Kind, inode: u64) -> usize {
        *self.by_id.entry((kind, inode)).or_insert_with(|| {
            self.namespaces.push(Namespace {
                kind,
                inode,
                members: Vec::new(),
                nprocs: 0,
                holder: None,
                mounts: Vec::new(),
                implicit: None,
            });
            self.namespaces.len() - 1
        })
    }

    /// The processes that are shown, sorted: the members of the namespace `only`, or the first member of each.
    #[must_use]
    pub(super) fn shown_members(&self, only: Option<u64>) -> Vec<Pid> {
        let all = self.namespaces.iter().flat_map(|namespace| match only {
            Some(inode) if inode != namespace.inode => &[],
            Some(_) => &namespace.members[..],
            None => &namespace.members[..namespace.members.len().min(1)],
        });
        let mut pids: Vec<Pid> = all.copied().collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Indices in the order of the listing: by inode, then by kind.
    #[must_use]
    pub(super) fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.namespaces.len()).collect();
        order::sort_by_key(&mut order, |&at| (self.namespaces[at].inode, self.namespaces[at].kind));
        order
    }
}

/// The inner error is a failure to read the list of mounts, which has an exit status of its own.
pub(super) fn collect(proc: &ProcRoot, wanted: &Wanted) -> anyhow::Result<std::io::Result<Found>> {
    let cannot = || format!("cannot read {}", proc.path().display());
    let pids: Vec<Pid> = Scan::listed(proc).with_context(cannot)?.into_iter().map(|(pid, _)| pid).collect();
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = open(proc.path(), flags, Mode::empty()).with_context(cannot)?;
    let mut walk = Walk::new(proc, dir, wanted);
    for (at, &pid) in pids.iter().enumerate() {
        walk.links(pid);
        if wanted.descriptors {
            walk.descriptors(at, pid); // directly after links(): the kernel has the process's /proc entries cached
        }
    }
    if let Some((pid, errno)) = walk.broken {
        let path = proc.path_of(pid, "ns");
        return Err(errno).with_context(|| format!("cannot read {}", proc.shown(&path).display()));
    }
    let mut found = walk.found;
    Ok(proc.read_own("mountinfo").map(|text| {
        mounts(&text, wanted, &mut found);
        found
    }))
}

/// How many descriptors are examined. Processes can share a table of a million descriptors, so a user could make lsns
/// examine billions.
#[derive(Default)]
struct Allowance {
    /// Beyond [`Allowance::FREE`] of each process.
    spent: BTreeMap<Account, usize>,
}

impl Allowance {
    /// Most processes have fewer.
    const FREE: usize = 64;
    /// The limit for all processes of one user or one container, and for each process of root on the host.
    const MOST: usize = 500_000;

    /// May one more descriptor of a process be examined, after `done`? `account` is asked once for a process.
    fn takes(&mut self, done: usize, account: impl FnOnce() -> Account) -> bool {
        if done < Self::FREE {
            return true;
        }
        let spent = self.spent.entry(account()).or_default();
        *spent += 1;
        *spent <= Self::MOST
    }
}

struct Walk<'a> {
    proc: &'a ProcRoot,
    allowance: Allowance,
    dir: OwnedFd,
    wanted: &'a Wanted,
    names: Vec<(Kind, CString)>,
    /// For each kind the namespace of the previous process, which is mostly the same.
    last: Vec<Option<(u64, usize)>>,
    found: Found,
    /// The first process with an error of the host. A list without it would be wrong.
    broken: Option<(Pid, Errno)>,
    seen_sockets: HashSet<Vec<u8>>,
    /// The mount namespace of each process, in order, if it was read.
    mnt_of: Vec<Option<u64>>,
    /// Hashes of (mount namespace, path) of descriptors that were examined.
    seen_paths: HashSet<u64>,
    hashes: Keyed,
    last_path: (u64, Vec<u8>),
    /// The device number of nsfs, the file system of namespaces.
    nsfs: Option<(u32, u32)>,
    entries: Vec<u8>,
}

impl<'a> Walk<'a> {
    fn new(proc: &'a ProcRoot, dir: OwnedFd, wanted: &'a Wanted) -> Self {
        let own = sys::file_id(&dir, c"self/ns/net").ok();
        let nsfs = own.map(|(device, _)| device);
        let names =
            wanted.kinds.iter().filter_map(|kind| Some((*kind, CString::new(kind.proc_name()).ok()?)));
        Walk {
            proc,
            allowance: Allowance::default(),
            dir,
            wanted,
            names: names.collect(),
            last: vec![None; wanted.kinds.len()],
            found: Found::default(),
            broken: None,
            seen_sockets: HashSet::default(),
            mnt_of: Vec::new(),
            seen_paths: HashSet::default(),
            hashes: Keyed::default(),
            last_path: (0, Vec::new()),
            nsfs,
            entries: vec![0; 32 * 1024],
        }
    }

    /// Opens a directory of a process.
    fn open(&self, pid: Pid, name: &str, flags: OFlag) -> nix::Result<OwnedFd> {
        let path = format!("{pid}/{name}");
        openat(&self.dir, path.as_str(), flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// Records an error of the host. None on any error, also when the process has ended or is not visible to the
    /// caller.
    fn checked<T>(&mut self, pid: Pid, read: nix::Result<T>) -> Option<T> {
        if let Some(errno) = read.as_ref().err().copied().filter(|&errno| broken(errno)) {
            self.broken.get_or_insert((pid, errno));
        }
        read.ok()
    }

    fn links(&mut self, pid: Pid) {
        self.mnt_of.push(None);
        let ns = self.open(pid, "ns", OFlag::O_PATH);
        let Some(mut ns) = self.checked(pid, ns) else { return };
        let mut may_be_of_thread = true;
        for at in 0..self.names.len() {
            let kind = self.names[at].0;
            let mut link = self.link_in(&ns, at);
            // A thread that ends leaves its namespaces. Older kernels have no time namespaces.
            if link == Err(Errno::ENOENT) && kind != Kind::Time && std::mem::take(&mut may_be_of_thread) {
                let other = living_thread(&self.dir, pid)
                    .and_then(|thread| self.open(pid, &format!("task/{thread}/ns"), OFlag::O_PATH).ok());
                if let Some(other) = other {
                    link = self.link_in(&other, at);
                    ns = other;
                }
            }
            let Some(inode) = self.checked(pid, link).flatten() else { continue };
            if let (Kind::Mnt, Some(mnt)) = (kind, self.mnt_of.last_mut()) {
                *mnt = Some(inode);
            }
            let number = match self.last[at] {
                Some((last, number)) if last == inode => number,
                _ => self.found.entry(kind, inode),
            };
            self.last[at] = Some((inode, number));
            let namespace = &mut self.found.namespaces[number];
            namespace.nprocs += 1;
            let all = self.wanted.all_members || self.wanted.members_of == Some(inode);
            if all || namespace.members.is_empty() {
                namespace.members.push(pid);
            }
        }
    }

    fn link_in(&self, ns: &OwnedFd, at: usize) -> nix::Result<Option<u64>> {
        sys::read_link_at(ns, &self.names[at].1, &mut [0; 64]).map(parse_link)
    }

    /// Finds namespaces that a process holds by a descriptor, or by a socket of another network namespace.
    fn descriptors(&mut self, at: usize, pid: Pid) {
        let dir = self.open(pid, "fd", OFlag::O_RDONLY);
        let Some(dir) = self.checked(pid, dir) else { return };
        let mut buffer = [0; 4096];
        let mut pidfd = None;
        let mut mnt = self.mnt_of.get(at).copied().flatten();
        let mut listing = std::mem::take(&mut self.entries);
        let (mut done, mut account) = (0, None);
        // proc fills the buffer until an entry does not fit: a buffer with room left has all entries.
        'all: while let Ok(read) = sys::get_dents(&dir, &mut listing) {
            let length = read.len();
            for name in entries(read).filter(|name| !name.to_bytes().starts_with(b".")) {
                let proc = self.proc;
                if !self
                    .allowance
                    .takes(done, || *account.get_or_insert_with(|| access::account_of(proc, pid)))
                {
                    self.found.unexamined.get_or_insert(pid);
                    break 'all;
                }
                done += 1;
                let Ok(target) = sys::read_link_at(&dir, name, &mut buffer) else { continue };
                let Some(fd) = name.to_str().ok().and_then(|name| name.parse().ok()) else { continue };
                match target {
                    [b'/', ..] => {
                        let mnt = *mnt.get_or_insert_with(|| self.mount_namespace(pid));
                        if self.must_examine(mnt, target) {
                            self.maybe_namespace(pid, fd, &dir, name);
                        }
                    }
                    [b's', b'o', b'c', b'k', b'e', b't', b':', ..] => {
                        let target = target.to_vec();
                        self.socket(pid, fd, target, &mut pidfd);
                    }
                    target => self.namespace_file(pid, fd, target),
                }
            }
            if length == 0 || length + 512 < listing.len() {
                break;
            }
        }
        self.entries = listing;
    }

    /// Must a descriptor with this path be examined? The link of a namespace descriptor that was opened at a mount
    /// point is that path, or `/` after an unmount. Within a mount namespace one path is one file, so each path is
    /// examined once.
    fn must_examine(&mut self, mnt: u64, path: &[u8]) -> bool {
        if path == b"/" {
            return true;
        }
        let repeated = self.last_path.0 == mnt && self.last_path.1 == path; // stdin, stdout and stderr
        if !repeated {
            self.last_path.0 = mnt;
            self.last_path.1.clear();
            self.last_path.1.extend_from_slice(path);
        }
        !repeated && self.seen_paths.insert(self.hashes.hash_one((mnt, path)))
    }

    fn mount_namespace(&self, pid: Pid) -> u64 {
        let mut buffer = [0; 64];
        let ns = self.open(pid, "ns", OFlag::O_PATH);
        let link = ns.ok().and_then(|ns| parse_link(sys::read_link_at(&ns, c"mnt", &mut buffer).ok()?));
        link.unwrap_or(0)
    }

    fn maybe_namespace(&mut self, pid: Pid, fd: i32, dir: &OwnedFd, name: &CStr) {
        let Ok((device, _)) = sys::file_id(dir, name) else { return };
        if Some(device) != self.nsfs {
            return;
        }
        // The descriptor may refer to another file by now.
        let Some((opened, inode)) = ns::open_if_namespace(dir, name) else { return };
        let kind = ns::kind_of(&opened).filter(|kind| self.wanted.kinds.contains(kind));
        if let Some(kind) = kind {
            let at = self.found.entry(kind, inode);
            self.found.namespaces[at].holder.get_or_insert(Holder::Descriptor { pid, fd });
        }
    }

    fn namespace_file(&mut self, pid: Pid, fd: i32, target: &[u8]) {
        if let Some((kind, inode)) = self.link(target) {
            let at = self.found.entry(kind, inode);
            self.found.namespaces[at].holder.get_or_insert(Holder::Descriptor { pid, fd });
        }
    }

    /// Each socket is examined once, even if several processes have it.
    fn socket(&mut self, pid: Pid, fd: i32, target: Vec<u8>, pidfd: &mut Option<OwnedFd>) {
        if !self.wanted.kinds.contains(&Kind::Net) || !self.seen_sockets.insert(target) {
            return;
        }
        if pidfd.is_none() {
            *pidfd = ns::pidfd(self.proc, pid);
        }
        let Some(holder) = pidfd else { return };
        let Ok(namespace) = ns::net_ns_of_socket(holder, fd) else { return };
        let Ok(stat) = nix::sys::stat::fstat(&namespace) else { return };
        let at = self.found.entry(Kind::Net, stat.st_ino);
        self.found.namespaces[at].holder.get_or_insert(Holder::Socket { pid, fd, namespace });
    }

    /// Parses `net:[4026531840]`, if the kind is wanted.
    fn link(&self, text: &[u8]) -> Option<(Kind, u64)> {
        self.names.iter().find_map(|(kind, name)| {
            let rest = text.strip_prefix(name.to_bytes())?.strip_prefix(b":")?;
            Some((*kind, parse_link(rest)?))
        })
    }
}

/// Adds the nsfs lines of mountinfo. Their root field names the namespace.
fn mounts(text: &[u8], wanted: &Wanted, found: &mut Found) {
    for mount in mountinfo::mounts_of(text, "nsfs") {
        let kind = wanted.kinds.iter().find(|kind| {
            mount.root.strip_prefix(kind.proc_name().as_bytes()).is_some_and(|rest| rest.starts_with(b":["))
        });
        if let (Some(kind), Some(inode)) = (kind, parse_link(mount.root)) {
            let at = found.entry(*kind, inode);
            let target = mountinfo::unescape(mount.point);
            let mounts = &mut found.namespaces[at].mounts;
            if !mounts.contains(&target) {
                mounts.push(target);
            }
        }
    }
}

impl Namespace {
    /// Opens the namespace through anything that keeps it alive. None if nothing does by now, or if the caller may not
    /// see it. An error is one of the host.
    pub(super) fn open(&self, proc: &ProcRoot) -> nix::Result<Option<OwnedFd>> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let member = self.members.first().map(|pid| proc.path_of(*pid, &self.kind.link()));
        let member = member.map(|path| openat(AT_FDCWD, &path, flags, Mode::empty()));
        if let Some(opened) = unless_broken(member.unwrap_or(Err(Errno::ESRCH)))? {
            return Ok(Some(opened));
        }
        if let Some(opened) = self.mounts.iter().find_map(|path| open_nsfs(path)) {
            return Ok(Some(opened));
        }
        match &self.holder {
            Some(Holder::Descriptor { pid, fd }) => Ok(open_nsfs(&proc.path_of(*pid, &format!("fd/{fd}")))),
            Some(Holder::Socket { namespace, .. }) => unless_broken(dup(namespace)),
            None => self.implicit.as_ref().map_or(Ok(None), |fd| unless_broken(dup(fd))),
        }
    }
}

/// A copy of the descriptor.
fn dup(fd: &OwnedFd) -> nix::Result<OwnedFd> {
    fd.try_clone().map_err(|error| error.raw_os_error().map_or(Errno::EMFILE, Errno::from_raw))
}

/// None on an error that means that the process has ended, or belongs to another user.
pub(super) fn unless_broken<T>(read: nix::Result<T>) -> nix::Result<Option<T>> {
    match read {
        Err(errno) if broken(errno) => Err(errno),
        read => Ok(read.ok()),
    }
}

fn open_nsfs(path: &Path) -> Option<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    ns::open_if_namespace(AT_FDCWD, &path).map(|(opened, _)| opened)
}
