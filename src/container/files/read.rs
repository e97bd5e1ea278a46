//! Reads whole files, up to a size.

use std::fs::File;
use std::io::{ErrorKind, Read};

use memchr::memmem::{self, Finder};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use serde::de::{DeserializeOwned, DeserializeSeed};
use serde_json::error::Category;

use super::budget::Cost;
use super::meta::Opened;
use super::{Files, describe};
use crate::container::runtimes::Each;
use crate::sys;

impl Files {
    /// The JSON of a file; None if the file is missing or invalid.
    pub fn json<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.json_dated(path).map(|(value, _)| value)
    }

    /// The same, with the time of the last change in seconds since 1970.
    pub fn json_dated<T: DeserializeOwned>(&self, path: &str) -> Option<(T, i64)> {
        let mut text = self.system.text.borrow_mut();
        let (length, modified) = self.read_into(path, &mut text, self.largest())?;
        let value = serde_json::from_slice(&text[..length]);
        release(&mut text);
        value.map_or_else(|error| self.reject(path, &bad_json(&error)), |value| Some((value, modified)))
    }

    /// Passes the elements of a JSON list to `take`, until it returns false. None if the file is missing or invalid: the
    /// caller must drop the elements it received.
    pub fn json_each<T: DeserializeOwned>(&self, path: &str, mut take: impl FnMut(T) -> bool) -> Option<()> {
        let mut text = self.system.text.borrow_mut();
        let largest = self.budget.as_ref().map_or(Self::LARGEST, |_| Self::LARGEST_LIST_OF_USER);
        let (length, _) = self.read_into(path, &mut text, largest)?;
        let mut json = serde_json::Deserializer::from_slice(&text[..length]);
        let each = Each::new(|element| self.spend(path, Cost::Name, 1) && take(element));
        let done = each.deserialize(&mut json).and_then(|()| json.end());
        release(&mut text);
        done.map_or_else(|error| self.reject(path, &bad_json(&error)), Some)
    }

    /// The number that is the content of a file, and the time of the last change.
    pub fn number_dated(&self, path: &str) -> Option<(i32, i64)> {
        let mut text = self.system.text.borrow_mut();
        let (length, modified) = self.read_into(path, &mut text, self.largest())?;
        match number(&text[..length]) {
            Some(number) => Some((number, modified)),
            None => self.reject(path, "not a number"),
        }
    }

    /// The JSON of a file of root, whose owner and type are not checked. It may show only that the file is not needed: one
    /// that is must be read again. That saves a call for each of the others. None if anything is unusual.
    pub fn json_unchecked<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.unchecked(path, |text| serde_json::from_slice(text).ok())
    }

    /// The same for the number that is the content of a file.
    pub fn number_unchecked(&self, path: &str) -> Option<i32> {
        self.unchecked(path, number)
    }

    /// Can the JSON of a file of root contain a text, in whatever spelling? True if it is not known. The text has neither
    /// slashes nor anything else for which JSON has a short escape.
    pub fn may_mention(&self, path: &str, wanted: &Finder<'_>) -> bool {
        let has = |text: &[u8]| wanted.find(text).is_some() || memmem::find(text, b"\\u").is_some();
        self.unchecked(path, |text| Some(has(text))).unwrap_or(true)
    }

    fn unchecked<T>(&self, path: &str, parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        if self.may_wait() || self.budget.is_some() || self.system.root_fd.is_some() {
            return None;
        }
        let mut file = self.open_here(path, OFlag::O_RDONLY).ok()?;
        let mut text = self.system.text.borrow_mut();
        if text.len() < Self::LARGEST_UNCHECKED {
            text.resize(Self::LARGEST_UNCHECKED, 0);
        }
        let buffer = &mut text[..Self::LARGEST_UNCHECKED];
        let length = file.read(buffer).ok().filter(|&length| length < Self::LARGEST_UNCHECKED)?;
        sys::close_later(file.into());
        parse(&buffer[..length])
    }

    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let (length, _) = self.read_into(path, &mut text, self.largest())?;
        text.truncate(length);
        Some(text)
    }

    fn largest(&self) -> u64 {
        self.budget.as_ref().map_or(Self::LARGEST, |_| Self::LARGEST_OF_USER)
    }

    /// Reads a file into `text`. Returns its length, and the time of the last change in seconds since 1970.
    fn read_into(&self, path: &str, text: &mut Vec<u8>, largest: u64) -> Option<(usize, i64)> {
        // Opening a device or a pipe can have effects. A user or a container can put one here, so check the type first.
        let Opened { meta, file } =
            self.open(path, if self.may_wait() { OFlag::O_PATH } else { OFlag::O_RDONLY })?;
        if !meta.is_file() {
            return self.reject(path, "not a regular file");
        }
        if let Some(problem) = self.owner_problem(path, &meta) {
            return self.reject(path, problem);
        }
        if meta.size > largest {
            return self.reject(path, "too large to be a state file");
        }
        if self.of_anyone && meta.size == 0 {
            // Files of proc have no size. Reading one can have effects, or show what the container may not read.
            text.clear();
            return Some((0, meta.modified));
        }
        let size = usize::try_from(meta.size).unwrap_or(usize::MAX);
        if !self.spend(path, Cost::Byte, size) || file.is_none() && !self.spend(path, Cost::Look, 1) {
            return None;
        }
        let filled = match file {
            Some(mut file) => {
                let filled = fill(&mut file, meta.size, largest, text);
                sys::close_later(file.into());
                filled.map_err(|error| crate::errno::cause(&error))
            }
            None => match self.content(size, largest, text) {
                Ok(()) => Ok(text.len()),
                Err(Errno::EACCES | Errno::EPERM) if self.user.is_some() => return None,
                Err(errno) => Err(describe(errno)),
            },
        };
        let length = match filled {
            Ok(length) => length,
            Err(problem) => return self.reject(path, &problem),
        };
        // The file can have grown, or report no size.
        if length as u64 > largest || !self.spend(path, Cost::Byte, length.saturating_sub(size)) {
            return self.reject(path, "too large to be a state file");
        }
        Some((length, meta.modified))
    }
}

/// Describes an error without serde's message, which would print content of the file.
fn bad_json(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => "not the JSON that was expected",
        Category::Eof => "JSON that is cut off",
        Category::Io | Category::Syntax => "not JSON",
    };
    format!("{what} (line {})", error.line())
}

fn number(text: &[u8]) -> Option<i32> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// Frees the buffer after a large file. Otherwise one buffer serves thousands of files.
fn release(text: &mut Vec<u8>) {
    if text.len() as u64 > Files::LARGEST_OF_USER {
        *text = Vec::new();
    }
}

/// Reads a whole file, whose reported size can be 0 (/proc) or outdated. Returns the length; it is larger than `largest`
/// if the file is.
fn fill(file: &mut File, size: u64, largest: u64, text: &mut Vec<u8>) -> std::io::Result<usize> {
    if size == 0 {
        text.clear();
        return file.take(largest + 1).read_to_end(text);
    }
    let size = usize::try_from(size).unwrap_or(0);
    // One byte more than the size shows that the file has grown. The buffer is not shortened: to grow it again would
    // clear memory for each file.
    if text.len() <= size {
        text.resize(size + 1, 0);
    }
    let mut filled = 0;
    while filled < size {
        match file.read(&mut text[filled..=size]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if filled > size {
        text.truncate(filled);
        filled += file.take((largest + 1).saturating_sub(filled as u64)).read_to_end(text)?;
    }
    Ok(filled)
}
