//! Podman of root and of every user: the list of containers in its storage, and the init process from conmon or the OCI
//! runtime. buildah has its working containers in the same lists.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use nix::unistd::Pid;
use serde::{Deserialize, Deserializer};

use super::bundle::{Crun, Init, Runc, Spec};
use super::state_dirs::{ListIds, StateDirs};
use super::storage::Storage;
use super::{StateReader, bounded, podman_config, podman_state};
use crate::container::cgroup_path::is_id;
use crate::container::details::{Details, Layers, Port};
use crate::container::files::NODE;
use crate::container::records::Record;
use crate::container::{Container, Files, Runtime, seconds};
use crate::sys::keyed::HashSet;

/// The lists, read once: one file contains all containers of a storage driver.
#[derive(Default)]
pub(crate) struct Podman {
    stores: OnceCell<StateDirs<Store>>,
}

/// Entries by id.
type List = BTreeMap<Rc<str>, Listed>;

struct Store {
    storage: Storage,
    listed: List,
    /// Podman's database, once it is needed.
    database: OnceCell<Vec<u8>>,
}

impl ListIds for Store {
    fn ids(&self) -> Box<dyn Iterator<Item = &Rc<str>> + '_> {
        Box::new(self.listed.keys())
    }
}

/// conmon writes the PID of the init process there.
const PID_OF_CONMON: &str = "pidfile";
/// The longest name of a container that is read. Podman's are shorter.
const LONGEST_NAME: usize = 4096;

struct Listed {
    directory: String,
    name: Option<String>,
    image: Option<String>,
    created: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(deserialize_with = "bounded::text")]
    id: String,
    #[serde(default, deserialize_with = "bounded::lines")]
    names: Option<Vec<String>>,
    #[serde(default, deserialize_with = "bounded::text")]
    created: String,
    #[serde(default, deserialize_with = "metadata")]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(rename = "image-name", default, deserialize_with = "bounded::optional_text")]
    image_name: Option<String>,
}

/// Parses JSON in a JSON string.
fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
    let parse = |text: &str| serde_json::from_str(text).ok();
    bounded::read(deserializer, |text| bounded::short(text).and_then(parse).unwrap_or_default())
}

/// buildah's state file, according to its source (`Builder`).
#[derive(Deserialize)]
struct Buildah {
    #[serde(default, deserialize_with = "bounded::optional_text")]
    image: Option<String>,
    #[serde(rename = "container-name", default, deserialize_with = "bounded::optional_text")]
    name: Option<String>,
}

/// Annotations that Podman itself writes.
const INTERNAL: [&str; 4] =
    ["io.podman.", "io.kubernetes.cri-o.", "io.container.manager", "org.opencontainers.image."];

impl StateReader for Podman {
    fn ids(&self, files: &Files) -> Vec<String> {
        self.stores(files).ids().map(str::to_owned).collect()
    }

    /// The list has the names. The name of a pod is in other files.
    fn ids_for(&self, files: &Files, name: &str) -> Vec<String> {
        let fitting = |store: &Store| -> Vec<String> {
            let has_pods = store.listed.values().any(Listed::is_infra);
            let fits = |id: &str, listed: &Listed| {
                has_pods || id.starts_with(name) || listed.name.as_deref() == Some(name)
            };
            let fitting = store.listed.iter().filter(|(id, listed)| fits(id, listed));
            fitting.map(|(id, _)| id.to_string()).collect()
        };
        self.stores(files).iter().flat_map(fitting).collect()
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        let stores = self.stores(files).with(id);
        stores.filter_map(|store| container(&store.storage, &store.listed, id)).collect()
    }

    fn load_inits(&self, files: &Files, id: &str) -> Option<Vec<Pid>> {
        let init = |store: &Store| {
            let (storage, listed) = (&store.storage, store.listed.get(id)?);
            Init::unchecked(&storage.files, &storage.running(&listed.directory, id, PID_OF_CONMON))
        };
        self.stores(files).with(id).map(init).collect()
    }
}

impl Podman {
    fn stores(&self, files: &Files) -> &StateDirs<Store> {
        self.stores.get_or_init(|| {
            let of_users = files.users().iter().flat_map(|user| Storage::of_user(files, user));
            let all = Storage::of_system(files).into_iter().chain(of_users);
            let mut all: Vec<_> = all.map(Store::new).collect();
            let of_users = files.users().iter().map(|user| (files.of_user(user.uid), &*user.run, user.uid));
            for (files, run, owner) in std::iter::once((files.clone(), "/run", 0)).chain(of_users) {
                let of_owner: Vec<&Store> = all.iter().filter(|store| store.storage.owner == owner).collect();
                let found = stores_of_bundles(&files, run, owner, &of_owner);
                all.extend(found);
            }
            StateDirs::new(all)
        })
    }

    /// The working container of buildah whose id begins with this host name.
    pub(super) fn working(&self, files: &Files, owner: u32, hostname: &str) -> Option<Container> {
        /// Random ids have different beginnings. A user can create ids that do not.
        const MOST_ALIKE: usize = 4;
        if hostname.len() != 12 {
            return None;
        }
        let of_owner = self.stores(files).iter().filter(|store| store.storage.owner == owner);
        let ids = of_owner.flat_map(|store| {
            let from =
                store.listed.range::<str, _>((Bound::Included(hostname), Bound::Unbounded)).map(|(id, _)| id);
            from.take_while(|id| id.starts_with(hostname)).map(move |id| (store, id))
        });
        let mut found =
            ids.take(MOST_ALIKE).filter_map(|(store, id)| container(&store.storage, &store.listed, id));
        found.find(|container| container.runtime == Runtime::Buildah)
    }
}

/// All that the state files of a container say; its layers only if they are asked for.
pub(crate) fn details(podman: &Podman, files: &Files, id: &str, with_layers: bool) -> Vec<Details> {
    podman.stores(files).with(id).filter_map(|store| store.details(id, with_layers)).collect()
}

/// All that the state files say of all containers.
pub(crate) fn records(files: &Files) -> Vec<Record> {
    let podman = Podman::default();
    let of_store = |store: &Store| -> Vec<Record> {
        let mut texts = podman_config::by_id(&podman_state::database(&store.storage));
        let record = |(id, listed): (&Rc<str>, &Listed)| {
            let is_known = texts.contains_key(&**id);
            let texts = texts.remove(&**id).unwrap_or_default();
            let started = container(&store.storage, &store.listed, id);
            let container = started.or_else(|| is_known.then(|| store.created(id, listed, &texts.config)))?;
            Some(Record {
                ending: is_known.then(|| podman_state::ending(&texts.all, id)),
                layers: podman_state::layers(&store.storage, &listed.directory, id),
                ports: podman_state::ports(&texts.all, id),
                command: texts.config.command(),
                exposed: texts.config.exposed(),
                ..Record::plain(container)
            })
        };
        store.listed.iter().filter_map(record).collect()
    };
    podman.stores(files).iter().flat_map(of_store).collect()
}

/// The same for a container whose state file names no first process.
pub(crate) fn stopped(podman: &Podman, files: &Files, id: &str) -> Vec<Details> {
    let has_ended = |store: &&Store| {
        let directory = store.listed.get(id).map(|listed| &listed.directory);
        directory.is_some_and(|directory| init(&store.storage, directory, id).pid.is_none())
    };
    let stores = podman.stores(files).with(id).filter(has_ended);
    stores.filter_map(|store| store.details(id, false)).collect()
}

/// The published ports of a container of this user.
pub(crate) fn ports(podman: &Podman, files: &Files, owner: u32, id: &str) -> Vec<Port> {
    let mut all = podman.stores(files).with(id).filter(|store| store.storage.owner == owner);
    all.next().map(|store| podman_state::ports(store.database(), id)).unwrap_or_default()
}

/// The ports of all containers, each with the owner and the id.
pub(crate) fn all_ports(podman: &Podman, files: &Files) -> Vec<(u32, String, Vec<Port>)> {
    let of = |store: &Store| {
        let owner = store.storage.owner;
        let all = podman_state::all_ports(store.database()).into_iter();
        all.map(move |(id, ports)| (owner, id, ports)).collect::<Vec<_>>()
    };
    podman.stores(files).iter().flat_map(of).collect()
}

/// The containers with a layer `GRAPHROOT/DRIVER/LAYER`, each with whether it can write to it.
pub(crate) fn with_layer(
    podman: &Podman,
    files: &Files,
    place: Option<(&str, &str)>,
    layer: &str,
) -> Vec<(Details, bool)> {
    let mut found = Vec::new();
    for store in podman.stores(files).iter() {
        let is_here = |directory: &&String| {
            place.is_none_or(|(graph, driver)| {
                store.storage.graph == graph && directory.strip_suffix("-containers") == Some(driver)
            })
        };
        for directory in store.storage.directories.iter().filter(is_here) {
            for (id, writes) in podman_state::with_layer(&store.storage, directory, layer) {
                found.extend(store.details(&id, false).map(|details| (details, writes)));
            }
        }
    }
    found
}

impl Store {
    fn new(storage: Storage) -> Store {
        let listed = storage.directories.iter().flat_map(|directory| list(&storage, directory)).collect();
        Store { storage, listed, database: OnceCell::new() }
    }

    fn database(&self) -> &[u8] {
        self.database.get_or_init(|| podman_state::database(&self.storage))
    }

    /// Before the first start only the database has a configuration.
    fn created(&self, id: &str, listed: &Listed, config: &podman_config::Config) -> Container {
        Container {
            name: listed.name.clone(),
            image: listed.image.clone(),
            created: listed.created.clone(),
            labels: config.labels(),
            owner: self.storage.owner,
            ..Container::new(Runtime::Podman, id)
        }
    }

    fn details(&self, id: &str, with_layers: bool) -> Option<Details> {
        let listed = self.listed.get(id)?;
        let created = || Some(self.created(id, listed, &podman_config::of(self.database(), id)?));
        let container = container(&self.storage, &self.listed, id).or_else(created)?;
        let directory = &listed.directory;
        let layers = match with_layers {
            true => podman_state::layers(&self.storage, directory, id),
            false => Layers::default(),
        };
        Some(Details {
            container,
            ending: Some(podman_state::ending(self.database(), id)),
            layers,
            ports: podman_state::ports(self.database(), id),
            uses: podman_state::uses(&self.storage, self.database(), directory, id),
        })
    }

    /// Also the ids of CRI-O, which are in no list.
    fn every_id(&self) -> impl Iterator<Item = Rc<str>> {
        let running = self.storage.running_ids().into_iter().map(Rc::from);
        self.listed.keys().cloned().chain(running)
    }
}

/// Storage that only a command line names, or in a home directory that is not in /etc/passwd: for running containers the
/// state file of the OCI runtime has the path of the bundle.
fn stores_of_bundles(files: &Files, runtimes: &str, owner: u32, stores: &[&Store]) -> Vec<Store> {
    let bundles: Vec<_> =
        ["crun", "runc"].into_iter().map(|runtime| ids_of_bundles(files, runtimes, runtime)).collect();
    if bundles.iter().all(|(.., ids)| ids.is_empty()) {
        return Vec::new(); // the usual case needs no list of the known ids
    }
    let mut known: HashSet<Rc<str>> = stores.iter().flat_map(|store| store.every_id()).collect();
    // Each storage is read once, for any number of bundles in it.
    let mut graphs: HashSet<String> = stores.iter().map(|store| store.storage.graph.clone()).collect();
    let mut found: Vec<Store> = Vec::new();
    for (runtime, directory, ids) in bundles {
        for id in ids {
            if known.contains(&*id) {
                continue;
            }
            let bundle = match runtime {
                "crun" => Crun::read(files, &directory, &id).map(|crun| crun.bundle),
                _ => Runc::read(files, &directory, &id).and_then(|runc| runc.bundle().map(str::to_owned)),
            };
            let Some(bundle) = bundle else { continue };
            let dir = Storage::graph_of(&bundle).filter(|(graph, _)| graphs.insert((*graph).to_owned()));
            let storage = dir.and_then(|dir| Storage::of_bundle(files, dir, runtimes, owner));
            let store = storage.map(Store::new);
            known.extend(store.iter().flat_map(|store| store.listed.keys().cloned()));
            found.extend(store);
        }
    }
    found
}

/// The directory of an OCI runtime, and the ids in it.
fn ids_of_bundles<'a>(files: &Files, runtimes: &str, runtime: &'a str) -> (&'a str, String, Vec<String>) {
    let directory = format!("{runtimes}/{runtime}");
    let ids = files.list(&directory).into_iter().filter(|id| is_id(id)).collect();
    (runtime, directory, ids)
}

fn list(storage: &Storage, directory: &str) -> Vec<(Rc<str>, Listed)> {
    // Since Podman 4.4, containers that do not survive a reboot (--rm, a transient store) are in separate lists.
    let lists = [
        format!("{}/{directory}/containers.json", storage.graph),
        format!("{}/{directory}/volatile-containers.json", storage.graph),
        format!("{}/{directory}/volatile-containers.json", storage.run),
    ];
    lists.iter().flat_map(|path| entries(storage, directory, path)).collect()
}

fn entries(storage: &Storage, directory: &str, path: &str) -> Vec<(Rc<str>, Listed)> {
    let mut all = Vec::new();
    let whole = storage.files.json_each(path, |entry: Entry| {
        if !is_id(&entry.id) {
            return true;
        }
        let listed = Listed {
            directory: directory.to_owned(),
            name: entry
                .names
                .unwrap_or_default()
                .into_iter()
                .next()
                .filter(|name| name.len() <= LONGEST_NAME),
            // The infra container of a pod has none since Podman 5.
            image: entry.metadata.image_name.filter(|image| !image.is_empty()),
            created: seconds(&entry.created),
        };
        let texts = [listed.name.as_ref(), listed.image.as_ref(), listed.created.as_ref()];
        let length: usize = texts.into_iter().flatten().map(String::len).sum();
        let kept = storage.files.keep(path, 4 * NODE + directory.len() + length);
        all.push((Rc::from(entry.id), listed));
        kept
    });
    whole.map(|()| all).unwrap_or_default()
}

fn container(storage: &Storage, all: &List, id: &str) -> Option<Container> {
    let listed = all.get(id)?;
    let spec = spec(storage, &listed.directory, id).unwrap_or_default();
    let mut container = Container {
        name: listed.name.clone(),
        image: listed.image.clone(),
        created: listed.created.clone(),
        hostname: spec.hostname(),
        owner: storage.owner,
        config: spec.path.clone(),
        ..Container::new(Runtime::Podman, id)
    };
    // CRI-O and Podman write each other's annotations; this one names the manager.
    match spec.annotation("io.container.manager") {
        Some("libpod") => {
            container.pod = pod(storage, all, listed, &spec);
            container.labels = spec.labels(&INTERNAL);
            init(storage, &listed.directory, id).store_in(&mut container);
            Some(container)
        }
        Some(_) => None,
        None => {
            let buildah: Buildah =
                storage.files.json(&storage.kept(&listed.directory, id, "buildah.json"))?;
            container.runtime = Runtime::Buildah;
            container.engine = Runtime::Buildah.name();
            container.name = buildah.name.or(container.name);
            container.image = buildah.image.filter(|image| !image.is_empty());
            Some(container)
        }
    }
}

/// The name of the pod is only in Podman's database, but the infra container has it as host name.
fn pod(storage: &Storage, all: &List, listed: &Listed, spec: &Spec) -> Option<String> {
    if let Some(infra) = spec.annotation("io.kubernetes.cri-o.SandboxID").filter(|id| is_id(id)) {
        return self::spec(storage, &all.get(infra)?.directory, infra)?.hostname();
    }
    spec.hostname().filter(|_| listed.is_infra())
}

impl Listed {
    /// Is it the infra container of a pod?
    fn is_infra(&self) -> bool {
        self.name.as_ref().is_some_and(|name| name.ends_with("-infra"))
            || self.image.as_ref().is_some_and(|image| image.contains("podman-pause"))
    }
}

fn spec(storage: &Storage, directory: &str, id: &str) -> Option<Spec> {
    let kept = Spec::read(&storage.files, &storage.kept(directory, id, "config.json"));
    kept.or_else(|| Spec::read(&storage.files, &storage.running(directory, id, "config.json")))
}

/// The init process. For root's containers from conmon, as the control group confirms it; for users' containers from
/// the OCI runtime, whose state file has the start time.
fn init(storage: &Storage, directory: &str, id: &str) -> Init {
    let files = &storage.files;
    let conmon = || Init::from_file(files, &storage.running(directory, id, PID_OF_CONMON));
    let crun = || Some(Crun::read(files, &format!("{}/crun", storage.runtimes), id)?.init());
    let runc = || Some(Runc::read(files, &format!("{}/runc", storage.runtimes), id)?.init());
    let found = match storage.owner {
        0 => conmon().or_else(crun).or_else(runc),
        _ => crun().or_else(runc).or_else(conmon),
    };
    found.unwrap_or_default()
}
