//! The caller's terminal: raw while the program gets its input, with its former settings at all other times.

use std::os::fd::OwnedFd;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

pub(super) struct Raw {
    terminal: OwnedFd,
    /// The settings at the start.
    saved: Option<Termios>,
    raw: bool,
}

impl Raw {
    pub(super) fn new(terminal: OwnedFd) -> Raw {
        let saved = tcgetattr(&terminal).ok();
        Raw { terminal, saved, raw: false }
    }

    pub(super) fn terminal(&self) -> &OwnedFd {
        &self.terminal
    }

    /// May this process read from it and set it? Not in the background. Always if it does not control the session.
    pub(super) fn is_usable(&self) -> bool {
        tcgetpgrp(&self.terminal).is_ok_and(|group| group == getpgrp()) || tcgetpgrp(&self.terminal).is_err()
    }

    /// Does nothing in the background: then another process uses the terminal.
    pub(super) fn take(&mut self) {
        let Some(saved) = self.saved.as_ref().filter(|_| self.is_usable()) else { return };
        let mut settings = saved.clone();
        cfmakeraw(&mut settings);
        self.raw = tcsetattr(&self.terminal, SetArg::TCSANOW, &settings).is_ok();
    }

    pub(super) fn give_back(&mut self) {
        if let Some(saved) = self.saved.as_ref().filter(|_| self.raw && self.is_usable()) {
            // Does not wait for pending output, which may be stopped forever.
            _ = tcsetattr(&self.terminal, SetArg::TCSANOW, saved);
        }
        self.raw = false;
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.give_back();
    }
}
