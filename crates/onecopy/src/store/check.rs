//! Words that carry a check of themselves, so that damage is an error and not a number to be believed.
//!
//! ```text
//! bit 63: 1 = written     check (63 − bits)     value (bits)
//! ```
//! The check is made from the value and the word's own offset, so that neither a changed word passes nor one that was
//! written to another place. A word of zeros was never written. This guards against stray writes, not against a
//! process that computes the check as well: nothing can, since such a process may write to everything here.
#![forbid(unsafe_code)]

const WRITTEN: u64 = 1 << 63;

/// One widening multiplication: every bit of both takes part in every bit of the result.
pub(crate) const fn mix(a: u64, b: u64) -> u64 {
    let (a, b) = (a ^ 0x9e37_79b9_7f4a_7c15, b ^ 0xd6e8_feb8_6659_fd93);
    let product = (a as u128).wrapping_mul(b as u128);
    product as u64 ^ (product >> 64) as u64
}

/// The word at `offset` that says `value`, a number of `bits` bits.
pub(crate) const fn with(offset: u64, bits: u32, value: u64) -> u64 {
    debug_assert!(
        value >> bits == 0,
        "a value that leaves no room for its check"
    );
    WRITTEN | mix(value, offset) << bits & !WRITTEN | value
}

/// What the word at `offset` says; `None` if its check does not fit, or if it was never written.
pub(crate) const fn value(offset: u64, bits: u32, word: u64) -> Option<u64> {
    let value = word & !(u64::MAX << bits);
    if with(offset, bits, value) == word {
        Some(value)
    } else {
        None
    }
}

/// The same, and 0 for a word that was never written.
pub(crate) const fn value_or_zero(offset: u64, bits: u32, word: u64) -> Option<u64> {
    if word == 0 {
        Some(0)
    } else {
        value(offset, bits, word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_and_a_changed_or_moved_one_does_not() {
        // One damaged word in 2^(63 - bits) may pass: some 50 of 25,400 where the check has 9 bits, none where it has 16.
        for (bits, most) in [(32, 0), (33, 0), (47, 5), (54, 150)] {
            let mut unseen = 0;
            for number in 0..200u64 {
                let word = with(512, bits, number * 7919);
                assert_eq!(value(512, bits, word), Some(number * 7919));
                let changed = (0..64).map(|bit| value(512, bits, word ^ 1 << bit));
                let moved = (1..64).map(|step| value(512 + 8 * step, bits, word));
                unseen += changed.chain(moved).flatten().count();
                assert_eq!(value(512, bits, 0), None);
            }
            assert!(unseen <= most, "{bits}: {unseen}");
        }
        assert_eq!(value_or_zero(512, 32, 0), Some(0));
        assert_eq!(value_or_zero(512, 32, 1), None);
    }
}
