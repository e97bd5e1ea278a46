//! What the path of a control group says about containers.

use std::borrow::Cow;

use super::Runtime;
use super::runtimes::Store;
use super::spec::{After, CgroupForm, IdShape, KATA_OVERHEAD, forms};

/// A component of a path that may be the group of a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Candidate<'a> {
    /// The stores whose state files may confirm it, the likeliest first.
    pub stores: &'static [Store],
    /// The runtime to show if none does.
    pub runtime: Runtime,
    pub id: Cow<'a, str>,
    /// The path up to and including the component with the id.
    pub group: &'a str,
    /// Is the name so distinctive that ctrbox shows it even if no state file confirms it?
    pub distinctive: bool,
    /// Is it the group of a virtual machine in which the container runs?
    pub of_guest: bool,
}

/// What Kata Containers puts before the name of the group for the virtual machine.
const KATA: &str = "kata_";

/// The stores to look in for a group whose name is an id alone.
const ANY_RUNTIME: &[Store] =
    &[Store::Docker, Store::Containerd, Store::CriO, Store::Podman, Store::Oci, Store::Runsc];

/// A component of a path, with its context.
struct Component<'a> {
    name: &'a str,
    parent: &'a str,
    grandparent: &'a str,
    /// The path up to and including this component.
    group: &'a str,
    /// `PARENT/NAME`, a part of the path.
    pair: &'a str,
}

/// The most components of a path that are checked. No runtime nests as deep, and a path has room for two thousand.
const DEEPEST: usize = 64;

/// The candidates of a path, outermost first.
pub(super) fn candidates(path: &str) -> impl Iterator<Item = Candidate<'_>> {
    // The group of nspawn itself is beside that of the payload, and not part of the container.
    let supervisor = path.rsplit('/').next() == Some("supervisor");
    let claims =
        components(path).take(DEEPEST).flat_map(|component| component.claims().into_iter().flatten());
    claims.filter(move |claim| !supervisor || !claim.stores.contains(&Store::Machined))
}

/// What the components of a path may be: id, runtime, and whether the name is so distinctive that it is shown even if no
/// state file confirms it. The outermost first.
pub(crate) fn group_claims(path: &str) -> Vec<(String, &'static str, bool)> {
    let each = |one: Candidate<'_>| (one.id.into_owned(), one.runtime.name(), one.distinctive);
    candidates(path).map(each).collect()
}

/// The UID of the pod in whose control group a process is: kubelet names the group `podUID`, or `...-podUID.slice` with
/// `_` for `-`.
pub(crate) fn pod_uid(path: &str) -> Option<String> {
    path.split('/').find_map(|component| {
        let name = component.strip_suffix(".slice").unwrap_or(component);
        let at = if name == component { name.find("pod") } else { name.rfind("-pod").map(|at| at + 1) };
        let uid = name.get(at? + 3..)?.replace('_', "-");
        let digits = uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        (matches!(uid.len(), 32 | 36) && digits && path.contains("kubepods")).then_some(uid)
    })
}

/// The id of a pod of Podman, as the group above that of its containers has it: `ID/libpod-…`, or with systemd
/// `machine-libpod_pod_ID.slice/libpod-….scope`.
pub(crate) fn podman_pod(path: &str) -> Option<&str> {
    let (above, _) = path.split_once("/libpod-")?;
    let name = above.rsplit('/').next()?;
    let id = name.strip_suffix(".slice").map_or(name, |slice| slice.rsplit('_').next().unwrap_or(slice));
    (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

fn components(path: &str) -> impl Iterator<Item = Component<'_>> {
    let (mut grandparent, mut parent) = (0..0, 0..0);
    let mut next = 0;
    std::iter::from_fn(move || {
        next += path.get(next..)?.find(|letter| letter != '/')?;
        let end = path[next..].find('/').map_or(path.len(), |length| next + length);
        let component = Component {
            name: &path[next..end],
            parent: &path[parent.clone()],
            grandparent: &path[grandparent.clone()],
            group: &path[..end],
            pair: &path[parent.start..end],
        };
        grandparent = std::mem::replace(&mut parent, next..end);
        next = end;
        Some(component)
    })
}

impl<'a> Component<'a> {
    /// The candidates that this component may stand for.
    fn claims(&self) -> [Option<Candidate<'a>>; 2] {
        if let Some(name) = self.name.strip_prefix(KATA).filter(|_| self.name != KATA_OVERHEAD) {
            let host = Component { name, ..*self };
            let claims = host.claims_of_name(true);
            return claims.map(|claim| claim.filter(|claim| claim.distinctive || is_id(&claim.id)));
        }
        self.claims_of_name(self.parent == KATA_OVERHEAD)
    }

    fn claims_of_name(&self, of_guest: bool) -> [Option<Candidate<'a>>; 2] {
        let group = self.group;
        let claim = |stores, runtime, id, distinctive| Candidate {
            stores,
            runtime,
            id,
            group,
            distinctive,
            of_guest,
        };
        let form = forms().iter().find_map(|(form, runtime)| Some((form, runtime, form.id(self)?)));
        let by_name = if let Some((form, runtime, id)) = form {
            Some(claim(form.stores, *runtime, id, true))
        } else if let Some(id) = after_colons(self.name) {
            // A kubelet with the systemd driver and a runtime with the cgroupfs driver.
            Some(claim(&[Store::Containerd, Store::CriO], Runtime::K8s, id.into(), true))
        } else if is_id(self.name) {
            Some(claim(ANY_RUNTIME, Runtime::Docker, self.name.into(), false)) // any --cgroup-parent
        } else {
            // crun takes any id that can be the name of a file.
            is_file_name(self.name)
                .then(|| claim(&[Store::Oci, Store::Runsc], Runtime::Runc, self.name.into(), false))
        };
        // containerd's own clients: /NAMESPACE/ID, with one slash between them.
        let is_pair = self.pair.len() == self.parent.len() + 1 + self.name.len();
        let by_pair = (is_pair && is_name(self.name) && is_name(self.parent))
            .then(|| claim(&[Store::Containerd], Runtime::Containerd, self.pair.into(), false));
        [by_name, by_pair]
    }
}

impl CgroupForm {
    fn id<'a>(&self, component: &Component<'a>) -> Option<Cow<'a, str>> {
        let id = component.name.strip_prefix(self.prefix)?;
        let position_matches = match self.after {
            After::Anything => true,
            After::Is(name) => component.parent == name,
            After::Begins(name) => component.parent.len() > name.len() && component.parent.starts_with(name),
            After::Below(name) => component.grandparent == name,
        };
        self.shape.read(id.strip_suffix(self.suffix).filter(|_| position_matches)?)
    }
}

impl IdShape {
    fn read(self, id: &str) -> Option<Cow<'_, str>> {
        let fits = match self {
            IdShape::Hex => is_id(id),
            IdShape::Word => is_file_name(id),
            IdShape::TaskNumber => task_of(id).is_some(),
            IdShape::Uuid => is_name(id) && id.get(..36).is_some_and(is_uuid),
            IdShape::Escaped => return unescape(id).filter(|name| is_name(name)).map(Cow::Owned),
        };
        fits.then_some(Cow::Borrowed(id))
    }
}

/// SLICE:cri-containerd:ID, SLICE:crio:ID
fn after_colons(component: &str) -> Option<&str> {
    let (rest, id) = component.rsplit_once(':')?;
    let (_, maker) = rest.rsplit_once(':')?;
    (matches!(maker, "cri-containerd" | "crio") && is_id(id)).then_some(id)
}

/// Decodes systemd's escapes in names of units: `\xNN` (systemd.unit(5)).
fn unescape(escaped: &str) -> Option<String> {
    let mut parts = escaped.split("\\x");
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let byte = u8::from_str_radix(part.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        name.push(char::from(byte));
        name.push_str(part.get(2..)?);
    }
    Some(name)
}

pub(super) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
}

/// The task in the id of a container of Amazon ECS.
pub(super) fn task_of(id: &str) -> Option<&str> {
    id.split_once('-').filter(|(task, number)| is_hex(task) && is_number(number)).map(|(task, _)| task)
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

pub(super) fn is_uuid(text: &str) -> bool {
    let mut parts = text.split('-');
    let lengths = [8, 4, 4, 4, 12];
    lengths.into_iter().all(|length| parts.next().is_some_and(|part| part.len() == length && is_hex(part)))
        && parts.next().is_none()
}

/// Can it be the name of a file? Such an id cannot contain a path.
pub(super) fn is_file_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.len() <= 255 && !text.contains(['/', '\0'])
}

/// Is it an identifier that most runtimes allow? Such a name cannot contain a path.
pub(super) fn is_name(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'@');
    text.len() <= 255
        && text.bytes().all(word)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aeb29a15315aa34748c89a0c8ba54026601e0a1e27f244fe53642ea94ad02868";
    const B: &str = "55ff83edf74c99c1da16bce22b5b99c496a047a311b92c8bcd4d24b077660efd";
    const UUID: &str = "0b3f5a52-1111-2222-3333-4444deadbeef";

    /// (runtime, id, group) of distinctive candidates, the deepest first.
    fn found(path: &str) -> Vec<(Runtime, String, &str)> {
        let distinctive = candidates(path).filter(|c| c.distinctive);
        distinctive
            .map(|c| (c.runtime, c.id.into_owned(), c.group))
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect()
    }

    #[test]
    fn the_pod_above_a_container_of_podman() {
        for path in [
            format!("/libpod_parent/{B}/libpod-{A}"),
            format!("/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope/container"),
        ] {
            assert_eq!(podman_pod(&path), Some(B), "{path}");
        }
        for path in [format!("/libpod_parent/libpod-{A}"), format!("/docker/{B}"), format!("/{A}")] {
            assert_eq!(podman_pod(&path), None, "{path}");
        }
    }

    #[test]
    fn every_layout_of_the_runtimes_is_recognized() {
        for (path, runtime, id) in [
            (format!("/docker/{A}"), Runtime::Docker, A),
            (format!("/system.slice/docker-{A}.scope"), Runtime::Docker, A),
            (format!("/user.slice/user@1000.service/user.slice/docker-{A}.scope"), Runtime::Docker, A),
            (format!("/kubepods/besteffort/pod1111-22/{A}"), Runtime::K8s, A),
            (format!("/kubepods.slice/kubepods-pod1_2.slice/cri-containerd-{A}.scope"), Runtime::K8s, A),
            (format!("/system.slice/kubepods-pod1_2.slice:cri-containerd:{A}"), Runtime::K8s, A),
            (format!("/kubepods.slice/kubepods-pod1_2.slice/crio-{A}.scope"), Runtime::K8s, A),
            (format!("/kubepods/pod1/crio-{A}"), Runtime::K8s, A),
            (format!("/libpod_parent/libpod-{A}"), Runtime::Podman, A),
            (format!("/libpod_parent/{B}/libpod-{A}"), Runtime::Podman, A),
            (format!("/machine.slice/libpod-{A}.scope"), Runtime::Podman, A),
            (format!("/system.slice/web.service/libpod-payload-{A}"), Runtime::Podman, A),
            (format!("/system.slice/nerdctl-{A}.scope"), Runtime::Nerdctl, A),
            ("/system.slice/runc-job.scope".to_owned(), Runtime::Runc, "job"),
            ("/lxc.payload.web-1".to_owned(), Runtime::Lxc, "web-1"),
            ("/lxc.payload/web".to_owned(), Runtime::Lxc, "web"),
            ("/lxc/web".to_owned(), Runtime::Lxc, "web"),
            ("/machine.slice/machine-a\\x2db.scope".to_owned(), Runtime::Nspawn, "a-b"),
            ("/machine.slice/systemd-nspawn@deb.service".to_owned(), Runtime::Nspawn, "deb"),
            ("/user.slice/app-flatpak-org.x.App-77.scope".to_owned(), Runtime::Flatpak, "org.x.App-77"),
            ("/system.slice/snap.lxd.daemon.service".to_owned(), Runtime::Snap, "lxd.daemon"),
            (format!("/ecs/0123abcd/{A}"), Runtime::Ecs, A),
            ("/ecs/0123abcd/0123abcd-7".to_owned(), Runtime::Ecs, "0123abcd-7"),
            (
                format!("/ecs/{}-0265927825", &A[..32]),
                Runtime::Ecs,
                "aeb29a15315aa34748c89a0c8ba54026-0265927825",
            ),
            (format!("/kubepods/besteffort/pod1111-22/kata_{A}"), Runtime::K8s, A),
            (format!("/kata_overhead/{A}"), Runtime::K8s, A),
            (format!("/system.slice/kata_kubepods-pod1_2.slice:cri-containerd:{A}"), Runtime::K8s, A),
            (format!("/actions_job/{A}"), Runtime::Actions, A),
            ("/garden/8f8c".to_owned(), Runtime::Garden, "8f8c"),
            (
                "/buildkit/ax7wnlqv6lkbpr7bwtg7pdbf9".to_owned(),
                Runtime::Buildkit,
                "ax7wnlqv6lkbpr7bwtg7pdbf9",
            ),
            (format!("/mesos/{UUID}"), Runtime::Mesos, UUID),
            (format!("/nomad/{UUID}"), Runtime::Nomad, UUID),
        ] {
            assert_eq!(found(&path).first(), Some(&(runtime, id.to_owned(), path.as_str())), "{path}");
            let below = format!("{path}/container/init.scope");
            assert_eq!(found(&below).first(), Some(&(runtime, id.to_owned(), path.as_str())), "{below}");
        }
        let nomad = format!("/nomad.slice/share.slice/{UUID}.web.scope");
        assert_eq!(found(&nomad), [(Runtime::Nomad, format!("{UUID}.web"), nomad.as_str())]);
    }

    #[test]
    fn nested_containers_are_listed_outermost_first() {
        let path = format!("/docker/{A}/kubelet/kubepods/pod12/{B}/x");
        let ids: Vec<_> = candidates(&path).filter(|c| c.distinctive).map(|c| c.id).collect();
        assert_eq!(ids, [A, B]);
    }

    #[test]
    fn monitors_and_similar_names_are_not_containers() {
        for path in [
            "/".to_owned(),
            String::new(),
            "/libpod_parent/conmon".to_owned(),
            format!("/libpod_parent/libpod-conmon-{A}.scope"),
            format!("/system.slice/docker-{}.scope", &A[1..]),
            format!("/docker/{}", A.to_uppercase()),
            format!("/docker/{A}x"),
            format!("/system.slice/crio-conmon-{A}.scope"),
            "/lxc.monitor.web".to_owned(),
            "/lxc.monitor/web".to_owned(),
            "/machine.slice/machine-a.scope/supervisor".to_owned(),
            "/machine.slice/machine-a\\x2.scope".to_owned(),
            "/machine.slice/machine-a\\x2f..\\x2fb.scope".to_owned(),
            "/kata_overhead".to_owned(),
            "/kata_web".to_owned(),
            "/mesos/agent".to_owned(),
            "/nomad.slice/share.slice".to_owned(),
        ] {
            assert_eq!(found(&path), [], "{path}");
        }
    }

    #[test]
    fn plain_words_are_not_distinctive_and_cannot_contain_a_path() {
        let path = "/default/rt-ctr-one";
        let weak: Vec<_> = candidates(path).map(|c| (c.id.into_owned(), c.distinctive)).collect();
        let expected = ["default", "rt-ctr-one", "default/rt-ctr-one"].map(|id| (id.to_owned(), false));
        assert_eq!(weak, expected);
        for path in ["/../..", "/./.."] {
            assert!(candidates(path).next().is_none(), "{path}");
        }
        assert_eq!(candidates("/a/..").count(), 1);
        for id in ["_a", ".a", "a,b", "a:b", "a~b", "a b", "\u{e4}", "a\\x2db"] {
            let path = format!("/{id}/x");
            assert_eq!(candidates(&path).next().map(|c| c.id.into_owned()).as_deref(), Some(id));
            for prefix in ["runc-", "crun-"] {
                assert_eq!(found(&format!("/system.slice/{prefix}{id}.scope"))[0].1, id);
            }
        }
    }

    #[test]
    fn the_uid_of_a_pod_is_in_its_group() {
        let uid = "0d5f1c4e-93a7-4a4f-8f7b-5a1f0c9d2e3b";
        for path in [
            format!("/kubepods/burstable/pod{uid}/0123"),
            format!(
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{}.slice/x.scope",
                uid.replace('-', "_")
            ),
            format!("/kubelet/kubepods/pod{uid}"),
        ] {
            assert_eq!(pod_uid(&path).as_deref(), Some(uid), "{path}");
        }
        for path in
            [format!("/user.slice/pod{uid}"), "/kubepods/podx".to_owned(), "/kubepods/pods".to_owned()]
        {
            assert_eq!(pod_uid(&path), None, "{path}");
        }
    }
}
