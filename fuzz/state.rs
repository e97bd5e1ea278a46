//! The state files of runtimes, on hosts made of files: tests/it/common/layout/mutated.rs.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../tests/it/common/mod.rs"]
mod common;

fuzz_target!(|data: &[u8]| common::layout::mutated::state(data));
