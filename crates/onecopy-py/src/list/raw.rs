//! Safe doors to the C API for `ops` and `view`: where `PyO3` has none, or one that costs more than the work behind it.
#![allow(unsafe_code)] // Each function is one or two calls of the C API.

use onecopy::image::Container;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};

use super::decode::Steps;
use super::view::View;
use crate::node;

/// The object of element `at` of the sequence.
pub(crate) fn get<'py>(py: Python<'py>, view: &View, at: usize) -> PyResult<Bound<'py, PyAny>> {
    // Positions of keys are kept for all views of them, and another process may have changed their number meanwhile.
    if at >= view.count {
        return Err(node::corrupt(view.node, "an element that is not there"));
    }
    // SAFETY: just checked, and the view keeps the parts (P1 to P4).
    let object = unsafe { (view.get)(&view.parts, at) };
    // SAFETY: null with an exception, or a new reference.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// Whether two objects are the same or equal, as the elements of lists are compared.
pub(crate) fn equal(left: &Bound<'_, PyAny>, right: &Bound<'_, PyAny>) -> PyResult<bool> {
    // SAFETY: two live objects.
    match unsafe { ffi::PyObject_RichCompareBool(left.as_ptr(), right.as_ptr(), ffi::Py_EQ) } {
        -1 => Err(PyErr::fetch(left.py())),
        outcome => Ok(outcome == 1),
    }
}

/// Where the functions are that hash and compare instances of a class.
///
/// # Safety
/// - `class` is a live class.
unsafe fn key_slots(class: *const ffi::PyTypeObject) -> (usize, usize) {
    // SAFETY: the caller's word.
    let hash = unsafe { (*class).tp_hash };
    // SAFETY: the caller's word.
    let compare = unsafe { (*class).tp_richcompare };
    let address = hash.map_or(0, |slot| slot as usize);
    (address, compare.map_or(0, |slot| slot as usize))
}

/// The exact str or int that a key of a class derived from it is, if it hashes and compares as that does.
pub(crate) fn plain_key<'py>(key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = key.py();
    // SAFETY: a live object.
    let class = unsafe { ffi::Py_TYPE(key.as_ptr()) };
    // SAFETY: the class of a live object.
    let ours = unsafe { key_slots(class) };
    // SAFETY: a live class.
    let of_str = unsafe { key_slots(py.get_type::<PyString>().as_type_ptr()) };
    // SAFETY: a live class.
    let of_int = unsafe { key_slots(py.get_type::<PyInt>().as_type_ptr()) };
    if key.is_instance_of::<PyString>() && ours == of_str {
        // SAFETY: a str.
        let text = unsafe { ffi::PyUnicode_FromObject(key.as_ptr()) };
        // SAFETY: null with an exception, or a new reference.
        return unsafe { Bound::from_owned_ptr_or_err(py, text) }.map(Some);
    }
    if key.is_instance_of::<PyInt>() && ours == of_int {
        let zero = PyInt::new(py, 0);
        // The builtin's method, as a class may have another.
        let sum = py
            .get_type::<PyInt>()
            .call_method1("__add__", (key, zero))?;
        return Ok(sum.is_exact_instance_of::<PyInt>().then_some(sum));
    }
    Ok(None)
}

/// The value of an int or of anything with `__index__`; `None` for other types.
pub(crate) fn as_index(value: &Bound<'_, PyAny>, refuse_large: bool) -> PyResult<Option<isize>> {
    // SAFETY: a live object.
    if unsafe { ffi::PyIndex_Check(value.as_ptr()) } == 0 {
        return Ok(None);
    }
    let error = if refuse_large {
        // SAFETY: reads the address of a static exception type.
        unsafe { ffi::PyExc_IndexError }
    } else {
        std::ptr::null_mut()
    };
    // SAFETY: a live object, and an exception type or null.
    let index = unsafe { ffi::PyNumber_AsSsize_t(value.as_ptr(), error) };
    if index == -1
        && let Some(raised) = PyErr::take(value.py())
    {
        return Err(raised);
    }
    Ok(Some(index))
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
    let items = match container {
        // SAFETY: a new list of at least one element; nobody else uses it.
        Container::List => unsafe { (*object.cast::<ffi::PyListObject>()).ob_item },
        Container::Tuple => {
            // SAFETY: a new tuple of at least one element; the address of a field, nothing is read.
            let first = unsafe { &raw mut (*object.cast::<ffi::PyTupleObject>()).ob_item };
            first.cast()
        }
    };
    // SAFETY: room for `len` pointers that are null so far; the steps stay inside the image (S1), whose parts the view
    // keeps (P1 to P4). If it stops early, the rest stays null, which the object's deallocation allows.
    let made = unsafe { (view.codec.fill)(&view.parts, &view.steps, items) };
    if made == len {
        return Ok(bound);
    }
    Err(PyErr::take(py).unwrap_or_else(|| PyRuntimeError::new_err("an element could not be made")))
}
