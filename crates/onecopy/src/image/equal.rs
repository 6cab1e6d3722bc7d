//! Which values are equal as Python has it.

use super::hash;
use super::word::Scalar;

/// Whether two values are equal as Python has it, across the types of numbers.
#[must_use]
pub fn equal(left: &Scalar<'_>, right: &Scalar<'_>) -> bool {
    let int = |value: &Scalar<'_>| match *value {
        Scalar::Bool(value) => Some(i64::from(value)),
        Scalar::Int(value) => Some(value),
        _ => None,
    };
    match (left, right) {
        (Scalar::Pickle(_), _) | (_, Scalar::Pickle(_)) => false,
        _ if left == right => true,
        _ => match (int(left), int(right)) {
            (Some(left), Some(right)) => left == right,
            (Some(int), None) => equals_int(right, int),
            (None, Some(int)) => equals_int(left, int),
            // A float and a large int: equal if they are the same number, which is what the hash is made of.
            (None, None) => is_large(left, right) || is_large(right, left),
        },
    }
}

fn equals_int(value: &Scalar<'_>, int: i64) -> bool {
    let (Scalar::Float(float) | Scalar::Complex(float, 0.0)) = *value else {
        return false;
    };
    // 2^63 as a float is past every i64, and the cast back would saturate to one.
    #[allow(clippy::float_cmp)] // Exact numbers are compared.
    let equal = float < 9_223_372_036_854_775_808.0 && int as f64 == float && float as i64 == int;
    equal
}

/// Whether a float or complex equals a number past `i64`, or a complex equals a float.
fn is_large(float: &Scalar<'_>, other: &Scalar<'_>) -> bool {
    let (Scalar::Float(value) | Scalar::Complex(value, 0.0)) = *float else {
        return false;
    };
    match other {
        Scalar::Uint(_) | Scalar::Big(_) => {
            // Both hashes are made of the same shortest two's complement: compared under two seeds, 128 bits of them.
            let float = Scalar::Float(value);
            [0, u64::MAX]
                .into_iter()
                .all(|seed| hash::scalar(&float, seed) == hash::scalar(other, seed))
        }
        #[allow(clippy::float_cmp)]
        Scalar::Float(other) => value == *other,
        _ => false,
    }
}
