//! Sockets: by inode, or by the path of a unix socket.

use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::unistd::Pid;

use super::answer::{Entry, Host, Owner, Role};
use super::files::{place, seen_in};
use super::finder::Finder;
use super::thing::{Kind, Socket};
use crate::proc::{ProcRoot, number};

/// Lines that are read of a list of sockets: a user can make a million.
const MOST: usize = 200_000;

pub(super) fn socket(finder: &Finder<'_>, socket: &Socket) -> Entry {
    match socket {
        Socket::Inode(inode) => of_inode(finder, *inode),
        Socket::Path(path) => {
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            by_path(finder, path).unwrap_or_else(|| Entry::new(Kind::Socket))
        }
    }
}

fn of_inode(finder: &Finder<'_>, inode: u64) -> Entry {
    let mut entry = Entry::new(Kind::Socket);
    add_holders(finder, &[inode], &mut entry);
    entry
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

/// None if the path is not that of a socket.
pub(super) fn by_path(finder: &Finder<'_>, path: &Path) -> Option<Entry> {
    let there = finder.root.join(path.strip_prefix("/").unwrap_or(path));
    let may_hang = finder.files.may_hang(&path.to_string_lossy());
    let is_socket = !may_hang && there.symlink_metadata().is_ok_and(|meta| meta.file_type().is_socket());
    if !is_socket {
        return None;
    }
    let mut entry = Entry::new(Kind::Socket);
    let mut inodes = inodes_of(finder.world.proc, 1, path);
    if inodes.is_empty() {
        // In its own list a container has the path that it sees.
        for (pid, inside) in paths_inside(finder, path) {
            inodes.extend(inodes_of(finder.world.proc, pid, &inside));
        }
    }
    add_holders(finder, &inodes, &mut entry);
    // Who holds it need not be where it is seen.
    if entry.is_empty() && !inodes.is_empty() {
        finder.need_all();
    }
    (!entry.is_empty()).then_some(entry)
}

/// The sockets with this path in the network namespace of a process.
pub(super) fn inodes_of(proc: &ProcRoot, pid: i32, path: &Path) -> Vec<u64> {
    let list = proc.path_of(Pid::from_raw(pid), "net/unix");
    let file = std::fs::File::open(list).or_else(|error| match pid {
        1 => std::fs::File::open(proc.own("net/unix")),
        _ => Err(error),
    });
    let Ok(file) = file else { return Vec::new() };
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
fn short_of_run(path: &Path) -> std::path::PathBuf {
    path.strip_prefix("/var/run").map_or_else(|_| path.to_path_buf(), |rest| Path::new("/run").join(rest))
}

/// Where containers see a path of the host, each with its first process.
fn paths_inside(finder: &Finder<'_>, path: &Path) -> Vec<(i32, std::path::PathBuf)> {
    let Some((device, within)) = place(finder.host_mounts(), path) else { return Vec::new() };
    let inside = |detail: &str| detail.strip_prefix("mounted at ").map(std::path::PathBuf::from);
    let all = seen_in(finder, device, &within, Some(path)).into_iter();
    all.filter_map(|one| match one.owner {
        Owner::Running(number) => {
            let inside = inside(&one.detail).unwrap_or_else(|| within.clone());
            Some((finder.world.containers[number].chief(), inside))
        }
        Owner::Recorded(_) => None,
    })
    .collect()
}
