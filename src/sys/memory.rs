//! The allocator, and the end of a program that gets no more memory.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::OnceLock;

/// musl's allocator maps and unmaps memory at every turn: with this one a look at 10,000 processes takes a
/// tenth less. std would abort with a backtrace where there is no memory left; here the program says so and
/// ends with its own status.
pub struct Allocator;

static INNER: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

static WHO: OnceLock<(&str, u8)> = OnceLock::new();

/// From here on a program that gets no memory ends as `name`, with `failure`.
pub fn program_is(name: &'static str, failure: u8) {
    _ = WHO.set((name, failure));
}

// SAFETY: the inner allocator does the work; a null pointer of it never leaves here.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the rules of the trait.
        some(unsafe { INNER.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        some(unsafe { INNER.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        some(unsafe { INNER.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { INNER.dealloc(memory, layout) }
    }
}

/// The name and the failure status of the program that runs.
#[must_use]
pub fn program() -> (&'static str, u8) {
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
    // SAFETY: the length is that of the text; nothing comes after the end.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), length);
        libc::_exit(failure.into())
    }
}
