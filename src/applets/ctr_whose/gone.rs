//! Files that are deleted and that a process still has open. They take room on a disk, and no path leads to them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::answer::{Entry, Role};
use super::files::place;
use super::finder::{FILES_OF_OTHERS, Finder};
use super::thing::{DELETED as MARK, Kind};
use crate::access;
use crate::exit;
use crate::proc::{ProcRoot, Scan, links_of};

/// Descriptors that are looked at, of one process.
const MOST_DESCRIPTORS: usize = 10_000;
/// The most descriptors that are kept.
const MOST: usize = 1_000;

/// A descriptor whose file had this path, as the process sees it or as the host does.
pub(super) struct Held {
    pub pid: i32,
    link: PathBuf,
}

/// Those of these processes that can have the file open. A name can end in the mark by itself.
pub(super) fn held(
    (proc, scan): (&ProcRoot, &Scan),
    host_mounts: &[u8],
    pids: impl Iterator<Item = i32>,
    path: &Path,
) -> Vec<Held> {
    let Some(name) = path.file_name() else { return Vec::new() };
    let end = [b"/", name.as_bytes(), MARK].concat();
    let on_host = place(host_mounts, path);
    let mut found = Vec::new();
    for pid in pids {
        let (directory, mut mounts) = (proc.path_of(Pid::from_raw(pid), "fd"), None);
        _ = links_of(scan, pid, MOST_DESCRIPTORS, |descriptor, target| {
            let Some(seen) = target.strip_suffix(MARK).filter(|_| target.ends_with(&end)) else { return };
            let seen = Path::new(OsStr::from_bytes(seen));
            let mounts: &Vec<u8> = mounts
                .get_or_insert_with(|| proc.process(Pid::from_raw(pid)).mountinfo().unwrap_or_default());
            // chroot(2) alone leaves the path of the mount namespace.
            let root = || proc.link(&proc.path_of(Pid::from_raw(pid), "root")).ok();
            let is_inside = |below: &Path| root().is_some_and(|root| root.join(below) == seen);
            let is_same = seen == path
                || on_host.is_some() && place(mounts, seen) == on_host
                || path.strip_prefix("/").is_ok_and(is_inside);
            if is_same && found.len() < MOST {
                found.push(Held { pid, link: directory.join(OsStr::from_bytes(descriptor.to_bytes())) });
            }
        });
    }
    found
}

/// Who has a file open that had this path.
pub(super) fn holders(finder: &Finder<'_>, path: &Path) -> Entry {
    let mut entry = Entry::new(Kind::Path);
    let pids = finder.world.processes.iter().map(|process| process.pid);
    let held = held((finder.world.proc, &finder.world.links), finder.host_mounts(), pids, path);
    if exit::sees_less_than_root() {
        finder.note(FILES_OF_OTHERS.to_owned());
    }
    let Some(first) = held.first() else { return entry };
    let links: Vec<PathBuf> = held.iter().map(|one| one.link.clone()).collect();
    let extents = access::extents(finder.world.proc, Pid::from_raw(first.pid), &links);
    let extents = finder.known("deleted files", extents).unwrap_or_default();
    let mut seen = Vec::new();
    for (one, extent) in held.iter().zip(extents) {
        if extent.is_none_or(|extent| extent.links != 0) || seen.contains(&one.pid) {
            continue;
        }
        seen.push(one.pid);
        let detail = |who: String| format!("{who} has it open, deleted");
        match finder.by_process(one.pid, Role::Holder, detail(finder.named_process(one.pid))) {
            Ok(answer) => entry.answers.push(answer),
            Err(mut host) => {
                host.text = detail(host.text);
                entry.host = entry.host.or(Some(host));
            }
        }
    }
    entry
}
