//! Deleted files that processes still hold open.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Pid;
use serde::Serialize;

use crate::access;
use crate::applets::ctr_inspect::descriptors::Descriptors;
use crate::applets::ctr_inspect::unknown::Unknowns;
use crate::container::world::{Subject, World};
use crate::proc::mountinfo::{Mount, mounts};

#[derive(Serialize, Debug)]
pub(in crate::applets::ctr_inspect) struct Deleted {
    pub pid: i32,
    pub fd: i32,
    pub path: String,
    pub size: u64,
    /// What it takes on the disk.
    pub bytes: u64,
    #[serde(skip)]
    pub device: (u64, u64),
}

/// A descriptor whose link ends as that of a deleted file.
struct Candidate {
    pid: i32,
    fd: i32,
    path: String,
}

/// Files in memory take no room on a disk. A file that several descriptors hold counts once. A name can end in
/// ` (deleted)` by itself: the number of links decides.
pub(super) fn read(world: &World<'_>, subject: Subject, unknown: &Unknowns) -> Option<Vec<Deleted>> {
    if !unknown.is_live("files.deleted") {
        return None;
    }
    let (candidates, links) = candidates(world, subject, unknown)?;
    let extents = match access::extents(world.proc, Pid::from_raw(world.chief(subject)), &links) {
        Ok(extents) => extents,
        Err(errno) => {
            let why = match errno {
                Errno::ETIMEDOUT => "the file system of one does not answer in time",
                other => other.desc(),
            };
            unknown.add("files.deleted", why);
            return None;
        }
    };
    let (in_memory, mut seen) = (memory_devices(world, subject.pid), BTreeSet::new());
    let taken = |(one, extent): (Candidate, Option<crate::sys::Extent>)| {
        let extent = extent.filter(|extent| extent.links == 0 && extent.is_regular)?;
        let is_new = !in_memory.contains(&extent.device) && seen.insert((extent.device, extent.inode));
        let Candidate { pid, fd, path } = one;
        let device = (extent.device.0.into(), extent.device.1.into());
        is_new.then_some(Deleted { pid, fd, path, size: extent.size, bytes: extent.allocated, device })
    };
    Some(candidates.into_iter().zip(extents).filter_map(taken).collect())
}

/// With the links of their descriptors.
fn candidates(
    world: &World<'_>,
    subject: Subject,
    unknown: &Unknowns,
) -> Option<(Vec<Candidate>, Vec<PathBuf>)> {
    let members: Vec<i32> = match subject.container {
        Some(number) => world.members(number).map(|process| process.pid).collect(),
        None => vec![subject.pid],
    };
    let (mut found, mut links, mut descriptors) = (Vec::new(), Vec::new(), Descriptors::default());
    for pid in members {
        let directory = world.proc.path_of(Pid::from_raw(pid), "fd");
        let entries = match descriptors.list(world.proc, &directory) {
            Ok(Some(entries)) => entries,
            Ok(None) => {
                unknown.add("files.deleted", "too many open files: the rest is not looked at");
                break;
            }
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                unknown.refused("files.deleted", "list open files");
                return None;
            }
            Err(_) => continue,
        };
        for entry in entries {
            let link = directory.join(&entry.name);
            let Some(path) = world.proc.link(&link).ok().as_deref().and_then(deleted_path) else {
                continue;
            };
            let fd = entry.name.to_str().and_then(|name| name.parse().ok()).unwrap_or(-1);
            found.push(Candidate { pid, fd, path });
            links.push(link);
        }
    }
    Some((found, links))
}

fn deleted_path(target: &Path) -> Option<String> {
    let target = target.as_os_str().as_encoded_bytes();
    let path = target.strip_suffix(b" (deleted)").filter(|path| path.starts_with(b"/"))?;
    let in_memory = [&b"/memfd:"[..], b"/SYSV", b"/dev/shm/"].iter().any(|start| path.starts_with(start));
    (!in_memory).then(|| crate::text::utf8(path).into_owned())
}

fn memory_devices(world: &World<'_>, pid: i32) -> BTreeSet<(u32, u32)> {
    let text = world.proc.process(Pid::from_raw(pid)).mountinfo().unwrap_or_default();
    let device = |mount: Mount<'_>| {
        let (major, minor) = std::str::from_utf8(mount.device).ok()?.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let in_memory =
        |mount: &Mount<'_>| matches!(mount.kind, b"tmpfs" | b"ramfs" | b"hugetlbfs" | b"devtmpfs");
    mounts(&text).filter(in_memory).filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_deleted_files_on_disks() {
        let path = |target: &str| deleted_path(Path::new(target));
        assert_eq!(path("/tmp/x (deleted)").as_deref(), Some("/tmp/x"));
        for other in ["/tmp/x", "pipe:[7] (deleted)", "/memfd:x (deleted)", "/dev/shm/x (deleted)"] {
            assert_eq!(path(other), None, "{other}");
        }
    }
}
