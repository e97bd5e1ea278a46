//! Groups by their names.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, fstatat};

use super::hierarchy::Hierarchies;
use crate::sys::directory;

impl Hierarchies {
    /// The directories of the groups whose names have this part, in the unified hierarchy or else that of systemd. What is
    /// below them is not looked at. None if there are too many groups.
    #[must_use]
    pub(crate) fn groups_with(&self, part: &str) -> Option<Vec<PathBuf>> {
        const MOST: usize = 20_000;
        let of = |name: &[&str]| self.0.iter().find(|one| one.controllers.iter().eq(name));
        let hierarchy = of(&[]).or_else(|| of(&["name=systemd"])).or(self.0.first())?;
        let (mut found, mut next, mut looked_at) = (Vec::new(), vec![hierarchy.mount_point.clone()], 0);
        while let Some(above) = next.pop() {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let Ok(opened) = open(&above, flags, Mode::empty()) else { continue };
            _ = directory::each(&opened, |entry| {
                if !entry.is_directory {
                    return ControlFlow::Continue(());
                }
                looked_at += 1;
                match entry.name.to_str().is_some_and(|name| name.contains(part)) {
                    true => found.push(above.join(&entry.name)),
                    false if has_below(&opened, &entry.name) => next.push(above.join(&entry.name)),
                    false => {}
                }
                if looked_at > MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if looked_at > MOST {
                return None;
            }
        }
        Some(found)
    }
}

/// A directory has a link for each one below it. By its name alone: a path would be walked for each of 1,000 groups.
fn has_below(above: &OwnedFd, name: &OsStr) -> bool {
    fstatat(above, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_nlink != 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_at_any_depth() {
        let root = std::env::temp_dir().join(format!("ctrbox-named-{}", std::process::id()));
        for below in ["a/b/docker-0123.scope/0123", "a/other", "0123x"] {
            std::fs::create_dir_all(root.join(below)).expect("a directory");
        }
        let text = format!("1 2 0:1 / {} rw - cgroup2 cgroup2 rw\n", root.display());
        let mut found = Hierarchies::parse(text.as_bytes()).groups_with("0123").expect("few groups");
        found.sort();
        let expected = [root.join("0123x"), root.join("a/b/docker-0123.scope")];
        _ = std::fs::remove_dir_all(&root);
        assert_eq!(found, expected);
        assert_eq!(Hierarchies::default().groups_with("0123"), None);
    }
}
