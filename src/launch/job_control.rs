//! The terminal, for a program in another pid namespace.
//!
//! A shell there does not see our process group: to it that is number 0, which it cannot put back in front when
//! it ends; dash then complains and loses its exit status. As a job of an interactive shell we have our group
//! to ourselves, so the program can have one of its own, in front. Our shell sees to the terminal when we stop
//! or end, as after any job. In scripts and pipelines nothing is changed: who else is in the group is to get
//! the signals of the keys as well.

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp, isatty, setpgid, tcgetpgrp, tcsetpgrp};

use super::exec::as_child;
use crate::exit::Exit;
use crate::sys::{self, Ended, Stdio};

pub(crate) struct Foreground(());

impl Foreground {
    /// Before the fork: are we a job of our own, in front, and wholly on the terminal?
    #[must_use]
    pub(crate) fn ours() -> Option<Foreground> {
        let terminals = Stdio::ALL.iter().all(|fd| isatty(fd) == Ok(true));
        (terminals && getpgrp() == Pid::this() && in_front()).then_some(Foreground(()))
    }

    /// In the child: a group of its own, in front.
    pub(crate) fn begin(&self) -> Result<()> {
        let this = Pid::from_raw(0);
        setpgid(this, this).context("setpgid failed")?;
        put_in_front(Pid::this()).context("tcsetpgrp failed")
    }

    /// In the parent: stops with the child, goes on with it, and ends as it did.
    pub(crate) fn stand_in_for(self, child: Pid) -> Result<u8, Exit> {
        loop {
            match sys::wait(child, libc::WUNTRACED).context("waitpid failed")? {
                Ended::Stopped => {
                    kill(Pid::this(), Signal::SIGSTOP)?;
                    if in_front() {
                        put_in_front(child).context("tcsetpgrp failed")?;
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

fn in_front() -> bool {
    tcgetpgrp(Stdio::Input).is_ok_and(|group| group == getpgrp())
}

/// Who is not in front is stopped for trying, unless the signal is blocked.
fn put_in_front(group: Pid) -> nix::Result<()> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTTOU);
    let mask = stop.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
    let result = tcsetpgrp(Stdio::Input, group);
    mask.thread_set_mask()?;
    result
}
