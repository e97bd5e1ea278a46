//! The allocator, and the end of a program that gets no more memory.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use dlmalloc::Dlmalloc;

/// musl's allocator maps and unmaps memory at every turn: with this one a look at 10,000 processes takes a
/// tenth less. std would abort with a backtrace where there is no memory left; here the program says so and
/// ends with its own status.
pub struct Allocator;

static INNER: Mutex<Dlmalloc> = Mutex::new(Dlmalloc::new());

/// No other thread allocates while this is held. A fork holds it: else the child of a process with several threads
/// could wait for it for good. dlmalloc's own lock is not to be had for that.
pub(super) fn hold() -> MutexGuard<'static, Dlmalloc> {
    INNER.lock().unwrap_or_else(PoisonError::into_inner)
}

static WHO: OnceLock<(&str, u8)> = OnceLock::new();

/// From here on a program that gets no memory ends as `name`, with `failure`.
pub(crate) fn program_is(name: &'static str, failure: u8) {
    _ = WHO.set((name, failure));
}

// SAFETY: each call goes to an allocator that keeps the rules of the trait, under a lock; where it has no memory the
// process ends.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the rules of the trait, and the inner allocator asks for no more.
        some(unsafe { hold().malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        some(unsafe { hold().calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        some(unsafe { hold().realloc(memory, layout.size(), layout.align(), size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { hold().free(memory, layout.size(), layout.align()) }
    }
}

/// The name and the failure status of the program that runs.
#[must_use]
pub(crate) fn program() -> (&'static str, u8) {
    WHO.get().copied().unwrap_or(("ctrbox", 1))
}

fn some(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        out_of_memory();
    }
    memory
}

/// One write of text that needs no memory, and the end.
#[cold]
fn out_of_memory() -> ! {
    let (name, failure) = program();
    let mut line = [0_u8; 64];
    let mut length = 0;
    for byte in name.bytes().chain(": out of memory\n".bytes()).take(line.len()) {
        line[length] = byte;
        length += 1;
    }
    // SAFETY: the length is not above that of the line.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), length) };
    super::exit_now(failure.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Ended, exit_now, fork, wait};
    use nix::unistd::ForkResult;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn take_and_give_back() {
        let layout = Layout::new::<[u8; 100]>();
        // SAFETY: the layout is not empty.
        let memory = unsafe { Allocator.alloc(layout) };
        // SAFETY: it was just allocated in this layout.
        unsafe { Allocator.dealloc(memory, layout) };
    }

    #[test]
    fn a_child_forked_beside_a_thread_that_allocates_has_memory() {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    take_and_give_back();
                }
            });
            let failed = (0..300)
                .map(|_| match fork().expect("a child") {
                    ForkResult::Child => {
                        nix::unistd::alarm::set(30); // ends a child that waits for the lock
                        take_and_give_back();
                        exit_now(0)
                    }
                    ForkResult::Parent { child } => wait(child, 0),
                })
                .find(|end| *end != Ok(Ended::Exited(0)));
            stop.store(true, Ordering::Relaxed);
            assert_eq!(failed, None);
        });
    }
}
