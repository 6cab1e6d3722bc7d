//! Where the characters of a str lie, and how wide they are.
//!
//! | str | its characters |
//! |---|---|
//! | ASCII | one byte each, right behind a `PyASCIIObject` |
//! | other, compact | 1, 2 or 4 bytes each, behind a `PyCompactUnicodeObject`: `PyUnicode_DATA` knows |
//!
//! Source: `Include/cpython/unicodeobject.h` of 3.11 to 3.14. Before 3.12 a str may exist whose characters are not laid
//! out yet ([`is_ready`]).
//!
//! **Invariant.** `U1`: [`check`] ran when the module was imported and found the characters of an ASCII str where
//! [`new_ascii`] says, and strs as large as [`bytes`] says; otherwise the import failed.
#![allow(
    unsafe_code,
    reason = "reads and writes the characters of strs where they lie"
)]

use pyo3::exceptions::PyImportError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A new ASCII str of `len` characters and where they go; null with an exception set if there is no memory. The
/// characters have to be written before anybody sees the str.
///
/// # Safety
/// - the thread is attached to the interpreter.
#[inline]
pub(crate) unsafe fn new_ascii(len: usize) -> (*mut PyObject, *mut u8) {
    // SAFETY: attached, as this function asks; 0x7f is a largest character that stands for ASCII.
    let object = unsafe { ffi::PyUnicode_New(len.cast_signed(), 0x7f) };
    // Only an address: of the str, or of nothing.
    let characters = object.cast::<ffi::PyASCIIObject>().wrapping_add(1);
    (object, characters.cast())
}

/// Bits of a str's state that say that the interpreter knows it by its content.
const INTERNED: u32 = 0b11;

/// Where other characters can be written into an ASCII str: as many as it has. `None` if it has another number of them,
/// or is interned.
///
/// # Safety
/// - [`new_ascii`] made `object`, with more than one character, and nobody but the caller has a reference to it.
#[inline]
pub(crate) unsafe fn renew_ascii(object: *mut PyObject, len: usize) -> Option<*mut u8> {
    let text = object.cast::<ffi::PyASCIIObject>();
    // SAFETY: `new_ascii` made it, so it begins with a `PyASCIIObject`; it is live and only the caller has it, as this
    // function asks, so nobody writes its fields meanwhile.
    let found = unsafe { (*text).length };
    // SAFETY: another field of the same str, which nobody writes meanwhile.
    let state = unsafe { (*text).state };
    if found.cast_unsigned() != len || state & INTERNED != 0 {
        return None;
    }
    // SAFETY: another field of the same str, which nobody writes meanwhile. What is kept here was made of its characters.
    #[cfg(not(Py_3_12))]
    if !unsafe { (*text).wstr }.is_null() {
        return None;
    }
    // SAFETY: another field of the same str, which nobody reads meanwhile. -1 stands for a hash that was not asked for.
    unsafe { (*text).hash = -1 };
    Some(text.wrapping_add(1).cast())
}

/// Whether the interpreter knows a str by its content: no other one that it knows is equal.
///
/// # Safety
/// - `object` is a live str, of whichever class, and the thread is attached.
#[inline]
pub(crate) unsafe fn is_interned(object: *mut PyObject) -> bool {
    // SAFETY: every str begins with a `PyASCIIObject`; attached, as this function asks, so nobody writes it meanwhile.
    let state = unsafe { (*object.cast::<ffi::PyASCIIObject>()).state };
    state & INTERNED != 0
}

/// Whether the characters of a str are laid out. Before 3.12 one may exist whose are not; then they are laid out now.
///
/// # Safety
/// - `object` is a live and exact str, and the thread is attached.
#[inline]
pub(crate) unsafe fn is_ready(object: *mut PyObject) -> bool {
    // SAFETY: a live and exact str, as this function asks. Since 3.12 this does nothing.
    unsafe { ffi::PyUnicode_READY(object) == 0 }
}

/// The characters of a str as they lie, how many bytes each has, and whether all are ASCII.
///
/// # Safety
/// - `object` is a live and exact str that is ready and outlives the result; the thread is attached.
#[inline]
pub(crate) unsafe fn characters<'a>(object: *mut PyObject) -> (&'a [u8], usize, bool) {
    // SAFETY: an exact str that is ready, as this function asks, knows the width of its characters.
    let width = unsafe { ffi::PyUnicode_KIND(object) } as usize;
    // SAFETY: an exact str that is ready, as this function asks, has its characters at this address.
    let start = unsafe { ffi::PyUnicode_DATA(object) }.cast::<u8>();
    // SAFETY: an exact str that is ready, as this function asks, knows how many there are.
    let count = unsafe { ffi::PyUnicode_GET_LENGTH(object) }.unsigned_abs();
    // SAFETY: a str of `count` characters of this width, which outlives the slice and does not change while the caller
    // has it: [`renew_ascii`] is for those that only its caller refers to.
    let bytes = unsafe { std::slice::from_raw_parts(start, count * width) };
    // PyO3 does not have the flag of 3.14; a str of one byte a character is ASCII exactly if its bytes are.
    #[cfg(Py_3_14)]
    let ascii = width == 1 && bytes.is_ascii();
    // SAFETY: an exact str that is ready, as this function asks, has this flag set or not.
    #[cfg(not(Py_3_14))]
    let ascii = unsafe { ffi::PyUnicode_IS_ASCII(object) } != 0;
    (bytes, width, ascii)
}

/// Bytes of a str, taken for ASCII if its characters have one byte each: most such are.
///
/// # Safety
/// - `object` is a live str, of whichever class, that is ready, and the thread is attached.
#[inline]
pub(crate) unsafe fn bytes(object: *mut PyObject) -> usize {
    // SAFETY: a live str that is ready, as this function asks, knows how many characters it has.
    let len = unsafe { ffi::PyUnicode_GET_LENGTH(object) }.unsigned_abs();
    // SAFETY: a live str that is ready, as this function asks, knows the width of its characters.
    let width = unsafe { ffi::PyUnicode_KIND(object) } as usize;
    let head = if width == 1 {
        size_of::<ffi::PyASCIIObject>()
    } else {
        size_of::<ffi::PyCompactUnicodeObject>()
    };
    head + (len + 1) * width
}

/// Fails if the characters of an ASCII str lie elsewhere in this interpreter.
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    // SAFETY: attached, as `py` shows.
    let (object, to) = unsafe { new_ascii(7) };
    // SAFETY: what `new_ascii` gives: null with an exception, or a new reference that nobody else has.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
    // SAFETY: `object` is the new str, exact and ready as `PyUnicode_New` makes them.
    let expected = unsafe { ffi::PyUnicode_DATA(object.as_ptr()) };
    let unknown = || PyImportError::new_err("onecopy does not know how this Python lays out strs");
    // A str is released without a look at its characters.
    let is_where_expected = to.cast() == expected;
    let wide = PyString::new(py, "\u{20ac}\u{20ac}\u{20ac}");
    let sized = |text: &Bound<'_, PyString>| -> PyResult<bool> {
        // SAFETY: a live str that was made from text is an exact one and ready.
        let bytes = unsafe { bytes(text.as_ptr()) };
        Ok(text.call_method0("__sizeof__")?.extract::<usize>()? == bytes)
    };
    if !is_where_expected || !sized(&PyString::new(py, "ascii"))? || !sized(&wide)? {
        return Err(unknown());
    }
    Ok(())
}

/// Whether a str that gets other characters becomes another one, and one that is interned does not get any.
pub(super) fn renews(py: Python<'_>) -> PyResult<bool> {
    let (first, second) = (b"onecopy: 1", b"onecopy: 2");
    // SAFETY: attached, as `py` shows.
    let (object, to) = unsafe { new_ascii(first.len()) };
    // SAFETY: what `new_ascii` gives: null with an exception set, or a new reference that nobody else has.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
    // SAFETY: `to` has room for `first.len()` characters (U1), in a str that was just made and that nobody has seen.
    unsafe { std::ptr::copy_nonoverlapping(first.as_ptr(), to, first.len()) };
    let before = object.hash()?;
    // SAFETY: `new_ascii` made it above, with more than one character, and only `object` refers to it.
    let Some(to) = (unsafe { renew_ascii(object.as_ptr(), second.len()) }) else {
        return Ok(false);
    };
    // SAFETY: `to` has room for as many characters as the str has, which are `second.len()`, and nobody else has the str.
    unsafe { std::ptr::copy_nonoverlapping(second.as_ptr(), to, second.len()) };
    if object.hash()? == before || !object.eq("onecopy: 2")? {
        return Ok(false);
    }
    let mut interned = object.into_ptr();
    // SAFETY: the variable owns a reference to an exact str; it gets one to an equal str in its place, or keeps it.
    // Attached, as `py` shows.
    unsafe { ffi::PyUnicode_InternInPlace(&raw mut interned) };
    // SAFETY: the reference that the variable owns, whether it was exchanged or not; the variable is not used again.
    let interned = unsafe { Bound::from_owned_ptr(py, interned) };
    // SAFETY: `new_ascii` made it, or it equals the str that it made, so it has the same layout and more than one
    // character. Others may refer to it, which this only finds out: nothing is written to a str that is interned.
    Ok(unsafe { renew_ascii(interned.as_ptr(), second.len()) }.is_none())
}
