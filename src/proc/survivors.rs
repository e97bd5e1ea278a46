//! Processes whose first thread has ended while others run. The kernel has no namespaces, root directory and descriptors of
//! such a process (ENOENT, EINVAL), but of its other threads.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, read};

use super::dents::numbers;
use super::{Stat, hidden};
use crate::sys;

/// The first thread that lives, by the PID of the process.
static FOUND: Mutex<BTreeMap<i32, Found>> = Mutex::new(BTreeMap::new());
/// Is there such a process? Asked for every file that is read.
static ANY: AtomicBool = AtomicBool::new(false);
/// So many threads are looked at. Those that have ended stay as long as a tracer holds them.
pub(crate) const MOST: usize = 65_536;
/// A process with more threads than that, of which none was found that runs. 0 if there is none.
static UNEXAMINED: AtomicI32 = AtomicI32::new(0);

#[derive(Clone, Copy)]
struct Found {
    /// The start time of the process: another one can have its PID.
    start: u64,
    /// None if no thread was found: that is not tried again.
    thread: Option<Pid>,
}

fn with<T>(change: impl FnOnce(&mut BTreeMap<i32, Found>) -> T) -> T {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let result = change(&mut found);
    ANY.store(!found.is_empty(), Ordering::Relaxed);
    result
}

/// The thread whose file stands for that of the process. The directory of all namespaces is always that of the first thread.
pub(super) fn thread(pid: Pid, file: &str) -> Option<Pid> {
    const FILES: [&str; 5] = ["root", "cwd", "exe", "fd", "mountinfo"];
    let is_of_living = || FILES.contains(&file) || file.starts_with("ns/") || file.starts_with("net/");
    let is_one = ANY.load(Ordering::Relaxed) && is_of_living();
    is_one.then(|| known(pid)?.thread)?
}

/// Does a read fail for want of a thread?
pub(super) fn is_without_thread(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::EINVAL | Errno::ESRCH)
}

/// Can the text of its cgroup file be that of a thread that has ended? The kernel takes it out of all groups of version 1.
pub(super) fn may_lack_groups(text: &[u8]) -> bool {
    let mut lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"0::"));
    lines.clone().next().is_some() && lines.all(|line| line.ends_with(b":/"))
}

/// After a read of such a file has failed: is there another thread now that stands for the process?
pub(super) fn find(proc: &OwnedFd, pid: Pid) -> bool {
    let before = known(pid).and_then(|known| known.thread);
    living_thread(proc, pid) != before
}

/// A thread that runs. None if the first one does, or if the process has ended.
pub(crate) fn living_thread(proc: &OwnedFd, pid: Pid) -> Option<Pid> {
    let first = if hidden::is_hidden(pid) { None } else { stat(proc, &format!("{pid}/stat")) };
    let Some(first) = first.filter(|first| first.state == b'Z' && first.threads > 1) else {
        with(|found| found.remove(&pid.as_raw()));
        return None;
    };
    let task = |thread: Pid| stat(proc, &format!("{pid}/task/{thread}/stat"));
    let lives = |thread: Pid| task(thread).is_some_and(|stat| !matches!(stat.state, b'Z' | b'X'));
    match known(pid).filter(|known| known.start == first.start) {
        Some(Found { thread: None, .. }) => return None,
        Some(Found { thread: Some(thread), .. }) if lives(thread) => return Some(thread),
        _ => {}
    }
    let thread = first_that(proc, pid, lives, MOST);
    with(|found| found.insert(pid.as_raw(), Found { start: first.start, thread }));
    thread
}

fn known(pid: Pid) -> Option<Found> {
    with(|found| found.get(&pid.as_raw()).copied())
}

/// A process with so many threads that one that runs was not found: nothing is known of it.
pub(crate) fn unexamined() -> Option<Pid> {
    Some(UNEXAMINED.load(Ordering::Relaxed)).filter(|pid| *pid != 0).map(Pid::from_raw)
}

fn first_that(proc: &OwnedFd, pid: Pid, lives: impl Fn(Pid) -> bool, most: usize) -> Option<Pid> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = openat(proc, format!("{pid}/task").as_str(), flags, Mode::empty()).ok()?;
    let (mut buffer, mut done) = (vec![0; 16 * 1024], 0);
    while done < most {
        let raw = sys::get_dents(&directory, &mut buffer).ok().filter(|raw| !raw.is_empty())?;
        let mut threads = numbers(raw).map(|(thread, _)| thread).inspect(|_| done += 1);
        if let Some(found) = threads.find(|thread| *thread != pid && lives(*thread)) {
            return Some(found);
        }
    }
    UNEXAMINED.store(pid.as_raw(), Ordering::Relaxed);
    None
}

fn stat(proc: &OwnedFd, file: &str) -> Option<Stat> {
    let file = openat(proc, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0; 1024];
    let length = read(&file, &mut text).ok()?;
    Stat::parse(&text[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_are_looked_at_are_remembered() {
        let proc = std::fs::File::open("/proc").expect("proc").into();
        assert_eq!(first_that(&proc, Pid::this(), |_| false, usize::MAX), None);
        assert_eq!(unexamined(), None, "all threads were looked at");
        assert_eq!(first_that(&proc, Pid::this(), |_| false, 1), None);
        assert_eq!(unexamined(), Some(Pid::this()));
    }

    #[test]
    fn groups_that_a_thread_may_have_lost() {
        for text in ["4:pids:/\n1:name=systemd:/\n0::/a\n", "1:cpu:/\n"] {
            assert!(may_lack_groups(text.as_bytes()), "{text}");
        }
        for text in ["0::/\n", "0::/a\n", "", "4:pids:/a\n1:name=systemd:/\n0::/\n"] {
            assert!(!may_lack_groups(text.as_bytes()), "{text}");
        }
    }
}
