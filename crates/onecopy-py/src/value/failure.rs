//! Errors of the functions here that give what slots give: a new reference, or null with an exception set.
#![allow(unsafe_code, reason = "enters PyO3 from functions that slots call")]

use onecopy::image::ImageError;
use pyo3::ffi::PyObject;

use crate::cpython::slot;
use crate::error::Error;

/// Raises; gives null.
#[cold]
pub(crate) fn raise(error: ImageError) -> *mut PyObject {
    // SAFETY: the thread is attached, as whenever a function of this folder gives what slots give (V1 of `scalar`); the
    // work gives an error.
    unsafe { slot::enter(|_| Err(Error::from(error).into())) }
}
