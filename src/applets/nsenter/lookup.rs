//! Does work that reads data of other containers in a separate process.
//!
//! The program's process starts with a copy of nsenter's memory. A container with CAP_SYS_PTRACE can read that memory
//! before the program is executed, including freed heap. To find a target by name, ctrbox reads the state files of all
//! containers, with their labels and environments. So a child reads them and hands back only the result. The child is
//! in the caller's pid namespace, where the container does not see it.

use anyhow::{Error, Result};

use super::plan::Request;
use crate::container::child::{self, OnBlock, Portable};
use crate::exit::{ChildFailed, Outcome};
use crate::launch::exec;
use crate::proc::ProcRoot;

/// Does the work in a child if the container's processes will see the program's process. [`outcome`] handles a
/// failure of the child.
pub(super) fn in_child<T: Portable>(
    proc: &ProcRoot,
    request: &Request,
    mut work: impl FnMut() -> Result<T>,
) -> Result<T> {
    match request.is_seen_inside() {
        true => child::in_child(proc, OnBlock::Fail, work),
        false => work(),
    }
}

/// The outcome after this error: the status of the child that failed, or the error itself.
pub(super) fn outcome(error: Error) -> Outcome {
    match error.downcast_ref() {
        Some(ChildFailed(ended)) => exec::as_child(*ended),
        None => Err(error.into()),
    }
}
