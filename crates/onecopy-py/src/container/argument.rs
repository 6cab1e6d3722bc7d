//! Arguments of slots and methods that are written by hand, and what such a function gives.
//!
//! **Invariant.** `A1`: an [`Argument`] is an object that the interpreter holds during the call of a slot, in an attached
//! thread, and it is used no longer than that.
#![allow(unsafe_code, reason = "slots are functions over raw objects")]

use std::ptr;

use onecopy::ContainerError;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;

use super::slots::{guard, raise};
use super::word::raise_failure;
use crate::cpython::slot;
use crate::value::item::Item;

/// See A1.
#[derive(Clone, Copy)]
pub(super) struct Argument(pub(super) *mut PyObject);

impl Argument {
    /// The object, for a look at its value.
    #[inline(always)]
    pub(super) fn item(self) -> Item {
        // SAFETY: the thread is attached (A1). Nothing is dropped with this `py`.
        let py = unsafe { Python::assume_attached() };
        // SAFETY: a live object (A1).
        let object = unsafe { Borrowed::from_ptr(py, self.0) };
        Item::of(&object)
    }

    /// A new reference.
    pub(super) fn given(self) -> *mut PyObject {
        // SAFETY: a live object and an attached thread (A1).
        unsafe { ffi::Py_INCREF(self.0) };
        self.0
    }

    /// Does the work of a slot that gives an object: null with an exception set.
    #[cold]
    #[inline(never)]
    pub(super) fn slowly<W>(self, work: W) -> *mut PyObject
    where
        W: for<'py> FnOnce(&Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>>,
    {
        let work = |py: Python<'_>| {
            // SAFETY: a live object (A1).
            let key = unsafe { Bound::from_borrowed_ptr(py, self.0) };
            Ok(work(&key)?.map_or(ptr::null_mut(), Bound::into_ptr))
        };
        // SAFETY: attached (A1); the work gives a new reference, an error, or null, which the one that asked for it knows.
        unsafe { slot::enter(work) }
    }

    /// Does the work of a slot that gives a number: −1 with an exception set.
    #[cold]
    #[inline(never)]
    pub(super) fn number_slowly(
        self,
        work: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<Py_ssize_t>,
    ) -> Py_ssize_t {
        let mut result = -1;
        self.slowly(|key| {
            result = work(key)?;
            Ok(None)
        });
        result
    }

    /// The object, for work that is done slowly.
    pub(super) fn bound(self, py: Python<'_>) -> Bound<'_, PyAny> {
        // SAFETY: a live object (A1).
        unsafe { Bound::from_borrowed_ptr(py, self.0) }
    }
}

/// Does the work of a slot that gives a number; −1 with an exception set.
#[inline(always)]
pub(super) fn guard_number(
    work: impl FnOnce() -> Result<Py_ssize_t, ContainerError>,
) -> Py_ssize_t {
    let mut result = -1;
    guard(|| match work() {
        Ok(number) => {
            result = number;
            ptr::null_mut()
        }
        Err(failure) => raise_failure(failure),
    });
    result
}

/// A key and the argument that may follow it; `None` with an exception set.
///
/// # Safety
/// - the interpreter holds as many arguments as `count` says during the call, in an attached thread.
#[inline(always)]
pub(super) unsafe fn arguments(
    name: &str,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> Option<(Argument, Option<Argument>)> {
    if count != 1 && count != 2 {
        raise(|| {
            let text = format!("{name} expected 1 or 2 arguments, got {count}");
            PyTypeError::new_err(text)
        });
        return None;
    }
    // SAFETY: at least one argument lies there, as was just found.
    let key = Argument(unsafe { *arguments });
    if count == 1 {
        return Some((key, None));
    }
    // SAFETY: two arguments lie there, as was just found.
    let second = unsafe { *arguments.wrapping_add(1) };
    Some((key, Some(Argument(second))))
}
