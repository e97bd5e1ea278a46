//! The control group of a container as a whole, as opposed to groups above and below it.

use super::Container;
use super::cgroup_path::candidates;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

    #[test]
    fn the_group_of_a_container_ends_with_its_id() {
        let group = |path, id| group_of(path, &Container::new(Runtime::Lxc, id)).map(str::to_owned);
        assert_eq!(group("/lxc.payload.web/init.scope", "web").as_deref(), Some("/lxc.payload.web"));
        assert_eq!(group("/default/one", "default/one").as_deref(), Some("/default/one"));
        assert_eq!(group("/user.slice/session-1.scope", "web"), None);
        assert_eq!(group("/", "web"), None);
    }
}
