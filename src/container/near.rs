//! The container that a word nearly means, for an error.

use super::Container;
use crate::text;

/// `did you mean docker:web?`: the container that has the word as its host name, or nearly as its name.
#[must_use]
pub(crate) fn did_you_mean<'c>(
    all: impl Iterator<Item = &'c Container> + Clone,
    word: &str,
) -> Option<String> {
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
        _ => nearest(all, word).map(|near| format!("did you mean {}?", shown(near))),
    }
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
}
