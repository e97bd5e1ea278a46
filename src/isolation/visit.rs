//! Asks the kernel the same in many namespaces, in one child process that enters one after the other.
//!
//! The child has the mounts and the PIDs of the host. It runs nothing but the caller's function, and ends with it.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{ForkResult, pipe2, read};

use crate::proc::ns::Kind;
use crate::sys;

/// A namespace, and where a file of it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `/proc/PID/ns/net`, or a file to which the namespace is bound.
    pub path: PathBuf,
    /// Another process can have the PID by now: then the namespace is left out.
    pub inode: u64,
}

/// Answers are kept up to this size: the namespaces of users can contain anything.
const MOST: usize = 64 << 20;
/// The longest time for all answers. A kernel that is asked for devices waits for their lock.
const LONGEST: Duration = Duration::from_secs(20);
/// The number of the namespace and the length of its answer.
const HEAD: usize = 8;

impl Place {
    fn open(&self) -> nix::Result<OwnedFd> {
        let fd = openat(AT_FDCWD, &self.path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        if fstat(&fd)?.st_ino == self.inode { Ok(fd) } else { Err(Errno::ESRCH) }
    }
}

/// The answers of `ask` in each of these namespaces, with the numbers of the namespaces. An empty answer is left out, and
/// so is a namespace that cannot be entered. Fails if no namespace could be entered.
pub(crate) fn visit(
    places: &[Place],
    kind: Kind,
    mut ask: impl FnMut(usize) -> Vec<u8>,
) -> nix::Result<Vec<(usize, Vec<u8>)>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
    let child = match sys::fork()? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            drop(from);
            sys::exit_now(visit_all(places, kind, &mut ask, to));
        }
    };
    drop(to);
    let all = collect(&from);
    if all.is_err() {
        _ = sys::kill(child, libc::SIGKILL);
    }
    drop(from);
    let ended = sys::wait_for_step(child, 0)?;
    match (all, ended) {
        (Ok(all), sys::Ended::Exited(0)) => Ok(answers(&all)),
        (Ok(_), sys::Ended::Exited(errno)) => Err(Errno::from_raw(errno.into())),
        (Ok(_), _) => Err(Errno::ECHILD),
        (Err(errno), _) => Err(errno),
    }
}

/// In the child. Returns its exit status.
fn visit_all(places: &[Place], kind: Kind, ask: &mut dyn FnMut(usize) -> Vec<u8>, to: OwnedFd) -> i32 {
    let mut to = std::fs::File::from(to);
    let (mut failure, mut entered) = (Errno::UnknownErrno, false);
    for (number, place) in places.iter().enumerate() {
        match place.open().and_then(|fd| sys::setns(&fd, kind.flag())) {
            Ok(()) => entered = true,
            Err(errno) => {
                failure = errno;
                continue;
            }
        }
        let answer = ask(number);
        let (Ok(number), Ok(length)) = (u32::try_from(number), u32::try_from(answer.len())) else { continue };
        if length > 0 {
            let head = [number.to_ne_bytes(), length.to_ne_bytes()].concat();
            if to.write_all(&head).and_then(|()| to.write_all(&answer)).is_err() {
                break;
            }
        }
    }
    if entered || failure == Errno::ESRCH || failure == Errno::ENOENT { 0 } else { failure as i32 }
}

fn collect(from: &OwnedFd) -> nix::Result<Vec<u8>> {
    let begin = Instant::now();
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let left = LONGEST.saturating_sub(begin.elapsed());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], left) {
            Ok(0) => return Err(Errno::ETIMEDOUT),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        }
        match read(from, &mut buffer) {
            Ok(0) => return Ok(all),
            Ok(length) if all.len() + length <= MOST => all.extend_from_slice(&buffer[..length]),
            Ok(_) => return Err(Errno::EFBIG),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn answers(mut all: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some((head, rest)) = all.split_first_chunk::<HEAD>() {
        let [a, b, c, d, e, f, g, h] = *head;
        let (number, length) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]) as usize);
        let Some((answer, rest)) = rest.split_at_checked(length) else { break };
        found.push((number as usize, answer.to_vec()));
        all = rest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_split() {
        let head = |number: u32, length: u32| [number.to_ne_bytes(), length.to_ne_bytes()].concat();
        let all = [head(3, 2), b"ab".to_vec(), head(9, 1), b"c".to_vec(), head(4, 7), b"cut".to_vec()];
        assert_eq!(answers(&all.concat()), [(3, b"ab".to_vec()), (9, b"c".to_vec())]);
        assert!(answers(b"").is_empty());
    }
}
