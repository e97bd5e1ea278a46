//! Paths.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::answer::{By, Entry, Host};
use super::files::{may_be_group, of_files};
use super::finder::Finder;
use super::resolve::resolve;
use super::thing::{Kind, decimal, is_phrase};
use super::{cgroup, device, gone, namespace, process, socket};

pub(super) fn path(finder: &Finder<'_>, bytes: &[u8]) -> Entry {
    let real = resolve(finder, Path::new(OsStr::from_bytes(bytes)));
    let special = of_special(finder, &real);
    let is_special = special.is_some();
    let mut entry = special.unwrap_or_else(|| Entry::new(Kind::Path));
    let is_phrase = real.to_str().is_some_and(is_phrase) && finder.is_missing(&real);
    if entry.is_empty() && !is_special && !is_phrase {
        entry.answers = of_files(finder, &real);
    }
    if entry.is_empty() && is_volume(&real) {
        entry.answers = of_files(finder, &real.join("_data"));
    }
    match is_there(finder, &real) {
        // What only a user says does not hide what the host has.
        Some(true) if entry.host.is_none() && entry.answers.iter().all(|one| one.by == By::Claim) => {
            let kind = if finder.root.has_directory(&real) { "directory" } else { "file" };
            entry.host = Some(Host::new(format!("{kind} of the host")));
        }
        Some(false) if !is_special => add_gone(finder, &real, &mut entry),
        _ => {}
    }
    entry
}

/// None if the file system may not answer.
fn is_there(finder: &Finder<'_>, path: &Path) -> Option<bool> {
    let may_hang = finder.files.may_hang(&path.to_string_lossy());
    (!may_hang).then(|| finder.root.metadata(path).is_ok())
}

/// Who has a file open that is not there any more, or a socket that has no file on the host.
fn add_gone(finder: &Finder<'_>, path: &Path, entry: &mut Entry) {
    if !may_be_group(finder.root, path.as_os_str().as_bytes()) {
        let gone = gone::holders(finder, path);
        entry.answers.splice(..0, gone.answers);
        entry.host = entry.host.take().or(gone.host);
    }
    if entry.is_empty() && is_named_as_socket(path) {
        *entry = Entry { kind: Kind::Path, ..socket::by_name(finder, path.as_os_str().as_bytes()) };
    }
}

/// To ask all network namespaces is worth it for such a name.
pub(super) fn is_named_as_socket(path: &Path) -> bool {
    path.file_name().is_some_and(|name| memchr::memmem::find(name.as_bytes(), b"sock").is_some())
}

/// docker and podman keep a volume in `volumes/NAME/_data`, and containers have only `_data`.
pub(super) fn is_volume(path: &Path) -> bool {
    path.parent().is_some_and(|parent| parent.ends_with("volumes"))
}

/// Paths that stand for something else: a process, a namespace, a control group, a socket, a device.
fn of_special(finder: &Finder<'_>, path: &Path) -> Option<Entry> {
    if let Ok(below) = path.strip_prefix("/proc") {
        let pid = decimal(below.components().next()?.as_os_str().to_str()?)?;
        let pid = i32::try_from(pid).ok()?;
        let is_ns = below.components().nth(1).is_some_and(|part| part.as_os_str() == "ns");
        // Other links of a process lead to what it has chosen.
        let link = || finder.world.proc.link(&finder.world.proc.of_host(below)).ok();
        let link = if is_ns { link() } else { None };
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
