//! Name servers, as resolv.conf(5) of the container has them.

use nix::unistd::Pid;
use serde::Serialize;

use crate::access::Account;
use crate::applets::ctr_inspect::unknown::Unknowns;
use crate::container::inside;
use crate::container::world::{Subject, World};
use crate::text;

#[derive(Serialize, Debug, Default, PartialEq, Eq)]
pub(in crate::applets::ctr_inspect) struct Dns {
    pub servers: Vec<String>,
    pub search: Vec<String>,
    /// Is there a file?
    #[serde(skip)]
    pub is_there: bool,
}

const FILE: &str = "/etc/resolv.conf";
/// What is read of the file. resolvers read much less.
const MOST: usize = 64 << 10;
/// Names that are kept.
const MOST_NAMES: usize = 64;

/// In a container the path leads nowhere outside of it, and another process opens the file.
pub(super) fn read(world: &World<'_>, subject: Subject, unknown: &Unknowns) -> Option<Dns> {
    let (pid, path) = (Pid::from_raw(subject.pid), "network.dns");
    if !unknown.is_live(path) {
        return None;
    }
    if let Err(error) = world.proc.link(&world.proc.path_of(pid, "root")) {
        return unknown.known(path, Err(error));
    }
    let owner = subject.container.map_or(0, |number| world.containers[number].container.owner);
    let Some(files) = inside(world.proc, pid, Account::of_owner(owner, subject.pid)) else {
        unknown.add(path, "a process serves one of its file systems, and may not answer");
        return None;
    };
    match files.read(FILE) {
        Some(text) => Some(parse(text.get(..MOST).unwrap_or(&text))),
        None if files.lacks(FILE) => Some(Dns::default()),
        None => {
            unknown.add(path, format!("{FILE} cannot be read"));
            None
        }
    }
}

fn parse(text: &[u8]) -> Dns {
    let mut found = Dns { is_there: true, ..Dns::default() };
    for line in text.split(|&b| b == b'\n') {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let shown = |word: &[u8]| text::utf8(word).into_owned();
        match words.next() {
            Some(b"nameserver") if found.servers.len() < MOST_NAMES => {
                found.servers.extend(words.next().map(shown));
            }
            // The last line counts.
            Some(b"search" | b"domain") => found.search = words.take(MOST_NAMES).map(shown).collect(),
            _ => {}
        }
    }
    found
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &[u8]) {
    let found = parse(text);
    assert!(found.servers.len().max(found.search.len()) <= MOST_NAMES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_domains() {
        let text = b"# nameserver 1.1.1.1\nsearch old\nnameserver 127.0.0.11\n nameserver\t::1 x\nnameserver\nsearch a b\n\
            options ndots:0\nnameservers 9.9.9.9";
        let found = parse(text);
        assert_eq!(found.servers, ["127.0.0.11", "::1"]);
        assert_eq!(found.search, ["a", "b"]);
        assert!(parse(b"").servers.is_empty());
        assert_eq!(parse(&b"nameserver 1.1.1.1\n".repeat(5000)).servers.len(), MOST_NAMES);
    }
}
