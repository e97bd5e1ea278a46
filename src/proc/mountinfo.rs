//! /proc/PID/mountinfo (proc_pid_mountinfo(5)).
//!
//! [`mounts`] returns fields without a copy. `lsns`, and the search for control groups in a short run, read hundreds of
//! lines and need two; the parser of the procfs crate needs 20 times the instructions for a line. [`parse`] uses that
//! crate, for hints, which need all fields.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memrchr};
pub(crate) use procfs::process::{MountInfo, MountOptFields};

/// A line: `ID PARENT DEVICE ROOT POINT OPTIONS [TAG…] - KIND SOURCE OPTIONS`. Paths are escaped, see [`unescape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mount<'a> {
    pub id: &'a [u8],
    /// The id of the mount that it is on.
    pub parent: &'a [u8],
    /// `MAJOR:MINOR`
    pub device: &'a [u8],
    pub root: &'a [u8],
    pub point: &'a [u8],
    /// The options of the mount: `ro,nosuid`.
    pub flags: &'a [u8],
    /// The file system type.
    pub kind: &'a [u8],
    pub source: &'a [u8],
    /// The options of the file system, not of the mount.
    pub options: &'a [u8],
}

impl Mount<'_> {
    /// Does a server or a process serve this file system, and can it fail to answer? Only root mounts fuseblk.
    #[must_use]
    pub(crate) fn is_served(&self) -> bool {
        const SERVED: [&[u8]; 8] = [b"9p", b"afs", b"autofs", b"ceph", b"cifs", b"fuse", b"nfs", b"smb3"];
        SERVED.iter().any(|served| self.kind.starts_with(served)) && self.kind != b"fuseblk"
    }

    /// Does the mount itself refuse writes?
    #[must_use]
    pub(crate) fn is_read_only(&self) -> bool {
        self.flags.split(|&b| b == b',').any(|flag| flag == b"ro")
    }

    #[must_use]
    pub(crate) fn has_option(&self, option: &str) -> bool {
        self.options.split(|&b| b == b',').any(|other| other == option.as_bytes())
    }
}

/// The complete lines.
pub(crate) fn mounts(text: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    text.split(|&b| b == b'\n').filter_map(mount)
}

/// The mounts of the file system types that begin with `kind`. Only their lines are split: on a host with many
/// containers most of the text is the options of overlay mounts.
pub(crate) fn mounts_of<'a>(text: &'a [u8], kind: &'static str) -> impl Iterator<Item = Mount<'a>> {
    wanted_of(text, kind, |_| true)
}

/// The same, only of the lines that are wanted.
pub(crate) fn wanted_of<'a>(
    text: &'a [u8],
    kind: &'static str,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = Mount<'a>> {
    // The options of another file system may contain the words.
    let lines = lines_with(text, &[b" - ", kind.as_bytes()].concat()).filter(move |line| is_wanted(line));
    lines.filter_map(mount).filter(move |mount| mount.kind.starts_with(kind.as_bytes()))
}

/// The mounts of the file system with this device number. Only their lines are split.
pub(crate) fn mounts_on<'a>(text: &'a [u8], device: &'a [u8]) -> impl Iterator<Item = Mount<'a>> {
    let lines = lines_with(text, &[b" ", device, b" "].concat());
    lines.filter_map(mount).filter(move |mount| mount.device == device)
}

fn lines_with<'a>(text: &'a [u8], words: &[u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let finder = Finder::new(words).into_owned();
    let mut from = 0;
    std::iter::from_fn(move || {
        let found = from + finder.find(text.get(from..)?)?;
        let start = memrchr(b'\n', &text[from..found]).map_or(from, |newline| from + newline + 1);
        let end = memchr(b'\n', &text[found..]).map_or(text.len(), |newline| found + newline);
        from = end + 1;
        Some(&text[start..end])
    })
}

fn mount(line: &[u8]) -> Option<Mount<'_>> {
    // Blanks in paths are escaped, so the first lone dash ends the tags. The kind may be the end of a line that is cut.
    let is_alone = |at: &usize| line[..*at].ends_with(b" ") && line[*at..].starts_with(b"- ");
    let dash = memchr_iter(b'-', line).find(is_alone)?;
    let mut first = line[..dash - 1].split(|&b| b == b' ');
    let (id, parent) = (first.next()?, first.next()?);
    let (device, root, point, flags) = (first.next()?, first.next()?, first.next()?, first.next()?);
    let mut last = line[dash + 2..].split(|&b| b == b' ');
    let (kind, source) = (last.next()?, last.next().unwrap_or_default());
    Some(Mount {
        id,
        parent,
        device,
        root,
        point,
        flags,
        kind,
        source,
        options: last.next().unwrap_or_default(),
    })
}

/// Decodes the octal escapes of mountinfo: `\040` for a blank.
#[must_use]
pub fn unescape(field: &[u8]) -> PathBuf {
    if memchr(b'\\', field).is_none() {
        return PathBuf::from(OsString::from_vec(field.to_vec()));
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let octal = field.get(at + 1..at + 4).filter(|_| field[at] == b'\\');
        match octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 4;
            }
            None => {
                plain.push(field[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

/// All fields of all lines that the procfs crate understands. Empty if the kernel gives no random numbers, as the crate
/// uses maps of std, which need them.
#[must_use]
pub(crate) fn parse(text: &str) -> Vec<MountInfo> {
    if !crate::sys::keyed::std_maps_work() {
        return Vec::new();
    }
    text.lines().filter_map(|line| MountInfo::from_line(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_lines_are_parsed() {
        let text =
            b"36 31 0:33 /a\\040b /mnt/c\\011 rw,noatime shared:7 master:1 - fuse.x src rw,allow_other\n\
            1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / /cut rw\n\n";
        let all: Vec<Mount<'_>> = mounts(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].device, all[0].kind), (&b"0:33"[..], &b"fuse.x"[..]));
        assert_eq!(unescape(all[0].root), PathBuf::from("/a b"));
        assert_eq!(unescape(all[0].point), PathBuf::from("/mnt/c\t"));
        assert!(all[0].is_served() && all[0].has_option("allow_other") && !all[0].has_option("allow"));
        assert!(!all[1].is_served());
        for end in 0..text.len() {
            _ = mounts(&text[..end]).count();
        }
    }

    #[test]
    fn mounts_of_a_kind_are_those_of_all_mounts() {
        let text = b"1 0 0:1 / /a rw - cgroup none rw,cpu\n2 0 0:2 / /b rw - ext4 s - cgroup\n\
            3 0 0:3 / /c - cgroup/\n4 0 0:4 / /d rw - cgroup2 none rw\n\n5 0 0:5 / /e rw - overlay o x\n\
            6 0 0:6 / /f rw - cgroup x";
        for end in 0..=text.len() {
            let cut = &text[..end];
            let all: Vec<_> = mounts(cut).filter(|mount| mount.kind.starts_with(b"cgroup")).collect();
            assert_eq!(mounts_of(cut, "cgroup").collect::<Vec<_>>(), all, "{end}");
        }
        assert_eq!(mounts_of(text, "cgroup").count(), 3);
    }
}
