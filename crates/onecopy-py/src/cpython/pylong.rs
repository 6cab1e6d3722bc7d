//! How `CPython` lays out an int: the one file that knows.
//!
//! | version | after the object's head of 16 bytes |
//! |---|---|
//! | 3.11 | `ob_size` (8 bytes, negative for a negative int, else the number of digits), digits |
//! | 3.12 – 3.14 | `lv_tag` (8 bytes: bits 0–1 are 0 positive, 1 zero, 2 negative; bits 3 and up the number of digits), digits |
//!
//! A digit is a `u32` with 30 bits, lowest first. Sources: `Include/cpython/longintrepr.h` of 3.11, 3.12, 3.13, 3.14. In
//! 3.14 bit 2 of the tag marks the ints that the interpreter keeps for ever, which is nothing to a reader.
//!
//! **Invariants.** `L1`: [`check`] ran when the module was imported and found that known ints read as they should;
//! otherwise the import failed. `L2`: an int does not change while somebody has it: [`renew`] writes to those alone that only
//! its caller refers to. `L3`: if `layouts::values_are_known` says so, [`makes`] found that an int that is made by hand is
//! word for word the one that the interpreter makes.
#![allow(unsafe_code)] // Reads the fields of ints that the C API has no inlined access to.

use pyo3::exceptions::PyImportError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use super::layouts;

const DIGIT_BITS: u32 = 30;
const DIGIT_MASK: u64 = (1 << DIGIT_BITS) - 1;
/// The smallest numbers that take two digits, and three.
const MAGNITUDE_OF_2: u64 = 1 << DIGIT_BITS;
const MAGNITUDE_OF_3: u64 = 1 << (2 * DIGIT_BITS);

/// The head of an int object, with the first of its digits.
#[repr(C)]
struct Long {
    base: PyObject,
    tag: usize,
    digits: [u32; 1],
}

const _: () = assert!(size_of::<PyObject>() == 16 && std::mem::offset_of!(Long, digits) == 24);

/// An int of one digit or two on its way out. The interpreter takes 32 bytes for either.
#[repr(C)]
struct Made {
    references: u64,
    class: *mut ffi::PyTypeObject,
    tag: usize,
    digits: [u32; 2],
}

const _: () = assert!(size_of::<Made>() == 32);

/// The interpreter keeps ints of smaller magnitudes (to 256, and 1,024 from 3.15 on).
const KEPT: u64 = 4096;

/// Whether it is negative, and how many digits it has.
#[inline]
const fn sign_and_digit_count(tag: usize) -> (bool, usize) {
    if cfg!(Py_3_12) {
        (tag & 3 == 2, tag >> 3)
    } else {
        let size = tag.cast_signed();
        (size < 0, size.unsigned_abs())
    }
}

/// What stands there for an int of `count` digits.
#[inline]
const fn tag_of(negative: bool, count: usize) -> usize {
    if cfg!(Py_3_12) {
        (count << 3) | if negative { 2 } else { 0 }
    } else if negative {
        count.wrapping_neg()
    } else {
        count
    }
}

/// Whether `object` is an int and not of a subclass.
///
/// # Safety
/// - `object` is a live Python object, and the thread is attached.
#[inline]
pub(crate) unsafe fn is_exact_int(object: *mut PyObject) -> bool {
    // SAFETY: reads the class in the head of `object`, which is live, and which no other thread writes to while this
    // one is attached: this function's own duties.
    let class = unsafe { ffi::Py_TYPE(object) };
    std::ptr::eq(class, &raw const ffi::PyLong_Type)
}

/// The digits of an int, and whether it is negative.
///
/// # Safety
/// - `object` is a live and exact int that outlives the slice.
#[inline]
pub(crate) unsafe fn digits<'a>(object: *mut PyObject) -> (bool, &'a [u32]) {
    let long = object.cast::<Long>();
    // SAFETY: an exact int has this layout (L1), and does not change while the caller has it (L2).
    let tag = unsafe { (*long).tag };
    let (negative, count) = sign_and_digit_count(tag);
    // SAFETY: the address of a field of the int, which is live, as this function asks, and has one (L1); nothing is read.
    let first = unsafe { &raw const (*long).digits }.cast::<u32>();
    // SAFETY: an int holds as many digits as its tag says (L1), of four bytes each, which the caller keeps as they are
    // (L2).
    (negative, unsafe {
        std::slice::from_raw_parts(first, count)
    })
}

/// The value of an int of one digit or none: most of those that exist.
///
/// # Safety
/// - `object` is a live and exact int.
#[inline]
pub(crate) unsafe fn small(object: *mut PyObject) -> Option<i64> {
    let long = object.cast::<Long>();
    // SAFETY: an exact int has this layout (L1), and does not change while the caller has it (L2).
    let tag = unsafe { (*long).tag };
    let (negative, count) = sign_and_digit_count(tag);
    if count > 1 {
        return None;
    }
    // SAFETY: the same int. Every int has room for one digit, that of zero as well, where it is 0 since 3.12 and is not
    // used before.
    let digit = unsafe { (*long).digits[0] };
    if cfg!(Py_3_12) {
        // 1 for a positive one, 0 for zero, −1 for a negative one: no branch, and nothing to wait for.
        return Some(i64::from(digit) * (1 - (tag & 3).cast_signed() as i64));
    }
    let magnitude = if count == 0 { 0 } else { i64::from(digit) };
    Some(if negative { -magnitude } else { magnitude })
}

/// The value of an int, if 64 bits hold it.
///
/// # Safety
/// - `object` is a live and exact int.
#[inline]
pub(crate) unsafe fn to_i64(object: *mut PyObject) -> Option<i64> {
    // SAFETY: a live and exact int, as this function asks too.
    if let Some(value) = unsafe { small(object) } {
        return Some(value);
    }
    // SAFETY: a live and exact int, as this function asks; the slice is not used after this function.
    let (negative, digits) = unsafe { digits(object) };
    if let [low, high] = digits {
        let magnitude = i64::from(*low) | (i64::from(*high) << DIGIT_BITS);
        return Some(if negative { -magnitude } else { magnitude });
    }
    to_i64_slow(negative, digits)
}

#[cold]
fn to_i64_slow(negative: bool, digits: &[u32]) -> Option<i64> {
    let magnitude = i128::try_from(magnitude(digits)?).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Writes another value into an int, if it is one and the value takes as many digits; tells whether it did.
///
/// # Safety
/// - `object` is a live object that nobody but the caller has a reference to, and none of those that the interpreter
///   keeps; the thread is attached.
#[inline]
pub(crate) unsafe fn renew(object: *mut PyObject, value: i64) -> bool {
    // SAFETY: a live object and an attached thread, as this function asks too.
    if !unsafe { is_exact_int(object) } {
        return false;
    }
    let long = object.cast::<Long>();
    // SAFETY: an exact int, as was just found, has this layout (L1); nobody writes to it, as only the caller has it.
    let tag = unsafe { (*long).tag };
    let (_, count) = sign_and_digit_count(tag);
    let magnitude = value.unsigned_abs();
    let needed = match magnitude {
        0 => 0,
        1..MAGNITUDE_OF_2 => 1,
        MAGNITUDE_OF_2..MAGNITUDE_OF_3 => 2,
        _ => 3,
    };
    if needed != count || needed == 0 {
        return false;
    }
    // SAFETY: the address of a field of the same int, which has one (L1); nothing is read.
    let mut digit = unsafe { &raw mut (*long).digits }.cast::<u32>();
    let mut rest = magnitude;
    for _ in 0..count {
        // SAFETY: one of the `count` digits that the int has room for, as its tag says (L1), four bytes each and
        // aligned so. Nobody else reads it: only the caller has the int.
        unsafe { digit.write((rest & DIGIT_MASK) as u32) };
        rest >>= DIGIT_BITS;
        digit = digit.wrapping_add(1);
    }
    // SAFETY: a field of the same int (L1), which nobody else reads. It says as many digits as before.
    unsafe { (*long).tag = tag_of(value < 0, count) };
    true
}

/// A new int, or null with an exception set. One that is none of those that the interpreter keeps, and of at most 60 bits,
/// is made by hand: that takes 6 ns, and `PyLong_FromLongLong` 10.
///
/// # Safety
/// - the thread is attached.
#[inline]
pub(crate) unsafe fn new(value: i64) -> *mut PyObject {
    let magnitude = value.unsigned_abs();
    if !(KEPT..MAGNITUDE_OF_3).contains(&magnitude) || !layouts::values_are_known() {
        // SAFETY: takes a plain number; attached, as this function asks.
        return unsafe { ffi::PyLong_FromLongLong(value) };
    }
    // SAFETY: one or two digits, as was just found; attached, as this function asks; the layout holds (L3).
    unsafe { make(value) }
}

/// Makes an int by hand; null with an exception set.
///
/// # Safety
/// - the value is none of those that the interpreter keeps, and takes one digit or two;
/// - the thread is attached, and the layout holds, or nobody else gets to see the int.
#[inline]
unsafe fn make(value: i64) -> *mut PyObject {
    // SAFETY: takes a plain number; attached, as this function asks.
    let long = unsafe { ffi::PyObject_Malloc(size_of::<Made>()) }.cast::<Made>();
    if long.is_null() {
        // SAFETY: attached, as this function asks.
        return unsafe { ffi::PyErr_NoMemory() };
    }
    let magnitude = value.unsigned_abs();
    let digits = [
        (magnitude & DIGIT_MASK) as u32,
        (magnitude >> DIGIT_BITS) as u32,
    ];
    let count = if digits[1] == 0 { 1 } else { 2 };
    let made = Made {
        // A reference count of 1, and no flags.
        references: 1,
        class: &raw mut ffi::PyLong_Type,
        tag: tag_of(value < 0, count),
        digits,
    };
    // SAFETY: new memory of this size, which the allocator of objects aligns to 16 bytes, and which nobody else has.
    unsafe { long.write(made) };
    long.cast()
}

/// The value of digits, if 120 bits hold it.
fn magnitude(digits: &[u32]) -> Option<u128> {
    (digits.len() <= 4).then(|| {
        digits
            .iter()
            .rev()
            .fold(0, |value, &digit| (value << DIGIT_BITS) | u128::from(digit))
    })
}

/// The value of an int from 2^63 to 2^64 − 1.
pub(crate) fn to_large_u64(negative: bool, digits: &[u32]) -> Option<u64> {
    let value = u64::try_from(magnitude(digits)?).ok()?;
    (!negative && value > i64::MAX.unsigned_abs()).then_some(value)
}

/// Replaces the content of `out` by the value in two's complement, little-endian, in the fewest bytes.
pub(crate) fn to_bytes(negative: bool, digits: &[u32], out: &mut Vec<u8>) {
    out.clear();
    let (mut pending, mut bits) = (0_u64, 0);
    // -m is the complement of m - 1.
    let mut borrow = u64::from(negative);
    for &digit in digits {
        let digit = u64::from(digit);
        let lowered = digit.wrapping_sub(borrow) & ((1 << DIGIT_BITS) - 1);
        borrow = u64::from(borrow > digit);
        pending |= lowered << bits;
        bits += DIGIT_BITS;
        while bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    out.push(pending as u8);
    while out.len() > 1 && out.last() == Some(&0) {
        out.pop();
    }
    if out.last().is_some_and(|&last| last & 0x80 != 0) {
        out.push(0);
    }
    if negative {
        for byte in out {
            *byte = !*byte;
        }
    }
}

/// Reads ints whose values are known, and fails if this interpreter lays them out in another way.
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    let known = [
        0,
        1,
        -1,
        300,
        -300,
        (1 << 30) - 1,
        1 << 30,
        -(1 << 30),
        (1 << 60) - 1,
        1 << 60,
    ]
    .into_iter()
    .chain([-(1 << 60), i64::MAX, i64::MIN]);
    for expected in known {
        let object = expected.into_pyobject(py)?;
        // SAFETY: `object` holds an int that was made of a number, so it is exact. L1 is being found out here: PyO3's
        // type of ints has at least these words.
        let found = unsafe { to_i64(object.as_ptr()) };
        if found != Some(expected) {
            let text = format!(
                "onecopy does not know how this Python lays out ints: {expected} read as {found:?}"
            );
            return Err(PyImportError::new_err(text));
        }
    }
    Ok(())
}

/// Whether ints that are made by hand are as those of the interpreter.
pub(super) fn makes(py: Python<'_>) -> PyResult<bool> {
    for value in [
        5000,
        -5000,
        (1 << 30) - 1,
        1 << 30,
        -(1 << 40),
        (1 << 60) - 1,
    ] {
        // SAFETY: takes a plain number; attached, as `py` shows.
        let theirs = unsafe { ffi::PyLong_FromLongLong(value) };
        // SAFETY: `PyLong_FromLongLong` gives a new reference, or null with an exception set.
        let theirs = unsafe { Bound::from_owned_ptr_or_err(py, theirs) }?;
        // SAFETY: none of the ints that are kept, of one digit or two; attached, as `py` shows. If the layout is another,
        // nobody but this function sees it.
        let ours = unsafe { make(value) };
        if ours.is_null() {
            return Err(PyErr::fetch(py));
        }
        let words = |object: *mut PyObject| -> [u64; 3] {
            // SAFETY: a live int, or what `make` has filled: at least the head and the tag lie there, aligned to 16 bytes.
            unsafe { object.cast::<[u64; 3]>().read() }
        };
        if words(ours) != words(theirs.as_ptr()) {
            // SAFETY: memory that `make` took, which nobody else has.
            unsafe { ffi::PyObject_Free(ours.cast()) };
            return Ok(false);
        }
        // SAFETY: head and tag are those of an int, and the digits stand where L1 says: the one reference to a new int.
        let ours = unsafe { Bound::from_owned_ptr(py, ours) };
        if !ours.eq(&theirs)? || ours.repr()?.to_str()? != value.to_string() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether ints of as many digits become what is written into them.
pub(super) fn renews(py: Python<'_>) -> PyResult<bool> {
    let pairs = [
        (5000, -6000),
        (-5000, 1 << 29),
        (1 << 40, -(1 << 59)),
        (i64::MIN, i64::MAX),
    ];
    for (first, second) in pairs {
        // SAFETY: takes a plain number; attached, as `py` shows.
        let object = unsafe { ffi::PyLong_FromLongLong(first) };
        // SAFETY: `PyLong_FromLongLong` gives a new reference, or null with an exception set.
        let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
        // SAFETY: a new int, as its absolute value is past those that the interpreter keeps; only `object` refers to
        // it, and `py` shows that the thread is attached.
        let renewed = unsafe { renew(object.as_ptr(), second) };
        if !renewed || !object.eq(second)? || object.repr()?.to_str()? != second.to_string() {
            return Ok(false);
        }
    }
    Ok(true)
}
