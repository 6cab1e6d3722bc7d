//! What views of rows that were instances have in common, and the two slots of a view.
//!
//! A view's type is derived from the class of the instances (`record`). It has no attributes of its own but two slots: an int,
//! the row's number, and [`Rows`].
//!
//! **Invariant.** `V1`: an instance of a class that `record_class` knows has an int in the first of its last two slots and
//! [`Rows`] in the second, or nothing in both. [`new`] fills them before anybody sees the instance, and nothing else has a way
//! to them: their descriptors are gone.
#![allow(unsafe_code, reason = "reads and writes slots where they lie")]

use std::sync::Arc;

use onecopy::printable;
use pyo3::exceptions::{PyException, PyMemoryError, PyTypeError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::record_class::{RecordClass, is_registered};
use super::repr;
use super::table_core::{RowPlace, TableCore};
use crate::cpython::{members, pylong};
use crate::image::Image;

/// What views of rows of a table have in common.
#[pyclass(frozen, module = "onecopy._onecopy", name = "_Rows")]
pub(crate) struct Rows {
    pub(super) image: Py<Image>,
    pub(super) core: Arc<TableCore>,
    pub(super) class: Arc<RecordClass>,
}

impl Rows {
    pub(super) fn of<'py>(
        py: Python<'py>,
        image: &Py<Image>,
        core: &Arc<TableCore>,
    ) -> PyResult<Bound<'py, Self>> {
        let class = if let Some(class) = core.record.get() {
            class.clone()
        } else {
            let class = Arc::new(class_of_views(image.bind(py), core)?);
            core.record.get_or_init(|| class).clone()
        };
        let (image, core) = (image.clone_ref(py), core.clone());
        Bound::new(py, Self { image, core, class })
    }

    /// The view of a row, which must be one of the table's.
    #[inline]
    pub(super) fn view<'py>(slf: &Bound<'py, Self>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        new(slf, row)
    }
}

/// The type of the views of a table's rows.
fn class_of_views(image: &Bound<'_, Image>, core: &TableCore) -> PyResult<RecordClass> {
    let py = image.py();
    let class = match class(image, core) {
        Ok(class) => Some(class),
        // The fields can be read without it.
        Err(error) if is_about_the_class(py, &error) => None,
        Err(error) => return Err(error),
    };
    let names = PyTuple::new(py, &core.names)?;
    let helper = crate::cpython::module(py, "onecopy._records")?;
    let found = helper.call_method1("view_class", (class, names))?;
    let (view, hidden): (Bound<'_, PyType>, Vec<bool>) = found.extract()?;
    if !is_registered(&view) {
        return Err(PyTypeError::new_err("a class of record views was expected"));
    }
    let address = |(name, hidden): (&Py<PyAny>, bool)| {
        if hidden { 0 } else { name.as_ptr().addr() }
    };
    let direct = core.names.iter().zip(hidden).map(address).collect();
    let view = view.unbind();
    Ok(RecordClass { view, direct })
}

fn is_about_the_class(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyException>(py) && !error.is_instance_of::<PyMemoryError>(py)
}

/// The class of a table's rows, imported when it is needed.
pub(crate) fn class<'py>(
    image: &Bound<'py, Image>,
    core: &TableCore,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    if let Some(class) = core.class.get() {
        return Ok(class.bind(py).clone());
    }
    let helper = crate::cpython::module(py, "onecopy._pickle")?;
    if !image.get().allows_pickle() {
        return Err(PyErr::from_value(helper.call_method1("refusal", (image,))?));
    }
    let class = helper.call_method1("find_class", (core.class_name.as_str(),))?;
    Ok(core.class.get_or_init(|| class.unbind()).bind(py).clone())
}

/// The view of a row.
#[inline]
fn new<'py>(rows: &Bound<'py, Rows>, row: usize) -> PyResult<Bound<'py, PyAny>> {
    let py = rows.py();
    let class = rows.get().class.view.as_ptr().cast::<ffi::PyTypeObject>();
    // SAFETY: the class of a `RecordClass` lives for ever and was made by `type` (`record`); attached, as
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
/// - `object` is a live instance of a class that `record_class` knows, and the thread is attached;
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

/// The text of a row that was an instance.
pub(super) fn text(py: Python<'_>, place: RowPlace<'_>) -> PyResult<String> {
    let (image, core, row) = place;
    // Whoever made the file wrote it, maybe for the terminal.
    let name = core.class_name.rsplit([':', '.']).next();
    let name = printable(name.unwrap_or_default());
    let (guard, node) = repr::row(image, core.node, row);
    repr::guarded(guard, node, &format!("{name}View(...)"), || {
        let positions = core.positions(row)?;
        let cells = repr::listed(positions.len(), |index| {
            let position = positions[index];
            let field = core.names[position].bind(py).to_string();
            let field = printable(&field);
            if core.is_pickled(position, row)? {
                return Ok(format!("{field}=<pickled>"));
            }
            let cell = core.cell(py, position, row)?;
            Ok(format!("{field}={}", repr::short(repr::of(&cell)?)))
        })?;
        Ok(format!("{name}View({cells})"))
    })
}
