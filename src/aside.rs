//! Work that may never end, done by another process.
//!
//! Who serves a file system decides when an access to it ends: any user may mount FUSE, and overlayfs over it, in a
//! user namespace of their own. A directory or a file of a local file system can block as well: the kernel holds
//! its lock while a read or a write of it waits for memory that is mapped from FUSE. Such a wait cannot be
//! interrupted, and a process does not end before its last thread does. So another process makes the access; after
//! a time limit this one goes on without it.
//!
//! That process is in a session of its own, and has no descriptor but what it needs. While it is stuck nothing waits for
//! it, neither this process nor who reads its output, and its end sends no signal. It ends when the access does.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, Shutdown, send, shutdown};
use nix::unistd::{ForkResult, Pid, chdir, setsid};

use crate::sys;
use crate::sys::keyed::HashMap;

/// On whose account time is spent: nobody uses up that of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    User(u32),
    /// A container of root's, by the PID of a process in it.
    Container(i32),
}

/// How long all answers together may take: those of one account, and those of all.
const MOST: Duration = Duration::from_secs(3);
const MOST_OF_ALL: Duration = Duration::from_secs(12);
/// An answer that takes no longer is not counted: there are thousands on a host with as many containers.
const PROMPT: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Spent {
    by_account: HashMap<Account, Duration>,
    by_all: Duration,
}

thread_local! {
    static SPENT: RefCell<Spent> = RefCell::default();
}

impl Account {
    /// That of the owner of a container, and of root's containers each has its own.
    #[must_use]
    pub fn of_owner(owner: u32, process: i32) -> Account {
        if owner == 0 { Account::Container(process) } else { Account::User(owner) }
    }

    fn left(self) -> Duration {
        SPENT.with_borrow(|spent| {
            let own = spent.by_account.get(&self).copied().unwrap_or_default();
            MOST.saturating_sub(own).min(MOST_OF_ALL.saturating_sub(spent.by_all))
        })
    }

    fn spend(self, time: Duration) {
        SPENT.with_borrow_mut(|spent| {
            *spent.by_account.entry(self).or_default() += time;
            spent.by_all += time;
        });
    }
}

/// A process that answers requests, one after the other.
pub struct Aside {
    child: Pid,
    socket: UnixStream,
    buffer: Vec<u8>,
    /// It waits for a request.
    idle: bool,
}

impl Aside {
    /// `serve` has of the descriptors of this process those of `keep` alone, and `/` for a working directory.
    pub fn start(keep: &[BorrowedFd<'_>], mut serve: impl FnMut(&[u8]) -> Vec<u8>) -> nix::Result<Aside> {
        // Another pid namespace for children is a container's, which must not see this one.
        if !children_stay() {
            return Err(Errno::EPERM);
        }
        let (own, its) = UnixStream::pair().map_err(errno_of)?;
        match sys::fork_silent()? {
            ForkResult::Parent { child } => Ok(Aside { child, socket: own, buffer: Vec::new(), idle: true }),
            ForkResult::Child => {
                let mut kept: Vec<_> = keep.iter().map(AsRawFd::as_raw_fd).collect();
                kept.push(its.as_raw_fd());
                sys::close_others(&mut kept);
                _ = setsid();
                _ = chdir("/");
                _ = answer_all(&its, &mut serve);
                sys::exit_now(0)
            }
        }
    }

    /// The answer. ETIMEDOUT: there is none in the time that the account has left. After an error the process is of
    /// no more use: another answer may be on the way.
    pub fn ask(&mut self, account: Account, request: &[u8]) -> nix::Result<Vec<u8>> {
        let start = Instant::now();
        let limit = account.left();
        let answer = match limit.is_zero() {
            true => Err(Errno::ETIMEDOUT),
            false => self.send(request).and_then(|()| self.receive(start + limit)),
        };
        account.spend(start.elapsed().saturating_sub(PROMPT));
        self.idle = answer.is_ok();
        answer
    }

    fn send(&self, message: &[u8]) -> nix::Result<()> {
        let framed = framed(message);
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

    fn receive(&mut self, end: Instant) -> nix::Result<Vec<u8>> {
        self.buffer.clear();
        let mut part = [0; 16 * 1024];
        loop {
            if let Some((length, message)) = self.buffer.split_first_chunk::<4>()
                && message.len() >= u32::from_ne_bytes(*length) as usize
            {
                let mut answer = std::mem::take(&mut self.buffer);
                answer.drain(..4);
                return Ok(answer);
            }
            self.wait(end)?;
            match (&self.socket).read(&mut part) {
                Ok(0) => return Err(Errno::ECONNRESET),
                Ok(read) => self.buffer.extend_from_slice(&part[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(errno_of(error)),
            }
        }
    }

    fn wait(&self, end: Instant) -> nix::Result<()> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // Rounded up: a wait of 0 would end at once, again and again.
            let limit = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], limit) {
                Ok(0) if end <= Instant::now() => return Err(Errno::ETIMEDOUT),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl Drop for Aside {
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
fn children_stay() -> bool {
    const CHILDREN: &str = "/proc/self/ns/pid_for_children";
    let id = |link: &str| std::fs::read_link(link).ok();
    // Before Linux 4.12 the kernel has no such link; until the first child is there, it leads nowhere.
    id(CHILDREN) == id("/proc/self/ns/pid") || std::fs::symlink_metadata(CHILDREN).is_err()
}

/// One piece of work, by a process of its own.
pub fn once(account: Account, work: impl FnOnce() -> Vec<u8>) -> nix::Result<Vec<u8>> {
    let mut work = Some(work);
    Aside::start(&[], |_| work.take().map(|work| work()).unwrap_or_default())?.ask(account, b"")
}

fn answer_all(mut socket: &UnixStream, serve: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_ne_bytes(length) as usize];
        socket.read_exact(&mut request)?;
        socket.write_all(&framed(&serve(&request)))?;
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(0);
    [&length.to_ne_bytes()[..], &message[..length as usize]].concat()
}

fn errno_of(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_whole() {
        let mut aside = Aside::start(&[], |request| request.repeat(1000)).expect("a process");
        for request in [&b""[..], b"x", b"two words", &[7; 4000]] {
            assert_eq!(aside.ask(Account::User(1), request), Ok(request.repeat(1000)));
        }
    }

    #[test]
    fn who_does_not_answer_is_waited_for_once() {
        let silent = |_: &[u8]| loop {
            std::thread::park();
        };
        let start = Instant::now();
        for _ in 0..3 {
            let mut aside = Aside::start(&[], silent).expect("a process");
            assert_eq!(aside.ask(Account::User(2), b"x"), Err(Errno::ETIMEDOUT));
        }
        assert!(start.elapsed() < MOST * 2);
        let mut aside = Aside::start(&[], <[u8]>::to_vec).expect("a process");
        assert_eq!(aside.ask(Account::User(3), b"x"), Ok(b"x".to_vec()), "others have their own time");
    }

    #[test]
    fn it_has_no_descriptor_of_this_process() {
        let count = || {
            let names = std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
            vec![u8::try_from(names).unwrap_or(u8::MAX)]
        };
        let _more: Vec<_> = (0..20).map(|_| std::fs::File::open("/dev/null").expect("a file")).collect();
        // Three of /dev/null, the socket, and the directory that is being read.
        assert_eq!(once(Account::User(4), count), Ok(vec![5]));
    }
}
