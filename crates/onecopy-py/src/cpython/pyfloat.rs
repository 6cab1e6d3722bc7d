//! How `CPython` lays out a float: its value follows the object's head of 16 bytes.
//!
//! Source: `Include/cpython/floatobject.h` of 3.11 to 3.14.
#![allow(
    unsafe_code,
    reason = "writes the field of floats that the C API only reads"
)]

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

/// Writes another value into a float, if it is one; tells whether it did.
///
/// # Safety
/// - `object` is a live object that nobody but the caller has a reference to.
#[inline]
pub(crate) unsafe fn renew(object: *mut PyObject, value: f64) -> bool {
    // SAFETY: a live object, as this function asks.
    if unsafe { ffi::PyFloat_CheckExact(object) } == 0 {
        return false;
    }
    let float = object.cast::<ffi::PyFloatObject>();
    // SAFETY: an exact float, which [`renews`] found laid out like this, and nobody else reads it.
    unsafe { (*float).ob_fval = value };
    true
}

/// Whether a float becomes what is written into it.
pub(super) fn renews(py: Python<'_>) -> PyResult<bool> {
    // SAFETY: attached, as `py` shows.
    let object = unsafe { ffi::PyFloat_FromDouble(0.5) };
    // SAFETY: null with an exception, or a new reference.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
    // SAFETY: a new float, which only `object` refers to.
    let renewed = unsafe { renew(object.as_ptr(), -1.25) };
    // SAFETY: a live float.
    let found = unsafe { ffi::PyFloat_AsDouble(object.as_ptr()) };
    Ok(renewed && found.to_bits() == (-1.25_f64).to_bits())
}
