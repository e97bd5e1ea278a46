//! What the memory of a group consists of, and how many of its processes were killed for lack of it.

use super::chain::{Place, field};
use crate::proc::decimal;
use crate::text::lines;

/// The parts of memory.stat. v1 has them for the group with those below under another name.
#[derive(Default)]
pub(crate) struct Split {
    pub anon: Option<u64>,
    pub file: Option<u64>,
    pub shmem: Option<u64>,
    pub kernel: Option<u64>,
    pub inactive_file: Option<u64>,
    /// Part of `kernel`.
    slab_reclaimable: Option<u64>,
}

impl Split {
    /// What the kernel cannot reclaim without swap.
    #[must_use]
    pub(crate) fn fixed(&self) -> Option<u64> {
        let kernel = self.kernel.unwrap_or(0).saturating_sub(self.slab_reclaimable.unwrap_or(0));
        Some(self.anon? + self.shmem.unwrap_or(0) + kernel)
    }

    #[must_use]
    pub(crate) fn read(place: &Place, stat: &[u8]) -> Split {
        let kernel = || place.number("memory.kmem.usage_in_bytes");
        match place.v2 {
            true => Split::without_kernel(true, stat).with_kernel(stat),
            false => Split { kernel: kernel(), ..Split::without_kernel(false, stat) },
        }
    }

    /// What memory.stat says alone.
    #[must_use]
    pub(crate) fn without_kernel(v2: bool, stat: &[u8]) -> Split {
        let (prefix, names) = match v2 {
            true => ("", ["anon", "file", "shmem", "inactive_file"]),
            false => ("total_", ["rss", "cache", "shmem", "inactive_file"]),
        };
        let mut found = [None; 4];
        for line in lines(stat) {
            let Some(line) = line.strip_prefix(prefix.as_bytes()) else { continue };
            for (name, value) in names.iter().zip(&mut found) {
                let rest = line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
                *value = value.or_else(|| rest.and_then(decimal));
            }
        }
        let [anon, file, shmem, inactive_file] = found;
        Split { anon, file, shmem, inactive_file, ..Split::default() }
    }

    fn with_kernel(self, stat: &[u8]) -> Split {
        // Before Linux 5.18 the parts are there, but not their sum.
        let parts = || {
            let parts = ["slab", "kernel_stack", "pagetables", "percpu"];
            parts.iter().filter_map(|name| field(stat, name)).reduce(|sum, part| sum + part)
        };
        Split {
            kernel: field(stat, "kernel").or_else(parts),
            slab_reclaimable: field(stat, "slab_reclaimable"),
            ..self
        }
    }
}

impl Place {
    /// Processes of this group and those below it that the kernel killed for lack of memory. None: too many groups are below.
    #[must_use]
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        if self.v2 {
            return self.field("memory.events", "oom_kill");
        }
        // v1 counts a kill in the victim's group alone: that may be one below the container's.
        let tree = self.tree()?;
        let kills = tree.iter().filter_map(|place| place.field("memory.oom_control", "oom_kill"));
        kills.reduce(|sum, kills| sum + kills)
    }

    /// The same of this group alone. Before Linux 5.2 v2 does not count that.
    #[must_use]
    pub(crate) fn oom_kills_here(&self) -> Option<u64> {
        match self.v2 {
            true => self.field("memory.events.local", "oom_kill").or_else(|| self.oom_kills()),
            false => self.field("memory.oom_control", "oom_kill"),
        }
    }
}
