//! Output for applets: tables, trees, colour, JSON, and a stdout that may be full.

pub(crate) mod filter;
pub(crate) mod fold;
pub(crate) mod json;
pub(crate) mod keys;
pub(crate) mod lazy_table;
pub(crate) mod narrow;
pub(crate) mod screen;
pub(crate) mod size;
pub(crate) mod smartcols;
pub(crate) mod style;
pub(crate) mod tree;

use std::io::Write;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use nix::errno::Errno;

use crate::sys;

/// Buffers stdout. The first error is kept, and [`Out::finish`] returns it.
pub(crate) struct Out {
    buffer: Vec<u8>,
    failure: Option<Errno>,
    /// Keeps everything for the caller, and writes nothing.
    kept: bool,
}

impl Out {
    const FULL: usize = 64 * 1024;

    #[must_use]
    pub(crate) fn stdout() -> Self {
        Out { buffer: Vec::new(), failure: None, kept: false }
    }

    /// A buffer for [`Out::into_bytes`].
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

    /// Appends one byte, without a check whether the buffer is full.
    pub(crate) fn byte(&mut self, byte: u8) {
        self.buffer.push(byte);
    }

    pub(crate) fn blanks(&mut self, count: usize) {
        self.buffer.resize(self.buffer.len() + count, b' ');
    }

    /// Writes the buffer before another program or process uses this stdout.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.flush_all();
        self.outcome()
    }

    /// Does nobody read it, or can it not be written?
    #[must_use]
    pub(crate) fn is_broken(&self) -> bool {
        self.failure.is_some()
    }

    /// Writes the rest. A stdout without a reader (EPIPE) is not an error; one that is closed or read-only (EBADF) is.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush_all();
        self.outcome()
    }

    fn outcome(&self) -> Result<()> {
        match self.failure {
            None | Some(Errno::EPIPE) => Ok(()),
            Some(errno) => Err(errno).context("write error"),
        }
    }

    fn flush_all(&mut self) {
        let mut left = self.buffer.as_slice();
        if !left.is_empty() {
            sys::output_begins();
        }
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

/// Writes the output before an error, even if the applet returns early.
impl Drop for Out {
    fn drop(&mut self) {
        if !self.kept {
            self.flush_all();
        }
    }
}

/// For `write!`; it never fails here.
impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
