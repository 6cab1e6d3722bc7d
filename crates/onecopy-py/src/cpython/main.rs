//! Which interpreter of the process is this? Only the main one can have the module.
//!
//! Classes, functions and exceptions are made once in a process and kept in statics. Objects of a subinterpreter end with it,
//! and whoever came to them by a static would use freed memory. `CPython` itself refuses the module to interpreters with a
//! lock of their own only.
#![allow(unsafe_code, reason = "asks the C API which interpreter this is")]

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Fails in a subinterpreter.
pub(crate) fn check_main(_attached: Python<'_>) -> PyResult<()> {
    // SAFETY: the thread is attached, as the argument of type `Python` shows.
    let this = unsafe { ffi::PyInterpreterState_Get() };
    // SAFETY: takes nothing and may be called at any time (C API); the address is compared and not followed.
    if this == unsafe { ffi::PyInterpreterState_Main() } {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "this is a subinterpreter, and onecopy works in the main interpreter only",
    ))
}
