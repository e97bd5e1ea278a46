//! The groups of all hierarchies, by their directories. A host has fewer groups than processes, mostly, and each process
//! would tell its groups anew.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::Pid;

use super::hierarchy::{Hierarchies, Membership, parse};
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use crate::sys::{self, directory};

pub(crate) struct Listing {
    /// The root directories of the hierarchies.
    roots: Vec<OwnedFd>,
    groups: Vec<Listed>,
}

/// A group that is not the root of its hierarchy.
pub(crate) struct Listed {
    hierarchy: usize,
    /// As in `/proc/PID/cgroup`, if no cgroup namespace hides a part of it.
    pub path: Vec<u8>,
    /// Its number in the unified hierarchy.
    pub number: Option<u64>,
}

impl Listing {
    /// The number of the root of each hierarchy.
    pub(crate) const ROOT: u64 = 1;

    /// What a group costs if its processes can be asked for its number, and if they are read from the group.
    const WITH_NUMBER: usize = 1;
    const WITHOUT_NUMBER: usize = 3;

    /// None if not all groups of all hierarchies can be listed, or if that costs more than to read the groups of so many
    /// processes.
    pub(crate) fn read(proc: &ProcRoot, processes: usize) -> Option<Listing> {
        let is_initial = proc.process(Pid::this()).ns(Kind::Cgroup) == Kind::Cgroup.first_inode();
        if proc.path() != Path::new("/proc") || !is_initial {
            return None;
        }
        let (own, mounted) = (proc.read_own("cgroup").ok()?, Hierarchies::read(proc).ok()?);
        let (mut devices, mut room) = (Vec::new(), processes.saturating_mul(Self::WITHOUT_NUMBER));
        let mut listing = Listing { roots: Vec::new(), groups: Vec::new() };
        for line in parse(&own) {
            let (hierarchy, _) = mounted.place(Membership { path: b"/", ..line })?;
            let (root, device) = open_root(&hierarchy.mount_point)?;
            // What is mounted there later hides it.
            if devices.contains(&device) {
                return None;
            }
            devices.push(device);
            listing.roots.push(root);
            listing.add_below(&mut room, hierarchy.controllers.is_empty())?;
        }
        (!listing.roots.is_empty()).then_some(listing)
    }

    /// The groups of the last hierarchy. None if there is no room for them.
    fn add_below(&mut self, room: &mut usize, is_unified: bool) -> Option<()> {
        let hierarchy = self.roots.len() - 1;
        let cost = if is_unified { Self::WITH_NUMBER } else { Self::WITHOUT_NUMBER };
        let mut has_room = true;
        let mut next = vec![b"/".to_vec()];
        while let Some(above) = next.pop() {
            let opened = match self.open(hierarchy, &above, OFlag::O_DIRECTORY) {
                Ok(opened) => opened,
                Err(Errno::ENOENT) => continue,
                Err(_) => return None,
            };
            let listed = directory::each(&opened, |entry| {
                if entry.is_directory {
                    let left = room.checked_sub(cost);
                    has_room = left.is_some();
                    *room = left.unwrap_or(0);
                    let parent = if above == b"/" { &[][..] } else { &above };
                    let path = [parent, b"/", entry.name.as_bytes()].concat();
                    let stat = fstatat(&opened, entry.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
                    // A directory has a link for each one below it.
                    if stat.is_ok_and(|stat| stat.st_nlink != 2) {
                        next.push(path.clone());
                    }
                    let number = stat.ok().filter(|_| is_unified).map(|stat| stat.st_ino);
                    self.groups.push(Listed { hierarchy, path, number });
                }
                if has_room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            if !has_room || listed.is_err_and(|errno| !is_gone(errno)) {
                return None;
            }
        }
        Some(())
    }

    fn open(&self, hierarchy: usize, path: &[u8], flags: OFlag) -> nix::Result<OwnedFd> {
        let below = path.strip_prefix(b"/").filter(|below| !below.is_empty()).unwrap_or(b".");
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | flags;
        openat(&self.roots[hierarchy], OsStr::from_bytes(below), flags, Mode::empty())
    }

    pub(crate) fn groups(&self) -> &[Listed] {
        &self.groups
    }

    /// The processes in a group, also those of which only another thread is in it. None if they cannot be read.
    pub(crate) fn members(&self, group: &Listed) -> Option<Vec<i32>> {
        let read =
            |file: &[u8]| match self.open(group.hierarchy, &[&group.path, file].concat(), OFlag::empty()) {
                Ok(opened) => numbers(opened),
                Err(errno) => Err(errno),
            };
        let found = match read(b"/cgroup.procs") {
            // Of a threaded group the kernel lists threads only.
            Err(Errno::EOPNOTSUPP) => read(b"/cgroup.threads"),
            found => found,
        };
        match found {
            Err(errno) if is_gone(errno) => Some(Vec::new()),
            found => found.ok(),
        }
    }
}

fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENODEV)
}

/// The root directory of a hierarchy, and its device. None if it is not the whole hierarchy.
fn open_root(path: &Path) -> Option<(OwnedFd, u64)> {
    let root = open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let (stat, kind) = (fstat(&root).ok()?, fstatfs(&root).ok()?.filesystem_type());
    let is_root = stat.st_ino == Listing::ROOT && (kind == CGROUP_SUPER_MAGIC || kind == CGROUP2_SUPER_MAGIC);
    is_root.then_some((root, stat.st_dev))
}

fn numbers(file: OwnedFd) -> nix::Result<Vec<i32>> {
    let (mut file, mut text, mut small) = (File::from(file), Vec::new(), [0; 4096]);
    let failed = |error: std::io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let mut length = small.len();
    // The kernel fills the buffer but for a part of a line. Most groups have few processes.
    while length > small.len() / 2 {
        match file.read(&mut small) {
            Ok(read) => length = read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        }
        text.extend_from_slice(&small[..length]);
    }
    sys::close_later(OwnedFd::from(file));
    let lines = text.split(|&b| b == b'\n').filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok());
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_in_its_groups() {
        let proc = ProcRoot::default();
        let Some(listing) = Listing::read(&proc, 100_000) else { return };
        let own = proc.read_own("cgroup").expect("own groups");
        let this = Pid::this().as_raw();
        for line in parse(&own).filter(|line| line.path != b"/") {
            let same = listing.groups().iter().filter(|group| group.path == line.path);
            let is_in = |group: &Listed| listing.members(group).is_some_and(|all| all.contains(&this));
            assert!(same.into_iter().any(is_in), "{}", String::from_utf8_lossy(line.path));
        }
        let gone = Listed { hierarchy: 0, path: b"/no/such/group".to_vec(), number: None };
        assert_eq!(listing.members(&gone), Some(Vec::new()));
        let is_complete = listing.groups().is_empty() || Listing::read(&proc, 0).is_none();
        assert!(is_complete, "more groups than are listed");
        assert!(Listing::read(&ProcRoot::new("/nonexistent"), 100_000).is_none());
    }
}
