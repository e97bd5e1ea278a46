//! The sets of a process, grouped as in libcap.

use super::text::{Flags, Iab};
use crate::proc::Sets;

impl Sets {
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags { effective: self.effective, inheritable: self.inheritable, permitted: self.permitted }
    }

    #[must_use]
    pub fn iab(&self) -> Iab {
        Iab { inheritable: self.inheritable, ambient: self.ambient, blocked: !self.bounding }
    }
}
