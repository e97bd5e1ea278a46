//! The control group of a container as a whole, as opposed to groups above and below it.

use super::Container;
use super::cgroup_path::{candidates, is_id};
use super::verify::SLICE_OF_USERS;
use crate::isolation::cgroup::chain::Place;

/// The container's own group of a controller, or the group that it shares.
pub(crate) struct Own {
    pub place: Place,
    pub own: Option<bool>,
}

impl Own {
    /// The group whose path has the id of the container.
    #[must_use]
    pub(crate) fn named(place: Place) -> Own {
        let is_root = place.is_root();
        Own { place, own: Some(!is_root) }
    }

    /// Without an id in the path: the group of the first process, which can also be that of others. `only`: are all
    /// processes of the group processes of the container?
    #[must_use]
    pub(crate) fn unnamed(place: Place, only: impl Fn(&Place) -> Option<bool>) -> Own {
        let only = |place: &Place| if place.is_root() { Some(false) } else { only(place) };
        // systemd in a container moves itself to a group below the container's.
        let above = place.chain().nth(1).filter(|_| place.path().ends_with("init.scope"));
        match above.map(|above| (only(&above), above)) {
            Some((Some(true), above)) => Own { place: above, own: Some(true) },
            _ => Own { own: only(&place), place },
        }
    }
}

/// The part of a path up to the component with the container's id; None if no component has it.
#[must_use]
pub fn group_of<'a>(path: &'a str, container: &Container) -> Option<&'a str> {
    let without_namespace = |id: &str| id.rsplit('/').next().unwrap_or_default().to_owned(); // of containerd
    let id = without_namespace(container.group.as_ref().unwrap_or(&container.id));
    candidates(path).find(|candidate| without_namespace(&candidate.id) == id).map(|candidate| candidate.group)
}

/// Podman's pods are in it, each in a group with the id of the pod.
const PODS: &str = "/libpod_parent/";

/// Is it a group of this container, or below one, and of no other container around it? Any container, and any user, can make
/// groups with the names of others below an own group.
#[must_use]
pub(crate) fn is_outermost(path: &str, container: &Container) -> bool {
    let is_owners = match container.owner {
        0 => !path.starts_with("/user.slice/"),
        user => path.starts_with(&format!("{SLICE_OF_USERS}{user}.slice/")),
    };
    let is_pod = |group: &str| group.strip_prefix(PODS).is_some_and(is_id);
    let mut all = candidates(path).filter(|one| one.distinctive || is_id(&one.id) && !is_pod(one.group));
    let outermost = all.next().map_or(path, |one| one.group);
    is_owners && group_of(path, container).is_some_and(|own| own.len() <= outermost.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

    #[test]
    fn a_container_cannot_make_the_group_of_another_one() {
        let (own, other) = ("aeb29a15".repeat(8), "55ff83ed".repeat(8));
        let is_of = |path: &str, owner: u32, id: &str| {
            let container = Container { owner, ..Container::new(Runtime::Docker, id) };
            is_outermost(&path.replace("ID", &own).replace("OTHER", &other), &container)
        };
        for (path, expected) in [
            ("/docker/ID", true),
            ("/docker/ID/below", true),
            ("/docker/ID/docker/OTHER", true),
            ("/shop/ID", true),
            ("/system.slice/docker-ID.scope", true),
            ("/kubepods/besteffort/pod1111-22/ID", true),
            ("/libpod_parent/OTHER/libpod-ID", true),
            ("/system.slice/web.service/libpod-payload-ID", true),
            ("/docker/OTHER", false),
            ("/docker/OTHER/docker-ID.scope", false),
            ("/shop/OTHER/docker/ID", false),
            ("/system.slice/docker-OTHER.scope/docker-ID.scope", false),
            ("/kubepods/besteffort/pod1111-22/OTHER/ID", false),
            ("/libpod_parent/libpod-OTHER/libpod-ID", false),
            ("/lxc.payload.web/docker/ID", false),
            ("/user.slice/user-1000.slice/docker-ID.scope", false),
        ] {
            assert_eq!(is_of(path, 0, &own), expected, "{path}");
        }
        for (path, expected) in [
            ("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope", true),
            ("/user.slice/user-1001.slice/user@1001.service/user.slice/docker-ID.scope", false),
            ("/docker/ID", false),
        ] {
            assert_eq!(is_of(path, 1000, &own), expected, "{path}");
        }
        for (path, id, expected) in [
            ("/lxc.payload.web/init.scope", "web", true),
            ("/default/one", "default/one", true),
            ("/docker/OTHER/web", "web", false),
            ("/docker/OTHER/lxc.payload.web", "web", false),
            ("/docker/OTHER/default/one", "default/one", false),
        ] {
            assert_eq!(is_of(path, 0, id), expected, "{path}");
        }
    }

    #[test]
    fn the_group_of_a_container_ends_with_its_id() {
        let group = |path, id| group_of(path, &Container::new(Runtime::Lxc, id)).map(str::to_owned);
        assert_eq!(group("/lxc.payload.web/init.scope", "web").as_deref(), Some("/lxc.payload.web"));
        assert_eq!(group("/default/one", "default/one").as_deref(), Some("/default/one"));
        assert_eq!(group("/user.slice/session-1.scope", "web"), None);
        assert_eq!(group("/", "web"), None);
    }
}
