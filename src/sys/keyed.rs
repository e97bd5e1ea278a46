//! Hash maps that need no system call. std calls getrandom(2) for the key of its hash maps, and aborts when that
//! fails.

use std::hash::{BuildHasher, DefaultHasher, Hasher};

pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, Keyed>;
pub(crate) type HashSet<K> = std::collections::HashSet<K, Keyed>;

/// SipHash with a secret before each value, so that other users cannot choose names that collide.
#[derive(Clone)]
pub(crate) struct Keyed([u8; 16]);

impl Default for Keyed {
    fn default() -> Self {
        // SAFETY: the call takes a number and returns one.
        let address = unsafe { libc::getauxval(libc::AT_RANDOM) } as *const [u8; 16];
        if address.is_null() {
            return Keyed([0; 16]);
        }
        // SAFETY: it is the address of 16 random bytes (getauxval(3)), which stay there. Bytes need no alignment.
        Keyed(unsafe { address.read() })
    }
}

impl BuildHasher for Keyed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.0);
        hasher
    }
}

/// Can std's hash maps be created, as other crates do? Their key comes from getrandom(2).
#[must_use]
pub(crate) fn std_maps_work() -> bool {
    let mut byte = 0_u8;
    // SAFETY: the kernel writes no more than one byte.
    unsafe { libc::syscall(libc::SYS_getrandom, &raw mut byte, 1, libc::GRND_INSECURE) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_one_per_process_and_changes_the_hash() {
        let secret = Keyed::default();
        assert_ne!(secret.0, [0; 16]);
        assert_eq!(secret.hash_one("x"), Keyed::default().hash_one("x"));
        assert_ne!(secret.hash_one("x"), Keyed([0; 16]).hash_one("x"));
    }
}
