//! One scan of all processes, or of few: the containers, and whose each process is.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::controller::CONTROLLERS;
use super::line::{Line, lines};
use super::processes::ticks;
use super::services::{Service, Services};
use crate::container::records::Records;
use crate::container::target::{self, Target};
use crate::container::unknown::can_be_in_container;
use crate::container::{Container, Few, Files, IdentifiedBy, Resolver, each_process, matching, near};
use crate::errno;
use crate::order;
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, TICKS, count_of_list, cpus_allowed};
use crate::sys::keyed::{HashMap, HashSet};

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
    /// The keys of those that are not shown.
    pub others: Vec<String>,
    pub services: Vec<Service>,
    /// All processes, threads of the kernel too.
    pub processes: Vec<Process>,
    /// What to say about the targets.
    pub notes: Vec<String>,
    /// Why a target means nothing.
    pub problem: Option<String>,
}

/// What is known from scans before.
pub(super) struct Before<'a> {
    pub containers: &'a [Option<Rc<Found>>],
    pub others: &'a HashSet<String>,
    pub services: &'a [Rc<Service>],
    /// Does a process run that ran at the look before?
    pub is_there: &'a dyn Fn(i32) -> bool,
}

/// What a scan of few processes found.
#[derive(Default)]
pub(super) struct Added {
    /// Containers that are new or other ones now, with their numbers.
    pub containers: Vec<(usize, Found)>,
    pub services: Vec<(usize, Service)>,
    pub owners: Vec<(i32, Owner)>,
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
    /// Is it that of a state file? Then another first process is another container of the same name.
    pub has_state: bool,
    /// Can a state file name it soon? Runtimes write these after they start the first process.
    pub is_young: bool,
}

/// All processes. It reads /proc, so a child calls it.
pub(super) fn scan(proc: &ProcRoot, files: &Files, wanted: &Wanted<'_>) -> Result<Scanned> {
    Scanning::new(proc, files, wanted, None)?.finish()
}

/// These processes alone. None: one of them is in a container that a target can mean, which only a scan of all tells.
pub(super) fn few(
    (proc, files): (&ProcRoot, &Files),
    wanted: &Wanted<'_>,
    pids: &[i32],
    before: &Before<'_>,
) -> Result<Option<Added>> {
    let pids = pids.iter().map(|pid| Pid::from_raw(*pid)).collect();
    let few = Few { pids, resolver: Resolver::for_few(proc, files) };
    Ok(Scanning::new(proc, files, wanted, Some(few))?.added(before))
}

/// After this time, in ticks, a runtime has written its state file.
const YOUNG: u64 = 5 * TICKS;

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
    fn new(
        proc: &'a ProcRoot,
        files: &'a Files,
        wanted: &'a Wanted<'a>,
        few: Option<Few<'a>>,
    ) -> Result<Scanning<'a>> {
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
            few,
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
        let mut is_chosen = vec![false; self.all.len()];
        for number in chosen {
            is_chosen[number] = true;
            let Some(mut found) = self.found(number) else { continue };
            // The container around it has a lower number.
            found.around = self.all[number].outer.and_then(|outer| shown[outer]);
            shown[number] = Some(scanned.containers.len());
            scanned.containers.push(found);
        }
        let others = self.all.iter().zip(is_chosen).filter(|(_, is_chosen)| !is_chosen);
        scanned.others = others.map(|(seen, _)| seen.container.key()).collect();
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
        let services = self.services(&[], &|_| false);
        scanned.services = services.found.into_iter().map(|(_, service)| service).collect();
        let process = |(pid, owner)| Process { pid, owner, key: 0, inode: 0 };
        scanned.processes = self.owners(&shown, &services.of).map(process).collect();
        Ok(scanned)
    }

    /// With the numbers of the containers that are shown, and of the services of processes.
    fn owners<'b>(
        &'b self,
        shown: &'b [Option<usize>],
        units: &'b HashMap<i32, usize>,
    ) -> impl Iterator<Item = (i32, Owner)> + 'b {
        let of_all = self.wanted.targets.is_empty();
        self.processes.iter().map(move |(pid, own)| {
            let owner = match own {
                Some(own) => shown[*own].map_or(Owner::Other, Owner::Container),
                None if of_all => Owner::Host(units.get(pid).copied()),
                None => Owner::Other,
            };
            (*pid, owner)
        })
    }

    fn services(&self, known: &[Rc<Service>], is_there: &dyn Fn(i32) -> bool) -> Services {
        let is_wanted = |(_, own): &&(i32, Option<usize>)| self.wanted.services && own.is_none();
        let host = self.processes.iter().filter(is_wanted).map(|(pid, _)| *pid);
        Services::find(self.proc, host, known, is_there)
    }

    /// What these processes add to what is known.
    fn added(&self, before: &Before<'_>) -> Option<Added> {
        let known = || before.containers.iter().enumerate();
        let live = known().filter_map(|(number, found)| Some((number, found.as_deref()?)));
        let (mut numbers, mut nets) = (HashMap::default(), HashMap::default());
        for (number, found) in live {
            numbers.insert(found.key.as_str(), number);
            found.net.into_iter().for_each(|net| _ = nets.insert(net, number));
        }
        let mut added = Added::default();
        let mut shown: Vec<Option<usize>> = Vec::new();
        let mut next = before.containers.len();
        for (at, seen) in self.all.iter().enumerate() {
            let key = seen.container.key();
            let around = seen.outer.and_then(|outer| shown[outer]);
            let known = numbers.get(key.as_str()).copied();
            if known.is_none() && around.is_none() && !self.wanted.targets.is_empty() {
                if !before.others.contains(&key) {
                    return None;
                }
                shown.push(None);
                continue;
            }
            let found = self.found(at);
            let number = known.or_else(|| found.as_ref().map(|_| next));
            shown.push(number);
            let Some((mut found, number)) = found.zip(number) else { continue };
            found.around = around;
            found.net = found.net.filter(|net| *nets.entry(*net).or_insert(number) == number);
            let old = before.containers.get(number).and_then(Option::as_deref);
            // Of a known container only some processes were seen: its first process stays, as long as it runs.
            let is_newer = |old: &Found| found.pid == old.pid || !(before.is_there)(old.pid);
            if old.is_none_or(|old| is_newer(old) && *old != found) {
                next = next.max(number + 1);
                added.containers.push((number, found));
            }
        }
        let services = self.services(before.services, before.is_there);
        added.owners = self.owners(&shown, &services.of).collect();
        added.services = services.found;
        Some(added)
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
        let start = process.start_time();
        let is_sure = container.chain().all(|one| one.identified_by == IdentifiedBy::State);
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
            start,
            has_state: is_sure,
            is_young: !is_sure && start.is_some_and(|start| start.saturating_add(YOUNG) > ticks()),
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
        if word.is_empty() {
            bail!("a TARGET is empty: without one all containers are shown");
        }
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
                let near = || match &word[..] {
                    "host" => Some(anyhow!("no container 'host': that row is shown without a TARGET")),
                    word => Some(anyhow!("no container '{shown}'; {}", near::instead(&all, word)?)),
                };
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
}

/// Its runtime, the user, the container around it, namespace and name.
type Pod<'a> = (&'static str, u32, Option<usize>, Option<&'a str>, &'a str);

fn pod(seen: &Seen) -> Option<Pod<'_>> {
    let container = &seen.container;
    let (name, namespace) = (container.pod.as_deref()?, container.pod_namespace.as_deref());
    Some((container.runtime.name(), container.owner, seen.outer, namespace, name))
}
