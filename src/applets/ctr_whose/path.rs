//! Paths.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::answer::{By, Entry, Host};
use super::files::of_files;
use super::finder::Finder;
use super::thing::{Kind, decimal};
use super::{cgroup, device, namespace, process, socket};

/// The most symbolic links on the way to a file.
const MOST_LINKS: usize = 40;

pub(super) fn path(finder: &Finder<'_>, bytes: &[u8]) -> Entry {
    let real = resolve(finder, Path::new(OsStr::from_bytes(bytes)));
    let mut entry = of_special(finder, &real).unwrap_or_else(|| Entry::new(Kind::Path));
    if entry.is_empty() {
        entry.answers = of_files(finder, &real);
    }
    if entry.is_empty() && is_volume(&real) {
        entry.answers = of_files(finder, &real.join("_data"));
    }
    // What only a user says does not hide what the host has.
    if entry.host.is_none() && entry.answers.iter().all(|one| one.by == By::Claim) {
        let there = finder.root.join(real.strip_prefix("/").unwrap_or(&real));
        if !finder.files.may_hang(&real.to_string_lossy()) && there.symlink_metadata().is_ok() {
            entry.host = Some(Host::new("file of the host"));
        }
    }
    entry
}

/// docker and podman keep a volume in `volumes/NAME/_data`, and containers have only `_data`.
pub(super) fn is_volume(path: &Path) -> bool {
    path.parent().is_some_and(|parent| parent.ends_with("volumes"))
}

/// Follows symbolic links, but none that a container can make. Links lead nowhere outside of the root directory.
fn resolve(finder: &Finder<'_>, path: &Path) -> PathBuf {
    let mut left: Vec<PathBuf> = parts(path);
    left.reverse();
    let (mut real, mut links, mut follows) = (PathBuf::from("/"), 0, true);
    while let Some(part) = left.pop() {
        if part.as_os_str() == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        let there = finder.root.join(next.strip_prefix("/").unwrap_or(&next));
        follows = follows && links < MOST_LINKS && !finder.files.may_hang(&next.to_string_lossy());
        let target = if follows { std::fs::read_link(there).ok() } else { None };
        match target {
            Some(_) if is_in_container(finder, &real) => {
                follows = false;
                real = next;
            }
            // Links of proc lead to what has no path.
            Some(_) if next.starts_with("/proc") => real = next,
            Some(target) => {
                links += 1;
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                left.extend(parts(&target).into_iter().rev());
            }
            None => real = next,
        }
    }
    real
}

fn parts(path: &Path) -> Vec<PathBuf> {
    let keep = |part: Component<'_>| match part {
        Component::Normal(_) | Component::ParentDir => Some(PathBuf::from(part.as_os_str())),
        _ => None,
    };
    path.components().filter_map(keep).collect()
}

fn is_in_container(finder: &Finder<'_>, path: &Path) -> bool {
    path.components().count() > 1 && !of_files(finder, path).is_empty()
}

/// Paths that stand for something else: a process, a namespace, a control group, a socket, a device.
fn of_special(finder: &Finder<'_>, path: &Path) -> Option<Entry> {
    if let Ok(below) = path.strip_prefix("/proc") {
        let pid = decimal(below.components().next()?.as_os_str().to_str()?)?;
        let pid = i32::try_from(pid).ok()?;
        let is_ns = below.components().nth(1).is_some_and(|part| part.as_os_str() == "ns");
        let link = std::fs::read_link(finder.world.proc.path().join(below)).ok().filter(|_| is_ns);
        let inode = link.and_then(|link| crate::proc::ns::parse_link(link.as_os_str().as_bytes()));
        let mut entry = match inode {
            Some(inode) => namespace::namespace(finder, None, inode),
            None => process::pid(finder, pid),
        };
        entry.kind = Kind::Path;
        return Some(entry);
    }
    if let Some(group) = cgroup::below_mount(finder, path) {
        return Some(Entry { kind: Kind::Path, ..cgroup::cgroup(finder, &group) });
    }
    let name = path.to_str()?;
    if name.contains("/netns/") {
        let inode = finder.files.inode(name)?;
        let space = finder.spaces().all.iter().find(|space| space.place.inode == inode)?;
        return Some(Entry { kind: Kind::Path, ..namespace::namespace(finder, None, space.place.inode) });
    }
    if name.starts_with("/dev/") {
        return device::by_path(finder, path).map(|entry| Entry { kind: Kind::Path, ..entry });
    }
    socket::by_path(finder, path).map(|entry| Entry { kind: Kind::Path, ..entry })
}
