//! From a function that the interpreter calls directly to code that may fail.
//!
//! The slots and callbacks that are written by hand have none of what `PyO3` puts around its own. A panic in them would end the
//! process. And `PyO3` does not know in them that the thread is attached to the interpreter: every `Py` that is dropped
//! there is put on a list, to be released when something enters `PyO3` the ordinary way, which a loop over `view[i]` never
//! does.
//!
//! **Invariant.** `E1`: such functions go through [`enter`] for whatever could panic, or drop a `Py` or a `PyErr`. What they do
//! outside of it is arithmetic and calls of the C API.
#![allow(
    unsafe_code,
    reason = "the thread is attached by the word of the caller"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use crate::error;

/// Does the work of a slot: its object as a new reference, or null with an exception set. A panic becomes `CorruptImage`:
/// all that is read here is shared bytes.
///
/// # Safety
/// - the thread is attached to the interpreter;
/// - what `work` gives is a new reference, or null with an exception set.
pub(crate) unsafe fn enter(
    work: impl FnOnce(Python<'_>) -> PyResult<*mut PyObject>,
) -> *mut PyObject {
    let mut work = Some(work);
    let mut run = |py: Python<'_>| {
        let work = work.take()?;
        // Nothing of the work is used after a panic.
        let outcome = catch_unwind(AssertUnwindSafe(|| work(py)))
            .unwrap_or_else(|panic| Err(error::of_panic(panic.as_ref())));
        outcome.map_err(|error| error.restore(py)).ok()
    };
    // Refused while the interpreter ends. Then nothing enters it any more, and what is put off does not matter.
    let done = Python::try_attach(&mut run).unwrap_or_else(|| {
        // SAFETY: the caller's word.
        run(unsafe { Python::assume_attached() })
    });
    done.unwrap_or(ptr::null_mut())
}
