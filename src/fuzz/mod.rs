//! The targets of the fuzzer: the parsers of text that another process, file or user writes. Each target takes any bytes; a panic, or an
//! assertion that does not hold, is a fault.
//!
//! `make fuzz` runs them with libFuzzer (fuzz/). The unit tests run each on the files in tests/corpus/NAME: first inputs,
//! and one input for each fault that was found. The state files of runtimes are fuzzed on hosts made of files
//! (tests/it/common/layout/mutated.rs).

mod kernel;
mod words;

/// A name, and the function that takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("stat", kernel::stat),
    ("status", kernel::status),
    ("cgroup", kernel::cgroup),
    ("mountinfo", kernel::mountinfo),
    ("id-map", kernel::id_map),
    ("environ", kernel::environ),
    ("ns-link", kernel::ns_link),
    ("passwd", kernel::passwd),
    ("kernel-log", kernel::log),
    ("netlink", kernel::netlink),
    ("file-capabilities", kernel::file_capabilities),
    ("titles", kernel::titles),
    ("control-files", kernel::control_files),
    ("network-files", kernel::network_files),
    ("program", kernel::program),
    ("podman-database", words::podman_database),
    ("cri-database", words::cri_database),
    ("attachment", words::attachment),
    ("settings", words::settings),
    ("cgrules", words::cgrules),
    ("filter", words::filter),
    ("ranges", words::ranges),
    ("capabilities", words::capabilities),
    ("limits", words::limits),
    ("targets", words::targets),
    ("columns", words::columns),
    ("things", words::things),
    ("lines", words::lines),
    ("rules-of-nat", words::rules_of_nat),
    ("seccomp", words::seccomp),
    ("text", words::text),
    ("globs", words::globs),
    ("json", words::json),
];

/// Bytes as text, as most parsers take them.
fn utf8(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn first_inputs_and_found_faults() {
        for (name, target) in TARGETS {
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
            let entries =
                std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
            let files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
            assert!(!files.is_empty(), "{name} has no first input");
            for file in files {
                let data = std::fs::read(&file).expect("an input");
                // Also what is left if it is cut anywhere.
                let step = (data.len() / 64).max(1);
                (0..=data.len()).step_by(step).for_each(|end| target(&data[..end]));
                target(&data);
            }
        }
    }
}
