//! What the caller's rights, the kernel or a copy of a host withhold: each listed once, with its reason.

use std::cell::RefCell;
use std::io::{Error, ErrorKind};

use nix::unistd::{Pid, geteuid};
use serde::Serialize;

use crate::isolation::capabilities::own;
use crate::proc::{Credentials, ProcRoot};

#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The path in the JSON.
    pub path: String,
    pub why: String,
}

#[derive(Default)]
pub(super) struct Unknowns {
    list: RefCell<Vec<Unknown>>,
    /// Are the files those of another host? What links in them name is not of this host.
    is_copy: bool,
    /// Does the target have capabilities that the caller lacks?
    is_stronger: bool,
    /// A zombie has no files, and most of its namespaces are gone.
    is_zombie: bool,
}

const NOT_IN_COPY: &str = "the copy of the host does not have it";
const ZOMBIE: &str = "the process is a zombie: it has ended, and only its parent can remove it";

impl Unknowns {
    /// For a report about this process.
    pub(super) fn new(proc: &ProcRoot, pid: i32) -> Unknowns {
        let own = own::flags().map_or(0, |flags| flags.permitted);
        let process = proc.process(Pid::from_raw(pid));
        let status = process.status_text().unwrap_or_default();
        let of_target = Credentials::parse(&status).map_or(0, |all| all.sets.permitted);
        Unknowns {
            list: RefCell::default(),
            is_copy: proc.is_copy(),
            is_stronger: of_target & !own != 0,
            is_zombie: process.is_zombie(),
        }
    }

    /// For a report without processes.
    pub(super) fn of_stopped(proc: &ProcRoot) -> Unknowns {
        Unknowns { is_copy: proc.is_copy(), ..Unknowns::default() }
    }

    pub(super) fn add(&self, path: &str, why: impl Into<String>) {
        let mut list = self.list.borrow_mut();
        if list.iter().all(|known| known.path != path) {
            list.push(Unknown { path: path.to_owned(), why: why.into() });
        }
    }

    /// For what only a running host can be asked. Of a copy it is unknown, and must not be read.
    pub(super) fn is_live(&self, path: &str) -> bool {
        if self.is_copy {
            self.add(path, NOT_IN_COPY);
        }
        !self.is_copy
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.list.borrow().iter().any(|known| known.path == path)
    }

    pub(super) fn is_copy(&self) -> bool {
        self.is_copy
    }

    pub(super) fn is_zombie(&self) -> bool {
        self.is_zombie
    }

    /// The kernel did not allow it. `act`: what only some may do, such as `list its open files`.
    pub(super) fn refused(&self, path: &str, act: &str) {
        self.add(path, self.why_refused(act));
    }

    fn why_refused(&self, act: &str) -> String {
        match geteuid().is_root() {
            _ if self.is_zombie => ZOMBIE.to_owned(),
            false => format!("only its owner and root can {act}"),
            true if self.is_stronger => "the process has capabilities that the caller lacks".to_owned(),
            true => format!("the kernel does not let this process {act}, although it is root's"),
        }
    }

    /// The value, or an entry in the list.
    pub(super) fn known<T>(&self, path: &str, value: std::io::Result<T>) -> Option<T> {
        value.map_err(|error| self.add(path, self.why(&error))).ok()
    }

    /// For a file that only some kernels have: if it is missing, there is no value, and nothing is reported as unknown.
    pub(super) fn maybe<T>(&self, path: &str, value: std::io::Result<T>) -> Option<T> {
        match value {
            Err(error) if error.kind() == ErrorKind::NotFound && !self.is_copy => None,
            value => self.known(path, value),
        }
    }

    pub(super) fn into_list(self) -> Vec<Unknown> {
        self.list.into_inner()
    }

    fn why(&self, error: &Error) -> String {
        match error.kind() {
            _ if self.is_zombie => ZOMBIE.to_owned(),
            ErrorKind::PermissionDenied => self.why_refused("read it"),
            ErrorKind::NotFound if self.is_copy => NOT_IN_COPY.to_owned(),
            _ => error.raw_os_error().map_or_else(|| error.to_string(), crate::errno::strerror),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_true_one() {
        let missing = || -> std::io::Result<()> { Err(Error::from_raw_os_error(libc::ENOENT)) };
        let why = |unknowns: Unknowns| {
            unknowns.known("a", missing());
            unknowns.maybe("b", missing());
            unknowns.is_live("c");
            unknowns.into_list().into_iter().map(|one| (one.path, one.why)).collect::<Vec<_>>()
        };
        let copy = why(Unknowns { is_copy: true, ..Unknowns::default() });
        assert_eq!(copy, ["a", "b", "c"].map(|path| (path.to_owned(), NOT_IN_COPY.to_owned())));
        assert_eq!(why(Unknowns::default()), [("a".to_owned(), "No such file or directory".to_owned())]);
        let stronger = Unknowns { is_stronger: true, ..Unknowns::default() };
        let expected = match geteuid().is_root() {
            true => "the process has capabilities that the caller lacks",
            false => "only its owner and root can list open files",
        };
        assert_eq!(stronger.why_refused("list open files"), expected);
    }
}
