//! Which processes matter for a path, a socket or a device.

use std::ffi::OsStr;
use std::fs::FileType;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path};

use nix::unistd::Pid;

use super::super::files::{
    has_hosts_root, is_unlisted, may_be_group, overlays_with, own_layer_with, part_in, place, root_of,
    target_in,
};
use super::super::finder::host_mounts;
use super::super::path::{is_named_as_socket, is_volume};
use super::super::{device, gone, socket};
use super::Focus;
use crate::net::{self, Netlink, Protocol, UnixSocket};
use crate::proc::ns::Kind as Namespace;
use crate::sys::keyed::HashMap;

/// The mount of a root directory, or the mount namespace, and that directory.
type View = (Option<u64>, (u32, u32), u64);

impl Focus<'_> {
    /// Does the path consist of directories, and end in one, in a file or in a socket? No symbolic link is part of it.
    fn is_plain(&self, path: &Path) -> bool {
        let is_socket = |part: &Path, kind: FileType| part == path && kind.is_socket();
        let is_plain = |part: &Path| {
            let may_hang = self.files.may_hang(&part.to_string_lossy());
            !may_hang
                && match part.symlink_metadata().map(|meta| meta.file_type()) {
                    Ok(kind) => kind.is_dir() || kind.is_file() || is_socket(part, kind),
                    Err(error) => error.kind() == ErrorKind::NotFound,
                }
        };
        let has_dots = path.components().any(|part| matches!(part, Component::ParentDir));
        !has_dots && path.ancestors().all(is_plain)
    }

    /// Those who see a path of the host. None if a link is on the way, or if it is no path of a file.
    pub(super) fn seeing(&mut self, path: &Path) -> Option<Vec<i32>> {
        let is_special = ["/proc", "/sys", "/dev", "/run/netns", "/var/log/pods", "/var/lib/kubelet"];
        let is_special = is_special.iter().any(|special| path.starts_with(special));
        if self.is_foreign() || is_special || is_volume(path) {
            return None;
        }
        if !self.is_plain(path) {
            return None;
        }
        let of_socket = socket::file(self.files, self.root, path).map(|wanted| self.holding(&wanted));
        let mut found = of_socket.unwrap_or_else(|| Some(Vec::new()))?;
        let mounts = host_mounts(self.proc);
        found.extend(self.having(&mounts, path)?);
        if path.symlink_metadata().is_err() {
            if !may_be_group(self.root, path.as_os_str().as_bytes()) {
                found.extend(self.holding_gone(&mounts, path));
            }
            if found.is_empty() && is_named_as_socket(path) {
                found = self.holding(&UnixSocket::Name(path.as_os_str().as_bytes().to_vec()))?;
            }
        }
        Some(found)
    }

    /// Those who have a path of the host in their mounts or in a layer.
    fn having(&self, mounts: &[u8], path: &Path) -> Option<Vec<i32>> {
        let overlays = overlays_with(self.root, mounts, path);
        let (device, within) = place(mounts, path)?;
        let mountinfo = |pid| self.proc.process(pid).mountinfo().unwrap_or_default();
        Some(match overlays.is_empty() {
            true if may_be_group(self.root, path.as_os_str().as_bytes()) => Vec::new(),
            // Nobody sees what the host has not: what it is missing can be in a layer only.
            true if !self.root.is_missing(path) => self.with_view(|pid, _| {
                let text = mountinfo(pid);
                let on_host = Some(path).filter(|_| has_hosts_root(&text, mounts));
                target_in(&text, device, &within, on_host).is_some()
                    || own_layer_with(self.root, &text, path).is_some()
            }),
            _ => self.with_view(|pid, device| {
                let is_own = || own_layer_with(self.root, &mountinfo(pid), path).is_some();
                overlays.contains_key(device) || is_unlisted(mounts, device) && is_own()
            }),
        })
    }

    /// Who has a deleted file open.
    pub(super) fn holding_gone(&self, mounts: &[u8], path: &Path) -> Vec<i32> {
        let pids = self.pids.iter().map(|pid| pid.as_raw());
        gone::held((self.proc, &self.scan), mounts, pids, path).into_iter().map(|one| one.pid).collect()
    }

    /// The processes for whose mounts this holds, with the device of their root directory. Mounts are read once for all who have
    /// the same root directory in the same mount namespace.
    fn with_view(&self, mut holds: impl FnMut(Pid, &[u8]) -> bool) -> Vec<i32> {
        let mut known: HashMap<View, bool> = HashMap::default();
        let mut has = |pid: &&Pid| {
            let Ok(root) = self.scan.root(**pid) else { return false };
            let space = || self.link(**pid, Namespace::Mnt);
            let (major, minor) = root.device;
            let view = (root.mount.map_or_else(space, Some), root.device, root.inode);
            let device = || format!("{major}:{minor}").into_bytes();
            *known.entry(view).or_insert_with(|| holds(**pid, &device()))
        };
        self.pids.iter().filter(|pid| has(pid)).map(|pid| pid.as_raw()).collect()
    }

    /// Who holds the socket of a file; of a file that is not there the sockets with that name.
    pub(super) fn with_socket(&mut self, name: &[u8]) -> Option<Vec<i32>> {
        let path = Path::new(OsStr::from_bytes(name));
        if !path.is_absolute() || self.is_foreign() || !self.is_plain(path) {
            return None;
        }
        let Some(file) = socket::file(self.files, self.root, path) else {
            return self.holding(&UnixSocket::Name(name.to_vec()));
        };
        let (mut found, mounts) = (self.holding(&file)?, host_mounts(self.proc));
        if found.is_empty() {
            for one in socket::on_overlays(self.root, &mounts, path, &file) {
                found.extend(self.holding(&one)?);
            }
        }
        found.extend(self.having(&mounts, path)?);
        Some(found)
    }

    /// Who holds a unix socket. A file is that of one, and many can have one name.
    pub(super) fn holding(&mut self, wanted: &UnixSocket) -> Option<Vec<i32>> {
        if !self.is_on_host() {
            return None;
        }
        let own = net::unix_sockets(&Netlink::open(Protocol::SocketDiagnosis).ok()?, wanted).ok()?;
        let mut found = self.holders(&own.iter().copied().collect());
        if own.is_empty() || matches!(wanted, UnixSocket::Name(_)) {
            let places = self.places();
            let elsewhere = net::search_unix(&places, wanted).ok()?;
            let inodes = elsewhere.iter().map(|(_, inode)| *inode).collect();
            let members = self.in_spaces(&places, elsewhere);
            let holders = self.holders_among(members.iter().copied(), &inodes);
            // Perhaps it was handed to a process outside.
            found.extend(if holders.is_empty() && !inodes.is_empty() {
                self.holders(&inodes)
            } else {
                holders
            });
        }
        Some(found)
    }

    /// Who has mounted the file system with this number, or a part of it.
    pub(super) fn with_device(&self, major: u32, minor: u32) -> Option<Vec<i32>> {
        let number = format!("{major}:{minor}");
        if self.is_foreign() || device::backing_file(self.root, &number).is_some() {
            return None;
        }
        let (mounts, device) = (host_mounts(self.proc), number.as_bytes());
        let (on_host, host_root) = (device::point_of(&mounts, device), root_of(&mounts));
        Some(self.with_view(|pid, _| {
            let text = self.proc.process(pid).mountinfo().unwrap_or_default();
            let on_host = on_host.as_deref().filter(|_| has_hosts_root(&text, &mounts));
            target_in(&text, device, Path::new("/"), on_host).is_some()
                || part_in(&text, device, host_root).is_some()
        }))
    }
}
