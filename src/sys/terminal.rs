//! Terminals and pseudoterminals.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;

use super::owned;

/// The columns of the terminal behind `fd`. `None` when it is not a terminal or has no size.
pub(crate) fn terminal_width(fd: impl AsFd) -> Option<usize> {
    window_size(fd).map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// TIOCGWINSZ(2const). `None` when it is not a terminal.
pub(crate) fn window_size(fd: impl AsFd) -> Option<libc::winsize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request writes a winsize; any other file refuses it.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (result == 0).then_some(size)
}

/// TIOCSWINSZ(2const). The foreground process group of the terminal gets SIGWINCH.
pub(crate) fn set_window_size(fd: impl AsFd, size: &libc::winsize) -> nix::Result<()> {
    // SAFETY: the request reads a winsize.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const *size) };
    Errno::result(result).map(drop)
}

/// The other side of a pseudoterminal, opened without a path (TIOCGPTPEER(2const), since Linux 4.13).
pub(crate) fn open_peer(master: impl AsFd) -> nix::Result<OwnedFd> {
    let (fd, unlocked) = (master.as_fd().as_raw_fd(), 0 as c_int);
    // SAFETY: the request reads an int. Any other file refuses it, so the next request is not reached.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TIOCSPTLCK, &raw const unlocked) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the request takes flags and uses no memory of this process.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TIOCGPTPEER, flags) };
    // SAFETY: the request returns a new descriptor.
    unsafe { owned(result) }
}

/// Makes it the controlling terminal of the session of this process (TIOCSCTTY(2const)).
pub(crate) fn set_controlling_tty(terminal: impl AsFd) -> nix::Result<()> {
    // SAFETY: the request takes a number and uses no memory of this process.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_not_a_terminal() {
        let (reader, _writer) = nix::unistd::pipe().expect("pipe");
        assert_eq!(terminal_width(&reader), None);
    }
}
