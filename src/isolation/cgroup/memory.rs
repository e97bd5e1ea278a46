//! What the memory of a group consists of, and how many of its processes were killed for lack of it.

use super::chain::{Place, field};

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
        if !place.v2 {
            return Split {
                anon: field(stat, "total_rss"),
                file: field(stat, "total_cache"),
                shmem: field(stat, "total_shmem"),
                kernel: place.number("memory.kmem.usage_in_bytes"),
                inactive_file: field(stat, "total_inactive_file"),
                slab_reclaimable: None,
            };
        }
        // Before Linux 5.18 the parts are there, but not their sum.
        let parts = || {
            let parts = ["slab", "kernel_stack", "pagetables", "percpu"];
            parts.iter().filter_map(|name| field(stat, name)).reduce(|sum, part| sum + part)
        };
        Split {
            anon: field(stat, "anon"),
            file: field(stat, "file"),
            shmem: field(stat, "shmem"),
            kernel: field(stat, "kernel").or_else(parts),
            inactive_file: field(stat, "inactive_file"),
            slab_reclaimable: field(stat, "slab_reclaimable"),
        }
    }
}

impl Place {
    /// Processes of this group and those below it that the kernel killed for lack of memory.
    #[must_use]
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        if self.v2 {
            return self.field("memory.events", "oom_kill");
        }
        // v1 counts a kill in the victim's group alone: that may be one below the container's.
        let kills = self.tree().unwrap_or_else(|| vec![self.clone()]);
        let kills = kills.iter().filter_map(|place| place.field("memory.oom_control", "oom_kill"));
        kills.reduce(|sum, kills| sum + kills)
    }
}
