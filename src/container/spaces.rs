//! The network namespaces of a host: which containers are in which.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nix::unistd::Pid;

use super::Files;
use super::world::World;
use crate::isolation::visit::Place;
use crate::proc::ProcRoot;
use crate::proc::ns::{Kind, parse_link};

/// A network namespace.
#[derive(Debug)]
pub(crate) struct Space {
    pub place: Place,
    /// The numbers of the containers whose first process is in it; without one, of those that have a process in it. None
    /// of the host's namespace.
    pub containers: Vec<usize>,
    /// A process in it.
    pub pid: Option<i32>,
    /// The file to which it is bound.
    pub file: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Spaces {
    pub all: Vec<Space>,
    /// The number of the host's.
    pub host: Option<usize>,
    /// Are there processes whose namespaces the caller may not see?
    pub is_partial: bool,
}

/// Where engines and ip-netns(8) bind namespaces that outlive their processes.
const BOUND: [&str; 2] = ["/run/netns", "/run/docker/netns"];

#[derive(Default)]
struct Seen {
    firsts: Vec<usize>,
    members: Vec<usize>,
    pid: Option<i32>,
}

impl Spaces {
    #[must_use]
    pub(crate) fn read(world: &World<'_>) -> Spaces {
        let (mut buffer, link) = ([0; 64], Kind::Net.link());
        let mut inode =
            |pid: i32| world.links.link(Pid::from_raw(pid), &link, &mut buffer).ok().and_then(parse_link);
        let host = host(world.proc, &mut inode).or_else(|| own(world));
        let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
        let mut is_partial = false;
        for process in &world.processes {
            let Some(inode) = inode(process.pid) else {
                is_partial = true;
                continue;
            };
            let one = seen.entry(inode).or_default();
            let is_first = |number: usize| world.containers[number].chief() == process.pid;
            match process.container {
                Some(number) if is_first(number) => {
                    one.firsts.push(number);
                    one.pid = Some(process.pid);
                }
                Some(number) if !one.members.contains(&number) => one.members.push(number),
                _ => {}
            }
            one.pid = one.pid.or(Some(process.pid));
        }
        let mut files = bound(world.files);
        let mut found = Spaces { is_partial, ..Spaces::default() };
        for (inode, one) in seen {
            let file = files.remove(&inode);
            let is_host = host == Some(inode);
            let Some(pid) = one.pid else { continue };
            if is_host {
                found.host = Some(found.all.len());
            }
            let containers = if one.firsts.is_empty() { one.members } else { one.firsts };
            let place = Place::of_process(world.proc, Pid::from_raw(pid), Kind::Net, inode);
            // This process does not end before its namespace is asked for; another one can.
            let own = if is_host { own_place(world, inode) } else { None };
            found.all.push(Space {
                place: own.unwrap_or(place),
                containers: if is_host { Vec::new() } else { without_pause(world, containers) },
                pid: one.pid,
                file,
            });
        }
        if let (Some(inode), None) = (host, found.host) {
            found.add_own(world, inode);
        }
        for (inode, file) in files.into_iter().filter(|(inode, _)| host != Some(*inode)) {
            let place = place_of(world.files, &file, inode);
            found.all.push(Space { place, containers: Vec::new(), pid: None, file: Some(file) });
        }
        found
    }

    /// The host's, if no process in it is known but this process is in it.
    fn add_own(&mut self, world: &World<'_>, inode: u64) {
        if let Some(place) = own_place(world, inode) {
            self.host = Some(self.all.len());
            self.all.push(Space { place, containers: Vec::new(), pid: None, file: None });
        }
    }

    /// All but the host's.
    pub(crate) fn others(&self) -> impl Iterator<Item = (usize, &Space)> {
        self.all.iter().enumerate().filter(|(number, _)| self.host != Some(*number))
    }

    /// The number of the namespace of a container.
    #[must_use]
    pub(crate) fn of_container(&self, container: usize) -> Option<usize> {
        self.all.iter().position(|space| space.containers.contains(&container))
    }
}

/// The namespaces that are bound to files, by their inodes.
pub(crate) fn bound(files: &Files) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    for directory in BOUND {
        for name in files.list(directory) {
            let path = format!("{directory}/{name}");
            if let Some(inode) = files.inode(&path) {
                found.entry(inode).or_insert(path);
            }
        }
    }
    found
}

pub(crate) fn place_of(files: &Files, file: &str, inode: u64) -> Place {
    Place::of_file(files.locate(file).unwrap_or_else(|| PathBuf::from(file)), inode)
}

/// The pause container of a pod only keeps the namespace for the others.
fn without_pause(world: &World<'_>, mut all: Vec<usize>) -> Vec<usize> {
    let is_pause = |number: &usize| world.containers[*number].container.is_pause();
    if !all.iter().all(is_pause) {
        all.retain(|number| !is_pause(number));
    }
    all
}

/// Threads of the kernel are in the host's namespaces. In a pid namespace without them it is that of its first process.
pub(crate) fn host(proc: &ProcRoot, mut inode: impl FnMut(i32) -> Option<u64>) -> Option<u64> {
    let thread = Pid::from_raw(2);
    let is_thread = proc.process(thread).status().is_ok_and(|status| status.kernel_thread);
    let of_thread = if is_thread { inode(2) } else { None };
    of_thread.or_else(|| inode(1))
}

/// The namespace of this process, if it is that one. Not by /proc/self: a child asks in other namespaces.
fn own_place(world: &World<'_>, inode: u64) -> Option<Place> {
    let pid = world.proc.link(&world.proc.of_host("self")).ok().filter(|_| own(world) == Some(inode))?;
    Some(Place::of_file(world.proc.of_host(pid.join(Kind::Net.link())), inode))
}

fn own(world: &World<'_>) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let link = world.proc.link(&world.proc.own(&Kind::Net.link())).ok()?;
    parse_link(link.as_os_str().as_bytes())
}
