//! Closes descriptors: one that is owned, or many by number.

use std::ffi::c_uint;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// close(2). An error means that the descriptor is still open: a seccomp filter may refuse the call.
pub(crate) fn close(fd: OwnedFd) -> nix::Result<()> {
    let fd = fd.into_raw_fd();
    // SAFETY: the owner has given the descriptor up, so nothing else closes or uses it.
    let Err(errno) = Errno::result(unsafe { libc::close(fd) }) else { return Ok(()) };
    let number = c_uint::try_from(fd).map_err(|_| Errno::EBADF)?;
    // F_GETFD fails when the descriptor is closed, as Linux does even if close(2) reports an error.
    if super::descriptor_flags(number).is_ok() { Err(errno) } else { Ok(()) }
}

/// Closes all descriptors and opens /dev/null as the first three.
///
/// # Safety
/// No value that owns or borrows a descriptor is used or dropped any more in this process.
pub(crate) unsafe fn close_all() {
    // SAFETY: the caller promises that nothing uses a descriptor any more.
    if unsafe { libc::syscall(libc::SYS_close_range, 0_u32, u32::MAX, 0) } != 0 {
        // SAFETY: as above. Before Linux 5.9.
        (0..1024).for_each(|fd| _ = unsafe { libc::close(fd) });
    }
    open_null();
}

/// Closes all descriptors except those in `keep`, and opens /dev/null in place of the first three if they are closed.
///
/// # Safety
/// No value that owns or borrows a descriptor outside `keep` is used or dropped any more in this process. A
/// forked child that ends with [`super::exit_now`] can promise this.
pub(crate) unsafe fn close_others(keep: &mut [RawFd]) {
    keep.sort_unstable();
    let mut from = 0;
    let close = |from: RawFd, to: RawFd| {
        // SAFETY: the caller promises that nothing uses these descriptors any more.
        if unsafe { libc::syscall(libc::SYS_close_range, from as u32, to as u32, 0) } != 0 {
            // SAFETY: as above. Before Linux 5.9.
            (from..=to.min(4096)).for_each(|fd| _ = unsafe { libc::close(fd) });
        }
    };
    for &fd in &*keep {
        if fd > from {
            close(from, fd - 1);
        }
        from = fd + 1;
    }
    close(from, RawFd::MAX);
    open_null();
}

/// Opens /dev/null as each closed descriptor up to 2. Open descriptors stay as they are.
fn open_null() {
    // SAFETY: the path is a C string. Each new descriptor has no owner: it takes the place of stdin, stdout or stderr,
    // or of the first number after them, and stays open.
    while (0..2).contains(&unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) }) {}
}

/// Closes all descriptors from `first` to `last`.
///
/// # Safety
/// No value that owns or borrows one of them is used or dropped any more in this process.
pub(crate) unsafe fn close_range(first: c_uint, last: c_uint) {
    // SAFETY: the caller promises that nothing uses these descriptors any more.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if Errno::result(result).is_err() {
        // Before Linux 5.9. No descriptor is above this limit, unless the limit was lowered later.
        let highest = last.min(open_files_limit().max(1 << 16));
        // SAFETY: as above.
        (first..=highest).for_each(|fd| _ = unsafe { libc::close(i32::try_from(fd).unwrap_or(-1)) });
    }
}

/// The hard limit of RLIMIT_NOFILE: one more than the highest descriptor. Not more than 1,048,576.
fn open_files_limit() -> c_uint {
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
    c_uint::try_from(hard).unwrap_or(c_uint::MAX).min(1 << 20)
}

/// Raises the soft limit of RLIMIT_NOFILE to the hard one. How many descriptors this process may have.
#[must_use]
pub(crate) fn raise_descriptor_limit() -> usize {
    let hard = u64::from(open_files_limit());
    if let Ok((soft, all)) = getrlimit(Resource::RLIMIT_NOFILE) {
        if soft < hard {
            _ = setrlimit(Resource::RLIMIT_NOFILE, hard, all);
        }
    }
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft.min(hard));
    usize::try_from(soft).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_descriptor_is_closed() {
        let (reader, writer) = nix::unistd::pipe().expect("pipe");
        assert_eq!(close(writer), Ok(()));
        assert_eq!(nix::unistd::read(&reader, &mut [0]), Ok(0));
    }
}
