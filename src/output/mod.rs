//! What applets print with: text made safe, trees, colour, JSON, and a stdout that may be full.

pub(crate) mod filter;
pub(crate) mod json;
pub(crate) mod sheet;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod tree;

use std::io::Write;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use nix::errno::Errno;

/// stdout, in large writes. The first failure is kept and told once, by [`Out::finish`].
pub(crate) struct Out {
    buffer: Vec<u8>,
    failure: Option<Errno>,
    /// Kept whole for the caller, and not written.
    kept: bool,
}

impl Out {
    const FULL: usize = 64 * 1024;

    #[must_use]
    pub(crate) fn stdout() -> Self {
        Out { buffer: Vec::new(), failure: None, kept: false }
    }

    /// What is printed is for [`Out::into_bytes`].
    #[must_use]
    pub(crate) fn kept() -> Self {
        Out { buffer: Vec::new(), failure: None, kept: true }
    }

    #[must_use]
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= Self::FULL && !self.kept {
            self.flush_all();
        }
    }

    /// One of those that stand between others.
    pub(crate) fn byte(&mut self, byte: u8) {
        self.buffer.push(byte);
    }

    pub(crate) fn blanks(&mut self, count: usize) {
        self.buffer.resize(self.buffer.len() + count, b' ');
    }

    /// Writes what there is, before another program or process goes on with this stdout.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.flush_all();
        self.outcome()
    }

    /// Writes what is left. A stdout that was closed, or whose reader has gone, is not our failure.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush_all();
        self.outcome()
    }

    fn outcome(&self) -> Result<()> {
        match self.failure {
            None | Some(Errno::EPIPE | Errno::EBADF) => Ok(()),
            Some(errno) => Err(errno).context("write error"),
        }
    }

    fn flush_all(&mut self) {
        let mut left = self.buffer.as_slice();
        while !left.is_empty() && self.failure.is_none() {
            match nix::unistd::write(std::io::stdout().as_fd(), left) {
                Ok(written) => left = &left[written..],
                Err(Errno::EINTR) => {}
                Err(errno) => self.failure = Some(errno),
            }
        }
        self.buffer.clear();
    }
}

/// What was printed before an error is written, in whatever way the error leaves the applet.
impl Drop for Out {
    fn drop(&mut self) {
        if !self.kept {
            self.flush_all();
        }
    }
}

/// So that `write!` works; it never fails here.
impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
