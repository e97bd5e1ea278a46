//! Mounts that only one program sees: in a mount namespace of its own, which ends with it.

use std::ffi::{CString, OsStr};
use std::fs::DirBuilder;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, open, openat2, readlinkat};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::ForkResult;

use super::descriptors;
use crate::proc::Status;
use crate::proc::ns::{Kind, parse_link};
use crate::sys::{self, mounts};

/// Makes a new mount namespace, from which no mount propagates to others.
pub(crate) fn private() -> Result<()> {
    sys::unshare(Kind::Mnt.flag()).context("unshare of the mount namespace failed")?;
    make_private(Path::new("/"))
}

fn make_private(path: &Path) -> Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, path, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("cannot make the mounts below {} private", path.display()))
}

/// Mounts a new proc of the pid namespace of this process.
pub(crate) fn mount_proc(directory: &Path) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    mount(Some("proc"), directory, Some("proc"), flags, None::<&str>)
        .with_context(|| format!("mount {} failed", directory.display()))
}

/// A copy of the proc that is mounted on `directory`, without mounts over parts of it, if it is the proc of the pid
/// namespace in which `member` has this PID. The copy is detached.
///
/// Only a member of a pid namespace can mount a new proc of it (proc(5)).
pub(crate) fn proc_of(pid_ns: u64, member: i32, directory: &Path) -> Option<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let proc = open(directory, flags, Mode::empty()).ok()?;
    // Another file system may look the same, and block.
    if fstatfs(&proc).ok()?.filesystem_type() != PROC_SUPER_MAGIC {
        return None;
    }
    // Without mounts over parts of it: those may show false data, or be a FIFO that blocks.
    let own = |file: &str, flags| {
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_XDEV);
        openat2(&proc, format!("{member}/{file}").as_str(), how).ok()
    };
    let link = readlinkat(&own("ns", OFlag::O_PATH | OFlag::O_DIRECTORY)?, "pid").ok()?;
    let mut text = Vec::new();
    std::fs::File::from(own("status", OFlag::O_RDONLY)?).read_to_end(&mut text).ok()?;
    // Seen from an ancestor pid namespace, a process has several PIDs.
    let the_one = parse_link(link.as_bytes()) == Some(pid_ns) && Status::parse(&text).nspid == [member];
    the_one.then(|| mounts::clone_tree(&proc, c"", false).ok())?
}

/// A root directory with all mounts below it, as a detached tree.
///
/// Only a process in their mount namespace can copy mounts. A process that is root of a user namespace alone cannot
/// come back from there. So a child enters it and sends the tree.
pub(crate) fn tree_of(mnt_ns: &OwnedFd, root: &OwnedFd) -> Result<OwnedFd> {
    let (receiver, sender) = descriptors::channel().context("socketpair failed")?;
    match sys::fork_silent().context("fork failed")? {
        ForkResult::Child => {
            let failed = hand_over(mnt_ns, root, &sender).err().map_or(0, |errno| errno as i32);
            std::process::exit(failed & 0xff);
        }
        ForkResult::Parent { child } => {
            drop(sender);
            // First: while the child is stopped, nothing arrives. The message fits in any socket.
            let ended = sys::wait_for_step(child).context("waitpid failed")?;
            let tree = descriptors::receive(&receiver).map(|[tree]| tree);
            received(tree, ended)
        }
    }
}

/// Files with these contents, each as a detached mount. A child computes and writes them: it alone has them in memory,
/// and makes the file system in a mount namespace of its own.
pub(crate) fn files<const N: usize>(contents: impl FnOnce() -> [Vec<u8>; N]) -> Result<Vec<OwnedFd>> {
    let (receiver, sender) = descriptors::channel().context("socketpair failed")?;
    match sys::fork_silent().context("fork failed")? {
        ForkResult::Child => {
            let sent = write_files(contents())
                .and_then(|trees| Ok(descriptors::send_all(sender.as_fd(), &trees, b"")?));
            let failed = sent.err().map_or(0, |error| {
                error.downcast_ref().map_or(Errno::EIO as i32, |errno: &Errno| *errno as i32)
            });
            std::process::exit(failed & 0xff);
        }
        ForkResult::Parent { child } => {
            drop(sender);
            // First, as in tree_of.
            let ended = sys::wait_for_step(child).context("waitpid failed")?;
            let trees = descriptors::receive_all(receiver.as_fd()).map(|(trees, _)| trees);
            received(trees.filter(|trees| trees.len() == N), ended)
        }
    }
}

fn write_files<const N: usize>(contents: [Vec<u8>; N]) -> Result<Vec<OwnedFd>> {
    private()?;
    // Any directory will do: only this process sees the mount.
    let directory = Path::new("/etc");
    tmpfs(directory)?;
    let write = |(number, content): (usize, Vec<u8>)| {
        let name = number.to_string();
        let path = directory.join(&name);
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
        Ok(mounts::clone_tree(AT_FDCWD, &c_path(&path)?, false)?)
    };
    contents.into_iter().enumerate().map(write).collect()
}

fn tmpfs(directory: &Path) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("ctrbox"), directory, Some("tmpfs"), flags, Some("mode=755"))
        .with_context(|| format!("mount {} failed", directory.display()))
}

/// Covers a directory, if it exists, with an empty one.
pub(crate) fn hide(directory: &Path) -> Result<()> {
    if directory.is_dir() { tmpfs(directory) } else { Ok(()) }
}

/// Covers the file that a path leads to, in a mount namespace of this process alone. A missing file is not created on
/// the host, see [`cover`].
pub(crate) fn replace_file(tree: &OwnedFd, path: &Path) -> Result<()> {
    let cannot = || format!("cannot mount on {}", path.display());
    let to = match std::fs::canonicalize(path) {
        Ok(to) => to,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            cover(path.parent().unwrap_or(path))?;
            _ = std::fs::remove_file(path); // a dangling link, in the cover
            std::fs::File::create_new(path).with_context(cannot)?;
            path.to_path_buf()
        }
        Err(error) => return Err(error).with_context(cannot),
    };
    mounts::attach(tree, &c_path(&to)?).with_context(cannot)
}

fn received<T>(result: Option<T>, ended: sys::Ended) -> Result<T> {
    result.ok_or_else(|| match ended {
        sys::Ended::Exited(errno) if errno != 0 => Errno::from_raw(i32::from(errno)).into(),
        _ => anyhow!("the process that makes the mounts was killed"),
    })
}

fn hand_over(mnt_ns: &OwnedFd, root: &OwnedFd, to: &OwnedFd) -> nix::Result<()> {
    sys::setns(mnt_ns, Kind::Mnt.flag())?;
    descriptors::send(to, [&mounts::clone_tree(root, c"", true)?])
}

/// Attaches a tree at `path`, in a mount namespace of this process alone. A missing directory is not created on the
/// host, see [`cover`].
pub(crate) fn attach(tree: &OwnedFd, path: &Path) -> Result<()> {
    if !path.is_dir() {
        make_way(path)?;
    }
    let target = c_path(path)?;
    mounts::attach(tree, &target).with_context(|| format!("cannot mount on {}", path.display()))?;
    make_private(path)
}

fn make_way(path: &Path) -> Result<()> {
    let there = path.ancestors().find(|ancestor| ancestor.is_dir());
    match there {
        Some(directory) if directory != Path::new("/") => cover(directory)?,
        _ => {
            return Err(anyhow!(
                "cannot mount on {}: no such directory (create it, or use one below /run)",
                path.display()
            ));
        }
    }
    let made = DirBuilder::new().recursive(true).mode(0o755).create(path);
    made.with_context(|| format!("cannot make {}", path.display()))
}

/// Mounts a tmpfs over a directory and binds all its entries into it. So names can be added that no other mount
/// namespace sees.
fn cover(directory: &Path) -> Result<()> {
    let shown = directory.display();
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let old = open(directory, flags, Mode::empty()).with_context(|| format!("cannot open {shown}"))?;
    let listing = crate::sys::directory::list(directory).with_context(|| format!("cannot read {shown}"))?;
    let names: Vec<_> = listing.into_iter().map(|entry| entry.name).collect();

    tmpfs(directory)?;
    for name in names {
        let path = directory.join(&name);
        match bind(&old, &name, &path) {
            // Removed meanwhile, or not accessible.
            Ok(()) | Err(Errno::ENOENT | Errno::EACCES | Errno::EPERM) => {}
            Err(errno) => return Err(errno).with_context(|| format!("cannot bind {}", path.display())),
        }
    }
    Ok(())
}

fn bind(old: &OwnedFd, name: &OsStr, path: &Path) -> nix::Result<()> {
    let stat = fstatat(old, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let failed = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    if is(&stat, SFlag::S_IFLNK) {
        return symlink(readlinkat(old, name)?, path).map_err(failed);
    }
    let source = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)?;
    let tree = mounts::clone_tree(old, &source, true)?;
    if is(&stat, SFlag::S_IFDIR) {
        std::fs::create_dir(path).map_err(failed)?;
    } else {
        std::fs::File::create_new(path).map_err(failed)?;
    }
    mounts::attach(&tree, &CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?)
}

fn is(stat: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == kind
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL.into())
}
