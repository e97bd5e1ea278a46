//! The containers that a word means: by name, id, pod or compose service.

use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::{Result, bail};
use nix::unistd::getuid;

use super::logged::{self, Logged};
use super::{Container, IdentifiedBy, Runtime};
use crate::exit::{self, NotSeen};
use crate::proc::{ProcRoot, Scan};
use crate::text;

/// The least number of characters that can stand for an id.
pub(super) const SHORTEST_ID: usize = 4;

/// Does the word end in `?`, which ctr-ps prints after an unverified container?
pub(super) fn is_marked(word: &str) -> bool {
    word.ends_with('?')
}

pub(crate) fn is_unverified(container: &Container) -> bool {
    container.identified_by == IdentifiedBy::Cgroup
}

/// The containers that match `word`. If it ends in `?`, unverified containers win over verified ones, so that a word
/// copied from ctr-ps means the line it came from; else verified ones win.
#[must_use]
pub fn matching(all: &[Rc<Container>], word: &str) -> Vec<Rc<Container>> {
    if is_marked(word) {
        let unverified: Vec<_> = all.iter().filter(|container| is_unverified(container)).cloned().collect();
        let found = best_matches(&unverified, word);
        if !found.is_empty() {
            return found;
        }
    }
    best_matches(all, word)
}

/// The matches with the best rank. Several containers can share a name or an id. To prevent that a user hijacks one,
/// ctrbox tries all forms of the word on containers of the best rank first.
fn best_matches(all: &[Rc<Container>], typed: &str) -> Vec<Rc<Container>> {
    let ranks: BTreeSet<Rank> = all.iter().map(|container| rank(container)).collect();
    let with_rank = |wanted: Rank| -> Vec<Rc<Container>> {
        all.iter().filter(|container| rank(container) == wanted).cloned().collect()
    };
    ranks
        .into_iter()
        .map(|rank| matches_in_rank(&with_rank(rank), typed))
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// Smaller is better.
type Rank = (bool, bool, bool);

/// Containers of the host win over nested ones, as only the outer container confirms those. Verified ones win over
/// unverified ones, whose owner is unknown. Root's win over users'.
fn rank(container: &Container) -> Rank {
    (container.outer.is_some(), is_unverified(container), container.owner != 0)
}

/// Tries several ways to match, and returns the result of the first that finds a container.
pub(super) fn matches_in_rank(all: &[Rc<Container>], typed: &str) -> Vec<Rc<Container>> {
    let word = typed.strip_suffix('?').unwrap_or(typed);
    let (runtime, name) = split_runtime(word);
    if name.is_empty() {
        return Vec::new(); // an empty word would match containers without a name
    }
    let of_runtime = |container: &Container| runtime.is_none_or(|runtime| container.runtime == runtime);
    let find_any = |fits: &dyn Fn(&Container) -> bool| -> Vec<Rc<Container>> {
        all.iter().filter(|container| fits(container)).cloned().collect()
    };
    let find =
        |fits: &dyn Fn(&Container) -> bool| find_any(&|container| of_runtime(container) && fits(container));
    if let Some(service) = word.strip_prefix("compose:") {
        return find(&|container| container.compose_service().as_deref() == Some(service));
    }
    let same_label = find_any(&|container| container.label() == typed);
    let exact = |container: &Container| container.name.as_deref() == Some(name) || container.id == name;
    // RUNTIME:NAME as ctr-ps prints it means exactly that container, even if other names end in the same part.
    if same_label.len() == 1 {
        return same_label;
    }
    let named = |container: &Container| {
        let full_name = container.name.as_deref().unwrap_or_default();
        full_name == name || full_name.rsplit('/').next() == Some(name)
    };
    let of_pod = |container: &Container| container.is_in_pod(name);
    let begins = |container: &Container| name.len() >= SHORTEST_ID && container.id.starts_with(name);
    // The label of an unverified container without its `?`: a container with this name or id wins.
    let unmarked = |container: &Container| container.label().strip_suffix('?') == Some(word);
    let logged = Logged::parse(typed);
    let of_log = |container: &Container| logged.as_ref().is_some_and(|logged| logged.fits(container));
    let precise = if runtime.is_some() { find(&exact) } else { Vec::new() };
    [
        precise,
        find(&named),
        only_payload(find(&of_pod)),
        find(&|container| exact(container) || begins(container)),
        find_any(&unmarked),
        only_payload(find_any(&of_log)),
    ]
    .into_iter()
    .find(|found| !found.is_empty())
    .unwrap_or_default()
}

/// For a pod with one container besides the pause container, that container; else all of them.
fn only_payload(pod: Vec<Rc<Container>>) -> Vec<Rc<Container>> {
    let payload: Vec<_> = pod.iter().filter(|container| !container.is_pause()).cloned().collect();
    if payload.len() == 1 { payload } else { pod }
}

pub(crate) fn split_runtime(word: &str) -> (Option<Runtime>, &str) {
    let prefix = word.split_once(':');
    let known = prefix.and_then(|(runtime, name)| Some((Some(Runtime::from_name(runtime)?), name)));
    known.unwrap_or((None, word))
}

/// The containers that the word names as a group: those of a pod, or the replicas of a compose service.
#[must_use]
pub fn group(found: &[Rc<Container>], word: &str) -> Option<Vec<Rc<Container>>> {
    let (_, name) = split_runtime(word);
    let (first, others) = found.split_first()?;
    let of_pod = || found.iter().all(|container| container.is_in_pod(name));
    // Two clusters on one host, or two users, can each have a group of that name.
    let around = |container: &Container| container.outer.as_ref().map(|outer| outer.key());
    let alike = |other: &Rc<Container>| other.owner == first.owner && around(other) == around(first);
    let uid = || match Logged::parse(word) {
        Some(Logged::Pod(_)) => true,
        _ => logged::namespace(word).is_some(),
    };
    let named = word.starts_with("compose:") || of_pod() || uid();
    if others.is_empty() || !named || !others.iter().all(alike) {
        return None;
    }
    let payload: Vec<_> = found.iter().filter(|container| !container.is_pause()).cloned().collect();
    Some(if payload.is_empty() { found.to_vec() } else { payload })
}

/// The only container found; else an error that says why there is none, or lists the candidates.
pub fn one(found: &[Rc<Container>], word: &str) -> Result<Rc<Container>> {
    let shown = text::escape(word.as_bytes());
    match found {
        [one] => Ok(one.clone()),
        [] => {
            Scan::pids(&ProcRoot::default())?;
            let seen = exit::that_is_seen();
            let words =
                format!("no process or running container '{shown}'{seen} ('ctr-ps -l' lists the containers)");
            Err(NotSeen(words).into())
        }
        several => {
            let names: Vec<String> = several.iter().map(|container| precise(container, several)).collect();
            bail!("'{shown}' is ambiguous, it may be any of: {}", text::escape(names.join(" ").as_bytes()))
        }
    }
}

/// A word that matches this container only: `RUNTIME:NAME`, or `RUNTIME:ID` if two share the name.
pub(super) fn precise(container: &Container, among: &[Rc<Container>]) -> String {
    let name = container.label();
    if among.iter().filter(|other| other.label() == name).count() > 1 {
        let mark = if is_unverified(container) { "?" } else { "" };
        return format!("{}:{}{mark}", container.runtime.name(), container.id);
    }
    name
}

/// [`matching`], with what the kernel knows of the containers: namespaces (`ns:INODE`), and the control groups of those that
/// a line of a log may mean.
#[must_use]
pub(crate) fn among(proc: &ProcRoot, all: &[Rc<Container>], word: &str) -> Vec<Rc<Container>> {
    match logged::namespace(word) {
        Some(inode) => with_namespace(proc, all, inode),
        None => {
            let may_mean = |one: &&Rc<Container>| logged::may_mean(word, proc, one);
            let found = matching(&all.iter().filter(may_mean).cloned().collect::<Vec<_>>(), word);
            if found.is_empty() { logged::in_group(proc, all, word) } else { found }
        }
    }
}

/// The containers whose first process is in a namespace that the host does not have.
fn with_namespace(proc: &ProcRoot, all: &[Rc<Container>], inode: u64) -> Vec<Rc<Container>> {
    only_payload(all.iter().filter(|one| logged::has_namespace(proc, one, inode)).cloned().collect())
}

/// The container that has a number as its name. Only root's and the caller's own count: others could give any number to
/// their containers.
pub(crate) fn named(all: &[Rc<Container>], number: i32) -> Option<Rc<Container>> {
    let number = number.to_string();
    let is_own = |container: &Container| container.owner == 0 || container.owner == getuid().as_raw();
    let fits = |container: &&Rc<Container>| {
        let trusted = container.outer.is_none() && !is_unverified(container) && is_own(container);
        trusted && container.name.as_deref() == Some(&*number)
    };
    all.iter().find(fits).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(runtime: Runtime, id: &str, name: &str) -> Rc<Container> {
        Rc::new(Container { name: Some(name.to_owned()), ..Container::new(runtime, id) })
    }

    #[test]
    fn names_win_over_id_prefixes() {
        let all = [
            made(Runtime::Docker, "cafe00", "web"),
            made(Runtime::K8s, "beef00", "ns/pod/web"),
            made(Runtime::Podman, "feed00", "cafe"),
            made(Runtime::Containerd, "default/web", "default/web"),
        ];
        let ids = |word: &str| matching(&all, word).iter().map(|c| c.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids("web"), ["cafe00", "beef00", "default/web"]);
        assert_eq!(ids("docker:web"), ["cafe00"]);
        assert_eq!(ids("k8s:ns/pod/web"), ["beef00"]);
        assert_eq!(ids("default/web"), ["default/web"]);
        assert_eq!(ids("cafe"), ["feed00"]);
        assert_eq!(ids("cafe0"), ["cafe00"]);
        assert_eq!(ids("bee"), [""; 0]);
        assert_eq!(ids("podman:web"), [""; 0]);
    }

    #[test]
    fn pods_compose_services_and_labels() {
        let pod = |id: &str, name: &str| {
            let (namespace, pod) = ("shop".to_owned(), "web".to_owned());
            let name = Some(format!("shop/web/{name}"));
            let base = Container::new(Runtime::K8s, id);
            Container { name, pod: Some(pod), pod_namespace: Some(namespace), ..base }
        };
        let service = |id: &str, name: &str| {
            let labels = Container::labels_of_compose("blog", "db");
            Container { name: Some(name.to_owned()), labels, ..Container::new(Runtime::Docker, id) }
        };
        let outer = Rc::new(service("aaaa", "blog-db-1"));
        let inner = Container { outer: Some(outer.clone()), ..service("bbbb", "blog-db-1") };
        let all = [
            Rc::new(pod("1111", "POD")),
            Rc::new(pod("2222", "app")),
            outer,
            Rc::new(Container { labels: Vec::new(), ..inner }),
        ];
        let ids = |word: &str| matching(&all, word).iter().map(|c| c.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids("shop/web"), ["2222"]);
        assert_eq!(ids("k8s:shop/web"), ["2222"]);
        assert_eq!(ids("k8s:shop/web/POD"), ["1111"]);
        assert_eq!(ids("compose:blog/db"), ["aaaa"]);
        assert_eq!(ids("compose:blog/web"), [""; 0]);
        assert_eq!(ids("blog-db-1"), ["aaaa"], "the host's container, not a nested one of that name");
        assert_eq!(ids("docker:blog-db-1"), ["aaaa"], "the form that ctr-ps prints is exact");
        assert_eq!(ids("docker:blog-db-1/docker:blog-db-1"), ["bbbb"]);
        assert_eq!(ids("docker:bbbb?"), ["bbbb"]);
    }

    #[test]
    fn a_pod_of_podman_is_named_without_a_namespace() {
        let part = |id: &str, name: &str| {
            let named = Container { name: Some(name.to_owned()), ..Container::new(Runtime::Podman, id) };
            Rc::new(Container { pod: Some("shop".to_owned()), ..named })
        };
        let (infra, web, db) = (part("1111", "1111-infra"), part("2222", "web"), part("3333", "db"));
        let ids = |all: &[Rc<Container>]| all.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
        for word in ["shop", "podman:shop"] {
            assert_eq!(ids(&matching(&[infra.clone(), web.clone()], word)), ["2222"], "{word}");
            let several = matching(&[infra.clone(), web.clone(), db.clone()], word);
            assert_eq!(ids(&group(&several, word).expect("a pod")), ["2222", "3333"], "{word}");
            let named = made(Runtime::Podman, "4444", "shop");
            assert_eq!(
                ids(&matching(&[infra.clone(), web.clone(), named], word)),
                ["4444"],
                "{word}: a name"
            );
        }
        assert!(matching(&[infra, web], "docker:shop").is_empty());
    }

    #[test]
    fn a_number_is_a_name_of_roots_verified_containers_on_the_host_only() {
        let base = || Container { name: Some("361".to_owned()), ..Container::new(Runtime::Docker, "cafe00") };
        let is_named = |container: Container| named(&[Rc::new(container)], 361).is_some();
        assert!(is_named(base()));
        assert!(!is_named(Container { owner: 4_000_001, ..base() }));
        assert!(!is_named(Container { identified_by: IdentifiedBy::Cgroup, ..base() }));
        assert!(!is_named(Container {
            outer: Some(Rc::new(Container::new(Runtime::Docker, "kind"))),
            ..base()
        }));
        assert!(!is_named(Container { name: Some("3610".to_owned()), ..base() }));
    }

    #[test]
    fn verified_containers_of_root_win_over_others_of_the_same_name() {
        let named =
            |id: &str| Container { name: Some("web".to_owned()), ..Container::new(Runtime::Docker, id) };
        let of_user = Rc::new(Container { owner: 1000, ..named("abcd1") });
        let claimed = Rc::new(Container { identified_by: IdentifiedBy::Cgroup, ..named("abcd2") });
        let (one, two) = (Rc::new(named("abcd3")), Rc::new(named("abcd4")));
        let ids = |all: &[&Rc<Container>], word: &str| {
            let all: Vec<Rc<Container>> = all.iter().map(|one| (*one).clone()).collect();
            matching(&all, word).iter().map(|c| c.id.clone()).collect::<Vec<_>>()
        };
        for word in ["web", "docker:web", "abcd"] {
            assert_eq!(ids(&[&of_user, &claimed, &one], word), ["abcd3"], "{word}");
            assert_eq!(ids(&[&of_user, &claimed], word), ["abcd1"], "{word}");
            assert_eq!(ids(&[&claimed], word), ["abcd2"], "{word}");
            assert_eq!(ids(&[&one, &of_user, &two], word), ["abcd3", "abcd4"], "{word}");
        }
    }

    /// A container, or a user, gives its own containers the name, the id, the id prefix, the pod or the service of another
    /// container.
    #[test]
    fn a_container_of_a_worse_rank_cannot_take_over_any_form_of_a_name() {
        let id = "0123456789ab".to_owned() + &"cd".repeat(26);
        let of_kind = |runtime, id: &str, name: &str| Container {
            name: Some(name.to_owned()),
            labels: Container::labels_of_compose("blog", "db"),
            ..Container::new(runtime, id)
        };
        let pod = |id: &str, name: &str| Container {
            pod: Some("web".to_owned()),
            pod_namespace: Some("shop".to_owned()),
            ..of_kind(Runtime::K8s, id, name)
        };
        let evil = Rc::new(Container::new(Runtime::Docker, "e111"));
        let nested = |container: Container| Container { outer: Some(evil.clone()), ..container };
        let of_user = |container: Container| Container { owner: 1000, ..container };
        let web = || of_kind(Runtime::Docker, &id, "web");
        let app = || pod("beef00", "shop/web/app");
        let claim = || Container {
            identified_by: IdentifiedBy::Cgroup,
            ..Container::new(Runtime::Docker, id.clone())
        };
        let is_found = |real: &Container, squatter: Container, word: &str| {
            let all = [Rc::new(squatter), Rc::new(real.clone())];
            for all in [[all[0].clone(), all[1].clone()], [all[1].clone(), all[0].clone()]] {
                let keys = matching(&all, word).iter().map(|found| found.key()).collect::<Vec<_>>();
                assert_eq!(keys, [real.key()], "{word}, {}", all[0].key());
            }
        };
        let short = &id[..12];
        for word in [
            "web",
            "docker:web",
            &id,
            short,
            &id[..4],
            &format!("docker:{id}"),
            "docker:0123",
            "compose:blog/db",
        ] {
            let name = word.strip_prefix("docker:").unwrap_or(word);
            for squatter in [
                of_kind(Runtime::Docker, "5555", name),
                of_kind(Runtime::Docker, name, "x"),
                of_kind(Runtime::Docker, &id, "web"),
                pod("6666", &format!("a/b/{name}")),
            ] {
                is_found(&web(), nested(squatter.clone()), word);
                is_found(&web(), of_user(squatter), word);
            }
        }
        for word in ["shop/web", "k8s:shop/web", "k8s:shop/web/app", "shop/web/app", "app", "beef"] {
            let name = word.strip_prefix("k8s:").unwrap_or(word);
            for squatter in
                [of_kind(Runtime::K8s, "5555", name), pod("6666", "shop/web/app"), pod("beef00", "x")]
            {
                is_found(&app(), nested(squatter.clone()), word);
                is_found(&app(), of_user(squatter), word);
            }
        }
        for word in [&id, short, &format!("docker:{short}"), &format!("docker:{short}?")] {
            let name = word.strip_prefix("docker:").unwrap_or(word).trim_end_matches('?');
            is_found(&claim(), nested(of_kind(Runtime::Docker, "5555", name)), word);
            is_found(&claim(), nested(of_kind(Runtime::Docker, &id, "x")), word);
            is_found(&claim(), nested(claim()), word);
        }
    }

    /// An id as `docker ps` prints it is as long as the id in a label.
    #[test]
    fn only_a_question_mark_selects_the_unverified_container() {
        let id = "0123456789ab".to_owned() + &"cd".repeat(26);
        let verified = made(Runtime::Docker, &id, "web");
        let unverified = Rc::new(Container {
            identified_by: IdentifiedBy::Cgroup,
            ..Container::new(Runtime::Docker, &*id)
        });
        let nested = Rc::new(Container { outer: Some(verified.clone()), ..(*unverified).clone() });
        let labels = |all: &[&Rc<Container>], word: &str| {
            let all: Vec<Rc<Container>> = all.iter().map(|one| (*one).clone()).collect();
            matching(&all, word).iter().map(|container| container.label()).collect::<Vec<_>>()
        };
        let all = [&nested, &unverified, &verified];
        for word in ["web", "docker:web", "0123456789ab", "docker:0123456789ab", "docker:01234567", &id] {
            assert_eq!(labels(&all, word), ["docker:web"], "{word}");
        }
        for word in ["0123456789ab?", "docker:0123456789ab?", "0123456?", &format!("docker:{id}?")] {
            assert_eq!(labels(&all, word), ["docker:0123456789ab?"], "{word}");
            assert_eq!(
                labels(&[&verified], word),
                ["docker:web"],
                "{word}: the unverified container has ended"
            );
        }
        assert_eq!(labels(&all, "docker:web/docker:0123456789ab?"), ["docker:web/docker:0123456789ab?"]);
        assert_eq!(labels(&all, "docker:web/docker:0123456789ab"), ["docker:web/docker:0123456789ab?"]);
        for word in ["docker:web?", "web?"] {
            assert_eq!(labels(&all, word), ["docker:web"], "{word}");
        }
        // A label contains only the beginning of a hexadecimal id of 64 digits.
        let long = Rc::new(Container {
            identified_by: IdentifiedBy::Cgroup,
            ..Container::new(Runtime::Lxc, "my-long-container")
        });
        for word in ["lxc:my-long-cont?", "lxc:my-long-cont", "lxc:my-long-container", "my-long-container?"] {
            assert_eq!(labels(&[&long], word), ["lxc:my-long-container?"], "{word}");
        }
    }

    #[test]
    fn the_candidates_for_an_ambiguous_word_are_listed_in_forms_that_are_accepted() {
        let long = |id: &str| {
            Rc::new(Container { identified_by: IdentifiedBy::Cgroup, ..Container::new(Runtime::Lxc, id) })
        };
        let all = [long("my-container-1"), long("my-container-2")];
        let found = matching(&all, "lxc:my-container?");
        assert_eq!(found.len(), 2);
        let error = one(&found, "lxc:my-container?").expect_err("ambiguous").to_string();
        for form in ["lxc:my-container-1?", "lxc:my-container-2?"] {
            assert!(error.contains(form), "{error}");
            assert_eq!(matching(&all, form).len(), 1, "{form}");
        }
    }
}
