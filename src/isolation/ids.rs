//! Maps by numbers that the kernel gives out: inodes of namespaces, ids of control groups. Nobody chooses
//! them, so none need be guarded against those who would make them collide, which costs more than the rest.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub(crate) type ById<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// Numbers that follow each other, spread over all 64 bits.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, number: u64) {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 by the golden ratio
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(GOLDEN);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(32) // the upper bits depend on all that was written, and maps use the lower ones
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_spread() {
        let hash = |pair: (u64, u64)| {
            let mut spread = Spread::default();
            spread.write_u64(pair.0);
            spread.write_u64(pair.1);
            spread.finish()
        };
        for mask in [0xfff_u64, 0xfe00_0000_0000_0000] {
            let slots: std::collections::HashSet<u64> =
                (0..4096).map(|n| hash((9000 + n, 4_026_531_836 + 7 * n)) & mask).collect();
            let room = mask.count_ones();
            assert!(slots.len() > (1 << room) / 2, "{} of {}", slots.len(), 1 << room);
        }
    }
}
