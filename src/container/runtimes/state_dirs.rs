//! The state directories of a store, indexed by container id.

use std::rc::Rc;

use crate::sys::keyed::HashMap;

/// A directory, or list, of state files.
pub(super) trait ListIds {
    fn ids(&self) -> Box<dyn Iterator<Item = &Rc<str>> + '_>;

    /// Can it contain ids that [`Self::ids`] does not list?
    fn may_have_more(&self) -> bool {
        false
    }
}

/// All state directories of a store. One look-up finds those with an id: users control the number of directories and
/// of ids, so a search in each directory could take too long.
pub(super) struct StateDirs<P> {
    all: Vec<P>,
    by_id: HashMap<Rc<str>, Vec<usize>>,
    /// Directories that can contain any id.
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

    /// The directories that may contain the id, in their order.
    pub(super) fn with(&self, id: &str) -> impl Iterator<Item = &P> {
        let mut found = self.unlisted.clone();
        found.extend(self.by_id.get(id).into_iter().flatten());
        found.sort_unstable();
        found.into_iter().map(|at| &self.all[at])
    }

    /// Every id, once for each directory that has it.
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
    fn directories_with_an_id_are_found_in_their_order() {
        let dir = |name, ids: &[&str], more| Dir(name, ids.iter().map(|&id| Rc::from(id)).collect(), more);
        let all = vec![dir("a", &["1", "2"], false), dir("b", &["1"], true), dir("c", &["2", "1"], false)];
        let state_dirs = StateDirs::new(all);
        let with = |id: &str| state_dirs.with(id).map(|dir| dir.0).collect::<String>();
        assert_eq!([with("1"), with("2"), with("3")], ["abc", "abc", "b"]);
        assert_eq!(state_dirs.ids().collect::<String>(), "12121");
    }
}
