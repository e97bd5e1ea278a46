//! What is below the root directory of another process: device nodes, and the space of file systems.

use std::fs::File;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, ResolveFlag, open};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use serde::{Deserialize, Serialize};

use super::Account;
use crate::{proc, sys};

#[derive(Serialize, Deserialize, Debug, Default)]
pub(crate) struct BelowRoot {
    pub nodes: Vec<Node>,
    /// In the order of the paths; None for what cannot be read.
    pub space: Vec<Option<Space>>,
}

/// A device node.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Below /dev.
    pub name: String,
    pub is_block: bool,
    pub major: u64,
    pub minor: u64,
}

#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub device: (u64, u64),
    pub size: u64,
    /// For who is not root.
    pub available: u64,
    pub used: u64,
    pub inodes: u64,
    pub inodes_available: u64,
    pub read_only: bool,
}

/// Entries of /dev that are looked at.
const MOST_NODES: usize = 4_096;

/// The nodes in /dev, without those in directories, and the space at these paths. No path leads out of the root directory.
#[allow(unsafe_code)] // access::once
pub(crate) fn below_root(account: Account, root: PathBuf, paths: Vec<String>) -> nix::Result<BelowRoot> {
    let look = move || {
        let found = open(&root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        let found = found.map(|root| BelowRoot {
            nodes: nodes(root.as_fd()),
            space: paths.iter().map(|path| space(root.as_fd(), path)).collect(),
        });
        found.ok().and_then(|found| serde_json::to_vec(&found).ok()).unwrap_or_default()
    };
    // SAFETY: the closure holds paths.
    let answer = unsafe { super::once(account, look) }?;
    serde_json::from_slice(&answer).map_err(|_| nix::errno::Errno::EACCES)
}

fn inside(root: BorrowedFd<'_>, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    proc::below_root(root, Path::new(path), flags, ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

fn nodes(root: BorrowedFd<'_>) -> Vec<Node> {
    let (mut found, mut seen) = (Vec::new(), 0);
    let Ok(directory) = inside(root, "/dev", OFlag::O_RDONLY | OFlag::O_DIRECTORY) else { return found };
    _ = sys::directory::each(&directory, |entry| {
        seen += 1;
        if seen > MOST_NODES {
            return ControlFlow::Break(());
        }
        if !entry.is_directory {
            let name = entry.name.to_string_lossy().into_owned();
            let stat = fstatat(&directory, &*entry.name, AtFlags::AT_SYMLINK_NOFOLLOW);
            found.extend(stat.ok().and_then(|stat| {
                let kind = stat.st_mode & libc::S_IFMT;
                let (major, minor) = (libc::major(stat.st_rdev), libc::minor(stat.st_rdev));
                let is_block = kind == libc::S_IFBLK;
                let node = Node { name, is_block, major: major.into(), minor: minor.into() };
                (is_block || kind == libc::S_IFCHR).then_some(node)
            }));
        }
        ControlFlow::Continue(())
    });
    found
}

fn space(root: BorrowedFd<'_>, path: &str) -> Option<Space> {
    let file = File::from(inside(root, path, OFlag::O_PATH).ok()?);
    let (stat, of) = (fstat(&file).ok()?, fstatvfs(&file).ok()?);
    #[allow(clippy::useless_conversion, reason = "it has 32 bits on some architectures")]
    let unit = u64::from(of.fragment_size());
    let bytes = |blocks: u64| blocks.saturating_mul(unit);
    Some(Space {
        device: (libc::major(stat.st_dev).into(), libc::minor(stat.st_dev).into()),
        size: bytes(of.blocks()),
        available: bytes(of.blocks_available()),
        used: bytes(of.blocks().saturating_sub(of.blocks_free())),
        inodes: of.files(),
        inodes_available: of.files_available(),
        read_only: of.flags().contains(FsFlags::ST_RDONLY),
    })
}

impl Space {
    /// Without the blocks that are reserved for root, as df(1).
    #[must_use]
    pub(crate) fn percent(&self) -> Option<f64> {
        percent(self.used, self.used.saturating_add(self.available))
    }

    /// None for a file system that has no fixed number of inodes.
    #[must_use]
    pub(crate) fn inodes_percent(&self) -> Option<f64> {
        percent(self.inodes.saturating_sub(self.inodes_available), self.inodes)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn percent(used: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (used as f64 * 1000.0 / whole as f64).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_space_below_this_root() {
        let paths = ["/", "/no/such/path", "/proc/self/root/../.."].map(str::to_owned).to_vec();
        let found = below_root(Account::Container(u64::MAX), "/".into(), paths).expect("an answer");
        assert!(
            found.nodes.iter().any(|node| (node.name.as_str(), node.major, node.minor) == ("null", 1, 3))
        );
        assert!(found.space[0].is_some_and(|space| space.size > 0));
        assert_eq!(&found.space[1..], [None, None], "links of /proc are not followed");
    }

    #[test]
    fn space_is_counted_as_df_does() {
        let mut space = Space {
            device: (0, 0),
            size: 1000,
            available: 25,
            used: 475,
            inodes: 0,
            inodes_available: 0,
            read_only: false,
        };
        assert_eq!((space.percent(), space.inodes_percent()), (Some(95.0), None));
        (space.inodes, space.inodes_available) = (10, 1);
        assert_eq!(space.inodes_percent(), Some(90.0));
    }
}
