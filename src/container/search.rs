//! The search for the containers that a word means.

use std::rc::Rc;

use nix::unistd::geteuid;

use super::cgroup_path::is_id;
use super::logged::{self, Logged};
use super::matching::{among, is_marked, matches_in_rank, matching, named, split_runtime};
use super::resolver::Query;
use super::runtimes::{Store, Whose};
use super::{Container, Resolver};

/// The containers that match `word`. Reads as few state files as possible, and scans /proc only if no state file
/// answers: containers without a readable state file are nested ones, sandboxes, those of a monitor or in a state directory
/// elsewhere, and unverified ones. For root, a user's state file counts only after that scan, because a container of root
/// may have the name.
pub(crate) fn find(resolver: &mut Resolver<'_>, word: &str) -> Vec<Rc<Container>> {
    let scan = |resolver: &mut Resolver<'_>| {
        let all = resolver.scan();
        among(resolver.proc(), &all, word)
    };
    if logged::namespace(word).is_some() {
        return scan(resolver);
    }
    if is_marked(word) {
        let found = scan(resolver);
        let found = meant(resolver, word, found);
        return if found.is_empty() { recorded(resolver, word) } else { found };
    }
    let found = recorded(resolver, word);
    if found.is_empty() { scan(resolver) } else { found }
}

/// The same without a scan of /proc: what state files answer.
pub(crate) fn find_without_scan(resolver: &mut Resolver<'_>, word: &str) -> Vec<Rc<Container>> {
    match logged::namespace(word).is_some() || is_marked(word) {
        true => Vec::new(),
        false => recorded(resolver, word),
    }
}

fn recorded(resolver: &mut Resolver<'_>, word: &str) -> Vec<Rc<Container>> {
    let found = match geteuid().is_root() {
        true => by_record(resolver, Whose::Root, word),
        false => find_by_record(resolver, word),
    };
    meant(resolver, word, found)
}

fn meant(resolver: &Resolver<'_>, word: &str, mut found: Vec<Rc<Container>>) -> Vec<Rc<Container>> {
    found.retain(|container| logged::may_mean(word, resolver.proc(), container));
    found
}

/// What a word looks like that begins the id of a container as `ctr-ps` prints it, without the runtime before it: the id.
#[must_use]
pub(crate) fn as_id(word: &str) -> Option<&str> {
    const PRINTED: usize = 12;
    let (_, id) = split_runtime(word.strip_suffix('?').unwrap_or(word));
    (id.len() >= PRINTED && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))).then_some(id)
}

/// The containers with a state file that match `word`. Root's win over those of users, so users' state files are read
/// only if root's do not answer.
pub fn find_by_record(resolver: &mut Resolver<'_>, word: &str) -> Vec<Rc<Container>> {
    let found = by_record(resolver, Whose::Root, word);
    if found.is_empty() { by_record(resolver, Whose::Everyone, word) } else { found }
}

/// The container with a number as its name, among root's state files, and with `everyone` among all of them.
pub(super) fn find_named(resolver: &mut Resolver<'_>, number: i32, everyone: bool) -> Option<Rc<Container>> {
    let word = number.to_string();
    let mut look = |whose| named(&by_record(resolver, whose, &word), number);
    look(Whose::Root).or_else(|| if everyone { look(Whose::Everyone) } else { None })
}

fn by_record(resolver: &mut Resolver<'_>, whose: Whose, word: &str) -> Vec<Rc<Container>> {
    let bare = word.strip_suffix('?').unwrap_or(word);
    let (runtime, name) = split_runtime(bare);
    let stores = Store::of_runtime(runtime);
    if stores.len() == Store::ALL.len() {
        resolver.list_tops();
    }
    let selects = |container: &Container| !matches_in_rank(&[Rc::new(container.clone())], word).is_empty();
    let logged = Logged::parse(word);
    let is_pattern = bare.starts_with("compose:") || name.is_empty() || logged.is_some();
    let name = Some(name).filter(|_| !is_pattern);
    let query = Query { stores, name, id: None, selects: &selects };
    // A whole id leads to the state file. As with docker(1), it wins over the same word as a name.
    let of_log = logged.as_ref().and_then(Logged::id);
    if let Some(id) = name.filter(|name| is_id(name)).or(of_log) {
        let found = resolver.by_record(whose, &Query { id: Some(id), ..query });
        if !found.is_empty() {
            return matching(&found, word);
        }
    }
    matching(&resolver.by_record(whose, &query), word)
}
