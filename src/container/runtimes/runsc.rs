//! gVisor's runsc, without an engine: a state file for each container, with the PIDs of the sandbox and of the gofer.
//!
//! The sandbox is the kernel of the container's processes: the host sees none of them. The gofer opens files for it.

use std::cell::OnceCell;
use std::rc::Rc;

use nix::unistd::Pid;
use serde::Deserialize;

use super::StateReader;
use super::bounded;
use super::bundle::Spec;
use super::state_dirs::{ListIds, StateDirs};
use crate::container::cgroup_path::is_file_name;
use crate::container::{Container, Files, Runtime, epoch, seconds};

const ROOT: &str = "/run/runsc";
const OF_USER: &str = "runsc";

#[derive(Default)]
pub(super) struct Runsc {
    state_dirs: OnceCell<StateDirs<StateDir>>,
}

struct StateDir {
    directory: String,
    ids: Vec<Rc<str>>,
    /// The names of the files, in the order of the ids.
    names: Vec<String>,
    files: Files,
    owner: u32,
}

impl ListIds for StateDir {
    fn ids(&self) -> Box<dyn Iterator<Item = &Rc<str>> + '_> {
        Box::new(self.ids.iter())
    }
}

#[derive(Deserialize)]
struct State {
    #[serde(default, deserialize_with = "bounded::text")]
    id: String,
    #[serde(rename = "createdAt", default, deserialize_with = "bounded::text")]
    created: String,
    #[serde(default)]
    spec: Spec,
    #[serde(rename = "bundleDir", default, deserialize_with = "bounded::text")]
    bundle: String,
    #[serde(rename = "goferPid", default)]
    gofer: i32,
    #[serde(default)]
    sandbox: Sandbox,
}

#[derive(Deserialize, Default)]
struct Sandbox {
    #[serde(default)]
    pid: i32,
}

impl StateReader for Runsc {
    fn ids(&self, files: &Files) -> Vec<String> {
        self.state_dirs(files).ids().filter(|id| is_file_name(id)).map(str::to_owned).collect()
    }

    /// The name is the id.
    fn ids_for(&self, files: &Files, name: &str) -> Vec<String> {
        let mut ids = self.ids(files);
        ids.retain(|id| id.starts_with(name));
        ids
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        let found = self.state_dirs(files).with(id).filter(|_| is_file_name(id));
        found.flat_map(|dir| dir.containers(id)).collect()
    }
}

impl Runsc {
    fn state_dirs(&self, files: &Files) -> &StateDirs<StateDir> {
        self.state_dirs.get_or_init(|| {
            let of_root = StateDir::new(ROOT.to_owned(), files.clone(), 0);
            let of_user = files
                .users()
                .iter()
                .filter_map(|user| StateDir::new(user.run(OF_USER), files.of_user(user.uid), user.uid));
            StateDirs::new(of_root.into_iter().chain(of_user).collect())
        })
    }
}

impl StateDir {
    fn new(directory: String, files: Files, owner: u32) -> Option<StateDir> {
        let listed = files.state_dir(&directory)?;
        // ID_sandbox:SANDBOX.state; a pod has one sandbox for all its containers.
        let (ids, names) = listed
            .iter()
            .filter_map(|name| {
                let (id, sandbox) = name.strip_suffix(".state")?.rsplit_once("_sandbox:")?;
                (!id.is_empty() && !sandbox.is_empty()).then(|| (Rc::from(id), name.to_string()))
            })
            .unzip();
        Some(StateDir { directory, ids, names, files, owner })
    }

    fn containers(&self, id: &str) -> Vec<Container> {
        let names = self.ids.iter().zip(&self.names).filter(|(listed, _)| &***listed == id);
        names.filter_map(|(_, name)| self.container(id, name)).collect()
    }

    fn container(&self, id: &str, name: &str) -> Option<Container> {
        let state: State = self.files.json(&format!("{}/{name}", self.directory))?;
        if state.id != id {
            return None;
        }
        let pid = |pid: i32| (pid > 0).then(|| Pid::from_raw(pid));
        Some(Container {
            name: Some(id.to_owned()),
            hostname: state.spec.hostname(),
            labels: state.spec.labels(&[]),
            created: seconds(&state.created),
            owner: self.owner,
            init: pid(state.sandbox.pid),
            helper: pid(state.gofer),
            // The file is written again later; both processes start at the creation.
            init_written: Some(epoch(&state.created)?.saturating_add(STARTS_WITHIN)),
            config: state.bundle.starts_with('/').then(|| state.bundle + "/config.json"),
            ..Container::new(Runtime::Gvisor, id)
        })
    }
}

/// How many seconds after the creation the sandbox may start, on a slow host.
const STARTS_WITHIN: i64 = 10;
