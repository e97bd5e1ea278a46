//! Which processes matter for a thing. To look at all of them costs most of the time, and often a few are enough.

mod files;
mod groups;
mod names;
mod unstated;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use nix::unistd::Pid;

use self::names::Names;
use super::files::may_be_group;
use super::finder::host_mounts;
use super::identity::{self, is_fragment};
use super::root::Root;
use super::servers::{is_proxy_name, may_serve};
use super::thing::{Device, Port, Reading, Socket, is_id};
use super::{cgroup, device, namespace};
use crate::container::cni;
use crate::container::details::{Details, Port as DetailsPort};
use crate::container::spaces;
use crate::container::stopped::Stores;
use crate::container::{Container, Files, Resolver, Runtime, matching, search};
use crate::exit;
use crate::isolation::cgroup::Listing;
use crate::isolation::cgroup::kills::OomLine;
use crate::isolation::identity::{Walk, Way};
use crate::isolation::ns;
use crate::isolation::visit::Place;
use crate::net::{self, Netlink, Protocol, UnixSocket};
use crate::proc::id_hash::ById;
use crate::proc::ns::{Kind as Namespace, parse_link};
use crate::proc::{ProcRoot, Scan, sockets_of};

/// More are not few.
const MOST: usize = 500;

pub(super) struct Focus<'a> {
    proc: &'a ProcRoot,
    files: &'a Files,
    root: &'a Root,
    scan: Scan,
    pids: Vec<Pid>,
    /// The processes of each network namespace.
    spaces: Option<BTreeMap<u64, Vec<Pid>>>,
    /// All control groups. None if they cannot be listed: then each process is read.
    groups: OnceCell<Option<Listing>>,
    /// The control groups of processes that were read, if they could not be listed.
    texts: ById<i32, Option<Rc<[u8]>>>,
    /// What the namespaces of all processes say about the word that is looked up.
    names: Option<Names>,
    /// Can processes be missing because not everything was looked at?
    is_incomplete: bool,
    /// Can nobody but the processes of the last reading have it?
    is_proven: bool,
}

/// The processes that matter.
#[derive(Default)]
pub(super) struct Chosen {
    /// None if others than few can matter.
    pub pids: Option<Vec<Pid>>,
    /// For each word: can nobody else have it?
    pub is_settled: Vec<bool>,
    /// The readings for which everything was looked at, and nothing found.
    pub absent: Vec<Reading>,
}

/// Does a reading that finds nothing among few processes find nothing among all?
pub(super) fn is_final(reading: &Reading) -> bool {
    matches!(reading, Reading::Pid(_) | Reading::Cpid(_) | Reading::Namespace(..))
}

/// The processes of the readings of all words. For a word with none this process stands.
pub(super) fn processes<'r>(
    proc: &ProcRoot,
    files: &Files,
    root: &Root,
    words: impl Iterator<Item = &'r [Reading]>,
) -> Chosen {
    let mut chosen = Chosen::default();
    let (Ok(scan), Ok(pids)) = (Scan::new(proc), Scan::pids(proc)) else { return chosen };
    let mut focus = Focus {
        proc,
        files,
        root,
        scan,
        pids,
        spaces: None,
        groups: OnceCell::new(),
        texts: ById::default(),
        names: None,
        is_incomplete: false,
        is_proven: false,
    };
    let found = choose(&mut focus, words, &mut chosen);
    chosen.pids = found.map(|found| found.into_iter().map(Pid::from_raw).collect());
    chosen
}

fn choose<'r>(
    focus: &mut Focus<'_>,
    words: impl Iterator<Item = &'r [Reading]>,
    chosen: &mut Chosen,
) -> Option<BTreeSet<i32>> {
    let mut found = BTreeSet::new();
    for readings in words {
        let mut of_word = BTreeSet::new();
        // To others the kernel does not show all processes: why, only the look at all of them says.
        focus.is_incomplete = exit::sees_less_than_root();
        let mut is_settled = true;
        focus.names = focus.look_up_names(readings);
        for reading in readings {
            // Without the mark of the kernel, what a deleted file was comes last.
            if matches!(reading, Reading::Gone(_)) && !of_word.is_empty() {
                break;
            }
            focus.is_proven = false;
            let of_reading = focus.of(reading)?;
            is_settled &= of_reading.is_empty() || focus.is_proven;
            if of_reading.is_empty() && !focus.is_incomplete {
                chosen.absent.push(reading.clone());
            }
            of_word.extend(of_reading);
            let is_done = match reading {
                Reading::Gone(_) => !of_word.is_empty(),
                Reading::Path(path) => focus.is_foreign() || !may_be_group(focus.root, path),
                _ => false,
            };
            if is_done {
                break;
            }
        }
        chosen.is_settled.push(is_settled);
        if of_word.is_empty() && (!focus.is_incomplete || readings.iter().all(is_final)) {
            of_word.insert(Pid::this().as_raw());
        }
        if of_word.is_empty() || found.len() + of_word.len() > MOST {
            return None;
        }
        found.extend(of_word);
    }
    Some(found)
}

impl Focus<'_> {
    /// Empty if no process is found; None if others can matter.
    fn of(&mut self, reading: &Reading) -> Option<Vec<i32>> {
        Some(match reading {
            Reading::Pid(pid) => {
                let process = self.proc.process(Pid::from_raw(*pid));
                // For whom a proxy or a monitor works, others say.
                if may_serve(&self.comm(*pid)) {
                    return None;
                }
                vec![process.process_of_thread().map_or(*pid, Pid::as_raw)]
            }
            Reading::Namespace(kind, inode) => self.in_namespace(*kind, *inode)?,
            // Nearly every container has one.
            Reading::Cpid(1) => return None,
            Reading::Cpid(cpid) => self.with_cpid(*cpid)?,
            Reading::Interface(name) => self.behind_interface(name)?,
            Reading::Address(address) => {
                self.is_incomplete |= !self.is_on_host();
                let places = self.places();
                self.in_spaces(&places, net::search_address(&places, *address).ok()?)
            }
            Reading::Mac(mac) => {
                self.is_incomplete |= !self.is_on_host();
                let places = self.places();
                let wanted: Vec<u8> =
                    mac.split(':').filter_map(|part| u8::from_str_radix(part, 16).ok()).collect();
                self.in_spaces(&places, net::search(&places, None, |one| one.mac == wanted).ok()?)
            }
            Reading::Id(id) => self.with_id(id)?,
            Reading::Hostname(name) => self.with_hostname(name),
            Reading::Path(path) => {
                let path = std::str::from_utf8(path).ok()?;
                let records = Stores::new(self.files);
                let of_layer: Vec<Details> =
                    records.with_layer(path).into_iter().map(|(one, _)| one).collect();
                let id = path.split(['/', '-', '.', ':']).find(|part| is_id(part));
                match (of_layer.is_empty(), id) {
                    (false, _) => inits(&of_layer)?,
                    // The path of a control group begins with a slash too.
                    (true, Some(id)) => {
                        let stated = inits(&records.all_with(&|other| other == id));
                        let found = stated.unwrap_or_else(|| self.in_groups(id));
                        // A volume can have a name like an id.
                        if found.is_empty() { self.seeing(Path::new(path))? } else { found }
                    }
                    (true, None) => self.seeing(Path::new(path))?,
                }
            }
            Reading::Gone(path) => {
                let path = Path::new(OsStr::from_bytes(path));
                if self.is_foreign() { return None } else { self.holding_gone(&host_mounts(self.proc), path) }
            }
            Reading::Cgroup(path) => self.in_group(path)?,
            Reading::Oom(line) => {
                let line = OomLine::parse(line)?;
                let groups = [Some(line.victim?), line.limit].into_iter().flatten();
                let each = groups.map(|group| self.in_group(&cgroup::path_of(&group)));
                each.collect::<Option<Vec<_>>>()?.concat()
            }
            Reading::Socket(Socket::Inode(inode)) => self.holders(&BTreeSet::from([*inode])),
            Reading::Socket(Socket::Abstract(name)) => self.holding(&UnixSocket::Name(name.clone()))?,
            Reading::Socket(Socket::Path(name)) => self.with_socket(name)?,
            Reading::Device(Device::Number(major, minor)) => self.with_device(*major, *minor)?,
            Reading::Device(Device::Name(name)) => match device::number_of(self.root, name) {
                Some((major, minor)) => self.with_device(major, minor)?,
                None => Vec::new(),
            },
            Reading::Port(port) => self.behind_port(port)?,
        })
    }

    /// The containers with an id or a name: by state files, and by control groups with the id.
    fn with_id(&mut self, word: &str) -> Option<Vec<i32>> {
        let text = word.strip_suffix('?').unwrap_or(word);
        // A container that no record names can have a number as its id: that of a namespace.
        if text.bytes().all(|b| b.is_ascii_digit()) {
            self.is_incomplete = true;
            return Some(Vec::new());
        }
        let is_id = |one: &Container| is_fragment(text) && one.bare_id().starts_with(text);
        let is_named = |one: &Container| !matching::matching(&[Rc::new(one.clone())], word).is_empty();
        let mut stated = Stores::new(self.files).mentioning(word);
        stated.retain(|one| is_id(one) || is_named(one));
        let mut found = match firsts(stated.iter()) {
            Some(found) => found,
            // Not every state file names a first process.
            None => {
                let named = search::find_by_record(&mut Resolver::for_few(self.proc, self.files), word);
                let named: Vec<i32> = named.iter().filter_map(|one| one.init).map(Pid::as_raw).collect();
                self.is_incomplete |= named.is_empty();
                let engines = stated.iter().filter(|one| is_of_engine(one));
                named.into_iter().chain(firsts(engines).into_iter().flatten()).collect()
            }
        };
        if is_fragment(text) && !found.is_empty() {
            found.extend(self.in_groups(text));
        } else if found.is_empty() && !self.is_incomplete {
            let unstated = self.unstated(matching::split_runtime(text).1);
            self.is_proven = unstated.is_some();
            self.is_incomplete |= unstated.is_none();
            found.extend(unstated.into_iter().flatten());
        }
        Some(found)
    }

    /// The containers that Docker gave a host name, and the processes that see it.
    fn with_hostname(&mut self, name: &str) -> Vec<i32> {
        let text = format!("\"Hostname\":\"{name}\"");
        let stated = Stores::new(self.files).of_docker_mentioning(&text);
        let mut found = inits(&stated).unwrap_or_default();
        if let Some(names) = &self.names {
            found.extend(names.with_hostname.iter().map(|pid| pid.as_raw()));
            return found;
        }
        let spaces = self.by_namespace(Namespace::Uts);
        let places = self.places_of(Namespace::Uts, &spaces);
        for at in identity::places_called(&places, name).unwrap_or_default() {
            let members = spaces.get(&places[at].inode).into_iter().flatten();
            found.extend(members.map(|pid| pid.as_raw()));
        }
        found
    }

    /// Who listens on the host or in containers, and the containers that publish the port.
    fn behind_port(&mut self, asked: &Port) -> Option<Vec<i32>> {
        // Of the ports that CNI plugins publish the containers can be any.
        let is_asked = |port: &DetailsPort| port.host_port == Some(asked.number);
        if !self.is_on_host() || cni::results(self.files).iter().any(|one| one.ports.iter().any(is_asked)) {
            return None;
        }
        let places = self.places();
        if let Some(address) = asked.address.filter(|address| !address.is_loopback()) {
            let found = net::search_address(&places, address).ok()?;
            if !found.is_empty() {
                return Some(self.in_spaces(&places, found));
            }
        }
        let (listeners, _) = net::listeners(&Netlink::open(Protocol::SocketDiagnosis).ok()?).ok()?;
        let inodes: BTreeSet<u64> =
            listeners.iter().filter(|one| asked.fits(one)).map(|one| one.inode).collect();
        let mut found = self.holders(&inodes);
        let records = Stores::new(self.files);
        let published: BTreeSet<String> =
            records.published_at(asked.number).into_iter().map(|(_, id, _)| id).collect();
        if !published.is_empty() {
            let firsts = inits(&records.all_with(&|id| published.contains(id)))?;
            let inodes: BTreeSet<u64> =
                firsts.iter().filter_map(|pid| self.link(Pid::from_raw(*pid), Namespace::Net)).collect();
            let own = ProcRoot::default().process(Pid::this()).ns(Namespace::Net);
            let spaces = self.spaces();
            let beside =
                inodes.iter().filter(|inode| Some(**inode) != own).filter_map(|inode| spaces.get(inode));
            found.extend(beside.flatten().map(|pid| pid.as_raw()));
            found.extend(firsts);
        }
        if found.is_empty() {
            let inside = net::search_listeners(&places, |one| asked.fits(one)).ok()?;
            found = self.in_spaces(&places, inside);
        }
        // A proxy of a container that no state file names leads to an address, or to its children.
        let is_proxy = |pid: &i32| is_proxy_name(&self.comm(*pid));
        (!published.is_empty() || !found.iter().any(is_proxy)).then_some(found)
    }

    fn comm(&self, pid: i32) -> String {
        let status = self.proc.process(Pid::from_raw(pid)).status().unwrap_or_default();
        String::from_utf8_lossy(&status.name).into_owned()
    }

    /// The processes that hold one of these sockets.
    fn holders(&self, inodes: &BTreeSet<u64>) -> Vec<i32> {
        self.holders_among(self.pids.iter().map(|pid| pid.as_raw()), inodes)
    }

    fn holders_among(&self, pids: impl Iterator<Item = i32>, inodes: &BTreeSet<u64>) -> Vec<i32> {
        const MOST_DESCRIPTORS: usize = 10_000;
        let holds = |pid: &i32| {
            let mut holds = false;
            _ = sockets_of(&self.scan, *pid, MOST_DESCRIPTORS, |inode| holds |= inodes.contains(&inode));
            holds
        };
        pids.filter(|_| !inodes.is_empty()).filter(holds).collect()
    }

    /// Is the host another one than that of this process?
    fn is_foreign(&self) -> bool {
        self.proc.path() != Path::new("/proc")
    }

    fn link(&self, pid: Pid, kind: Namespace) -> Option<u64> {
        let mut buffer = [0; 64];
        self.scan.link(pid, &kind.link(), &mut buffer).ok().and_then(parse_link)
    }

    /// None if there are too many threads.
    fn in_namespace(&self, kind: Option<Namespace>, inode: u64) -> Option<Vec<i32>> {
        let mut kinds = kind.map_or_else(|| Namespace::ALL.to_vec(), |kind| vec![kind]);
        let mut found = Vec::new();
        for pid in &self.pids {
            // Of several links the way to their directory is gone once.
            let directory = if kinds.len() > 1 { self.scan.namespaces(*pid).ok() } else { None };
            let link = |kind: Namespace| match &directory {
                Some(directory) => directory.inode(kind),
                None => self.link(*pid, kind),
            };
            if let Some(kind) = kinds.iter().find(|kind| link(**kind) == Some(inode)).copied() {
                kinds = vec![kind];
                found.push(pid.as_raw());
            }
        }
        match found.is_empty() {
            true => namespace::processes_beside(&self.scan, &self.pids, &kinds, inode),
            false => Some(found),
        }
    }

    fn with_cpid(&self, cpid: i32) -> Option<Vec<i32>> {
        let mut walk = Walk::new(self.proc, Way::Best, self.pids.clone()).ok()?;
        let mut found = Vec::new();
        while let Some((pid, identity)) = walk.next() {
            found.extend((identity.cpid == Some(cpid)).then_some(pid.as_raw()));
            if found.len() > MOST {
                return None;
            }
        }
        Some(found)
    }

    fn spaces(&mut self) -> &BTreeMap<u64, Vec<Pid>> {
        if self.spaces.is_none() {
            self.spaces = Some(self.by_namespace(Namespace::Net));
        }
        self.spaces.get_or_insert_default()
    }

    fn by_namespace(&self, kind: Namespace) -> BTreeMap<u64, Vec<Pid>> {
        let mut found: BTreeMap<u64, Vec<Pid>> = BTreeMap::new();
        for pid in &self.pids {
            let inode = self.link(*pid, kind);
            inode.into_iter().for_each(|inode| found.entry(inode).or_default().push(*pid));
        }
        found
    }

    /// All but the namespace of this process.
    fn places(&mut self) -> Vec<Place> {
        self.spaces();
        self.spaces.as_ref().map(|spaces| self.places_of(Namespace::Net, spaces)).unwrap_or_default()
    }

    fn places_of(&self, kind: Namespace, spaces: &BTreeMap<u64, Vec<Pid>>) -> Vec<Place> {
        let own = ProcRoot::default().process(Pid::this()).ns(kind);
        let others = spaces.iter().filter(|(inode, _)| Some(**inode) != own);
        let place = |(inode, pids): (&u64, &Vec<Pid>)| Place::of_process(self.proc, pids[0], kind, *inode);
        others.map(place).collect()
    }

    fn in_spaces<T>(&mut self, places: &[Place], found: Vec<(usize, T)>) -> Vec<i32> {
        let inodes: BTreeSet<u64> = found.iter().map(|(at, _)| places[*at].inode).collect();
        let spaces = self.spaces();
        let pids = inodes.iter().filter_map(|inode| spaces.get(inode)).flatten();
        pids.map(|pid| pid.as_raw()).collect()
    }

    /// This process may be in a container that looks at its host.
    fn is_on_host(&self) -> bool {
        let own = ProcRoot::default().process(Pid::this()).ns(Namespace::Net);
        own.is_some() && spaces::host(self.proc, |pid| self.link(Pid::from_raw(pid), Namespace::Net)) == own
    }

    /// Of a veth of the host the processes in the namespace of its peer; of a name that the host has not, those where it
    /// is.
    fn behind_interface(&mut self, name: &[u8]) -> Option<Vec<i32>> {
        if !self.is_on_host() {
            return None;
        }
        let route = Netlink::open(Protocol::Route).ok()?;
        let hosts = net::interfaces(&route, None).ok()?;
        let Some(one) = hosts.iter().find(|one| one.name == name) else {
            return self.with_interface(name);
        };
        let places = self.places();
        let id = one.link_namespace.filter(|_| one.kind == b"veth")?;
        let has_id = |place: &&Place| {
            let fd = ns::open_file(&place.path).ok();
            fd.and_then(|fd| net::namespace_id(&route, &fd).ok()?) == Some(id)
        };
        let inode = places.iter().find(has_id)?.inode;
        Some(self.spaces().get(&inode)?.iter().map(|pid| pid.as_raw()).collect())
    }
}

/// The first processes of containers of Docker and Podman.
fn inits(all: &[Details]) -> Option<Vec<i32>> {
    if all.is_empty() { None } else { firsts(all.iter().map(|one| &one.container)) }
}

/// The first processes of containers, if they are known. State files of Docker and Podman always name them: this process
/// stands for a container that does not run.
fn firsts<'c>(all: impl Iterator<Item = &'c Container>) -> Option<Vec<i32>> {
    let own = Pid::this().as_raw();
    let first = |one: &Container| one.init.map(Pid::as_raw).or(is_of_engine(one).then_some(own));
    all.map(first).collect()
}

fn is_of_engine(one: &Container) -> bool {
    matches!(one.runtime, Runtime::Docker | Runtime::Podman)
}
