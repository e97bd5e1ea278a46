//! Rules about files.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Judge, finding};
use crate::applets::ctr_inspect::files::{Device, Files, Mounted, is_below};
use crate::applets::ctr_inspect::finding::Severity;
use crate::applets::ctr_inspect::privileges::Privileges;
use crate::applets::ctr_inspect::show::many;
use crate::applets::ctr_inspect::sockets::RuntimeSockets;
use crate::container::Runtime;
use crate::order;
use crate::output::size::size;

impl Judge<'_> {
    pub(super) fn files(
        &mut self,
        files: &Files,
        privileges: Option<&Privileges>,
        sockets: &RuntimeSockets<'_>,
    ) {
        if files.cwd_outside == Some(true) && self.runtime.is_some() {
            let text =
                format!("its working directory is outside its root: {}", files.cwd.as_deref().unwrap_or("?"));
            self.add("cwd-outside", Severity::High, text, vec![("files.cwd", json!(files.cwd))]);
        }
        let bytes: u64 = files.deleted.iter().flatten().map(|file| file.bytes).fold(0, u64::saturating_add);
        if bytes > 100 << 20 || takes_much(files) {
            let text = format!("{} of deleted files are still taken", size(bytes));
            self.add("deleted-files", Severity::Medium, text, vec![("files.deleted", json!(bytes))]);
        }
        self.space(files);
        // Without a root of its own it sees the files of the host by design.
        if self.runtime.is_none() || files.root.path.as_deref() == Some("/") {
            return;
        }
        self.devices(files, privileges);
        let owner = self.subject.container.map_or(0, |number| self.world.containers[number].container.owner);
        let sources = sources(files.mounts());
        let mut targets: Vec<(&Path, PathBuf)> = sockets
            .of(owner, |socket| is_shown(&sources, socket))
            .into_iter()
            .flat_map(|socket| {
                reached(files.mounts(), socket).into_iter().map(move |target| (socket, target))
            })
            .collect();
        worst_first(&mut targets, files.mounts());
        let words = |(socket, target): &(&Path, PathBuf)| {
            format!("{} is reachable as {}", socket.display(), target.display())
        };
        if let Some((first, others)) = targets.split_first() {
            let more = match others.len() {
                0 => String::new(),
                count => format!(", and {count} more"),
            };
            let paths: Vec<_> = targets.iter().map(|(_, target)| target.to_string_lossy()).collect();
            let evidence = vec![("files.mounts", json!(paths))];
            let mut found = finding("runtime-socket", Severity::High, words(first) + &more, evidence);
            found.more = others.iter().map(words).collect();
            self.found.push(found);
        }
        self.host_directories(files.mounts());
    }

    /// Does it show parts of the host by design?
    pub(super) fn is_sandbox(&self) -> bool {
        matches!(self.runtime, Some(Runtime::Bwrap | Runtime::Flatpak | Runtime::Firejail | Runtime::Snap))
    }

    fn space(&mut self, files: &Files) {
        for space in files.space.iter().flatten() {
            for (what, percent) in [("bytes", space.percent), ("inodes", space.inodes_percent)] {
                let Some(percent) = percent.filter(|percent| *percent >= 95.0) else { continue };
                let text =
                    format!("{percent} % of the {what} of the file system on {} are used", space.target);
                self.add("root-fs-full", Severity::High, text, vec![("files.space", json!(space))]);
            }
        }
    }

    /// What a process that is not root of the host may open depends on the owner of the node.
    fn devices(&mut self, files: &Files, privileges: Option<&Privileges>) {
        let is_root = privileges.is_some_and(|all| all.root_on_host == Some(true));
        let allowed = files.devices.iter().flatten().filter(|device| device.allowed == Some(true));
        let is_high = is_root && !self.is_sandbox();
        if let Some((severity, text, devices)) = of_devices(allowed.collect(), is_high) {
            self.add("host-device", severity, text, vec![("files.devices", json!(devices))]);
        }
    }

    fn host_directories(&mut self, mounts: &[Mounted]) {
        const JUDGED: [&str; 10] = [
            "/",
            "/etc",
            "/root",
            "/boot",
            "/proc",
            "/sys",
            "/dev",
            "/var/lib/docker",
            "/var/lib/kubelet",
            "/run",
        ];
        let judged = |mount: &&Mounted| mount.from_host && JUDGED.contains(&mount.source.as_str());
        for mount in outermost(mounts.iter().filter(judged).collect()) {
            let writable = !mount.read_only || !mount.writable_below.is_empty();
            let severity = match () {
                () if self.is_sandbox() => Severity::Note,
                () if writable => Severity::High,
                () => Severity::Medium,
            };
            let how = match (mount.read_only, writable) {
                (false, _) => "writable".to_owned(),
                (true, false) => "read-only".to_owned(),
                (true, true) => format!(
                    "read-only, but {} below can be written",
                    many(mount.writable_below.len() as u64, "mount")
                ),
            };
            let text = format!("{} of the host is mounted on {}, {how}", mount.source, mount.target);
            let evidence = vec![
                ("files.mounts", json!(mount.target)),
                ("files.mounts.writable_below", json!(mount.writable_below)),
            ];
            self.add("host-root-mounted", severity, text, evidence);
        }
    }
}

/// Without those that came along with a directory above: they are part of its finding.
fn outermost(all: Vec<&Mounted>) -> Vec<&Mounted> {
    let is_part = |mount: &Mounted| all.iter().any(|other| is_below(&mount.target, &other.target));
    all.iter().copied().filter(|mount| !is_part(mount)).collect()
}

/// The sockets of engines come before those of the daemons below them: one request starts a container with all of the host.
/// Of the same kind, one that is mounted itself comes before one in a directory.
fn worst_first(targets: &mut [(&Path, PathBuf)], mounts: &[Mounted]) {
    const BY_POWER: [&str; 4] = ["docker.sock", "podman.sock", "crio.sock", "containerd.sock"];
    let is_mounted = |socket: &Path| mounts.iter().any(|mount| Path::new(&mount.source) == socket);
    let rank = |socket: &Path| {
        let name = socket.file_name().unwrap_or_default();
        BY_POWER.iter().position(|known| name == *known).unwrap_or(BY_POWER.len())
    };
    order::sort_by_key(targets, |(socket, _)| (rank(socket), !is_mounted(socket)));
}

/// One finding of all devices. The worst is named.
fn of_devices(all: Vec<&Device>, may_be_high: bool) -> Option<(Severity, String, Vec<&Device>)> {
    let is_high = |device: &&Device| may_be_high && device.what != Some("kvm");
    let (mut devices, others): (Vec<&Device>, Vec<&Device>) = all.into_iter().partition(is_high);
    let severity = if devices.is_empty() { Severity::Note } else { Severity::High };
    devices.extend(others);
    let first = devices.first()?;
    let more = match devices.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let what = first.what.unwrap_or("device");
    let text = format!("{what} of the host is {} ({}:{}){more}", first.path, first.major, first.minor);
    Some((severity, text, devices))
}

/// More than 5 % of a file system.
fn takes_much(files: &Files) -> bool {
    files.space.iter().flatten().any(|space| {
        let on_it = files.deleted.iter().flatten().filter(|file| file.device == space.device);
        let bytes = on_it.map(|file| file.bytes).fold(0, u64::saturating_add);
        bytes > space.size / 20
    })
}

/// What mounts show of the host, without what is below another one: a container can have thousands of mounts.
fn sources(mounts: &[Mounted]) -> Vec<&Path> {
    let mut all: Vec<&Path> =
        mounts.iter().filter(|mount| mount.from_host).map(|mount| Path::new(&mount.source)).collect();
    order::sort(&mut all);
    all.dedup_by(|next, above| next.starts_with(above));
    all
}

/// Is the path one of the sorted sources, or below one? Then it comes right after that in the order.
fn is_shown(sources: &[&Path], path: &Path) -> bool {
    let at = sources.partition_point(|source| *source <= path);
    at > 0 && path.starts_with(sources[at - 1])
}

/// Where a file of the host is in the container: mounts lead to it, and no other mount covers it.
fn reached(mounts: &[Mounted], socket: &Path) -> Vec<PathBuf> {
    let target_in = |mount: &Mounted| {
        let below = socket.strip_prefix(&mount.source).ok()?;
        let target = Path::new(&mount.target);
        let inside = if below.as_os_str().is_empty() { target.to_path_buf() } else { target.join(below) };
        let depth = |mount: &&Mounted| Path::new(&mount.target).components().count();
        let covers = |other: &&Mounted| {
            let inside = inside.to_str().unwrap_or_default();
            other.target == inside || is_below(inside, &other.target)
        };
        let last = mounts.iter().filter(covers).max_by_key(depth)?;
        (last.target == mount.target).then_some(inside)
    };
    mounts.iter().rev().filter(|mount| mount.from_host).filter_map(target_in).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(target: &str, source: &str, from_host: bool) -> Mounted {
        Mounted {
            target: target.to_owned(),
            source: source.to_owned(),
            fstype: "x".to_owned(),
            read_only: true,
            from_host,
            writable_below: Vec::new(),
        }
    }

    #[test]
    fn devices_are_one_finding_that_names_the_worst() {
        let device = |path: &str, what| Device {
            path: path.to_owned(),
            kind: "block",
            major: 8,
            minor: 0,
            what: Some(what),
            allowed: Some(true),
        };
        let (kvm, sda, mem) =
            (device("/dev/kvm", "kvm"), device("/dev/sda", "disk"), device("/dev/mem", "memory"));
        let found =
            |all: Vec<&Device>, is_root| of_devices(all, is_root).map(|(severity, text, _)| (severity, text));
        let named = |severity, text: &str| Some((severity, text.to_owned()));
        let all = || vec![&kvm, &sda, &mem];
        assert_eq!(
            found(all(), true),
            named(Severity::High, "disk of the host is /dev/sda (8:0) and 2 more")
        );
        assert_eq!(
            found(all(), false),
            named(Severity::Note, "kvm of the host is /dev/kvm (8:0) and 2 more")
        );
        assert_eq!(found(vec![&kvm], true), named(Severity::Note, "kvm of the host is /dev/kvm (8:0)"));
        assert_eq!(found(Vec::new(), true), None);
        let (_, _, devices) = of_devices(all(), true).expect("a finding");
        assert_eq!(devices, [&sda, &mem, &kvm]);
    }

    #[test]
    fn directories_below_a_mounted_one_are_part_of_its_finding() {
        let all = [mount("/host", "/", true), mount("/host/dev", "/dev", true), mount("/etc2", "/etc", true)];
        let targets: Vec<&str> = outermost(all.iter().collect()).iter().map(|one| &*one.target).collect();
        assert_eq!(targets, ["/host", "/etc2"]);
    }

    #[test]
    fn a_socket_that_is_mounted_itself_is_named_first() {
        let mounts = [mount("/host", "/", true), mount("/s", "/run/docker.sock", true)];
        let sockets = [Path::new("/run/containerd/containerd.sock"), Path::new("/run/docker.sock")];
        let mut targets: Vec<(&Path, PathBuf)> = Vec::new();
        for socket in sockets {
            targets.extend(reached(&mounts, socket).into_iter().map(|target| (socket, target)));
        }
        assert_ne!(targets[0].1, Path::new("/s"));
        worst_first(&mut targets, &mounts);
        assert_eq!(targets[0].1, Path::new("/s"));
        assert_eq!(targets.len(), 3);
    }

    #[test]
    fn the_socket_with_the_most_power_is_named_first() {
        let mounts = [mount("/host", "/", true), mount("/c", "/run/containerd/containerd.sock", true)];
        let paths = [
            "/run/containerd/containerd.sock",
            "/run/crio/crio.sock",
            "/run/docker.sock",
            "/run/docker/containerd/containerd.sock",
            "/run/podman/podman.sock",
            "/srv/x",
        ];
        let mut targets: Vec<(&Path, PathBuf)> = paths.map(|path| (Path::new(path), PathBuf::new())).into();
        worst_first(&mut targets, &mounts);
        let order: Vec<&Path> = targets.iter().map(|(socket, _)| *socket).collect();
        assert_eq!(order, [2, 4, 1, 0, 3, 5].map(|at| Path::new(paths[at])));
    }

    #[test]
    fn a_socket_below_a_mount_is_reached_unless_it_is_covered() {
        let socket = Path::new("/run/docker.sock");
        let found =
            |mounts: &[Mounted]| reached(mounts, socket).first().map(|path| path.display().to_string());
        assert_eq!(found(&[mount("/s", "/run/docker.sock", true)]).as_deref(), Some("/s"));
        assert_eq!(found(&[mount("/host", "/", true)]).as_deref(), Some("/host/run/docker.sock"));
        assert_eq!(found(&[mount("/host", "/", true), mount("/host/run", "tmpfs", false)]), None);
        assert_eq!(found(&[mount("/s", "/run/docker.socket", true)]), None);
        assert_eq!(found(&[mount("/s", "/run/docker.sock", false)]), None);
        let mounts =
            ["/a", "/run/x", "/run", "/run/docker", "/run.d"].map(|source| mount("/s", source, true));
        let all = sources(&mounts);
        assert_eq!(all, ["/a", "/run", "/run.d"].map(Path::new));
        for (path, shown) in [("/run/docker.sock", true), ("/run", true), ("/runs", false), ("/", false)] {
            assert_eq!(is_shown(&all, Path::new(path)), shown, "{path}");
        }
    }
}
