//! User and group id maps of user namespaces (user_namespaces(7)): as the user writes them, as /etc/subuid
//! grants them, joined with a single id, and as the kernel takes them.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Error, Result};

use super::operation::{Operation, refused};

/// Which of the two maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Users,
    Groups,
}

impl Which {
    /// Below /proc/PID.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Which::Users => "uid_map",
            Which::Groups => "gid_map",
        }
    }

    /// What root grants to users. Both are looked up by the name of the user, never the group's.
    #[must_use]
    pub const fn grants(self) -> &'static str {
        match self {
            Which::Users => "/etc/subuid",
            Which::Groups => "/etc/subgid",
        }
    }

    /// The program that writes the map for who may not (newuidmap(1)).
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Which::Users => "newuidmap",
            Which::Groups => "newgidmap",
        }
    }
}

/// `count` ids from `inner` inside are those from `outer` outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// None: from 0, around what else is mapped.
    pub inner: Option<u32>,
    pub outer: u32,
    pub count: u32,
}

/// One id, `inner` inside, `outer` outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Single {
    pub inner: u32,
    pub outer: u32,
}

/// The kernel takes no more than a page, in one write.
const LARGEST: usize = 4096;

impl Range {
    /// `INNER:OUTER:COUNT` or `OUTER,INNER,COUNT`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Range> {
        let colons: Vec<&str> = text.split(':').collect();
        let commas: Vec<&str> = text.split(',').collect();
        let (inner, outer, count) = match (&colons[..], &commas[..]) {
            (&[inner, outer, count], _) => (inner, outer, count),
            (_, &[outer, inner, count]) => (inner, outer, count),
            _ => return None,
        };
        Some(Range { inner: Some(scanned(inner)?), outer: scanned(outer)?, count: scanned(count)? })
    }

    /// Every id of the lines of a map, as itself.
    #[must_use]
    pub fn identity_of(map: &str) -> Vec<Range> {
        let lines = map.lines().filter_map(|line| {
            let mut fields = line.split_whitespace().map(str::parse::<u32>);
            let (start, _, count) = (fields.next()?.ok()?, fields.next()?, fields.next()?.ok()?);
            Some(Range { inner: Some(start), outer: start, count })
        });
        lines.collect()
    }

    /// Is it one of the ids outside?
    #[must_use]
    pub fn contains(&self, id: u32) -> bool {
        id.checked_sub(self.outer).is_some_and(|offset| offset < self.count)
    }

    /// What the first line for `user` (by name or number) in the text of /etc/subuid grants.
    #[must_use]
    pub fn granted(text: &[u8], user: &[u8], uid: u32) -> Option<Range> {
        Range::all_granted(text, user, uid).next()
    }

    /// What all of them do.
    pub fn all_granted(text: &[u8], user: &[u8], uid: u32) -> impl Iterator<Item = Range> {
        text.split(|&b| b == b'\n').filter_map(move |line| {
            let fields: Vec<&[u8]> = line.split(|&b| b == b':').collect();
            let &[who, start, count] = &fields[..] else { return None };
            if who != user && who != uid.to_string().as_bytes() {
                return None;
            }
            let number = |field| std::str::from_utf8(field).ok()?.trim().parse().ok();
            Some(Range { inner: None, outer: number(start)?, count: number(count)? })
        })
    }
}

/// As scanf(3) reads %u: white space, a sign, digits; modulo 2^32.
fn scanned(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = digits.parse::<u64>().unwrap_or(u64::MAX);
    let value = if negative { value.wrapping_neg() } else { value };
    #[allow(clippy::cast_possible_truncation)] // that is what %u does
    Some(value as u32)
}

/// The single id first, then the ranges around it: neither its inner nor its outer id can be mapped twice.
#[must_use]
pub fn join(single: Option<Single>, ranges: &[Range]) -> Vec<Range> {
    let Some(single) = single else {
        return ranges.iter().map(|range| Range { inner: range.inner.or(Some(0)), ..*range }).collect();
    };
    let mut joined = vec![Range { inner: Some(single.inner), outer: single.outer, count: 1 }];
    for range in ranges {
        split(single, *range, &mut joined);
    }
    joined
}

/// Skips the single's ids, which makes three pieces of the range at most. An id that has no place left is
/// the last; of a range with a start of its own that one is given up, not moved past the end.
fn split(single: Single, range: Range, pieces: &mut Vec<Range>) {
    let (skip_inner, skip_outer) = (u64::from(single.inner), u64::from(single.outer));
    let (mut inner, mut outer) = (u64::from(range.inner.unwrap_or(0)), u64::from(range.outer));
    let mut left = u64::from(range.count);
    let within = |start: u64, id: u64| (start..=start + left).contains(&id); // its end counts, as with util-linux
    if range.inner.is_some() && (within(inner, skip_inner) || within(outer, skip_outer)) {
        left = left.saturating_sub(1);
    }
    while left > 0 {
        inner += u64::from(inner == skip_inner);
        outer += u64::from(outer == skip_outer);
        let mut count = left;
        if skip_inner > inner {
            count = count.min(skip_inner - inner);
        }
        if skip_outer > outer {
            count = count.min(skip_outer - outer);
        }
        let id = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        pieces.push(Range { inner: Some(id(inner)), outer: id(outer), count: id(count) });
        (inner, outer, left) = (inner + count, outer + count, left - count);
    }
}

/// The numbers of a map, one after the other: arguments of newuidmap(1).
#[must_use]
pub fn arguments(map: &[Range]) -> Vec<String> {
    let numbers = map.iter().flat_map(|range| [range.inner.unwrap_or(0), range.outer, range.count]);
    numbers.map(|number| number.to_string()).collect()
}

/// Writes a map of several ranges, in the one write that the kernel allows.
pub(crate) fn write_map(path: &Path, which: Which, map: &[Range]) -> Result<()> {
    let operation = || Operation::Map { which, file: path.to_owned(), ranges: map.to_vec(), helper: true };
    let mut text = String::new();
    for range in map {
        writeln!(text, "{} {} {}", range.inner.unwrap_or(0), range.outer, range.count)?;
    }
    if text.len() > LARGEST {
        let words = format!("{} is too large for the kernel's limit of {LARGEST} bytes", path.display());
        return Err(Error::msg(refused(words, operation())));
    }
    put(path, text.as_bytes())
        .with_context(|| refused(format!("failed to write {}", path.display()), operation()))
}

/// Writes a map of one id, from inside the new user namespace.
pub(crate) fn write_single(path: &Path, which: Which, single: Single) -> Result<()> {
    let range = Range { inner: Some(single.inner), outer: single.outer, count: 1 };
    let operation = || Operation::Map { which, file: path.to_owned(), ranges: vec![range], helper: false };
    write_file(path, &format!("{} {} 1", single.inner, single.outer), operation)
}

/// Writes a setting of a process: opened and written with the originals' messages.
fn write_file(path: &Path, text: &str, operation: impl Fn() -> Operation) -> Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .with_context(|| refused(format!("cannot open {}", path.display()), operation()))?;
    std::io::Write::write_all(&mut file, text.as_bytes())
        .with_context(|| refused(format!("write failed {}", path.display()), operation()))
}

fn put(path: &Path, text: &[u8]) -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::fs::OpenOptions::new().write(true).open(path)?, text)
}

/// `allow` or `deny`.
pub(crate) fn write_setgroups(path: &Path, word: &str) -> Result<()> {
    match write_file(path, word, || Operation::Setgroups) {
        // Before Linux 3.19 there is no such file, and nothing to deny.
        Err(_) if !path.exists() => Ok(()),
        result => result,
    }
}

/// A range from the grants of root to the user.
pub(crate) fn granted_to(user: &[u8], uid: u32, which: Which) -> Result<Range> {
    let file = which.grants();
    let text = std::fs::read(file).with_context(|| format!("could not open '{file}'"))?;
    Range::granted(&text, user, uid).ok_or_else(|| {
        let user = String::from_utf8_lossy(user).into_owned();
        let words = format!("no line matching user \"{user}\" in {file}");
        Error::msg(refused(words, Operation::Grant { which, user }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(inner: u32, outer: u32, count: u32) -> Range {
        Range { inner: Some(inner), outer, count }
    }

    #[test]
    fn both_ways_of_writing_a_range() {
        assert_eq!(Range::parse("0:1000:5"), Some(range(0, 1000, 5)));
        assert_eq!(Range::parse("1000,0,5"), Some(range(0, 1000, 5)));
        assert_eq!(Range::parse(" 1: +2: 4294967297"), Some(range(1, 2, 1)));
        assert_eq!(Range::parse("-1:0:1"), Some(range(u32::MAX, 0, 1)));
        for text in ["", "1", "1:2", "1:2:3:4", "1:2,3", "a:b:c", "1:2:3x", "::"] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_single_id_takes_its_place_from_the_ranges() {
        let auto = Range { inner: None, outer: 100_000, count: 65_536 };
        let joined = |inner, outer, ranges: &[Range]| join(Some(Single { inner, outer }), ranges);
        assert_eq!(joined(0, 1001, &[auto]), [range(0, 1001, 1), range(1, 100_000, 65_536)]);
        assert_eq!(
            joined(1001, 1001, &[auto]),
            [range(1001, 1001, 1), range(0, 100_000, 1001), range(1002, 101_001, 64_535)]
        );
        assert_eq!(joined(0, 0, &[range(0, 0, 10)]), [range(0, 0, 1), range(1, 1, 9)]);
        assert_eq!(
            joined(5, 107, &[range(0, 100, 10)]),
            [range(5, 107, 1), range(0, 100, 5), range(6, 105, 2), range(8, 108, 2)]
        );
        assert_eq!(join(None, &[auto, range(7, 8, 9)]), [range(0, 100_000, 65_536), range(7, 8, 9)]);
        assert_eq!(joined(0, 0, &[range(0, 0, u32::MAX)])[1], range(1, 1, u32::MAX - 1));
        assert_eq!(joined(9, 9, &[range(0, 0, 0)]), [range(9, 9, 1)]);
    }

    #[test]
    fn grants_and_identity() {
        let text = b"root:1:2\nann:100000:65536\n1001:5:6\nann:7:8\n\nx\n";
        assert_eq!(
            Range::granted(text, b"ann", 7),
            Some(Range { inner: None, outer: 100_000, count: 65_536 })
        );
        assert_eq!(Range::granted(text, b"bob", 1001), Some(Range { inner: None, outer: 5, count: 6 }));
        assert_eq!(Range::granted(text, b"eve", 9), None);
        assert_eq!(
            Range::identity_of("         0          5         10\n  20 1 4294967295\nx\n"),
            [range(0, 0, 10), range(20, 20, u32::MAX)]
        );
    }
}
