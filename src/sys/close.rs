//! Closes descriptors: one that is owned, or many by number.

use std::ffi::c_uint;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, OnceLock};

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
    close_unneeded();
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
    close_unneeded();
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
    close_unneeded();
    // SAFETY: the caller promises it.
    unsafe { close_from_to(first, last) };
}

/// # Safety
/// As for [`close_range`].
unsafe fn close_from_to(first: c_uint, last: c_uint) {
    // SAFETY: the caller promises that nothing uses these descriptors any more.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if Errno::result(result).is_err() {
        // Before Linux 5.9. No descriptor is above this limit, unless the limit was lowered later.
        let highest = last.min(open_files_limit().max(1 << 16));
        // SAFETY: as above.
        (first..=highest).for_each(|fd| _ = unsafe { libc::close(i32::try_from(fd).unwrap_or(-1)) });
    }
}

/// Descriptors that are no longer needed, but still open.
struct Unneeded(Vec<OwnedFd>);

/// Not of each thread: a thread-local value with a destructor costs a system call at each start.
static UNNEEDED: Mutex<Unneeded> = Mutex::new(Unneeded(Vec::new()));

impl Unneeded {
    const MOST: usize = 32;
    /// So few are always allowed, which saves getrlimit(2).
    const FEW: usize = 1;

    fn push(&mut self, fd: OwnedFd) {
        self.0.push(fd);
        if self.0.len() > Self::FEW && self.0.len() >= share_of_open_files(Self::MOST) {
            self.close();
        }
    }

    fn close(&mut self) {
        let mut numbers: Vec<RawFd> = self.0.drain(..).map(IntoRawFd::into_raw_fd).collect();
        numbers.sort_unstable();
        for successive in numbers.chunk_by(|one, next| next - one == 1) {
            let (first, last) = (successive[0], successive[successive.len() - 1]);
            // SAFETY: the owners of all descriptors from the first to the last have just given them up.
            unsafe { close_from_to(first as c_uint, last as c_uint) };
        }
    }
}

/// Closes a descriptor later, together with others: a walk over all processes opens thousands, one after the other, and
/// they mostly have successive numbers.
pub(crate) fn close_later(fd: OwnedFd) {
    // If another thread has the lock, or had it at a fork, the descriptor is closed now.
    if let Ok(mut unneeded) = UNNEEDED.try_lock() {
        unneeded.push(fd);
    }
}

/// Closes many descriptors at once.
pub(crate) fn close_many(descriptors: Vec<OwnedFd>) {
    Unneeded(descriptors).close();
}

/// Closes the descriptors of [`close_later`]. Whoever closes descriptors by number does this first: one of these numbers
/// could get another owner afterwards. An open file keeps its file system mounted, so readers do this at their end too.
pub(crate) fn close_unneeded() {
    if let Ok(mut unneeded) = UNNEEDED.try_lock() {
        unneeded.close();
    }
}

/// Gives a descriptor that stays open for long a number above those of the others, so that these have successive ones.
/// It keeps its number if this process may not have that many.
pub(crate) fn kept_apart(fd: OwnedFd) -> OwnedFd {
    match super::descriptor::duplicate_from(&fd, fd.as_raw_fd() + 2 * Unneeded::MOST as RawFd) {
        Ok(apart) => {
            close_later(fd);
            apart
        }
        Err(_) => fd,
    }
}

/// How many descriptors one user of them may keep open: `most`, or fewer if this process may have few (RLIMIT_NOFILE).
pub(crate) fn share_of_open_files(most: usize) -> usize {
    /// One in so many.
    const SHARE: u64 = 8;
    static LIMIT: OnceLock<u64> = OnceLock::new();
    let limit = LIMIT.get_or_init(|| getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft));
    usize::try_from(limit / SHARE).unwrap_or(most).min(most)
}

/// No limit of open files is taken for higher than this.
const MOST_OPEN_FILES: u64 = 1 << 20;

/// The hard limit of RLIMIT_NOFILE: one more than the highest descriptor.
fn open_files_limit() -> c_uint {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard.min(MOST_OPEN_FILES)) as c_uint
}

/// Raises the soft limit of RLIMIT_NOFILE to the hard one. How many descriptors this process may have.
#[must_use]
pub(crate) fn raise_descriptor_limit() -> usize {
    let Ok((soft, all)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    let hard = all.min(MOST_OPEN_FILES);
    let is_raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, all).is_ok();
    usize::try_from(if is_raised { hard } else { soft.min(hard) }).unwrap_or(0)
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

    #[test]
    fn descriptors_are_closed_many_at_a_time_and_no_others() {
        let mut unneeded = Unneeded(Vec::new());
        let (mut readers, mut kept) = (Vec::new(), Vec::new());
        for number in 0..3 * Unneeded::MOST {
            let (reader, writer) = nix::unistd::pipe().expect("pipe");
            readers.push(reader);
            match number % 5 {
                0 => kept.push((number, writer)),
                _ => unneeded.push(writer),
            }
            assert!(unneeded.0.len() < Unneeded::MOST);
        }
        unneeded.close();
        assert!(unneeded.0.is_empty());
        for (number, writer) in kept {
            assert_eq!(nix::unistd::write(&writer, b"x"), Ok(1));
            assert_eq!(nix::unistd::read(&readers[number], &mut [0]), Ok(1));
        }
        for reader in readers {
            assert_eq!(nix::unistd::read(&reader, &mut [0]), Ok(0));
        }
    }
}
