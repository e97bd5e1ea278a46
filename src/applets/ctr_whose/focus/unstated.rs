//! Which processes can be in a container that has a name or an id in no state file that is listed. If there is none, nobody has
//! the name, and not all processes and containers need be looked up.

use std::rc::Rc;

use memchr::memmem::Finder;
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::{Focus, MOST};
use crate::container::stopped::Stores;
use crate::container::{Claim, is_in_usual_state, is_logged};
use crate::isolation::cgroup::{Listing, View, parse};
use crate::isolation::ns;
use crate::proc::id_hash::ById;
use crate::proc::ns::Kind as Namespace;
use crate::sys::keyed::{HashMap, HashSet};

/// Where ip-netns(8) names network namespaces.
const NAMED: &str = "/run/netns";
/// What the working directory of a shim of containerd has: its state files can be anywhere.
const TASKS: &[u8] = b"/io.containerd.runtime.v2.task/";
/// What the groups of a process say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    has_word: bool,
    claim: Claim,
}

/// The host's.
struct Outside {
    pid_ns: u64,
    root: ((u32, u32), u64),
}

impl Focus<'_> {
    /// None if it can be any process.
    pub(super) fn unstated(&mut self, word: &str) -> Option<Vec<i32>> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        // The id of a container that only the kernel shows is the number of a namespace.
        let is_number = word.bytes().all(|b| b.is_ascii_digit());
        if self.is_foreign() || is_number || !word.bytes().all(is_plain) || is_logged(word) {
            return None;
        }
        if self.files.list(NAMED).iter().any(|name| name == word) {
            return None;
        }
        self.look_up_groups();
        // Users can write any id into their state files.
        let (outside, known) = (self.outside()?, Stores::new(&self.files.without_users()).ids());
        // systemd's groups have the UID of a pod with `_`.
        let of_systemd = word.replace('-', "_");
        let wanted = [Finder::new(word), Finder::new(&of_systemd)];
        let said = self.said(|path| Said {
            has_word: wanted.iter().any(|wanted| wanted.find(path).is_some()),
            claim: Claim::of_path(path, |id| known.contains(id)),
        })?;
        let (mut found, mut outermost) = (Vec::new(), HashSet::default());
        let (mut others, mut has_unknown) = (Vec::new(), false);
        for pid in self.pids.clone() {
            let Said { has_word, claim } = said.get(&pid.as_raw()).copied().unwrap_or_default();
            has_unknown |= claim == Claim::Unknown && !has_word;
            let may_be_it = has_word
                || match claim {
                    Claim::Known => false,
                    Claim::Below => true,
                    Claim::Unknown => !self.is_in_none(pid, &outside, &mut outermost),
                    Claim::Nothing => {
                        others.push(pid);
                        self.is_elsewhere(pid, &outside)
                    }
                };
            if may_be_it {
                found.push(pid.as_raw());
            }
            if found.len() > MOST {
                return None;
            }
        }
        // State files that no directory has are read for a container that no other one names.
        let may_have_others = has_unknown || !found.is_empty();
        let is_known = !may_have_others || !others.into_iter().any(|pid| self.has_other_state_files(pid));
        Some(found).filter(|_| is_known)
    }

    /// What the groups of each process say, if they say anything. None if that is not sure.
    fn said(&mut self, of_path: impl Fn(&[u8]) -> Said) -> Option<ById<i32, Said>> {
        // Names of units are written in another way than those of containers.
        let of_path = |path: &[u8]| (!path.contains(&b'\\')).then(|| of_path(path));
        let (mut found, unlisted) = match self.listing() {
            Some(listing) => self.listed(listing, of_path)?,
            None => (ById::default(), self.pids.clone()),
        };
        self.add_read(&mut found, &unlisted, of_path).then_some(found)
    }

    /// The same from the list of all groups, with the processes that only their own files can be asked about.
    fn listed(
        &self,
        listing: &Listing,
        of_path: impl Fn(&[u8]) -> Option<Said>,
    ) -> Option<(ById<i32, Said>, Vec<Pid>)> {
        // A process tells the number of its group in less time than a group its processes.
        let numbers = self.names.as_ref().map(|names| &names.groups).filter(|numbers| !numbers.is_empty());
        let (mut found, mut by_number, mut unlisted) =
            (ById::<i32, Said>::default(), ById::default(), Vec::new());
        for group in listing.groups() {
            let said = of_path(&group.path);
            if let (Some(number), Some(_)) = (group.number, numbers) {
                by_number.insert(number, said);
            } else if said != Some(Said::default()) {
                for pid in listing.members(group)? {
                    let known = found.entry(pid).or_default();
                    *known = said?.max(*known);
                }
            }
        }
        let Some(numbers) = numbers else { return Some((found, unlisted)) };
        by_number.insert(Listing::ROOT, Some(Said::default()));
        for pid in &self.pids {
            match numbers.get(&pid.as_raw()).and_then(|number| by_number.get(number)) {
                Some(said) => {
                    let known = found.entry(pid.as_raw()).or_default();
                    *known = (*said)?.max(*known);
                }
                None => unlisted.push(*pid),
            }
        }
        Some((found, unlisted))
    }

    /// Adds what the groups of these processes say, read of each. False if that is not sure.
    fn add_read(
        &mut self,
        found: &mut ById<i32, Said>,
        pids: &[Pid],
        of_path: impl Fn(&[u8]) -> Option<Said>,
    ) -> bool {
        let mut by_text = HashMap::<Rc<[u8]>, Said>::default();
        for pid in pids {
            let Some(text) = self.groups_of(*pid) else { continue };
            let said = by_text.get(&text).copied().or_else(|| {
                let each: Option<Vec<Said>> = parse(&text).map(|line| of_path(line.path)).collect();
                Some(each?.into_iter().max().unwrap_or_default()).filter(|_| !View::is_relative(&text))
            });
            let Some(said) = said else { return false };
            by_text.insert(text, said);
            found.insert(pid.as_raw(), said);
        }
        true
    }

    fn outside(&self) -> Option<Outside> {
        let this = Pid::this();
        Some(Outside { pid_ns: self.link(this, Namespace::Pid)?, root: self.root(this)? })
    }

    fn pid_space(&self, pid: Pid) -> Option<u64> {
        let known = self.names.as_ref().and_then(|names| names.pid_spaces.get(&pid.as_raw()));
        known.map_or_else(|| self.link(pid, Namespace::Pid), |(space, _)| Some(*space))
    }

    fn root(&self, pid: Pid) -> Option<((u32, u32), u64)> {
        self.scan.root(pid).ok().map(|root| (root.device, root.inode))
    }

    /// Has the process a pid namespace or a root directory of its own, so that it is a container without a group?
    fn is_elsewhere(&self, pid: Pid, outside: &Outside) -> bool {
        let pid_ns = self.pid_space(pid).is_some_and(|own| own != outside.pid_ns);
        let root = || self.root(pid).is_some_and(|own| own != outside.root);
        let is_thread = || self.proc.process(pid).status().is_ok_and(|status| status.kernel_thread);
        (pid_ns || root()) && !is_thread()
    }

    /// Is a process in no container but that which its group names? Then its pid namespace is directly below the host's.
    fn is_in_none(&self, pid: Pid, outside: &Outside, outermost: &mut HashSet<u64>) -> bool {
        let known = self.names.as_ref().and_then(|names| names.pid_spaces.get(&pid.as_raw()));
        match (self.pid_space(pid), known) {
            (None, _) => true,
            (Some(own), _) if own == outside.pid_ns => !self.is_elsewhere(pid, outside),
            (Some(_), Some((_, is_outermost))) => *is_outermost,
            (Some(own), None) if outermost.contains(&own) => true,
            (Some(_), None) => {
                let Ok(space) = self.scan.open(pid, &Namespace::Pid.link()) else { return true };
                let parent = ns::parent_of(&space).and_then(fstat);
                let is_outermost = parent.is_ok_and(|parent| parent.st_ino == outside.pid_ns);
                let inode = fstat(&space).map(|space| space.st_ino);
                outermost.extend(inode.ok().filter(|_| is_outermost));
                is_outermost
            }
        }
    }

    /// Is it a shim whose state files are in no directory that is listed?
    fn has_other_state_files(&self, pid: Pid) -> bool {
        let mut buffer = [0; 4096];
        let Ok(directory) = self.scan.link(pid, "cwd", &mut buffer) else { return false };
        !is_in_usual_state(directory) && Finder::new(TASKS).find(directory).is_some()
    }
}
