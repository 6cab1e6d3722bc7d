//! The iterators of views: one type per column kind, so that a step knows its decoder.
//!
//! They are made with the C API, as a `#[pyclass]` puts its machinery between the interpreter and each step. An
//! iterator holds its view, and with it the image, until it is exhausted.
//!
//! **Invariants.** `T1`: while `view` is not null it is a strong reference, and `parts` belong to its image. `T2`:
//! `left` more elements exist, from `at` on, `step` apart; with `left` at 0 `parts` are not used any more. `T3`: instances
//! of the types are made by [`IteratorType::iterate`] alone: the types refuse to be called and to be derived from.
#![allow(unsafe_code, reason = "slots of a type made with the C API")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple, PyType};

use super::parts::Parts;
use super::steps::Steps;
use crate::cpython::{made_once, slot};

#[repr(C)]
struct Iterator {
    base: PyObject,
    fields: Cursor,
}

/// What follows the head of an iterator object. All of it may be zero.
struct Cursor {
    view: Cell<*mut PyObject>,
    parts: Parts,
    rest: Option<Rest>,
    at: Cell<usize>,
    step: usize,
    left: Cell<usize>,
}

/// Makes a view of some elements of the image that a view shows a part of.
pub(crate) type Rest = for<'py> fn(&Bound<'py, PyAny>, Steps) -> PyResult<Bound<'py, PyAny>>;

/// The iterator type of a kind of column, made at the first use.
pub(crate) struct IteratorType {
    next: ffi::iternextfunc,
    class: PyOnceLock<Py<PyType>>,
}

impl IteratorType {
    /// The type whose step is `next`.
    pub(super) const fn new(next: ffi::iternextfunc) -> Self {
        let class = PyOnceLock::new();
        Self { next, class }
    }

    /// An iterator over `steps` of the elements in `parts`, which `owner` keeps. `rest` makes a view of those that are left.
    pub(crate) fn iterate<'py>(
        &self,
        owner: &Bound<'py, PyAny>,
        parts: Parts,
        steps: &Steps,
        rest: Rest,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = owner.py();
        let class = made_once(py, &self.class, || make_type(py, self.next))?;
        let class = class.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: a type that `make_type` made and that `self` holds, of objects without items; attached, as `owner`
        // shows.
        let object = unsafe { ffi::PyType_GenericAlloc(class, 0) };
        // SAFETY: `PyType_GenericAlloc` gives a new reference, or null with an exception set.
        let bound = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
        let fields = Cursor {
            view: Cell::new(owner.clone().into_ptr()),
            parts,
            rest: Some(rest),
            at: Cell::new(steps.start.cast_unsigned()),
            step: steps.step.cast_unsigned(),
            left: Cell::new(steps.len),
        };
        // SAFETY: the address of a field; the object was made above with `BASIC_SIZE` bytes, which is the size of
        // `Iterator`.
        let place = unsafe { &raw mut (*object.cast::<Iterator>()).fields };
        // SAFETY: `place` lies in the new object, which nobody else has seen, and is aligned as objects are. Its bytes
        // are zero there and need no drop; T1 and T2 hold for what is written.
        unsafe { place.write(fields) };
        Ok(bound)
    }
}

/// The fields of an iterator.
///
/// # Safety
/// - `iterator` is a live object of one of the types made here, and stays alive while the reference is used.
#[inline]
unsafe fn fields<'a>(iterator: *mut PyObject) -> &'a Cursor {
    // SAFETY: by this function's bullet the object is alive as long as the reference and of a type made here, so
    // `iterate` has laid it out as `Iterator` and filled it (T3). Nobody has a `&mut` to it: the fields that change are
    // cells.
    unsafe { &(*iterator.cast::<Iterator>()).fields }
}

/// Takes one step: where the next element lies, or `None` at the end.
///
/// # Safety
/// - `iterator` is a live object of one of the types made here, and stays alive while the reference is used; the thread is
///   attached.
#[inline]
pub(crate) unsafe fn advance<'a>(iterator: *mut PyObject) -> Option<(&'a Parts, usize)> {
    // SAFETY: a live object of a type made here, and for as long, as this function asks too.
    let iterator = unsafe { fields(iterator) };
    let left = iterator.left.get();
    if left == 0 {
        release(iterator);
        return None;
    }
    let at = iterator.at.get();
    iterator.left.set(left - 1);
    iterator.at.set(at.wrapping_add(iterator.step));
    Some((&iterator.parts, at))
}

/// Gives the view back, and what was handed out last.
#[cold]
fn release(iterator: &Cursor) {
    iterator.parts.spare.clear();
    let view = iterator.view.replace(ptr::null_mut());
    // SAFETY: null, or the reference that the iterator owned (T1) and, as its place was just emptied, owns no longer.
    // Slots run attached.
    unsafe { ffi::Py_XDECREF(view) };
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: the interpreter calls this slot, which only the types made here have, with an object of one of them,
    // whose memory is there until the call below gives it back.
    release(unsafe { fields(object) });
    // SAFETY: reads the class in the head of the object, whose memory is there until the call below gives it back.
    let class = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: `PyType_GenericAlloc` allocated it (T3), like this for a type without garbage collection; no reference is
    // left, as its slot `tp_dealloc` runs, and it is not used after this line.
    unsafe { ffi::PyObject_Free(object.cast()) };
    // SAFETY: an object of a heap type owns a reference to its class, which it gives back in its `tp_dealloc` (C API,
    // heap types): here, once.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn length_hint(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this method, which only the types made here have, with an object of one of them,
    // which it holds during the call.
    let iterator = unsafe { fields(object) };
    // SAFETY: takes a plain number; the interpreter calls methods attached.
    unsafe { ffi::PyLong_FromSize_t(iterator.left.get()) }
}

/// `iter(rest of the view)`: what pickling and copying an iterator give.
unsafe extern "C" fn reduce(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this method, which only the types made here have, with an object of one of them,
    // which it holds during the call.
    let iterator = unsafe { fields(object) };
    let work = |py: Python<'_>| {
        let iter = crate::cpython::module(py, "builtins")?.getattr("iter")?;
        let pair = (iter, PyTuple::new(py, [rest(py, iterator)?])?);
        Ok(pair.into_pyobject(py)?.into_ptr())
    };
    // SAFETY: the interpreter calls methods attached; `work` gives a new reference or an error.
    unsafe { slot::enter(work) }
}

fn rest<'py>(py: Python<'py>, iterator: &Cursor) -> PyResult<Bound<'py, PyAny>> {
    let owner = iterator.view.get();
    let Some(rest) = iterator.rest.filter(|_| !owner.is_null()) else {
        return Ok(PyList::empty(py).into_any());
    };
    // SAFETY: not null, so an object that the iterator owns a reference to (T1), and the caller holds the iterator; it
    // becomes one reference more. Attached, as `py` shows.
    let owner = unsafe { Bound::from_borrowed_ptr(py, owner) };
    let steps = Steps {
        start: iterator.at.get().cast_signed(),
        step: iterator.step.cast_signed(),
        len: iterator.left.get(),
    };
    rest(&owner, steps)
}

#[allow(
    clippy::cast_possible_wrap,
    reason = "the object has less than a hundred bytes"
)]
const BASIC_SIZE: c_int = size_of::<Iterator>() as c_int;
const NAME: &CStr = c"onecopy.ViewIterator";

fn make_type(py: Python<'_>, next: ffi::iternextfunc) -> PyResult<Py<PyType>> {
    let method = |name: &CStr, function: ffi::PyCFunction| ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: function,
        },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: ptr::null(),
    };
    // The type refers to its methods for ever.
    let methods: &'static mut [ffi::PyMethodDef; 3] = Box::leak(Box::new([
        method(c"__length_hint__", length_hint),
        method(c"__reduce__", reduce),
        ffi::PyMethodDef::zeroed(),
    ]));
    let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let doc: *const c_char = c"Yields the elements of a view.".as_ptr();
    let mut slots = [
        slot(ffi::Py_tp_doc, doc.cast_mut().cast()),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(0, ptr::null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: NAME.as_ptr(),
        basicsize: BASIC_SIZE,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the specification and its slots, which end in a zero one, live during the call, and what they point to
    // for ever: literals, functions, and methods that were leaked for it. Each function has the type that the C API
    // gives for its slot: `dealloc` takes an object, `next` is an `iternextfunc`, the methods take an object and
    // nothing. Attached, as `py` shows.
    let class = unsafe { ffi::PyType_FromSpec(&raw mut spec) };
    // SAFETY: `PyType_FromSpec` gives a new reference, or null with an exception set.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, class) }?;
    Ok(class.cast_into::<PyType>()?.unbind())
}
