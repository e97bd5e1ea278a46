//! Keys that are pressed while the output is repeated.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, read, tcgetpgrp};

use crate::sys;

/// The terminal that stdin is, with keys that arrive at once and are not echoed. The drop gives it back.
pub(crate) struct Keys {
    saved: Option<Termios>,
}

/// How soon a new size of the terminal is noticed.
const SLICE: Duration = Duration::from_millis(200);

impl Keys {
    pub(crate) fn new() -> Keys {
        let stdin = std::io::stdin();
        let saved = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten();
        if let Some(saved) = &saved {
            sys::on_end_restore(&saved.clone().into());
        }
        let keys = Keys { saved };
        keys.take();
        keys
    }

    /// Is there a terminal that keys come from?
    #[must_use]
    pub(crate) fn are_there(&self) -> bool {
        self.saved.is_some()
    }

    /// For another program that uses the terminal.
    pub(crate) fn give_back(&self) {
        if let Some(saved) = self.saved.as_ref().filter(|_| Keys::is_foreground()) {
            _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, saved);
        }
    }

    /// In the background another process uses the terminal.
    fn is_foreground() -> bool {
        tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == getpgrp())
    }

    /// Also after a stop, which gives the terminal back.
    pub(crate) fn take(&self) {
        let Some(saved) = self.saved.as_ref().filter(|_| Keys::is_foreground()) else { return };
        let mut settings = saved.clone();
        settings.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &settings);
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
            if self.saved.is_none() || !Keys::is_foreground() {
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

impl Drop for Keys {
    fn drop(&mut self) {
        self.give_back();
    }
}
