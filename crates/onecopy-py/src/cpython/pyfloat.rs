//! How `CPython` lays out a float: its value follows the object's head of 16 bytes.
//!
//! Source: `Include/cpython/floatobject.h` of 3.11 to 3.14.
//!
//! **Invariant.** `F1`: [`renews`] ran when the module was imported and found that a float becomes what is written into
//! it; otherwise `layouts` says so, and [`renew`] is not called.
#![allow(
    unsafe_code,
    reason = "writes the field of floats that the C API only reads"
)]

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

/// Writes another value into a float, if it is one; tells whether it did.
///
/// # Safety
/// - `object` is a live object that nobody but the caller has a reference to, and the thread is attached;
/// - F1 holds, or is being found out.
#[inline]
pub(crate) unsafe fn renew(object: *mut PyObject, value: f64) -> bool {
    // SAFETY: reads the class in the head of `object`, which is live and whose thread is attached: this function's own
    // duty.
    if unsafe { ffi::PyFloat_CheckExact(object) } == 0 {
        return false;
    }
    let float = object.cast::<ffi::PyFloatObject>();
    // SAFETY: an exact float, as was just found, which is laid out like this (F1) and live; only the caller has it, so
    // nobody reads it meanwhile. Any 64 bits are a float.
    unsafe { (*float).ob_fval = value };
    true
}

/// Whether a float becomes what is written into it.
pub(super) fn renews(py: Python<'_>) -> PyResult<bool> {
    // SAFETY: takes a plain number; attached, as `py` shows.
    let object = unsafe { ffi::PyFloat_FromDouble(0.5) };
    // SAFETY: `PyFloat_FromDouble` gives a new reference, or null with an exception set.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
    // SAFETY: a new float, which only `object` refers to, and attached, as `py` shows; F1 is being found out here.
    let renewed = unsafe { renew(object.as_ptr(), -1.25) };
    // SAFETY: `object` holds the float, and `py` shows that the thread is attached.
    let found = unsafe { ffi::PyFloat_AsDouble(object.as_ptr()) };
    Ok(renewed && found.to_bits() == (-1.25_f64).to_bits())
}
