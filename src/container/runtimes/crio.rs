//! CRI-O: the bundle of each container, in the storage that it shares with Podman, with annotations that name
//! pod, container and image. According to its source and documentation; not tested on a host with CRI-O.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use nix::unistd::Pid;
use serde::Deserialize;

use super::StateReader;
use super::bundle::{Crun, Init, Runc, Spec};
use super::storage::Storage;
use crate::container::cgroup_path::is_id;
use crate::container::details::Ending;
use crate::container::records::Record;
use crate::container::{Container, Files, Runtime, has_come, seconds};

/// At least one of these paths exists on every host on which CRI-O was started.
const TRACES: [&str; 3] = ["/run/crio", "/var/lib/crio", "/etc/crio"];

#[derive(Default)]
pub(super) struct CriO {
    storages: OnceCell<Vec<Storage>>,
}

/// `state.json` of CRI-O.
#[derive(Deserialize)]
struct State {
    #[serde(rename = "initPid", default)]
    pid: i32,
    /// Field 22 of /proc/PID/stat, as text.
    #[serde(rename = "initStartTime", default)]
    start: String,
}

/// What `config.json` says of its first process.
#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    process: Option<Started>,
}

#[derive(Deserialize)]
struct Started {
    #[serde(default)]
    args: Vec<String>,
}

/// How a container ended, in the same file.
#[derive(Deserialize, Default)]
struct End {
    #[serde(default)]
    started: String,
    #[serde(default)]
    finished: String,
    #[serde(rename = "exitCode", default)]
    exit_code: Option<i64>,
    #[serde(rename = "oomKilled", default)]
    oom_killed: bool,
    #[serde(default)]
    error: String,
}

impl StateReader for CriO {
    fn ids(&self, files: &Files) -> Vec<String> {
        if !TRACES.iter().any(|trace| files.exists(trace)) {
            return Vec::new(); // the storage belongs to Podman alone: do not read its state files
        }
        let storages = self.storages(files).iter();
        let all = storages.flat_map(|storage| {
            let below = |directory: &String| files.list(&format!("{}/{directory}", storage.graph));
            storage.directories.iter().flat_map(below)
        });
        all.filter(|id| is_id(id)).collect()
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        let storages = self.storages(files).iter();
        let all = storages.flat_map(|storage| {
            storage.directories.iter().filter_map(move |directory| container(storage, directory, id))
        });
        all.collect()
    }
}

impl CriO {
    fn storages(&self, files: &Files) -> &[Storage] {
        self.storages.get_or_init(|| Storage::of_system(files))
    }
}

/// All that the state files say of all containers.
pub(crate) fn records(files: &Files) -> Vec<Record> {
    let crio = CriO::default();
    let containers = crio.ids(files).into_iter().flat_map(|id| crio.load(files, &id));
    let mut all: Vec<Record> = containers.map(|container| record(crio.storages(files), container)).collect();
    // The labels that a user sets are those of the pod, which the sandbox has.
    let of_pod = |record: &Record| {
        let container = &record.container;
        container.is_pause().then(|| (container.pod_uid.clone(), container.labels.clone()))
    };
    let of_pods: Vec<_> = all.iter().filter_map(of_pod).collect();
    for record in &mut all {
        let uid = &record.container.pod_uid;
        let pod = of_pods.iter().find(|(of_pod, _)| of_pod.is_some() && of_pod == uid);
        let own = record.container.labels.clone();
        let all = pod.into_iter().flat_map(|(_, labels)| labels.clone()).chain(own);
        record.container.labels = all.collect::<BTreeMap<_, _>>().into_iter().collect();
    }
    all
}

fn record(storages: &[Storage], container: Container) -> Record {
    let end = |storage: &Storage| {
        let mut directories = storage.directories.iter();
        let directory = directories.find(|directory| storage.may_have(directory, &container.id))?;
        storage.files.json::<End>(&storage.kept(directory, &container.id, "state.json"))
    };
    let spec = |storage: &Storage| storage.files.json::<Bundle>(container.config.as_deref()?);
    let process = storages.iter().find_map(spec).and_then(|spec| spec.process);
    let command = process.map(|process| process.args).unwrap_or_default();
    let ending = storages.iter().find_map(end).map(ending);
    Record { ending, command, ..Record::plain(container) }
}

fn ending(end: End) -> Ending {
    let time = |text: &str| seconds(text).filter(|_| has_come(text));
    let has_ended = has_come(&end.finished);
    Ending {
        was_started: has_come(&end.started) || has_ended,
        restarts: false,
        exit_code: end.exit_code.filter(|_| has_ended),
        oom_killed: has_ended.then_some(end.oom_killed),
        stopped_by_user: None,
        started: time(&end.started),
        finished: time(&end.finished),
        error: Some(end.error).filter(|error| !error.is_empty()),
    }
}

fn container(storage: &Storage, directory: &str, id: &str) -> Option<Container> {
    let files = &storage.files;
    if !storage.may_have(directory, id) {
        return None;
    }
    let spec = Spec::read(files, &storage.running(directory, id, "config.json"))
        .or_else(|| Spec::read(files, &storage.kept(directory, id, "config.json")))?;
    if spec.annotation("io.container.manager").is_some_and(|manager| manager != "cri-o") {
        return None;
    }
    let crio = |name: &str| spec.annotation(&format!("io.kubernetes.cri-o.{name}"));
    let kind = crio("ContainerType")?;
    let mut labels: BTreeMap<String, String> =
        crio("Labels").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut named = |label: &str| {
        let label = format!("io.kubernetes.{label}");
        labels.remove(&label).or_else(|| spec.annotation(&label).map(str::to_owned))
    };
    let (name, pod, namespace) = (named("container.name"), named("pod.name"), named("pod.namespace"));
    let pod_uid = named("pod.uid");
    // k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT, without CONTAINER for the sandbox.
    let mut parts = crio("Name").unwrap_or_default().split('_').skip(1).map(str::to_owned);
    let sandbox = kind == "sandbox";
    let container_in_name = if sandbox { None } else { parts.next() };
    let (pod_in_name, namespace_in_name) = (parts.next(), parts.next());
    let name = if sandbox { Some("POD".to_owned()) } else { name.or(container_in_name) };
    let pod = pod.or(pod_in_name);
    let namespace = namespace.or(namespace_in_name);

    let mut container = Container {
        engine: "cri-o",
        name: match (&namespace, &pod, &name) {
            (Some(namespace), Some(pod), Some(name)) => Some(format!("{namespace}/{pod}/{name}")),
            _ => None,
        },
        pod,
        pod_namespace: namespace,
        pod_uid,
        image: crio("UserRequestedImage").or(crio("ImageName")).map(str::to_owned).filter(|_| !sandbox),
        labels: labels.into_iter().collect(),
        hostname: spec.hostname().or(crio("HostName").map(str::to_owned)),
        created: crio("Created").and_then(seconds),
        config: spec.path.clone(),
        ..Container::new(Runtime::K8s, id)
    };
    init(storage, directory, id).store_in(&mut container);
    Some(container)
}

/// The init process, from the state file of CRI-O, of conmon, or of the OCI runtime.
fn init(storage: &Storage, directory: &str, id: &str) -> Init {
    let files = &storage.files;
    let crio = || {
        let state: State = files.json(&storage.kept(directory, id, "state.json"))?;
        let pid = (state.pid > 0).then(|| Pid::from_raw(state.pid))?;
        Some(Init { pid: Some(pid), start: state.start.parse().ok(), written: None })
    };
    let conmon = || Init::from_file(files, &storage.running(directory, id, "pidfile"));
    let crun = || Some(Crun::read(files, &format!("{}/crun", storage.runtimes), id)?.init());
    let runc = || Some(Runc::read(files, &format!("{}/runc", storage.runtimes), id)?.init());
    crio().or_else(conmon).or_else(crun).or_else(runc).unwrap_or_default()
}
