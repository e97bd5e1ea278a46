//! The allocator, and the exit when memory runs out.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use dlmalloc::Dlmalloc;

/// dlmalloc. musl's allocator maps and unmaps memory very often: with dlmalloc a scan of 10,000 processes takes ten
/// percent less time. When memory runs out, std would abort with a backtrace; this allocator prints a message and
/// exits with the program's own status.
pub struct Allocator;

static INNER: Mutex<Dlmalloc> = Mutex::new(Dlmalloc::new());

/// Other threads cannot allocate while this lock is held. A fork holds it, so that the child of a process with
/// several threads never waits for it. The lock inside dlmalloc is not accessible.
pub(super) fn hold() -> MutexGuard<'static, Dlmalloc> {
    INNER.lock().unwrap_or_else(PoisonError::into_inner)
}

static WHO: OnceLock<(&str, u8)> = OnceLock::new();

/// From now on, a program that runs out of memory exits as `name`, with status `failure`.
pub(crate) fn program_is(name: &'static str, failure: u8) {
    _ = WHO.set((name, failure));
}

// SAFETY: each call is passed under a lock to an allocator that keeps the rules of the trait. When memory runs out,
// the process exits.
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

/// Name and failure status of the running program.
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

/// Writes a message without allocating memory, and exits.
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

    fn allocates_and_frees() {
        let layout = Layout::new::<[u8; 100]>();
        // SAFETY: the layout is not empty.
        let memory = unsafe { Allocator.alloc(layout) };
        // SAFETY: it was just allocated in this layout.
        unsafe { Allocator.dealloc(memory, layout) };
    }

    #[test]
    fn a_child_can_allocate_although_another_thread_allocates_during_the_fork() {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    allocates_and_frees();
                }
            });
            let ends: Vec<_> = (0..300)
                .map(|_| match fork().expect("a child") {
                    ForkResult::Child => {
                        nix::unistd::alarm::set(30); // ends a child that waits for the lock
                        allocates_and_frees();
                        exit_now(0)
                    }
                    ForkResult::Parent { child } => wait(child, 0),
                })
                .collect();
            stop.store(true, Ordering::Relaxed);
            assert!(ends.iter().all(|end| *end == Ok(Ended::Exited(0))), "{ends:?}");
        });
    }
}
