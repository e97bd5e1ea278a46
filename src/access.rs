//! Work that may never end, done by another process.
//!
//! Who serves a file system decides when an access to it ends: any user may mount FUSE, and overlayfs over it, in a
//! user namespace of their own. A directory or a file of a local file system can block as well: the kernel holds
//! its lock while a read or a write of it waits for memory that is mapped from FUSE. Such a wait cannot be
//! interrupted, and a process does not end before its last thread does. So another process makes the access; after
//! a time limit this one goes on without it.
//!
//! The limit counts time in which the other process is blocked, and CPU time above what an ordinary access takes: a
//! path through many long symbolic links costs milliseconds of it. Time in which it waits for a CPU does not count: on
//! a busy host the same files give the same answer.
//!
//! That process is in a session of its own, and has no descriptor but what it needs. While it is stuck nothing waits for
//! it, neither this process nor who reads its output, and its end sends no signal. It ends when the access does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, Shutdown, send, shutdown};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, Pid, chdir, setsid};

use crate::sys;

/// On whose account time is spent: nobody uses up that of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    User(u32),
    /// A container of root's, by the PID of a process in it.
    Container(i32),
}

/// How long all answers together may block, or compute beyond what is ordinary: those of one account, and those of all.
const MOST: Duration = Duration::from_secs(3);
const MOST_OF_ALL: Duration = Duration::from_secs(12);
/// How long one answer may take on the busiest host, in which the process that makes the access hardly runs.
const LONGEST: Duration = Duration::from_secs(60);
/// How often this process looks whether the other one is blocked.
const SLICE: Duration = Duration::from_millis(50);

struct Spent {
    by_account: BTreeMap<Account, Duration>,
    by_all: Duration,
}

/// Not of the thread: musl has little room for that without mmap(2).
static SPENT: Mutex<Spent> = Mutex::new(Spent { by_account: BTreeMap::new(), by_all: Duration::ZERO });

fn spent() -> MutexGuard<'static, Spent> {
    SPENT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Account {
    /// That of the owner of a container, and of root's containers each has its own.
    #[must_use]
    pub fn of_owner(owner: u32, process: i32) -> Account {
        if owner == 0 { Account::Container(process) } else { Account::User(owner) }
    }

    fn left(self) -> Duration {
        let spent = spent();
        let own = spent.by_account.get(&self).copied().unwrap_or_default();
        MOST.saturating_sub(own).min(MOST_OF_ALL.saturating_sub(spent.by_all))
    }

    fn spend(self, time: Duration) {
        let mut spent = spent();
        *spent.by_account.entry(self).or_default() += time;
        spent.by_all += time;
    }
}

/// A process that answers requests, one after the other.
pub(crate) struct AccessProcess {
    child: Pid,
    socket: UnixStream,
    buffer: Vec<u8>,
    /// It waits for a request.
    idle: bool,
}

impl AccessProcess {
    /// `serve` has of the descriptors of this process those of `keep` alone, and `/` for a working directory.
    ///
    /// # Safety
    /// `serve` uses and drops no value that owns or borrows another descriptor which was opened before.
    #[allow(unsafe_code)] // descriptors are closed by number: also those that have no owner here
    pub(crate) unsafe fn start(
        keep: &[BorrowedFd<'_>],
        mut serve: impl FnMut(&[u8]) -> Vec<u8>,
    ) -> nix::Result<AccessProcess> {
        // Another pid namespace for children is a container's, which must not see this one.
        if !children_stay() {
            return Err(Errno::EPERM);
        }
        let (own, its) = UnixStream::pair().map_err(errno_of)?;
        match sys::fork_silent()? {
            ForkResult::Parent { child } => {
                Ok(AccessProcess { child, socket: own, buffer: Vec::new(), idle: true })
            }
            ForkResult::Child => {
                let mut kept: Vec<_> = keep.iter().map(AsRawFd::as_raw_fd).collect();
                kept.push(its.as_raw_fd());
                // SAFETY: the caller promises it for `serve`; nothing else runs in this child, which ends by exit_now.
                unsafe { sys::close_others(&mut kept) };
                _ = setsid();
                _ = chdir("/");
                _ = answer_all(&its, &mut serve);
                sys::exit_now(0)
            }
        }
    }

    /// The answer. ETIMEDOUT: there is none in the time that the account has left. After an error the process is of
    /// no more use: another answer may be on the way.
    pub(crate) fn ask(&mut self, account: Account, request: &[u8]) -> nix::Result<Vec<u8>> {
        let limit = account.left();
        let answer = match limit.is_zero() {
            true => Err(Errno::ETIMEDOUT),
            false => self.send(request).and_then(|()| self.receive(limit)),
        };
        self.idle = answer.is_ok();
        // An answer begins with the time that counts.
        let split = answer.and_then(|mut answer| match answer.split_first_chunk::<8>() {
            Some((counted, _)) => {
                let counted = Duration::from_nanos(u64::from_ne_bytes(*counted));
                answer.drain(..8);
                Ok((counted, answer))
            }
            None => Err(Errno::EIO),
        });
        account.spend(split.as_ref().map_or(limit, |(counted, _)| *counted));
        split.map(|(_, answer)| answer)
    }

    fn send(&self, message: &[u8]) -> nix::Result<()> {
        let framed = framed(&[message]);
        let mut rest = &framed[..];
        while !rest.is_empty() {
            match send(self.socket.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn receive(&mut self, limit: Duration) -> nix::Result<Vec<u8>> {
        self.buffer.clear();
        let mut part = [0; 16 * 1024];
        let mut patience = Patience { blocked: limit, end: Instant::now() + LONGEST };
        loop {
            if is_whole(&self.buffer) {
                let mut answer = std::mem::take(&mut self.buffer);
                answer.drain(..4);
                return Ok(answer);
            }
            self.wait(&mut patience)?;
            match (&self.socket).read(&mut part) {
                Ok(0) => return Err(Errno::ECONNRESET),
                Ok(read) => self.buffer.extend_from_slice(&part[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(errno_of(error)),
            }
        }
    }

    /// Waits until there is something to read.
    fn wait(&self, patience: &mut Patience) -> nix::Result<()> {
        loop {
            let slice = SLICE.min(patience.blocked).max(Duration::from_millis(1));
            let limit = PollTimeout::try_from(slice).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], limit) {
                // Not the time that went by: this process may have waited for a CPU itself.
                Ok(0) if is_blocked(self.child) => patience.blocked = patience.blocked.saturating_sub(slice),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno),
            }
            if patience.blocked.is_zero() || patience.end <= Instant::now() {
                return Err(Errno::ETIMEDOUT);
            }
        }
    }
}

/// How much longer an answer is waited for: in which the other process is blocked, and at all.
struct Patience {
    blocked: Duration,
    end: Instant,
}

/// Does that process wait for something else than a CPU? proc_pid_stat(5).
fn is_blocked(child: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    // The name, in parentheses, is that of this program.
    stat.rsplit_once(") ").is_none_or(|(_, fields)| !fields.starts_with('R'))
}

/// What tells how much time since then counts.
struct Stopwatch {
    start: Instant,
    running: Duration,
    delayed: Duration,
}

impl Stopwatch {
    /// An access that takes no longer did not block for long, or not often enough to matter: accesses are counted.
    const SHORT: Duration = Duration::from_micros(100);
    /// CPU time that an ordinary access takes at most. Of a user's thousands of accesses, more each would be minutes.
    const ORDINARY: Duration = Duration::from_micros(250);

    fn start(schedstat: Option<&File>) -> Stopwatch {
        Stopwatch { start: Instant::now(), running: running(), delayed: delayed(schedstat) }
    }

    fn counted(&self, schedstat: Option<&File>) -> Duration {
        let elapsed = self.start.elapsed();
        if elapsed < Self::SHORT {
            return Duration::ZERO;
        }
        let running = running().saturating_sub(self.running).min(Self::ORDINARY);
        let delayed = delayed(schedstat).saturating_sub(self.delayed);
        elapsed.saturating_sub(running + delayed)
    }
}

/// CPU time of this process.
fn running() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// How long this process waited for a CPU: the second number of /proc/self/schedstat, in nanoseconds (Linux
/// Documentation/scheduler/sched-stats.rst). A kernel without CONFIG_SCHED_INFO has no such file; that time counts as
/// blocked then.
fn delayed(schedstat: Option<&File>) -> Duration {
    let mut text = [0; 64];
    let read = schedstat.and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
    let number =
        std::str::from_utf8(&text[..read]).ok().and_then(|text| text.split(' ').nth(1)?.parse().ok());
    Duration::from_nanos(number.unwrap_or(0))
}

impl Drop for AccessProcess {
    /// An idle one ends when its socket does. Another may be stuck in the kernel, and dies when it returns from there.
    fn drop(&mut self) {
        if self.idle {
            _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
            _ = sys::wait(self.child, libc::__WALL);
        } else {
            _ = sys::kill(self.child, libc::SIGKILL);
            _ = sys::wait(self.child, libc::__WALL | libc::WNOHANG);
        }
    }
}

/// Are children to be in the pid namespace of this process?
pub(crate) fn children_stay() -> bool {
    const CHILDREN: &str = "/proc/self/ns/pid_for_children";
    let id = |link: &str| std::fs::read_link(link).ok();
    // Before Linux 4.12 the kernel has no such link; until the first child is there, it leads nowhere.
    id(CHILDREN) == id("/proc/self/ns/pid") || std::fs::symlink_metadata(CHILDREN).is_err()
}

/// One piece of work, by a process of its own.
///
/// # Safety
/// `work` uses and drops no value that owns or borrows a descriptor which was opened before.
#[allow(unsafe_code)] // as it is for AccessProcess::start
pub(crate) unsafe fn once(account: Account, work: impl FnOnce() -> Vec<u8>) -> nix::Result<Vec<u8>> {
    let mut work = Some(work);
    let serve = |_: &[u8]| work.take().map(|work| work()).unwrap_or_default();
    // SAFETY: the caller promises the same of `work`.
    unsafe { AccessProcess::start(&[], serve) }?.ask(account, b"")
}

fn answer_all(mut socket: &UnixStream, serve: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> std::io::Result<()> {
    let schedstat = File::open("/proc/self/schedstat").ok();
    loop {
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_ne_bytes(length) as usize];
        socket.read_exact(&mut request)?;
        let watch = Stopwatch::start(schedstat.as_ref());
        let answer = serve(&request);
        let counted = u64::try_from(watch.counted(schedstat.as_ref()).as_nanos()).unwrap_or(u64::MAX);
        socket.write_all(&framed(&[&counted.to_ne_bytes(), &answer]))?;
    }
}

/// The parts in one message, after their length.
fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).unwrap_or(0).to_ne_bytes();
    [&[&length[..]], parts].concat().concat()
}

/// Is all of the message there?
fn is_whole(buffer: &[u8]) -> bool {
    let length = buffer.split_first_chunk::<4>().map(|(length, _)| u32::from_ne_bytes(*length) as usize);
    length.is_some_and(|length| buffer.len() - 4 >= length)
}

fn errno_of(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
#[allow(unsafe_code)] // AccessProcess::start
mod tests {
    use super::*;

    fn start(serve: impl FnMut(&[u8]) -> Vec<u8>) -> AccessProcess {
        // SAFETY: what these tests serve has no descriptor.
        unsafe { AccessProcess::start(&[], serve) }.expect("a process")
    }

    #[test]
    fn answers_come_whole() {
        let mut process = start(|request| request.repeat(1000));
        for request in [&b""[..], b"x", b"two words", &[7; 4000]] {
            assert_eq!(process.ask(Account::User(1), request), Ok(request.repeat(1000)));
        }
    }

    #[test]
    fn who_does_not_answer_is_waited_for_once() {
        let silent = |_: &[u8]| loop {
            std::thread::park();
        };
        let begin = Instant::now();
        for _ in 0..3 {
            let mut process = start(silent);
            assert_eq!(process.ask(Account::User(2), b"x"), Err(Errno::ETIMEDOUT));
        }
        assert!(begin.elapsed() < MOST * 2);
        let mut process = start(<[u8]>::to_vec);
        assert_eq!(process.ask(Account::User(3), b"x"), Ok(b"x".to_vec()), "others have their own time");
    }

    #[test]
    fn accesses_that_compute_long_are_not_repeated_for_ever() {
        let mut process = start(|_| {
            let begin = running();
            while running() < begin + Duration::from_millis(20) {}
            Vec::new()
        });
        let most = 2 * MOST.as_millis() / 20;
        let answers = (0..most).take_while(|_| process.ask(Account::User(5), b"x").is_ok()).count();
        assert!((answers as u128) < most, "{answers}");
    }

    #[test]
    fn it_has_no_descriptor_of_this_process() {
        let count = || {
            let names = std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
            vec![u8::try_from(names).unwrap_or(u8::MAX)]
        };
        let _more: Vec<_> = (0..20).map(|_| std::fs::File::open("/dev/null").expect("a file")).collect();
        // Three of /dev/null, the socket, schedstat, and the directory that is being read.
        // SAFETY: the directory is opened by the work itself.
        assert_eq!(unsafe { once(Account::User(4), count) }, Ok(vec![6]));
    }
}
