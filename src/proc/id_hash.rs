//! Hash maps with keys that the kernel assigns: inodes of namespaces, ids of control groups. Users do not choose these
//! keys, so the hash needs no protection against chosen collisions, which would cost more than the rest of a look-up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub(crate) type ById<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Spreads consecutive numbers over all 64 bits.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, number: u64) {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 divided by the golden ratio
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(GOLDEN);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(32) // the upper bits depend on the whole input, but maps use the lower ones
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_numbers_are_spread() {
        let hash = |pair: (u64, u64)| {
            let mut hasher = IdHasher::default();
            hasher.write_u64(pair.0);
            hasher.write_u64(pair.1);
            hasher.finish()
        };
        for mask in [0xfff_u64, 0xfe00_0000_0000_0000] {
            let slots: std::collections::HashSet<u64> =
                (0..4096).map(|n| hash((9000 + n, 4_026_531_836 + 7 * n)) & mask).collect();
            let room = mask.count_ones();
            assert!(slots.len() > (1 << room) / 2, "{} of {}", slots.len(), 1 << room);
        }
    }
}
