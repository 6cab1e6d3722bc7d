//! Where the items of a list or tuple lie.
//!
//! | object | its items |
//! |---|---|
//! | list | `ob_item` points to them; null as long as there was none |
//! | tuple | behind the head (from 3.14 on behind its hash as well), in the object itself |
//!
//! Both have `ob_size` of them. The structures are those of `PyO3`, per version (`Include/cpython/listobject.h`,
//! `Include/cpython/tupleobject.h`).
//!
//! **Invariant.** `I1`: [`check`] ran when the module was imported and found the items of a list and of a tuple where
//! [`of_list`] and [`of_tuple`] say; otherwise the import failed.
#![allow(
    unsafe_code,
    reason = "reads the fields of lists and tuples, for which the C API has one call per item"
)]

use pyo3::exceptions::PyImportError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// Where the items of a list lie, and how many there are. The address is null if there never was one.
///
/// # Safety
/// - `list` is a live list, and the thread is attached to the interpreter.
#[inline]
pub(crate) unsafe fn of_list(list: *mut PyObject) -> (*mut *mut PyObject, usize) {
    // SAFETY: a live list begins with a `PyVarObject`, whose length the caller's attachment keeps from changing.
    let len = unsafe { ffi::Py_SIZE(list) };
    // SAFETY: a live list is a `PyListObject`; the pointer is read and not followed.
    let items = unsafe { (*list.cast::<ffi::PyListObject>()).ob_item };
    (items, len.unsigned_abs())
}

/// Where the items of a tuple lie, and how many there are.
///
/// # Safety
/// - `tuple` is a live tuple, and the thread is attached to the interpreter.
#[inline]
pub(crate) unsafe fn of_tuple(tuple: *mut PyObject) -> (*mut *mut PyObject, usize) {
    // SAFETY: a live tuple begins with a `PyVarObject`, whose length is fixed.
    let len = unsafe { ffi::Py_SIZE(tuple) };
    let tuple = tuple.cast::<ffi::PyTupleObject>();
    // SAFETY: a live tuple is a `PyTupleObject`; the address of a field of it, nothing is read.
    let items = unsafe { &raw mut (*tuple).ob_item };
    (items.cast(), len.unsigned_abs())
}

/// The items of a list.
///
/// # Safety
/// - `list` is a live list, which nobody changes or frees while the slice is used; the thread is attached.
pub(crate) unsafe fn list_items<'a>(list: *mut PyObject) -> &'a [*mut PyObject] {
    // SAFETY: `list` is a live list of an attached thread, by the first duty of this function.
    let (items, len) = unsafe { of_list(list) };
    if items.is_null() {
        return &[];
    }
    // SAFETY: `len` pointers lie at `items` (I1), and stay there while the list is not changed, as this function asks.
    unsafe { std::slice::from_raw_parts(items, len) }
}

/// The items of a tuple.
///
/// # Safety
/// - `tuple` is a live tuple, which nobody frees while the slice is used; the thread is attached.
pub(crate) unsafe fn tuple_items<'a>(tuple: *mut PyObject) -> &'a [*mut PyObject] {
    // SAFETY: `tuple` is a live tuple of an attached thread, by the duty of this function.
    let (items, len) = unsafe { of_tuple(tuple) };
    // SAFETY: `len` pointers lie at `items` (I1); a tuple never changes, and is not freed, as this function asks.
    unsafe { std::slice::from_raw_parts(items, len) }
}

/// Whether a tuple has its hash at hand: it keeps one from 3.14 on, and -1 stands for "not computed".
///
/// # Safety
/// - `tuple` is a live tuple, and the thread is attached.
#[cfg(Py_3_14)]
pub(crate) unsafe fn tuple_keeps_its_hash(tuple: *mut PyObject) -> bool {
    // SAFETY: a live tuple is a `PyTupleObject`, which has this field from 3.14 on.
    unsafe { (*tuple.cast::<ffi::PyTupleObject>()).ob_hash != -1 }
}

/// Before 3.14 no tuple keeps its hash, and none is asked for it.
///
/// # Safety
/// - none; the function of 3.14 has duties.
#[cfg(not(Py_3_14))]
pub(crate) unsafe fn tuple_keeps_its_hash(_tuple: *mut PyObject) -> bool {
    false
}

/// Looks for known items of a list and of a tuple, and fails if they lie elsewhere in this interpreter.
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    let known = [py.None(), py.Ellipsis(), py.NotImplemented()];
    let expected: Vec<_> = known.iter().map(Py::as_ptr).collect();
    let list = PyList::new(py, &known)?;
    let tuple = PyTuple::new(py, &known)?;
    // SAFETY: a list of this function alone, alive to its end.
    let of_list = unsafe { list_items(list.as_ptr()) } == expected;
    // SAFETY: a tuple that is alive to the end of this function.
    let of_tuple = unsafe { tuple_items(tuple.as_ptr()) } == expected;
    if of_list && of_tuple {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "onecopy does not know how this Python lays out lists and tuples",
    ))
}
