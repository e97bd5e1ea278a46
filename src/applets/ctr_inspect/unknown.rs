//! What the caller's rights or the kernel withhold: each listed once, with its reason.

use std::cell::RefCell;
use std::io::{Error, ErrorKind};

use serde::Serialize;

#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The path in the JSON.
    pub path: String,
    pub why: String,
}

#[derive(Default)]
pub(super) struct Unknowns(RefCell<Vec<Unknown>>);

impl Unknowns {
    pub(super) fn add(&self, path: &str, why: impl Into<String>) {
        let mut list = self.0.borrow_mut();
        if list.iter().all(|known| known.path != path) {
            list.push(Unknown { path: path.to_owned(), why: why.into() });
        }
    }

    /// The value, or an entry in the list.
    pub(super) fn known<T>(&self, path: &str, value: std::io::Result<T>) -> Option<T> {
        value.map_err(|error| self.add(path, why(&error))).ok()
    }

    /// For a file that only some kernels have: if it is missing, there is no value, and nothing is reported as unknown.
    pub(super) fn maybe<T>(&self, path: &str, value: std::io::Result<T>) -> Option<T> {
        match value {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            value => self.known(path, value),
        }
    }

    pub(super) fn into_list(self) -> Vec<Unknown> {
        self.0.into_inner()
    }
}

fn why(error: &Error) -> String {
    if error.kind() == ErrorKind::PermissionDenied {
        return "only its owner and root can read it".to_owned();
    }
    error.raw_os_error().map_or_else(|| error.to_string(), crate::errno::strerror)
}
