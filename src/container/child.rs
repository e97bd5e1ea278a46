//! Does work that reads /proc in a child, which the parent watches: a read of /proc may not end (see
//! [`crate::access::watch`]). Only the result comes back, so the memory of the parent holds nothing else of what was read.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Error, Result};
use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

use crate::access::children_stay;
use crate::access::watch::{self, Watcher};
use crate::errno;
use crate::exit::{self, ChildFailed};
use crate::isolation::descriptors;
use crate::isolation::seccomp::Filter;
use crate::proc::ProcRoot;
use crate::sys::{self, Ended};

/// A result that can be handed from one process to another.
pub(crate) trait Portable: Sized {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>);
    /// None if the bytes are not a result of this type.
    fn unpack(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Option<Self>;
}

/// What follows when the files of a process in /proc cannot be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnBlock {
    /// The work is done again without that process.
    LeaveOut,
    /// It is an error: the result must not lack that process.
    Fail,
}

/// Does the work in a child, or here if children go to another pid namespace. The child prints its error, see [`ChildFailed`].
pub(crate) fn in_child<T: Portable>(
    proc: &ProcRoot,
    on_block: OnBlock,
    mut work: impl FnMut() -> Result<T>,
) -> Result<T> {
    if !children_stay() {
        return work();
    }
    loop {
        let blocked = match attempt(proc, &mut work)? {
            Ok(result) => return Ok(result),
            Err(pid) => pid,
        };
        if on_block == OnBlock::Fail || !watch::leave_out(proc, blocked) {
            return Err(Error::msg(watch::cannot_read(blocked)));
        }
    }
}

/// The inner error: files of this process cannot be read.
fn attempt<T: Portable>(
    proc: &ProcRoot,
    work: &mut impl FnMut() -> Result<T>,
) -> Result<std::result::Result<T, Pid>> {
    let (own, other) = UnixStream::pair().context("socketpair failed")?;
    match sys::fork_silent().context("fork failed")? {
        ForkResult::Child => {
            drop(own);
            watch::begin_work(proc);
            let (program, failure) = sys::memory::program();
            let done = work().and_then(|result| hand_over(&other, result));
            let outcome = done.map(|()| 0).map_err(exit::Exit::from);
            std::process::exit(i32::from(exit::report(program, failure, outcome)));
        }
        ForkResult::Parent { child } => {
            drop(other);
            let mut channel =
                Channel { socket: own, child, watcher: Watcher::new(proc, child), blocked: None };
            let received = receive(&mut channel);
            if channel.blocked.is_some() {
                _ = sys::kill(child, libc::SIGKILL);
            }
            let ended = sys::wait_for_step(child).context("waitpid failed")?;
            match (channel.blocked, ended) {
                (Some(pid), _) => Ok(Err(pid)),
                (None, Ended::Exited(0)) => {
                    received?.context("the result of the child is incomplete").map(Ok)
                }
                (None, _) => Err(ChildFailed(ended).into()),
            }
        }
    }
}

/// Without an error if the parent has ended: nobody waits for the result.
fn hand_over(socket: &UnixStream, result: impl Portable) -> Result<()> {
    match send(socket, result) {
        Err(error) if errno::first(&error) == Errno::EPIPE => Ok(()),
        sent => sent.context("cannot send a result"),
    }
}

fn send(socket: &UnixStream, result: impl Portable) -> Result<()> {
    let (bytes, given) = result.pack();
    let length = u32::try_from(bytes.len())?.to_ne_bytes();
    let (first, rest) = bytes.split_at(bytes.len().min(descriptors::MOST_BYTES - length.len()));
    descriptors::send_all(socket.as_fd(), &given, &[&length, first].concat())?;
    std::mem::forget(given); // this process ends now, which closes all of them
    Ok((&*socket).write_all(rest)?)
}

/// From the child. It continues the child if somebody stops it meanwhile.
struct Channel<'a> {
    socket: UnixStream,
    child: Pid,
    watcher: Watcher<'a>,
    /// The process that blocks the child. Nothing will be received.
    blocked: Option<Pid>,
}

impl Channel<'_> {
    fn until_readable(&mut self) -> nix::Result<()> {
        while !watch::is_readable(&self.socket, watch::SLICE)? {
            sys::continue_step(self.child)?;
            self.blocked = self.watcher.look(watch::SLICE);
            if self.blocked.is_some() {
                return Err(Errno::ETIMEDOUT);
            }
        }
        Ok(())
    }
}

impl Read for Channel<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.until_readable()?;
        (&self.socket).read(buffer)
    }
}

fn receive<T: Portable>(from: &mut Channel<'_>) -> Result<Option<T>> {
    let failed = "cannot read a result";
    from.until_readable().context(failed)?;
    let Some((given, bytes)) = descriptors::receive_all(from.socket.as_fd()) else { return Ok(None) };
    let Some((&length, first)) = bytes.split_first_chunk() else { return Ok(None) };
    let (length, mut bytes) = (u32::from_ne_bytes(length) as usize, first.to_vec());
    from.take(length.saturating_sub(bytes.len()) as u64).read_to_end(&mut bytes).context(failed)?;
    Ok(T::unpack(&bytes, given).filter(|_| bytes.len() == length))
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

/// Bytes with descriptors.
pub(crate) struct Parcel {
    pub bytes: Vec<u8>,
    pub descriptors: Vec<OwnedFd>,
}

impl Portable for Parcel {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>) {
        (self.bytes, self.descriptors)
    }

    fn unpack(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Option<Parcel> {
        Some(Parcel { bytes: bytes.to_vec(), descriptors })
    }
}

/// Bytes, or the words of an error. (The child prints any other error itself.)
impl Portable for std::result::Result<Vec<u8>, String> {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>) {
        let (first, text) = match self {
            Ok(bytes) => (b'+', bytes),
            Err(text) => (b'-', text.into_bytes()),
        };
        ([&[first], &text[..]].concat(), Vec::new())
    }

    fn unpack(bytes: &[u8], _: Vec<OwnedFd>) -> Option<Self> {
        let (first, text) = bytes.split_first()?;
        let text = text.to_vec();
        Some(if *first == b'+' { Ok(text) } else { Err(String::from_utf8(text).ok()?) })
    }
}

impl Portable for Option<String> {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>) {
        (self.map(String::into_bytes).unwrap_or_default(), Vec::new())
    }

    fn unpack(bytes: &[u8], _: Vec<OwnedFd>) -> Option<Option<String>> {
        Some(String::from_utf8(bytes.to_vec()).ok().filter(|text| !text.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signal of the terminal ends the parent too, and it is the parent that says so.
    #[test]
    fn a_parent_that_has_ended_is_no_error() {
        let (own, other) = UnixStream::pair().expect("a pair");
        drop(own);
        assert!(hand_over(&other, true).is_ok());
        let long = Parcel { bytes: vec![0; 1 << 20], descriptors: Vec::new() };
        assert!(hand_over(&other, long).is_ok());
    }
}
