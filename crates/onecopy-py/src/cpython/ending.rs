//! Is the interpreter ending?
#![allow(unsafe_code, reason = "asks the C API, which PyO3 shows since 3.13")]

use pyo3::prelude::*;

#[cfg(Py_3_13)]
use pyo3::ffi::Py_IsFinalizing;

#[cfg(not(Py_3_13))]
unsafe extern "C" {
    /// By the name that it has had until it became public.
    #[link_name = "_Py_IsFinalizing"]
    fn Py_IsFinalizing() -> std::ffi::c_int;
}

/// What `sys.is_finalizing()` says, which cannot be called when `sys` has been taken apart.
pub(super) fn is_finalizing(_attached: Python<'_>) -> bool {
    // SAFETY: takes nothing and may be called at any time (C API: it reads a word of the runtime); 3.11 and 3.12 export it
    // with this signature (Include/cpython/pylifecycle.h).
    unsafe { Py_IsFinalizing() != 0 }
}
