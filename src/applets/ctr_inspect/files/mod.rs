//! What a container sees of file systems: its root, mounts from the host, deleted files that are still open.

mod deleted;
mod devices;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use serde::Serialize;

pub(super) use deleted::Deleted;
pub(super) use devices::Device;

use super::unknown::Unknowns;
use crate::access::{self, Account, memory};
use crate::container::details::USUAL_MOUNTS;
use crate::container::world::{Subject, World};
use crate::order;
use crate::proc::hidden_mounts::HiddenMounts;
use crate::proc::mountinfo::{Mount, mounts, unescape};
use crate::proc::ns::Kind;
pub(super) use crate::proc::overlay::Overlay;
use crate::proc::overlay::overlay;
use crate::proc::{mount_id, number};
use crate::text;

#[derive(Serialize, Debug, Default)]
pub(super) struct Files {
    pub root: Root,
    pub mounts: Option<Vec<Mounted>>,
    /// Deleted files that processes hold open, and that still take room on a disk.
    pub deleted: Option<Vec<Deleted>>,
    pub cwd: Option<String>,
    /// Is the working directory on no mount that the process can see?
    pub cwd_outside: Option<bool>,
    /// Nodes in /dev that most containers do not have.
    pub devices: Option<Vec<Device>>,
    /// Of the root and of mounts from the host that can be written.
    pub space: Option<Vec<Space>>,
}

#[derive(Serialize, Debug)]
pub(super) struct Space {
    pub target: String,
    pub size: u64,
    pub available: u64,
    pub percent: Option<f64>,
    pub inodes_percent: Option<f64>,
    #[serde(skip)]
    pub device: (u64, u64),
}

#[derive(Serialize, Debug, Default)]
pub(super) struct Root {
    pub fstype: Option<String>,
    pub read_only: Option<bool>,
    pub overlay: Option<Overlay>,
    /// Where the host has it.
    pub path: Option<String>,
}

#[derive(Serialize, Debug)]
pub(super) struct Mounted {
    pub target: String,
    /// The path on the host if the mount comes from there, else the source of the mount.
    pub source: String,
    pub fstype: String,
    pub read_only: bool,
    pub from_host: bool,
    /// Mounts below a read-only one that can be written.
    pub writable_below: Vec<String>,
}

impl Mounted {
    /// Do most containers have it?
    pub(super) fn is_usual(&self) -> bool {
        // Who may not make nodes mounts those of the host.
        const NODES: [&str; 6] =
            ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
        let is_node = || self.source == self.target && NODES.contains(&self.target.as_str());
        USUAL_MOUNTS.contains(&self.target.as_str()) || is_node()
    }
}

impl Files {
    pub(super) fn mounts(&self) -> &[Mounted] {
        self.mounts.as_deref().unwrap_or_default()
    }

    /// The mounts that show a part of the host; and how many more are the same as on the host, for a process that has
    /// the host's root.
    pub(super) fn parts_of_host(&self) -> (Vec<&Mounted>, usize) {
        let on_host = self.root.path.as_deref() == Some("/");
        let is_same = |mount: &&Mounted| on_host && mount.source == mount.target;
        let all = self.mounts().iter().filter(|mount| mount.from_host);
        let (same, others): (Vec<&Mounted>, Vec<&Mounted>) = all.partition(is_same);
        (others, same.len())
    }
}

/// The mounts that are looked at: a user can make 100,000. Those that the runtime made come first.
const MOST_MOUNTS: usize = 4_000;
/// The names of mounts below read-only ones that are kept, for all of these together.
const MOST_BELOW: usize = 4_000;

/// Is a path below another one? As text: the parts of a path can be thousands.
#[must_use]
pub(super) fn is_below(path: &str, above: &str) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => rest.starts_with('/') || above == "/" && !rest.is_empty(),
        None => false,
    }
}

/// The mounts of the host, read once.
pub(super) struct HostMounts(Vec<u8>);

impl HostMounts {
    pub(super) fn read(world: &World<'_>) -> HostMounts {
        let first = world.proc.process(Pid::from_raw(1)).mountinfo();
        HostMounts(first.or_else(|_| world.proc.read_own("mountinfo")).unwrap_or_default())
    }

    /// The path on the host of a part of a file system: by the mount that shows the smallest part with it.
    fn path(&self, device: &[u8], root: &Path) -> Option<PathBuf> {
        let mut best: Option<(usize, PathBuf)> = None;
        for mount in mounts(&self.0).filter(|mount| mount.device == device) {
            let shown = unescape(mount.root);
            let Ok(below) = root.strip_prefix(&shown) else { continue };
            let length = shown.as_os_str().len();
            if best.as_ref().is_none_or(|(longest, _)| length > *longest) {
                let point = unescape(mount.point);
                let path = if below.as_os_str().is_empty() { point } else { point.join(below) };
                best = Some((length, path));
            }
        }
        best.map(|(_, path)| path)
    }
}

pub(super) fn read(world: &World<'_>, subject: Subject, host: &HostMounts, unknown: &Unknowns) -> Files {
    let process = world.proc.process(Pid::from_raw(subject.pid));
    let text = unknown.known("files.mounts", process.mountinfo());
    let mounts = text.as_ref().map(|text| all_mounts(text, host, unknown));
    let text = text.unwrap_or_default();
    let root = root(world, subject, host, &text, unknown);
    let (devices, space) = below_root(world, subject, mounts.as_deref().unwrap_or_default(), unknown).unzip();
    Files {
        root,
        mounts,
        devices,
        space,
        deleted: deleted::read(world, subject, unknown),
        cwd: unknown.known("files.cwd", world.proc.link(&process.path("cwd"))).map(|path| shown(&path)),
        cwd_outside: cwd_outside(world, subject, &text, unknown),
    }
}

/// Of a process with the host's root it would be that of the host.
fn below_root(
    world: &World<'_>,
    subject: Subject,
    mounts: &[Mounted],
    unknown: &Unknowns,
) -> Option<(Vec<Device>, Vec<Space>)> {
    /// File systems that are asked for their space.
    const MOST: usize = 100;
    let number = subject.container?;
    if !unknown.is_live("files.devices") {
        return None;
    }
    let owner = world.containers[number].container.owner;
    let has_room = |mount: &&Mounted| mount.from_host && !mount.read_only && !mount.is_usual();
    let targets = mounts.iter().filter(has_room).map(|mount| mount.target.clone());
    let targets: Vec<String> = std::iter::once("/".to_owned()).chain(targets).take(MOST).collect();
    let account = Account::of_owner(owner, subject.pid);
    let root = world.proc.path_of(Pid::from_raw(subject.pid), "root");
    let found = match world.proc.link(&root) {
        Err(error) => Err(error),
        Ok(_) => access::below_root(account, root, targets.clone()).map_err(std::io::Error::from),
    };
    let found = unknown.known("files.devices", found)?;
    let mut seen = BTreeSet::new();
    let of = |(target, space): (String, Option<access::Space>)| {
        let space = space.filter(|space| !space.read_only && space.size > 0)?;
        seen.insert(space.device).then(|| Space {
            target,
            size: space.size,
            available: space.available,
            percent: space.percent(),
            inodes_percent: space.inodes_percent(),
            device: space.device,
        })
    };
    let space = targets.into_iter().zip(found.space).filter_map(of).collect();
    Some((devices::judged(world, subject, found.nodes), space))
}

fn shown(path: &Path) -> String {
    text::utf8(path.as_os_str().as_bytes()).into_owned()
}

fn root(world: &World<'_>, subject: Subject, host: &HostMounts, text: &[u8], unknown: &Unknowns) -> Root {
    let process = world.proc.process(Pid::from_raw(subject.pid));
    // If several mounts are on the root, the last one is visible. After chroot(2) there may be none.
    let Some(mount) = mounts(text).filter(|mount| mount.point == b"/").last() else {
        let path = unknown.known("files.root", world.proc.link(&process.path("root")));
        return Root { path: path.map(|path| shown(&path)), ..Root::default() };
    };
    let is_read_only = mount.is_read_only() || mount.has_option("ro");
    let path = host.path(mount.device, &unescape(mount.root)).map(|path| shown(&path));
    Root {
        fstype: Some(text::utf8(mount.kind).into_owned()),
        read_only: Some(is_read_only),
        overlay: (mount.kind == b"overlay").then(|| {
            let mut found = overlay(mount.options);
            found.claimed = path.is_none() && is_of_user(world, subject);
            found.resolve(world, subject, unknown);
            found
        }),
        path,
    }
}

/// Can a user have made the mounts that the process sees? Root's runtimes mount a root file system on the host first.
fn is_of_user(world: &World<'_>, subject: Subject) -> bool {
    let owner = subject.container.map_or(0, |number| world.containers[number].container.owner);
    let at = Kind::ALL.iter().position(|kind| *kind == Kind::User);
    let of_host = at.and_then(|at| world.proc.host_namespaces()[at]);
    let own = world.proc.process(Pid::from_raw(subject.pid)).ns(Kind::User);
    owner != 0 || own.is_none() || own != of_host
}

impl Overlay {
    /// Docker and containers-storage name layers by short links, `…/overlay2/l/SHORT`. The user who mounts an overlay chooses these
    /// paths: they can lead to a file system of a user.
    fn resolve(&mut self, world: &World<'_>, subject: Subject, unknown: &Unknowns) {
        let is_short =
            |path: &&mut String| Path::new(path).parent().is_some_and(|parent| parent.ends_with("l"));
        let short: Vec<&mut String> = self.lower.iter_mut().filter(is_short).collect();
        if short.is_empty() {
            return;
        }
        let paths: Vec<PathBuf> = short.iter().map(PathBuf::from).collect();
        if !unknown.is_live("files.root.overlay.lower") {
            return;
        }
        match memory::links(world.proc, Pid::from_raw(subject.pid), &paths) {
            Ok(links) => {
                for ((layer, path), link) in short.into_iter().zip(&paths).zip(links) {
                    if let Some(target) = target_of_short(path, &link) {
                        *layer = shown(&target);
                    }
                }
            }
            Err(Errno::ETIMEDOUT) => {
                unknown.add("files.root.overlay.lower", "the file system of a layer does not answer in time");
            }
            Err(errno) => unknown.add("files.root.overlay.lower", crate::errno::strerror(errno as i32)),
        }
    }
}

fn target_of_short(path: &Path, link: &Path) -> Option<PathBuf> {
    Some(path.parent()?.parent()?.join(link.strip_prefix("..").ok()?))
}

/// Those that a path leads to, without the root.
fn all_mounts(text: &[u8], host: &HostMounts, unknown: &Unknowns) -> Vec<Mounted> {
    if mounts(text).nth(MOST_MOUNTS).is_some() {
        unknown.add("files.mounts", format!("too many mounts: the first {MOST_MOUNTS} are looked at"));
    }
    let hidden = HiddenMounts::of(mounts(text).take(MOST_MOUNTS));
    let reached = mounts(text).take(MOST_MOUNTS).filter(|mount| !hidden.has(mount));
    let all: Vec<(String, Mount<'_>)> = reached.map(|mount| (shown(&unescape(mount.point)), mount)).collect();
    let seen: BTreeMap<&str, &Mount<'_>> = all.iter().map(|(point, mount)| (&**point, mount)).collect();
    let last = |(point, mount): &&(String, Mount<'_>)| {
        point != "/" && seen.get(&**point).is_some_and(|last| std::ptr::eq(*last, mount))
    };
    let is_writable =
        |mount: &Mount<'_>| !mount.is_read_only() && !mount.has_option("ro") && mount.kind != b"nsfs";
    // In this order those below a directory are next to each other.
    let mut writable: Vec<&str> =
        all.iter().filter(|(_, mount)| is_writable(mount)).map(|(point, _)| &**point).collect();
    order::sort(&mut writable);
    writable.dedup();
    let mut room = MOST_BELOW;
    let mut found = Vec::new();
    for (point, mount) in all.iter().filter(last) {
        let on_host = on_host(Path::new(point), mount, host);
        let is_read_only = mount.is_read_only();
        let mut writable_below = Vec::new();
        if is_read_only && on_host.is_some() {
            let directory = format!("{point}/");
            let first = writable.partition_point(|other| *other < &*directory);
            let below = writable[first..].iter().take_while(|other| other.starts_with(&directory));
            writable_below.extend(below.take(room.max(1)).map(|other| (*other).to_owned()));
            room = room.saturating_sub(writable_below.len());
        }
        found.push(Mounted {
            target: point.clone(),
            from_host: on_host.is_some(),
            source: on_host.map_or_else(|| text::utf8(mount.source).into_owned(), |path| shown(&path)),
            fstype: text::utf8(mount.kind).into_owned(),
            read_only: is_read_only || mount.has_option("ro"),
            writable_below,
        });
    }
    if room == 0 {
        unknown.add("files.mounts.writable_below", "too many: not all are listed");
    }
    found
}

/// The path on the host of a mount that shows a part of the host. The file systems of the kernel in their usual places
/// do not count, even if namespaces are shared.
fn on_host(point: &Path, mount: &Mount<'_>, host: &HostMounts) -> Option<PathBuf> {
    const KERNELS: [&[u8]; 9] = [
        b"proc",
        b"sysfs",
        b"cgroup",
        b"cgroup2",
        b"mqueue",
        b"devpts",
        b"debugfs",
        b"tracefs",
        b"securityfs",
    ];
    let usual = ["/proc", "/sys", "/dev"].iter().any(|usual| point.starts_with(usual));
    if usual && KERNELS.contains(&mount.kind) {
        return None;
    }
    // Masks: /dev/null of the container over files of the kernel.
    if point.starts_with("/proc") && mount.root.ends_with(b"/null") {
        return None;
    }
    host.path(mount.device, &unescape(mount.root))
}

/// Ids of mounts are unique on the host. The link shows only a path, which can be that of a directory inside too.
fn cwd_outside(world: &World<'_>, subject: Subject, mountinfo: &[u8], unknown: &Unknowns) -> Option<bool> {
    if !unknown.is_live("files.cwd_outside") {
        return None;
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let cwd = world.proc.path_of(Pid::from_raw(subject.pid), "cwd");
    let cwd = unknown.known("files.cwd_outside", open(&cwd, flags, Mode::empty()).map_err(Into::into))?;
    let id = mount_id(&cwd)?;
    if mountinfo.is_empty() {
        return None;
    }
    let has_id = |line: &[u8]| line.split(|&b| b == b' ').next().and_then(number) == Some(id);
    Some(!mountinfo.split(|&b| b == b'\n').any(has_id))
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(data: &[u8]) {
    devices::fuzz(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_host_are_found_by_the_longest_part() {
        let host = HostMounts(
            b"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:1 /data /mnt/data rw - ext4 /dev/sda rw\n\
            3 1 0:9 / /run rw - tmpfs tmpfs rw\n"
                .to_vec(),
        );
        let path = |device: &[u8], root: &str| host.path(device, Path::new(root)).map(|path| shown(&path));
        assert_eq!(path(b"8:1", "/srv/x").as_deref(), Some("/srv/x"));
        assert_eq!(path(b"8:1", "/data/x").as_deref(), Some("/mnt/data/x"));
        assert_eq!(path(b"0:9", "/docker.sock").as_deref(), Some("/run/docker.sock"));
        assert_eq!(path(b"0:77", "/"), None);
        let text = b"10 0 0:50 / / rw - overlay overlay rw,upperdir=/u,workdir=/w,lowerdir=/a\\134:b:/c\n\
            11 10 8:1 / /host ro - ext4 /dev/sda rw\n12 11 0:9 / /host/run rw - tmpfs tmpfs rw\n\
            15 12 0:4 net:[4026532000] /host/run/netns/x rw - nsfs nsfs rw\n\
            13 10 0:60 / /proc rw - proc proc rw\n14 10 8:1 /srv /s rw - ext4 /dev/sda rw\n";
        let all = all_mounts(text, &host, &Unknowns::default());
        let seen: Vec<(&str, &str, bool, bool)> = all
            .iter()
            .map(|one| (one.target.as_str(), one.source.as_str(), one.read_only, one.from_host))
            .collect();
        assert_eq!(
            seen,
            [
                ("/host", "/", true, true),
                ("/host/run", "/run", false, true),
                ("/host/run/netns/x", "nsfs", false, false),
                ("/proc", "proc", false, false),
                ("/s", "/srv", false, true),
            ]
        );
        assert_eq!(all[0].writable_below, ["/host/run"], "nobody can write to a namespace");
    }

    #[test]
    fn what_another_mount_covers_is_not_there() {
        let host = HostMounts(b"1 0 8:1 / / rw - ext4 /dev/sda rw\n".to_vec());
        let text = b"10 0 0:50 / / rw - overlay overlay rw\n11 10 8:1 /etc /h/etc rw - ext4 /dev/sda rw\n\
            12 10 0:60 / /h ro - tmpfs tmpfs rw\n13 10 8:1 /run/a/b /run/host/a/b rw - ext4 /dev/sda rw\n\
            14 10 8:1 /run/a /run/host/a ro - ext4 /dev/sda rw\n";
        let all = all_mounts(text, &host, &Unknowns::default());
        let seen: Vec<&str> = all.iter().map(|one| one.target.as_str()).collect();
        assert_eq!(seen, ["/h", "/run/host/a"]);
        assert!(all[1].writable_below.is_empty());
    }
}
