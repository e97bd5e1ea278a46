//! StateDirs with records, and which of them has one of an id.

use std::rc::Rc;

use crate::sys::keyed::HashMap;

/// Has records of containers.
pub(super) trait ListIds {
    fn ids(&self) -> Box<dyn Iterator<Item = &Rc<str>> + '_>;

    /// May there be one of an id that is not among these?
    fn may_have_more(&self) -> bool {
        false
    }
}

/// All places of a store. Those that have an id are found by one look-up: their owners choose how many places and
/// how many ids there are, and no place is asked for an id that it has not.
pub(super) struct StateDirs<P> {
    all: Vec<P>,
    by_id: HashMap<Rc<str>, Vec<usize>>,
    /// Those that may have any.
    unlisted: Vec<usize>,
}

impl<P: ListIds> StateDirs<P> {
    pub(super) fn new(all: Vec<P>) -> StateDirs<P> {
        let mut by_id: HashMap<Rc<str>, Vec<usize>> = HashMap::default();
        for (at, dir) in all.iter().enumerate().filter(|(_, dir)| !dir.may_have_more()) {
            dir.ids().for_each(|id| by_id.entry(id.clone()).or_default().push(at));
        }
        let unlisted = (0..all.len()).filter(|&at| all[at].may_have_more()).collect();
        StateDirs { all, by_id, unlisted }
    }

    /// In the order of the places.
    pub(super) fn with(&self, id: &str) -> impl Iterator<Item = &P> {
        let mut found = self.unlisted.clone();
        found.extend(self.by_id.get(id).into_iter().flatten());
        found.sort_unstable();
        found.into_iter().map(|at| &self.all[at])
    }

    /// Every id, each once for every place that has it.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.all.iter().flat_map(ListIds::ids).map(|id| &**id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &P> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(&'static str, Vec<Rc<str>>, bool);

    impl ListIds for Dir {
        fn ids(&self) -> Box<dyn Iterator<Item = &Rc<str>> + '_> {
            Box::new(self.1.iter())
        }

        fn may_have_more(&self) -> bool {
            self.2
        }
    }

    #[test]
    fn those_that_have_it_in_their_order() {
        let dir = |name, ids: &[&str], more| Dir(name, ids.iter().map(|&id| Rc::from(id)).collect(), more);
        let all = vec![dir("a", &["1", "2"], false), dir("b", &["1"], true), dir("c", &["2", "1"], false)];
        let state_dirs = StateDirs::new(all);
        let with = |id: &str| state_dirs.with(id).map(|dir| dir.0).collect::<String>();
        assert_eq!([with("1"), with("2"), with("3")], ["abc", "abc", "b"]);
        assert_eq!(state_dirs.ids().collect::<String>(), "12121");
    }
}
