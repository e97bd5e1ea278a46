//! One parser of ctrbox, by its name in src/fuzz/mod.rs: CTRBOX_FUZZ=NAME.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fn target() -> fn(&[u8]) {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let name = std::env::var("CTRBOX_FUZZ").expect("the name of a target");
        let mut targets = ctrbox::fuzz::TARGETS.iter();
        targets.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no target {name}")).1
    })
}

fuzz_target!(|data: &[u8]| target()(data));
