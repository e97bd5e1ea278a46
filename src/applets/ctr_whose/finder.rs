//! What the readings of words need to know. Each part is read when the first word asks for it, and once for all words.

mod processes;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::answer::{Entry, Named, Owner};
use super::root::Root;
use super::thing::Reading;
use crate::container::cni::Attachment;
use crate::container::details::Details;
use crate::container::spaces::Spaces;
use crate::container::stopped::Stores;
use crate::container::world::World;
use crate::container::{Container, Files, IdentifiedBy, Runtime, pod_uid, podman_pod, short};
use crate::exit;
use crate::isolation::cgroup::View;
use crate::isolation::ns;
use crate::net::{self, Interface, Listener, Netlink, Protocol, UnixSocket};
use crate::proc::ns::Kind as Namespace;
use crate::proc::{ProcRoot, hidepid};

pub(super) struct Finder<'a> {
    pub world: &'a World<'a>,
    pub files: &'a Files,
    /// The root directory of the host.
    pub root: &'a Root,
    /// Does the world have only some processes? Then what is not in it may run all the same.
    pub is_partial: bool,
    /// What no process has, as is known from before.
    absent: &'a [Reading],
    records: OnceCell<Stores<'a>>,
    spaces: OnceCell<Spaces>,
    sockets: OnceCell<Option<HostSockets>>,
    interfaces: OnceCell<Vec<Interface>>,
    listeners: OnceCell<Vec<Listener>>,
    attachments: OnceCell<Vec<Attachment>>,
    stopped: OnceCell<Vec<Details>>,
    numbers: OnceCell<BTreeMap<String, Vec<usize>>>,
    mounts: OnceCell<Vec<u8>>,
    view: OnceCell<View>,
    podman: OnceCell<Vec<Details>>,
    needs_all: Cell<bool>,
    /// What the caller's rights or the kernel withhold.
    pub problems: RefCell<BTreeSet<String>>,
    /// Those of them that the word of now has met.
    pub recent: RefCell<BTreeSet<String>>,
}

/// Netlink sockets in the host's network namespace.
struct HostSockets {
    route: Netlink,
    diagnosis: Netlink,
}

const OF_OTHERS: &str = " of other users: only root sees them";
pub(super) const FILES_OF_OTHERS: &str =
    "open files of some processes: only their owner and root can list them";

impl<'a> Finder<'a> {
    pub(super) fn new(
        world: &'a World<'a>,
        files: &'a Files,
        root: &'a Root,
        is_partial: bool,
        absent: &'a [Reading],
    ) -> Finder<'a> {
        Finder {
            world,
            files,
            root,
            is_partial,
            absent,
            records: OnceCell::new(),
            spaces: OnceCell::new(),
            sockets: OnceCell::new(),
            interfaces: OnceCell::new(),
            listeners: OnceCell::new(),
            attachments: OnceCell::new(),
            stopped: OnceCell::new(),
            numbers: OnceCell::new(),
            mounts: OnceCell::new(),
            view: OnceCell::new(),
            podman: OnceCell::new(),
            needs_all: Cell::new(false),
            problems: RefCell::default(),
            recent: RefCell::default(),
        }
    }

    pub(super) fn records(&self) -> &Stores<'a> {
        self.records.get_or_init(|| Stores::new(self.files))
    }

    pub(super) fn spaces(&self) -> &Spaces {
        let spaces = self.spaces.get_or_init(|| Spaces::read(self.world));
        // A process that ended since has none either.
        if spaces.is_partial && exit::sees_less_than_root() {
            self.note(format!("network namespaces{OF_OTHERS}"));
        }
        spaces
    }

    /// Remembers why an answer can be missing.
    pub(super) fn note(&self, problem: String) {
        self.recent.borrow_mut().insert(problem.clone());
        self.problems.borrow_mut().insert(problem);
    }

    pub(super) fn attachments(&self) -> &[Attachment] {
        self.attachments.get_or_init(|| crate::container::cni::results(self.files))
    }

    /// The text of the host's mountinfo.
    pub(super) fn host_mounts(&self) -> &[u8] {
        self.mounts.get_or_init(|| host_mounts(self.world.proc))
    }

    /// The text of a cgroup file with paths from the root of each hierarchy.
    pub(super) fn absolute<'t>(&self, text: &'t [u8]) -> std::borrow::Cow<'t, [u8]> {
        View::absolute_once(&self.view, self.world.proc, text)
    }

    /// Is it known that no process has it? State files can have it all the same.
    pub(super) fn is_absent(&self, reading: &Reading) -> bool {
        self.absent.contains(reading)
    }

    /// Are processes of other users withheld, so that nobody can be found to have a thing?
    pub(super) fn hidden(&self) -> Option<String> {
        let option = hidepid(self.world.proc).filter(|_| exit::sees_less_than_root());
        option.map(|option| format!("processes of other users: /proc is mounted with {option}"))
    }

    /// Remembers an error.
    pub(super) fn known<T>(&self, what: &str, result: nix::Result<T>) -> Option<T> {
        let problem = |errno: Errno| match (errno, exit::sees_less_than_root()) {
            (Errno::EPERM | Errno::EACCES, true) => format!("{what}{OF_OTHERS}"),
            _ => format!("{what}: {}", crate::errno::strerror(errno as i32)),
        };
        result.map_err(|errno| self.note(problem(errno))).ok()
    }

    fn sockets(&self) -> Option<&HostSockets> {
        let open = || {
            if self.world.proc.is_copy() {
                // Each host can have the same numbers for its own namespaces.
                self.note("the host's network: a copy of its files has none".to_owned());
                return None;
            }
            let spaces = self.spaces();
            let host = &spaces.all.get(spaces.host?)?.place;
            let own = ProcRoot::default();
            let is_own = own.process(Pid::this()).ns(Namespace::Net) == Some(host.inode);
            let opened = match is_own {
                true => Netlink::open(Protocol::Route)
                    .and_then(|route| Ok((route, Netlink::open(Protocol::SocketDiagnosis)?))),
                false => net::enter(&ns::open_file(&host.path).ok()?),
            };
            let (route, diagnosis) = self.known("the host's network", opened)?;
            Some(HostSockets { route, diagnosis })
        };
        self.sockets.get_or_init(open).as_ref()
    }

    pub(super) fn route(&self) -> Option<&Netlink> {
        self.sockets().map(|sockets| &sockets.route)
    }

    /// The host's interfaces.
    pub(super) fn interfaces(&self) -> &[Interface] {
        self.interfaces.get_or_init(|| {
            let all = self.route().map(|route| net::interfaces(route, None));
            all.and_then(|all| self.known("the host's interfaces", all)).unwrap_or_default()
        })
    }

    /// The sockets that listen in the host's namespace.
    pub(super) fn listeners(&self) -> &[Listener] {
        self.listeners.get_or_init(|| {
            let all = self.sockets().map(|sockets| net::listeners(&sockets.diagnosis));
            all.and_then(|all| self.known("the host's sockets", all)).map(|(all, _)| all).unwrap_or_default()
        })
    }

    /// The unix sockets in the host's namespace; None if the kernel does not list them.
    pub(super) fn unix_sockets(&self, wanted: &UnixSocket) -> Option<Vec<u64>> {
        self.known("the host's unix sockets", net::unix_sockets(&self.sockets()?.diagnosis, wanted))
    }

    /// The containers without processes. Those with an id that is known to run are not read.
    pub(super) fn stopped(&self) -> &[Details] {
        self.stopped.get_or_init(|| {
            if self.is_partial {
                return self.records().stopped_of_engines();
            }
            let mut all = self.records().all_with(&|id| !self.numbers().contains_key(id));
            // A user can write any id into a state file.
            all.retain(|one| !self.is_running(&one.container));
            all
        })
    }

    /// Those who may have had an address, without those of Docker. If not all processes are known, running ones too.
    pub(super) fn others_of_engines(&self) -> impl Iterator<Item = &Details> {
        let all = match self.is_partial {
            true => self.podman.get_or_init(|| self.records().of_podman()),
            false => self.stopped(),
        };
        all.iter().filter(|one| one.container.runtime != Runtime::Docker)
    }

    /// Only a look at all processes shows whether what was found in files is right.
    pub(super) fn need_all(&self) {
        self.needs_all.set(self.is_partial);
    }

    pub(super) fn needs_all(&self) -> bool {
        self.needs_all.get()
    }

    /// Drops what files say, if the container may run.
    pub(super) fn doubt(&self, entry: &mut Entry) {
        if self.is_partial && !entry.is_empty() {
            self.need_all();
            *entry = Entry::new(entry.kind);
        }
    }

    fn is_running(&self, container: &Container) -> bool {
        let key = container.key();
        let same = self.numbers().get(container.bare_id()).into_iter().flatten();
        same.into_iter().any(|number| self.world.containers[*number].container.key() == key)
    }

    /// The running containers by id.
    pub(super) fn numbers(&self) -> &BTreeMap<String, Vec<usize>> {
        self.numbers.get_or_init(|| {
            let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (number, known) in self.world.containers.iter().enumerate() {
                found.entry(known.container.bare_id().to_owned()).or_default().push(number);
                let group = known.container.group.as_ref().filter(|group| **group != known.container.id);
                if let Some(group) = group {
                    found.entry(group.clone()).or_default().push(number);
                }
            }
            found
        })
    }

    /// The running container that a state file means.
    pub(super) fn running(&self, owner: u32, id: &str) -> Option<usize> {
        let same = self.numbers().get(id)?;
        let is_it = |number: &&usize| {
            let container = &self.world.containers[**number].container;
            container.owner == owner
                && container.outer.is_none()
                && container.identified_by != IdentifiedBy::Cgroup
        };
        same.iter().find(is_it).copied()
    }

    /// Running or stopped, those of root first.
    pub(super) fn with_id(&self, id: &str) -> Vec<Owner> {
        let running = self.numbers().get(id).into_iter().flatten().copied();
        let verified: Vec<usize> = running
            .clone()
            .filter(|number| self.world.containers[*number].container.identified_by != IdentifiedBy::Cgroup)
            .collect();
        let running: Vec<usize> = if verified.is_empty() { running.collect() } else { verified };
        if !running.is_empty() {
            return running.into_iter().map(Owner::Running).collect();
        }
        let stopped = self.records().all_with(&|other| other == id);
        if !stopped.iter().all(|one| self.may_be_stopped(one)) {
            self.need_all();
        }
        stopped
            .iter()
            .filter(|one| self.may_be_stopped(one))
            .map(|one| recorded(&one.container, status(one)))
            .collect()
    }

    /// Can it be said that a container does not run? Of the state files of Docker and Podman the first process is known:
    /// it is among the processes that are looked at.
    pub(super) fn may_be_stopped(&self, details: &Details) -> bool {
        !self.is_partial || matches!(details.container.runtime, Runtime::Docker | Runtime::Podman)
    }

    /// The owner of an attachment of CNI.
    pub(super) fn attached(&self, attachment: &Attachment) -> Owner {
        if let Some(owner) = self.with_id(&attachment.id).into_iter().next() {
            return owner;
        }
        let mut container = Container {
            identified_by: IdentifiedBy::Cgroup,
            ..Container::new(Runtime::Containerd, &*attachment.id)
        };
        if let Some((namespace, pod)) = &attachment.pod {
            container.runtime = Runtime::K8s;
            container.name = Some(format!("{namespace}/{pod}/POD"));
            (container.pod, container.pod_namespace) = (Some(pod.clone()), Some(namespace.clone()));
        }
        recorded(&container, Some("exited"))
    }

    /// The number of the network namespace of a container, also of one that only keeps it for a pod. None: the host's.
    pub(super) fn space_of(&self, number: usize) -> Option<usize> {
        let of_pause = || {
            let pid = Pid::from_raw(self.world.containers[number].chief());
            let inode = self.world.proc.process(pid).ns(Namespace::Net);
            self.spaces().others().find(|(_, space)| inode == Some(space.place.inode)).map(|(space, _)| space)
        };
        self.spaces().of_container(number).or_else(of_pause)
    }

    /// Of a container that only keeps the network namespace of a pod the others in it.
    pub(super) fn beside_pause(&self, number: usize) -> Vec<usize> {
        let is_pause = self.world.containers[number].container.is_pause();
        let space = self.space_of(number).filter(|_| is_pause).map(|space| &self.spaces().all[space]);
        match space {
            Some(space) if !space.containers.is_empty() => space.containers.clone(),
            _ => vec![number],
        }
    }

    /// The containers of a pod by its UID, as the groups of kubelet have it, or by the beginning of its id of Podman.
    pub(super) fn in_pod(&self, uid: &str) -> Vec<Owner> {
        const SHORTEST: usize = 12;
        let mut found: Vec<Owner> = Vec::new();
        for (number, known) in self.world.containers.iter().enumerate() {
            if known.container.pod.is_none() || known.container.is_pause() {
                continue;
            }
            if known.container.pod_uid.as_deref() == Some(uid) {
                found.push(Owner::Running(number));
                continue;
            }
            let cgroup = self.world.proc.process(Pid::from_raw(known.chief())).cgroup().unwrap_or_default();
            let paths = String::from_utf8_lossy(&cgroup).replace('\n', "/");
            let is_of_podman =
                uid.len() >= SHORTEST && podman_pod(&paths).is_some_and(|id| id.starts_with(uid));
            if is_of_podman || pod_uid(&paths).as_deref() == Some(uid) {
                found.push(Owner::Running(number));
            }
        }
        if found.is_empty() {
            found.extend(self.pod_with_logs(uid));
            if !found.is_empty() {
                self.need_all();
            }
        }
        found
    }

    /// `/var/log/pods/NAMESPACE_POD_UID` outlives the pod's groups.
    fn pod_with_logs(&self, uid: &str) -> Option<Owner> {
        let all = self.files.list("/var/log/pods");
        let name = all.iter().find_map(|name| name.strip_suffix(uid)?.strip_suffix('_'))?;
        let (namespace, pod) = name.split_once('_')?;
        let container = Container {
            name: Some(format!("{namespace}/{pod}")),
            pod: Some(pod.to_owned()),
            pod_namespace: Some(namespace.to_owned()),
            ..Container::new(Runtime::K8s, uid)
        };
        Some(recorded(&container, Some("exited")))
    }

    /// Is the host the one that this process is on, with its network?
    pub(super) fn is_own_host(&self) -> bool {
        let own = ProcRoot::default().process(Pid::this()).ns(Namespace::Net);
        let host = self.spaces().host.map(|host| self.spaces().all[host].place.inode);
        self.root.is_own() && host.is_some() && own == host
    }

    /// Does the path begin with a directory of the host? That of a control group does not.
    pub(super) fn is_below_directory(&self, path: &Path) -> bool {
        let first = path.components().nth(1);
        first.is_some_and(|part| self.root.has_directory(&Path::new("/").join(part)))
    }

    pub(super) fn named(&self, owner: &Owner) -> Named {
        match owner {
            Owner::Recorded(named) => (**named).clone(),
            Owner::Running(number) => {
                let known = &self.world.containers[*number];
                named(&known.container, Some("running"))
            }
        }
    }
}

/// Those of the first process; who may not read them has their own.
pub(super) fn host_mounts(proc: &ProcRoot) -> Vec<u8> {
    let first = proc.process(Pid::from_raw(1)).mountinfo();
    first.or_else(|_| proc.read_own("mountinfo")).unwrap_or_default()
}

/// `sshd.service` of `/system.slice/sshd.service`.
pub(super) fn service_of(path: &str) -> Option<&str> {
    let below = path.strip_prefix("/system.slice/")?;
    below.split('/').find(|part| part.ends_with(".service"))
}

/// The status of a container that has no process.
pub(super) fn status(details: &Details) -> Option<&'static str> {
    Some(details.ending.as_ref()?.status())
}

fn named(container: &Container, status: Option<&'static str>) -> Named {
    Named {
        label: container.label(),
        runtime: container.runtime.name(),
        owner: container.owner,
        name: container.name.clone(),
        id: container.id.clone(),
        pod: container.pod.clone(),
        pod_namespace: container.pod_namespace.clone(),
        status,
        key: container.key(),
    }
}

pub(super) fn recorded(container: &Container, status: Option<&'static str>) -> Owner {
    Owner::Recorded(Box::new(named(container, status)))
}

/// For messages.
pub(super) fn shortened(id: &str) -> &str {
    short(id)
}
