//! containerd: the bundle of every running task, `STATE/io.containerd.runtime.v2.task/NAMESPACE/ID/`, with
//! `init.pid` and the OCI `config.json`. In `config.json`, annotations of Kubernetes name pod, container and image;
//! those of nerdctl name the container.

use std::cell::OnceCell;
use std::rc::Rc;

use memchr::memmem::Finder;
use nix::unistd::Pid;

use super::StateReader;
use super::bundle::{self, Init, Spec, TASKS};
use super::docker::Docker;
use super::state_dirs::{ListIds, StateDirs};
use crate::container::cgroup_path::{is_name, task_of};
use crate::container::files::Names;
use crate::container::{Container, Files, Runtime, rfc3339};
use crate::order;

/// The namespace of the CRI plugin: Kubernetes.
const CRI: &str = "k8s.io";
/// The namespace of Docker, whose containers are read from Docker's own files.
const MOBY: &str = "moby";

/// State directories of containerd, k3s and RKE2, MicroK8s, and k0s. The working directory of a shim leads to others.
pub(super) const STATES: [&str; 4] = [
    "/run/containerd",
    "/run/k3s/containerd",
    "/var/snap/microk8s/common/run/containerd",
    "/run/k0s/containerd",
];
/// Files of a bundle.
const CONFIG: &str = "config.json";
const INIT: &str = "init.pid";

/// The namespaces, listed once: many control groups only look like those of containerd.
#[derive(Default)]
pub(super) struct Containerd {
    namespaces: OnceCell<StateDirs<Namespace>>,
    docker: Docker,
}

struct Namespace {
    name: String,
    /// The directory of its tasks.
    directory: String,
    ids: Rc<Names>,
    files: Files,
    owner: u32,
}

impl ListIds for Namespace {
    fn ids(&self) -> Box<dyn Iterator<Item = &Rc<str>> + '_> {
        Box::new(self.ids.iter())
    }

    fn may_have_more(&self) -> bool {
        self.ids.has_more()
    }
}

impl StateReader for Containerd {
    /// Every running task, as `NAMESPACE/ID`.
    fn ids(&self, files: &Files) -> Vec<String> {
        let all = self.namespaces(files).iter().flat_map(|namespace| {
            namespace.ids.iter().filter(|id| is_name(id)).map(|id| format!("{}/{id}", namespace.name))
        });
        all.collect()
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        self.with(files, id).filter_map(|(namespace, id)| namespace.load(id, self.has(files))).collect()
    }

    fn load_names(&self, files: &Files, id: &str) -> Option<Vec<Container>> {
        let found = self.with(files, id).filter_map(|(namespace, id)| {
            let unchecked = namespace.files.json_unchecked(&namespace.file(id, CONFIG));
            namespace.describe(id, unchecked.or_else(|| namespace.spec(id)), false, self.has(files))
        });
        Some(found.collect())
    }

    fn load_inits(&self, files: &Files, id: &str) -> Option<Vec<Pid>> {
        let found = self.with(files, id);
        found.map(|(namespace, id)| Init::unchecked(&namespace.files, &namespace.file(id, INIT))).collect()
    }

    /// The names are in the configuration, or they are the id.
    fn may_mention(&self, files: &Files, id: &str, text: &Finder<'_>) -> bool {
        let mut found = self.with(files, id);
        text.find(id.as_bytes()).is_some()
            || found.any(|(namespace, id)| namespace.files.may_mention(&namespace.file(id, CONFIG), text))
    }
}

impl Containerd {
    /// The namespaces with a task, by `NAMESPACE/ID`, or by the id alone in any namespace.
    fn with<'a>(&'a self, files: &Files, id: &'a str) -> impl Iterator<Item = (&'a Namespace, &'a str)> {
        let (name, id) = match id.split_once('/') {
            Some((name, id)) => (Some(name), id),
            None => (None, id),
        };
        let found = self.namespaces(files).with(id);
        found.filter(move |found| name.is_none_or(|name| found.name == name)).map(move |found| (found, id))
    }

    /// What dockerd's own files say: does a user have a container with that id in a directory?
    fn has<'a>(&'a self, files: &'a Files) -> impl Fn(u32, &str, &str) -> bool + 'a {
        |owner, id, directory| self.docker.has(files, owner, id, directory)
    }

    /// The namespaces, that of Kubernetes first.
    fn namespaces(&self, files: &Files) -> &StateDirs<Namespace> {
        self.namespaces.get_or_init(|| {
            let mut all = Vec::new();
            let tasks = STATES.iter().map(|state| format!("{state}/{TASKS}"));
            for tasks in tasks.chain(files.found_tasks()) {
                all.extend(namespaces(files, &tasks, 0));
            }
            for user in files.users() {
                // rootlesskit mounts that directory on /run/containerd.
                let tasks = format!("{}/{TASKS}", user.run("containerd"));
                all.extend(namespaces(&files.of_user(user.uid), &tasks, user.uid));
            }
            order::sort_by_key(&mut all, |namespace| (namespace.owner, namespace.name != CRI));
            StateDirs::new(all)
        })
    }
}

fn namespaces(files: &Files, tasks: &str, owner: u32) -> Vec<Namespace> {
    let names = files.list(tasks).into_iter().filter(|name| name != MOBY && is_name(name));
    let namespace = |name: String| {
        let directory = format!("{tasks}/{name}");
        let ids = files.state_dir(&directory)?;
        Some(Namespace { name, directory, ids, files: files.clone(), owner })
    };
    names.filter_map(namespace).collect()
}

impl Namespace {
    /// A file of a bundle.
    fn file(&self, id: &str, name: &str) -> String {
        format!("{}/{id}/{name}", self.directory)
    }

    fn spec(&self, id: &str) -> Option<Spec> {
        Spec::read(&self.files, &self.file(id, CONFIG))
    }

    fn load(&self, id: &str, docker_has: impl Fn(u32, &str, &str) -> bool) -> Option<Container> {
        let init = Init::from_file(&self.files, &self.file(id, INIT));
        let mut container = self.describe(id, self.spec(id), init.is_none(), docker_has)?;
        init.unwrap_or_default().store_in(&mut container);
        Some(container)
    }

    /// The container without its init process; `has_guest`: its state files name none. None for a container of Docker,
    /// and if there is no state file.
    fn describe(
        &self,
        id: &str,
        spec: Option<Spec>,
        has_guest: bool,
        docker_has: impl Fn(u32, &str, &str) -> bool,
    ) -> Option<Container> {
        let is_dockers = |directory: &str| docker_has(self.owner, id, directory);
        let of_docker = |spec: &Spec| self.name != CRI && spec.directory_of_docker(id, is_dockers).is_some();
        if spec.is_none() && has_guest || spec.as_ref().is_some_and(of_docker) {
            return None;
        }
        let spec = spec.unwrap_or_default();
        let mut container = Container {
            has_guest,
            hostname: spec.hostname(),
            // The bundle is written once, when the task is created.
            created: spec.modified.map(rfc3339),
            owner: self.owner,
            config: spec.path.clone(),
            ..Container::new(Runtime::Containerd, format!("{}/{id}", self.name))
        };
        match spec.annotation("nerdctl/name") {
            Some(name) => set_nerdctl_names(&mut container, id, name, &self.name, &spec),
            None if self.name == CRI => set_kubernetes_names(&mut container, id, &spec),
            None if task_of(id).is_some_and(|task| task.len() == 32) => {
                container.runtime = Runtime::Ecs; // the engine stays containerd
                id.clone_into(&mut container.id);
                container.labels = spec.labels(&[]);
            }
            None => {
                container.name = Some(container.id.clone());
                container.labels = spec.labels(&[]);
            }
        }
        Some(container)
    }
}

fn set_kubernetes_names(container: &mut Container, id: &str, spec: &Spec) {
    let cri = |name: &str| spec.annotation(&format!("{}{name}", bundle::CRI)).map(str::to_owned);
    container.runtime = Runtime::K8s; // the engine stays containerd
    id.clone_into(&mut container.id);
    container.pod = cri("sandbox-name");
    container.pod_namespace = cri("sandbox-namespace");
    container.pod_uid = cri("sandbox-uid");
    container.image = cri("image-name");
    container.labels = spec.labels(&[bundle::CRI]);
    // The sandbox, which runs the pause process, is named `POD`, as the kubelet has always named it.
    let name = cri("container-name").unwrap_or_else(|| "POD".to_owned());
    container.name = match (&container.pod_namespace, &container.pod) {
        (Some(namespace), Some(pod)) => Some(format!("{namespace}/{pod}/{name}")),
        _ => None,
    };
}

/// nerdctl writes all labels of a container, its own too, as annotations (pkg/labels in its source).
fn set_nerdctl_names(container: &mut Container, id: &str, name: &str, namespace: &str, spec: &Spec) {
    container.runtime = Runtime::Nerdctl;
    id.clone_into(&mut container.id);
    container.name = match namespace {
        "default" => Some(name.to_owned()),
        _ => Some(format!("{namespace}/{name}")),
    };
    container.hostname = spec.annotation("nerdctl/hostname").map(str::to_owned).or(container.hostname.take());
    container.labels = spec.labels(&["nerdctl/", "io.containerd."]);
}
