//! What a range holds: its start, stop and step, and its length, which nothing in the C API gives (`Objects/rangeobject.c`).
//!
//! **Invariant.** `R1`: [`check`] has found four ints where [`held`] looks for them, or freezing is refused
//! ([`super::calibrate`]).
#![allow(
    unsafe_code,
    reason = "reads the fields of ranges, which the C API does not give"
)]

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyRange;

#[repr(C)]
struct Range {
    base: PyObject,
    held: [*mut PyObject; 4],
}

/// Start, stop, step and length of a range, which live as long as it does.
///
/// # Safety
/// - `object` is a live range, in an interpreter that [`check`] found to be as expected (R1) or is finding so now.
pub(crate) unsafe fn held(object: *mut PyObject) -> [*mut PyObject; 4] {
    // SAFETY: a live range is large enough for this structure (R1), and never changes.
    unsafe { (*object.cast::<Range>()).held }
}

/// Whether ranges look here as they should.
pub(crate) fn check(py: Python<'_>) -> PyResult<bool> {
    let range = py
        .get_type::<PyRange>()
        .call1((1_000_001, 9_000_001, 1_000))?;
    let bytes: usize = range.call_method0("__sizeof__")?.extract()?;
    if bytes < size_of::<Range>() {
        return Ok(false);
    }
    // SAFETY: a live object that was just found large enough for all four words.
    let [first, end, step, length] = unsafe { held(range.as_ptr()) };
    for (name, found) in [("start", first), ("stop", end), ("step", step)] {
        if found != range.getattr(name)?.as_ptr() {
            return Ok(false);
        }
    }
    // Only the address of its class is compared.
    // SAFETY: the three words before it are what they should be and the object is large enough, so this is the fourth.
    let class = unsafe { ffi::Py_TYPE(length) };
    Ok(class == &raw mut ffi::PyLong_Type)
}
