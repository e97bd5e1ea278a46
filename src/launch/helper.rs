//! A child that stays behind in the old namespaces and acts when told to: to write maps or to keep
//! namespaces in files is not allowed, or means something else, from inside the new ones.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, Pid, pipe2, read, write};

use crate::sys::{self, Ended};

pub(crate) struct Helper {
    pid: Pid,
    go: Option<OwnedFd>,
}

impl Helper {
    /// Forks a child that runs `work` when released and exits with the status it gives. If we end before,
    /// the pipe does too and the child goes quietly.
    pub(crate) fn start(work: impl FnOnce() -> u8) -> Result<Helper> {
        let (wait, go) = pipe2(OFlag::O_CLOEXEC).context("pipe failed")?;
        match sys::fork().context("fork failed")? {
            ForkResult::Parent { child } => Ok(Helper { pid: child, go: Some(go) }),
            ForkResult::Child => {
                // Our own end, or its end would never come.
                let closed = sys::close(go).is_ok();
                let status = if closed && told(&wait) { work() } else { u8::from(!closed) };
                std::process::exit(i32::from(status));
            }
        }
    }

    /// Lets it act, and gives its status. One that a signal killed has not done its work.
    pub(crate) fn release(mut self) -> Result<u8> {
        if let Some(go) = self.go.take() {
            write(&go, b"g").context("failed to tell the helper process to go on")?;
        }
        match sys::wait(self.pid, 0).context("waitpid failed")? {
            Ended::Exited(status) => Ok(status),
            _ => Ok(1),
        }
    }
}

/// Not released: end the child, and wait, so that nothing is left behind.
impl Drop for Helper {
    fn drop(&mut self) {
        if self.go.take().is_some_and(|go| sys::close(go).is_ok()) {
            _ = sys::wait(self.pid, 0);
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
