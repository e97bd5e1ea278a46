//! A child that does a step of ctrbox, and that another process may stop.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::Pid;

use crate::sys;

/// In milliseconds. A step takes a few.
const LATE: u16 = 250;

/// Waits until the descriptor, which becomes readable through the child, is readable. Meanwhile the child is continued
/// if it is stopped, and `late` is called from time to time.
pub(crate) fn until_readable(fd: impl AsFd, child: Pid, mut late: impl FnMut()) -> nix::Result<()> {
    loop {
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], LATE) {
            Ok(0) => {
                sys::continue_step(child)?;
                late();
            }
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
