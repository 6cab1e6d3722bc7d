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
use crate::cpython::immortal::Version;
use crate::cpython::{header, items, range};

/// How deep a tuple of tuples is looked into before its turn.
const TUPLE_DEPTH: u32 = 8;

/// What to compute beforehand, so that readers do not write it.
#[derive(Clone, Copy)]
pub(super) struct Prepare {
    pub(super) hash: bool,
    pub(super) dicts: bool,
    pub(super) utf8: bool,
}

/// Prepares what an object remembers of itself. Returns whether it is a tuple that has to wait.
///
/// # Safety
/// - `object` is a live instance of `class`, not frozen yet, and the thread is attached.
#[inline]
pub(super) unsafe fn leaf(
    object: *mut PyObject,
    class: &Class,
    wanted: Prepare,
    version: &Version,
) -> bool {
    if wanted.utf8 && class.native == Native::Str {
        // SAFETY: `object` is a live instance of `class`, as this function asks, and so a str, as was just found;
        // attached. Without a place for it no length is written.
        let text = unsafe { ffi::PyUnicode_AsUTF8AndSize(object, null_mut()) };
        if text.is_null() {
            // SAFETY: takes nothing; attached, as this function asks. A lone surrogate has no UTF-8.
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
        // SAFETY: `object` is alive, as this function asks, and holds `class`, which holds its bases.
        Native::Hashed => unsafe { c_base(class) },
        // An aware one asks its tzinfo.
        // SAFETY: `object` is a live instance of `class`, as this function asks, and so of the kind that the pattern
        // says.
        Native::Time | Native::DateTime if unsafe { tzinfo(object, class.native) }.is_null() => {
            // SAFETY: `object` is alive, as this function asks, and holds `class`, which holds its bases.
            unsafe { c_base(class) }
        }
        Native::Tuple if version.tuples_keep_hash => {
            // SAFETY: `object` is a live instance of `class`, as this function asks, and so a tuple, as the pattern
            // says; attached.
            return !unsafe { hash_flat_tuple(object) };
        }
        _ => return false,
    };
    // SAFETY: a live object of an attached thread, as this function asks; `base` is its class or one that is derived
    // from, as its kind says or `c_base` has found.
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
        // SAFETY: `at` is the class, which lives, as this function asks.
        let dealloc = unsafe { destructor(at) };
        // SAFETY: `at` is the class, which lives, as this function asks, or a base of it, which it holds.
        while unsafe { destructor(at) } == dealloc {
            // SAFETY: a field of the same class. It has the destructor of classes that were written in Python, so it
            // has a base, and holds it.
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
    // SAFETY: reads a field of a live class, as this function asks, which is fixed once the class is ready.
    unsafe { (*class).tp_dealloc }.map_or(0, |function| function as usize)
}

/// # Safety
/// - `object` is a live instance of `base` or of a class below it, and the thread is attached.
#[inline]
unsafe fn hash_as(object: *mut PyObject, base: *mut PyTypeObject) {
    // SAFETY: `object` is alive, as this function asks, and holds its class, which is `base` or holds it.
    if let Some(function) = unsafe { (*base).tp_hash } {
        // SAFETY: the slot of a class that the live object is an instance of, as this function asks; the thread is
        // attached.
        if unsafe { function(object) } == -1 {
            // SAFETY: takes nothing; attached, as this function asks.
            unsafe { ffi::PyErr_Clear() };
        }
    }
}

/// Whether hashing the object runs no code but the interpreter's own, and goes no deeper.
///
/// # Safety
/// - `object` is a live object, and the thread is attached.
unsafe fn is_scalar(object: *mut PyObject) -> bool {
    // SAFETY: reads the class in the head of `object`, which is live and whose thread is attached: this function's own
    // duty.
    let class = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: takes nothing; the address of an object that lives as long as the interpreter.
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

/// Hashes a tuple of scalars. Returns false if it holds anything else.
///
/// # Safety
/// - `tuple` is a live tuple, and the thread is attached.
unsafe fn hash_flat_tuple(tuple: *mut PyObject) -> bool {
    // SAFETY: a live tuple of an attached thread, as this function asks; tuples never change.
    let items = unsafe { items::tuple_items(tuple) };
    for &item in items {
        // SAFETY: not null, so an object that the tuple holds, which is alive and whose thread is attached, as this
        // function asks.
        if item.is_null() || !unsafe { is_scalar(item) } {
            return false;
        }
    }
    let class = &raw mut ffi::PyTuple_Type;
    // SAFETY: a live tuple of an attached thread, as this function asks.
    unsafe { hash_as(tuple, class) };
    true
}

/// Hashes a tuple of scalars, frozensets and such tuples; leaves others alone.
///
/// # Safety
/// - `tuple` is a live tuple, and the thread is attached.
pub(super) unsafe fn hash_tuple(tuple: *mut PyObject) {
    // SAFETY: a live tuple of an attached thread, as this function asks too.
    unsafe { hash_nested_tuple(tuple, TUPLE_DEPTH) };
}

/// # Safety
/// - `tuple` is a live tuple, and the thread is attached.
unsafe fn hash_nested_tuple(tuple: *mut PyObject, depth: u32) -> bool {
    // SAFETY: a live tuple of an attached thread, as this function asks too.
    if unsafe { items::tuple_keeps_its_hash(tuple) } {
        return true;
    }
    // SAFETY: a live tuple of an attached thread, as this function asks; tuples never change.
    let items = unsafe { items::tuple_items(tuple) };
    for &item in items {
        if item.is_null() {
            return false;
        }
        // SAFETY: not null, so an object that the tuple holds, which is alive and whose thread is attached, as this
        // function asks.
        let class = unsafe { ffi::Py_TYPE(item) };
        let plain = if class == &raw mut ffi::PyTuple_Type {
            // SAFETY: a tuple, as its class says, which the live tuple holds; attached.
            depth > 0 && unsafe { hash_nested_tuple(item, depth - 1) }
        } else {
            // SAFETY: the live tuple holds the item; attached. A frozenset needs no method of its elements.
            class == &raw mut ffi::PyFrozenSet_Type || unsafe { is_scalar(item) }
        };
        if !plain {
            return false;
        }
    }
    let class = &raw mut ffi::PyTuple_Type;
    // SAFETY: a live tuple, as this function asks, whose inner tuples remember their hashes: it goes no deeper than
    // one level.
    unsafe { hash_as(tuple, class) };
    true
}

/// Makes the `__dict__` of an instance, which it otherwise makes when it is asked. Borrowed; null if it has none.
///
/// # Safety
/// - `object` is a live object, and the thread is attached.
pub(super) unsafe fn materialise_dict(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live object of an attached thread; the function looks at nothing but the object's own dict.
    let dict = unsafe { ffi::PyObject_GenericGetDict(object, null_mut()) };
    if dict.is_null() {
        // SAFETY: takes nothing; attached, as this function asks.
        unsafe { ffi::PyErr_Clear() };
    } else {
        // SAFETY: the new reference that the call above has given; the object keeps the dict alive by its own.
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
        // SAFETY: a live time, as `native` says and this function asks.
        unsafe { ffi::PyDateTime_TIME_GET_TZINFO(object) }
    } else {
        // SAFETY: a live datetime, as `native` says and this function asks.
        unsafe { ffi::PyDateTime_DATE_GET_TZINFO(object) }
    };
    // SAFETY: takes nothing; the address of an object that lives as long as the interpreter.
    let none = unsafe { ffi::Py_None() };
    if found == none { null_mut() } else { found }
}

/// Whether an instance of a class that may hold others does.
///
/// # Safety
/// - `object` is a live instance of `class`, and the thread is attached.
#[inline]
pub(super) unsafe fn holds_others(object: *mut PyObject, class: &Class) -> bool {
    match class.native {
        Native::Time | Native::DateTime if !class.traverse => {
            // SAFETY: a live time or datetime, as the arm of the match says.
            !unsafe { tzinfo(object, class.native) }.is_null()
        }
        // SAFETY: a live ndarray, as `class` says of the object, and this function asks for an attached thread.
        Native::NdArray => unsafe { is_array_of_objects(object) },
        _ => true,
    }
}

/// Whether the elements of an array are objects.
///
/// # Safety
/// - `array` is a live ndarray, and the thread is attached.
unsafe fn is_array_of_objects(array: *mut PyObject) -> bool {
    // SAFETY: attached, as this function asks, and `py` is not used after this function.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: a live object, as this function asks, and the `Borrowed` is not used after this function.
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
/// - `array` is a live ndarray of objects, and the thread is attached as long as the result is used.
pub(super) unsafe fn array_elements<'py>(array: *mut PyObject) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached, as this function asks, for as long as `'py`, which the caller chooses, lasts.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: a live object, as this function asks, and the `Borrowed` is not used after this function.
    let array = unsafe { Borrowed::<'_, 'py, PyAny>::from_ptr(py, array) };
    array.call_method1("ravel", ("K",))?.call_method0("tolist")
}

/// What an object holds that `tp_traverse` does not report; all of it lives as long as the object.
///
/// # Safety
/// - `object` is a live object of this kind, and the thread is attached;
/// - the interpreter was calibrated.
pub(super) unsafe fn held_outside(
    object: *mut PyObject,
    native: Native,
) -> [Option<*mut PyObject>; 4] {
    match native {
        // SAFETY: a live range, as `native` says and this function asks, in an interpreter that was calibrated, so it
        // is as large as `held` asks (R1).
        Native::Range => unsafe { range::held(object) }.map(Some),
        Native::Time | Native::DateTime => {
            // SAFETY: a live time or datetime, as `native` says and this function asks.
            let held = unsafe { tzinfo(object, native) };
            [(!held.is_null()).then_some(held), None, None, None]
        }
        Native::TimeZone => {
            // SAFETY: attached, as this function asks, and `py` is not used after this function.
            let py = unsafe { Python::assume_attached() };
            // SAFETY: a live object, as this function asks, and the `Borrowed` is not used after this function.
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

/// The header's mark alone.
pub(super) fn is_frozen(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the `Bound` holds the object, and exists only attached.
    header::is_immortal(unsafe { header::word(object.as_ptr()) })
}
