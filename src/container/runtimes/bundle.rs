//! The files that OCI runtimes share: `config.json` of the bundle, and the state files with the init process.

use std::collections::BTreeMap;

use nix::unistd::Pid;
use serde::de::DeserializeSeed;
use serde::{Deserialize, Deserializer};

use super::bounded;
use crate::container::cgroup_path::is_id;
use crate::container::{Container, Files};

/// The parts of `config.json` that identify the container.
#[derive(Deserialize, Default)]
pub(super) struct Spec {
    #[serde(default, deserialize_with = "bounded::optional_text")]
    pub hostname: Option<String>,
    #[serde(default, deserialize_with = "bounded::labels")]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "files_of_daemon")]
    mounts: Option<Vec<Mount>>,
    /// The path of the file, and the time of its last change.
    #[serde(skip)]
    pub path: Option<String>,
    #[serde(skip)]
    pub modified: Option<i64>,
}

#[derive(Deserialize)]
struct Mount {
    #[serde(default, deserialize_with = "bounded::text")]
    destination: String,
    #[serde(default, deserialize_with = "bounded::text")]
    source: String,
}

/// The directory of containerd with the bundles of all namespaces.
pub(super) const TASKS: &str = "io.containerd.runtime.v2.task";

/// The beginning of the names of annotations of containerd's CRI plugin.
pub(super) const CRI: &str = "io.kubernetes.cri.";

/// Files that dockerd mounts into a container from the container's state directory.
const FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// The first mount on each path of [`FILES`].
fn files_of_daemon<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Mount>>, D::Error> {
    struct Found(Vec<Mount>);
    impl<'de> Deserialize<'de> for Found {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Found, D::Error> {
            let mut found: Vec<Mount> = Vec::new();
            let each = bounded::Each::new(|mount: Mount| {
                let wanted = FILES.contains(&mount.destination.as_str());
                if wanted && !found.iter().any(|other| other.destination == mount.destination) {
                    found.push(mount);
                }
                true
            });
            each.deserialize(deserializer)?;
            Ok(Found(found))
        }
    }
    Ok(Option::<Found>::deserialize(deserializer)?.map(|found| found.0))
}

impl Spec {
    pub(super) fn read(files: &Files, path: &str) -> Option<Spec> {
        let (spec, modified) = files.json_dated::<Spec>(path)?;
        Some(Spec { path: Some(path.to_owned()), modified: Some(modified), ..spec })
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// The annotations that the user set: all whose name begins with none of the `internal` prefixes.
    pub(super) fn labels(&self, internal: &[&str]) -> Vec<(String, String)> {
        let all = self.annotations.iter().flatten();
        let of_user = all.filter(|(name, _)| !internal.iter().any(|prefix| name.starts_with(prefix)));
        of_user.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The source of the mount on a path of the container.
    pub(super) fn source(&self, destination: &str) -> Option<&str> {
        let mut mounts = self.mounts.iter().flatten();
        mounts.find(|mount| mount.destination == destination).map(|mount| mount.source.as_str())
    }

    /// The directory of dockerd with all its containers, if dockerd made the container with this id. One that uses the network
    /// of another container has that one's files. But any file can be mounted there, such as one of a pod's user:
    /// `is_dockers` tells whether a directory is known to be that of dockerd.
    pub(super) fn directory_of_docker(&self, id: &str, is_dockers: impl Fn(&str) -> bool) -> Option<&str> {
        let all = || FILES.into_iter().filter_map(|file| directory_and_id(file, self.source(file)?));
        let own = all().find(|(_, owner)| *owner == id);
        let is_of_cri = || self.annotations.iter().flatten().any(|(name, _)| name.starts_with(CRI));
        let others = || all().find(|(directory, _)| is_dockers(directory)).filter(|_| !is_of_cri());
        own.or_else(others).map(|(directory, _)| directory)
    }

    pub(super) fn hostname(&self) -> Option<String> {
        self.hostname.clone().filter(|name| !name.is_empty())
    }
}

/// What can be the directory of dockerd with all its containers, and the id of one, from the source of a mount.
fn directory_and_id<'s>(target: &str, source: &'s str) -> Option<(&'s str, &'s str)> {
    let (state, name) = source.rsplit_once('/')?;
    let (directory, id) = state.rsplit_once('/')?;
    let is_file = target.strip_prefix("/etc/") == Some(name);
    (is_file && is_id(id) && directory.ends_with("/containers")).then_some((directory, id))
}

/// The init process of a container, with values that distinguish it from a later process with the same PID.
#[derive(Default)]
pub(super) struct Init {
    pub pid: Option<Pid>,
    pub start: Option<u64>,
    pub written: Option<i64>,
}

impl Init {
    /// From a file that contains only the PID.
    pub(super) fn from_file(files: &Files, path: &str) -> Option<Init> {
        let (pid, written) = files.number_dated(path).filter(|(pid, _)| *pid > 0)?;
        Some(Init { pid: Some(Pid::from_raw(pid)), start: None, written: Some(written) })
    }

    /// The PID in such a file of root, whose owner is not checked.
    pub(super) fn unchecked(files: &Files, path: &str) -> Option<Pid> {
        files.number_unchecked(path).and_then(pid)
    }

    pub(super) fn store_in(self, container: &mut Container) {
        (container.init, container.init_start, container.init_written) = (self.pid, self.start, self.written);
    }
}

/// runc's `DIRECTORY/ID/state.json`.
#[derive(Deserialize)]
pub(super) struct Runc {
    #[serde(default)]
    init_process_pid: i32,
    #[serde(default)]
    init_process_start: Option<u64>,
    #[serde(default, deserialize_with = "bounded::text")]
    pub created: String,
    #[serde(default)]
    pub config: RuncConfig,
}

#[derive(Deserialize, Default)]
pub(super) struct RuncConfig {
    #[serde(default, deserialize_with = "bounded::text")]
    pub hostname: String,
    /// The annotations, as `NAME=VALUE`, and `bundle=PATH`.
    #[serde(default, deserialize_with = "bounded::lines")]
    labels: Option<Vec<String>>,
}

impl Runc {
    pub(super) fn read(files: &Files, directory: &str, id: &str) -> Option<Runc> {
        files.names(directory).may_have(id).then(|| files.json(&format!("{directory}/{id}/state.json")))?
    }

    pub(super) fn init(&self) -> Init {
        Init { pid: pid(self.init_process_pid), start: self.init_process_start, written: None }
    }

    pub(super) fn bundle(&self) -> Option<&str> {
        self.labels().find(|(name, _)| *name == "bundle").map(|(_, path)| path)
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.config.labels.iter().flatten().filter_map(|label| label.split_once('='))
    }
}

/// crun's `DIRECTORY/ID/status`.
#[derive(Deserialize)]
pub(super) struct Crun {
    #[serde(default)]
    pid: i32,
    /// Since crun 0.15.
    #[serde(rename = "process-start-time", default)]
    start: Option<u64>,
    #[serde(default, deserialize_with = "bounded::text")]
    pub created: String,
    #[serde(default, deserialize_with = "bounded::text")]
    pub bundle: String,
}

impl Crun {
    pub(super) fn read(files: &Files, directory: &str, id: &str) -> Option<Crun> {
        files.names(directory).may_have(id).then(|| files.json(&format!("{directory}/{id}/status")))?
    }

    pub(super) fn init(&self) -> Init {
        Init { pid: pid(self.pid), start: self.start.filter(|&start| start > 0), written: None }
    }
}

/// youki's `DIRECTORY/ID/state.json`, according to its documentation. It has no start time.
#[derive(Deserialize)]
pub(super) struct Youki {
    #[serde(default)]
    pid: Option<i32>,
    #[serde(default, deserialize_with = "bounded::optional_text")]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "bounded::text")]
    pub bundle: String,
}

impl Youki {
    pub(super) fn read(files: &Files, directory: &str, id: &str) -> Option<(Youki, Init)> {
        let path = format!("{directory}/{id}/state.json");
        let (state, written) = files.json_dated::<Youki>(&path)?;
        let init = Init { pid: state.pid.and_then(pid), start: None, written: Some(written) };
        Some((state, init))
    }
}

fn pid(number: i32) -> Option<Pid> {
    (number > 0).then(|| Pid::from_raw(number))
}
