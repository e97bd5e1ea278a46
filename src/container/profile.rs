//! What a container's program may ask of the kernel, as its runtime was told: `linux.seccomp` of the OCI
//! `config.json`.

use serde::Deserialize;

use super::records::docker_configs;
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

/// The seccomp profile that the container was started with. None where no file tells.
pub(crate) fn seccomp(files: &Files, container: &Container) -> Option<Profile> {
    let files = match container.owner {
        0 => files.clone(),
        user => files.of_user(user),
    };
    // Docker's record does not say where the rest is, for it may be that of a kubelet or of ECS.
    let elsewhere = || docker_configs(&files, container);
    let paths = container.config.clone().map_or_else(elsewhere, |path| vec![path]);
    let specs = paths.iter().filter_map(|path| files.json::<Spec>(path));
    specs.into_iter().find_map(|spec| spec.linux?.seccomp)
}
