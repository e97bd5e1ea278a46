//! Directories that contain those of many runtimes. A host has few of these runtimes. One listing shows which ones, in
//! place of a failed system call for each of the others.

use std::cell::{Cell, OnceCell};

use nix::errno::Errno;

use super::Files;

const TOPS: [&str; 2] = ["/run", "/var/snap"];

#[derive(Default)]
pub(super) struct Tops {
    are_listed: Cell<bool>,
    /// The names in each of them; None if they are not known.
    names: [OnceCell<Option<Vec<String>>>; TOPS.len()],
}

impl Files {
    /// From now on the directories above are listed at the first access to a path below. This pays off if the files of all
    /// runtimes are sought.
    pub(in crate::container) fn list_tops(&self) {
        self.system.tops.are_listed.set(true);
    }

    /// Does a path not exist, as a listing shows?
    pub(super) fn is_not_listed(&self, path: &str) -> bool {
        let tops = &self.system.tops;
        tops.are_listed.get()
            && TOPS.iter().zip(&tops.names).any(|(top, names)| {
                let below = path.strip_prefix(top).and_then(|rest| rest.strip_prefix('/'));
                let name = below.and_then(|rest| rest.split('/').next()).filter(|name| is_plain(name));
                name.is_some_and(|name| {
                    let names = names.get_or_init(|| self.names_in_top(top)).as_ref();
                    names.is_some_and(|names| !names.iter().any(|listed| listed == name))
                })
            })
    }

    fn names_in_top(&self, top: &str) -> Option<Vec<String>> {
        match self.names_here(top, Files::MOST_NAMES) {
            Ok(names) if names.len() < Files::MOST_NAMES => Some(names),
            Err(Errno::ENOENT) => Some(Vec::new()),
            _ => None,
        }
    }
}

fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_listed_do_not_exist() {
        let files = Files::new(std::path::Path::new("/")).expect("a root");
        let missing = "/run/no such runtime/x";
        assert!(!files.is_not_listed(missing), "nothing is listed yet");
        files.list_tops();
        assert!(files.is_not_listed(missing));
        assert!(!files.exists(missing) && files.read(missing).is_none() && files.list(missing).is_empty());
        assert!(files.warnings().is_empty(), "{:?}", files.warnings());
        for path in ["/run", "/run/", "/run/../etc", "/runc/x", "/etc/no such file"] {
            assert!(!files.is_not_listed(path), "{path}");
        }
        for name in files.list("/run") {
            assert!(!files.is_not_listed(&format!("/run/{name}/x")), "{name}");
        }
    }
}
