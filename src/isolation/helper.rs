//! A child that stays behind in the old namespaces and acts when told to: to write maps or to keep
//! namespaces in files is not allowed, or means something else, from inside the new ones.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, pipe2, read, write};

use crate::sys;

pub struct Helper {
    pid: Pid,
    go: Option<OwnedFd>,
}

impl Helper {
    /// Forks a child that runs `work` when released and exits with the status it gives. If we end before,
    /// the pipe does too and the child goes quietly.
    pub fn start(work: impl FnOnce() -> u8) -> Result<Helper> {
        let (wait, go) = pipe2(OFlag::O_CLOEXEC).context("pipe failed")?;
        match sys::fork().context("fork failed")? {
            ForkResult::Parent { child } => Ok(Helper { pid: child, go: Some(go) }),
            ForkResult::Child => {
                drop(go); // our own end, or its end would never come
                let status = if told(&wait) { work() } else { 0 };
                std::process::exit(i32::from(status));
            }
        }
    }

    /// Lets it act, and gives its status. One that a signal killed has not done its work.
    pub fn release(mut self) -> Result<u8> {
        if let Some(go) = self.go.take() {
            write(&go, b"g").context("failed to tell the helper process to go on")?;
        }
        loop {
            match waitpid(self.pid, None) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("waitpid failed"),
                Ok(WaitStatus::Exited(_, status)) => return Ok(u8::try_from(status & 0xff).unwrap_or(1)),
                Ok(_) => return Ok(1),
            }
        }
    }
}

/// Not released: end the child, and wait, so that nothing is left behind.
impl Drop for Helper {
    fn drop(&mut self) {
        if self.go.take().is_some() {
            while waitpid(self.pid, None) == Err(Errno::EINTR) {}
        }
    }
}

fn told(wait: &OwnedFd) -> bool {
    let mut word = [0];
    loop {
        match read(wait, &mut word) {
            Err(Errno::EINTR) => {}
            result => return result == Ok(1),
        }
    }
}
