//! The slots behind `view[i]` and `len(view)`, put in the place of those that `PyO3` generates.
//!
//! A generated slot enters a trampoline that counts attachments, catches panics and converts arguments: more work than
//! the access itself. These functions do none of it. They cannot panic: indexes are checked, arithmetic wraps, what can
//! fail goes through `cpython::slot`, and what is not the plain case to the generated slot, which is kept.
#![allow(unsafe_code, reason = "slots are functions over raw objects")]

use std::ffi::c_int;
use std::sync::OnceLock;

use pyo3::exceptions::PyImportError;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::{PyClass, PyTypeInfo};

use crate::column::Elements;
use crate::cpython::{pylong, slot};
use crate::value::index;

/// A class whose instances hold elements and nothing else.
pub(crate) trait ViewClass: PyClass<Frozen = True> + Sync {
    /// What the builtin is called: `list` or `tuple`.
    const KIND: &'static str;
    /// What it shows.
    fn elements(&self) -> &Elements;
    /// Where the generated slot behind `view[key]` is kept.
    fn generated_subscript() -> &'static OnceLock<ffi::binaryfunc>;
}

/// The elements that an object shows.
///
/// # Safety
/// - `object` is a live instance of `T`, and the thread is attached;
/// - the reference is not used after the object may have died.
#[inline]
unsafe fn elements_of<'a, T: ViewClass + 'a>(object: *mut PyObject) -> &'a Elements {
    // SAFETY: the thread is attached, as this function asks. Nothing that needs to be released is made with this `py`
    // (E1 of `cpython::slot`).
    let py = unsafe { Python::assume_attached() };
    // SAFETY: not null, and alive as long as the reference is used, as this function asks; the reference count is left
    // alone.
    let object = unsafe { Borrowed::<'a, '_, PyAny>::from_ptr(py, object) };
    // SAFETY: an instance of `T`, as this function asks.
    let object = unsafe { object.cast_unchecked::<T>() };
    let inner: *const T = object.get();
    // SAFETY: the instance lies in the object, which outlives the reference, as this function asks; nobody has a `&mut`
    // to it, as the class is frozen (`ViewClass`).
    unsafe { &*inner }.elements()
}

unsafe extern "C" fn length<T: ViewClass>(object: *mut PyObject) -> Py_ssize_t {
    // SAFETY: `install` puts this slot into the type of `T` alone, and the interpreter calls it attached, with an
    // instance that it holds during the call.
    unsafe { elements_of::<T>(object) }.steps.len.cast_signed()
}

/// `view[i]` for callers that have the index as a number.
unsafe extern "C" fn item<T: ViewClass>(object: *mut PyObject, index: Py_ssize_t) -> *mut PyObject {
    // SAFETY: `install` puts this slot into the type of `T` alone, and the interpreter calls it attached, with an
    // instance that it holds during the call.
    let ours = unsafe { elements_of::<T>(object) };
    // The interpreter has added the length to a negative index before, as with every sequence.
    if index.cast_unsigned() >= ours.steps.len {
        return raise_index::<T>();
    }
    // SAFETY: `get` is the getter that `codec::of` gave with the parts; they hold, as the view keeps its image (P1 to
    // P4). `index` is below `len`, so it is one of the elements (S1). Slots run attached.
    unsafe { (ours.get)(&ours.parts, ours.steps.at(index.cast_unsigned())) }
}

/// `view[key]`.
unsafe extern "C" fn subscript<T: ViewClass>(
    object: *mut PyObject,
    key: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this slot attached, and holds the key during the call.
    if unsafe { pylong::is_exact_int(key) } {
        // SAFETY: a live and exact int: its class was just looked at, and the interpreter holds the key during the
        // call.
        if let Some(index) = unsafe { pylong::small(key) } {
            // SAFETY: `install` puts this slot into the type of `T` alone, and the interpreter holds the instance
            // during the call.
            let ours = unsafe { elements_of::<T>(object) };
            return match ours.steps.position(index as isize) {
                // SAFETY: as `position` says, `at` is one of the elements (S1); `get` is the getter that `codec::of`
                // gave with the parts, which hold, as the view keeps its image (P1 to P4). Slots run attached.
                Some(at) => unsafe { (ours.get)(&ours.parts, at) },
                None => raise_index::<T>(),
            };
        }
    }
    match T::generated_subscript().get() {
        // SAFETY: the slot that PyO3 made for this very type (`install`), called as the interpreter calls this one:
        // attached, with an instance and a key that it holds.
        Some(generated) => unsafe { generated(object, key) },
        None => raise_index::<T>(),
    }
}

#[cold]
fn raise_index<T: ViewClass>() -> *mut PyObject {
    // SAFETY: the interpreter calls slots attached; the work gives an error.
    unsafe { slot::enter(|_| Err(index::out_of_range(T::KIND))) }
}

/// Puts the slots of this file into the type of `T`. Called once, when the module is made, before any instance exists.
pub(crate) fn install<T: ViewClass + PyTypeInfo>(py: Python<'_>) -> PyResult<()> {
    let class = T::type_object_raw(py);
    let incomplete = || PyImportError::new_err("the view types came without sequence slots");
    // SAFETY: `class` is the type of a class of this module, which PyO3 has made ready and holds for ever; attached, as
    // `py` shows, so nobody changes the field meanwhile.
    let mapping = unsafe { (*class).tp_as_mapping };
    // SAFETY: null, or the type's own table, which lives as long as the type. No instance exists yet, as the module is
    // being made, and the thread is attached: nobody else reads or writes it while the reference is used.
    let mapping = unsafe { mapping.as_mut() }.ok_or_else(incomplete)?;
    // SAFETY: another field of the same type.
    let sequence = unsafe { (*class).tp_as_sequence };
    // SAFETY: null, or another table of the type's own, which nobody else reads or writes either.
    let sequence = unsafe { sequence.as_mut() }.ok_or_else(incomplete)?;
    let generated = mapping.mp_subscript.ok_or_else(incomplete)?;
    T::generated_subscript().get_or_init(|| generated);
    mapping.mp_subscript = Some(subscript::<T>);
    mapping.mp_length = Some(length::<T>);
    sequence.sq_item = Some(item::<T>);
    sequence.sq_length = Some(length::<T>);
    // SAFETY: `class` lives for ever; attached, as `py` shows. The interpreter forgets what it remembers of it.
    unsafe { ffi::PyType_Modified(class) };
    // SAFETY: reads a field of `class`, which lives for ever.
    let flags = unsafe { ffi::PyType_GetFlags(class) };
    let subclassable: c_int = (flags & ffi::Py_TPFLAGS_BASETYPE != 0).into();
    assert_eq!(subclassable, 0, "a subclass would keep the generated slots");
    Ok(())
}
