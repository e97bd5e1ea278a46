//! User and group id maps (user_namespaces(7)): /proc/PID/uid_map and gid_map, and ranges on the command line and in
//! /etc/subuid. Parsed by hand: the procfs crate has no reader of ranges that are written or granted.

use super::status::{fields, number};

/// The map of users or of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Users,
    Groups,
}

impl Which {
    /// The name of the file below /proc/PID.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Which::Users => "uid_map",
            Which::Groups => "gid_map",
        }
    }

    /// `user` or `group`
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Which::Users => "user",
            Which::Groups => "group",
        }
    }

    /// The file with the ranges that root grants to users. Both files have names of users, not of groups.
    #[must_use]
    pub const fn grants(self) -> &'static str {
        match self {
            Which::Users => "/etc/subuid",
            Which::Groups => "/etc/subgid",
        }
    }

    /// The set-user-ID program that writes the map for an ordinary user (newuidmap(1)).
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Which::Users => "newuidmap",
            Which::Groups => "newgidmap",
        }
    }
}

/// Maps `count` ids from `inner` inside to `outer` outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// None: from 0, except for ids that other ranges map.
    pub inner: Option<u32>,
    pub outer: u32,
    pub count: u32,
}

/// Maps one id, `inner` inside to `outer` outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Single {
    pub inner: u32,
    pub outer: u32,
}

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
        Some(Range { inner: Some(scan_u32(inner)?), outer: scan_u32(outer)?, count: scan_u32(count)? })
    }

    /// Ranges that map every inner id of a map to itself.
    #[must_use]
    pub fn identity_of(map: &[u8]) -> Vec<Range> {
        extents(map)
            .map(|line| Range { inner: Some(line.inner), outer: line.inner, count: line.count })
            .collect()
    }

    /// Is it one of the outer ids?
    #[must_use]
    pub fn contains(&self, id: u32) -> bool {
        id.checked_sub(self.outer).is_some_and(|offset| offset < self.count)
    }

    /// The range in the first line for `user` (by name or number) in the text of /etc/subuid.
    #[must_use]
    pub fn granted(text: &[u8], user: &[u8], uid: u32) -> Option<Range> {
        Range::all_granted(text, user, uid).next()
    }

    /// The ranges in all lines for `user`.
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

/// Parses a number as scanf(3) does for %u: white space, a sign, digits; modulo 2^32.
fn scan_u32(text: &str) -> Option<u32> {
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
    #[allow(clippy::cast_possible_truncation)] // as %u does
    Some(value as u32)
}

/// A line of /proc/PID/uid_map or gid_map. It maps `count` ids from `inner` inside to `outer` in the user namespace of
/// the reader, or in the parent user namespace if the reader is in the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub inner: u32,
    pub outer: u32,
    pub count: u32,
}

/// The complete lines of a map.
pub(crate) fn extents(map: &[u8]) -> impl Iterator<Item = Extent> {
    map.split(|&b| b == b'\n').filter_map(|line| {
        let mut numbers = fields(line).map(number);
        Some(Extent { inner: numbers.next()??, outer: numbers.next()??, count: numbers.next()?? })
    })
}

/// The inner id for an outer one.
#[must_use]
pub(crate) fn inner_of(map: &[u8], outer: u32) -> Option<u32> {
    extents(map).find_map(|line| {
        let offset = outer.checked_sub(line.outer).filter(|&offset| offset < line.count)?;
        line.inner.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(inner: u32, outer: u32, count: u32) -> Range {
        Range { inner: Some(inner), outer, count }
    }

    #[test]
    fn ranges_with_colons_and_with_commas() {
        assert_eq!(Range::parse("0:1000:5"), Some(range(0, 1000, 5)));
        assert_eq!(Range::parse("1000,0,5"), Some(range(0, 1000, 5)));
        assert_eq!(Range::parse(" 1: +2: 4294967297"), Some(range(1, 2, 1)));
        assert_eq!(Range::parse("-1:0:1"), Some(range(u32::MAX, 0, 1)));
        for text in ["", "1", "1:2", "1:2:3:4", "1:2,3", "a:b:c", "1:2:3x", "::"] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
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
            Range::identity_of(b"         0          5         10\n  20 1 4294967295\nx\n"),
            [range(0, 0, 10), range(20, 20, u32::MAX)]
        );
    }

    #[test]
    fn outer_ids_are_mapped_to_inner_ids() {
        let map = b"         0       1000          1\n         1     100000      65536\ncut 1\n";
        assert_eq!(inner_of(map, 1000), Some(0));
        assert_eq!(inner_of(map, 100_005), Some(6));
        assert_eq!(inner_of(map, 165_536), None);
        assert_eq!(inner_of(b"4294967295 0 9\n", 1), None, "beyond the last id");
    }
}
