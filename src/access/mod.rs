//! Accesses that can block without limit, in a helper process.
//!
//! The server of a file system decides when an access to it ends. Any user can mount FUSE, and overlayfs on top of it, in
//! their own user namespace. An access to a local file or directory can block too: the kernel holds its lock while a read
//! or a write of it waits for memory that is mapped from FUSE. Such a wait cannot be interrupted, and a process does not
//! end before its last thread does. So a helper process makes the access, and this process continues without it after a
//! time limit.
//!
//! The limit counts the time in which the helper is blocked, and the CPU time above that of an ordinary access: a path
//! through many long symbolic links takes milliseconds. Time in which the helper waits for a CPU does not count, so the
//! same files give the same answer on a busy host.
//!
//! The helper has its own session, and only the descriptors that it needs. Nothing waits for a blocked helper: neither
//! this process, nor a reader of its output. The end of the helper sends no signal. It ends when its access ends.

mod arguments;
mod below_root;
mod extents;
pub(crate) mod memory;
pub(crate) mod stream;
pub(crate) mod watch;

pub(crate) use arguments::{Lines, Reading, Span, account_of, environment, note_of_locked, read_environment};
pub(crate) use below_root::{Node, Space, below_root};
pub(crate) use extents::extents;

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

/// The account for blocked time. Each has its own limit, so no user can use up the time of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    User(u32),
    /// A container of root, by the number of its pid namespace or the PID of a process in it.
    Container(u64),
}

/// The longest counted time of all answers together: for one account, and for all accounts.
const MOST: Duration = Duration::from_secs(3);
const MOST_OF_ALL: Duration = Duration::from_secs(12);
/// The longest time for one answer, for a host so busy that the helper hardly runs.
const LONGEST: Duration = Duration::from_secs(60);
/// The interval at which this process checks whether the helper is blocked.
const SLICE: Duration = Duration::from_millis(50);

struct Spent {
    by_account: BTreeMap<Account, Duration>,
    by_all: Duration,
}

/// Not thread-local: musl has little room for thread-local data without mmap(2).
static SPENT: Mutex<Spent> = Mutex::new(Spent { by_account: BTreeMap::new(), by_all: Duration::ZERO });

/// Has no process of some account to be waited for any more?
fn is_an_account_used_up() -> bool {
    let spent = spent();
    spent.by_all >= MOST_OF_ALL || spent.by_account.values().any(|used| *used >= MOST)
}

fn spent() -> MutexGuard<'static, Spent> {
    SPENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives each account its whole time again. For tests: many hosts are read in one process, and the limit is that of one run.
pub fn forget_spent_time() {
    *spent() = Spent { by_account: BTreeMap::new(), by_all: Duration::ZERO };
}

impl Account {
    /// The account of the owner of a container. Each container of root has its own.
    #[must_use]
    pub fn of_owner(owner: u32, process: i32) -> Account {
        if owner == 0 { Account::Container(process.unsigned_abs().into()) } else { Account::User(owner) }
    }

    fn left(self) -> Duration {
        let spent = spent();
        let used = spent.by_account.get(&self).copied().unwrap_or_default();
        MOST.saturating_sub(used).min(MOST_OF_ALL.saturating_sub(spent.by_all))
    }

    fn spend(self, time: Duration) {
        let mut spent = spent();
        *spent.by_account.entry(self).or_default() += time;
        spent.by_all += time;
    }
}

/// A helper process that answers requests, one after the other.
pub(crate) struct AccessProcess {
    child: Pid,
    socket: UnixStream,
    buffer: Vec<u8>,
    /// The helper waits for a request.
    idle: bool,
}

impl AccessProcess {
    /// Starts a helper that answers with `serve`. It has only the descriptors in `keep`, and `/` as working directory.
    ///
    /// # Safety
    /// `serve` uses and drops no value that owns or borrows another descriptor opened before.
    #[allow(unsafe_code)] // see spawn
    pub(crate) unsafe fn start(
        keep: &[BorrowedFd<'_>],
        mut serve: impl FnMut(&[u8]) -> Vec<u8>,
    ) -> nix::Result<AccessProcess> {
        // SAFETY: the caller promises it.
        unsafe { AccessProcess::spawn(keep, |socket| _ = answer_all(socket, &mut serve)) }
    }

    /// Starts a helper that runs `work` and ends. It takes no request, and has only the descriptors in `keep`.
    ///
    /// # Safety
    /// As for [`Self::start`].
    #[allow(unsafe_code)] // see spawn
    unsafe fn start_once(keep: &[BorrowedFd<'_>], work: impl FnOnce()) -> nix::Result<AccessProcess> {
        // SAFETY: the caller promises it.
        unsafe { AccessProcess::spawn(keep, |_| work()) }
    }

    #[allow(unsafe_code)] // descriptors are closed by number, also those without an owner in this process
    unsafe fn spawn(keep: &[BorrowedFd<'_>], work: impl FnOnce(&UnixStream)) -> nix::Result<AccessProcess> {
        // If children go to another pid namespace, it is that of a container, which must not see the helper.
        if !children_stay() {
            return Err(Errno::EPERM);
        }
        let (socket, helper_socket) = UnixStream::pair().map_err(errno_of)?;
        match sys::fork_silent()? {
            ForkResult::Parent { child } => {
                Ok(AccessProcess { child, socket, buffer: Vec::new(), idle: true })
            }
            ForkResult::Child => {
                let mut kept: Vec<_> = keep.iter().map(AsRawFd::as_raw_fd).collect();
                kept.push(helper_socket.as_raw_fd());
                // SAFETY: the caller promises it for `work`; nothing else runs in this child, which ends with exit_now.
                unsafe { sys::close_others(&mut kept) };
                _ = setsid();
                _ = chdir("/");
                work(&helper_socket);
                sys::exit_now(0)
            }
        }
    }

    /// Sends a request and waits for the answer. ETIMEDOUT: no answer within the time that the account has left. After an
    /// error the helper must not be used again, as a late answer can arrive.
    pub(crate) fn ask(&mut self, account: Account, request: &[u8]) -> nix::Result<Vec<u8>> {
        let limit = account.left();
        let answer = match limit.is_zero() {
            true => Err(Errno::ETIMEDOUT),
            false => self.send(request).and_then(|()| self.receive(limit)),
        };
        self.idle = answer.is_ok();
        // An answer begins with the counted time of the access.
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
        let mut time_left = TimeLeft { blocked: limit, end: Instant::now() + LONGEST };
        loop {
            if is_whole(&self.buffer) {
                let mut answer = std::mem::take(&mut self.buffer);
                answer.drain(..4);
                return Ok(answer);
            }
            self.wait(&mut time_left)?;
            match (&self.socket).read(&mut part) {
                Ok(0) => return Err(Errno::ECONNRESET),
                Ok(read) => self.buffer.extend_from_slice(&part[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(errno_of(error)),
            }
        }
    }

    /// Waits for this time for the end of a helper that takes no request.
    fn look(&mut self, time: Duration) -> nix::Result<Seen> {
        let seen = self.poll(time)?;
        self.idle = matches!(seen, Seen::Answer);
        Ok(seen)
    }

    /// Waits until the socket is readable.
    fn wait(&self, time_left: &mut TimeLeft) -> nix::Result<()> {
        loop {
            let slice = SLICE.min(time_left.blocked).max(Duration::from_millis(1));
            match self.poll(slice)? {
                Seen::Answer => return Ok(()),
                // Subtract the slice, not the elapsed time: this process can have waited for a CPU.
                Seen::Blocked => time_left.blocked = time_left.blocked.saturating_sub(slice),
                Seen::Running => {}
            }
            if time_left.blocked.is_zero() || time_left.end <= Instant::now() {
                return Err(Errno::ETIMEDOUT);
            }
        }
    }

    fn poll(&self, time: Duration) -> nix::Result<Seen> {
        let limit = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], limit) {
            Ok(0) => Ok(match state(self.child) {
                b'R' => Seen::Running,
                // A signal stopped the child. The file that it reads did not cause that.
                b'T' => {
                    _ = sys::kill(self.child, libc::SIGCONT);
                    Seen::Running
                }
                _ => Seen::Blocked,
            }),
            Err(Errno::EINTR) => Ok(Seen::Running),
            Ok(_) => Ok(Seen::Answer),
            Err(errno) => Err(errno),
        }
    }
}

/// What a helper does.
#[derive(Clone, Copy)]
enum Seen {
    /// Its answer, or its end, can be received.
    Answer,
    Running,
    /// Neither running nor waiting for a CPU.
    Blocked,
}

/// The time left for an answer: in which the helper may be blocked, and in total.
struct TimeLeft {
    blocked: Duration,
    end: Instant,
}

/// The letter of the state of a process (proc_pid_stat(5)): R if it runs or waits for a CPU. 0 if it cannot be read.
fn state(child: Pid) -> u8 {
    let stat = std::fs::read(format!("/proc/{child}/stat")).unwrap_or_default();
    // The name in parentheses is that of ctrbox, so it contains no parenthesis.
    let end = stat.iter().rposition(|&b| b == b')').unwrap_or(stat.len());
    stat.get(end + 2).copied().unwrap_or(0)
}

/// Measures how long this process is blocked from a start on.
struct Stopwatch {
    start: Instant,
    running: Duration,
    delayed: Duration,
}

impl Stopwatch {
    /// A shorter access counts as no time. The number of accesses is limited, so that time stays small.
    const SHORT: Duration = Duration::from_micros(100);
    /// The CPU time of an ordinary access. A user can cause thousands of accesses.
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

/// The CPU time of this process.
fn running() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// The time for which this process waited for a CPU: the second number of /proc/self/schedstat, in nanoseconds (Linux
/// Documentation/scheduler/sched-stats.rst). A kernel without CONFIG_SCHED_INFO has no such file; then that time counts
/// as blocked.
fn delayed(schedstat: Option<&File>) -> Duration {
    let mut text = [0; 64];
    let read = schedstat.and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
    let number =
        std::str::from_utf8(&text[..read]).ok().and_then(|text| text.split(' ').nth(1)?.parse().ok());
    Duration::from_nanos(number.unwrap_or(0))
}

impl Drop for AccessProcess {
    /// An idle helper ends when its socket is shut down; if it is stopped, by the signal. Another can be blocked in the
    /// kernel, and is killed when it returns from there.
    fn drop(&mut self) {
        _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        _ = sys::kill(self.child, libc::SIGKILL);
        _ = sys::wait(self.child, libc::__WALL | if self.idle { 0 } else { libc::WNOHANG });
    }
}

/// Will children be in the pid namespace of this process?
pub(crate) fn children_stay() -> bool {
    const CHILDREN: &str = "/proc/self/ns/pid_for_children";
    let id = |link: &str| std::fs::read_link(link).ok();
    // The link exists since Linux 4.12. After unshare(2) it is empty until the first child exists.
    id(CHILDREN) == id("/proc/self/ns/pid") || std::fs::symlink_metadata(CHILDREN).is_err()
}

/// Runs one function in a helper process.
///
/// # Safety
/// `work` uses and drops no value that owns or borrows a descriptor opened before.
#[allow(unsafe_code)] // AccessProcess::start
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

/// One message: the length of all parts, then the parts.
fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).unwrap_or(0).to_ne_bytes();
    [&[&length[..]], parts].concat().concat()
}

/// Is the message complete?
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
    fn answers_arrive_complete() {
        let mut process = start(|request| request.repeat(1000));
        for request in [&b""[..], b"x", b"two words", &[7; 4000]] {
            assert_eq!(process.ask(Account::User(1), request), Ok(request.repeat(1000)));
        }
    }

    #[test]
    fn the_time_limit_holds_for_all_requests_of_an_account() {
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
        assert_eq!(
            process.ask(Account::User(3), b"x"),
            Ok(b"x".to_vec()),
            "other accounts have their own time"
        );
    }

    #[test]
    fn accesses_that_take_much_cpu_time_end_at_the_limit() {
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
    fn the_helper_has_only_the_descriptors_it_needs() {
        let count = || {
            let names = std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
            vec![u8::try_from(names).unwrap_or(u8::MAX)]
        };
        let _more: Vec<_> = (0..20).map(|_| std::fs::File::open("/dev/null").expect("a file")).collect();
        // Three of /dev/null, the socket, schedstat, and the directory that is being read.
        // SAFETY: the function itself opens the directory.
        assert_eq!(unsafe { once(Account::User(4), count) }, Ok(vec![6]));
    }
}
