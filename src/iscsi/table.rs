//! Tables keyed by numbers that this side gives out, or that are few: tags, ids of connections.
//!
//! Several look-ups are made for each command. The standard hasher resists keys that are chosen to collide, which costs more
//! than the rest of the look-up; here the worst that an initiator can do with its tags is to search its own session's
//! commands one by one, some 130 at most.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table.
pub type Table<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Hashes one number, by multiplication (Fibonacci hashing: 2^64 divided by the golden ratio).
#[derive(Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        // The upper half of the product depends on all bits of the number; the table looks at the lowest bits first.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn the_usual_ways_to_count_tags_spread() {
        let build = BuildHasherDefault::<NumberHasher>::default();
        for step in [1u32, 4, 0x100, 0x1_0000, 0x0100_0000] {
            let low: HashSet<u64> = (0..128u32)
                .map(|n| build.hash_one(n.wrapping_mul(step)) & 127)
                .collect();
            assert!(low.len() > 48, "step {step:#x}: {} of 128", low.len());
        }
    }

    #[test]
    fn other_keys_hash_as_well() {
        let build = BuildHasherDefault::<NumberHasher>::default();
        assert_ne!(build.hash_one([1u8, 2]), build.hash_one([2u8, 1]));
    }
}
