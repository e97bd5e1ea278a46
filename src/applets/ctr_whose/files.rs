//! Files of containers: layers of root file systems, mounts, state and log files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::answer::{Answer, By, Owner, Role};
use super::finder::{Finder, recorded, status};
use super::root::Root;
use super::thing::is_id;
use crate::container::details::{Details, USUAL_MOUNTS};
use crate::container::pod_uid;
use crate::order;
use crate::proc::ProcRoot;
use crate::proc::hidden_mounts::HiddenMounts;
use crate::proc::mountinfo::{Mount, mounts, mounts_of, mounts_on, unescape};
use crate::proc::ns::Kind as Namespace;
use crate::proc::overlay::overlay;
use crate::text;

/// The mounts of one container that are looked at: a user can make 100,000.
const MOST_MOUNTS: usize = 4_000;

/// The surest first: what a layer or a directory of one container is, then what containers see of the host's files.
pub(super) fn of_files(finder: &Finder<'_>, path: &Path) -> Vec<Answer> {
    let name = path.to_string_lossy();
    let sources: [&dyn Fn() -> Vec<Answer>; 5] = [
        &|| by_layer(finder, &name),
        &|| by_overlay(finder, path),
        &|| by_id(finder, path),
        &|| mounted(finder, path),
        &|| by_pod(finder, &name),
    ];
    sources.into_iter().map(|source| source()).find(|found| !found.is_empty()).unwrap_or_default()
}

fn owner_of(finder: &Finder<'_>, details: &Details) -> Owner {
    match finder.running(details.container.owner, details.container.bare_id()) {
        Some(number) => Owner::Running(number),
        None => recorded(&details.container, status(details)),
    }
}

/// A directory below that of a layer.
fn by_layer(finder: &Finder<'_>, path: &str) -> Vec<Answer> {
    of_layer(finder, path, finder.records().with_layer(path))
}

/// The directory of a layer by its name alone, whatever the store.
pub(super) fn with_layer_called(finder: &Finder<'_>, layer: &str) -> Vec<Answer> {
    let found = of_layer(finder, layer, finder.records().with_layer_called(layer));
    if !found.is_empty() {
        finder.need_all();
    }
    found
}

fn of_layer(finder: &Finder<'_>, path: &str, all: Vec<(Details, bool)>) -> Vec<Answer> {
    let is_shared = all.len() > 1;
    let of = |(details, writes): (Details, bool)| {
        let part = |name: &str| path.split('/').any(|part| part == name);
        let (role, detail) = match writes {
            true if part("merged") => (Role::Merged, "root file system"),
            true if part("work") => (Role::WritableLayer, "work directory of the writable layer"),
            true => (Role::WritableLayer, "writable layer"),
            false if is_shared => (Role::ImageLayer, "image layer, shared"),
            false => (Role::ImageLayer, "image layer"),
        };
        Answer::new(owner_of(finder, &details), role, By::State, detail)
    };
    all.into_iter().map(of).collect()
}

/// The overlays of the host that have the path in a layer, by the numbers of their devices.
pub(super) fn overlays_with(
    root: &Root,
    host_mounts: &[u8],
    path: &Path,
) -> BTreeMap<Vec<u8>, (Role, &'static str)> {
    let all = mounts_of(host_mounts, "overlay");
    let of = |mount: Mount<'_>| Some((mount.device.to_vec(), layer_with(root, mount.options, path)?));
    all.filter_map(of).collect()
}

/// The layer of an overlay in which the path is.
fn layer_with(root: &Root, options: &[u8], path: &Path) -> Option<(Role, &'static str)> {
    let layers = overlay(options);
    let is_within = |layer: &String| path.starts_with(Path::new(layer));
    // Docker and containers-storage name the lower layers by links in a directory beside them.
    let is_linked = |layer: &String| {
        let links = Path::new(layer).parent().filter(|links| links.ends_with("l"));
        let layers = links.and_then(Path::parent).filter(|layers| path.starts_with(layers));
        let target = layers.and_then(|_| root.link(Path::new(layer)).ok());
        let target = target.as_ref().and_then(|target| target.strip_prefix("..").ok());
        layers.zip(target).is_some_and(|(layers, target)| path.starts_with(layers.join(target)))
    };
    if layers.upper.as_ref().is_some_and(is_within) {
        Some((Role::WritableLayer, "writable layer"))
    } else if layers.work.as_ref().is_some_and(is_within) {
        Some((Role::WritableLayer, "work directory of the writable layer"))
    } else if layers.lower.iter().any(|layer| is_within(layer) || is_linked(layer)) {
        Some((Role::ImageLayer, "image layer"))
    } else {
        None
    }
}

/// The same of the root file system of who has these mounts. Of other overlays a container chooses what the paths are.
pub(super) fn own_layer_with(root: &Root, mountinfo: &[u8], path: &Path) -> Option<(Role, &'static str)> {
    let own = mounts_of(mountinfo, "overlay").find(|mount| mount.point == b"/")?;
    layer_with(root, own.options, path)
}

/// Can a root file system be an overlay that the host has not mounted?
pub(super) fn is_unlisted(host_mounts: &[u8], device: &[u8]) -> bool {
    device.starts_with(b"0:") && mounts_on(host_mounts, device).next().is_none()
}

/// The device of the root directory of a process, which nobody can choose.
pub(super) fn root_device(proc: &ProcRoot, pid: Pid) -> Option<Vec<u8>> {
    let ((major, minor), _) = proc.process(pid).root_id()?;
    Some(format!("{major}:{minor}").into_bytes())
}

/// The names of the directories with the writable layers of the root file systems that the host has mounted too, if they are
/// ids, by device: one container has each.
pub(super) fn layer_ids(host_mounts: &[u8]) -> BTreeMap<&[u8], String> {
    let id = |mount: &Mount<'_>| {
        let upper = overlay(mount.options).upper?;
        let id = Path::new(&upper).parent()?.file_name()?.to_str()?;
        is_id(id).then(|| id.to_owned())
    };
    let overlays = mounts(host_mounts).filter(|mount| mount.kind == b"overlay");
    overlays.filter_map(|mount| Some((mount.device, id(&mount)?))).collect()
}

/// The layers of overlays: those that the host has mounted, and those that only the container has.
fn by_overlay(finder: &Finder<'_>, path: &Path) -> Vec<Answer> {
    let (proc, host_mounts) = (finder.world.proc, finder.host_mounts());
    let by_device = overlays_with(finder.root, host_mounts, path);
    let mut found = Vec::new();
    for (number, known) in finder.world.containers.iter().enumerate() {
        let chief = Pid::from_raw(known.chief());
        let Some(device) = root_device(proc, chief) else { continue };
        let of_host = by_device.get(&device).copied();
        // The paths are those that the mounter saw: of a container in a container not the host's.
        let may_be_own = of_host.is_none() && known.container.outer.is_none();
        let own = (may_be_own && is_unlisted(host_mounts, &device))
            .then(|| own_layer_with(finder.root, &proc.process(chief).mountinfo().ok()?, path));
        let by = match of_host {
            Some(_) => By::Kernel,
            None => finder.by_mounter(number),
        };
        if let Some((role, detail)) = of_host.or_else(|| own.flatten()) {
            let answer = Answer::new(Owner::Running(number), role, by, detail);
            found.push(answer.of_process(Some(known.chief())));
        }
    }
    found
}

impl Finder<'_> {
    /// Is there certainly no such file on the host? A file system that may not answer is not asked.
    pub(super) fn is_missing(&self, path: &Path) -> bool {
        !self.files.may_hang(&path.to_string_lossy()) && self.root.is_missing(path)
    }

    /// Who can mount in a user namespace chooses the paths of the layers.
    fn by_mounter(&self, number: usize) -> By {
        let known = &self.world.containers[number];
        let own = self.world.proc.process(Pid::from_raw(known.chief())).ns(Namespace::User);
        let at = Namespace::ALL.iter().position(|kind| *kind == Namespace::User);
        let hosts = at.and_then(|at| self.world.proc.host_namespaces()[at]);
        if known.container.owner == 0 && own.is_some() && own == hosts { By::Kernel } else { By::Claim }
    }
}

/// The file system in which a path of the host is, and the path in it.
pub(super) fn place<'m>(host_mounts: &'m [u8], path: &Path) -> Option<(&'m [u8], PathBuf)> {
    let mut best: Option<(usize, &[u8], PathBuf)> = None;
    for mount in mounts(host_mounts) {
        let point = unescape(mount.point);
        let Ok(below) = path.strip_prefix(&point) else { continue };
        let length = point.as_os_str().len();
        // Of several mounts on one point the last one is seen.
        if best.as_ref().is_none_or(|(longest, _, _)| length >= *longest) {
            best = Some((length, mount.device, join(unescape(mount.root), below)));
        }
    }
    best.map(|(_, device, within)| (device, within))
}

fn join(path: PathBuf, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { path } else { path.join(below) }
}

/// Where a path leads a process with these mounts to a part of a file system, and whether that is in its root. `on_host` is
/// the path that does not count: where those with the host's root directory see what the host has.
pub(super) fn target_in(
    mountinfo: &[u8],
    device: &[u8],
    within: &Path,
    on_host: Option<&Path>,
) -> Option<(bool, PathBuf)> {
    let mut all = mounts_on(mountinfo, device).take(MOST_MOUNTS).filter_map(|mount| {
        let root = unescape(mount.root);
        let below = within.strip_prefix(&root).ok()?;
        let point = unescape(mount.point);
        let is_root = point == Path::new("/");
        let target = join(point, below);
        (on_host != Some(&target)).then_some((mount, (is_root, target)))
    });
    let first = all.next()?;
    let hidden = HiddenMounts::of(mounts(mountinfo));
    std::iter::once(first).chain(all).find_map(|(mount, found)| (!hidden.has(&mount)).then_some(found))
}

/// The containers that have it mounted.
pub(super) fn mounted(finder: &Finder<'_>, path: &Path) -> Vec<Answer> {
    [by_mount(finder, path), by_stated_mount(finder, path)].concat()
}

/// What containers see of the file system in which the path is.
fn by_mount(finder: &Finder<'_>, path: &Path) -> Vec<Answer> {
    // Nobody sees what the host has not.
    if finder.is_missing(path) {
        return Vec::new();
    }
    let place = place(finder.host_mounts(), path);
    place.map(|(device, within)| seen_in(finder, device, &within, Some(path))).unwrap_or_default()
}

/// The containers that see this part of a file system.
fn seen_in(finder: &Finder<'_>, device: &[u8], within: &Path, on_host: Option<&Path>) -> Vec<Answer> {
    let found = by_mounts(finder, |text| target_seen(finder, text, (device, within), on_host));
    found.into_iter().map(|(number, seen)| mounted_by(finder, number, seen)).collect()
}

/// What `seen` finds in the mounts (the text of mountinfo) of each container.
fn by_mounts<T>(finder: &Finder<'_>, seen: impl Fn(&[u8]) -> Option<T>) -> Vec<(usize, T)> {
    let of = |number: usize| {
        let chief = finder.world.containers[number].chief();
        let text = finder.world.proc.process(Pid::from_raw(chief)).mountinfo().ok()?;
        Some((number, seen(&text)?))
    };
    (0..finder.world.containers.len()).filter_map(of).collect()
}

fn mounted_by(finder: &Finder<'_>, number: usize, (role, detail): (Role, String)) -> Answer {
    let chief = finder.world.containers[number].chief();
    Answer::new(Owner::Running(number), role, By::Kernel, detail).of_process(Some(chief))
}

fn target_seen(
    finder: &Finder<'_>,
    mountinfo: &[u8],
    (device, within): (&[u8], &Path),
    on_host: Option<&Path>,
) -> Option<(Role, String)> {
    let on_host = on_host.filter(|_| has_hosts_root(mountinfo, finder.host_mounts()));
    let (is_root, target) = target_in(mountinfo, device, within, on_host)?;
    Some(match is_root {
        true => (Role::Merged, "root file system".to_owned()),
        false => (Role::Mount, format!("mounted at {}", shown(&target))),
    })
}

/// Has a process with these mounts the host's root directory? One with another root directory sees a file of the host where
/// the host has it only by a mount of its own.
pub(super) fn has_hosts_root(mountinfo: &[u8], host_mounts: &[u8]) -> bool {
    fn root(text: &[u8]) -> Option<(&[u8], &[u8])> {
        mounts(text).find(|mount| mount.point == b"/").map(|mount| (mount.device, mount.root))
    }
    root(mountinfo) == root(host_mounts)
}

/// The root file system of those who have these mounts.
pub(super) fn root_of(mountinfo: &[u8]) -> Option<&[u8]> {
    mounts(mountinfo).find(|mount| mount.point == b"/").map(|mount| mount.device)
}

/// A mount of a part of this file system that a path reaches. One with the host's root has the host's mounts.
pub(super) fn part_in<'m>(
    mountinfo: &'m [u8],
    device: &'m [u8],
    host_root: Option<&[u8]>,
) -> Option<Mount<'m>> {
    let is_usual = |mount: &Mount<'_>| USUAL_MOUNTS.iter().any(|usual| usual.as_bytes() == mount.point);
    let mut all = mounts_on(mountinfo, device).take(MOST_MOUNTS).filter(|mount| !is_usual(mount)).peekable();
    all.peek().filter(|_| root_of(mountinfo) != host_root)?;
    let hidden = HiddenMounts::of(mounts(mountinfo));
    all.find(|mount| !hidden.has(mount))
}

/// The containers that have this file system mounted, those with a part of it last.
pub(super) fn with_device(finder: &Finder<'_>, device: &[u8], on_host: Option<&Path>) -> Vec<Answer> {
    let host_root = root_of(finder.host_mounts());
    let part = |text: &[u8]| {
        let mount = part_in(text, device, host_root)?;
        let (part, point) = (shown(&unescape(mount.root)), shown(&unescape(mount.point)));
        Some((Role::Mount, format!("{part} of it mounted at {point}")))
    };
    let whole = |text: &[u8]| target_seen(finder, text, (device, Path::new("/")), on_host);
    let mut found = by_mounts(finder, |text| match whole(text) {
        Some(whole) => Some((false, whole)),
        None => Some((true, part(text)?)),
    });
    order::sort_by_key(&mut found, |(_, (is_part, _))| *is_part);
    found.into_iter().map(|(number, (_, seen))| mounted_by(finder, number, seen)).collect()
}

/// The path of a control group begins with a slash too, and with no directory of the host.
pub(super) fn may_be_group(root: &Root, path: &[u8]) -> bool {
    let first = Path::new(OsStr::from_bytes(path)).components().nth(1);
    first.is_some_and(|part| root.metadata(&Path::new("/").join(part)).is_err())
}

/// Volumes and directories that stopped containers have mounted.
fn by_stated_mount(finder: &Finder<'_>, path: &Path) -> Vec<Answer> {
    let (mut found, is_missing) = (Vec::new(), finder.is_missing(path));
    let running = match finder.root.is_own() {
        true => Vec::new(),
        false => finder.records().of_engines(),
    };
    let of_running =
        running.iter().filter(|one| finder.running(one.container.owner, one.container.bare_id()).is_some());
    for details in finder.stopped().iter().chain(of_running) {
        let has = |source: &Path| path == source || (!is_missing && path.starts_with(source));
        let mount = details.uses.mounts.iter().find(|(source, _)| has(Path::new(source)));
        if let Some((_, target)) = mount {
            let detail = format!("mounted at {target}");
            found.push(Answer::stated(owner_of(finder, details), Role::Mount, detail));
        }
    }
    found
}

/// A directory or file that is named after the container.
fn by_id(finder: &Finder<'_>, path: &Path) -> Vec<Answer> {
    let is_log = path.extension().is_some_and(|end| end == "log")
        || path.components().any(|part| part.as_os_str() == "logs");
    // The path of a control group has ids too.
    if !finder.is_below_directory(path) {
        return Vec::new();
    }
    let (role, detail) = if is_log { (Role::Log, "log") } else { (Role::State, "state of the runtime") };
    for part in path.components() {
        let Some(name) = part.as_os_str().to_str() else { continue };
        let name = name.strip_suffix(".log").unwrap_or(name);
        let name = name.strip_suffix("-json").unwrap_or(name);
        let at = name.len().saturating_sub(64);
        let Some(id) = name.get(at..).filter(|id| is_id(id)) else { continue };
        let owners = finder.with_id(id);
        if !owners.is_empty() {
            return owners.into_iter().map(|owner| Answer::stated(owner, role, detail)).collect();
        }
    }
    let Ok(below) = path.strip_prefix("/var/log/pods") else { return Vec::new() };
    let mut parts = below.components().filter_map(|part| part.as_os_str().to_str());
    let Some((pod, uid)) = parts.next().and_then(|name| name.rsplit_once('_')) else { return Vec::new() };
    let container = parts.next();
    let mut owners = finder.in_pod(uid);
    owners.retain(|owner| {
        let named = finder.named(owner);
        let name = named.name.unwrap_or_default();
        let is_pod =
            format!("{}_{}", named.pod_namespace.unwrap_or_default(), named.pod.unwrap_or_default()) == pod;
        let last = name.rsplit('/').next();
        is_pod && (container.is_none() || last == container || named.status != Some("running"))
    });
    owners.into_iter().map(|owner| Answer::new(owner, Role::Log, By::State, "log")).collect()
}

/// `/var/lib/kubelet/pods/UID/…`
fn by_pod(finder: &Finder<'_>, path: &str) -> Vec<Answer> {
    let Some(rest) = path.split_once("/kubelet/pods/").map(|(_, rest)| rest) else { return Vec::new() };
    let uid = rest.split('/').next().unwrap_or_default();
    let is_uid = pod_uid(&format!("/kubepods/pod{uid}")).is_some();
    let owners = if is_uid { finder.in_pod(uid) } else { Vec::new() };
    owners.into_iter().map(|owner| Answer::new(owner, Role::State, By::State, "state of its pod")).collect()
}

pub(super) fn shown(path: &Path) -> String {
    text::utf8(path.as_os_str().as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_that_another_covers_is_no_part() {
        let text = "1 0 0:1 / / rw - overlay overlay rw\n2 1 8:1 /a /h/x rw - ext4 /dev/sda rw\n";
        let seen =
            |text: &str| part_in(text.as_bytes(), b"8:1", Some(b"8:9")).map(|mount| unescape(mount.root));
        assert_eq!(seen(text), Some(PathBuf::from("/a")));
        let covered = format!("{text}3 1 0:3 / /h rw - tmpfs tmpfs rw\n");
        assert_eq!(seen(&covered), None);
        assert_eq!(
            seen(&format!("{covered}4 3 8:1 /b /h/y rw - ext4 /dev/sda rw\n")),
            Some(PathBuf::from("/b"))
        );
        assert_eq!(
            part_in(text.as_bytes(), b"8:1", Some(b"0:1")).map(|mount| mount.id),
            None,
            "the host's mounts"
        );
    }
}
