//! How much memory and CPU time a group allows: its own limits.

use super::Group;
use super::chain::{Place, field};
use crate::proc::number;

impl Place {
    /// The group above this one, or the root.
    #[must_use]
    pub(crate) fn above(group: &Group) -> Place {
        let path = group.path.parent().unwrap_or(&group.path);
        Place::at(group.v2, &group.mount_point, path)
    }

    /// In bytes. A value above `most`, what the host has, does not count as a limit: without one, v1 has 2^63 less a page.
    #[must_use]
    pub(crate) fn memory_limit(&self, most: u64) -> Option<u64> {
        let file = if self.v2 { "memory.max" } else { "memory.limit_in_bytes" };
        self.number(file).filter(|limit| *limit < most)
    }

    /// The limit of v1 that also counts groups above the mount.
    #[must_use]
    pub(crate) fn hidden_memory_limit(stat: &[u8], most: u64) -> Option<u64> {
        field(stat, "hierarchical_memory_limit").filter(|limit| *limit < most)
    }

    /// The quota in CPUs; None without one.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a period")]
    pub(crate) fn quota(&self) -> Option<f64> {
        let (quota, period): (u64, u64) = if self.v2 {
            self.with("cpu.max", |text| {
                let mut words = text.split(|&b| b == b' ');
                Some((number(words.next()?)?, number(words.next()?)?))
            })??
        } else {
            // -1 without a quota
            (self.number("cpu.cfs_quota_us")?, self.number("cpu.cfs_period_us")?)
        };
        (period > 0).then(|| quota as f64 / period as f64)
    }

    /// The memory that this group and those above it allow, of `most` that the host has.
    #[must_use]
    pub(crate) fn allowed_memory(&self, most: u64) -> u64 {
        let limit = |place: &Place| {
            let hidden = Place::hidden_memory_limit(&place.read("memory.stat")?, most);
            place.memory_limit(most).into_iter().chain(hidden).min()
        };
        self.least(limit).map_or(most, |least| least.value)
    }

    /// The CPUs that this group and those above it allow, of `most` that the program may run on.
    #[must_use]
    pub(crate) fn allowed_cpus(&self, most: f64) -> f64 {
        self.least(Place::quota).map_or(most, |least| least.value.min(most))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Tree {
            let root = std::env::temp_dir().join(format!("ctrbox-bounds-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
                std::fs::write(path, text).expect("a file");
            }
            Tree(root)
        }

        fn place(&self, v2: bool, path: &str) -> Place {
            Place::at(v2, &self.0, Path::new(path))
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_least_limit_above_counts_on_both_versions() {
        let v2 = Tree::new(
            "v2",
            &[
                ("a/memory.max", "4096\n"),
                ("a/memory.stat", "anon 1\n"),
                ("a/cpu.max", "150000 100000\n"),
                ("a/b/memory.max", "max\n"),
                ("a/b/memory.stat", "anon 1\n"),
                ("a/b/cpu.max", "max 100000\n"),
            ],
        );
        let v1 = Tree::new(
            "v1",
            &[
                ("a/memory.limit_in_bytes", "4096\n"),
                ("a/memory.stat", "hierarchical_memory_limit 2048\n"),
                ("a/cpu.cfs_quota_us", "75000\n"),
                ("a/cpu.cfs_period_us", "50000\n"),
                ("a/b/memory.limit_in_bytes", "9223372036854771712\n"),
                ("a/b/memory.stat", "hierarchical_memory_limit 2048\n"),
                ("a/b/cpu.cfs_quota_us", "-1\n"),
                ("a/b/cpu.cfs_period_us", "100000\n"),
            ],
        );
        for (tree, is_v2, memory) in [(&v2, true, 4096), (&v1, false, 2048)] {
            // A group that does not exist yet, below one with limits.
            let place = tree.place(is_v2, "a/b/new/family");
            assert_eq!(place.allowed_memory(1 << 20), memory);
            assert_eq!(place.allowed_memory(1024), 1024, "the host has less");
            assert!((place.allowed_cpus(8.0) - 1.5).abs() < 1e-9);
            assert!((place.allowed_cpus(1.0) - 1.0).abs() < 1e-9, "the program may run on fewer");
            assert_eq!(tree.place(is_v2, "c").allowed_memory(1 << 20), 1 << 20);
        }
    }
}
