//! Removes what was created for a run, however the run ends: by itself, by a signal, even by SIGKILL.
//!
//! A child process, the watcher, holds the read end of a pipe. Each change is written to the pipe before it is made.
//! If the pipe closes without a final message, this process has died, and the watcher undoes the changes. It also
//! does so when this process exits while processes still run in a group: then it waits for them to end.
//!
//! Several runs may use a directory that one of them created, or a controller that one of them enabled. Every user of
//! a directory holds a shared lock on it (flock(2)); changes are undone only with an exclusive lock.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, pipe2};

use super::end::{end_all, processes, signal_all, tree, wait};
use super::group::{Group, words, write};
use super::limits;
use crate::sys::{self, FileLock, directory};

/// How long killed processes may take to disappear.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undo {
    Group(PathBuf),
    Controllers(PathBuf, Vec<String>),
    /// Removed by the last run that finds it empty.
    Family(PathBuf),
}

pub(super) type Journal = Vec<Undo>;

pub(crate) struct CleanupGuard {
    journal: Journal,
    locks: Vec<FileLock>,
    watcher: Pid,
    pipe: OwnedFd,
}

impl CleanupGuard {
    /// `kill`: if this process dies, the watcher kills the processes in the groups, instead of waiting for them.
    pub(crate) fn start(kill: bool) -> Result<CleanupGuard> {
        let (read, pipe) = pipe2(OFlag::O_CLOEXEC).context("pipe failed")?;
        match sys::fork().context("fork failed")? {
            ForkResult::Parent { child } => {
                Ok(CleanupGuard { journal: Vec::new(), locks: Vec::new(), watcher: child, pipe })
            }
            ForkResult::Child => {
                // The write end of the child: while it is open, the pipe never closes.
                let closed = sys::close(pipe);
                if closed.is_ok() {
                    watch(read, kill);
                }
                std::process::exit(i32::from(closed.is_err()));
            }
        }
    }

    /// Must be called before the change is made.
    pub(crate) fn note(&mut self, undo: Undo) -> Result<()> {
        self.send(&encode(&undo))?;
        self.journal.push(undo);
        Ok(())
    }

    /// Removes the last note: the change failed, or is undone.
    pub(crate) fn forget(&mut self) -> Result<()> {
        self.journal.pop();
        self.send(b"-")
    }

    /// Marks a directory as used by this run, with a shared lock. If the lock stays taken for 200 ms, another program
    /// holds it; continue without it. Returns false if the directory does not exist.
    pub(crate) fn hold(&mut self, directory: &Path) -> bool {
        for _ in 0..100 {
            let Ok(file) = directory_file(directory) else { return false };
            let inode = file.metadata().map(|meta| meta.ino()).ok();
            match FileLock::take(file, false, false) {
                // Another run can have removed the directory before the lock was taken, and made a new one.
                Ok(_) if std::fs::metadata(directory).map(|meta| meta.ino()).ok() != inode => {}
                Ok(lock) => {
                    self.locks.push(lock);
                    break;
                }
                Err(Errno::EWOULDBLOCK) => _ = sys::sleep(Duration::from_millis(2)),
                Err(_) => break,
            }
        }
        true
    }

    /// Does the same for all existing directories from the root to the group. On v1 the mount point is never changed,
    /// so it is skipped.
    pub(crate) fn hold_above(&mut self, group: &Group) {
        let paths: Vec<&Path> = group.path.ancestors().collect();
        let mut paths = paths.into_iter().rev().filter(|path| group.v2 || !path.as_os_str().is_empty());
        _ = paths.all(|path| self.hold(&group.mount_point.join(path)));
    }

    /// Undoes the changes so far. A change that cannot be undone stays noted.
    pub(crate) fn rollback(&mut self) -> Result<()> {
        self.locks.clear();
        while let Some(last) = self.journal.last() {
            if !undo(last, false)? {
                break;
            }
            self.forget()?;
        }
        Ok(())
    }

    /// Sends SIGTERM to all processes in the created groups. False if no group was created.
    pub(crate) fn terminate(&self) -> bool {
        signal_all(&made(&self.journal), Signal::SIGTERM);
        !made(&self.journal).is_empty()
    }

    /// Kills the processes in the created groups.
    pub(crate) fn kill(&self) {
        end_all(&made(&self.journal), LIMIT);
    }

    /// The same, for processes that still run at `deadline`.
    pub(crate) fn kill_at(&self, deadline: Instant) {
        let groups = made(&self.journal);
        while let Some(group) = groups.iter().find(|group| !processes(group).is_empty()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.kill();
            }
            wait(group, left);
        }
    }

    /// Undoes everything. Returns the group in which a process still runs: the watcher waits for its end.
    pub(crate) fn end(mut self) -> Result<Option<PathBuf>> {
        let outcome = self.rollback();
        let left = match self.journal.last() {
            // If another run also uses the group, the processes may belong to it.
            Some(Undo::Group(group)) if !processes(group).is_empty() => {
                matches!(exclusive(group, false), Ok(Lock::Held(_))).then(|| group.clone())
            }
            _ => None,
        };
        if self.journal.is_empty() {
            self.disarm();
        }
        outcome.map(|()| left)
    }

    /// Keeps everything.
    pub(crate) fn disarm(self) {
        _ = self.send(b"."); // the watcher may have died
        // The watcher ends when the pipe closes, at the latest when this process ends.
        if sys::close(self.pipe).is_ok() {
            _ = sys::wait_for_step(self.watcher); // there is no child to wait for if SIGCHLD is ignored
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        nix::unistd::write(&self.pipe, bytes).map(drop).context("the process that cleans up has gone")
    }
}

/// The groups that were created.
fn made(journal: &Journal) -> Vec<PathBuf> {
    let group = |undo: &Undo| match undo {
        Undo::Group(directory) => Some(directory.clone()),
        _ => None,
    };
    journal.iter().filter_map(group).collect()
}

fn directory_file(path: &Path) -> nix::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(path, flags, Mode::empty()).map(File::from)
}

/// `gPATH\0`, `fPATH\0`, `cPATH\0cpu pids\0`
fn encode(undo: &Undo) -> Vec<u8> {
    match undo {
        Undo::Group(path) => [b"g", path.as_os_str().as_bytes(), b"\0"].concat(),
        Undo::Family(path) => [b"f", path.as_os_str().as_bytes(), b"\0"].concat(),
        Undo::Controllers(path, names) => {
            [b"c", path.as_os_str().as_bytes(), b"\0", names.join(" ").as_bytes(), b"\0"].concat()
        }
    }
}

/// None if everything is kept.
fn decode(mut text: &[u8]) -> Option<Journal> {
    let mut journal = Journal::new();
    while let [kind, rest @ ..] = text {
        text = rest;
        let mut field = || {
            let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
            let field = &text[..end];
            text = text.get(end + 1..).unwrap_or_default();
            field
        };
        let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()));
        match kind {
            b'.' => return None,
            b'-' => _ = journal.pop(),
            b'g' => journal.push(Undo::Group(path(field()))),
            b'f' => journal.push(Undo::Family(path(field()))),
            _ => {
                let directory = path(field());
                let names = String::from_utf8_lossy(field()).split(' ').map(str::to_owned).collect();
                journal.push(Undo::Controllers(directory, names));
            }
        }
    }
    Some(journal)
}

/// For the watcher.
#[allow(unsafe_code)] // closes descriptors by number, also those without an owner here
fn close_descriptors() {
    // SAFETY: the watcher's only descriptor of its own was read to its end and dropped. It was forked, and exits
    // without returning to the functions that called `CleanupGuard::start`: their values are neither used nor
    // dropped.
    unsafe { sys::close_all() };
}

/// The main function of the watcher.
fn watch(pipe: OwnedFd, kill: bool) {
    // Signals for the job or the terminal must not end it.
    _ = SigSet::all().thread_set_mask();
    _ = nix::unistd::setsid();
    // Polls only for the hang-up, so that notes do not wake the watcher.
    let mut end = [PollFd::new(std::os::fd::AsFd::as_fd(&pipe), PollFlags::empty())];
    while !matches!(poll(&mut end, PollTimeout::NONE), Ok(1)) {}
    let mut text = Vec::new();
    _ = File::from(pipe).read_to_end(&mut text);
    let Some(journal) = decode(&text) else { return };
    // A process that waits for the end of the caller's output must not wait for the watcher.
    close_descriptors();
    _ = nix::sys::prctl::set_name(c"cgexec-cleanup");
    if kill {
        end_all(&made(&journal), LIMIT);
    }
    for entry in journal.iter().rev() {
        _ = undo(entry, true);
    }
}

/// False if undoing must wait for other runs, or for processes in a group. `patient`: waits for them.
fn undo(entry: &Undo, patient: bool) -> Result<bool> {
    match entry {
        Undo::Group(directory) => remove(directory, patient),
        Undo::Controllers(directory, names) => Ok(disable(directory, names, patient)),
        Undo::Family(directory) => {
            if let Ok(Lock::Held(_lock)) = exclusive(directory, false) {
                _ = std::fs::remove_dir(directory);
            }
            Ok(true)
        }
    }
}

enum Lock {
    Held(#[allow(dead_code)] FileLock),
    Others,
    Gone,
}

/// An error if the directory is there and cannot be opened.
fn exclusive(directory: &Path, patient: bool) -> nix::Result<Lock> {
    let file = match directory_file(directory) {
        Err(Errno::ENOENT | Errno::ENODEV) => return Ok(Lock::Gone),
        file => file?,
    };
    Ok(match FileLock::take(file, true, patient) {
        Ok(lock) => Lock::Held(lock),
        Err(_) => Lock::Others,
    })
}

fn remove(directory: &Path, patient: bool) -> Result<bool> {
    let cannot = |error: Error| error.context(format!("cannot remove {}", directory.display()));
    for tries in 1..200 {
        let lock = match exclusive(directory, patient).map_err(|errno| cannot(errno.into()))? {
            Lock::Gone => return Ok(true),
            Lock::Others => return Ok(false),
            Lock::Held(lock) => lock,
        };
        match std::fs::remove_dir(directory).map_err(|error| (error.raw_os_error(), error)) {
            Ok(()) | Err((Some(libc::ENOENT | libc::ENODEV), _)) => return Ok(true),
            Err((Some(libc::EBUSY), _)) => {}
            Err((_, error)) => return Err(cannot(error.into())),
        }
        drop(lock);
        while !processes(directory).is_empty() {
            if !patient {
                return Ok(false);
            }
            wait(directory, Duration::MAX);
        }
        // Groups that the program created itself.
        let below = tree(directory);
        let below = below.iter().filter(|below| *below != directory);
        below.for_each(|below| _ = std::fs::remove_dir(below));
        // The kernel counts ended processes for a moment longer.
        _ = sys::sleep(Duration::from_millis(tries.min(10)));
    }
    Ok(patient) // still busy: the watcher gives up, this process leaves it to the watcher
}

/// Disables the controllers again, unless another group needs them.
fn disable(directory: &Path, names: &[String], patient: bool) -> bool {
    let _lock = match exclusive(directory, patient) {
        Ok(Lock::Gone) => return true,
        Ok(Lock::Others) | Err(_) => return false,
        Ok(Lock::Held(lock)) => lock,
    };
    let children = directory::list(directory).unwrap_or_default().into_iter();
    let children: Vec<PathBuf> =
        children.filter(|entry| entry.is_directory).map(|entry| directory.join(entry.name)).collect();
    for name in names {
        let enabled_below =
            |child: &PathBuf| words(&child.join("cgroup.subtree_control")).is_ok_and(|on| on.contains(name));
        if !children.iter().any(|child| enabled_below(child) || limits::limited(child, name)) {
            _ = write(&directory.join("cgroup.subtree_control"), &format!("-{name}"));
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watcher_reads_the_notes() {
        let all = [
            Undo::Controllers("/a".into(), vec!["cpu".into(), "pids".into()]),
            Undo::Family("/a/b\n c".into()),
            Undo::Group("/a/b/c".into()),
        ];
        let noted: Vec<u8> = all.iter().flat_map(encode).collect();
        assert_eq!(decode(&noted), Some(all.to_vec()));
        let forgotten = [&noted[..], &encode(&all[2]), b"-"].concat();
        assert_eq!(decode(&forgotten), Some(all.to_vec()));
        assert_eq!(decode(&[&noted[..], b"."].concat()), None);
        assert_eq!(decode(b""), Some(vec![]));
    }
}
