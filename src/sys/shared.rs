//! Memory that a process shares with the children that it forks.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;

/// Maps zeroed memory that children share.
pub(super) fn map(length: usize) -> nix::Result<NonNull<c_void>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: without MAP_FIXED the kernel chooses an address where nothing is mapped yet.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    NonNull::new(address).ok_or(Errno::ENOMEM)
}

/// Bytes that one process appends and others read. What was appended does not change any more, also when the process
/// that appends is killed at any moment.
pub(crate) struct SharedBytes {
    start: NonNull<c_void>,
    length: usize,
}

/// The counters at the start of the mapping. The bytes follow.
#[repr(C)]
struct Head {
    /// The bytes that are written or will be.
    reserved: AtomicUsize,
    /// The bytes that readers may see.
    published: AtomicUsize,
}

impl SharedBytes {
    /// Room for `room` bytes. Memory is used only for what is appended.
    pub(crate) fn new(room: usize) -> nix::Result<SharedBytes> {
        let length = size_of::<Head>() + room;
        Ok(SharedBytes { start: map(length)?, length })
    }

    fn head(&self) -> &Head {
        // SAFETY: the mapping begins at a page, is large enough, begins as zeros, and lives as long as this value.
        unsafe { self.start.cast().as_ref() }
    }

    fn first(&self) -> NonNull<u8> {
        // SAFETY: the head lies inside the mapping.
        unsafe { self.start.cast::<u8>().add(size_of::<Head>()) }
    }

    /// Appends all parts, or nothing: false if there is no room, or if two processes append.
    pub(crate) fn append(&self, parts: &[&[u8]]) -> bool {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let room = self.length - size_of::<Head>();
        let reserved = &self.head().reserved;
        let begin = reserved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |begin| {
            begin.checked_add(length).filter(|end| *end <= room)
        });
        let Ok(begin) = begin else { return false };
        let mut at = begin;
        for part in parts {
            // SAFETY: the room was checked.
            let to = unsafe { self.first().add(at) };
            // SAFETY: only this call has reserved these bytes, and nobody reads them before they are published.
            unsafe { to.copy_from_nonoverlapping(NonNull::from(*part).cast(), part.len()) };
            at += part.len();
        }
        let publish = self.head().published.compare_exchange(begin, at, Ordering::Release, Ordering::Relaxed);
        publish.is_ok()
    }

    /// What was appended until now.
    #[must_use]
    pub(crate) fn bytes(&self) -> &[u8] {
        let published = self.head().published.load(Ordering::Acquire);
        // SAFETY: published bytes lie inside the mapping, are written, and nobody writes them any more.
        unsafe { NonNull::slice_from_raw_parts(self.first(), published).as_ref() }
    }

    /// The first bytes are in no page of this process until it reads them again, so that they do not count twice where they
    /// are copied.
    pub(crate) fn unload(&self, count: usize) {
        let count = count.min(self.length);
        // SAFETY: the pages of a shared mapping keep their content, and it begins at a page.
        _ = unsafe { libc::madvise(self.start.as_ptr(), count, libc::MADV_DONTNEED) };
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to this value alone, and nothing borrows from it any more.
        _ = unsafe { libc::munmap(self.start.as_ptr(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Ended, exit_now, fork, wait};
    use nix::unistd::ForkResult;

    #[test]
    fn what_a_child_appends_is_read_here() {
        let bytes = SharedBytes::new(10).expect("memory");
        match fork().expect("a child") {
            ForkResult::Child => {
                let all = [
                    bytes.append(&[b"abc", b"", b"de"]),
                    bytes.append(&[b"123456"]),
                    bytes.append(&[b"fghij"]),
                ];
                exit_now(i32::from(all != [true, false, true]))
            }
            ForkResult::Parent { child } => assert_eq!(wait(child, 0), Ok(Ended::Exited(0))),
        }
        assert_eq!(bytes.bytes(), b"abcdefghij");
        assert!(!bytes.append(&[b"x"]) && bytes.append(&[]));
    }
}
