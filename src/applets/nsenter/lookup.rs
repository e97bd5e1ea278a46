//! Does work that reads data of other containers in a separate process.
//!
//! The program's process starts with a copy of nsenter's memory. A container with CAP_SYS_PTRACE can read that memory
//! before the program is executed, including freed heap. To find a target by name, ctrbox reads the state files of all
//! containers, with their labels and environments. So a child reads them and hands back only the result. The child is
//! in the caller's pid namespace, where the container does not see it.

use std::fmt;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Error, Result};
use nix::unistd::{ForkResult, Pid};

use super::plan::Request;
use crate::access::children_stay;
use crate::container::target::Held;
use crate::exit::{self, Outcome};
use crate::isolation::descriptors;
use crate::isolation::seccomp::Filter;
use crate::launch::exec;
use crate::launch::step::until_readable;
use crate::sys::{self, Ended};

/// A result that can be handed from one process to another.
pub(super) trait Portable: Sized {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>);
    /// None if the bytes are not a result of this type.
    fn unpack(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Option<Self>;
}

/// The child has failed, and has printed the reason.
#[derive(Debug)]
struct Failed(Ended);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("child exit failed")
    }
}

impl std::error::Error for Failed {}

/// Does the work in a child if the container's processes will see the program's process. [`outcome`] handles a
/// failure of the child.
pub(super) fn in_child<T: Portable>(request: &Request, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if !request.is_seen_inside() || !children_stay() {
        return work();
    }
    let (own, other) = UnixStream::pair().context("socketpair failed")?;
    match sys::fork_silent().context("fork failed")? {
        ForkResult::Child => {
            drop(own);
            let (program, failure) = sys::memory::program();
            let done = work().and_then(|result| hand_over(&other, result));
            let outcome = done.map(|()| 0).map_err(exit::Exit::from);
            std::process::exit(i32::from(exit::report(program, failure, outcome)));
        }
        ForkResult::Parent { child } => {
            drop(other);
            let received = receive(&Channel { socket: own, child });
            let ended = sys::wait_for_step(child, libc::__WALL).context("waitpid failed")?;
            match ended {
                Ended::Exited(0) => received?.context("the result of the child is incomplete"),
                _ => Err(Failed(ended).into()),
            }
        }
    }
}

/// The outcome after this error: the status of the child that failed, or the error itself.
pub(super) fn outcome(error: Error) -> Outcome {
    match error.downcast_ref() {
        Some(Failed(ended)) => exec::as_child(*ended),
        None => Err(error.into()),
    }
}

fn hand_over(socket: &UnixStream, result: impl Portable) -> Result<()> {
    let (bytes, given) = result.pack();
    let failed = "cannot send a result";
    descriptors::send_all(socket.as_fd(), &given).context(failed)?;
    (&*socket).write_all(&bytes).context(failed)
}

/// From the child. It continues the child if somebody stops it meanwhile.
struct Channel {
    socket: UnixStream,
    child: Pid,
}

impl Channel {
    fn until_readable(&self) -> nix::Result<()> {
        until_readable(&self.socket, self.child, || {})
    }
}

impl Read for &Channel {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.until_readable()?;
        (&self.socket).read(buffer)
    }
}

fn receive<T: Portable>(mut from: &Channel) -> Result<Option<T>> {
    let failed = "cannot read a result";
    from.until_readable().context(failed)?;
    let Some(given) = descriptors::receive_all(from.socket.as_fd()) else { return Ok(None) };
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).context(failed)?;
    Ok(T::unpack(&bytes, given))
}

impl Portable for Held {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>) {
        (self.pid.as_raw().to_ne_bytes().to_vec(), self.pidfd.into_iter().collect())
    }

    fn unpack(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Option<Held> {
        let pid = Pid::from_raw(i32::from_ne_bytes(bytes.try_into().ok()?));
        Some(Held { pid, pidfd: descriptors.into_iter().next() })
    }
}

impl Portable for Option<Pid> {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>) {
        (self.map(|pid| pid.as_raw().to_ne_bytes().to_vec()).unwrap_or_default(), Vec::new())
    }

    fn unpack(bytes: &[u8], _: Vec<OwnedFd>) -> Option<Option<Pid>> {
        match bytes {
            [] => Some(None),
            _ => bytes.try_into().ok().map(|bytes| Some(Pid::from_raw(i32::from_ne_bytes(bytes)))),
        }
    }
}

impl Portable for bool {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>) {
        (vec![self.into()], Vec::new())
    }

    fn unpack(bytes: &[u8], _: Vec<OwnedFd>) -> Option<bool> {
        bytes.first().map(|byte| *byte != 0)
    }
}

impl Portable for Vec<OwnedFd> {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>) {
        (Vec::new(), self)
    }

    fn unpack(_: &[u8], descriptors: Vec<OwnedFd>) -> Option<Vec<OwnedFd>> {
        Some(descriptors)
    }
}

impl Portable for Option<Filter> {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>) {
        (self.map(|filter| filter.to_bytes()).unwrap_or_default(), Vec::new())
    }

    fn unpack(bytes: &[u8], _: Vec<OwnedFd>) -> Option<Option<Filter>> {
        match bytes {
            [] => Some(None),
            _ => Filter::from_bytes(bytes).map(Some),
        }
    }
}
