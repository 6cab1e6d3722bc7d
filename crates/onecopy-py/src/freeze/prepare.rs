//! What is computed while freezing, so that a reader finds it and does not write it; and what some objects hold
//! without telling the collector.
//!
//! Everything here calls C code of the interpreter on objects of its own types, and no method of a class that was
//! written in Python: the C slots of the base are called, never those of the class. An error is dropped; then the
//! value is computed by whoever asks for it, as always.
#![allow(unsafe_code)] // Calls C slots on raw objects.

use std::ptr::null_mut;

use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;

use super::classes::{Class, Native};
use super::header;
use super::table::Row;
use super::walk::Prepare;

/// How deep a tuple of tuples is looked into before its turn.
const TUPLE_DEPTH: u32 = 8;

/// Prepares what an object remembers of itself. Returns whether it is a tuple that has to wait.
///
/// # Safety
/// - `object` is a live instance of `class`, not frozen yet, and the thread is attached.
#[inline]
pub(super) unsafe fn leaf(
    object: *mut PyObject,
    class: &Class,
    wanted: Prepare,
    row: &Row,
) -> bool {
    if wanted.utf8 && class.native == Native::Str {
        // SAFETY: a str.
        let text = unsafe { ffi::PyUnicode_AsUTF8AndSize(object, null_mut()) };
        if text.is_null() {
            // SAFETY: attached. A lone surrogate has no UTF-8.
            unsafe { ffi::PyErr_Clear() };
        }
    }
    if !wanted.hash {
        return false;
    }
    let base = match class.native {
        Native::Str => &raw mut ffi::PyUnicode_Type,
        Native::Bytes => &raw mut ffi::PyBytes_Type,
        // The hashes of the elements stand in its table: none of their methods is called.
        Native::FrozenSet => &raw mut ffi::PyFrozenSet_Type,
        // SAFETY: a live object.
        Native::Hashed => unsafe { c_base(class) },
        // An aware one asks its tzinfo.
        // SAFETY: a time or a datetime.
        Native::Time | Native::DateTime if unsafe { tzinfo(object, class.native) }.is_null() => {
            // SAFETY: a live object.
            unsafe { c_base(class) }
        }
        Native::Tuple if row.tuples_keep_hash => {
            // SAFETY: a tuple.
            return !unsafe { hash_flat_tuple(object) };
        }
        _ => return false,
    };
    // SAFETY: a live instance of a class whose C part is `base`.
    unsafe { hash_as(object, base) };
    false
}

/// The first class up from here that was not written in Python.
///
/// # Safety
/// - the class lives, and so do its bases.
unsafe fn c_base(class: &Class) -> *mut PyTypeObject {
    let mut at = class.raw;
    if class.python {
        // Python classes share one destructor (see `classes`), and every one has a base.
        // SAFETY: the class of a live object.
        let dealloc = unsafe { destructor(at) };
        // SAFETY: as above.
        while unsafe { destructor(at) } == dealloc {
            // SAFETY: as above.
            at = unsafe { (*at).tp_base };
        }
    }
    at
}

/// The address of a class's destructor, to tell whether two are the same.
///
/// # Safety
/// - `class` is a live class.
unsafe fn destructor(class: *mut PyTypeObject) -> usize {
    // SAFETY: the caller's word.
    unsafe { (*class).tp_dealloc }.map_or(0, |function| function as usize)
}

/// # Safety
/// - `object` is a live instance of `base` or of a class below it, and the thread is attached.
#[inline]
unsafe fn hash_as(object: *mut PyObject, base: *mut PyTypeObject) {
    // SAFETY: a live class.
    if let Some(function) = unsafe { (*base).tp_hash } {
        // SAFETY: the C slot of a class that the object is an instance of.
        if unsafe { function(object) } == -1 {
            // SAFETY: attached.
            unsafe { ffi::PyErr_Clear() };
        }
    }
}

/// The elements of a list.
///
/// # Safety
/// - `list` is a live list that does not change while the slice is used.
pub(super) unsafe fn list_items<'a>(list: *mut PyObject) -> &'a [*mut PyObject] {
    // SAFETY: a list.
    let len = unsafe { ffi::PyList_GET_SIZE(list) };
    // SAFETY: a list has this layout.
    let items = unsafe { (*list.cast::<ffi::PyListObject>()).ob_item };
    if items.is_null() {
        return &[];
    }
    // SAFETY: a list has as many items as its size says, and the caller's word.
    unsafe { std::slice::from_raw_parts(items, len.unsigned_abs()) }
}

/// The elements of a tuple.
///
/// # Safety
/// - `tuple` is a live tuple.
pub(super) unsafe fn tuple_items<'a>(tuple: *mut PyObject) -> &'a [*mut PyObject] {
    // SAFETY: a tuple.
    let len = unsafe { ffi::PyTuple_GET_SIZE(tuple) };
    let tuple = tuple.cast::<ffi::PyTupleObject>();
    // SAFETY: a field's address inside a live object; nothing is read.
    let items = unsafe { &raw const (*tuple).ob_item }.cast::<*mut PyObject>();
    // SAFETY: a tuple has as many items as its size says, and never changes.
    unsafe { std::slice::from_raw_parts(items, len.unsigned_abs()) }
}

/// Whether hashing the object runs no code but the interpreter's own, and goes no deeper.
///
/// # Safety
/// - `object` is a live object.
unsafe fn is_scalar(object: *mut PyObject) -> bool {
    // SAFETY: the caller's word.
    let class = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: a constant of the interpreter.
    let none = unsafe { ffi::Py_None() };
    object == none
        || [
            &raw mut ffi::PyUnicode_Type,
            &raw mut ffi::PyLong_Type,
            &raw mut ffi::PyFloat_Type,
            &raw mut ffi::PyBool_Type,
            &raw mut ffi::PyBytes_Type,
            &raw mut ffi::PyComplex_Type,
        ]
        .contains(&class)
}

#[cfg(Py_3_14)]
unsafe fn tuple_hash_known(tuple: *mut PyObject) -> bool {
    // SAFETY: a tuple has this layout from 3.14 on; -1 stands for "not computed".
    unsafe { (*tuple.cast::<ffi::PyTupleObject>()).ob_hash != -1 }
}

/// Before 3.14 no tuple remembers its hash, and none is asked for it.
#[cfg(not(Py_3_14))]
unsafe fn tuple_hash_known(_tuple: *mut PyObject) -> bool {
    false
}

/// Hashes a tuple of scalars. Returns false if it holds anything else.
///
/// # Safety
/// - `tuple` is a live tuple, and the thread is attached.
unsafe fn hash_flat_tuple(tuple: *mut PyObject) -> bool {
    // SAFETY: a live tuple.
    let items = unsafe { tuple_items(tuple) };
    for &item in items {
        // SAFETY: the tuple holds it.
        if item.is_null() || !unsafe { is_scalar(item) } {
            return false;
        }
    }
    let class = &raw mut ffi::PyTuple_Type;
    // SAFETY: a tuple.
    unsafe { hash_as(tuple, class) };
    true
}

/// Hashes a tuple of scalars, frozensets and such tuples; leaves others alone.
///
/// # Safety
/// - `tuple` is a live tuple, and the thread is attached.
pub(super) unsafe fn hash_tuple(tuple: *mut PyObject) {
    // SAFETY: the caller's word.
    unsafe { hash_nested_tuple(tuple, TUPLE_DEPTH) };
}

/// # Safety
/// - `tuple` is a live tuple, and the thread is attached.
unsafe fn hash_nested_tuple(tuple: *mut PyObject, depth: u32) -> bool {
    // SAFETY: the caller's word.
    if unsafe { tuple_hash_known(tuple) } {
        return true;
    }
    // SAFETY: a live tuple.
    let items = unsafe { tuple_items(tuple) };
    for &item in items {
        if item.is_null() {
            return false;
        }
        // SAFETY: the tuple holds it.
        let class = unsafe { ffi::Py_TYPE(item) };
        let plain = if class == &raw mut ffi::PyTuple_Type {
            // SAFETY: a tuple.
            depth > 0 && unsafe { hash_nested_tuple(item, depth - 1) }
        } else {
            // SAFETY: the tuple holds it. A frozenset needs no method of its elements.
            class == &raw mut ffi::PyFrozenSet_Type || unsafe { is_scalar(item) }
        };
        if !plain {
            return false;
        }
    }
    let class = &raw mut ffi::PyTuple_Type;
    // SAFETY: a tuple, whose inner tuples remember their hashes: it goes no deeper than one level.
    unsafe { hash_as(tuple, class) };
    true
}

/// Makes the `__dict__` of an instance, which it otherwise makes when it is asked. Borrowed; null if it has none.
///
/// # Safety
/// - `object` is a live object, and the thread is attached.
pub(super) unsafe fn materialise_dict(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's word; the function looks at nothing but the object's own dict.
    let dict = unsafe { ffi::PyObject_GenericGetDict(object, null_mut()) };
    if dict.is_null() {
        // SAFETY: attached.
        unsafe { ffi::PyErr_Clear() };
    } else {
        // SAFETY: a new reference, and the object has its own.
        unsafe { ffi::Py_DECREF(dict) };
    }
    dict
}

/// The tzinfo of a time or datetime; null if it is naive.
///
/// # Safety
/// - `object` is a live time or datetime, as `native` says.
unsafe fn tzinfo(object: *mut PyObject, native: Native) -> *mut PyObject {
    let found = if native == Native::Time {
        // SAFETY: the caller's word.
        unsafe { ffi::PyDateTime_TIME_GET_TZINFO(object) }
    } else {
        // SAFETY: the caller's word.
        unsafe { ffi::PyDateTime_DATE_GET_TZINFO(object) }
    };
    // SAFETY: a constant of the interpreter.
    let none = unsafe { ffi::Py_None() };
    if found == none { null_mut() } else { found }
}

/// Whether an instance of a class that may hold others does.
///
/// # Safety
/// - `object` is a live instance of `class`.
#[inline]
pub(super) unsafe fn holds_others(object: *mut PyObject, class: &Class) -> bool {
    match class.native {
        // SAFETY: the caller's word.
        Native::Time | Native::DateTime if !class.traverse => {
            // SAFETY: the caller's word.
            !unsafe { tzinfo(object, class.native) }.is_null()
        }
        // SAFETY: the caller's word.
        Native::NdArray => unsafe { is_array_of_objects(object) },
        _ => true,
    }
}

/// Whether the elements of an array are objects.
///
/// # Safety
/// - `array` is a live ndarray, and the thread is attached.
unsafe fn is_array_of_objects(array: *mut PyObject) -> bool {
    // SAFETY: the caller's word.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the caller's word.
    let array = unsafe { Borrowed::<'_, '_, PyAny>::from_ptr(py, array) };
    let code = array
        .getattr("dtype")
        .and_then(|dtype| dtype.getattr("char"));
    // A structured dtype with objects in it has another code, and its elements are not found.
    code.and_then(|code| code.eq("O")).unwrap_or(false)
}

/// A list of the elements of an array of objects, made by numpy's own methods.
///
/// # Safety
/// - `array` is a live ndarray of objects, and the thread is attached.
pub(super) unsafe fn array_elements<'py>(array: *mut PyObject) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the caller's word.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the caller's word.
    let array = unsafe { Borrowed::<'_, 'py, PyAny>::from_ptr(py, array) };
    array.call_method1("ravel", ("K",))?.call_method0("tolist")
}

/// A range holds four ints: start, stop, step, and its length (`Objects/rangeobject.c`).
#[repr(C)]
struct Range {
    base: PyObject,
    held: [*mut PyObject; 4],
}

/// What an object holds that `tp_traverse` does not report; all of it lives as long as the object.
pub(super) fn held_outside(object: *mut PyObject, native: Native) -> [Option<*mut PyObject>; 4] {
    match native {
        // SAFETY: a live range, which never changes; `check_range` has found this layout.
        Native::Range => unsafe { (*object.cast::<Range>()).held }.map(Some),
        Native::Time | Native::DateTime => {
            // SAFETY: a live time or datetime, as `native` says.
            let held = unsafe { tzinfo(object, native) };
            [(!held.is_null()).then_some(held), None, None, None]
        }
        Native::TimeZone => {
            // SAFETY: called by the walk, which is attached.
            let py = unsafe { Python::assume_attached() };
            // SAFETY: a live object.
            let zone = unsafe { Borrowed::<'_, '_, PyAny>::from_ptr(py, object) };
            // A tuple of what the timezone holds, by a method written in C.
            let held = zone.call_method0("__getinitargs__");
            let item = |index: usize| {
                let item = held.as_ref().ok()?.get_item(index).ok()?;
                Some(item.as_ptr())
            };
            [item(0), item(1), None, None]
        }
        _ => [None; 4],
    }
}

/// Fails if ranges look different here.
pub(super) fn check_range(py: Python<'_>) -> PyResult<bool> {
    let range = py
        .get_type::<pyo3::types::PyRange>()
        .call1((1_000_001, 9_000_001, 1_000))?;
    let held = held_outside(range.as_ptr(), Native::Range);
    let names = ["start", "stop", "step"];
    for (name, found) in names.into_iter().zip(held) {
        if found != Some(range.getattr(name)?.as_ptr()) {
            return Ok(false);
        }
    }
    let [.., Some(length)] = held else {
        return Ok(false);
    };
    // Only the address of its class is compared, after a look that the range's own size leaves room for it.
    let bytes: usize = range.call_method0("__sizeof__")?.extract()?;
    // SAFETY: the three words before it are what they should be and the object is large enough, so this is the fourth.
    let class = unsafe { ffi::Py_TYPE(length) };
    Ok(bytes >= size_of::<Range>() && class == &raw mut ffi::PyLong_Type)
}

/// The header's mark alone.
pub(super) fn is_frozen(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live object, and attached.
    header::is_immortal(unsafe { header::word(object.as_ptr()) })
}
