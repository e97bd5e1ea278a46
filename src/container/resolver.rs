//! From a process to its container, and to all containers: candidates looked up and checked, each once.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use nix::unistd::Pid;

use super::cgroup_path::{Candidate, Store, candidates};
use super::containerd::{self, Containerd};
use super::docker::Docker;
use super::podman::Podman;
use super::{Container, Files, Proof, Runtime};
use crate::isolation::cgroup;
use crate::isolation::kind::{Kind, parse_link};
use crate::proc::ProcRoot;

/// What state on disk says of an id, and the control groups where its init process really is.
#[derive(Clone)]
struct Known {
    container: Rc<Container>,
    /// Paths up to the component of the id, in whatever hierarchy. Empty when init does not live.
    groups: Vec<String>,
}

/// (store, namespace where the store has them, id)
type Key = (&'static str, String, String);

pub struct Resolver<'a> {
    proc: &'a ProcRoot,
    files: &'a Files,
    docker: Docker,
    containerd: Containerd,
    podman: Podman,
    /// Answers by the whole text of a cgroup file: most processes share it with others.
    by_text: HashMap<Vec<u8>, Option<Rc<Container>>>,
    known: HashMap<Key, Option<Known>>,
}

impl<'a> Resolver<'a> {
    #[must_use]
    pub fn new(proc: &'a ProcRoot, files: &'a Files) -> Self {
        Resolver {
            proc,
            files,
            docker: Docker::default(),
            containerd: Containerd::default(),
            podman: Podman::default(),
            by_text: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// The container of a process, by the text of its `/proc/PID/cgroup`.
    pub fn of_cgroup(&mut self, text: &[u8]) -> Option<Rc<Container>> {
        if let Some(answer) = self.by_text.get(text) {
            return answer.clone();
        }
        let answer = self.ask(text);
        self.by_text.insert(text.to_vec(), answer.clone());
        answer
    }

    /// Every container that runs now and whose state we can read.
    pub fn all(&mut self) -> Vec<Rc<Container>> {
        let mut all: Vec<Rc<Container>> = Vec::new();
        for id in self.docker.ids(self.files) {
            all.extend(self.running(Store::Docker, &id));
        }
        for (namespace, id) in self.containerd.ids(self.files) {
            all.extend(self.running(Store::Containerd(&namespace), &id));
        }
        for id in self.podman.ids(self.files) {
            all.extend(self.running(Store::Podman, &id));
        }
        all.sort_by(|a, b| (a.runtime, &a.name, &a.id).cmp(&(b.runtime, &b.name, &b.id)));
        all
    }

    /// State files that could not be used so far.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.files.warnings()
    }

    /// Is `pid` the init process of that container still? PIDs are recycled, groups tell.
    #[must_use]
    pub fn is_init(&self, container: &Container, pid: Pid) -> bool {
        !groups_of(self.proc, pid, container).is_empty()
    }

    /// Containers seen so far whose init has this pid namespace: for processes that entered one without
    /// joining its control group. With the mnt namespace as second key, as pods may share the first.
    #[must_use]
    pub fn by_namespaces(&self) -> ByNamespaces {
        let alive = self.known.values().flatten().filter(|known| !known.groups.is_empty());
        let links = alive.filter_map(|known| {
            let init = known.container.init?;
            Some((
                namespace(self.proc, init, Kind::Pid)?,
                namespace(self.proc, init, Kind::Mnt)?,
                known.container.clone(),
            ))
        });
        ByNamespaces { own: own_namespace(self.proc, Kind::Pid), containers: links.collect() }
    }

    fn ask(&mut self, text: &[u8]) -> Option<Rc<Container>> {
        let lines = cgroup::parse(text).filter_map(|line| std::str::from_utf8(line.path).ok());
        let mut seen = HashSet::new();
        let mut found: Vec<Candidate<'_>> =
            lines.flat_map(candidates).filter(|candidate| seen.insert(*candidate)).collect();
        // The deepest that state vouches for; of lines that differ only in what stands before, the first.
        found.sort_by_key(|candidate| Reverse(candidate.depth));
        let proven = found.iter().find_map(|candidate| {
            let known = self.lookup(candidate.store, candidate.id)?;
            known.groups.iter().any(|group| group == candidate.group).then_some(known.container)
        });
        proven.or_else(|| found.iter().find(|candidate| candidate.particular).map(|c| Rc::new(unproven(c))))
    }

    fn running(&mut self, store: Store<'_>, id: &str) -> Option<Rc<Container>> {
        self.lookup(store, id).filter(|known| !known.groups.is_empty()).map(|known| known.container)
    }

    fn lookup(&mut self, store: Store<'_>, id: &str) -> Option<Known> {
        let (name, namespace) = match store {
            // Kubernetes may run on dockerd, and a bare id be anybody's.
            Store::Any => {
                return [Store::Docker, Store::Cri, Store::Podman]
                    .into_iter()
                    .find_map(|store| self.lookup(store, id));
            }
            Store::Docker => ("docker", ""),
            Store::Cri => ("containerd", containerd::CRI),
            Store::Containerd(namespace) => ("containerd", namespace),
            Store::Podman => ("podman", ""),
        };
        let key = (name, namespace.to_owned(), id.to_owned());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let container = match store {
            Store::Docker | Store::Any => self.docker.load(self.files, id),
            Store::Cri => {
                self.containerd.load(self.files, namespace, id).or_else(|| self.docker.load(self.files, id))
            }
            Store::Containerd(_) => self.containerd.load(self.files, namespace, id),
            Store::Podman => self.podman.load(self.files, id),
        };
        let known = container.map(|container| {
            let groups =
                container.init.map(|init| groups_of(self.proc, init, &container)).unwrap_or_default();
            Known { container: Rc::new(container), groups }
        });
        self.known.insert(key, known.clone());
        known
    }
}

/// The control groups of `init` that carry the id of its container.
fn groups_of(proc: &ProcRoot, init: Pid, container: &Container) -> Vec<String> {
    let Ok(text) = proc.read(init, "cgroup") else { return Vec::new() };
    let id = container.id.rsplit('/').next().unwrap_or_default();
    let paths = cgroup::parse(&text).filter_map(|line| std::str::from_utf8(line.path).ok());
    let mut groups: Vec<String> = paths
        .flat_map(candidates)
        .filter(|candidate| candidate.id == id)
        .map(|c| c.group.to_owned())
        .collect();
    groups.sort();
    groups.dedup();
    groups
}

fn unproven(candidate: &Candidate<'_>) -> Container {
    let runtime = match candidate.store {
        Store::Docker | Store::Any => Runtime::Docker,
        Store::Cri => Runtime::K8s,
        Store::Podman => Runtime::Podman,
        Store::Containerd(_) => Runtime::Containerd,
    };
    let id = candidate.id.to_owned();
    Container {
        runtime,
        id,
        name: None,
        pod: None,
        pod_namespace: None,
        image: None,
        created: None,
        init: None,
        proof: Proof::Cgroup,
    }
}

/// See [`Resolver::by_namespaces`].
pub struct ByNamespaces {
    own: Option<u64>,
    containers: Vec<(u64, u64, Rc<Container>)>,
}

impl ByNamespaces {
    #[must_use]
    pub fn of(&self, proc: &ProcRoot, pid: Pid) -> Option<Rc<Container>> {
        let pid_ns = namespace(proc, pid, Kind::Pid).filter(|&ns| Some(ns) != self.own)?;
        let mnt_ns = namespace(proc, pid, Kind::Mnt);
        let mut sharing = self.containers.iter().filter(|(pid, _, _)| *pid == pid_ns);
        match (sharing.next(), sharing.next()) {
            (Some((_, _, container)), None) => Some(container.clone()),
            (None, _) => None,
            _ => {
                let same =
                    |(pid, mnt, _): &&(u64, u64, Rc<Container>)| *pid == pid_ns && Some(*mnt) == mnt_ns;
                self.containers.iter().find(same).map(|(_, _, container)| container.clone())
            }
        }
    }
}

fn namespace(proc: &ProcRoot, pid: Pid, kind: Kind) -> Option<u64> {
    link(&proc.of(pid, &kind.link()))
}

fn own_namespace(proc: &ProcRoot, kind: Kind) -> Option<u64> {
    link(&proc.own(&kind.link()))
}

fn link(path: &std::path::Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    parse_link(std::fs::read_link(path).ok()?.as_os_str().as_bytes())
}
