//! Processes: a child with another parent, memory that is shared with children, and what is wiped from memory.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

/// A number in memory that this process shares with children that it forks later.
pub struct SharedNumber(NonNull<AtomicI32>);

/// Enough for the number; the kernel maps whole pages.
const LENGTH: usize = size_of::<AtomicI32>();

impl SharedNumber {
    /// Zero.
    pub fn new() -> nix::Result<SharedNumber> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address that the kernel chooses.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), LENGTH, protection, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        NonNull::new(address.cast()).map(SharedNumber).ok_or(Errno::ENOMEM)
    }

    fn number(&self) -> &AtomicI32 {
        // SAFETY: the mapping is as long as this value and large enough; pages begin as zeros.
        unsafe { self.0.as_ref() }
    }

    #[must_use]
    pub fn get(&self) -> i32 {
        self.number().load(Ordering::SeqCst)
    }

    pub fn set(&self, number: i32) {
        self.number().store(number, Ordering::SeqCst);
    }

    /// Children that are forked from here on do not have this memory: they can neither read nor change it.
    pub fn keep_from_children(&self) -> nix::Result<()> {
        // SAFETY: the range is this mapping.
        Errno::result(unsafe { libc::madvise(self.0.as_ptr().cast(), LENGTH, libc::MADV_DONTFORK) }).map(drop)
    }
}

impl Drop for SharedNumber {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's alone, and nothing borrows from it any more.
        _ = unsafe { libc::munmap(self.0.as_ptr().cast::<c_void>(), LENGTH) };
    }
}

/// clone(2) with CLONE_PARENT: a fork whose child is a child of this process's parent, which waits for it. The
/// kernel writes its PID to `pid` before it runs. The child must not use `pid` if that was kept from it.
pub fn fork_sibling(pid: &SharedNumber) -> nix::Result<ForkResult> {
    let flags = libc::CLONE_PARENT | libc::CLONE_PARENT_SETTID | libc::SIGCHLD;
    let none: *mut c_void = std::ptr::null_mut();
    // SAFETY: with no stack of its own the child goes on with a copy of this one, as after fork: this process
    // has one thread, so no lock can be held by a thread that the child lacks. The fourth and fifth arguments
    // change places between machines; both are null.
    let child = unsafe {
        libc::syscall(
            libc::SYS_clone,
            c_uint::from_ne_bytes(flags.to_ne_bytes()),
            none,
            pid.0.as_ptr(),
            none,
            none,
        )
    };
    match Errno::result(child)? {
        0 => Ok(ForkResult::Child),
        child => Ok(ForkResult::Parent { child: Pid::from_raw(c_int::try_from(child).unwrap_or(0)) }),
    }
}

/// Overwrites the environment that this process was started with, which also is its `/proc/PID/environ`, and
/// leaves it with none.
pub fn wipe_environment() {
    unsafe extern "C" {
        static mut environ: *mut *mut c_char;
    }
    // SAFETY: the C library keeps a list of C strings there that a null pointer ends, or no list. The strings
    // are in memory of this process that it may write to; there is no other thread, and nothing borrows them.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            let length = libc::strlen(*next);
            std::ptr::write_bytes(*next, 0, length);
            *next = std::ptr::null_mut();
            next = next.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shared_with_children() {
        let number = SharedNumber::new().expect("memory");
        assert_eq!(number.get(), 0);
        match super::super::fork().expect("a child") {
            ForkResult::Child => {
                number.set(7);
                std::process::exit(0);
            }
            ForkResult::Parent { child } => {
                assert_eq!(super::super::wait(child, 0), Ok(super::super::Ended::Exited(0)));
            }
        }
        assert_eq!(number.get(), 7);
    }

    #[test]
    fn a_sibling_is_waited_for_by_the_parent_and_lacks_the_memory() {
        let number = SharedNumber::new().expect("memory");
        let ForkResult::Parent { child: between } = super::super::fork().expect("a child") else {
            let kept = number.keep_from_children();
            let status = match kept.and_then(|()| fork_sibling(&number)) {
                Ok(ForkResult::Child) => {
                    // A range that is not mapped: ENOMEM.
                    let page = number.0.as_ptr().cast();
                    // SAFETY: advice changes no content.
                    let gone = unsafe { libc::madvise(page, LENGTH, libc::MADV_NORMAL) } != 0;
                    if gone { 3 } else { 4 }
                }
                Ok(ForkResult::Parent { .. }) => 0,
                Err(_) => 1,
            };
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(status) }
        };
        assert_eq!(super::super::wait(between, 0), Ok(super::super::Ended::Exited(0)));
        let sibling = Pid::from_raw(number.get());
        assert_eq!(super::super::wait(sibling, 0), Ok(super::super::Ended::Exited(3)));
    }
}
