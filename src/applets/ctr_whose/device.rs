//! Block devices and the numbers of file systems.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::answer::{Entry, Host, Role};
use super::files::{of_files, root_of, shown, with_device};
use super::finder::Finder;
use super::root::Root;
use super::thing::{Device, Kind};
use crate::proc::mountinfo::{mounts_on, unescape};

pub(super) fn device(finder: &Finder<'_>, device: &Device) -> Entry {
    match device {
        Device::Number(major, minor) => of_number(finder, *major, *minor),
        Device::Name(name) => match number_of(finder.root, name) {
            Some((major, minor)) => of_number(finder, major, minor),
            None => Entry::new(Kind::Device),
        },
    }
}

/// None if the path is not that of a block device.
pub(super) fn by_path(finder: &Finder<'_>, path: &Path) -> Option<Entry> {
    let meta = finder.root.metadata(path).ok()?;
    let number = meta.rdev();
    meta.file_type().is_block_device().then(|| of_number(finder, major(number), minor(number)))
}

fn major(number: u64) -> u32 {
    libc::major(number)
}

fn minor(number: u64) -> u32 {
    libc::minor(number)
}

fn sys(root: &Root, path: &str) -> Option<String> {
    let text = root.text(&Path::new("/sys").join(path))?;
    Some(text.trim_end_matches('\n').to_owned())
}

/// The file of a loop device.
pub(super) fn backing_file(root: &Root, number: &str) -> Option<String> {
    sys(root, &format!("dev/block/{number}/loop/backing_file"))
}

/// The number of a block device with this name.
pub(super) fn number_of(root: &Root, name: &str) -> Option<(u32, u32)> {
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    let text = sys(root, &format!("class/block/{name}/dev"))?;
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Where the host has mounted the whole file system.
pub(super) fn point_of(host_mounts: &[u8], device: &[u8]) -> Option<PathBuf> {
    let whole = mounts_on(host_mounts, device).find(|mount| mount.root == b"/");
    whole.map(|mount| unescape(mount.point))
}

/// Is it the root file system of a container, and not that of the host?
fn has_own_root(finder: &Finder<'_>, number: &str, entry: &Entry) -> bool {
    let is_hosts = root_of(finder.host_mounts()) == Some(number.as_bytes());
    !is_hosts && entry.answers.iter().any(|one| one.role == Role::Merged)
}

fn of_number(finder: &Finder<'_>, major: u32, minor: u32) -> Entry {
    let mut entry = Entry::new(Kind::Device);
    let number = format!("{major}:{minor}");
    let is_hosts = mounts_on(finder.host_mounts(), number.as_bytes()).next();
    // Everything that is mounted of the file system, whatever part of it. Who sees it where the host has it has the
    // host's mounts.
    let on_host = point_of(finder.host_mounts(), number.as_bytes());
    entry.answers = with_device(finder, number.as_bytes(), on_host.as_deref());
    if let Some(file) = backing_file(finder.root, &number) {
        let of_file = of_files(finder, Path::new(&file));
        let is_new = |one: &super::answer::Answer, all: &[super::answer::Answer]| {
            let key = finder.named(&one.owner).key;
            all.iter().all(|known| finder.named(&known.owner).key != key)
        };
        for mut one in of_file {
            if is_new(&one, &entry.answers) {
                one.role = Role::Holder;
                one.detail = format!("its file {file}: {}", one.detail);
                entry.answers.push(one);
            }
        }
        entry.host = Some(Host::new(format!("loop device of the file {file}")));
    } else if has_own_root(finder, &number, &entry) {
        // The engine has mounted it too: for the container.
    } else if let Some(mount) = is_hosts {
        let point = shown(&unescape(mount.point));
        entry.host = Some(Host::new(format!("file system of the host, mounted at {point}")));
    } else if sys(finder.root, &format!("dev/block/{number}/size")).is_some() {
        entry.host = Some(Host::new("block device of the host"));
    }
    entry
}
