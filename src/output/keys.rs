//! Keys that are pressed while the output is repeated.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, read, tcgetpgrp};

use crate::sys;

/// The terminal that stdin is, with keys that arrive at once and are not echoed. The drop gives it back.
pub(crate) struct Keys {
    saved: Option<Termios>,
    /// Can a shell give the terminal to this process and take it away?
    is_job: bool,
}

/// How soon a new size of the terminal is noticed.
const SLICE: Duration = Duration::from_millis(200);

impl Keys {
    pub(crate) fn new() -> Keys {
        // timeout(1) of a script makes a group that never gets the terminal: it is drawn on without keys.
        let is_job = is_foreground() || getpgrp() == Pid::this();
        if is_job {
            // Until then the settings are those of another program.
            stop_in_background();
        }
        let stdin = std::io::stdin();
        let saved = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten();
        if let Some(saved) = &saved {
            sys::on_end_restore(&saved.clone().into());
        }
        Keys { saved, is_job }
    }

    fn give_back(&self) {
        if let Some(saved) = self.saved.as_ref().filter(|_| is_foreground()) {
            _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, saved);
        }
    }

    /// Makes keys arrive at once, also after a stop, which gives the terminal back. A job returns in the foreground.
    pub(crate) fn take(&self) -> nix::Result<()> {
        while self.is_job && !stop_in_background() {
            sys::sleep(SLICE)?;
        }
        if let Some(saved) = self.saved.as_ref().filter(|_| is_foreground()) {
            let mut settings = saved.clone();
            settings.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
            _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &settings);
        }
        Ok(())
    }

    /// Waits until `interval` has passed or `changed` is true: None. Or until `meaning` knows what pressed keys mean.
    pub(crate) fn wait<T>(
        &mut self,
        interval: Duration,
        changed: impl Fn() -> bool,
        mut meaning: impl FnMut(&[u8]) -> Option<T>,
    ) -> nix::Result<Option<T>> {
        let end = Instant::now() + interval;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || changed() {
                return Ok(None);
            }
            let slice = left.min(SLICE);
            if self.saved.is_none() || !is_foreground() {
                sys::sleep(slice)?;
                continue;
            }
            let stdin = std::io::stdin();
            let timeout = PollTimeout::try_from(slice).unwrap_or(PollTimeout::ZERO);
            match poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => {
                    let mut keys = [0; 64];
                    let count = self.pressed(&mut keys);
                    if let Some(event) = keys.get(..count).and_then(&mut meaning) {
                        return Ok(Some(event));
                    }
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    fn pressed(&mut self, keys: &mut [u8]) -> usize {
        match read(std::io::stdin(), keys) {
            // A terminal that is gone.
            Ok(0) | Err(_) => {
                self.saved = None;
                0
            }
            Ok(count) => count,
        }
    }
}

/// Is it this process that uses the terminal? Without job control it is.
fn is_foreground() -> bool {
    let is_of_another = |group: nix::Result<Pid>| group.is_ok_and(|group| group != getpgrp());
    !is_of_another(tcgetpgrp(std::io::stdin())) && !is_of_another(tcgetpgrp(std::io::stdout()))
}

/// In the background all processes of the job stop, until a shell continues them: as the kernel stops those that change
/// the settings of the terminal. True in the foreground. If no shell can continue them, the kernel does not stop them.
fn stop_in_background() -> bool {
    if !is_foreground() {
        _ = sys::kill(Pid::from_raw(0), Signal::SIGTTOU as i32);
    }
    is_foreground()
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.give_back();
    }
}
