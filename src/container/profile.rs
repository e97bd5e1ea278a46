//! The seccomp profile of a container: `linux.seccomp` of the OCI `config.json`.

use serde::{Deserialize, Serialize};

use super::runtimes::docker_configs;
use super::{Container, Files};
use crate::isolation::seccomp::Profile;

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    linux: Option<Linux>,
}

#[derive(Deserialize)]
struct Linux {
    #[serde(default)]
    seccomp: Option<Profile>,
}

/// The files that may have the profile of a container. A process that finds a container by its name hands these over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProfileFiles {
    owner: u32,
    paths: Vec<String>,
}

impl ProfileFiles {
    #[must_use]
    pub(crate) fn find(files: &Files, container: &Container) -> ProfileFiles {
        // Docker's state file has no path of the bundle. This covers containers of a kubelet and of ECS too, as dockerd
        // runs them.
        let default_paths = || docker_configs(&of_owner(files, container.owner), container);
        let paths = container.config.clone().map_or_else(default_paths, |path| vec![path]);
        ProfileFiles { owner: container.owner, paths }
    }

    /// The seccomp profile that the container was started with. None if no file has it.
    pub(crate) fn seccomp(&self, files: &Files) -> Option<Profile> {
        let files = of_owner(files, self.owner);
        let specs = self.paths.iter().filter_map(|path| files.json::<Spec>(path));
        specs.into_iter().find_map(|spec| spec.linux?.seccomp)
    }
}

fn of_owner(files: &Files, owner: u32) -> Files {
    match owner {
        0 => files.without_users(),
        user => files.of_user(user),
    }
}
