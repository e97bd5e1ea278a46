//! Docker: `ROOT/containers/ID/config.v2.json`, which dockerd writes at every change.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use memchr::memmem::Finder;
use nix::unistd::Pid;
use serde::Deserialize;

use super::bundle::{Init, Spec, TASKS};
use super::state_dirs::{ListIds, StateDirs};
use super::{StateReader, bounded, docker_state};
use crate::container::cgroup_path::is_id;
use crate::container::details::Details;
use crate::container::files::Names;
use crate::container::records::Record;
use crate::container::{Container, Files, Runtime, seconds};

/// The default data root of dockerd, and the file that can name another one; the same for the snap.
const ROOTS: [(&str, &str); 2] = [
    ("/var/lib/docker", "/etc/docker/daemon.json"),
    ("/var/snap/docker/common/var-lib-docker", "/var/snap/docker/current/config/daemon.json"),
];

/// State directories of containerd with the bundles of running containers: containerd's own, the one of a containerd
/// that dockerd started, the snap's.
pub(super) const STATES: [&str; 3] =
    ["/run/containerd", "/run/docker/containerd/daemon", "/run/snap.docker/containerd/daemon"];
/// The namespace of Docker in containerd. An option of dockerd can name another one.
const MOBY: &str = "/moby";
const CRI: &str = "/k8s.io";

#[derive(Deserialize)]
struct Settings {
    #[serde(rename = "data-root", default, deserialize_with = "bounded::optional_text")]
    data_root: Option<String>,
    /// The name of `data-root` before Docker 17.05.
    #[serde(default, deserialize_with = "bounded::optional_text")]
    graph: Option<String>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "Name", default, deserialize_with = "bounded::text")]
    name: String,
    #[serde(rename = "Created", default, deserialize_with = "bounded::text")]
    created: String,
    #[serde(rename = "State", default)]
    state: State,
    #[serde(rename = "Config", default)]
    config: Inner,
}

#[derive(Deserialize, Default)]
struct State {
    #[serde(rename = "Running", default)]
    running: bool,
    #[serde(rename = "Pid", default)]
    pid: i32,
}

#[derive(Deserialize, Default)]
struct Inner {
    #[serde(rename = "Hostname", default, deserialize_with = "bounded::optional_text")]
    hostname: Option<String>,
    #[serde(rename = "Image", default, deserialize_with = "bounded::optional_text")]
    image: Option<String>,
    #[serde(rename = "Labels", default, deserialize_with = "bounded::labels")]
    labels: Option<BTreeMap<String, String>>,
}

/// The directories with containers, searched once.
#[derive(Default)]
pub(crate) struct Docker {
    roots: OnceCell<StateDirs<StateDir>>,
    tasks: OnceCell<StateDirs<StateDir>>,
}

/// A directory with one subdirectory for each container.
struct StateDir {
    directory: String,
    names: Rc<Names>,
    files: Files,
    owner: u32,
}

impl ListIds for StateDir {
    fn ids(&self) -> Box<dyn Iterator<Item = &Rc<str>> + '_> {
        Box::new(self.names.iter())
    }

    fn may_have_more(&self) -> bool {
        self.names.has_more()
    }
}

impl StateReader for Docker {
    fn ids(&self, files: &Files) -> Vec<String> {
        let all = self.roots(files).ids().chain(self.tasks(files).ids());
        all.filter(|id| is_id(id)).map(str::to_owned).collect()
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        let found = self.roots(files).with(id).filter_map(|dir| dir.load(id));
        let found: Vec<Container> = found.collect();
        if found.is_empty() {
            return self.tasks(files).with(id).filter_map(|dir| dir.load_elsewhere(id)).collect();
        }
        found
    }

    fn load_names(&self, files: &Files, id: &str) -> Option<Vec<Container>> {
        let found: Vec<_> = self.roots(files).with(id).map(|dir| dir.unchecked(id)).collect::<Option<_>>()?;
        (!found.is_empty()).then_some(found)
    }

    fn load_inits(&self, files: &Files, id: &str) -> Option<Vec<Pid>> {
        Some(self.load_names(files, id)?.iter().filter_map(|container| container.init).collect())
    }

    fn may_mention(&self, files: &Files, id: &str, text: &Finder<'_>) -> bool {
        let mut dirs = self.roots(files).with(id).peekable();
        dirs.peek().is_none() || dirs.any(|dir| dir.files.may_mention(&dir.config(id), text))
    }

    /// dockerd writes its state file again and again, but the file with the PID in the bundle is written once.
    fn date_init(&self, files: &Files, container: &mut Container) {
        let mut all = self.bundles(files, container);
        let dated = all.find_map(|(dir, bundle)| Init::from_file(&dir.files, &format!("{bundle}/init.pid")));
        drop(all);
        if let Some(init) = dated.filter(|init| init.pid == container.init) {
            container.init_written = init.written;
        }
    }
}

impl Docker {
    /// Does the user have a container with this id in that directory of a dockerd?
    pub(super) fn has(&self, files: &Files, owner: u32, id: &str, directory: &str) -> bool {
        self.roots(files).with(id).any(|dir| dir.owner == owner && dir.directory == directory)
    }

    fn bundles<'a>(
        &'a self,
        files: &Files,
        container: &'a Container,
    ) -> impl Iterator<Item = (&'a StateDir, String)> {
        let state_dirs = self.tasks(files).with(&container.id).filter(|dir| dir.owner == container.owner);
        state_dirs.map(|dir| (dir, format!("{}/{}", dir.directory, container.id)))
    }

    fn roots(&self, files: &Files) -> &StateDirs<StateDir> {
        self.roots.get_or_init(|| {
            let mut all: Vec<StateDir> = Vec::new();
            for (root, settings) in ROOTS {
                let configured = data_root(files, settings);
                for root in [Some(root.to_owned()), configured].into_iter().flatten() {
                    all.extend(dirs_of_root(files, &root, 0));
                }
            }
            for user in files.users() {
                let files = files.of_user(user.uid);
                let configured =
                    user.home(".config/docker/daemon.json").and_then(|path| data_root(&files, &path));
                for root in user.home(".local/share/docker").into_iter().chain(configured) {
                    all.extend(dirs_of_root(&files, &root, user.uid));
                }
            }
            StateDirs::new(all)
        })
    }

    /// The bundles of running containers, for any data root.
    fn tasks(&self, files: &Files) -> &StateDirs<StateDir> {
        self.tasks.get_or_init(|| {
            let system = STATES.iter().map(|state| format!("{state}/{TASKS}")).chain(files.found_tasks());
            let of_system = system.flat_map(|tasks| namespaces(files, &tasks));
            let of_users = files.users().iter().filter_map(|user| {
                let state = user.run("docker/containerd/daemon");
                state_dir(&files.of_user(user.uid), &format!("{state}/{TASKS}{MOBY}"), user.uid)
            });
            StateDirs::new(of_system.chain(of_users).collect())
        })
    }
}

/// The namespaces of containerd that can be Docker's.
fn namespaces(files: &Files, tasks: &str) -> Vec<StateDir> {
    let directories = files.list(tasks).into_iter().map(|name| format!("{tasks}/{name}"));
    directories.filter(|path| !path.ends_with(CRI)).filter_map(|path| state_dir(files, &path, 0)).collect()
}

fn state_dir(files: &Files, directory: &str, owner: u32) -> Option<StateDir> {
    let names = files.state_dir(directory)?;
    Some(StateDir { directory: directory.to_owned(), names, files: files.clone(), owner })
}

fn data_root(files: &Files, path: &str) -> Option<String> {
    let settings: Settings = files.json(path)?;
    settings.data_root.or(settings.graph).filter(|root| root.starts_with('/'))
}

/// The containers of a data root. With userns-remap dockerd stores them below `ROOT/UID.GID`.
fn dirs_of_root(files: &Files, root: &str, owner: u32) -> Vec<StateDir> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let remapped = |name: &str| name.split_once('.').is_some_and(|(uid, gid)| number(uid) && number(gid));
    let names = files.names(root);
    let containers = names.may_have("containers").then(String::new);
    let below = names.iter().filter(|name| remapped(name)).map(|name| format!("/{name}"));
    let all = containers.into_iter().chain(below);
    all.filter_map(|name| state_dir(files, &format!("{root}{name}/containers"), owner)).collect()
}

/// The possible paths of the `config.json` of a container.
pub(crate) fn configs(files: &Files, container: &Container) -> Vec<String> {
    let docker = Docker::default();
    docker.bundles(files, container).map(|(_, bundle)| format!("{bundle}/config.json")).collect()
}

/// The possible paths of dockerd's own state of a container.
pub(crate) fn states(files: &Files, container: &Container) -> Vec<String> {
    let (docker, id) = (Docker::default(), &container.id);
    let known = docker.roots(files).with(id).filter(|dir| dir.owner == container.owner);
    let mut found: Vec<String> = known.map(|dir| dir.config(id)).collect();
    if found.is_empty() {
        let elsewhere = |(dir, _): (&StateDir, String)| Some(dir.elsewhere(&dir.spec(id)?, id)?.config(id));
        found.extend(docker.bundles(files, container).filter_map(elsewhere));
    }
    found
}

/// All that the state files say of all containers.
pub(crate) fn records(files: &Files) -> Vec<Record> {
    let docker = Docker::default();
    let of = |dir: &StateDir, id: &str| {
        let docker_state::Rest { ending, layers, ports, command, exposed, .. } =
            docker_state::read(&dir.files, &dir.directory, id, true)?;
        let container = dir.load(id)?;
        Some(Record { ending: Some(ending), layers, ports, command, exposed, ..Record::plain(container) })
    };
    let of_dir = |dir: &StateDir| -> Vec<Record> {
        dir.names.iter().filter(|id| is_id(id)).filter_map(|id| of(dir, id)).collect()
    };
    docker.roots(files).iter().flat_map(of_dir).collect()
}

/// All that the state files of a container say; its layers only if they are asked for. Of a running one also if only its
/// bundle knows the data root.
pub(crate) fn details(docker: &Docker, files: &Files, id: &str, with_layers: bool) -> Vec<Details> {
    let of = |dir: &StateDir| dir.details(id, with_layers);
    let found: Vec<Details> = docker.roots(files).with(id).filter_map(of).collect();
    if !found.is_empty() {
        return found;
    }
    let elsewhere = |bundles: &StateDir| of(&bundles.elsewhere(&bundles.spec(id)?, id)?);
    docker.tasks(files).with(id).filter_map(elsewhere).collect()
}

/// The containers in whose state file the text occurs.
pub(crate) fn mentioning(docker: &Docker, files: &Files, text: &str) -> Vec<Details> {
    let finder = Finder::new(text);
    let mut found = Vec::new();
    for dir in docker.roots(files).iter() {
        let ids = dir.names.iter().filter(|id| is_id(id));
        let mentions = |id: &&Rc<str>| {
            let path = format!("{}/{id}/config.v2.json", dir.directory);
            dir.files.read(&path).is_some_and(|content| finder.find(&content).is_some())
        };
        found.extend(ids.filter(mentions).filter_map(|id| dir.details(id, false)));
    }
    found
}

/// The containers with a layer `ROOT/overlay2/LAYER`, each with whether it can write to it.
pub(crate) fn with_layer(
    docker: &Docker,
    files: &Files,
    root: Option<&str>,
    layer: &str,
) -> Vec<(Details, bool)> {
    let mut found = Vec::new();
    for dir in docker.roots(files).iter() {
        let Some(own) = dir.directory.strip_suffix("/containers") else { continue };
        if root.is_none_or(|root| root == own) {
            let all = docker_state::with_layer(&dir.files, own, layer).into_iter();
            found.extend(all.filter_map(|(id, writes)| Some((dir.details(&id, false)?, writes))));
        }
    }
    found
}

impl StateDir {
    fn details(&self, id: &str, with_layers: bool) -> Option<Details> {
        let container = self.load(id)?;
        let docker_state::Rest { ending, layers, ports, uses, .. } =
            docker_state::read(&self.files, &self.directory, id, with_layers)?;
        Some(Details { container, ending: Some(ending), layers, ports, uses })
    }

    fn config(&self, id: &str) -> String {
        format!("{}/{id}/config.v2.json", self.directory)
    }

    /// The container from a file of root whose owner is not checked.
    fn unchecked(&self, id: &str) -> Option<Container> {
        Some(container(id, self.files.json_unchecked(&self.config(id))?))
    }

    fn load(&self, id: &str) -> Option<Container> {
        if !self.names.may_have(id) {
            return None;
        }
        let (config, modified) = self.files.json_dated::<Config>(&self.config(id))?;
        let mut container = Container { owner: self.owner, ..container(id, config) };
        if self.owner != 0 {
            // A rootless container may have no control group that confirms it. (dockerd writes the file again later, so
            // for root's containers its time would be too weak: see `date_init`.)
            container.init_written = Some(modified);
        }
        Some(container)
    }

    /// A container whose data root is only in the arguments of dockerd: the bundle contains paths of that directory.
    fn load_elsewhere(&self, id: &str) -> Option<Container> {
        let spec = self.spec(id)?;
        let init = Init::from_file(&self.files, &format!("{}/{id}/init.pid", self.directory));
        if self.directory_of_docker(&spec, id).is_none() && !self.is_dockers() {
            return None; // of another client of containerd
        }
        let named = self.elsewhere(&spec, id).and_then(|containers| containers.load(id));
        let mut container = named.unwrap_or_else(|| Container {
            hostname: spec.hostname(),
            owner: self.owner,
            ..Container::new(Runtime::Docker, id)
        });
        init.unwrap_or_default().store_in(&mut container);
        Some(container)
    }

    fn spec(&self, id: &str) -> Option<Spec> {
        Spec::read(&self.files, &format!("{}/{id}/config.json", self.directory))
    }

    /// Are the bundles in it dockerd's alone?
    fn is_dockers(&self) -> bool {
        self.directory.ends_with(MOBY)
    }

    fn directory_of_docker<'s>(&self, spec: &'s Spec, id: &str) -> Option<&'s str> {
        spec.directory_of_docker(id, |_| self.is_dockers())
    }

    /// The directory that has the state of the container, by its bundle.
    fn elsewhere(&self, spec: &Spec, id: &str) -> Option<StateDir> {
        state_dir(&self.files, self.directory_of_docker(spec, id)?, self.owner)
    }
}

fn container(id: &str, config: Config) -> Container {
    let init = (config.state.running && config.state.pid > 0).then(|| Pid::from_raw(config.state.pid));
    let labels = config.config.labels.unwrap_or_default();
    let mut container = Container {
        name: Some(config.name.trim_start_matches('/').to_owned()).filter(|name| !name.is_empty()),
        image: config.config.image,
        hostname: config.config.hostname.filter(|name| !name.is_empty()),
        created: seconds(&config.created),
        init,
        ..Container::new(Runtime::Docker, id)
    };
    set_kubernetes_names(&mut container, &labels);
    set_ecs_names(&mut container, &labels);
    container.labels = labels.into_iter().collect();
    container
}

/// A kubelet with dockerd (cri-dockerd) writes pod and container into labels.
fn set_kubernetes_names(container: &mut Container, labels: &BTreeMap<String, String>) {
    let label = |name: &str| labels.get(&format!("io.kubernetes.{name}")).cloned();
    let sandbox = label("docker.type").is_some_and(|kind| kind == "podsandbox");
    let name = label("container.name").or_else(|| sandbox.then(|| "POD".to_owned()));
    if let (Some(pod), Some(namespace), Some(name)) = (label("pod.name"), label("pod.namespace"), name) {
        container.runtime = Runtime::K8s;
        container.name = Some(format!("{namespace}/{pod}/{name}"));
        container.pod = Some(pod);
        container.pod_namespace = Some(namespace);
        container.pod_uid = label("pod.uid");
    }
}

/// The agent of Amazon ECS writes task and container into labels.
fn set_ecs_names(container: &mut Container, labels: &BTreeMap<String, String>) {
    let label = |name: &str| labels.get(&format!("com.amazonaws.ecs.{name}"));
    if let (Some(family), Some(name)) = (label("task-definition-family"), label("container-name")) {
        container.runtime = Runtime::Ecs;
        container.name = Some(format!("{family}/{name}"));
    }
}
