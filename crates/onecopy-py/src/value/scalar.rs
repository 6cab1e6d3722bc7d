//! From a plain value to its Python object.
//!
//! The functions give what slots give: a new reference, or null with an exception set.
//!
//! **Invariants.** `V1`: they are called by threads that are attached to the interpreter: by decoders, which ask for it,
//! and by those who hold a `Python`. `V2`: what stands in [`SMALL`] is null or an int to which the place owns a reference
//! for ever.
#![allow(
    unsafe_code,
    reason = "the C API makes objects at a fraction of the cost of PyO3's calls"
)]

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use onecopy::image::{ImageError, Scalar};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use super::{failure, text};
use crate::cpython::pylong;

/// The object of a plain value.
pub(crate) fn object<'py>(py: Python<'py>, value: &Scalar<'_>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: `raw` gives a new reference, or null with an exception set; `py` shows that the thread is attached (V1).
    unsafe { Bound::from_owned_ptr_or_err(py, raw(value)) }
}

/// Ints kept in this process once one of them has been read: what most small columns are made of. `CPython` keeps those
/// from −5 to 256 itself; with these, a list of ints to a thousand is read without allocating.
const SMALL_LOW: i64 = -1024;
const SMALL_COUNT: usize = 5120;
static SMALL: [AtomicPtr<PyObject>; SMALL_COUNT] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SMALL_COUNT];

/// An int as a new reference.
#[inline]
pub(crate) fn int(value: i64) -> *mut PyObject {
    small(value).unwrap_or_else(|| large(value))
}

/// An int that is kept, as a new reference, or null with an exception set; `None` if it is none of those.
#[inline]
pub(crate) fn small(value: i64) -> Option<*mut PyObject> {
    let slot = value.wrapping_sub(SMALL_LOW).cast_unsigned();
    if slot >= SMALL_COUNT as u64 {
        return None;
    }
    let kept = &SMALL[slot as usize];
    // Relaxed: the interpreter's lock orders this load after the store that filled the slot.
    let object = kept.load(Ordering::Relaxed);
    Some(if object.is_null() {
        keep(kept, value)
    } else {
        // SAFETY: the place owns a reference for ever (V2).
        unsafe { new_reference(object) }
    })
}

/// A new int, or null with an exception set.
#[inline]
pub(crate) fn large(value: i64) -> *mut PyObject {
    // SAFETY: this folder's functions are called attached to the interpreter (V1).
    unsafe { pylong::new(value) }
}

#[cold]
fn keep(slot: &AtomicPtr<PyObject>, value: i64) -> *mut PyObject {
    let object = large(value);
    if object.is_null() {
        return object;
    }
    slot.store(object, Ordering::Relaxed);
    // SAFETY: the place owns the first reference for ever from now on (V2).
    unsafe { new_reference(object) }
}

/// # Safety
/// - `object` is a live object.
#[inline]
unsafe fn new_reference(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live object, as this function asks, and an attached thread (V1).
    unsafe { ffi::Py_INCREF(object) };
    object
}

#[inline]
pub(crate) fn none() -> *mut PyObject {
    // SAFETY: reads the address of an object of the interpreter's own.
    let none = unsafe { ffi::Py_None() };
    // SAFETY: it lives as long as the interpreter, in which this thread runs (V1).
    unsafe { new_reference(none) }
}

#[inline]
pub(crate) fn bool_object(value: bool) -> *mut PyObject {
    if value {
        // SAFETY: reads the address of an object of the interpreter's own.
        let yes = unsafe { ffi::Py_True() };
        // SAFETY: it lives as long as the interpreter, in which this thread runs (V1).
        unsafe { new_reference(yes) }
    } else {
        // SAFETY: reads the address of an object of the interpreter's own.
        let no = unsafe { ffi::Py_False() };
        // SAFETY: it lives as long as the interpreter, in which this thread runs (V1).
        unsafe { new_reference(no) }
    }
}

#[inline]
pub(crate) fn bytes(content: &[u8]) -> *mut PyObject {
    // SAFETY: as many bytes are readable there as the slice says; the caller is attached (V1).
    unsafe { ffi::PyBytes_FromStringAndSize(content.as_ptr().cast(), content.len().cast_signed()) }
}

/// The object of a value that came from a blob.
pub(crate) fn raw(value: &Scalar<'_>) -> *mut PyObject {
    match *value {
        Scalar::None => none(),
        Scalar::Bool(value) => bool_object(value),
        Scalar::Int(value) => int(value),
        // SAFETY: takes a plain number; whoever calls functions of this folder is attached (V1).
        Scalar::Uint(value) => unsafe { ffi::PyLong_FromUnsignedLongLong(value) },
        Scalar::Big(content) => big(content),
        // SAFETY: takes a plain number; whoever calls functions of this folder is attached (V1).
        Scalar::Float(value) => unsafe { ffi::PyFloat_FromDouble(value) },
        Scalar::Str(content) => text::new(content),
        Scalar::Bytes(content) => bytes(content),
        // SAFETY: takes a plain number; whoever calls functions of this folder is attached (V1).
        Scalar::Complex(real, imaginary) => unsafe { ffi::PyComplex_FromDoubles(real, imaginary) },
        Scalar::Pickle(_) | Scalar::Class(_) => failure::raise(ImageError::Corrupt {
            offset: 0,
            what: "a pickle or class where a value was expected",
        }),
    }
}

/// An int past 64 bits, from two's complement.
fn big(content: &[u8]) -> *mut PyObject {
    // The interpreter goes through the bytes more than once, and another process may change them meanwhile.
    let content = content.to_vec();
    let start = content.as_ptr();
    #[cfg(Py_3_13)]
    // SAFETY: as many bytes are readable there as the vector says, which lives to the end of this function; attached
    // (V1).
    return unsafe {
        let flags = ffi::Py_ASNATIVEBYTES_LITTLE_ENDIAN;
        ffi::PyLong_FromNativeBytes(start.cast(), content.len(), flags)
    };
    #[cfg(not(Py_3_13))]
    // SAFETY: as many bytes are readable there as the vector says, which lives to the end of this function; attached
    // (V1). They are little-endian and have a sign.
    return unsafe { ffi::_PyLong_FromByteArray(start, content.len(), 1, 1) };
}
