//! The processes that matter for a report of few targets. Without them all processes of the host would be read, and the
//! state files of all containers.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use nix::unistd::Pid;

use super::namespaces::{HostNamespaces, ORDER};
use super::report::Section;
use crate::container::Few;
use crate::container::target::{self, Target};
use crate::container::{Container, Files, IdentifiedBy, Resolver, group_of, search};
use crate::isolation::cgroup::Hierarchies;
use crate::isolation::cgroup::chain::Groups;
use crate::proc::ns::{Kind, parse_link};
use crate::proc::{ProcRoot, Scan, number};
use crate::sys::keyed::HashSet;

struct Search<'a> {
    proc: &'a ProcRoot,
    mounted: Hierarchies,
    resolver: Resolver<'a>,
    pids: BTreeSet<i32>,
    /// The targets, and the first processes of their containers.
    chiefs: BTreeSet<i32>,
    /// Does a container have no group with its id? Then its namespaces tell which processes are in it.
    has_no_group: bool,
}

/// None if only all processes give the answer: a section reads them all, or a word means no container that a state file
/// or a control group of its own shows.
pub(super) fn few<'a>(
    proc: &'a ProcRoot,
    files: &'a Files,
    words: &[OsString],
    sections: &[Section],
) -> Option<Few<'a>> {
    let wants = |section| sections.contains(&section);
    // The daemons of runtimes, and the holders of sockets, can be any processes.
    if wants(Section::Files) || wants(Section::Network) {
        return None;
    }
    let mut search = Search {
        proc,
        mounted: Hierarchies::read(proc).unwrap_or_default(),
        resolver: Resolver::for_few(proc, files),
        pids: BTreeSet::new(),
        chiefs: BTreeSet::new(),
        has_no_group: false,
    };
    words.iter().try_for_each(|word| search.add(word))?;
    if search.has_no_group || wants(Section::Namespaces) || wants(Section::Processes) {
        search.add_sharing()?;
    }
    search.add_parents();
    let pids = search.pids.into_iter().map(Pid::from_raw).collect();
    Some(Few { pids, resolver: search.resolver })
}

impl Search<'_> {
    fn add(&mut self, word: &OsStr) -> Option<()> {
        match Target::parse(word).ok()? {
            Target::Pid { pid, .. } => self.add_process(pid),
            Target::Container(word) => {
                let word = target::without_cpid(&word);
                let found = search::find_without_scan(&mut self.resolver, word);
                match found.is_empty() {
                    true => self.add_by_group(search::as_id(word)?),
                    false => found.iter().try_for_each(|container| self.add_process(container.init?)),
                }
            }
        }
    }

    /// The container without a state file whose control group has this id.
    fn add_by_group(&mut self, id: &str) -> Option<()> {
        let groups = self.mounted.groups_with(id)?;
        let members = groups.iter().filter_map(|group| std::fs::read(group.join("cgroup.procs")).ok());
        let first = |text: Vec<u8>| text.split(|&b| b == b'\n').next().and_then(number::<i32>);
        let first: Vec<i32> = members.filter_map(first).collect();
        if first.is_empty() {
            return None;
        }
        first.into_iter().try_for_each(|pid| self.add_process(Pid::from_raw(pid)))
    }

    /// A process, and those of its container.
    fn add_process(&mut self, pid: Pid) -> Option<()> {
        let process = self.proc.process(pid);
        let (status, text) = (process.status().ok()?, process.cgroup().ok()?);
        if status.kernel_thread {
            return None;
        }
        self.pids.insert(pid.as_raw());
        self.chiefs.insert(pid.as_raw());
        let Some(tag) = self.resolver.resolve(pid, &text, status.nspid.len() > 1) else { return Some(()) };
        // Its processes can be in any group.
        if !matches!(tag.identified_by, IdentifiedBy::State | IdentifiedBy::Cgroup) {
            return None;
        }
        self.add_groups(&text, &tag.container)?;
        if let Some(init) = tag.container.init.filter(|init| *init != pid) {
            self.chiefs.insert(init.as_raw());
            self.add_groups(&self.proc.process(init).cgroup().ok()?, &tag.container)?;
        }
        Some(())
    }

    /// The processes in the control groups that have the id of a container. None if there are too many groups.
    fn add_groups(&mut self, text: &[u8], container: &Container) -> Option<()> {
        let groups = Groups::new(&self.mounted, text);
        let (mut is_named, mut all, mut has_unlisted) = (false, BTreeSet::new(), None);
        for (controllers, path) in groups.lines() {
            let path = std::str::from_utf8(path).ok();
            let Some(group) = path.and_then(|path| group_of(path, container)) else { continue };
            let first = controllers.split(|&b| b == b',').next().unwrap_or_default();
            let place = match first {
                b"" => groups.unified(),
                name => groups.place(std::str::from_utf8(name).ok()?),
            };
            if let Some(own) = place.and_then(|place| place.ancestor(group.as_bytes())) {
                is_named = true;
                all.extend(own.members()?);
                has_unlisted = has_unlisted.or_else(|| own.has_unlisted());
            }
        }
        // The groups list no zombies. These have no children, and their parents are mostly in the same group.
        if has_unlisted != Some(false) {
            let children = |pid: &i32| self.proc.process(Pid::from_raw(*pid)).all_children();
            let children: Vec<Pid> = all.iter().flat_map(children).collect();
            all.extend(children.into_iter().map(Pid::as_raw));
        }
        self.pids.extend(all);
        self.has_no_group |= !is_named;
        Some(())
    }

    /// The first process of each mount namespace that shares a namespace with a target, and all that share its pid or
    /// mount namespace.
    fn add_sharing(&mut self) -> Option<()> {
        let (scan, host) = (Scan::new(self.proc).ok()?, HostNamespaces::read(self.proc));
        let inode = |pid: i32, kind: Kind| {
            let mut buffer = [0; 64];
            parse_link(scan.link(Pid::from_raw(pid), link(kind), &mut buffer).ok()?)
        };
        let own = |pid: i32| {
            let of_kind = move |kind| inode(pid, kind).map(|inode| (kind, inode));
            ORDER.into_iter().filter_map(of_kind).filter(|(kind, inode)| host.is(*kind, *inode) != Some(true))
        };
        let wanted: BTreeSet<(Kind, u64)> = self.chiefs.iter().flat_map(|pid| own(*pid)).collect();
        if wanted.is_empty() {
            return Some(());
        }
        let mut kinds: BTreeSet<Kind> = wanted.iter().map(|(kind, _)| *kind).collect();
        kinds.remove(&Kind::Mnt); // read first, of every process
        let is_wanted = |pid: i32, kind: Kind| {
            kinds.contains(&kind) && inode(pid, kind).is_some_and(|inode| wanted.contains(&(kind, inode)))
        };
        let mut seen: HashSet<u64> = HashSet::default();
        for pid in Scan::pids(self.proc).ok()?.into_iter().map(Pid::as_raw) {
            if self.pids.contains(&pid) {
                continue;
            }
            let Some(mnt) = inode(pid, Kind::Mnt) else { continue };
            let is_sharing = match host.is(Kind::Mnt, mnt) {
                _ if wanted.contains(&(Kind::Mnt, mnt)) => true,
                // It can be in the container's pid namespace.
                Some(true) => is_wanted(pid, Kind::Pid),
                _ if seen.insert(mnt) => kinds.iter().any(|kind| is_wanted(pid, *kind)),
                _ => false,
            };
            if is_sharing {
                self.pids.insert(pid);
            }
        }
        Some(())
    }

    fn add_parents(&mut self) {
        let parent = |pid: &i32| self.proc.process(Pid::from_raw(*pid)).status().ok()?.ppid;
        let parents: Vec<i32> = self.pids.iter().filter_map(parent).filter(|pid| *pid > 0).collect();
        self.pids.extend(parents);
    }
}

/// A constant: a scan reads thousands.
const fn link(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "ns/user",
        Kind::Cgroup => "ns/cgroup",
        Kind::Ipc => "ns/ipc",
        Kind::Uts => "ns/uts",
        Kind::Net => "ns/net",
        Kind::Pid => "ns/pid",
        Kind::Mnt => "ns/mnt",
        Kind::Time => "ns/time",
    }
}
