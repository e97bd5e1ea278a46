//! The C entry point: passes argv to the library.
//!
//! Not `fn main`: the start-up code of std ignores SIGPIPE, opens /dev/null over closed descriptors and maps a signal
//! stack. The programs that ctrbox starts would inherit the first two.
#![no_main]
#![deny(
    clippy::disallowed_methods,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]
#![allow(unsafe_code, clippy::not_unsafe_ptr_arg_deref)] // C's main cannot be an unsafe fn

use std::ffi::{c_char, c_int};

#[global_allocator]
static ALLOCATOR: ctrbox::Allocator = ctrbox::Allocator;

#[unsafe(no_mangle)]
pub extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: clippy.toml forbids threads, except one whose comment says why it keeps this promise. No dependency
    // starts a thread.
    unsafe { ctrbox::promise_no_locks() };
    // SAFETY: the C runtime hands main an argv of argc strings that live as long as the process.
    let argv = unsafe { ctrbox::arguments(argc, argv, ctrbox::announce) };
    c_int::from(ctrbox::run(argv))
}
