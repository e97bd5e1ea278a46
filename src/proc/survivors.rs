//! Processes whose first thread has ended while others run. The kernel has no namespaces, root directory and descriptors of
//! such a process (ENOENT, EINVAL), but of its other threads.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, read};

use super::dents::numbers;
use super::{Stat, hidden};
use crate::sys;

/// The first thread that lives, by the PID of the process.
static THREADS: Mutex<BTreeMap<i32, i32>> = Mutex::new(BTreeMap::new());
/// Is there such a process? Asked for every file that is read.
static ANY: AtomicBool = AtomicBool::new(false);
/// So much of the list of threads is read, which are about 100: there can be any number of them, which end just now.
const LONGEST_LIST: usize = 4096;

fn with<T>(change: impl FnOnce(&mut BTreeMap<i32, i32>) -> T) -> T {
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    let result = change(&mut threads);
    ANY.store(!threads.is_empty(), Ordering::Relaxed);
    result
}

/// The thread whose file stands for that of the process. The directory of all namespaces is always that of the first thread.
pub(super) fn thread(pid: Pid, file: &str) -> Option<Pid> {
    const FILES: [&str; 5] = ["root", "cwd", "exe", "fd", "mountinfo"];
    let is_of_living = || FILES.contains(&file) || file.starts_with("ns/") || file.starts_with("net/");
    let is_one = ANY.load(Ordering::Relaxed) && is_of_living();
    is_one.then(|| with(|threads| threads.get(&pid.as_raw()).map(|thread| Pid::from_raw(*thread))))?
}

/// Does a read fail for want of a thread?
pub(super) fn is_without_thread(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::EINVAL | Errno::ESRCH)
}

/// After a read of such a file has failed: is there another thread now that stands for the process?
pub(super) fn find(proc: &OwnedFd, pid: Pid) -> bool {
    let found = if hidden::is_hidden(pid) { None } else { living_thread(proc, pid) };
    with(|threads| {
        let before = match found {
            Some(thread) => threads.insert(pid.as_raw(), thread.as_raw()),
            None => threads.remove(&pid.as_raw()),
        };
        before != found.map(Pid::as_raw)
    })
}

/// None if the first thread lives, or if the process has ended.
pub(crate) fn living_thread(proc: &OwnedFd, pid: Pid) -> Option<Pid> {
    let (first, threads) = state(proc, &format!("{pid}/stat"))?;
    if first != b'Z' || threads < 2 {
        return None;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = openat(proc, format!("{pid}/task").as_str(), flags, Mode::empty()).ok()?;
    let mut buffer = [0; LONGEST_LIST];
    let mut all = numbers(sys::get_dents(&directory, &mut buffer).ok()?).map(|(thread, _)| thread);
    let lives = |thread: &Pid| {
        let state = state(&directory, &format!("{thread}/stat"));
        *thread != pid && state.is_some_and(|(state, _)| !matches!(state, b'Z' | b'X'))
    };
    all.find(lives)
}

/// The state of a thread, and how many its process has.
fn state(above: &OwnedFd, file: &str) -> Option<(u8, u64)> {
    let file = openat(above, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0; 1024];
    let length = read(&file, &mut text).ok()?;
    Stat::parse(&text[..length]).map(|stat| (stat.state, stat.threads))
}
