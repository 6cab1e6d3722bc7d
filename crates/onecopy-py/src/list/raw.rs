//! Safe doors to the C API for `ops` and `view`: where `PyO3` has none, or one that costs more than the work behind it.
#![allow(unsafe_code)] // Each function is one or two calls of the C API.

use onecopy::image::Container;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::decode::Steps;
use super::view::View;
use crate::cpython::items;
use crate::error::corrupt;

/// The object of element `at` of the sequence.
pub(crate) fn get<'py>(py: Python<'py>, view: &View, at: usize) -> PyResult<Bound<'py, PyAny>> {
    // Positions of keys are kept for all views of them, and another process may have changed their number meanwhile.
    if at >= view.count {
        return Err(corrupt(view.node, "an element that is not there"));
    }
    // SAFETY: just checked, and the view keeps the parts (P1 to P4).
    let object = unsafe { (view.get)(&view.parts, at) };
    // SAFETY: null with an exception, or a new reference.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// A real list or tuple of the view's elements, made at its full length.
pub(crate) fn to_builtin<'py>(
    py: Python<'py>,
    view: &View,
    container: Container,
) -> PyResult<Bound<'py, PyAny>> {
    let Steps { len, .. } = view.steps;
    let size = len.cast_signed();
    let object = match container {
        // SAFETY: the thread is attached.
        Container::List => unsafe { ffi::PyList_New(size) },
        // SAFETY: the thread is attached.
        Container::Tuple => unsafe { ffi::PyTuple_New(size) },
    };
    // SAFETY: null with an exception, or a new reference.
    let bound = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
    if len == 0 {
        return Ok(bound);
    }
    let (items, _) = match container {
        // SAFETY: a new list, and attached.
        Container::List => unsafe { items::of_list(object) },
        // SAFETY: a new tuple, and attached.
        Container::Tuple => unsafe { items::of_tuple(object) },
    };
    // SAFETY: room for `len` pointers that are null so far; the steps stay inside the image (S1), whose parts the view
    // keeps (P1 to P4). If it stops early, the rest stays null, which the object's deallocation allows.
    let made = unsafe { (view.codec.fill)(&view.parts, &view.steps, items) };
    if made == len {
        return Ok(bound);
    }
    Err(PyErr::take(py).unwrap_or_else(|| PyRuntimeError::new_err("an element could not be made")))
}
