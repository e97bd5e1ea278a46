//! Podman, root's and every user's: the list of containers in its storage, conmon's word for the init
//! process. buildah keeps its working containers in the same lists.

use crate::sys::keyed::HashMap;
use std::cell::OnceCell;

use serde::Deserialize;

use super::Records;
use super::bundle::{Crun, Init, Runc, Spec};
use super::storage::Storage;
use crate::container::cgroup_path::is_id;
use crate::container::{Container, Files, Runtime, seconds};

/// The lists, read once: one file names all containers of a storage driver.
#[derive(Default)]
pub(super) struct Podman {
    stores: OnceCell<Vec<(Storage, HashMap<String, Listed>)>>,
}

struct Listed {
    directory: String,
    name: Option<String>,
    image: Option<String>,
    created: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    created: String,
    /// JSON again, in a string.
    #[serde(default)]
    metadata: String,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(rename = "image-name", default)]
    image_name: Option<String>,
}

/// buildah's own file, after its source (`Builder`).
#[derive(Deserialize)]
struct Buildah {
    #[serde(default)]
    image: Option<String>,
    #[serde(rename = "container-name", default)]
    name: Option<String>,
}

/// Annotations that Podman writes itself.
const OWN: [&str; 4] =
    ["io.podman.", "io.kubernetes.cri-o.", "io.container.manager", "org.opencontainers.image."];

impl Records for Podman {
    fn ids(&self, files: &Files) -> Vec<String> {
        self.stores(files).iter().flat_map(|(_, listed)| listed.keys().cloned()).collect()
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        let stores = self.stores(files).iter();
        stores.filter_map(|(storage, listed)| container(storage, listed, id)).collect()
    }
}

impl Podman {
    fn stores(&self, files: &Files) -> &[(Storage, HashMap<String, Listed>)] {
        self.stores.get_or_init(|| {
            let of_users = files.users().iter().flat_map(|user| Storage::of_user(files, user));
            let all = Storage::of_system(files).into_iter().chain(of_users);
            let mut all: Vec<_> = all.map(with_lists).collect();
            let found = elsewhere(files, "/run", 0, &all);
            all.extend(found);
            for user in files.users() {
                let found = elsewhere(&files.of_user(user.uid), &user.run, user.uid, &all);
                all.extend(found);
            }
            all
        })
    }

    /// The working container of buildah whose id begins like this: the host name of what runs in it.
    pub(super) fn working(&self, files: &Files, owner: u32, hostname: &str) -> Option<Container> {
        let of_owner = self.stores(files).iter().filter(|(storage, _)| storage.owner == owner);
        let mut found = of_owner.flat_map(|(storage, listed)| {
            let ids = listed.keys().filter(|id| hostname.len() == 12 && id.starts_with(hostname));
            ids.filter_map(move |id| container(storage, listed, id))
        });
        found.find(|container| container.runtime == Runtime::Buildah)
    }
}

fn with_lists(storage: Storage) -> (Storage, HashMap<String, Listed>) {
    let listed = storage.directories.iter().flat_map(|directory| list(&storage, directory)).collect();
    (storage, listed)
}

/// Storage that only a command line named, or in a home that /etc/passwd does not tell: of what runs, the OCI
/// runtime wrote down where its bundle is.
fn elsewhere(
    files: &Files,
    runtimes: &str,
    owner: u32,
    known: &[(Storage, HashMap<String, Listed>)],
) -> Vec<(Storage, HashMap<String, Listed>)> {
    let of_owner = || known.iter().filter(|(storage, _)| storage.owner == owner);
    let is_known = |id: &String| {
        of_owner().any(|(storage, listed)| listed.contains_key(id) || storage.has_running(id)) // CRI-O's do
    };
    let mut found: Vec<(Storage, HashMap<String, Listed>)> = Vec::new();
    for runtime in ["crun", "runc"] {
        let directory = format!("{runtimes}/{runtime}");
        for id in files.list(&directory).into_iter().filter(|id| is_id(id) && !is_known(id)) {
            if found.iter().any(|(_, listed)| listed.contains_key(&id)) {
                continue;
            }
            let bundle = match runtime {
                "crun" => Crun::read(files, &directory, &id).map(|crun| crun.bundle),
                _ => Runc::read(files, &directory, &id).and_then(|runc| runc.bundle().map(str::to_owned)),
            };
            let storage = bundle.and_then(|bundle| Storage::of_bundle(files, &bundle, runtimes, owner));
            found.extend(storage.map(with_lists));
        }
    }
    found
}

fn list(storage: &Storage, directory: &str) -> Vec<(String, Listed)> {
    // Those that go with the next boot (--rm), and all of a transient store, stand apart since Podman 4.4.
    let lists = [
        format!("{}/{directory}/containers.json", storage.graph),
        format!("{}/{directory}/volatile-containers.json", storage.graph),
        format!("{}/{directory}/volatile-containers.json", storage.run),
    ];
    let entries = lists.iter().filter_map(|path| storage.files.json::<Vec<Entry>>(path)).flatten();
    let entries = entries.filter(|entry| is_id(&entry.id));
    entries
        .map(|entry| {
            let metadata: Metadata = serde_json::from_str(&entry.metadata).unwrap_or_default();
            let listed = Listed {
                directory: directory.to_owned(),
                name: entry.names.unwrap_or_default().into_iter().next(),
                image: metadata.image_name,
                created: seconds(&entry.created),
            };
            (entry.id, listed)
        })
        .collect()
}

fn container(storage: &Storage, all: &HashMap<String, Listed>, id: &str) -> Option<Container> {
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
    // CRI-O writes the same annotations, and Podman CRI-O's.
    match spec.annotation("io.container.manager") {
        Some("libpod") => {
            container.pod = pod(storage, all, listed, &spec);
            container.labels = spec.labels(&OWN);
            init(storage, &listed.directory, id).give(&mut container);
            Some(container)
        }
        Some(_) => None,
        None => {
            let own: Buildah = storage.files.json(&storage.kept(&listed.directory, id, "buildah.json"))?;
            container.runtime = Runtime::Buildah;
            container.engine = Runtime::Buildah.name();
            container.name = own.name.or(container.name);
            container.image = own.image;
            Some(container)
        }
    }
}

/// The pod's name stands in Podman's database alone; its infra container has it as host name.
fn pod(storage: &Storage, all: &HashMap<String, Listed>, listed: &Listed, spec: &Spec) -> Option<String> {
    if let Some(infra) = spec.annotation("io.kubernetes.cri-o.SandboxID").filter(|id| is_id(id)) {
        return self::spec(storage, &all.get(infra)?.directory, infra)?.hostname();
    }
    let is_infra = listed.name.as_ref().is_some_and(|name| name.ends_with("-infra"))
        || listed.image.as_ref().is_some_and(|image| image.contains("podman-pause"));
    spec.hostname().filter(|_| is_infra)
}

fn spec(storage: &Storage, directory: &str, id: &str) -> Option<Spec> {
    let kept = Spec::read(&storage.files, &storage.kept(directory, id, "config.json"));
    kept.or_else(|| Spec::read(&storage.files, &storage.running(directory, id, "config.json")))
}

/// The init process: of root's as conmon wrote it down, for a control group tells the rest; of users' as
/// the OCI runtime did, with the start time.
fn init(storage: &Storage, directory: &str, id: &str) -> Init {
    let files = &storage.files;
    let conmon = || Init::from_file(files, &storage.running(directory, id, "pidfile"));
    let crun = || Some(Crun::read(files, &format!("{}/crun", storage.runtimes), id)?.init());
    let runc = || Some(Runc::read(files, &format!("{}/runc", storage.runtimes), id)?.init());
    let found = match storage.owner {
        0 => conmon().or_else(crun).or_else(runc),
        _ => crun().or_else(runc).or_else(conmon),
    };
    found.unwrap_or_default()
}
