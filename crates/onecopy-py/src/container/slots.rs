//! The slots behind what is done to a list most: `l[i]`, `l[i] = x`, `len(l)`, `append` and `pop`, in the place of those
//! that `PyO3` generates, whose trampolines take as long as the work itself (see `view/slots.rs`).
//!
//! The plain case is done here: an exact int for an index, an int of 48 bits for a value. The rest goes to the generated
//! slots, which are kept, or through `cpython::slot`. A panic would end the process, so [`guard`] turns one into an
//! exception.
#![allow(unsafe_code, reason = "slots are functions over raw objects")]

use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;

use onecopy::shared::{Incoming, Word};
use pyo3::PyClass;
use pyo3::exceptions::{PyImportError, PyIndexError, PyTypeError};
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;

use super::list::List;
use super::list_iterator::ListIterator;
use super::word::{Raised, Reader, raise_failure, with_incoming};
use crate::cpython::{pylong, slot};
use crate::error::{self, Error};
use crate::value::{index, scalar};

static SUBSCRIPT: OnceLock<ffi::binaryfunc> = OnceLock::new();
static ASSIGN: OnceLock<ffi::objobjargproc> = OnceLock::new();

/// The Rust value of an instance of a frozen class.
///
/// # Safety
/// - `object` is a live instance of `T`, and the thread is attached;
/// - the reference is not used after the object may have died.
#[inline(always)]
pub(super) unsafe fn inner<
    'a,
    T: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync + 'a,
>(
    object: *mut PyObject,
) -> &'a T {
    // SAFETY: the thread is attached, as this function asks. Nothing is dropped with this `py`.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: a live object, as this function asks, and it stays so while the reference is used.
    let object = unsafe { Borrowed::<'a, '_, PyAny>::from_ptr(py, object) };
    // SAFETY: an instance of `T`, as this function asks.
    let object = unsafe { object.cast_unchecked::<T>() };
    let inner: *const T = object.get();
    // SAFETY: the instance lives as long as the object, which outlives the reference, as this function asks.
    unsafe { &*inner }
}

/// Does the work of a slot that gives an object; a panic becomes an exception.
#[inline(always)]
pub(super) fn guard(work: impl FnOnce() -> *mut PyObject) -> *mut PyObject {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(object) => object,
        // SAFETY: the interpreter calls slots attached; the work gives an error.
        Err(panic) => unsafe { slot::enter(|_| Err(error::of_panic(panic.as_ref()))) },
    }
}

#[cold]
pub(super) fn raise(error: impl FnOnce() -> PyErr) -> *mut PyObject {
    // SAFETY: the interpreter calls slots attached; the work gives an error.
    unsafe { slot::enter(|_| Err(error())) }
}

/// The value of an exact int that is an index or a value of 48 bits.
///
/// # Safety
/// - `object` is a live object.
#[inline(always)]
unsafe fn exact_int(object: *mut PyObject) -> Option<i64> {
    // SAFETY: a live object, as this function asks.
    if !unsafe { pylong::is_exact_int(object) } {
        return None;
    }
    // SAFETY: a live and exact int, as its class has just said.
    unsafe { pylong::to_i64(object) }
}

/// An element as a new reference, or null with an exception set.
#[inline(always)]
fn element(list: &List, at: i64) -> *mut PyObject {
    match list.raw.get(at, &Reader(&list.spare)) {
        Ok(Some(Ok(found))) => found.finish(),
        Ok(Some(Err(Raised))) => ptr::null_mut(),
        Ok(None) => raise(|| index::out_of_range("list")),
        Err(failure) => raise_failure(failure),
    }
}

unsafe extern "C" fn subscript(object: *mut PyObject, key: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this slot with a key that it holds during the call.
    if let Some(at) = unsafe { exact_int(key) } {
        // SAFETY: the interpreter calls this slot attached, with a list that it holds during the call.
        let list = unsafe { inner::<List>(object) };
        return guard(|| element(list, at));
    }
    match SUBSCRIPT.get() {
        // SAFETY: the slot that PyO3 made for this type, called as the interpreter would.
        Some(generated) => unsafe { generated(object, key) },
        None => raise(|| index::out_of_range("list")),
    }
}

unsafe extern "C" fn item(object: *mut PyObject, at: Py_ssize_t) -> *mut PyObject {
    // The interpreter has added the length to a negative index before; what is still negative is out of range.
    if at < 0 {
        return raise(|| index::out_of_range("list"));
    }
    // SAFETY: the interpreter calls this slot attached, with a list that it holds during the call.
    let list = unsafe { inner::<List>(object) };
    guard(|| element(list, at as i64))
}

unsafe extern "C" fn length(object: *mut PyObject) -> Py_ssize_t {
    // SAFETY: the interpreter calls this slot attached, with a list that it holds during the call.
    let list = unsafe { inner::<List>(object) };
    let mut len = -1;
    guard(|| match list.raw.len() {
        Ok(found) => {
            len = found.cast_signed() as Py_ssize_t;
            ptr::null_mut()
        }
        Err(failure) => raise_failure(failure),
    });
    len
}

unsafe extern "C" fn assign(
    object: *mut PyObject,
    key: *mut PyObject,
    value: *mut PyObject,
) -> c_int {
    if !value.is_null() {
        // SAFETY: the interpreter calls this slot with a key and a value that it holds during the call.
        let plain =
            unsafe { exact_int(key) }.zip(unsafe { exact_int(value) }.and_then(Word::of_int));
        if let Some((at, word)) = plain {
            // SAFETY: the interpreter calls this slot attached, with a list that it holds during the call.
            let list = unsafe { inner::<List>(object) };
            let mut done = -1;
            guard(|| match list.raw.set(at, &Incoming::Word(word)) {
                Ok(true) => {
                    done = 0;
                    ptr::null_mut()
                }
                Ok(false) => raise(|| PyIndexError::new_err("list assignment index out of range")),
                Err(failure) => raise_failure(failure),
            });
            return done;
        }
    }
    if let Some(generated) = ASSIGN.get() {
        // SAFETY: the slot that PyO3 made for this type, called as the interpreter would.
        return unsafe { generated(object, key, value) };
    }
    raise(|| index::out_of_range("list"));
    -1
}

unsafe extern "C" fn append(object: *mut PyObject, value: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this method, which lists alone have, attached, with a list that it holds.
    let list = unsafe { inner::<List>(object) };
    // SAFETY: the interpreter holds the argument during the call.
    if let Some(word) = unsafe { exact_int(value) }.and_then(Word::of_int) {
        return guard(|| match list.raw.append(&Incoming::Word(word)) {
            Ok(()) => scalar::none(),
            Err(failure) => raise_failure(failure),
        });
    }
    let work = |py: Python<'_>| {
        // SAFETY: the interpreter holds the argument during the call.
        let value = unsafe { Bound::from_borrowed_ptr(py, value) };
        with_incoming(&value, |value| {
            Ok(list.raw.append(value).map_err(Error::from)?)
        })?;
        Ok(scalar::none())
    };
    // SAFETY: attached; the work gives a new reference or an error.
    unsafe { slot::enter(work) }
}

/// An index of another class than int; `None` with an exception set.
///
/// # Safety
/// - `argument` is a live object, and the thread is attached.
#[cold]
unsafe fn whole(argument: *mut PyObject) -> Option<i64> {
    let mut found = None;
    let work = |py: Python<'_>| {
        // SAFETY: a live object, as this function asks.
        let argument = unsafe { Bound::from_borrowed_ptr(py, argument) };
        found = Some(index::whole(&argument)? as i64);
        Ok(ptr::null_mut())
    };
    // SAFETY: attached, as this function asks; null without an exception goes no further.
    unsafe { slot::enter(work) };
    found
}

unsafe extern "C" fn pop(
    object: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this method, which lists alone have, attached, with a list that it holds.
    let list = unsafe { inner::<List>(object) };
    let mut at = -1;
    if count > 1 {
        return raise(|| {
            PyTypeError::new_err(format!("pop expected at most 1 argument, got {count}"))
        });
    }
    if count == 1 {
        // SAFETY: as many arguments as `count` says.
        let argument = unsafe { *arguments };
        // SAFETY: the interpreter holds the arguments during the call.
        let plain = unsafe { exact_int(argument) };
        // SAFETY: the interpreter holds the arguments during the call, and calls methods attached.
        match plain.or_else(|| unsafe { whole(argument) }) {
            Some(index) => at = index,
            None => return ptr::null_mut(),
        }
    }
    guard(|| match list.raw.pop(at, &Reader(&list.spare)) {
        Ok(Some(Ok(found))) => found.finish(),
        Ok(Some(Err(Raised))) => ptr::null_mut(),
        Ok(None) => raise(|| list.nothing_to_pop()),
        Err(failure) => raise_failure(failure),
    })
}

unsafe extern "C" fn next(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this slot attached, with an iterator that it holds during the call.
    let iterator = unsafe { inner::<ListIterator>(object) };
    guard(|| iterator.advance())
}

const APPEND: &CStr = c"append($self, object, /)\n--\n\nAdds an element at the end.\n\nExamples:\n    >>> import onecopy\n    >>> numbers = onecopy.List([1])\n    >>> numbers.append(2)\n    >>> numbers\n    onecopy.List([1, 2])";
const POP: &CStr = c"pop($self, index=-1, /)\n--\n\nTakes an element out, the last one by default, and returns it.\n\nRaises:\n    IndexError: There is none at this index.\n\nExamples:\n    >>> import onecopy\n    >>> numbers = onecopy.List([1, 2, 3])\n    >>> numbers.pop(), numbers.pop(0)\n    (3, 1)";

/// Adds a method that is written by hand to a class.
pub(super) fn add_method(
    class: &Bound<'_, PyAny>,
    name: &'static CStr,
    meth: ffi::PyMethodDefPointer,
    flags: c_int,
    doc: &'static CStr,
) -> PyResult<()> {
    // The class refers to its methods for ever.
    let method: &'static mut ffi::PyMethodDef = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.as_ptr().cast::<c_char>(),
        ml_meth: meth,
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }));
    // SAFETY: a live class and a method that lives for ever.
    let descriptor = unsafe { ffi::PyDescr_NewMethod(class.as_ptr().cast(), method) };
    // SAFETY: a new reference, or null with an exception set.
    let descriptor = unsafe { Bound::from_owned_ptr_or_err(class.py(), descriptor) }?;
    class.setattr(name.to_string_lossy().as_ref(), descriptor)
}

/// Puts the slots of this file into the types. Called once, when the module is made, before any instance exists.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    let list = py.get_type::<List>();
    let class = list.as_type_ptr();
    let incomplete = || PyImportError::new_err("the container types came without slots");
    // SAFETY: a type that is ready; its slots are changed before anybody uses it.
    let mapping = unsafe { (*class).tp_as_mapping };
    // SAFETY: null, or the type's own table, which nobody else refers to now.
    let mapping = unsafe { mapping.as_mut() }.ok_or_else(incomplete)?;
    // SAFETY: a type that is ready; its slots are changed before anybody uses it.
    let sequence = unsafe { (*class).tp_as_sequence };
    // SAFETY: null, or the type's own table, which nobody else refers to now.
    let sequence = unsafe { sequence.as_mut() }.ok_or_else(incomplete)?;
    let generated = mapping.mp_subscript.ok_or_else(incomplete)?;
    SUBSCRIPT.get_or_init(|| generated);
    let generated = mapping.mp_ass_subscript.ok_or_else(incomplete)?;
    ASSIGN.get_or_init(|| generated);
    mapping.mp_subscript = Some(subscript);
    mapping.mp_ass_subscript = Some(assign);
    mapping.mp_length = Some(length);
    sequence.sq_item = Some(item);
    sequence.sq_length = Some(length);
    let iterator = py.get_type::<ListIterator>().as_type_ptr();
    // SAFETY: a type that is ready; its slots are changed before anybody uses it.
    unsafe { (*iterator).tp_iternext = Some(next) };
    let one = ffi::PyMethodDefPointer {
        PyCFunction: append,
    };
    add_method(&list, c"append", one, ffi::METH_O, APPEND)?;
    let fast = ffi::PyMethodDefPointer {
        PyCFunctionFast: pop,
    };
    add_method(&list, c"pop", fast, ffi::METH_FASTCALL, POP)?;
    // SAFETY: live types; the interpreter forgets what it remembers of them.
    unsafe { ffi::PyType_Modified(class) };
    // SAFETY: live types; the interpreter forgets what it remembers of them.
    unsafe { ffi::PyType_Modified(iterator) };
    Ok(())
}
