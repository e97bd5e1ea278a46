//! Which parts of /proc and /sys mounts cover, as runtimes do by default.

use std::path::Path;

use super::hidden_mounts::HiddenMounts;
use super::mountinfo::{Mount, mounts, unescape};
use crate::order;

/// The parts of /proc and /sys that mounts cover.
#[derive(Default)]
pub(crate) struct Covers {
    pub masked: Vec<String>,
    pub readonly: Vec<String>,
    /// What runtimes cover by default and is not covered.
    pub uncovered: Vec<String>,
}

/// What is judged. A path that the kernel does not have needs no cover.
const JUDGED: [(&str, Cover); 7] = [
    ("/proc/kcore", Cover::Mask),
    ("/proc/keys", Cover::Mask),
    ("/proc/timer_list", Cover::Mask),
    ("/proc/sched_debug", Cover::Mask),
    ("/sys/firmware", Cover::Mask),
    ("/proc/sys", Cover::ReadOnly),
    ("/proc/sysrq-trigger", Cover::ReadOnly),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    Mask,
    ReadOnly,
}

impl Covers {
    #[must_use]
    pub(crate) fn parse(mountinfo: &[u8]) -> Covers {
        Covers::from_mounts(mountinfo, |path| Path::new(path).symlink_metadata().is_ok())
    }

    fn from_mounts(mountinfo: &[u8], exists: impl Fn(&str) -> bool) -> Covers {
        let mut covers = Covers::default();
        let hidden = HiddenMounts::of(mounts(mountinfo));
        let all: Vec<(String, Mount<'_>)> = mounts(mountinfo)
            .filter(|mount| !hidden.has(mount))
            .map(|mount| (unescape(mount.point).to_string_lossy().into_owned(), mount))
            .collect();
        for (point, mount) in &all {
            if !point.starts_with("/proc/") && !point.starts_with("/sys/") {
                continue;
            }
            let is_kernels = matches!(mount.kind, b"proc" | b"sysfs");
            let is_null = mount.root.ends_with(b"/null");
            let is_empty = mount.kind == b"tmpfs" && (mount.is_read_only() || point.starts_with("/proc/"));
            match () {
                () if is_null || is_empty => covers.masked.push(point.clone()),
                () if is_kernels && mount.is_read_only() => covers.readonly.push(point.clone()),
                () => {}
            }
        }
        for list in [&mut covers.masked, &mut covers.readonly] {
            order::sort(list);
            list.dedup();
        }
        // The last mount on a point, or on a directory above, is the one that counts.
        let on = |path: &str| {
            all.iter()
                .rev()
                .filter(|(point, _)| Path::new(path).starts_with(point))
                .max_by_key(|(point, _)| point.len())
        };
        for (path, cover) in JUDGED {
            let Some((_, mount)) = on(path) else { continue };
            let is_kernels = matches!(mount.kind, b"proc" | b"sysfs");
            let is_covered = !is_kernels || (cover == Cover::ReadOnly && mount.is_read_only());
            if !is_covered && exists(path) {
                covers.uncovered.push(path.to_owned());
            }
        }
        covers
    }
}

/// Can the host's kernel be changed, or its memory be read, through this path?
#[must_use]
pub(crate) fn is_dangerous(path: &str) -> bool {
    matches!(path, "/proc/sys" | "/proc/sysrq-trigger" | "/proc/kcore" | "/sys/firmware")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covered_parts_of_proc() {
        let text = b"1 0 0:1 / / rw - overlay overlay rw\n\
            2 1 0:2 / /proc rw - proc proc rw\n\
            3 2 0:2 /sys /proc/sys ro - proc proc rw\n\
            4 2 0:3 /null /proc/kcore rw - tmpfs tmpfs rw\n\
            5 2 0:4 / /proc/acpi ro - tmpfs tmpfs ro\n\
            6 1 0:5 / /sys ro - sysfs sysfs ro\n\
            7 6 0:6 / /sys/firmware ro - tmpfs tmpfs ro\n\
            8 6 0:7 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n";
        let covers = Covers::from_mounts(text, |_| true);
        assert_eq!(covers.masked, ["/proc/acpi", "/proc/kcore", "/sys/firmware"]);
        assert_eq!(covers.readonly, ["/proc/sys"]);
        let open = ["/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/sysrq-trigger"];
        assert_eq!(covers.uncovered, open);
        assert!(Covers::from_mounts(text, |_| false).uncovered.is_empty());
        let none = Covers::from_mounts(b"1 0 0:1 / / rw - overlay overlay rw\n", |_| true);
        assert!(none.uncovered.is_empty(), "without proc nothing of it is seen");
        let again = [&text[..], b"9 2 0:2 / /proc rw - proc proc rw\n"].concat();
        let covers = Covers::from_mounts(&again, |_| true);
        assert_eq!(covers.masked, ["/sys/firmware"], "another proc hides the masks");
        assert!(covers.readonly.is_empty() && covers.uncovered.contains(&"/proc/kcore".to_owned()));
    }
}
