//! Snaps: `/run/snapd/ns/NAME.mnt` is the mount namespace that all processes of the snap NAME share. Its
//! control groups are `snap.NAME.APP-UUID.scope` and `snap.NAME.APP.service`.

use super::StateReader;
use crate::container::cgroup_path::is_name;
use crate::container::{Container, Files, Runtime};
use crate::proc::ns::Kind;

const NAMESPACES: &str = "/run/snapd/ns";

pub(super) struct Snap;

impl StateReader for Snap {
    fn ids(&self, files: &Files) -> Vec<String> {
        let all = files.list(NAMESPACES).into_iter();
        all.filter_map(|name| name.strip_suffix(".mnt").map(str::to_owned)).filter(|id| is_name(id)).collect()
    }

    /// By `NAME` or `NAME.ANYTHING`: the name of a snap contains no dot.
    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        let name = id.split('.').next().unwrap_or_default();
        let file = format!("{name}.mnt");
        let exists = files.names(NAMESPACES).may_have(&file);
        let inode = exists.then(|| files.inode(&format!("{NAMESPACES}/{file}"))).flatten();
        let container = inode.map(|inode| Container {
            name: Some(name.to_owned()),
            namespaces: vec![(Kind::Mnt, inode)],
            ..Container::new(Runtime::Snap, name)
        });
        container.into_iter().collect()
    }
}
