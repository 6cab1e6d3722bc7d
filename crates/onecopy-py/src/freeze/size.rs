//! How many bytes an object occupies, closely enough for a report.
#![allow(unsafe_code)] // Reads the lengths of objects.

use pyo3::ffi::{self, PyObject};

use super::classes::{Class, Native};
use crate::cpython::pylong;

/// Bytes of one entry of a dict with str keys, or of a set.
const ENTRY: u64 = 16;

/// # Safety
/// - `object` is a live instance of `class`, and the thread is attached.
#[inline]
pub(super) unsafe fn of(object: *mut PyObject, class: &Class) -> u64 {
    let own = class.fixed_bytes;
    match class.native {
        Native::Str => {
            // SAFETY: a str.
            let len = unsafe { ffi::PyUnicode_GET_LENGTH(object) }.unsigned_abs() as u64;
            // SAFETY: a str.
            let kind = u64::from(unsafe { ffi::PyUnicode_KIND(object) });
            // The head of an ASCII str is 16 bytes shorter (Include/cpython/unicodeobject.h); most of kind 1 are ASCII.
            let head = if kind == 1 { 40 } else { 56 };
            head + (len + 1) * kind
        }
        Native::Int => {
            // SAFETY: an int or an instance of a subclass, which begins like an int.
            let (_, digits) = unsafe { pylong::digits(object) };
            own + 4 * (digits.len() as u64).max(1)
        }
        Native::Bytes | Native::Tuple => {
            let item = if class.native == Native::Bytes { 1 } else { 8 };
            // SAFETY: an object with a length.
            own + item * unsafe { ffi::Py_SIZE(object) }.unsigned_abs() as u64
        }
        Native::List => {
            // SAFETY: a list.
            own + 8 * unsafe { (*object.cast::<ffi::PyListObject>()).allocated }.unsigned_abs()
                as u64
        }
        Native::Dict => {
            // SAFETY: a dict.
            let len = unsafe { ffi::PyDict_Size(object) }.unsigned_abs() as u64;
            own + if len == 0 { 0 } else { table(len) }
        }
        Native::Set | Native::FrozenSet => {
            // SAFETY: a set.
            let mask = unsafe { (*object.cast::<ffi::PySetObject>()).mask }.unsigned_abs() as u64;
            // Up to eight entries lie in the set itself.
            own + if mask < 8 { 0 } else { (mask + 1) * ENTRY }
        }
        _ => own,
    }
}

/// The keys, values and indexes of a dict that has grown to this length (Objects/dictobject.c: two thirds full).
fn table(len: u64) -> u64 {
    let slots = (len * 3 / 2 + 1).next_power_of_two().max(8);
    let index = match slots {
        0..=0x80 => 1,
        0x81..=0x8000 => 2,
        _ => 4,
    };
    32 + slots * index + slots * 2 / 3 * ENTRY
}
