//! Objects of nodes and pickles for those who have the image as a raw object: the decoders of columns.
#![allow(unsafe_code, reason = "decoders have raw objects and give raw objects")]

use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::owner::Image;
use super::{objects, rebuilt};
use crate::cpython::slot;

/// Calls a function with the image of a decoder, and hands its object over as decoders do.
///
/// # Safety
/// - `image` is a live `Image`, and the thread is attached to the interpreter.
pub(crate) unsafe fn with_image(
    image: *mut PyObject,
    make: impl for<'py> FnOnce(&Bound<'py, Image>) -> PyResult<Bound<'py, PyAny>>,
) -> *mut PyObject {
    let work = |py: Python<'_>| {
        // SAFETY: a live object, as this function asks, whose callers hold it during the call; it gets a reference of
        // its own.
        let image = unsafe { Bound::from_borrowed_ptr(py, image) };
        // SAFETY: `with_image` asks for an `Image`.
        let image = unsafe { image.cast_into_unchecked::<Image>() };
        make(&image).map(Bound::into_ptr)
    };
    // SAFETY: the thread is attached, as this function asks; `into_ptr` gives the reference that `make` made, else an
    // error.
    unsafe { slot::enter(work) }
}

/// The object of a node that is an element, as a new reference; null with an exception set.
///
/// # Safety
/// - `image` is a live `Image`, and the thread is attached to the interpreter.
pub(crate) unsafe fn node(image: *mut PyObject, offset: u64) -> *mut PyObject {
    // SAFETY: a live `Image` and an attached thread, as this function asks too.
    unsafe { with_image(image, |image| objects::node(image, offset)) }
}

/// The object of a pickle that is an element, as a new reference; null with an exception set.
///
/// # Safety
/// - `image` is a live `Image`, and the thread is attached to the interpreter.
pub(crate) unsafe fn pickled(image: *mut PyObject, offset: u64) -> *mut PyObject {
    // SAFETY: a live `Image` and an attached thread, as this function asks too.
    unsafe { with_image(image, |image| rebuilt::pickled(image, offset)) }
}
