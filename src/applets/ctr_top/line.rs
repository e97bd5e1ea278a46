//! A line of a cgroup file, as it goes from one process to another.

use serde::{Deserialize, Serialize};

use crate::container::{Container, group_of};
use crate::isolation::cgroup;

/// A line of the cgroup file of the first process.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// One character for each byte, as in the path.
    pub controllers: String,
    pub path: String,
    /// Does the path end with the container's own group?
    pub own: bool,
}

impl Line {
    /// Is it the line of this controller? The empty name is that of the unified hierarchy.
    pub(super) fn is_of(&self, name: &str) -> bool {
        self.controllers.split(',').any(|own| own == name)
    }
}

/// The lines of a cgroup file: each path up to the container's own group, if it is below that.
pub(super) fn lines(text: &[u8], container: Option<&Container>) -> Vec<Line> {
    let line = |line: cgroup::Membership<'_>| {
        let whole = latin(line.path);
        let own = container.and_then(|container| group_of(std::str::from_utf8(line.path).ok()?, container));
        let path = own.map_or(whole, |own| latin(own.as_bytes()));
        Line { controllers: latin(line.controllers), path, own: own.is_some() }
    };
    cgroup::parse_whole(text).map(line).collect()
}

/// A text with one character for each byte: any path fits into JSON.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// The bytes again.
pub(super) fn bytes(latin: &str) -> Vec<u8> {
    latin.chars().filter_map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive() {
        let path: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&latin(&path)), path);
    }
}
