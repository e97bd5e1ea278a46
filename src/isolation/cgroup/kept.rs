//! Files of a group that stay open, because they are read again and again. A read at offset 0 makes the kernel write the
//! text anew, in an eighth of the time that open, read and close take.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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

    pub(super) fn read(&self, name: &str, path: impl Fn() -> PathBuf) -> Result<Vec<u8>> {
        let mut files = self.files.borrow_mut();
        let at = files.iter().position(|(own, _)| **own == *name);
        match at.map(|at| &files[at].1) {
            Some(State::Absent) => return Err(Error::from(ErrorKind::NotFound)),
            Some(State::Open(file)) => match whole(file) {
                // The group was removed. A new one can have its name.
                Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => {}
                read => return read,
            },
            None => {}
        }
        if let Some(at) = at {
            files.swap_remove(at);
        }
        let (state, read) = self.open(&path())?;
        if let Some(state) = state {
            files.push((name.into(), state));
        }
        read
    }

    /// Opens a file and reads it. An error if the group is gone.
    fn open(&self, path: &Path) -> Result<(Option<State>, Result<Vec<u8>>)> {
        match File::open(path) {
            Ok(file) => {
                let read = whole(&file);
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

/// The text from the beginning. Files of groups are written whole at each read.
fn whole(file: &File) -> Result<Vec<u8>> {
    let mut text = [0; 8192];
    let mut all = Vec::new();
    loop {
        let count = match file.read_at(&mut text, all.len() as u64) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        all.extend_from_slice(&text[..count]);
        if count < text.len() {
            return Ok(all);
        }
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
