//! The containers of the stores: from state files, each looked up and checked once.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::unistd::Pid;

use super::Resolver;
use crate::container::runtimes::{StateReader, Store, Whose};
use crate::container::{Container, Files, verify};
use crate::isolation::ns;
use crate::order;
use crate::sys::keyed::HashMap;

/// A container from a state file, after the check against the kernel.
#[derive(Clone)]
pub(super) struct Checked {
    pub(super) container: Rc<Container>,
    /// The groups of its init process in any hierarchy, each cut after the component with the id.
    pub(super) groups: Vec<String>,
}

/// The reader of a store, and the containers that it has found so far.
pub(super) struct Cache {
    reader: Box<dyn StateReader>,
    files: Files,
    known: HashMap<String, Rc<[Checked]>>,
}

impl Cache {
    fn new(store: Store, files: Files) -> Cache {
        Cache { reader: store.reader(), files, known: HashMap::default() }
    }
}

/// The caches of all stores.
pub(super) struct Caches {
    /// In the order of [`Store::ALL`].
    stores: Vec<Cache>,
    /// The ids that have no state file, and in which stores: a bit for each. Where no container has one, each id is looked up
    /// in most stores.
    unknown: HashMap<String, u16>,
    nothing: Rc<[Checked]>,
}

const fn bit(store: Store) -> u16 {
    1 << store as u16
}

impl Caches {
    pub(super) fn new(files: &Files) -> Caches {
        let stores = Store::ALL.into_iter().map(|store| Cache::new(store, files.clone())).collect();
        Caches { stores, unknown: HashMap::default(), nothing: Rc::default() }
    }

    /// None if the id was not looked up.
    fn get(&self, store: Store, id: &str) -> Option<&Rc<[Checked]>> {
        let is_unknown = || self.unknown.get(id).is_some_and(|stores| stores & bit(store) != 0);
        self.stores[store as usize].known.get(id).or_else(|| is_unknown().then_some(&self.nothing))
    }

    fn add(&mut self, store: Store, id: &str, known: Rc<[Checked]>) {
        self.stores[store as usize].known.insert(id.to_owned(), known);
    }

    fn add_unknown(&mut self, store: Store, id: &str) {
        if let Some(stores) = self.unknown.get_mut(id) {
            *stores |= bit(store);
        } else if self.unknown.len() < Resolver::MOST_UNKNOWN {
            // Every component of a group's path is looked up, and users create groups of any name.
            self.unknown.insert(id.to_owned(), bit(store));
        }
    }

    /// The state files of a store are read again.
    pub(super) fn forget(&mut self, store: Store) {
        let cache = &mut self.stores[store as usize];
        *cache = Cache::new(store, cache.files.clone());
        self.unknown.retain(|_, stores| {
            *stores &= !bit(store);
            *stores != 0
        });
    }
}

/// The containers to look for in the state files.
pub(in crate::container) struct Query<'a> {
    pub stores: &'a [Store],
    /// The only id, if it is known.
    pub id: Option<&'a str>,
    /// The name, or the beginning of the id.
    pub name: Option<&'a str>,
    pub selects: &'a dyn Fn(&Container) -> bool,
}

impl Resolver<'_> {
    /// Every container with a state file, also those whose state file does not name the init process.
    pub(super) fn all_with_state(&mut self, whose: Whose) -> Vec<Rc<Container>> {
        let mut all: Vec<Rc<Container>> = Vec::new();
        for store in Store::ALL {
            for id in self.ids(whose, store, None) {
                all.extend(self.containers(whose, store, &id));
            }
        }
        all
    }

    /// The running containers with this id in a store.
    pub(super) fn containers(&mut self, whose: Whose, store: Store, id: &str) -> Vec<Rc<Container>> {
        self.lookup(whose, store, id).iter().map(|known| known.container.clone()).collect()
    }

    /// The init processes of the containers with this id, before any check. None if one of the containers is not root's, or
    /// is known by more than its init process.
    pub(super) fn inits_of_root(&mut self, whose: Whose, store: Store, id: &str) -> Option<Vec<Pid>> {
        if self.caches(whose).get(store, id).is_some() {
            return None;
        }
        let cache = self.cache(whose, store);
        if let Some(inits) = cache.reader.load_inits(&cache.files, id) {
            return Some(inits);
        }
        let loaded = cache.reader.load(&cache.files, id);
        let plain = |container: &Container| {
            container.owner == 0
                && container.helper.is_none()
                && container.namespaces.is_empty()
                && !container.has_guest
                && (container.init.is_some() || container.runtime.spec().names_init)
        };
        if loaded.iter().all(plain) {
            return Some(loaded.iter().filter_map(|container| container.init).collect());
        }
        self.check_all(whose, store, id, loaded);
        None
    }

    /// The ids in a store, each once; with a name only those that can have it.
    pub(super) fn ids(&mut self, whose: Whose, store: Store, name: Option<&str>) -> Vec<String> {
        let cache = self.cache(whose, store);
        let mut ids = match name {
            Some(name) => cache.reader.ids_for(&cache.files, name),
            None => cache.reader.ids(&cache.files),
        };
        order::sort(&mut ids);
        ids.dedup();
        ids
    }

    fn caches(&mut self, whose: Whose) -> &mut Caches {
        match whose {
            Whose::Root => &mut self.caches_of_root,
            Whose::Everyone => &mut self.caches,
        }
    }

    fn cache(&mut self, whose: Whose, store: Store) -> &mut Cache {
        &mut self.caches(whose).stores[store as usize]
    }

    /// The running containers that the query selects by their state files. Only these are verified, and only for these an
    /// init process is searched for.
    pub(in crate::container) fn by_record(&mut self, whose: Whose, query: &Query<'_>) -> Vec<Rc<Container>> {
        let mut all: Vec<Rc<Container>> = Vec::new();
        for &store in query.stores {
            let ids = match query.id {
                Some(id) => vec![id.to_owned()],
                None => self.ids(whose, store, query.name),
            };
            for id in ids {
                let known = match self.caches(whose).get(store, &id) {
                    Some(known) => known.clone(),
                    None => {
                        let cache = self.cache(whose, store);
                        let selected = |all: &[Container]| all.iter().any(query.selects);
                        let is_other = |all: Vec<Container>| !selected(&all);
                        // A file that the id leads to is needed.
                        if query.id.is_none()
                            && cache.reader.load_names(&cache.files, &id).is_some_and(is_other)
                        {
                            continue;
                        }
                        let loaded = cache.reader.load(&cache.files, &id);
                        if !selected(&loaded) {
                            continue;
                        }
                        self.hold_inits(&loaded);
                        self.check_all(whose, store, &id, loaded)
                    }
                };
                let selected = known.iter().filter(|known| (query.selects)(&known.container));
                all.extend(selected.map(|known| known.container.clone()));
            }
        }
        self.find_inits(&mut all);
        let monitored = self.monitored_elsewhere(&all);
        all.extend(monitored.into_iter().filter(|container| (query.selects)(container)));
        all.retain(|container| container.init.is_some());
        order::sort_by(&mut all, |a, b| (a.runtime, &a.name, &a.id).cmp(&(b.runtime, &b.name, &b.id)));
        all
    }

    /// The running containers with this id in a store. There can be several: runtimes that share a store, and users,
    /// choose ids independently.
    pub(super) fn lookup(&mut self, whose: Whose, store: Store, id: &str) -> Rc<[Checked]> {
        if let Some(known) = self.caches(whose).get(store, id) {
            return known.clone();
        }
        let cache = self.cache(whose, store);
        let loaded = cache.reader.load(&cache.files, id);
        self.check_all(whose, store, id, loaded)
    }

    /// Checks the containers with this id in a store, and remembers the result.
    fn check_all(&mut self, whose: Whose, store: Store, id: &str, loaded: Vec<Container>) -> Rc<[Checked]> {
        if loaded.is_empty() {
            let caches = self.caches(whose);
            caches.add_unknown(store, id);
            return caches.nothing.clone();
        }
        let claims = loaded.into_iter().filter_map(|container| self.check(store, container));
        let known: Rc<[Checked]> = claims.collect();
        self.caches(whose).add(store, id, known.clone());
        known
    }

    /// Opens pidfds before a check, which then holds for the process behind the pidfd.
    fn hold_inits(&mut self, containers: &[Container]) {
        for pid in containers.iter().filter_map(|container| container.init) {
            if self.held.len() < Self::MOST_HELD {
                self.held.entry(pid).or_insert_with(|| ns::pidfd(self.proc, pid));
            }
        }
    }

    /// The pidfd of an init process that was checked after the pidfd was opened.
    pub(in crate::container) fn checked_pidfd(&mut self, pid: Pid) -> Option<OwnedFd> {
        self.held.remove(&pid).flatten()
    }

    fn check(&self, store: Store, mut container: Container) -> Option<Checked> {
        let files = match container.owner {
            0 => self.files.clone(),
            user => self.files.of_user(user),
        };
        if container.init.is_some() && !files.may_check(&container.id) {
            return None;
        }
        let groups = container.init.map(|init| match &self.current {
            Some((pid, text)) if *pid == init => verify::groups_with_id_in(text, &container),
            _ => self.groups_with_id(init, &container),
        });
        let groups = groups.unwrap_or_default();
        if groups.is_empty() && container.init_start.is_none() && container.init_written.is_none() {
            // Root's state files are at places of root: no user is searched for.
            let caches = if container.owner == 0 { &self.caches_of_root } else { &self.caches };
            let cache = &caches.stores[store as usize];
            cache.reader.date_init(&cache.files, &mut container);
        }
        let alive = match container.init {
            Some(init) => verify::is_running(self.proc, init, &container, &groups),
            // LXC writes the PID to no file.
            None => !container.runtime.spec().names_init || container.has_guest,
        };
        let confirmed = |&helper: &Pid| {
            verify::is_running(self.proc, helper, &Container { init_start: None, ..container.clone() }, &[])
        };
        container.helper = container.helper.filter(confirmed);
        (alive && files.keep(&container.id, container.size()))
            .then(|| Checked { container: Rc::new(container), groups })
    }
}
