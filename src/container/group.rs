//! The control group that is a container's own, among those above and below it.

use super::Container;
use super::cgroup_path::candidates;

/// The part of a path up to the component that carries the container's id; none when none does.
#[must_use]
pub fn group_of<'a>(path: &'a str, container: &Container) -> Option<&'a str> {
    let bare = |id: &str| id.rsplit('/').next().unwrap_or_default().to_owned(); // without containerd's namespace
    let id = bare(container.group.as_ref().unwrap_or(&container.id));
    candidates(path).find(|candidate| bare(&candidate.id) == id).map(|candidate| candidate.group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

    #[test]
    fn a_container_is_the_whole_of_its_group() {
        let group = |path, id| group_of(path, &Container::new(Runtime::Lxc, id)).map(str::to_owned);
        assert_eq!(group("/lxc.payload.web/init.scope", "web").as_deref(), Some("/lxc.payload.web"));
        assert_eq!(group("/default/one", "default/one").as_deref(), Some("/default/one"));
        assert_eq!(group("/user.slice/session-1.scope", "web"), None);
        assert_eq!(group("/", "web"), None);
    }
}
