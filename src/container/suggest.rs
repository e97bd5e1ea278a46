//! What to type in place of a name that no container has.

use std::rc::Rc;

use super::Container;
use super::near::did_you_mean;
use crate::text::{self, matches_glob};

/// For the end of an error: the containers that a pattern matches, or the one with nearly this name.
#[must_use]
pub(crate) fn instead(all: &[Rc<Container>], word: &str) -> Option<String> {
    /// Names that are listed.
    const MOST: usize = 5;
    if word.contains(['*', '?']) {
        let is_match = |container: &&Rc<Container>| {
            let label = container.label();
            let name = container.name.as_deref();
            matches_glob(word, &label) || name.is_some_and(|name| matches_glob(word, name))
        };
        let labels: Vec<String> = all.iter().filter(is_match).map(|container| container.label()).collect();
        let more = if labels.len() > MOST { " ..." } else { "" };
        let shown = labels.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(" ");
        let shown = text::escape(shown.as_bytes());
        return (!labels.is_empty()).then(|| format!("a target is no pattern; name one of: {shown}{more}"));
    }
    did_you_mean(all.iter().map(|container| &**container), word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

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
