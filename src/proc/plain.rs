//! Opens files that a container can have made, and exchanges meanwhile.
//!
//! Opening a device can have effects (a watchdog starts, a tape rewinds), and opening a pipe waits. So a file is opened
//! with O_PATH first, which has no effect, and that one is opened again through /proc/self/fd.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

/// Opens a regular file, and no other. Magic links of /proc, like /proc/PID/root, are not followed: they lead out of the
/// container, to files that it cannot reach itself.
///
/// Without a /proc that is one, the path is opened twice. If another file takes its place meanwhile, that is refused.
pub(crate) fn open_plain(path: impl AsRef<Path>) -> std::io::Result<File> {
    let seen = look(path.as_ref())?;
    if let Ok(file) = reopen(&seen) {
        return Ok(file);
    }
    same_file(&seen, File::from(open_without_magic(path.as_ref(), READ)?))
}

/// The same with the /proc that this descriptor is open on: the visible one may be missing, or another's.
pub(crate) fn open_plain_by(proc: &OwnedFd, path: impl AsRef<Path>) -> std::io::Result<File> {
    reopen_by(proc, &look(path.as_ref())?)
}

/// Opens a file of proc: nothing that is mounted there, and nothing that a link of a false /proc leads to.
pub(crate) fn open_of_proc(path: &Path) -> std::io::Result<File> {
    let seen = look(path)?;
    match fstatfs(&seen)?.filesystem_type() {
        PROC_SUPER_MAGIC => reopen(&seen),
        _ => Err(ErrorKind::InvalidInput.into()),
    }
}

const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

fn look(path: &Path) -> std::io::Result<File> {
    let seen = File::from(open_without_magic(path, OFlag::O_PATH)?);
    match seen.metadata()?.is_file() {
        true => Ok(seen),
        false => Err(ErrorKind::InvalidInput.into()),
    }
}

/// Not with OpenOptions of std: in musl O_ACCMODE includes O_PATH, and std removes O_ACCMODE from custom flags.
fn open_without_magic(path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let flags = flags | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match openat2(AT_FDCWD, path, how) {
        Err(Errno::ENOSYS | Errno::EPERM) => open(path, flags, Mode::empty()), // before Linux 5.6, or a filter
        result => result,
    }
}

fn reopen(seen: &File) -> std::io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    reopen_by(&open("/proc", flags, Mode::empty())?, seen)
}

/// Opens the file of an O_PATH descriptor for reading.
fn reopen_by(proc: &OwnedFd, seen: &File) -> std::io::Result<File> {
    if fstatfs(proc)?.filesystem_type() != PROC_SUPER_MAGIC {
        return Err(ErrorKind::InvalidInput.into());
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    // Not what is mounted over it.
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_XDEV);
    let own = match openat2(proc.as_fd(), "self/fd", how) {
        Err(Errno::ENOSYS | Errno::EPERM) => openat(proc, "self/fd", flags, Mode::empty()),
        result => result,
    }?;
    let number = seen.as_raw_fd().to_string();
    let file = openat(&own, number.as_str(), READ | OFlag::O_CLOEXEC, Mode::empty())?;
    same_file(seen, File::from(file))
}

fn same_file(seen: &File, opened: File) -> std::io::Result<File> {
    let id = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino()));
    match id(seen)? == id(&opened)? {
        true => Ok(opened),
        false => Err(ErrorKind::InvalidInput.into()),
    }
}
