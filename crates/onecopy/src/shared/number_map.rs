//! What is found by an offset, or by a number that is a hash.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys are such numbers.
pub(super) type NumberMap<T> = HashMap<u64, T, BuildHasherDefault<Spread>>;

/// Hashes one number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("offsets are hashed as numbers");
    }
    fn write_u64(&mut self, at: u64) {
        // Offsets are multiples of eight; the upper bits choose the slot, the highest seven tell its neighbours apart.
        let mixed = (at >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 29;
    }
}
