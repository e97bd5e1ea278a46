//! `ctr-whose --root`: a copy of another host's files.

use serde_json::{Value, json};

use crate::common::Scratch;
use crate::common::ctr_whose::{docker, things};
use crate::common::layout::Layout;

/// What a copy does not have is not asked of this host, and what it has in the place of files is neither followed out of it
/// nor waited for.
#[test]
fn a_copy_has_no_network_and_no_log_and_its_files_of_devices_lead_nowhere() {
    let layout = Layout::new("whose-copy-only");
    docker(&layout, "web", 1, Some(101), "");
    let root = layout.host.root();
    // Each host has the same number for its first network namespace.
    let own = std::fs::read_link("/proc/self/ns/net").expect("a link");
    for pid in ["1", "101", "self"] {
        std::fs::create_dir_all(root.join(format!("proc/{pid}/ns"))).expect("a directory");
        let link = root.join(format!("proc/{pid}/ns/net"));
        _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&own, link).expect("a link");
    }
    for words in [&["if:lo"][..], &["if:lo", "ip:127.0.0.1"], &["mac:00:00:00:00:00:00"]] {
        for thing in things(&layout, words) {
            assert_eq!((&thing["answers"], &thing["host"]), (&json!([]), &Value::Null), "{words:?}: {thing}");
        }
    }
    let killed = &things(&layout, &["Out of memory: Killed process 1 (init) total-vm:1kB"])[0];
    assert!(killed["unknown"].as_str().is_some_and(|text| text.contains("no log of the kernel")), "{killed}");

    let directory = root.join("sys/class/block/vda");
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("dev");
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
    let nothing = || {
        let thing = &things(&layout, &["dev:vda"])[0];
        assert_eq!((&thing["answers"], &thing["host"]), (&json!([]), &Value::Null), "{thing}");
    };
    nothing();
    std::fs::remove_file(&file).expect("removed");
    std::fs::File::create(&file).and_then(|file| file.set_len(200 << 30)).expect("a large file");
    nothing();
    std::fs::remove_dir_all(root.join("sys")).expect("removed");
    let other = Scratch::new("whose-copy-other");
    std::fs::create_dir_all(other.0.join("class/block/vda")).expect("a directory");
    std::fs::write(other.0.join("class/block/vda/dev"), "8:0\n").expect("a file");
    std::fs::create_dir_all(other.0.join("dev/block/8:0")).expect("a directory");
    std::fs::write(other.0.join("dev/block/8:0/size"), "1\n").expect("a file");
    std::os::unix::fs::symlink(&other.0, root.join("sys")).expect("a link");
    nothing();
}
