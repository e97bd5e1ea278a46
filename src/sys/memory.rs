//! The allocator, and the exit when memory runs out.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::Dlmalloc;

/// dlmalloc. musl's allocator maps and unmaps memory very often: with dlmalloc a scan of 10,000 processes takes ten
/// percent less time. When memory runs out, std would abort with a backtrace; this allocator prints a message and
/// exits with the program's own status.
pub struct Allocator;

static INNER: Locked =
    Locked { is_held: AtomicBool::new(false), memory: UnsafeCell::new(Memory { first: First { used: 0 } }) };

/// All memory that is allocated: the first, and what `REST` has.
pub(super) struct Memory {
    first: First,
}

struct Rest(UnsafeCell<Dlmalloc>);

// SAFETY: `Memory` alone leads to it, and there is one.
unsafe impl Sync for Rest {}

/// It takes one kilobyte. It does not lie beside the lock: most starts do not use it, and it would fill the page that has
/// their first memory (start-data.ld).
static REST: Rest = Rest(UnsafeCell::new(Dlmalloc::new()));

/// Like a mutex of std, which looks for panics of the thread each time: that takes longer than an allocation. Here a panic
/// ends the process.
struct Locked {
    is_held: AtomicBool,
    memory: UnsafeCell<Memory>,
}

// SAFETY: `Held` alone leads to the memory, and there is one at a time.
unsafe impl Sync for Locked {}

/// The lock, until it is dropped.
pub(super) struct Held(());

impl Deref for Held {
    type Target = Memory;

    #[inline(always)]
    fn deref(&self) -> &Memory {
        // SAFETY: there is no other `Held`, and this one lends it.
        unsafe { &*INNER.memory.get() }
    }
}

impl DerefMut for Held {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Memory {
        // SAFETY: there is no other `Held`, and this one lends it to one only.
        unsafe { &mut *INNER.memory.get() }
    }
}

impl Drop for Held {
    #[inline(always)]
    fn drop(&mut self) {
        INNER.is_held.store(false, Ordering::Release);
    }
}

/// The first allocations. What only starts another program needs no more than these, and dlmalloc would map and touch
/// three pages for them. Freed memory is used again only if it was the last.
struct First {
    used: usize,
}

const FIRST: usize = 16 << 10;

#[repr(align(16))]
struct Bytes(UnsafeCell<[u8; FIRST]>);

// SAFETY: nothing but the pointers that `First` hands out leads to the bytes.
unsafe impl Sync for Bytes {}

static BYTES: Bytes = Bytes(UnsafeCell::new([0; FIRST]));

impl First {
    fn start() -> *mut u8 {
        BYTES.0.get().cast()
    }

    /// None if it has no room.
    fn allocate(&mut self, layout: Layout) -> Option<*mut u8> {
        if layout.align() > align_of::<Bytes>() {
            return None;
        }
        // At least as malloc(3): nix writes the headers of control messages to a Vec of bytes.
        let from = self.used.next_multiple_of(layout.align().max(align_of::<u64>()));
        let used = from.checked_add(layout.size()).filter(|&used| used <= FIRST)?;
        self.used = used;
        Some(First::start().wrapping_add(from))
    }

    /// The offset of memory that was allocated here.
    fn offset(memory: *mut u8) -> Option<usize> {
        memory.addr().checked_sub(First::start().addr()).filter(|&offset| offset < FIRST)
    }

    fn free(&mut self, offset: usize, size: usize) {
        if offset + size == self.used {
            self.used = offset;
        }
    }

    /// Is it resized in its place? Only the last one can be.
    fn resize(&mut self, offset: usize, old: usize, new: usize) -> bool {
        let fits = offset + old == self.used && offset.checked_add(new).is_some_and(|used| used <= FIRST);
        if fits {
            self.used = offset + new;
        }
        fits || new <= old
    }
}

/// Other threads cannot allocate while this lock is held. A fork holds it, so that the child of a process with
/// several threads never waits for it. The lock inside dlmalloc is not accessible.
#[inline(always)]
pub(super) fn hold() -> Held {
    while INNER.is_held.swap(true, Ordering::Acquire) {
        std::thread::yield_now();
    }
    Held(())
}

static WHO: OnceLock<(&str, u8)> = OnceLock::new();

/// From now on, a program that runs out of memory exits as `name`, with status `failure`.
pub(crate) fn program_is(name: &'static str, failure: u8) {
    _ = WHO.set((name, failure));
}

impl Memory {
    fn rest(&mut self) -> &mut Dlmalloc {
        // SAFETY: nothing else leads to it, and `self` is lent to one only.
        unsafe { &mut *REST.0.get() }
    }

    /// # Safety
    ///
    /// The caller keeps the rules of [`GlobalAlloc::alloc`].
    unsafe fn allocate(&mut self, layout: Layout) -> *mut u8 {
        match self.first.allocate(layout) {
            Some(first) => first,
            // SAFETY: the caller keeps the rules, and the inner allocator asks for no more.
            None => some(unsafe { self.rest().malloc(layout.size(), layout.align()) }),
        }
    }
}

// SAFETY: the pointers of `First` lie in it, apart from each other and aligned. All other calls are passed to an
// allocator that keeps the rules of the trait. A lock is held. When memory runs out, the process exits.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the rules of the trait.
        unsafe { hold().allocate(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let mut memory = hold();
        if let Some(first) = memory.first.allocate(layout) {
            // SAFETY: this many bytes were just allocated there. They may have been used before.
            unsafe { first.write_bytes(0, layout.size()) };
            return first;
        }
        // SAFETY: as above.
        some(unsafe { memory.rest().calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let mut memory = hold();
        let Some(offset) = First::offset(old) else {
            // SAFETY: as above; dlmalloc allocated it, because `First` did not.
            return some(unsafe { memory.rest().realloc(old, layout.size(), layout.align(), size) });
        };
        if memory.first.resize(offset, layout.size(), size) {
            return old;
        }
        // SAFETY: the caller keeps the rules of the trait: a layout of this size exists.
        let larger = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: as above.
        let new = unsafe { memory.allocate(larger) };
        // SAFETY: the old one is this long, the new one longer (`resize`), and the two lie apart.
        unsafe { new.copy_from_nonoverlapping(old, layout.size()) };
        memory.first.free(offset, layout.size());
        new
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        let mut memory = hold();
        match First::offset(old) {
            Some(offset) => memory.first.free(offset, layout.size()),
            // SAFETY: as above; dlmalloc allocated it, because `First` did not.
            None => unsafe { memory.rest().free(old, layout.size(), layout.align()) },
        }
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
    fn the_first_allocations_are_apart_and_the_last_one_grows_in_its_place() {
        let mut first = First { used: 0 };
        let layout = |size, align| Layout::from_size_align(size, align).expect("a layout");
        let a = first.allocate(layout(3, 1)).expect("room");
        let b = first.allocate(layout(8, 8)).expect("room");
        assert_eq!((First::offset(a), First::offset(b)), (Some(0), Some(8)));
        assert!(!first.resize(0, 3, 4), "another one follows");
        assert!(first.resize(0, 3, 2), "it becomes smaller");
        assert!(first.resize(8, 8, 100), "it is the last");
        first.free(0, 2);
        assert_eq!(first.used, 108);
        first.free(8, 100);
        assert_eq!(first.used, 8);
        assert!(first.allocate(layout(1, 32)).is_none(), "such an alignment");
        assert!(first.allocate(layout(FIRST, 1)).is_none(), "too large");
        assert!(!first.resize(8, 0, usize::MAX));
        assert_eq!(First::offset(First::start().wrapping_add(FIRST)), None);
    }

    #[test]
    fn memory_moves_from_the_first_allocations_to_the_others() {
        let layout = Layout::new::<[u8; 100]>();
        // SAFETY: the layout is not empty.
        let old = unsafe { Allocator.alloc(layout) };
        // SAFETY: it was just allocated with this length.
        unsafe { old.write_bytes(7, 100) };
        // SAFETY: it was allocated in this layout; the new size is not 0.
        let new = unsafe { Allocator.realloc(old, layout, FIRST * 2) };
        // SAFETY: it is longer than that.
        assert_eq!(unsafe { std::slice::from_raw_parts(new, 100) }, [7; 100]);
        // SAFETY: it was allocated with this length.
        unsafe { Allocator.dealloc(new, Layout::new::<[u8; FIRST * 2]>()) };
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
