//! containerd: the bundle of every running task, `STATE/io.containerd.runtime.v2.task/NAMESPACE/ID/`, with
//! `init.pid` and the OCI `config.json`. Kubernetes' annotations in that name pod, container and image.

use std::cell::OnceCell;
use std::collections::HashMap;

use nix::unistd::Pid;
use serde::Deserialize;

use super::cgroup_path::is_name;
use super::records::Records;
use super::{Container, Files, Runtime, rfc3339};

/// The namespace of the CRI plugin: Kubernetes.
const CRI: &str = "k8s.io";
/// Docker's; its containers are told by Docker's own files.
const MOBY: &str = "moby";

/// State directories: containerd's own, k3s' and RKE2's, MicroK8s'.
const STATES: [&str; 3] =
    ["/run/containerd", "/run/k3s/containerd", "/var/snap/microk8s/common/run/containerd"];
const TASKS: &str = "io.containerd.runtime.v2.task";

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    annotations: Option<HashMap<String, String>>,
}

/// The namespaces there are, read once: most control groups only look like one of containerd's.
#[derive(Default)]
pub struct Containerd {
    /// (its directory of tasks, namespace)
    namespaces: OnceCell<Vec<(String, String)>>,
}

impl Records for Containerd {
    /// Every running task, as `NAMESPACE/ID`.
    fn ids(&self, files: &Files) -> Vec<String> {
        let all = self.namespaces(files).iter().flat_map(|(tasks, namespace)| {
            let ids = files.list(&format!("{tasks}/{namespace}"));
            ids.into_iter().filter(|id| is_name(id)).map(move |id| format!("{namespace}/{id}"))
        });
        all.collect()
    }

    /// By `NAMESPACE/ID`, or the ID alone of one of Kubernetes'.
    fn load(&self, files: &Files, id: &str) -> Option<Container> {
        let (namespace, id) = id.split_once('/').unwrap_or((CRI, id));
        let here = self.namespaces(files).iter().filter(|(_, name)| name == namespace);
        here.into_iter()
            .find_map(|(tasks, _)| from_bundle(files, &format!("{tasks}/{namespace}/{id}"), namespace, id))
    }
}

impl Containerd {
    fn namespaces(&self, files: &Files) -> &[(String, String)] {
        self.namespaces.get_or_init(|| {
            let tasks = STATES.iter().map(|state| format!("{state}/{TASKS}"));
            let all = tasks.flat_map(|tasks| {
                let names = files.list(&tasks).into_iter();
                names.filter(|name| name != MOBY && is_name(name)).map(move |name| (tasks.clone(), name))
            });
            all.collect()
        })
    }
}

fn from_bundle(files: &Files, bundle: &str, namespace: &str, id: &str) -> Option<Container> {
    let init = Pid::from_raw(files.number(&format!("{bundle}/init.pid"))?);
    let spec: Option<Spec> = files.json(&format!("{bundle}/config.json"));
    let annotations = spec.and_then(|spec| spec.annotations).unwrap_or_default();
    let annotation = |name: &str| annotations.get(name).cloned();
    let cri = |name: &str| annotation(&format!("io.kubernetes.cri.{name}"));

    let mut container = Container {
        name: Some(format!("{namespace}/{}", annotation("nerdctl/name").unwrap_or_else(|| id.to_owned()))),
        image: cri("image-name"),
        // The bundle is written when the task is made, and not again.
        created: files.modified(&format!("{bundle}/config.json")).map(rfc3339),
        init: Some(init),
        ..Container::new(Runtime::Containerd, format!("{namespace}/{id}"))
    };
    if namespace == CRI {
        container.runtime = Runtime::K8s; // and the engine stays containerd
        id.clone_into(&mut container.id);
        container.pod = cri("sandbox-name");
        container.pod_namespace = cri("sandbox-namespace");
        // The sandbox itself, the pause process: `POD`, as the kubelet has always called it.
        let name = cri("container-name").unwrap_or_else(|| "POD".to_owned());
        container.name = match (&container.pod_namespace, &container.pod) {
            (Some(namespace), Some(pod)) => Some(format!("{namespace}/{pod}/{name}")),
            _ => None,
        };
    }
    Some(container)
}
