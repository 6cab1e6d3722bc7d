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
/// - `object` is a live range and at least as large as `Range`, which [`check`] has found of this interpreter's (R1).
pub(crate) unsafe fn held(object: *mut PyObject) -> [*mut PyObject; 4] {
    // SAFETY: `object` is live and large enough for this structure, as this function asks, and all of it are pointers,
    // which are read and not followed; a range never changes.
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
    // SAFETY: `range` holds a range, made above, which `__sizeof__` has just found as large as `Range`.
    let [first, end, step, length] = unsafe { held(range.as_ptr()) };
    for (name, found) in [("start", first), ("stop", end), ("step", step)] {
        if found != range.getattr(name)?.as_ptr() {
            return Ok(false);
        }
    }
    // Only the address of its class is compared.
    // SAFETY: the three words before are the objects that `start`, `stop` and `step` give, so the structure is the one
    // that is described here, and the fourth word its length: an int that the range holds. Its class is read and not
    // followed.
    let class = unsafe { ffi::Py_TYPE(length) };
    Ok(class == &raw mut ffi::PyLong_Type)
}
