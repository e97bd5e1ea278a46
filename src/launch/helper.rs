//! A child that stays in the old namespaces and acts when it is released. Writing maps and keeping namespaces in
//! files is not allowed, or means something else, inside the new namespaces.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, Pid, pipe2, read, write};

use crate::sys::{self, Ended};

pub(crate) struct Helper {
    pid: Pid,
    go: Option<OwnedFd>,
}

impl Helper {
    /// Forks a child that runs `work` when released, and exits with its status. If this process ends before, the pipe
    /// closes and the child exits without work.
    pub(crate) fn start(work: impl FnOnce() -> u8) -> Result<Helper> {
        let (wait, go) = pipe2(OFlag::O_CLOEXEC).context("pipe failed")?;
        match sys::fork().context("fork failed")? {
            ForkResult::Parent { child } => Ok(Helper { pid: child, go: Some(go) }),
            ForkResult::Child => {
                // The write end of the child: while it is open, the pipe never closes.
                let closed = sys::close(go).is_ok();
                let status = if closed && released(&wait) { work() } else { u8::from(!closed) };
                std::process::exit(i32::from(status));
            }
        }
    }

    /// Releases the child, and returns its status.
    pub(crate) fn release(mut self) -> Result<u8> {
        if let Some(go) = self.go.take() {
            write(&go, b"g").context("failed to release the helper process")?;
        }
        match sys::wait_for_step(self.pid).context("waitpid failed")? {
            Ended::Exited(status) => Ok(status),
            _ => Err(anyhow!("the helper process was killed")),
        }
    }
}

/// If it was not released, closes the pipe and waits for the child, so that no process is left.
impl Drop for Helper {
    fn drop(&mut self) {
        if self.go.take().is_some_and(|go| sys::close(go).is_ok()) {
            _ = sys::wait_for_step(self.pid);
        }
    }
}

fn released(wait: &OwnedFd) -> bool {
    let mut word = [0];
    loop {
        match read(wait, &mut word) {
            Err(Errno::EINTR) => {}
            result => return result == Ok(1),
        }
    }
}
