//! One scan of all processes: the containers, and whose each process is.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::controller::CONTROLLERS;
use crate::container::records::Records;
use crate::container::target::{self, Target};
use crate::container::unknown::can_be_in_container;
use crate::container::{Container, Files, each_process, group_of, matching, near};
use crate::errno;
use crate::isolation::cgroup;
use crate::order;
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, count_of_list, cpus_allowed};
use crate::sys::keyed::HashMap;

/// What is wanted of a scan.
pub(super) struct Wanted<'a> {
    pub targets: &'a [OsString],
    /// Are pods shown? Then a target is all of its pod.
    pub pods: bool,
    /// Also the groups of services of the host.
    pub services: bool,
    /// Does the kernel attribute disk use to groups on its own?
    pub counts_disk: bool,
    /// Also what interfaces received and sent.
    pub networks: bool,
    /// Also that of each interface and disk.
    pub each_device: bool,
}

#[derive(Serialize, Deserialize, Default)]
pub(super) struct Scanned {
    pub containers: Vec<Found>,
    pub services: Vec<Service>,
    /// All processes, threads of the kernel too.
    pub processes: Vec<Process>,
    /// What to say about the targets.
    pub notes: Vec<String>,
    /// Why a target means nothing.
    pub problem: Option<String>,
}

/// A process, and whose it is.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    pub pid: i32,
    pub owner: Owner,
    /// Processes with the same key have the same owner: see [`super::known`].
    pub key: u64,
    /// That of its directory in /proc. The next process with this PID has another one.
    pub inode: u64,
}

#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    #[serde(rename = "k")]
    Kernel,
    /// The host, with the number of the service, if services are wanted.
    #[serde(rename = "h")]
    Host(Option<usize>),
    /// The number of the innermost container.
    #[serde(rename = "c")]
    Container(usize),
    /// What no row shows.
    #[serde(rename = "o")]
    Other,
}

/// A container with processes.
#[derive(Serialize, Deserialize, Default, Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub key: String,
    pub label: String,
    pub runtime: String,
    /// Without the runtime, as it is shown.
    pub shown: String,
    pub name: Option<String>,
    pub id: String,
    pub pod: Option<String>,
    pub pod_namespace: Option<String>,
    pub image: Option<String>,
    pub owner: u32,
    pub outer: Option<String>,
    /// The key of that container.
    pub outer_key: Option<String>,
    /// The number of the container around it, if that is shown too.
    pub around: Option<usize>,
    pub is_pause: bool,
    pub pid: i32,
    /// When its first process started, in ticks since boot.
    pub start: Option<u64>,
    /// How many CPUs its first process may run on.
    pub cpus: Option<u64>,
    pub groups: Vec<Line>,
    /// Are its processes counted, because groups do not do it?
    pub is_summed: bool,
    /// Its network namespace, if no other row has the numbers of that. None for the host's.
    pub net: Option<u64>,
}

/// A line of the cgroup file of the first process.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// One character for each byte, as in the path.
    pub controllers: String,
    pub path: String,
    /// Does the path end with the container's own group?
    pub own: bool,
}

/// A group of the host's own processes.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Service {
    pub path: String,
    pub pid: i32,
    pub start: Option<u64>,
    pub groups: Vec<Line>,
}

/// All processes. It reads /proc, so a child calls it.
pub(super) fn scan(proc: &ProcRoot, files: &Files, wanted: &Wanted<'_>) -> Result<Scanned> {
    Scanning::new(proc, files, wanted)?.finish()
}

struct Seen {
    container: Rc<Container>,
    outer: Option<usize>,
    /// From the state file, otherwise the process with PID 1 inside.
    init: Option<i32>,
    /// With those of nested containers.
    members: Vec<i32>,
    /// The first process that is in no nested container.
    own: Option<i32>,
}

impl Seen {
    fn chief(&self) -> Option<i32> {
        self.init.or(self.own).or(self.members.first().copied())
    }
}

struct Scanning<'a> {
    proc: &'a ProcRoot,
    files: &'a Files,
    wanted: &'a Wanted<'a>,
    all: Vec<Seen>,
    by_key: HashMap<String, usize>,
    /// Processes with the number of their container.
    processes: Vec<(i32, Option<usize>)>,
    host_net: Option<u64>,
}

impl<'a> Scanning<'a> {
    fn new(proc: &'a ProcRoot, files: &'a Files, wanted: &'a Wanted<'a>) -> Result<Scanning<'a>> {
        let of_host = proc.host_namespaces();
        let at = Kind::ALL.iter().position(|kind| *kind == Kind::Net);
        let mut scanning = Scanning {
            proc,
            files,
            wanted,
            all: Vec::new(),
            by_key: HashMap::default(),
            processes: Vec::new(),
            host_net: at.and_then(|at| of_host[at]),
        };
        each_process(
            (proc, files),
            None,
            |_| true,
            |pid, identity, tag| {
                let pid = pid.as_raw();
                let own = tag.map(|tag| scanning.add(&tag.container, pid, identity.cpid));
                scanning.processes.push((pid, own));
            },
        )?;
        Ok(scanning)
    }

    fn add(&mut self, container: &Rc<Container>, pid: i32, cpid: Option<i32>) -> usize {
        let own = self.number(container);
        let seen = &mut self.all[own];
        seen.own = seen.own.or(Some(pid));
        if cpid == Some(1) && seen.init.is_none() {
            seen.init = Some(pid);
        }
        let mut around = Some(own);
        while let Some(number) = around {
            self.all[number].members.push(pid);
            around = self.all[number].outer;
        }
        own
    }

    fn number(&mut self, container: &Rc<Container>) -> usize {
        let (key, init) = (container.key(), container.init.map(Pid::as_raw));
        if let Some(number) = self.by_key.get(&key) {
            let seen = &mut self.all[*number];
            seen.init = seen.init.or(init);
            return *number;
        }
        let outer = container.outer.as_ref().map(|outer| self.number(outer));
        let container = container.clone();
        self.all.push(Seen { container, outer, init, members: Vec::new(), own: None });
        self.by_key.insert(key, self.all.len() - 1);
        self.all.len() - 1
    }

    fn finish(self) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        let chosen = match self.chosen(&mut scanned.notes) {
            Ok(chosen) => chosen,
            Err(error) => return Ok(Scanned { problem: Some(errno::chain(&error)), ..scanned }),
        };
        let mut shown = vec![None; self.all.len()];
        for number in chosen {
            let Some(mut found) = self.found(number) else { continue };
            // The container around it has a lower number.
            found.around = self.all[number].outer.and_then(|outer| shown[outer]);
            shown[number] = Some(scanned.containers.len());
            scanned.containers.push(found);
        }
        let mut nets = BTreeSet::new();
        // A namespace counts once: for the container that keeps it, else for the one that started first.
        let mut order: Vec<usize> = (0..scanned.containers.len()).collect();
        order::sort_by_key(&mut order, |&at| {
            (!scanned.containers[at].is_pause, scanned.containers[at].start)
        });
        for at in order {
            let found = &mut scanned.containers[at];
            found.net = found.net.filter(|net| nets.insert(*net));
        }
        let units = self.services(&mut scanned.services);
        let of_all = self.wanted.targets.is_empty();
        let owner = |(pid, own): &(i32, Option<usize>)| match own {
            Some(own) => shown[*own].map_or(Owner::Other, Owner::Container),
            None if of_all => Owner::Host(units.get(pid).copied()),
            None => Owner::Other,
        };
        scanned.processes = self
            .processes
            .iter()
            .map(|one| Process { pid: one.0, owner: owner(one), key: 0, inode: 0 })
            .collect();
        Ok(scanned)
    }

    /// None if all its processes have ended.
    fn found(&self, number: usize) -> Option<Found> {
        let seen = &self.all[number];
        let container = &seen.container;
        let pid = seen.chief()?;
        let process = self.proc.process(Pid::from_raw(pid));
        let groups = lines(&process.cgroup().ok()?, Some(container));
        let status = process.status_text().unwrap_or_default();
        let text = container.to_string();
        let has_own = groups
            .iter()
            .filter(|line| CONTROLLERS.iter().any(|(_, name, counts)| *counts && line.is_of(name)))
            .all(|line| line.own);
        Some(Found {
            is_summed: !self.wanted.counts_disk || !has_own,
            key: container.key(),
            label: container.label(),
            runtime: container.runtime.name().to_owned(),
            shown: text.split_once(':').map_or(text.as_str(), |(_, shown)| shown).to_owned(),
            name: container.name.clone(),
            id: container.id.clone(),
            pod: container.pod.clone(),
            pod_namespace: container.pod_namespace.clone(),
            image: container.image.clone(),
            owner: container.owner,
            outer: container.outer.as_ref().map(|outer| outer.label()),
            outer_key: container.outer.as_ref().map(|outer| outer.key()),
            is_pause: container.is_pause(),
            pid,
            start: process.start_time(),
            cpus: cpus_allowed(&status).map(count_of_list),
            groups,
            around: None,
            net: process.ns(Kind::Net).filter(|inode| Some(*inode) != self.host_net),
        })
    }

    /// The containers to show, each once.
    fn chosen(&self, notes: &mut Vec<String>) -> Result<Vec<usize>> {
        if self.wanted.targets.is_empty() {
            return Ok((0..self.all.len()).collect());
        }
        let mut chosen = vec![false; self.all.len()];
        for word in self.wanted.targets {
            for number in self.meant(word, notes)? {
                chosen[number] = true;
            }
        }
        if self.wanted.pods {
            // Its pause process too: the sums of a pod do not depend on how it was named.
            let pods: BTreeSet<Pod<'_>> = self
                .all
                .iter()
                .zip(&chosen)
                .filter_map(|(seen, is_chosen)| pod(seen).filter(|_| *is_chosen))
                .collect();
            for (seen, is_chosen) in self.all.iter().zip(&mut chosen) {
                *is_chosen |= pod(seen).is_some_and(|pod| pods.contains(&pod));
            }
        }
        // With the containers nested in them.
        for number in 0..self.all.len() {
            chosen[number] |= self.all[number].outer.is_some_and(|outer| chosen[outer]);
        }
        Ok((0..self.all.len()).filter(|number| chosen[*number]).collect())
    }

    /// Why no container is that of this process.
    fn not_inside(&self, pid: i32) -> anyhow::Error {
        let status = self.proc.process(Pid::from_raw(pid)).status().ok();
        let is_listed = self.processes.binary_search_by_key(&pid, |process| process.0).is_ok();
        match status {
            Some(status) if status.kernel_thread => {
                anyhow!("process {pid} is a thread of the kernel, which is in no container")
            }
            Some(status) if is_listed => {
                match can_be_in_container(self.proc, pid, status.nspid.last().copied()) {
                    Some(why) => anyhow!("unknown whether process {pid} is in a container: it {why}"),
                    None => anyhow!("process {pid} is in no container"),
                }
            }
            _ => anyhow!("no process {pid}"),
        }
    }

    fn meant(&self, word: &OsStr, notes: &mut Vec<String>) -> Result<Vec<usize>> {
        let shown = crate::text::shown(word);
        let word = match Target::parse(word).with_context(|| format!("invalid target '{shown}'"))? {
            Target::Container(word) => word,
            Target::Pid { pid, .. } => {
                let pid = pid.as_raw();
                let has = |seen: &Seen| seen.members.contains(&pid);
                // The innermost one comes after those around it.
                let found = self.all.iter().rposition(has);
                return found.map(|number| vec![number]).ok_or_else(|| self.not_inside(pid));
            }
        };
        if target::without_cpid(&word) != word {
            bail!("'{shown}' names a process: ctr-top shows containers");
        }
        let all: Vec<Rc<Container>> = self.all.iter().map(|seen| seen.container.clone()).collect();
        let found = matching::among(self.proc, &all, &word);
        let found = match matching::group(&found, &word) {
            Some(group) => group,
            None => {
                let ended = || Records::new(self.files).not_running(&all, &word);
                let near = || Some(anyhow!("no container '{shown}'; {}", near::instead(&all, &word)?));
                vec![matching::one(&found, &word).map_err(|error| match found.is_empty() {
                    true => ended().or_else(near).unwrap_or(error),
                    false => error,
                })?]
            }
        };
        for container in &found {
            notes.extend(target::unverified(container, &word));
        }
        Ok(found.iter().filter_map(|container| self.by_key.get(&container.key()).copied()).collect())
    }

    /// The groups of the host's processes, by unit where there are units; and the number of that of each process.
    fn services(&self, all: &mut Vec<Service>) -> HashMap<i32, usize> {
        let (mut numbers, mut by_path) = (HashMap::default(), BTreeMap::new());
        let host = self.processes.iter().filter(|(_, own)| self.wanted.services && own.is_none());
        for &(pid, _) in host {
            let Ok(text) = self.proc.process(Pid::from_raw(pid)).cgroup() else { continue };
            let mut groups = lines(&text, None);
            let named = groups.iter().find(|line| line.controllers.is_empty() && line.path != "/");
            let named = named.or_else(|| groups.iter().find(|line| line.controllers == "name=systemd"));
            let Some(path) = named.map(|line| unit(&line.path).to_owned()) else { continue };
            if path == "/" {
                continue;
            }
            for line in &mut groups {
                let own = unit(&line.path).to_owned();
                (line.own, line.path) = (own == path, own);
            }
            let number = *by_path.entry(path.clone()).or_insert_with(|| {
                let start = self.proc.process(Pid::from_raw(pid)).start_time();
                all.push(Service { path, pid, start, groups });
                all.len() - 1
            });
            numbers.insert(pid, number);
        }
        numbers
    }
}

/// Its runtime, the user, the container around it, namespace and name.
type Pod<'a> = (&'static str, u32, Option<usize>, Option<&'a str>, &'a str);

fn pod(seen: &Seen) -> Option<Pod<'_>> {
    let container = &seen.container;
    let (name, namespace) = (container.pod.as_deref()?, container.pod_namespace.as_deref());
    Some((container.runtime.name(), container.owner, seen.outer, namespace, name))
}

/// The group of a unit of systemd, or the whole path.
fn unit(path: &str) -> &str {
    const ENDS: [&str; 5] = [".service", ".scope", ".mount", ".socket", ".swap"];
    let mut end = 0;
    for part in path.split_inclusive('/') {
        end += part.len();
        let part = part.trim_end_matches('/');
        // `user@1000.service` has the services of the user below it.
        if ENDS.iter().any(|unit| part.ends_with(unit)) && !part.starts_with("user@") {
            break;
        }
    }
    match path[..end].trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

impl Line {
    /// Is it the line of this controller? The empty name is that of the unified hierarchy.
    pub(super) fn is_of(&self, name: &str) -> bool {
        self.controllers.split(',').any(|own| own == name)
    }
}

fn lines(text: &[u8], container: Option<&Container>) -> Vec<Line> {
    let line = |line: cgroup::Membership<'_>| {
        let whole = latin(line.path);
        let own = container.and_then(|container| group_of(std::str::from_utf8(line.path).ok()?, container));
        let path = own.map_or(whole, |own| latin(own.as_bytes()));
        Line { controllers: latin(line.controllers), path, own: own.is_some() }
    };
    cgroup::parse(text).map(line).collect()
}

/// A text with one character for each byte: any path fits into JSON.
pub(super) fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// The bytes again.
pub(super) fn bytes(latin: &str) -> Vec<u8> {
    latin.chars().filter_map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive() {
        let path: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&latin(&path)), path);
    }

    #[test]
    fn units() {
        for (path, expected) in [
            ("/system.slice/ssh.service", "/system.slice/ssh.service"),
            ("/system.slice/x.service/inner/deep", "/system.slice/x.service"),
            (
                "/user.slice/user-0.slice/user@0.service/app.slice/a.service/b",
                "/user.slice/user-0.slice/user@0.service/app.slice/a.service",
            ),
            ("/", "/"),
            ("/plain/group", "/plain/group"),
        ] {
            assert_eq!(unit(path), expected);
        }
    }
}
