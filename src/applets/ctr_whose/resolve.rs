//! Where a path of the host leads.

use std::path::{Component, Path, PathBuf};

use super::files::of_files;
use super::finder::Finder;

/// The most symbolic links on the way to a file.
const MOST_LINKS: usize = 40;

/// Follows symbolic links, but none that a container can make. Links lead nowhere outside of the root directory.
pub(super) fn resolve(finder: &Finder<'_>, path: &Path) -> PathBuf {
    let mut left: Vec<PathBuf> = parts(path);
    left.reverse();
    let (mut real, mut links, mut follows) = (PathBuf::from("/"), 0, true);
    while let Some(part) = left.pop() {
        if part.as_os_str() == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        follows = follows && links < MOST_LINKS && !finder.files.may_hang(&next.to_string_lossy());
        let target = if follows { finder.root.link(&next).ok() } else { None };
        match target {
            Some(_) if is_in_container(finder, &real) => {
                follows = false;
                real = next;
            }
            // Links of proc lead to what has no path.
            Some(_) if next.starts_with("/proc") => real = next,
            Some(target) => {
                links += 1;
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                left.extend(parts(&target).into_iter().rev());
            }
            None => real = next,
        }
    }
    real
}

fn parts(path: &Path) -> Vec<PathBuf> {
    let keep = |part: Component<'_>| match part {
        Component::Normal(_) | Component::ParentDir => Some(PathBuf::from(part.as_os_str())),
        _ => None,
    };
    path.components().filter_map(keep).collect()
}

fn is_in_container(finder: &Finder<'_>, path: &Path) -> bool {
    path.components().count() > 1 && !of_files(finder, path).is_empty()
}
