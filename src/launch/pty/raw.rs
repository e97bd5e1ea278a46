//! Our terminal while its keys are the program's: raw, and as it was again whenever we let it go.

use std::os::fd::OwnedFd;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

pub(super) struct Raw {
    terminal: OwnedFd,
    /// As it was when we came.
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

    /// May we read from it and set it? Not in the background. Where it does not control our session, always.
    pub(super) fn is_ours(&self) -> bool {
        tcgetpgrp(&self.terminal).is_ok_and(|group| group == getpgrp()) || tcgetpgrp(&self.terminal).is_err()
    }

    /// In the background it is left alone: it is another's then.
    pub(super) fn take(&mut self) {
        let Some(saved) = self.saved.as_ref().filter(|_| self.is_ours()) else { return };
        let mut settings = saved.clone();
        cfmakeraw(&mut settings);
        self.raw = tcsetattr(&self.terminal, SetArg::TCSANOW, &settings).is_ok();
    }

    pub(super) fn give_back(&mut self) {
        if let Some(saved) = self.saved.as_ref().filter(|_| self.raw && self.is_ours()) {
            // Not after what is still to be shown: that may be stopped for good.
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
