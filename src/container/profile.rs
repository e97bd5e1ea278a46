//! The seccomp profile of a container: `linux.seccomp` of the OCI `config.json`.

use serde::Deserialize;

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

/// The seccomp profile that the container was started with. None if no file has it.
pub(crate) fn seccomp(files: &Files, container: &Container) -> Option<Profile> {
    let files = match container.owner {
        0 => files.without_users(),
        user => files.of_user(user),
    };
    // Docker's state file has no path of the bundle. This covers containers of a kubelet and of ECS too, as dockerd
    // runs them.
    let default_paths = || docker_configs(&files, container);
    let paths = container.config.clone().map_or_else(default_paths, |path| vec![path]);
    let specs = paths.iter().filter_map(|path| files.json::<Spec>(path));
    specs.into_iter().find_map(|spec| spec.linux?.seccomp)
}
