//! Files of a group that stay open, because they are read again and again. A read at offset 0 makes the kernel write the
//! text anew, in an eighth of the time that open, read and close take.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nix::errno::Errno;

pub(crate) struct Kept {
    files: RefCell<Vec<(Box<str>, State)>>,
    /// Descriptors from this number on are not kept: others need some too.
    most: usize,
}

enum State {
    Open(File),
    /// The kernel has no such file.
    Absent,
}

impl Kept {
    pub(super) fn new(most: usize) -> Kept {
        Kept { files: RefCell::new(Vec::new()), most }
    }

    /// Hands the text of a file to `take`, without a copy of it for the caller.
    pub(super) fn with<T>(
        &self,
        name: &str,
        path: impl Fn() -> PathBuf,
        open: impl Fn(&Path) -> Result<File>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let mut text = TEXT.try_lock().map(|mut text| std::mem::take(&mut *text)).unwrap_or_default();
        let result = self.fill(name, path, open, &mut text).map(|length| take(&text[..length]));
        if let Ok(mut kept) = TEXT.try_lock() {
            *kept = text;
        }
        result
    }

    /// How long the text is. It is at the beginning of the buffer.
    fn fill(
        &self,
        name: &str,
        path: impl Fn() -> PathBuf,
        open: impl Fn(&Path) -> Result<File>,
        text: &mut Vec<u8>,
    ) -> Result<usize> {
        let mut files = self.files.borrow_mut();
        let at = files.iter().position(|(own, _)| **own == *name);
        match at.map(|at| &files[at].1) {
            Some(State::Absent) => return Err(Error::from(ErrorKind::NotFound)),
            Some(State::Open(file)) => match whole(file, text) {
                // The group was removed. A new one can have its name.
                Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => {}
                read => return read,
            },
            None => {}
        }
        if let Some(at) = at {
            files.swap_remove(at);
        }
        let (state, read) = self.opened(&path(), open, text)?;
        if let Some(state) = state {
            files.push((name.into(), state));
        }
        read
    }

    /// Opens a file and reads it. An error if the group is gone.
    fn opened(
        &self,
        path: &Path,
        open: impl Fn(&Path) -> Result<File>,
        text: &mut Vec<u8>,
    ) -> Result<(Option<State>, Result<usize>)> {
        match open(path) {
            Ok(file) => {
                let read = whole(&file, text);
                let number = usize::try_from(file.as_raw_fd()).unwrap_or(usize::MAX);
                let keeps = read.is_ok() && number < self.most;
                Ok((keeps.then_some(State::Open(file)), read))
            }
            Err(error) if error.kind() == ErrorKind::NotFound && path.parent().is_some_and(Path::is_dir) => {
                Ok((Some(State::Absent), Err(error)))
            }
            Err(error) => Err(error),
        }
    }
}

/// The text of the last file: a sample of 1,000 groups reads 10,000 files. A variable of each thread would make every
/// start of ctrbox slower: there is room for 48 bytes of them without a call to mmap(2).
static TEXT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Reads the text from the beginning, and returns its length. Files of groups are written whole at each read.
fn whole(file: &File, text: &mut Vec<u8>) -> Result<usize> {
    const ROOM: usize = 8192;
    if text.is_empty() {
        text.resize(ROOM, 0);
    }
    let mut filled = 0;
    loop {
        match file.read_at(&mut text[filled..], filled as u64) {
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if filled < text.len() {
            return Ok(filled);
        }
        text.resize(filled + ROOM, 0);
    }
}

/// Two places are the same whether their files are open or not.
impl PartialEq for Kept {
    fn eq(&self, _: &Kept) -> bool {
        true
    }
}

impl Eq for Kept {}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files", self.files.borrow().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a file is read that is open.
    fn read(kept: &Kept, directory: &Path, name: &str) -> Option<String> {
        kept.with(
            name,
            || directory.join(name),
            |path| File::open(path),
            |text| String::from_utf8(text.to_vec()).ok(),
        )
        .ok()?
    }

    #[test]
    fn a_file_is_opened_once_and_read_anew() {
        let directory = std::env::temp_dir().join(format!("ctrbox-kept-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let long = "x".repeat(20_000);
        for (most, is_kept) in [(usize::MAX, true), (0, false)] {
            std::fs::write(directory.join("file"), "1").expect("a file");
            let kept = Kept::new(most);
            assert_eq!(read(&kept, &directory, "file").as_deref(), Some("1"));
            std::fs::write(directory.join("file"), &long).expect("a file");
            assert_eq!(read(&kept, &directory, "file").as_deref(), Some(&*long));
            std::fs::rename(directory.join("file"), directory.join("other")).expect("renamed");
            assert_eq!(read(&kept, &directory, "file").is_some(), is_kept);
        }
        let kept = Kept::new(usize::MAX);
        assert_eq!(read(&kept, &directory, "absent"), None);
        std::fs::write(directory.join("absent"), "1").expect("a file");
        assert_eq!(read(&kept, &directory, "absent"), None, "it is not sought again");
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    /// A container that starts again often has a group of the same name.
    #[test]
    fn a_group_that_was_made_anew_is_opened_again() {
        let mounted = crate::isolation::cgroup::Hierarchies::read(&crate::proc::ProcRoot::default());
        let mounted = mounted.unwrap_or_default();
        let Some(unified) = mounted.0.iter().find(|hierarchy| hierarchy.is_v2()) else { return };
        let directory = unified.mount_point.join(format!("ctrbox-kept-{}", std::process::id()));
        // An ordinary user may make no group there.
        if std::fs::create_dir(&directory).is_err() {
            return;
        }
        let kept = Kept::new(usize::MAX);
        let first = read(&kept, &directory, "cgroup.events");
        std::fs::remove_dir(&directory).expect("removed");
        let gone = read(&kept, &directory, "cgroup.events");
        std::fs::create_dir(&directory).expect("made anew");
        let again = read(&kept, &directory, "cgroup.events");
        std::fs::remove_dir(&directory).expect("removed");
        assert!(first.is_some() && gone.is_none() && again.is_some(), "{first:?} {gone:?} {again:?}");
    }
}
