//! What narrows this process before it becomes another program: descriptors and seccomp filters.

use std::ffi::c_uint;

use nix::errno::Errno;

/// Marks all open descriptors from `first` to `last` to be closed when a program is executed
/// (close_range(2), with this flag since Linux 5.11).
pub fn close_on_exec(first: c_uint, last: c_uint) -> nix::Result<()> {
    // SAFETY: plain integers in; nothing is closed now, so every owner keeps its descriptor.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// The flags of a descriptor by number, which may be nobody's: fcntl(2) F_GETFD.
pub fn descriptor_flags(fd: c_uint) -> nix::Result<i32> {
    // SAFETY: plain integers in; of a number that is no descriptor it gives an error.
    Errno::result(unsafe { libc::fcntl(i32::try_from(fd).unwrap_or(-1), libc::F_GETFD) })
}

/// Sets FD_CLOEXEC by number, where close_range(2) has no flag for it.
pub fn set_close_on_exec(fd: c_uint) -> nix::Result<()> {
    // SAFETY: as above.
    let result = unsafe { libc::fcntl(i32::try_from(fd).unwrap_or(-1), libc::F_SETFD, libc::FD_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// getcwd(2) itself: that of glibc searches on where the kernel says `(unreachable)`, and may find what is
/// only alike.
pub fn working_directory(buffer: &mut [u8]) -> nix::Result<&[u8]> {
    // SAFETY: the kernel writes no more than the buffer's length into it.
    let length = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    Errno::result(length).map(|length| &buffer[..usize::try_from(length).unwrap_or(0)])
}

/// Installs a seccomp(2) filter for good, with its SECCOMP_FILTER_FLAG bits.
pub fn filter_system_calls(program: &mut [libc::sock_filter], flags: c_uint) -> nix::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel copies as many instructions as the length says, from a slice of that length.
    Errno::result(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) }).map(drop)
}

/// Closes all descriptors from `first` to `last`. For a process that owns none of them in a value that it still
/// uses or drops.
pub fn close(first: c_uint, last: c_uint) {
    // SAFETY: plain integers in.
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
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit fills in the limit it is given.
    _ = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    c_uint::try_from(limit.rlim_max).unwrap_or(c_uint::MAX).min(1 << 20)
}
