//! Lists open descriptors, but not without end: processes can share one table of a million descriptors, which costs a
//! user nothing.

use std::ops::ControlFlow;
use std::path::Path;

use crate::proc::ProcRoot;
use crate::sys::directory::{self, Entry};

/// How many descriptors may still be listed.
pub(super) struct Descriptors(usize);

impl Default for Descriptors {
    fn default() -> Self {
        Descriptors(100_000)
    }
}

impl Descriptors {
    /// The entries of `/proc/PID/fd`; None if there are more than may be listed.
    pub(super) fn list(&mut self, proc: &ProcRoot, path: &Path) -> std::io::Result<Option<Vec<Entry>>> {
        if self.0 == 0 {
            return Ok(None);
        }
        let directory = proc.open(path)?;
        let mut all = Vec::new();
        directory::each(&directory, |entry| {
            if self.0 == 0 {
                return ControlFlow::Break(());
            }
            self.0 -= 1;
            all.push(entry);
            ControlFlow::Continue(())
        })?;
        Ok((self.0 > 0).then_some(all))
    }
}
