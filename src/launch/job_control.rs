//! The terminal, for a program in another pid namespace.
//!
//! A shell there does not see the process group of this process: it reads 0, and cannot restore it as foreground
//! group when it exits; dash then prints an error and loses its exit status. As a job of an interactive shell, this
//! process has a process group of its own, so the program can have its own foreground group. The shell restores the
//! terminal when this process stops or ends, as after any job. In scripts and pipelines nothing is changed: other
//! processes in the group must get the signals of the keys too.

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp, isatty, setpgid, tcgetpgrp, tcsetpgrp};

use super::exec::as_child;
use crate::exit::Exit;
use crate::sys::{self, Ended, Stdio};

pub(crate) struct JobControl(());

impl JobControl {
    /// Must be called before the fork. None unless this process is a job of its own, in the foreground, with the
    /// terminal as stdin, stdout and stderr.
    #[must_use]
    pub(crate) fn detect() -> Option<JobControl> {
        let terminals = Stdio::ALL.iter().all(|fd| isatty(fd) == Ok(true));
        (terminals && getpgrp() == Pid::this() && in_foreground()).then_some(JobControl(()))
    }

    /// In the child: makes it a process group of its own, in the foreground.
    pub(crate) fn begin(&self) -> Result<()> {
        let this = Pid::from_raw(0);
        setpgid(this, this).context("setpgid failed")?;
        set_foreground(Pid::this()).context("tcsetpgrp failed")
    }

    /// In the parent: stops and continues with the child, and ends in the same way.
    pub(crate) fn stand_in_for(self, child: Pid) -> Result<u8, Exit> {
        loop {
            match sys::wait(child, libc::WUNTRACED).context("waitpid failed")? {
                Ended::Stopped => {
                    kill(Pid::this(), Signal::SIGSTOP)?;
                    if in_foreground() {
                        set_foreground(child).context("tcsetpgrp failed")?;
                    }
                    match killpg(child, Signal::SIGCONT) {
                        Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
                ended => return as_child(ended),
            }
        }
    }
}

fn in_foreground() -> bool {
    tcgetpgrp(Stdio::Input).is_ok_and(|group| group == getpgrp())
}

/// SIGTTOU stops a background process that calls tcsetpgrp(3), unless the signal is blocked.
fn set_foreground(group: Pid) -> nix::Result<()> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTTOU);
    let blocked = sys::block(&stop)?;
    let result = tcsetpgrp(Stdio::Input, group);
    blocked.thread_unblock()?;
    result
}
