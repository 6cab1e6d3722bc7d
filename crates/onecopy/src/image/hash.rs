//! The hash of keys: part of the format, the same in every process and on every machine.
//!
//! Python's own `hash()` of text differs from process to process, so an index of keys needs another. Values that are
//! equal in Python have equal hashes here: `1`, `1.0` and `True`; `0.0` and `-0.0`; `2**70` and `float(2**70)`.
//!
//! | key | hash |
//! |---|---|
//! | str | XXH3-64 of its bytes, seed ^ (kind << 56) ^ 2^63 |
//! | bytes | XXH3-64 of its bytes, seed ^ 2^62 |
//! | tuple | XXH3-64 of the hashes of its elements, seed ^ 2^61 |
//! | frozenset | the sum of its elements' hashes, as one more int |
//! | int of 64 bits | `SplitMix64`'s finalizer of value + seed · 0x9E3779B97F4A7C15 |
//! | int from 2^63 on | XXH3-64 of the shortest two's complement, seed ^ 2^60 |
//! | float with an integer value | that of the int |
//! | other floats | XXH3-64 of the 8 bytes, seed ^ 2^59 |
//! | complex | that of its real part if the imaginary part is 0, else XXH3-64 of the 16 bytes, −0.0 as 0.0, seed ^ 2^58 |
//! | None | XXH3-64 of the four letters, seed |
//!
//! XXH3 is specified at <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>; `SplitMix64`'s finalizer is
//! Stafford's "Mix13".

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use super::text::Text;
use super::word::Scalar;

/// The hash of a value, or `None` if it is opaque: nothing but Python can compare it.
#[must_use]
#[inline]
pub fn scalar(value: &Scalar<'_>, seed: u64) -> Option<u64> {
    Some(match *value {
        Scalar::Str(value) => text(value, seed),
        Scalar::Int(value) => int(value, seed),
        Scalar::Bool(value) => int(i64::from(value), seed),
        Scalar::Float(value) => float(value, seed),
        Scalar::None => xxh3_64_with_seed(b"None", seed),
        Scalar::Bytes(value) => xxh3_64_with_seed(value, seed ^ (1 << 62)),
        Scalar::Uint(value) => {
            // Nine bytes, as the highest of eight would be taken for a sign.
            let wide = u128::from(value).to_le_bytes();
            big(wide.first_chunk::<9>().map_or(&[], |bytes| bytes), seed)
        }
        Scalar::Big(value) => big(value, seed),
        Scalar::Complex(real, 0.0) => float(real, seed),
        Scalar::Complex(real, imaginary) => {
            // -0.0 equals 0.0.
            let [real, imaginary] =
                [real, imaginary].map(|part| if part == 0.0 { 0.0 } else { part });
            let both = (u128::from(imaginary.to_bits()) << 64) | u128::from(real.to_bits());
            xxh3_64_with_seed(&both.to_le_bytes(), seed ^ (1 << 58))
        }
        Scalar::Pickle(_) | Scalar::Class(_) => return None,
    })
}

/// A digest of a whole image, XXH3-128: no part of the format, but by what caches know that data are the same.
#[must_use]
pub fn digest(image: &[u8]) -> u128 {
    xxh3_128(image)
}

/// The hash of text.
#[must_use]
#[inline]
pub fn text(value: Text<'_>, seed: u64) -> u64 {
    xxh3_64_with_seed(value.bytes, seed ^ ((value.kind as u64) << 56) ^ (1 << 63))
}

/// The hash of a tuple whose elements have these.
#[must_use]
pub fn tuple(elements: &[u64], seed: u64) -> u64 {
    xxh3_64_with_seed(bytemuck::cast_slice(elements), seed ^ (1 << 61))
}

/// The hash of a frozenset whose elements have these.
#[must_use]
pub fn frozenset(elements: impl Iterator<Item = u64>, seed: u64) -> u64 {
    let sum = elements.fold(1, |sum: u64, hash| sum.wrapping_add(hash));
    int(sum.cast_signed(), !seed)
}

/// The hash of an int of 64 bits.
#[must_use]
#[inline]
pub fn int(value: i64, seed: u64) -> u64 {
    let mut z = value
        .cast_unsigned()
        .wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn big(shortest: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(shortest, seed ^ (1 << 60))
}

fn float(value: f64, seed: u64) -> u64 {
    /// 2^63: every float of a smaller magnitude that is an integer is one of 64 bits.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    // The comparison of exact values is the point.
    #[allow(clippy::float_cmp)]
    if !value.is_finite() || value.trunc() != value {
        return xxh3_64_with_seed(&value.to_le_bytes(), seed ^ (1 << 59));
    }
    if (-LIMIT..LIMIT).contains(&value) {
        return int(value as i64, seed);
    }
    let (bytes, len) = wide(value);
    big(bytes.get(..len).unwrap_or_default(), seed)
}

/// The shortest two's complement of an integral float past 64 bits, and its length.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Every bound is that of an exponent below 1024.
fn wide(value: f64) -> ([u8; 136], usize) {
    let bits = value.to_bits();
    let exponent = (((bits >> 52) & 0x7ff) as usize).saturating_sub(1075);
    let mantissa = u128::from((bits & ((1 << 52) - 1)) | (1 << 52)) << (exponent % 8);
    let mut bytes = [0_u8; 136];
    for (slot, byte) in bytes
        .iter_mut()
        .skip(exponent / 8)
        .zip(mantissa.to_le_bytes())
    {
        *slot = byte;
    }
    if value < 0.0 {
        let mut carry = true;
        for byte in &mut bytes {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, over);
        }
    }
    let fill = if value < 0.0 { 0xff } else { 0 };
    let mut len = bytes.len();
    while len > 1 && bytes[len - 1] == fill && (bytes[len - 2] ^ fill) & 0x80 == 0 {
        len -= 1;
    }
    (bytes, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_have_equal_hashes() {
        for value in [0_i64, 1, -1, 255, 1 << 40, i64::MIN] {
            let float = Scalar::Float(value as f64);
            assert_eq!(scalar(&Scalar::Int(value), 3), scalar(&float, 3));
        }
        assert_eq!(scalar(&Scalar::Bool(true), 0), scalar(&Scalar::Int(1), 0));
        assert_eq!(scalar(&Scalar::Float(-0.0), 0), scalar(&Scalar::Int(0), 0));
        assert_eq!(
            scalar(&Scalar::Uint(1 << 63), 0),
            scalar(&Scalar::Float(9_223_372_036_854_775_808.0), 0)
        );
    }

    #[test]
    fn complex_zeros_of_either_sign_hash_alike() {
        let hash = |real, imaginary| scalar(&Scalar::Complex(real, imaginary), 0);
        assert_eq!(hash(0.0, -1.0), hash(-0.0, -1.0));
        assert_eq!(hash(-0.0, 0.0), hash(0.0, -0.0));
        assert_ne!(hash(0.0, 1.0), hash(0.0, -1.0));
    }

    #[test]
    fn floats_past_64_bits_hash_as_ints() {
        let mut two_to_70 = vec![0; 9];
        two_to_70[8] = 0x40;
        assert_eq!(
            scalar(&Scalar::Big(&two_to_70), 0),
            scalar(&Scalar::Float(2_f64.powi(70)), 0)
        );
        two_to_70[8] = 0xc0;
        assert_eq!(
            scalar(&Scalar::Big(&two_to_70), 0),
            scalar(&Scalar::Float(-(2_f64.powi(70))), 0)
        );
        let mut minus_two_to_71 = vec![0; 9];
        minus_two_to_71[8] = 0x80;
        assert_eq!(
            scalar(&Scalar::Big(&minus_two_to_71), 0),
            scalar(&Scalar::Float(-(2_f64.powi(71))), 0)
        );
    }
}
