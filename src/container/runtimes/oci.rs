//! Containers created directly with runc, crun or youki, and the steps of image builds, from the state files of those
//! runtimes. Containers of an engine are skipped: the engine has its own state files.

use std::cell::OnceCell;
use std::rc::Rc;

use super::StateReader;
use super::bundle::{Crun, Init, Runc, Spec, Youki};
use super::podman::Podman;
use super::state_dirs::{ListIds, StateDirs};
use crate::container::cgroup_path::is_file_name;
use crate::container::files::Names;
use crate::container::{Container, Files, Runtime, seconds};
use crate::order;

const RUNTIMES: [(Runtime, &str); 3] =
    [(Runtime::Runc, "runc"), (Runtime::Crun, "crun"), (Runtime::Youki, "youki")];

#[derive(Default)]
pub(super) struct Oci {
    state_dirs: OnceCell<StateDirs<StateDir>>,
    podman: Podman,
}

/// A state directory of a runtime, and its entries. It is listed once, as the name of any control group can look like
/// an id.
struct StateDir {
    runtime: Runtime,
    directory: String,
    ids: Rc<Names>,
    files: Files,
    owner: u32,
}

impl ListIds for StateDir {
    fn ids(&self) -> Box<dyn Iterator<Item = &Rc<str>> + '_> {
        Box::new(self.ids.iter())
    }

    fn may_have_more(&self) -> bool {
        self.ids.has_more()
    }
}

/// The fields that the three runtimes have in common.
struct State {
    init: Init,
    created: String,
    bundle: String,
    hostname: Option<String>,
    manager: Option<String>,
    labels: Vec<(String, String)>,
    config: Option<String>,
}

impl StateReader for Oci {
    fn ids(&self, files: &Files) -> Vec<String> {
        self.state_dirs(files).ids().filter(|id| is_file_name(id)).map(str::to_owned).collect()
    }

    /// The name is the id. Build steps have the name of a working container.
    fn ids_for(&self, files: &Files, name: &str) -> Vec<String> {
        let mut ids = self.ids(files);
        ids.retain(|id| id.starts_with(name) || id.starts_with("buildah-"));
        ids
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        let found = self.state_dirs(files).with(id).filter(|_| is_file_name(id));
        found.filter_map(|dir| self.container(files, dir, id)).collect()
    }
}

impl Oci {
    fn state_dirs(&self, files: &Files) -> &StateDirs<StateDir> {
        self.state_dirs.get_or_init(|| {
            let mut all = Vec::new();
            for (runtime, name) in RUNTIMES {
                all.extend(StateDir::new(runtime, format!("/run/{name}"), files.clone(), 0));
            }
            for user in files.users() {
                for (runtime, name) in RUNTIMES {
                    all.extend(StateDir::new(runtime, user.run(name), files.of_user(user.uid), user.uid));
                }
            }
            StateDirs::new(all)
        })
    }

    fn container(&self, files: &Files, dir: &StateDir, id: &str) -> Option<Container> {
        let state = dir.state(id)?;
        // Podman and CRI-O name themselves here; they have their own state files.
        if state.manager.is_some() {
            return None;
        }
        let mut container = Container {
            name: Some(id.to_owned()),
            hostname: state.hostname,
            created: seconds(&state.created),
            labels: state.labels,
            config: state.config,
            owner: dir.owner,
            ..Container::new(dir.runtime, id)
        };
        if id.starts_with("buildah-") {
            // The host name of a build step is the beginning of the id of buildah's working container.
            container.runtime = Runtime::Buildah;
            let hostname = container.hostname.as_deref().unwrap_or_default();
            if let Some(working) = self.podman.working(files, dir.owner, hostname) {
                let group = Some(id.to_owned());
                let Container { name, image, id, .. } = working;
                container = Container { name, image, id, group, ..container };
            }
        } else if state.bundle.contains("/buildkit/") {
            container.runtime = Runtime::Buildkit;
        }
        state.init.store_in(&mut container);
        Some(container)
    }
}

impl StateDir {
    fn new(runtime: Runtime, directory: String, files: Files, owner: u32) -> Option<StateDir> {
        let ids = files.state_dir(&directory)?;
        Some(StateDir { runtime, directory, ids, files, owner })
    }

    fn state(&self, id: &str) -> Option<State> {
        match self.runtime {
            Runtime::Crun => self.crun(id),
            Runtime::Youki => self.youki(id),
            _ => self.runc(id),
        }
    }

    fn runc(&self, id: &str) -> Option<State> {
        let runc = Runc::read(&self.files, &self.directory, id)?;
        let label = |wanted: &str| {
            let found = runc.labels().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.to_owned())
        };
        let mut labels: Vec<(String, String)> = runc
            .labels()
            .filter(|(name, _)| *name != "bundle")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        order::sort(&mut labels);
        Some(State {
            init: runc.init(),
            config: label("bundle")
                .filter(|bundle| bundle.starts_with('/'))
                .map(|bundle| bundle + "/config.json"),
            bundle: label("bundle").unwrap_or_default(),
            manager: label("io.container.manager"),
            labels,
            hostname: Some(runc.config.hostname.clone()).filter(|name| !name.is_empty()),
            created: runc.created,
        })
    }

    fn crun(&self, id: &str) -> Option<State> {
        let crun = Crun::read(&self.files, &self.directory, id)?;
        // crun copies it from the bundle; old versions do not.
        let spec = Spec::read(&self.files, &format!("{}/{id}/config.json", self.directory));
        let spec = spec.or_else(|| self.spec(&crun.bundle)).unwrap_or_default();
        Some(State::new(crun.init(), crun.created, crun.bundle, &spec))
    }

    fn youki(&self, id: &str) -> Option<State> {
        let (youki, init) = Youki::read(&self.files, &self.directory, id)?;
        let spec = self.spec(&youki.bundle).unwrap_or_default();
        Some(State::new(init, youki.created.unwrap_or_default(), youki.bundle, &spec))
    }

    fn spec(&self, bundle: &str) -> Option<Spec> {
        if !bundle.starts_with('/') {
            return None;
        }
        Spec::read(&self.files, &format!("{bundle}/config.json"))
    }
}

impl State {
    fn new(init: Init, created: String, bundle: String, spec: &Spec) -> State {
        State {
            init,
            created,
            bundle,
            hostname: spec.hostname(),
            manager: spec.annotation("io.container.manager").map(str::to_owned),
            labels: spec.labels(&[]),
            config: spec.path.clone(),
        }
    }
}
