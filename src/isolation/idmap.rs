//! User and group id maps of user namespaces (user_namespaces(7)): given by the user, granted by /etc/subuid,
//! combined with a single id, and written for the kernel.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Error, Result};

use super::operation::{Operation, refused};
use crate::proc::idmap::{Range, Single, Which};

/// The kernel accepts at most one page, in one write.
const LARGEST: usize = 4096;

/// The single id first, then the ranges without it: no inner or outer id may be mapped twice.
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

/// Skips the inner and the outer id of the single mapping, which splits the range into three pieces at most. The
/// range continues after a skipped id, so its last id has no place. For a range with a given start that id is
/// dropped, not moved past the end.
fn split(single: Single, range: Range, pieces: &mut Vec<Range>) {
    let (skip_inner, skip_outer) = (u64::from(single.inner), u64::from(single.outer));
    let (mut inner, mut outer) = (u64::from(range.inner.unwrap_or(0)), u64::from(range.outer));
    let mut left = u64::from(range.count);
    let within = |start: u64, id: u64| (start..=start + left).contains(&id); // the end is included, as in util-linux
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

/// The numbers of a map in sequence: arguments of newuidmap(1).
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

/// Writes a setting of a process, with the error messages of util-linux.
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
        // Before Linux 3.19 the file does not exist, and nothing has to be denied.
        Err(_) if !path.exists() => Ok(()),
        result => result,
    }
}

/// The range that root grants to the user.
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
    fn a_single_id_is_removed_from_the_ranges() {
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
}
