//! The two slots of a record view, and `view.name` without a detour: what [`record`](super::record) rests on.
//!
//! `view.name` compares the address of the name with those of the table's names, which are interned as the names in
//! code are, and reads the cell. Everything else goes the ordinary way.
//!
//! **Invariant.** `V1`: an instance of a class that `register_record_class` has found to end with two slots has an int in the
//! first and [`Rows`] in the second, or nothing in both. [`new`] fills them before anybody sees the instance, and nothing else
//! has a way to them.
#![allow(unsafe_code, reason = "slots are functions over raw objects")]

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::record::{self, Rows};
use crate::cpython::{members, pylong, slot, unicode};

/// The view of a row.
#[inline]
pub(super) fn new<'py>(rows: &Bound<'py, Rows>, row: usize) -> PyResult<Bound<'py, PyAny>> {
    let py = rows.py();
    let class = rows.get().class.view.as_ptr().cast::<ffi::PyTypeObject>();
    // SAFETY: the class of a `RecordClass` lives for ever and was made by `type` (`register_record_class`); attached, as
    // `py` shows. Rows hold the image, a table and classes, and none of those holds views.
    let view = unsafe { members::new(class) };
    // SAFETY: a new reference, or null with an exception set.
    let view = unsafe { Bound::from_owned_ptr_or_err(py, view) }?;
    // SAFETY: attached, as `py` shows.
    let at = unsafe { pylong::new(row.cast_signed() as i64) };
    // SAFETY: a new reference, or null with an exception set.
    let at = unsafe { Bound::from_owned_ptr_or_err(py, at) }?;
    // SAFETY: an instance of a class that ends with two slots, as its `RecordClass` says.
    let first = unsafe { members::slot(view.as_ptr(), 0) };
    // SAFETY: the first slot of the instance, which nobody else has seen. It gets the reference of `at` (V1).
    unsafe { first.write(at.into_ptr()) };
    // SAFETY: an instance of a class that ends with two slots, as its `RecordClass` says.
    let second = unsafe { members::slot(view.as_ptr(), 1) };
    // SAFETY: the second slot of the instance, which nobody else has seen. It gets a reference of its own (V1).
    unsafe { second.write(rows.clone().into_ptr()) };
    Ok(view)
}

/// What an instance of a class of views shows; `None` if it was not made by [`new`].
///
/// # Safety
/// - `object` is a live instance of a class that `register_record_class` knows, and the thread is attached;
/// - the reference is not used after the object may have died.
#[inline]
pub(super) unsafe fn parts<'a>(object: *mut PyObject) -> Option<(&'a Rows, usize)> {
    // SAFETY: an instance of a class that ends with two slots, as this function asks.
    let first = unsafe { members::slot(object, 0) };
    // SAFETY: the first slot of the instance.
    let at = unsafe { first.read() };
    // SAFETY: an instance of a class that ends with two slots, as this function asks.
    let second = unsafe { members::slot(object, 1) };
    // SAFETY: the second slot of the instance.
    let rows = unsafe { second.read() };
    if rows.is_null() || at.is_null() {
        return None;
    }
    // SAFETY: a live and exact int, which the instance holds (V1).
    let row = unsafe { pylong::to_i64(at) }?;
    // SAFETY: the thread is attached, as this function asks. Nothing that needs to be released is made with this `py` (E1
    // of `cpython::slot`).
    let py = unsafe { Python::assume_attached() };
    // SAFETY: not null, and alive as long as the instance, which holds it, and so as long as the reference is used.
    let rows = unsafe { Borrowed::<'a, '_, PyAny>::from_ptr(py, rows) };
    // SAFETY: `Rows` are there, as something is (V1).
    let rows = unsafe { rows.cast_unchecked::<Rows>() };
    let inner: *const Rows = rows.get();
    // SAFETY: the value lies in the object, which outlives the reference; nobody has a `&mut` to it: the class is frozen.
    Some((unsafe { &*inner }, row.cast_unsigned() as usize))
}

/// `view.name`.
unsafe extern "C" fn getattro(object: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: `install` puts this slot into registered classes alone, and no others inherit it: they get what `PyO3` made
    // for `RecordView`. The interpreter calls it attached, with an instance that it holds during the call.
    if let Some((rows, row)) = unsafe { parts(object) } {
        let found = rows
            .class
            .direct
            .iter()
            .position(|&known| known == name.addr());
        let table = &rows.core.table;
        if let Some(position) = found
            && !table.has_shapes()
            && row < table.rows
            && let Some(column) = rows.core.columns.get(position)
        {
            // SAFETY: `get` is the getter that `codec::of` gave with the parts; they hold, as `rows` keep the image (P1 to
            // P4). `row` is below the number of rows, and `Table::column` gives columns of as many cells. Slots run attached.
            return unsafe { (column.get)(&column.parts, row) };
        }
        // SAFETY: attributes are asked for by strs alone: `PyObject_GetAttr` sees to it.
        if found.is_none() && unsafe { unicode::is_interned(name) } {
            // SAFETY: live objects that the interpreter holds during the call; attached.
            let found = unsafe { ffi::PyObject_GenericGetAttr(object, name) };
            if !found.is_null() {
                return found;
            }
            // SAFETY: attached.
            unsafe { ffi::PyErr_Clear() };
        }
    }
    let work = |py: Python<'_>| {
        // SAFETY: a live object, which the interpreter holds during the call.
        let view = unsafe { Bound::from_borrowed_ptr(py, object) };
        // SAFETY: likewise.
        let name = unsafe { Bound::from_borrowed_ptr(py, name) };
        record::attribute(&view, &name).map(Bound::into_ptr)
    };
    // SAFETY: slots run attached; `into_ptr` gives the reference that the work made, else an error.
    unsafe { slot::enter(work) }
}

/// Puts the slot into a class of views that has no `__getattr__` of its own. If somebody gives it one later, the interpreter
/// puts its own into this place, which calls `RecordView.__getattribute__`: the same more slowly.
pub(super) fn install(class: &Bound<'_, PyType>) {
    let record = class.py().get_type::<record::RecordView>().as_type_ptr();
    let class = class.as_type_ptr();
    // SAFETY: a field of a live class; attached, so nobody changes it meanwhile.
    let general = unsafe { (*record).tp_getattro };
    // SAFETY: a field of a live class; attached, so nobody changes it meanwhile.
    let ours = unsafe { &mut (*class).tp_getattro };
    if ours.map(|slot| slot as usize) == general.map(|slot| slot as usize) {
        *ours = Some(getattro);
        // SAFETY: a live class; attached. The interpreter forgets what it remembers of it.
        unsafe { ffi::PyType_Modified(class) };
    }
}
