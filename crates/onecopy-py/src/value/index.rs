//! Indexes and the limits of searches, as lists take them.
#![allow(unsafe_code, reason = "`__index__` with the errors that lists raise")]

use std::ops::Range;
use std::ptr;

use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;

/// The position that `view[index]` asks for.
///
/// `kind` is what the builtin is called: the error names it.
#[inline]
pub(crate) fn subscript(index: &Bound<'_, PyAny>, kind: &str) -> PyResult<isize> {
    // SAFETY: reads the address of an exception type of the interpreter, which lives as long as that.
    if let Some(index) = as_index(index, unsafe { ffi::PyExc_IndexError })? {
        return Ok(index);
    }
    Err(no_index(index, kind))
}

#[cold]
fn no_index(index: &Bound<'_, PyAny>, kind: &str) -> PyErr {
    match index.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!(
            "{kind} indices must be integers or slices, not {name}"
        )),
        Err(error) => error,
    }
}

/// The error for an index that is not there.
#[cold]
pub(crate) fn out_of_range(kind: &str) -> PyErr {
    PyIndexError::new_err(format!("{kind} index out of range"))
}

/// Where a search begins and where it ends, among `len` elements.
pub(crate) fn range(
    start: Option<&Bound<'_, PyAny>>,
    stop: Option<&Bound<'_, PyAny>>,
    len: usize,
) -> PyResult<Range<usize>> {
    Ok(bound(start, len, 0)?..bound(stop, len, len)?)
}

/// A limit of a search, counted from the end if negative and cut to what exists.
fn bound(limit: Option<&Bound<'_, PyAny>>, len: usize, absent: usize) -> PyResult<usize> {
    let Some(limit) = limit else {
        return Ok(absent);
    };
    let Some(limit) = as_index(limit, ptr::null_mut())? else {
        let text = "slice indices must be integers or have an __index__ method";
        return Err(PyTypeError::new_err(text));
    };
    let from_front = if limit < 0 {
        limit.saturating_add(len.cast_signed())
    } else {
        limit
    };
    Ok(from_front.max(0).unsigned_abs().min(len))
}

/// An index that a method takes: one that no list reaches is an `OverflowError`, as with `list`.
pub(crate) fn whole(index: &Bound<'_, PyAny>) -> PyResult<isize> {
    // SAFETY: reads the address of an exception type of the interpreter, which lives as long as that.
    match as_index(index, unsafe { ffi::PyExc_OverflowError })? {
        Some(index) => Ok(index),
        None => Err(no_int(index)),
    }
}

/// A part of a slice: one that no list reaches is cut to the largest there is.
pub(crate) fn slice_part(part: &Bound<'_, PyAny>) -> PyResult<isize> {
    match as_index(part, ptr::null_mut())? {
        Some(part) => Ok(part),
        None => Err(PyTypeError::new_err(
            "slice indices must be integers or None or have an __index__ method",
        )),
    }
}

/// How often a list is to be repeated.
pub(crate) fn times(count: &Bound<'_, PyAny>) -> PyResult<usize> {
    // SAFETY: reads the address of an exception type of the interpreter, which lives as long as that.
    match as_index(count, unsafe { ffi::PyExc_OverflowError })? {
        Some(count) => Ok(count.max(0).unsigned_abs()),
        None => Err(PyTypeError::new_err(format!(
            "can't multiply sequence by non-int of type '{}'",
            count.get_type().name()?
        ))),
    }
}

/// An int, or the int that anything with `__index__` stands for; `None` for other types.
pub(crate) fn int<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    // SAFETY: a live object, held by its `Bound`, which also says that the thread is attached.
    if unsafe { ffi::PyIndex_Check(value.as_ptr()) } == 0 {
        return Ok(None);
    }
    // SAFETY: the live object that the `Bound` holds, in an attached thread, as the `Bound` says.
    let int = unsafe { ffi::PyNumber_Index(value.as_ptr()) };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(value.py(), int) }.map(Some)
}

#[cold]
fn no_int(value: &Bound<'_, PyAny>) -> PyErr {
    match value.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!(
            "'{name}' object cannot be interpreted as an integer"
        )),
        Err(error) => error,
    }
}

/// The value of an int or of anything with `__index__`; `None` for other types. One that is too large raises `error`, and
/// is cut to the largest there is if that is null.
#[inline]
fn as_index(value: &Bound<'_, PyAny>, error: *mut ffi::PyObject) -> PyResult<Option<isize>> {
    // SAFETY: a live object, held by its `Bound`, which also says that the thread is attached.
    if unsafe { ffi::PyIndex_Check(value.as_ptr()) } == 0 {
        return Ok(None);
    }
    // SAFETY: a live object, held by its `Bound`, which also says that the thread is attached, and a type of exceptions
    // that the interpreter keeps, or null.
    let index = unsafe { ffi::PyNumber_AsSsize_t(value.as_ptr(), error) };
    if index == -1
        && let Some(raised) = PyErr::take(value.py())
    {
        return Err(raised);
    }
    Ok(Some(index))
}
