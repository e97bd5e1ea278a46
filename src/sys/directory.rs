//! Directory listings. std's `ReadDir` aborts the program when closedir(3) fails.

use std::ffi::{CStr, OsStr, OsString};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat};

use super::get_dents;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    /// True for a directory, false for a link to one.
    pub(crate) is_directory: bool,
}

/// All entries of a directory except `.` and `..`, in no particular order.
pub(crate) fn list(path: &Path) -> std::io::Result<Vec<Entry>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = openat(AT_FDCWD, path, flags, Mode::empty())?;
    let mut all = Vec::new();
    each(&directory, |entry| {
        all.push(entry);
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// The same for an open directory, until `work` breaks.
pub(crate) fn each(directory: impl AsFd, mut work: impl FnMut(Entry) -> ControlFlow<()>) -> nix::Result<()> {
    const SMALL: usize = 4 * 1024;
    let mut buffer = vec![0; SMALL];
    let mut offset = 0;
    // Behind the last offset nothing can follow. Many file systems give it to the last entry, which saves a call.
    while offset != i64::MAX {
        let mut raw = match get_dents(&directory, &mut buffer) {
            Ok([]) => return Ok(()),
            Ok(raw) => raw,
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        };
        let length = raw.len();
        while let Some((name, kind, next, rest)) = first(raw) {
            (raw, offset) = (rest, next);
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let is_directory = match kind {
                libc::DT_DIR => true,
                libc::DT_UNKNOWN => is_directory(&directory, name),
                _ => false,
            };
            let name = OsStr::from_bytes(name.to_bytes()).to_owned();
            if work(Entry { name, is_directory }).is_break() {
                return Ok(());
            }
        }
        // Most directories are small: what was read has left room for an entry with the longest name.
        if length > SMALL - 280 {
            buffer.resize(32 * 1024, 0);
        }
    }
    Ok(())
}

fn is_directory(directory: impl AsFd, name: &CStr) -> bool {
    let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits())
}

/// Splits off the first struct linux_dirent64: inode 8 bytes, offset 8, record length 2, type 1, name with its NUL.
/// Returns name, type, and the offset of the next record.
fn first(raw: &[u8]) -> Option<(&CStr, u8, i64, &[u8])> {
    let length = usize::from(u16::from_ne_bytes([*raw.get(16)?, *raw.get(17)?]));
    let (record, rest) = raw.split_at_checked(length)?;
    let name = CStr::from_bytes_until_nul(record.get(19..)?).ok()?;
    let next = i64::from_ne_bytes(record.get(8..16)?.try_into().ok()?);
    Some((name, *record.get(18)?, next, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_a_large_directory_is_listed() {
        let dir = std::env::temp_dir().join(format!("ctrbox-directory-large-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let names: Vec<OsString> = (0..2_000).map(|number| format!("entry-{number:050}").into()).collect();
        names.iter().for_each(|name| std::fs::write(dir.join(name), "").expect("a file"));
        let found = list(&dir);
        std::fs::remove_dir_all(&dir).expect("removed");
        let mut found: Vec<OsString> =
            found.expect("a listing").into_iter().map(|entry| entry.name).collect();
        found.sort();
        assert_eq!(found, names);
    }

    #[test]
    fn listing_of_a_directory() {
        let dir = std::env::temp_dir().join(format!("ctrbox-directory-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("below")).expect("a directory");
        std::fs::write(dir.join("file"), "").expect("a file");
        std::os::unix::fs::symlink("below", dir.join("link")).expect("a link");
        let mut found = list(&dir);
        std::fs::remove_dir_all(&dir).expect("removed");
        let entry = |name: &str, is_directory| Entry { name: name.into(), is_directory };
        if let Ok(found) = &mut found {
            found.sort_by(|a, b| a.name.cmp(&b.name));
        }
        assert_eq!(
            found.expect("a listing"),
            [entry("below", true), entry("file", false), entry("link", false)]
        );
        assert_eq!(list(&dir).expect_err("gone").raw_os_error(), Some(libc::ENOENT));
        assert!(first(&[0; 18]).is_none());
        assert!(first(&[0; 40]).is_none());
    }
}
