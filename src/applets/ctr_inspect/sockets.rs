//! Sockets on which daemons take orders to run containers.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::descriptors::Descriptors;
use crate::container::world::World;
use crate::order;
use crate::proc::number;

/// The sockets of the host that accept connections, and which of them daemons hold.
pub(super) struct RuntimeSockets<'a> {
    world: &'a World<'a>,
    /// By inode.
    listening: BTreeMap<u64, PathBuf>,
    held: OnceCell<Held>,
}

/// The paths of the sockets of daemons, each with the user who owns it.
type Held = Vec<(u32, PathBuf)>;

/// Programs that run containers, by the name of the process.
const DAEMONS: [&[u8]; 6] = [b"dockerd", b"containerd", b"crio", b"podman", b"k3s-server", b"k3s server"];
/// The default places. systemd can listen there before the daemon starts.
const USUAL: [&str; 6] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/run/k3s/containerd/containerd.sock",
];
/// The sockets that are kept of all that listen, and of one user's daemons.
const MOST_SOCKETS: usize = 50_000;
const MOST_OF_USER: usize = 16;
/// Below the runtime directory of a user.
const USUAL_OF_USERS: [&str; 2] = ["docker.sock", "podman/podman.sock"];

impl<'a> RuntimeSockets<'a> {
    pub(super) fn read(world: &'a World<'a>) -> RuntimeSockets<'a> {
        RuntimeSockets { world, listening: listening(world), held: OnceCell::new() }
    }

    /// Those that may be reached: of root, and of the container's owner. Another user can give any name to a process.
    pub(super) fn of(&self, owner: u32, may_be_reached: impl Fn(&Path) -> bool) -> Vec<&Path> {
        // Mounts lead few containers to sockets. For the others no process has to be looked at.
        if !self.listening.values().any(|path| may_be_reached(path)) {
            return Vec::new();
        }
        let all = self.held.get_or_init(|| held(self.world, &self.listening)).iter();
        let mut all: Vec<&Path> =
            all.filter(|(uid, _)| [0, owner].contains(uid)).map(|(_, path)| path.as_path()).collect();
        order::sort(&mut all);
        all.dedup();
        all
    }
}

fn held(world: &World<'_>, listening: &BTreeMap<u64, PathBuf>) -> Held {
    let mut found: Held =
        listening.values().filter_map(|path| Some((usual_owner(path)?, path.clone()))).collect();
    let mut descriptors: BTreeMap<Option<u32>, Descriptors> = BTreeMap::new();
    for process in world.processes.iter().filter(|process| process.container.is_none()) {
        let pid = Pid::from_raw(process.pid);
        let name = world.proc.process(pid).name().unwrap_or_default();
        if !DAEMONS.contains(&name.trim_ascii_end()) {
            continue;
        }
        let directory = world.proc.path_of(pid, "fd");
        // Any user can give a process such a name.
        let entries = descriptors.entry(process.uid).or_default().list(world.proc, &directory);
        for entry in entries.ok().flatten().unwrap_or_default() {
            let link = world.proc.link(&directory.join(&entry.name)).unwrap_or_default();
            let inode = link.as_os_str().as_bytes().strip_prefix(b"socket:[");
            let inode = inode.and_then(|rest| number(rest.strip_suffix(b"]")?));
            let path = inode.and_then(|inode: u64| listening.get(&inode)).filter(|path| takes_orders(path));
            found.extend(path.map(|path| (process.uid.unwrap_or(u32::MAX), path.clone())));
        }
    }
    order::sort(&mut found);
    found.dedup();
    let mut left: BTreeMap<u32, usize> = BTreeMap::new();
    found.retain(|(uid, _)| {
        let left = left.entry(*uid).or_insert(MOST_OF_USER);
        *left = left.saturating_sub(1);
        *uid == 0 || *left > 0
    });
    found
}

/// The sockets that accept connections, by inode. A user can make a million: the file is read in parts, and only those in
/// the usual places and so many others are kept.
fn listening(world: &World<'_>) -> BTreeMap<u64, PathBuf> {
    let open = |path: PathBuf| world.proc.open(&path).map(std::fs::File::from).ok();
    let first = world.proc.path_of(Pid::from_raw(1), "net/unix");
    let Some(file) = open(first).or_else(|| open(world.proc.own("net/unix"))) else { return BTreeMap::new() };
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    let mut left = MOST_SOCKETS;
    let keep = |(_, path): &(u64, PathBuf)| {
        left = left.saturating_sub(1);
        left > 0 || usual_owner(path).is_some()
    };
    lines.filter_map(|line| socket(&line)).filter(keep).collect()
}

/// `ADDRESS: REFERENCES PROTOCOL FLAGS TYPE STATE INODE PATH` of a listening socket that has a path.
fn socket(line: &[u8]) -> Option<(u64, PathBuf)> {
    const ACCEPTS: &[u8] = b"00010000";
    let mut fields = line.splitn(8, |&b| b == b' ').map(<[u8]>::trim_ascii);
    let flags = fields.nth(3)?;
    let rest: Vec<&[u8]> = fields.skip(2).collect();
    // The inode is padded with blanks.
    let joined = rest.join(&b' ');
    let rest = joined.trim_ascii_start();
    let blank = rest.iter().position(|&b| b == b' ')?;
    let (inode, path) = (number(&rest[..blank])?, &rest[blank + 1..]);
    let path = Path::new(OsStr::from_bytes(path));
    let path = path
        .strip_prefix("/var/run")
        .map_or_else(|_| path.to_path_buf(), |rest| Path::new("/run").join(rest));
    (flags == ACCEPTS && path.is_absolute()).then_some((inode, path))
}

/// Daemons also listen for shims, metrics and debuggers.
fn takes_orders(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let is_other = [&b".ttrpc"[..], b"-debug.sock", b"metrics.sock"].iter().any(|end| name.ends_with(end));
    !is_other && !path.components().any(|part| part.as_os_str() == "libnetwork")
}

fn usual_owner(path: &Path) -> Option<u32> {
    if USUAL.iter().any(|usual| path == Path::new(usual)) {
        return Some(0);
    }
    let mut below = path.strip_prefix("/run/user").ok()?.components();
    let user = number(below.next()?.as_os_str().as_bytes())?;
    USUAL_OF_USERS.iter().any(|usual| below.as_path() == Path::new(usual)).then_some(user)
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(line: &[u8]) {
    assert!(socket(line).is_none_or(|(_, path)| path.is_absolute()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_with_a_path() {
        let line = b"0000000000000000: 00000002 00000000 00010000 0001 01 9805829 /var/run/docker.sock";
        assert_eq!(socket(line), Some((9_805_829, PathBuf::from("/run/docker.sock"))));
        let padded = b"0000000000000000: 00000002 00000000 00010000 0001 01   829 /a b";
        assert_eq!(socket(padded), Some((829, PathBuf::from("/a b"))));
        let connected = b"0000000000000000: 00000003 00000000 00000000 0001 03 9805829 /run/docker.sock";
        assert_eq!(socket(connected), None);
        assert_eq!(socket(b"0000000000000000: 00000002 00000000 00010000 0001 01 77 @abstract"), None);
        assert_eq!(socket(b"Num       RefCount Protocol Flags    Type St Inode Path"), None);
    }

    #[test]
    fn sockets_for_other_purposes() {
        for (path, wanted) in [
            ("/run/docker.sock", true),
            ("/srv/x", true),
            ("/run/docker/metrics.sock", false),
            ("/run/docker/libnetwork/8dde5d12e119.sock", false),
            ("/run/containerd/containerd.sock.ttrpc", false),
        ] {
            assert_eq!(takes_orders(Path::new(path)), wanted, "{path}");
        }
    }

    #[test]
    fn usual_places() {
        for (path, owner) in [
            ("/run/docker.sock", Some(0)),
            ("/run/user/1000/podman/podman.sock", Some(1000)),
            ("/run/user/x/docker.sock", None),
            ("/tmp/docker.sock", None),
        ] {
            assert_eq!(usual_owner(Path::new(path)), owner, "{path}");
        }
    }
}
