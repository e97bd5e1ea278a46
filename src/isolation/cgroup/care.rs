//! What was made for a run goes with it, however it ends: by itself, by a signal, even by SIGKILL.
//!
//! A child of ours, the watcher, holds a pipe. What we are about to make is noted there before it is made; the
//! pipe's end without a word of ours means that we died, and the watcher undoes what was noted. It does so too
//! when we end while something still runs in a group: then it waits for that.
//!
//! Several runs may use a directory that one of them made, or a controller that one of them turned on. Who uses
//! a directory holds a shared lock on it (flock(2)); only with an exclusive one is anything undone there.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, pipe2};

use super::create::write;
use super::end::{end_all, processes, signal_all, tree, wait};
use super::group::{Group, words};
use super::limits;
use crate::sys::{self, FileLock, directory};

/// How long what is killed may take to be gone.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undo {
    Group(PathBuf),
    Controllers(PathBuf, Vec<String>),
    /// Whoever finds it empty removes it.
    Family(PathBuf),
}

pub(super) type Journal = Vec<Undo>;

pub(crate) struct Care {
    journal: Journal,
    locks: Vec<FileLock>,
    watcher: Pid,
    pipe: OwnedFd,
}

impl Care {
    /// `kill`: should we die, what runs in the groups is to be ended, not waited for.
    pub(crate) fn start(kill: bool) -> Result<Care> {
        let (read, pipe) = pipe2(OFlag::O_CLOEXEC).context("pipe failed")?;
        match sys::fork().context("fork failed")? {
            ForkResult::Parent { child } => {
                Ok(Care { journal: Vec::new(), locks: Vec::new(), watcher: child, pipe })
            }
            ForkResult::Child => {
                // Our own end, or its end would never come.
                let closed = sys::close(pipe);
                if closed.is_ok() {
                    watch(read, kill);
                }
                std::process::exit(i32::from(closed.is_err()));
            }
        }
    }

    /// Before it is done.
    pub(crate) fn note(&mut self, undo: Undo) -> Result<()> {
        self.tell(&encode(&undo))?;
        self.journal.push(undo);
        Ok(())
    }

    /// The last one noted was not done, or is undone.
    pub(crate) fn forget(&mut self) -> Result<()> {
        self.journal.pop();
        self.tell(b"-")
    }

    /// From now on it is used by us. Of a lock that is held for long nobody of ours is the holder: go without.
    /// False when it is not there.
    pub(crate) fn hold(&mut self, directory: &Path) -> bool {
        for _ in 0..100 {
            let Ok(file) = directory_file(directory) else { return false };
            match FileLock::take(file, false, false) {
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

    /// The same of all directories of a group that are there. Of v1 nothing is changed at the mount point.
    pub(crate) fn hold_above(&mut self, group: &Group) {
        let paths: Vec<&Path> = group.path.ancestors().collect();
        let mut paths = paths.into_iter().rev().filter(|path| group.v2 || !path.as_os_str().is_empty());
        _ = paths.all(|path| self.hold(&group.mount_point.join(path)));
    }

    /// Takes back what was done so far; what cannot be is left noted.
    pub(crate) fn retreat(&mut self) -> Result<()> {
        self.locks.clear();
        while let Some(last) = self.journal.last() {
            if !undo(last, false)? {
                break;
            }
            self.forget()?;
        }
        Ok(())
    }

    /// Asks what runs in the groups that were made to end; false when none was made.
    pub(crate) fn ask(&self) -> bool {
        signal_all(&made(&self.journal), Signal::SIGTERM);
        !made(&self.journal).is_empty()
    }

    /// Ends what runs in the groups that were made.
    pub(crate) fn kill(&self) {
        end_all(&made(&self.journal), LIMIT);
    }

    /// The same, of what does not end by itself until `deadline`.
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

    /// Everything goes. Gives the group in which something still runs: the watcher waits for that to end.
    pub(crate) fn end(mut self) -> Result<Option<PathBuf>> {
        let outcome = self.retreat();
        let left = match self.journal.last() {
            // Where another run is as well, the processes may be its own.
            Some(Undo::Group(group)) if !processes(group).is_empty() => {
                matches!(exclusive(group, false), Lock::Held(_)).then(|| group.clone())
            }
            _ => None,
        };
        if self.journal.is_empty() {
            self.dismiss();
        }
        outcome.map(|()| left)
    }

    /// Everything stays.
    pub(crate) fn dismiss(self) {
        _ = self.tell(b"."); // it has gone: so be it
        // It goes when the pipe ends, at the latest with us.
        if sys::close(self.pipe).is_ok() {
            _ = sys::wait(self.watcher, 0); // nobody to wait for where SIGCHLD is ignored
        }
    }

    fn tell(&self, words: &[u8]) -> Result<()> {
        nix::unistd::write(&self.pipe, words).map(drop).context("the process that cleans up has gone")
    }
}

/// The groups that were made.
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

/// None when all is to stay.
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
#[allow(unsafe_code)] // descriptors are closed by number: also those that have no owner here
fn close_descriptors() {
    // SAFETY: the watcher's only descriptor of its own was read to its end and dropped. It was forked, and exits
    // without a return to the functions that called `Care::start`: their values are neither used nor dropped.
    unsafe { sys::close_all() };
}

/// The watcher's life.
fn watch(pipe: OwnedFd, kill: bool) {
    // Not to be ended with the others of a job or terminal, by whatever signal.
    _ = SigSet::all().thread_set_mask();
    _ = nix::unistd::setsid();
    // The hang-up alone is waited for: notes shall not wake us.
    let mut end = [PollFd::new(std::os::fd::AsFd::as_fd(&pipe), PollFlags::empty())];
    while !matches!(poll(&mut end, PollTimeout::NONE), Ok(1)) {}
    let mut text = Vec::new();
    _ = File::from(pipe).read_to_end(&mut text);
    let Some(journal) = decode(&text) else { return };
    // Whoever waits for the end of our caller's output is not to wait for us.
    close_descriptors();
    _ = nix::sys::prctl::set_name(c"cgexec-cleanup");
    if kill {
        end_all(&made(&journal), LIMIT);
    }
    for entry in journal.iter().rev() {
        _ = undo(entry, true);
    }
}

/// False when that must wait, for others to end or for what runs in a group; `patient`: it is waited for.
fn undo(entry: &Undo, patient: bool) -> Result<bool> {
    match entry {
        Undo::Group(directory) => remove(directory, patient),
        Undo::Controllers(directory, names) => Ok(put_back(directory, names, patient)),
        Undo::Family(directory) => {
            if let Lock::Held(_lock) = exclusive(directory, false) {
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

fn exclusive(directory: &Path, patient: bool) -> Lock {
    let Ok(file) = directory_file(directory) else { return Lock::Gone };
    match FileLock::take(file, true, patient) {
        Ok(lock) => Lock::Held(lock),
        Err(_) => Lock::Others,
    }
}

fn remove(directory: &Path, patient: bool) -> Result<bool> {
    for tries in 1..200 {
        let lock = match exclusive(directory, patient) {
            Lock::Gone => return Ok(true),
            Lock::Others => return Ok(false),
            Lock::Held(lock) => lock,
        };
        match std::fs::remove_dir(directory).map_err(|error| (error.raw_os_error(), error)) {
            Ok(()) | Err((Some(libc::ENOENT | libc::ENODEV), _)) => return Ok(true),
            Err((Some(libc::EBUSY), _)) => {}
            Err((_, error)) => {
                return Err(Error::from(error).context(format!("cannot remove {}", directory.display())));
            }
        }
        drop(lock);
        while !processes(directory).is_empty() {
            if !patient {
                return Ok(false);
            }
            wait(directory, Duration::MAX);
        }
        // Groups that what ran here made for itself.
        let below = tree(directory);
        let below = below.iter().filter(|below| *below != directory);
        below.for_each(|below| _ = std::fs::remove_dir(below));
        // What has ended is still counted for a moment.
        _ = sys::sleep(Duration::from_millis(tries.min(10)));
    }
    Ok(patient) // by now it will not go: the watcher gives up, others leave it to the watcher
}

/// Turns the controllers off again, unless a group of somebody else's needs them by now.
fn put_back(directory: &Path, names: &[String], patient: bool) -> bool {
    let _lock = match exclusive(directory, patient) {
        Lock::Gone => return true,
        Lock::Others => return false,
        Lock::Held(lock) => lock,
    };
    let children = directory::list(directory).unwrap_or_default().into_iter();
    let children: Vec<PathBuf> =
        children.filter(|entry| entry.is_directory).map(|entry| directory.join(entry.name)).collect();
    for name in names {
        let given =
            |child: &PathBuf| words(&child.join("cgroup.subtree_control")).is_ok_and(|on| on.contains(name));
        if !children.iter().any(|child| given(child) || limits::limited(child, name)) {
            _ = write(&directory.join("cgroup.subtree_control"), &format!("-{name}"));
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watcher_reads_what_was_noted() {
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
