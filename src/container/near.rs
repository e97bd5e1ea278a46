//! What to type in place of a name that no container has, for an error.

use std::rc::Rc;

use super::Container;
use super::matching::{SHORTEST_ID, split_runtime};
use crate::order;
use crate::text::{self, matches_glob};

/// `did you mean docker:web?`: the container that has the word as its host name, or nearly as its name.
#[must_use]
pub(crate) fn did_you_mean<'c>(
    all: impl Iterator<Item = &'c Container> + Clone,
    word: &str,
) -> Option<String> {
    if let Some(services) = services(all.clone(), word) {
        return Some(services);
    }
    let wanted = word.split_once(':').map_or(word, |(_, name)| name);
    let is_host =
        |container: &&'c Container| !wanted.is_empty() && container.hostname.as_deref() == Some(wanted);
    let shown = |container: &Container| text::escape(container.label().as_bytes()).into_owned();
    let same = nearest(all.clone(), word).filter(|near| names(near).any(|name| name == wanted));
    // Two namespaces can have a pod of the same name.
    let of_pod = |container: &'c Container| {
        let pod = container.pod.as_deref().filter(|pod| !wanted.is_empty() && *pod == wanted)?;
        Some(format!("{}/{pod}", container.pod_namespace.as_deref()?))
    };
    match (same, all.clone().find_map(of_pod), all.clone().find(is_host)) {
        (None, Some(pod), _) => Some(format!("did you mean {}?", text::escape(pod.as_bytes()))),
        (None, None, Some(host)) => {
            Some(format!("it is the host name of {0}; did you mean {0}?", shown(host)))
        }
        (Some(near), ..) => Some(format!("did you mean {}?", shown(near))),
        (None, None, None) => match &begun(all.clone(), word)[..] {
            [] => nearest(all, word).map(|near| format!("did you mean {}?", shown(near))),
            [one] if !names(one).any(|name| name.starts_with(wanted)) && wanted.len() < SHORTEST_ID => {
                Some(format!(
                    "the beginning of an id has {SHORTEST_ID} digits or more; did you mean {}?",
                    shown(one)
                ))
            }
            [one] => Some(format!("did you mean {}?", shown(one))),
            several => {
                let labels = several.iter().map(|container| container.label());
                Some(format!("it is the beginning of several: {}", list(labels)))
            }
        },
    }
}

/// The services of the project in `compose:PROJECT`.
fn services<'c>(all: impl Iterator<Item = &'c Container>, word: &str) -> Option<String> {
    let project = word.strip_prefix("compose:")?.split('/').next()?;
    let mut labels: Vec<String> = all
        .filter_map(Container::compose_service)
        .filter(|service| service.split('/').next() == Some(project))
        .map(|service| format!("compose:{service}"))
        .collect();
    order::sort(&mut labels);
    labels.dedup();
    (!labels.is_empty()).then(|| format!("its services are {}", list(labels.into_iter())))
}

/// The containers with a name that begins with the word; without such a name, those with such an id.
fn begun<'c>(all: impl Iterator<Item = &'c Container> + Clone, word: &str) -> Vec<&'c Container> {
    let (runtime, wanted) = split_runtime(word);
    let among = all.filter(|one| !wanted.is_empty() && runtime.is_none_or(|runtime| one.runtime == runtime));
    let of_name = |one: &&Container| names(one).any(|name| name.starts_with(wanted));
    let found: Vec<&Container> = among.clone().filter(of_name).collect();
    if found.is_empty() { among.filter(|one| one.id.starts_with(wanted)).collect() } else { found }
}

/// The first of the labels.
fn list(labels: impl Iterator<Item = String>) -> String {
    const MOST: usize = 5;
    let mut labels: Vec<String> = labels.collect();
    order::sort(&mut labels);
    let shown = labels.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(" ");
    format!("{}{}", text::escape(shown.as_bytes()), if labels.len() > MOST { " ..." } else { "" })
}

/// The containers that a pattern matches, or the one with nearly this name.
#[must_use]
pub(crate) fn instead(all: &[Rc<Container>], word: &str) -> Option<String> {
    if word.contains(['*', '?']) {
        let is_match = |container: &&Rc<Container>| {
            let label = container.label();
            let name = container.name.as_deref();
            matches_glob(word, &label) || name.is_some_and(|name| matches_glob(word, name))
        };
        let labels = list(all.iter().filter(is_match).map(|container| container.label()));
        return (!labels.is_empty()).then(|| format!("a target is no pattern; name one of: {labels}"));
    }
    did_you_mean(all.iter().map(|container| &**container), word)
}

/// Its name, and the last part of it.
fn names(container: &Container) -> impl Iterator<Item = &str> {
    let name = container.name.as_deref();
    [name, name.and_then(|name| name.rsplit('/').next())].into_iter().flatten()
}

fn nearest<'c>(all: impl Iterator<Item = &'c Container> + Clone, word: &str) -> Option<&'c Container> {
    // A runtime that is mistyped or another one makes no name alike; one of the runtime that was typed comes first.
    let (runtime, wanted) =
        word.split_once(':').map_or((None, word), |(runtime, name)| (Some(runtime), name));
    let search = |is_among: &dyn Fn(&'c Container) -> bool| {
        let mut among = all.clone().filter(|container| is_among(container));
        let near = text::nearest(wanted, among.clone().flat_map(names))?;
        among.find(|container| names(container).any(|name| name == near))
    };
    // Exactly this name is nearer than any other.
    let is_same = |container: &'c Container| names(container).any(|name| name == wanted);
    let is_typed = |container: &'c Container| Some(container.runtime.name()) == runtime;
    search(&is_same).or_else(|| search(&is_typed)).or_else(|| search(&|_| true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

    fn made(runtime: Runtime, id: &str, name: &str) -> Container {
        Container { name: Some(name.to_owned()), ..Container::new(runtime, id) }
    }

    #[test]
    fn a_name_that_is_nearly_right() {
        let all = [
            made(Runtime::Docker, "cafe00", "shop-web"),
            made(Runtime::K8s, "beef00", "ns/pod/app"),
            Container::new(Runtime::Podman, "feed00"),
        ];
        let near = |word: &str| nearest(all.iter(), word).map(|one| one.id.clone());
        for (word, id) in [
            ("shop-wbe", Some("cafe00")),
            ("dokcer:shop-web", Some("cafe00")),
            ("ns/pod/ap", Some("beef00")),
            ("apq", Some("beef00")),
            ("mail", None),
            ("", None),
        ] {
            assert_eq!(near(word).as_deref(), id, "{word}");
        }
    }

    #[test]
    fn the_beginning_of_several_names_names_them() {
        let all = [
            made(Runtime::Docker, "cafe00", "shop-web"),
            made(Runtime::Podman, "caff00", "shop-db"),
            made(Runtime::Docker, "beef00", "mail"),
        ];
        let hint = |word: &str| did_you_mean(all.iter(), word);
        let several = "it is the beginning of several: docker:shop-web podman:shop-db";
        for word in ["shop-", "s", "ca"] {
            assert_eq!(hint(word).as_deref(), Some(several), "{word}");
        }
        for (word, one) in [
            ("docker:sh", "docker:shop-web"),
            ("podman:shop-", "podman:shop-db"),
            ("mai", "docker:mail"),
            ("beef", "docker:mail"),
        ] {
            assert_eq!(hint(word), Some(format!("did you mean {one}?")), "{word}");
        }
        let short = "the beginning of an id has 4 digits or more; did you mean docker:mail?";
        assert_eq!(hint("be").as_deref(), Some(short));
        assert_eq!(hint("docker:"), None);
    }

    #[test]
    fn the_project_of_compose_names_its_services() {
        let of = |service: &str| {
            let labels = Container::labels_of_compose("shop", service);
            Container { labels, ..made(Runtime::Docker, "cafe00", service) }
        };
        let all = [of("web"), of("db"), of("web")];
        let hint = |word: &str| did_you_mean(all.iter(), word);
        let services = "its services are compose:shop/db compose:shop/web";
        for word in ["compose:shop", "compose:shop/", "compose:shop/wbe"] {
            assert_eq!(hint(word).as_deref(), Some(services), "{word}");
        }
        assert_eq!(hint("compose:sho"), None);
    }

    #[test]
    fn a_host_name_is_said_to_be_one() {
        let web = Container { hostname: Some("front".to_owned()), ..made(Runtime::Docker, "cafe00", "web") };
        let all = [made(Runtime::Docker, "beef00", "fronts"), web, made(Runtime::Podman, "feed00", "front")];
        let hint = |all: &[Container], word: &str| did_you_mean(all.iter(), word);
        let of_host = "it is the host name of docker:web; did you mean docker:web?";
        for word in ["front", "docker:front"] {
            assert_eq!(hint(&all[..2], word).as_deref(), Some(of_host), "{word}");
            assert_eq!(
                hint(&all, word).as_deref(),
                Some("did you mean podman:front?"),
                "a name wins: {word}"
            );
        }
        assert_eq!(hint(&all[..2], "webb").as_deref(), Some("did you mean docker:web?"));
        assert_eq!(hint(&all, "docker:"), None);
        let of_pod = Container {
            pod: Some("shop".to_owned()),
            pod_namespace: Some("prod".to_owned()),
            hostname: Some("shop".to_owned()),
            ..made(Runtime::K8s, "1111", "prod/shop/web")
        };
        assert_eq!(hint(&[of_pod], "shop").as_deref(), Some("did you mean prod/shop?"));
    }

    #[test]
    fn patterns_and_typing_errors() {
        let container = |name: &str| {
            Rc::new(Container { name: Some(name.to_owned()), ..Container::new(Runtime::Docker, name) })
        };
        let all: Vec<Rc<Container>> =
            ["web-1", "web-2", "db", "web-3", "web-4", "web-5", "web-6"].map(container).into();
        let instead = |word| instead(&all, word);
        let names = "docker:web-1 docker:web-2 docker:web-3 docker:web-4 docker:web-5";
        let pattern = |names: &str| Some(format!("a target is no pattern; name one of: {names}"));
        assert_eq!(instead("web*"), pattern(&format!("{names} ...")));
        assert_eq!([instead("docker:d*"), instead("d?")], [pattern("docker:db"), pattern("docker:db")]);
        assert_eq!(instead("wbe-1").as_deref(), Some("did you mean docker:web-1?"));
        assert_eq!([instead("x*"), instead("postgres")], [None, None]);
    }
}
