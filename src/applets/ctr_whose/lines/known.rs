//! What the words of lines can be: read when the first line may name something, and again when a line names what is not
//! known.

#[cfg(any(test, fuzzing))]
mod fuzz;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::unistd::Pid;

use super::super::answer::{By, JsonAnswer, Named, Role};
use super::super::files::{layer_ids, root_device};
use super::super::finder::{Finder, recorded, status};
use super::super::servers::is_proxy_name;
use super::super::{Request, host, network, port};
use super::Thing;
use super::time::{Time, time_of};
use super::victims::Victims;
use crate::container::world::World;
use crate::isolation::cgroup::parse;
use crate::order;
use crate::proc::clock::Clock;
use crate::proc::id_hash::ById;
use crate::proc::{ProcRoot, TICKS};
use crate::sys::keyed::HashMap;

/// A container, or several of a pod.
struct Owners {
    label: String,
    members: Vec<usize>,
}

pub(super) struct Known<'a> {
    request: &'a Request,
    tables: Option<Tables>,
    read_at: Option<Instant>,
    /// How long the last reading took.
    took: Duration,
    /// What looked like an id or a veth and was nobody's, and when.
    unknown: HashMap<Vec<u8>, Instant>,
    /// Has a line asked for a group? Before that no table of them is made.
    wants_groups: bool,
    /// The same for a process that takes connections for containers.
    wants_proxies: bool,
    pub(super) victims: Victims,
    /// How often everything was read. The numbers of owners are of one reading.
    readings: usize,
}

struct Tables {
    proc: ProcRoot,
    clock: Clock,
    clock_read: Instant,
    /// The name of this host.
    host: Option<String>,
    /// A process that was listed began before this, in ticks since the boot.
    listed: u64,
    named: Vec<(Named, u32)>,
    owners: Vec<Owners>,
    /// Ids of 64 digits, in order: the beginning of 12 digits is looked up too.
    ids: BTreeMap<String, Option<usize>>,
    pods: HashMap<String, usize>,
    addresses: HashMap<IpAddr, Option<usize>>,
    interfaces: HashMap<Vec<u8>, Option<usize>>,
    /// With which bytes the names of interfaces begin.
    begins: Vec<[u8; 2]>,
    processes: ById<i32, usize>,
    /// PID and port of the host, if a line asked for one.
    proxies: HashMap<(i32, u16), Option<usize>>,
    /// Paths of groups, if a line asked for one.
    groups: HashMap<Vec<u8>, Option<usize>>,
}

/// What is read anew at most so often.
const PAUSE: Duration = Duration::from_secs(1);
/// The same word is reason to look again after this time.
const LATER: Duration = Duration::from_secs(10);
/// Reading takes at most this part of the time.
const SHARE: u32 = 20;
/// Words that are remembered as nobody's.
const MOST_UNKNOWN: usize = 20_000;

impl<'a> Known<'a> {
    pub(super) fn new(request: &'a Request) -> Known<'a> {
        let unknown = HashMap::default();
        let took = Duration::ZERO;
        let victims = Victims::default();
        Known {
            request,
            tables: None,
            read_at: None,
            took,
            unknown,
            wants_groups: false,
            wants_proxies: false,
            victims,
            readings: 0,
        }
    }

    /// Things that were found before another reading are worth nothing.
    pub(super) fn readings(&self) -> usize {
        self.readings
    }

    fn tables(&mut self) -> Result<&Tables> {
        if self.tables.is_none() {
            self.read()?;
        }
        self.tables.as_ref().ok_or_else(|| anyhow::anyhow!("nothing is known"))
    }

    fn read(&mut self) -> Result<()> {
        let begin = Instant::now();
        self.tables = Some(Tables::read(self.request, (self.wants_groups, self.wants_proxies))?);
        self.took = begin.elapsed();
        self.read_at = Some(Instant::now());
        self.readings += 1;
        Ok(())
    }

    /// A container may have begun since. False if it is too early to look again.
    fn look_again(&mut self, word: &[u8]) -> Result<bool> {
        if self.unknown.get(word).is_some_and(|at| at.elapsed() < LATER) {
            return Ok(false);
        }
        let pause = PAUSE.max(self.took * SHARE);
        if self.read_at.is_none_or(|at| at.elapsed() < pause) {
            return Ok(false);
        }
        if self.unknown.len() >= MOST_UNKNOWN {
            self.unknown.clear();
        }
        self.unknown.insert(word.to_vec(), Instant::now());
        self.read()?;
        Ok(true)
    }

    /// What `find` finds, perhaps after another look.
    fn found(
        &mut self,
        word: &[u8],
        find: impl Fn(&Tables) -> Option<Option<usize>>,
    ) -> Result<Option<usize>> {
        if let Some(found) = find(self.tables()?) {
            return Ok(found);
        }
        match self.look_again(word)? {
            true => Ok(find(self.tables()?).flatten()),
            false => Ok(None),
        }
    }

    /// By an id of 64 or 12 digits.
    pub(super) fn id(&mut self, id: &str) -> Result<Option<usize>> {
        self.found(id.as_bytes(), |tables| {
            let mut from =
                tables.ids.range::<str, _>((std::ops::Bound::Included(id), std::ops::Bound::Unbounded));
            let (first, owner) = from.next().filter(|(known, _)| known.starts_with(id))?;
            _ = first;
            let is_unique = from.next().is_none_or(|(known, _)| !known.starts_with(id));
            Some(if is_unique { *owner } else { None })
        })
    }

    pub(super) fn pod(&mut self, uid: &str) -> Result<Option<usize>> {
        Ok(self.tables()?.pods.get(uid).copied())
    }

    /// A control group that only processes of one container are in.
    pub(super) fn group(&mut self, path: &[u8]) -> Result<Option<usize>> {
        if !std::mem::replace(&mut self.wants_groups, true) {
            self.read()?;
        }
        self.found(path, |tables| tables.groups.get(path).copied())
    }

    /// Remembers the victim in an `oom-kill:` line.
    pub(super) fn note_victim(&mut self, line: &[u8]) {
        self.victims.note(line, now());
    }

    /// The group of the process that was killed for lack of memory, as the line says.
    pub(super) fn group_of_victim(&mut self, pid: i32, line: &[u8]) -> Result<Option<Vec<u8>>> {
        let tables = self.tables()?;
        // A copy of the host's files has no log of the kernel.
        let log = (!tables.proc.is_copy()).then_some(tables.clock.boot);
        Ok(self.victims.group(line, pid, now(), log))
    }

    /// Only ids of root's containers can be in groups outside of the slices of users.
    pub(super) fn may_be_in(&self, owner: usize, slice: Option<u32>) -> bool {
        let Some(tables) = &self.tables else { return false };
        tables.owners[owner].members.iter().all(|member| tables.named[*member].1 == slice.unwrap_or(0))
    }

    pub(super) fn address(&mut self, address: IpAddr) -> Result<Option<usize>> {
        Ok(self.tables()?.addresses.get(&address).copied().flatten())
    }

    /// An interface of the host. Words that begin as no interface does are not looked up.
    pub(super) fn interface(&mut self, name: &[u8]) -> Result<Option<usize>> {
        let Some(begin) = name.first_chunk::<2>() else { return Ok(None) };
        let tables = self.tables()?;
        let is_veth = name.starts_with(b"veth");
        if !is_veth && !tables.begins.contains(begin) {
            return Ok(None);
        }
        match is_veth {
            true => self.found(name, |tables| tables.interfaces.get(name).copied()),
            false => Ok(tables.interfaces.get(name).copied().flatten()),
        }
    }

    /// A process that had begun when the line was written, with this name if the line has one.
    pub(super) fn process(
        &mut self,
        pid: i32,
        line: &[u8],
        comm: Option<&[u8]>,
        is_live: bool,
    ) -> Result<Option<usize>> {
        let tables = self.tables()?;
        let Some(owner) = tables.processes.get(&pid).copied() else { return Ok(None) };
        let process = tables.proc.process(Pid::from_raw(pid));
        // Not one that took the PID since.
        let Some(start) = process.start_time().filter(|start| *start <= tables.listed) else {
            return Ok(None);
        };
        let has_name =
            comm.is_none_or(|comm| process.status().is_ok_and(|status| is_cut(comm, &status.name)));
        let has_begun = || {
            let now = now();
            match time_of(line, now) {
                Some(Time::Boot(time)) => time * 100.0 > start as f64 + 1.0 && tables.has_come(time),
                Some(Time::Epoch(time)) => {
                    tables.clock.epoch(start).is_some_and(|start| time > start) && time <= now + 1
                }
                None => is_live && comm.is_some(),
            }
        };
        Ok(Some(owner).filter(|_| has_name && has_begun()))
    }

    /// The container for which a process of the host listens on this port, by its name a proxy.
    pub(super) fn proxy(&mut self, pid: i32, port: u16, comm: &[u8]) -> Result<Option<usize>> {
        if !std::str::from_utf8(comm).is_ok_and(is_proxy_name) {
            return Ok(None);
        }
        if !std::mem::replace(&mut self.wants_proxies, true) {
            self.read()?;
        }
        let key = format!("{pid}:{port}");
        let owner = self.found(key.as_bytes(), |tables| tables.proxies.get(&(pid, port)).copied())?;
        let tables = self.tables()?;
        let process = tables.proc.process(Pid::from_raw(pid));
        let is_it = process.start_time().is_some_and(|start| start <= tables.listed)
            && process.status().is_ok_and(|status| is_cut(comm, &status.name));
        Ok(owner.filter(|_| is_it))
    }

    /// Is it a name of this host, with or without its domain?
    pub(super) fn is_host(&self, name: &[u8]) -> bool {
        let first = |name: &[u8]| name.split(|&b| b == b'.').next().unwrap_or_default().to_ascii_lowercase();
        let own = self.tables.as_ref().and_then(|tables| tables.host.as_ref());
        own.is_some_and(|own| first(own.as_bytes()) == first(name))
    }

    pub(super) fn label(&self, owner: usize) -> &str {
        self.tables.as_ref().map_or("", |tables| &tables.owners[owner].label)
    }

    pub(super) fn answers(&self, thing: &Thing) -> Vec<JsonAnswer> {
        let Some(tables) = &self.tables else { return Vec::new() };
        let each = |member: &usize| {
            let (named, _) = &tables.named[*member];
            let is_running = named.status == Some("running");
            JsonAnswer {
                container: named.label.clone(),
                runtime: named.runtime,
                name: named.name.clone(),
                id: named.id.clone(),
                pod: named.pod.clone(),
                pod_namespace: named.pod_namespace.clone(),
                status: named.status,
                pid: thing.pid,
                cpid: None,
                command: None,
                role: thing.role.name(),
                by: match thing.role {
                    Role::Published => By::Proxy,
                    _ if is_running => By::Kernel,
                    _ => By::State,
                }
                .name(),
                detail: String::new(),
            }
        };
        tables.owners[thing.subject].members.iter().map(each).collect()
    }
}

/// The kernel cuts the name of a process; syslog(3) does not.
fn is_cut(name: &[u8], comm: &[u8]) -> bool {
    const LONGEST_COMM: usize = 15;
    name.get(..LONGEST_COMM).unwrap_or(name) == comm
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|now| i64::try_from(now.as_secs()).ok()).unwrap_or(0)
}

/// The groups that containers are in. One in which others are too is nobody's, as is one above several containers.
fn groups(finder: &Finder<'_>) -> HashMap<Vec<u8>, Option<usize>> {
    let (world, mut found) = (finder.world, HashMap::default());
    for process in &world.processes {
        let text = world.proc.process(Pid::from_raw(process.pid)).cgroup().unwrap_or_default();
        let owner = process.container.filter(|number| !finder.is_unverified(*number));
        for group in parse(&finder.absolute(&text)).filter(|group| group.path != b"/") {
            let known = found.entry(group.path.to_vec()).or_insert(owner);
            *known = known.filter(|known| Some(*known) == owner);
        }
    }
    found
}

impl Tables {
    fn read(request: &Request, (wants_groups, wants_proxies): (bool, bool)) -> Result<Tables> {
        let (files, root) = host(request)?;
        let proc = files.proc(request.root.as_deref())?;
        let (clock, clock_read) = (Clock::read(&proc), Instant::now());
        let world = World::new(&proc, &files, None)?;
        let finder = Finder::new(&world, &files, &root, false, &[]);
        let mut tables = Tables {
            clock,
            clock_read,
            host: proc.host_name(),
            listed: clock.uptime.map_or(u64::MAX, |seconds| (seconds + 1).saturating_mul(TICKS)),
            named: Vec::new(),
            owners: Vec::new(),
            ids: BTreeMap::new(),
            pods: HashMap::default(),
            addresses: HashMap::default(),
            interfaces: HashMap::default(),
            begins: Vec::new(),
            processes: ById::default(),
            proxies: HashMap::default(),
            groups: if wants_groups { groups(&finder) } else { HashMap::default() },
            proc: proc.clone(),
        };
        let layers = layer_ids(finder.host_mounts());
        for number in 0..world.containers.len() {
            let container = &world.containers[number].container;
            let named = finder.named(&super::super::answer::Owner::Running(number));
            tables.add(
                named,
                container.owner,
                Some(container.bare_id()).filter(|_| !finder.is_unverified(number)),
            );
            let group = container.group.clone().filter(|_| !finder.is_unverified(number));
            let root = || root_device(&proc, Pid::from_raw(world.containers[number].chief()));
            let root = if finder.is_unverified(number) { None } else { root() };
            let layer = root.and_then(|device| layers.get(&*device).cloned());
            group.into_iter().chain(layer).for_each(|id| tables.add_id(id, number));
        }
        for one in finder.stopped() {
            let owner = recorded(&one.container, status(one));
            tables.add(finder.named(&owner), one.container.owner, Some(one.container.bare_id()));
        }
        tables.add_pods(&finder);
        let index = network::index(&finder);
        for (address, owners) in index.addresses {
            let owner = tables.all_of(&owners);
            tables.addresses.insert(address, owner);
        }
        for (name, owners) in index.interfaces {
            tables.begins.extend(name.first_chunk::<2>());
            let owner = tables.all_of(&owners);
            tables.interfaces.insert(name, owner);
        }
        order::sort(&mut tables.begins);
        tables.begins.dedup();
        for process in &world.processes {
            let container = process.container.filter(|number| !finder.is_unverified(*number));
            if let Some(number) = container {
                tables.processes.insert(process.pid, number);
            }
        }
        let proxies = if wants_proxies { port::proxies(&finder) } else { Vec::new() };
        let mut by_port: BTreeMap<(i32, u16), Vec<usize>> = BTreeMap::new();
        for (pid, port, number) in proxies {
            by_port.entry((pid, port)).or_default().push(number);
        }
        for (key, numbers) in by_port {
            let is_sure = numbers.iter().all(|number| !finder.is_unverified(*number));
            let owner = if is_sure { tables.all_of(&numbers) } else { None };
            tables.proxies.insert(key, owner);
        }
        Ok(tables)
    }

    /// Is a time since the boot not in the future? The clocks differ by less than two seconds.
    fn has_come(&self, time: f64) -> bool {
        let now = |uptime: u64| uptime as f64 + self.clock_read.elapsed().as_secs_f64();
        self.clock.uptime.is_some_and(|uptime| time <= now(uptime) + 2.0)
    }

    /// The number of the owner is that of the container.
    fn add(&mut self, named: Named, uid: u32, id: Option<&str>) {
        let number = self.named.len();
        self.owners.push(Owners { label: named.label.clone(), members: vec![number] });
        self.named.push((named, uid));
        id.into_iter().for_each(|id| self.add_id(id.to_owned(), number));
    }

    /// An id that several containers have is nobody's.
    fn add_id(&mut self, id: String, number: usize) {
        self.ids
            .entry(id)
            .and_modify(|known| *known = known.filter(|known| *known == number))
            .or_insert(Some(number));
    }

    /// By the UIDs that kubelet puts into the paths of groups.
    fn add_pods(&mut self, finder: &Finder<'_>) {
        let mut members: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, known) in finder.world.containers.iter().enumerate() {
            if known.container.pod_namespace.is_some() && !known.container.is_pause() {
                let cgroup =
                    finder.world.proc.process(Pid::from_raw(known.chief())).cgroup().unwrap_or_default();
                let uid = crate::container::pod_uid(&String::from_utf8_lossy(&cgroup).replace('\n', "/"));
                uid.into_iter().for_each(|uid| members.entry(uid).or_default().push(number));
            }
        }
        for (uid, members) in members {
            if let Some(owner) = self.all_of(&members) {
                self.pods.insert(uid, owner);
            }
        }
    }

    /// The only one, or the pod of all of them.
    fn all_of(&mut self, numbers: &[usize]) -> Option<usize> {
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        let (first, others) = numbers.split_first()?;
        if others.is_empty() {
            return Some(*first).filter(|first| *first < self.named.len());
        }
        let (one, uid) = self.named.get(*first)?;
        let pod = one.pod.clone()?;
        let is_same = |other: &usize| {
            let Some((other, other_uid)) = self.named.get(*other) else { return false };
            (&other.pod, &other.pod_namespace, other.runtime, other_uid)
                == (&one.pod, &one.pod_namespace, one.runtime, uid)
        };
        if !others.iter().all(is_same) {
            return None;
        }
        let namespace =
            one.pod_namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let label = format!("{}:{namespace}{pod}", one.runtime);
        self.owners.push(Owners { label, members: numbers });
        Some(self.owners.len() - 1)
    }
}
