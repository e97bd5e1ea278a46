//! What the path of a control group says about the container: the table of patterns.

/// Where to look for the state of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Store<'a> {
    Docker,
    /// containerd's namespace for Kubernetes.
    Cri,
    Podman,
    /// Any of the three: all that the path has is the id.
    Any,
    /// containerd, in a namespace that the path names.
    Containerd(&'a str),
}

/// An id in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Candidate<'a> {
    pub store: Store<'a>,
    pub id: &'a str,
    /// The path up to the component of the id, and with it.
    pub group: &'a str,
    /// Components of `group`.
    pub depth: usize,
    /// Is the name so particular that it is worth showing without any state that vouches for it?
    pub particular: bool,
}

/// Components of the form PREFIX ID SUFFIX, with an id of 64 hexadecimal digits.
const FORMS: [(&str, &str, Store<'static>); 7] = [
    ("docker-", ".scope", Store::Docker),      // systemd driver
    ("cri-containerd-", ".scope", Store::Cri), // systemd driver
    ("libpod-", ".scope", Store::Podman),      // systemd driver; crun adds a group `container` below
    ("libpod-", "", Store::Podman),            // cgroupfs driver
    ("libpod-payload-", "", Store::Podman),    // --cgroups=split, quadlet
    ("nerdctl-", ".scope", Store::Containerd("default")),
    ("", "", Store::Any), // cgroupfs driver, any --cgroup-parent
];

/// What stands before a bare id and tells whose it is.
const PARENTS: [(&str, Store<'static>); 2] = [("docker", Store::Docker), ("pod", Store::Cri)];

/// The candidates of a path, deepest first: inside a container that runs containers, the inner one.
pub fn candidates(path: &str) -> Vec<Candidate<'_>> {
    let mut found = Vec::new();
    let mut parent = "";
    let mut end = 0;
    for (depth, component) in path.split('/').enumerate() {
        end += component.len();
        let group = &path[..end];
        end += 1;
        let mut add = |store, id, particular| found.push(Candidate { store, id, group, depth, particular });
        if let Some((store, id)) = by_form(component) {
            let store = if store == Store::Any { of_parent(parent) } else { store };
            add(store, id, store != Store::Any);
        } else if let Some(id) = after_colons(component) {
            // A kubelet with the systemd driver over a containerd with the cgroupfs driver.
            add(Store::Cri, id, true);
        } else if is_name(parent) && is_name(component) {
            // containerd's own clients: /NAMESPACE/ID, where an id may be any word.
            add(Store::Containerd(parent), component, false);
        }
        parent = component;
    }
    found.reverse();
    found
}

/// SLICE:cri-containerd:ID
fn after_colons(component: &str) -> Option<&str> {
    let (slice, id) = component.rsplit_once(':')?;
    (slice.ends_with(":cri-containerd") && is_id(id)).then_some(id)
}

fn by_form(component: &str) -> Option<(Store<'static>, &str)> {
    FORMS.iter().find_map(|&(prefix, suffix, store)| {
        let id = component.strip_prefix(prefix)?.strip_suffix(suffix)?;
        is_id(id).then_some((store, id))
    })
}

fn of_parent(parent: &str) -> Store<'static> {
    let known = PARENTS.iter().find(|(name, _)| match *name {
        "pod" => parent.starts_with("pod") && parent.len() > 3,
        name => parent == name,
    });
    known.map_or(Store::Any, |&(_, store)| store)
}

pub fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
}

/// An identifier as containerd allows them; so never a path of its own.
pub fn is_name(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    text.len() <= 76
        && text.bytes().all(word)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aeb29a15315aa34748c89a0c8ba54026601e0a1e27f244fe53642ea94ad02868";
    const B: &str = "55ff83edf74c99c1da16bce22b5b99c496a047a311b92c8bcd4d24b077660efd";

    fn found(path: &str) -> Vec<(Store<'_>, &str, &str)> {
        candidates(path).into_iter().filter(|c| c.particular).map(|c| (c.store, c.id, c.group)).collect()
    }

    #[test]
    fn every_layout_that_runtimes_make() {
        for (path, store) in [
            (format!("/docker/{A}"), Store::Docker),
            (format!("/system.slice/docker-{A}.scope"), Store::Docker),
            (format!("/user.slice/user@1000.service/user.slice/docker-{A}.scope"), Store::Docker),
            (format!("/kubepods/besteffort/pod1111-22/{A}"), Store::Cri),
            (format!("/kubepods.slice/kubepods-pod1_2.slice/cri-containerd-{A}.scope"), Store::Cri),
            (format!("/system.slice/kubepods-pod1_2.slice:cri-containerd:{A}"), Store::Cri),
            (format!("/libpod_parent/libpod-{A}"), Store::Podman),
            (format!("/libpod_parent/{B}/libpod-{A}"), Store::Podman),
            (format!("/machine.slice/libpod-{A}.scope"), Store::Podman),
            (format!("/system.slice/web.service/libpod-payload-{A}"), Store::Podman),
        ] {
            assert_eq!(found(&path).first(), Some(&(store, A, path.as_str())), "{path}");
            let below = format!("{path}/container/init.scope");
            assert_eq!(found(&below).first(), Some(&(store, A, path.as_str())), "{below}");
        }
    }

    #[test]
    fn the_deepest_of_nested_ones_comes_first() {
        let path = format!("/docker/{A}/kubelet/kubepods/pod12/{B}/x");
        let ids: Vec<&str> = found(&path).iter().map(|c| c.1).collect();
        assert_eq!(ids, [B, A]);
    }

    #[test]
    fn conmon_and_near_misses_are_no_containers() {
        for path in [
            "/".to_owned(),
            String::new(),
            "/libpod_parent/conmon".to_owned(),
            format!("/libpod_parent/libpod-conmon-{A}.scope"),
            format!("/system.slice/docker-{}.scope", &A[1..]),
            format!("/docker/{}", A.to_uppercase()),
            format!("/docker/{A}x"),
            format!("/system.slice/crio-conmon-{A}.scope"),
        ] {
            assert_eq!(found(&path), [], "{path}");
        }
    }

    #[test]
    fn containerds_names_are_weak_and_never_lead_out_of_the_directory() {
        let weak = candidates("/default/rt-ctr-one");
        assert_eq!((weak[0].store, weak[0].id), (Store::Containerd("default"), "rt-ctr-one"));
        assert!(!weak[0].particular);
        assert!(candidates("/../..").is_empty());
        assert!(candidates("/a/..").is_empty());
        assert!(candidates("/./b").is_empty());
    }
}
