//! Sockets: by inode, or by the file or the name of a unix socket.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::answer::{Entry, Host, Role};
use super::files::{mounted, overlays_with};
use super::finder::{FILES_OF_OTHERS, Finder};
use super::resolve::resolve;
use super::root::Root;
use super::thing::{Kind, Socket};
use crate::container::Files;
use crate::isolation::visit::Place;
use crate::net::{self, UnixSocket};
use crate::proc::{ProcRoot, number};

/// Lines that are read of a list of sockets: a user can make a million.
const MOST: usize = 200_000;

pub(super) fn socket(finder: &Finder<'_>, socket: &Socket) -> Entry {
    match socket {
        Socket::Inode(inode) => held(finder, &[*inode]),
        Socket::Abstract(name) => by_name(finder, name),
        Socket::Path(name) => {
            let path = resolve(finder, Path::new(OsStr::from_bytes(name)));
            match file(finder.files, finder.root, &path) {
                Some(wanted) => {
                    let mut entry = by_file(finder, &path, &wanted);
                    if entry.is_empty() {
                        entry = by_layer(finder, &path, &wanted);
                    }
                    entry.answers.extend(mounted(finder, &path));
                    entry
                }
                // A container has it in its own files, perhaps.
                None => by_name(finder, name),
            }
        }
    }
}

fn held(finder: &Finder<'_>, inodes: &[u64]) -> Entry {
    let mut entry = Entry::new(Kind::Socket);
    add_holders(finder, inodes, &mut entry);
    entry
}

impl Finder<'_> {
    /// Why no process is found that has a socket which is there.
    pub(super) fn without_holder(&self, socket: &str) -> String {
        // Then the reason is said here.
        self.recent.borrow_mut().remove(FILES_OF_OTHERS);
        let why = match (self.problems.borrow_mut().remove(FILES_OF_OTHERS), nix::unistd::geteuid().is_root())
        {
            (true, false) => "only root can list the open files of other users' processes".to_owned(),
            (true, true) => {
                "the open files of some processes cannot be listed without CAP_SYS_PTRACE".to_owned()
            }
            (false, _) => match self.hidden() {
                Some(hidden) => format!("cannot look at {hidden}"),
                None => "no process shows it; perhaps the kernel itself has it".to_owned(),
            },
        };
        self.need_all();
        format!("who has {socket}: {why}")
    }
}

/// The same for sockets that are there.
fn of_inodes(finder: &Finder<'_>, inodes: &[u64]) -> Entry {
    let mut entry = held(finder, inodes);
    // Who holds it need not be where it was made.
    if entry.is_empty() && !inodes.is_empty() {
        entry.unknown = Some(finder.without_holder("the socket"));
    }
    entry
}

/// The sockets with a name, in all network namespaces.
pub(super) fn by_name(finder: &Finder<'_>, name: &[u8]) -> Entry {
    let wanted = UnixSocket::Name(name.to_vec());
    let mut inodes = finder.unix_sockets(&wanted).unwrap_or_default();
    inodes.extend(elsewhere(finder, &wanted));
    of_inodes(finder, &inodes)
}

/// The sockets in all network namespaces but the host's.
fn elsewhere(finder: &Finder<'_>, wanted: &UnixSocket) -> Vec<u64> {
    let places: Vec<Place> = finder.spaces().others().map(|(_, space)| space.place.clone()).collect();
    let found = finder.known("network namespaces", net::search_unix(&places, wanted)).unwrap_or_default();
    found.into_iter().map(|(_, inode)| inode).collect()
}

/// A socket can have a holder on the host and one in a container.
fn add_holders(finder: &Finder<'_>, inodes: &[u64], entry: &mut Entry) {
    let holders = finder.holders(inodes.iter().copied());
    let others: Vec<u64> = inodes
        .iter()
        .copied()
        .filter(|inode| {
            let holder = holders.get(inode).and_then(|pid| finder.world.process(*pid));
            holder.is_some_and(|seen| seen.container.is_none())
        })
        .collect();
    let inside = finder.holders_in_containers(others);
    for pid in holders.values().chain(inside.values()) {
        if entry.answers.iter().all(|one| one.pid != Some(*pid)) {
            add_holder(finder, *pid, entry);
        }
    }
}

fn add_holder(finder: &Finder<'_>, pid: i32, entry: &mut Entry) {
    match finder.by_process(pid, Role::Holder, format!("{} has it open", finder.named_process(pid))) {
        Ok(answer) => entry.answers.push(answer),
        Err(host) => entry.host = Some(Host { text: format!("{} has it open", host.text), ..host }),
    }
}

/// With the containers that have it mounted. None if the path is not that of a socket that somebody has.
pub(super) fn by_path(finder: &Finder<'_>, path: &Path) -> Option<Entry> {
    let mut entry = by_file(finder, path, &file(finder.files, finder.root, path)?);
    if entry.is_empty() {
        return None;
    }
    entry.answers.extend(mounted(finder, path));
    Some(entry)
}

/// The socket of a file of the host, by the file: inside, a container can see it at another path.
pub(super) fn file(files: &Files, root: &Root, path: &Path) -> Option<UnixSocket> {
    if files.may_hang(&path.to_string_lossy()) {
        return None;
    }
    let meta = root.metadata(path).ok().filter(|meta| meta.file_type().is_socket())?;
    Some(UnixSocket::File { device: (libc::major(meta.dev()), libc::minor(meta.dev())), inode: meta.ino() })
}

/// A socket in a layer: the container has it on the overlay.
fn by_layer(finder: &Finder<'_>, path: &Path, wanted: &UnixSocket) -> Entry {
    let all = on_overlays(finder.root, finder.host_mounts(), path, wanted).into_iter();
    let inodes = all.flat_map(|one| {
        let own = finder.unix_sockets(&one).unwrap_or_default();
        own.into_iter().chain(elsewhere(finder, &one))
    });
    of_inodes(finder, &inodes.collect::<Vec<_>>())
}

/// The socket of a file in the writable layer of overlays, as it is on these: the number of the file stays.
pub(super) fn on_overlays(
    root: &Root,
    host_mounts: &[u8],
    path: &Path,
    wanted: &UnixSocket,
) -> Vec<UnixSocket> {
    let UnixSocket::File { inode, .. } = wanted else { return Vec::new() };
    let all = overlays_with(root, host_mounts, path).into_iter();
    let device = |device: Vec<u8>| {
        let device = String::from_utf8(device).ok()?;
        let (major, minor) = device.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    all.filter(|(_, (role, _))| *role == Role::WritableLayer)
        .filter_map(|(number, _)| Some(UnixSocket::File { device: device(number)?, inode: *inode }))
        .collect()
}

/// A file is that of one socket. The connections to it have its name.
fn by_file(finder: &Finder<'_>, path: &Path, wanted: &UnixSocket) -> Entry {
    let sources: [&dyn Fn() -> Vec<u64>; 3] =
        [&|| finder.unix_sockets(wanted).unwrap_or_default(), &|| elsewhere(finder, wanted), &|| {
            inodes_of(finder.world.proc, path)
        }];
    let inodes = sources.into_iter().map(|source| source()).find(|found| !found.is_empty());
    of_inodes(finder, &inodes.unwrap_or_default())
}

/// The sockets with this path in the host's network namespace: for a kernel without the module for unix sockets, and for
/// file systems with numbers of their own.
pub(super) fn inodes_of(proc: &ProcRoot, path: &Path) -> Vec<u64> {
    let list = proc.path_of(Pid::from_raw(1), "net/unix");
    let Ok(file) = proc.open(&list).or_else(|_| proc.open(&proc.own("net/unix"))).map(File::from) else {
        return Vec::new();
    };
    let wanted = short_of_run(path);
    let inode = |line: Vec<u8>| {
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut fields = line.split_ascii_whitespace();
        let inode = number::<u64>(fields.nth(6)?.as_bytes())?;
        let own = line.split_once(" /")?.1;
        (short_of_run(Path::new(&format!("/{own}"))) == wanted).then_some(inode)
    };
    BufReader::new(file).split(b'\n').map_while(Result::ok).take(MOST).filter_map(inode).collect()
}

/// /var/run is a link to /run.
fn short_of_run(path: &Path) -> PathBuf {
    path.strip_prefix("/var/run").map_or_else(|_| path.to_path_buf(), |rest| Path::new("/run").join(rest))
}
