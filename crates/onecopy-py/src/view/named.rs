//! `NamedTupleView`: rows that were namedtuples.
//!
//! A tuple has its elements in itself, where C code looks for them, so no view can be one. It says that it is: `__class__` is
//! the namedtuple's. Fields are read where they lie; methods, comparing and hashing are done by a real namedtuple of
//! the fields, made for the purpose.

use std::sync::{Arc, OnceLock};

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyAttributeError, PyException, PyImportError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};

use super::level::Level;
use super::methods::view_methods;
use super::rows;
use super::table_core::{ReducedRow, RowPlace, TableCore, reduce_row};
use crate::image::Image;

/// A namedtuple in shared data: has its attributes and methods, indexes and unpacks like it, `isinstance` says that it is
/// one, and it never changes.
#[pyclass(frozen, weakref, module = "onecopy.views")]
pub(crate) struct NamedTupleView {
    image: Py<Image>,
    core: Arc<TableCore>,
    row: usize,
}

/// The view of a row, which must be one of the table's.
pub(super) fn new<'py>(
    py: Python<'py>,
    image: &Py<Image>,
    core: &Arc<TableCore>,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let view = NamedTupleView {
        image: image.clone_ref(py),
        core: core.clone(),
        row,
    };
    Ok(Bound::new(py, view)?.into_any())
}

/// The row that an object shows, if it is a view of a namedtuple.
pub(super) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<RowPlace<'a>> {
    let view = object.cast_exact::<NamedTupleView>().ok()?;
    Some(view.get().place())
}

impl NamedTupleView {
    fn place(&self) -> RowPlace<'_> {
        (&self.image, &self.core, self.row)
    }

    fn cells<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let cells = (0..self.core.names.len())
            .map(|position| self.core.cell(py, position, self.row))
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, cells)
    }

    /// A namedtuple whose elements are what the view's are.
    fn instance<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let class = rows::class(self.image.bind(py), &self.core)?;
        let tuple = py.get_type::<PyTuple>();
        tuple.call_method1("__new__", (class, self.cells(py)?))
    }
}

view_methods!(NamedTupleView {
    // Python asks only where neither the fields nor this class have the name.
    fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        if let Some(position) = self.core.position(name.as_any())? {
            return self.core.cell(py, position, self.row);
        }
        let text = name.to_string_lossy();
        if text.starts_with("__") {
            // What protocols ask a type for, this type answers.
            let missing = format!("a row view has no attribute {text:?}");
            return Err(PyAttributeError::new_err(missing));
        }
        self.instance(py)?.getattr(name)
    }

    /// The namedtuple's class: `isinstance` asks for it.
    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match rows::class(slf.get().image.bind(py), &slf.get().core) {
            Ok(class) => Ok(class),
            // The fields can be read without it.
            Err(error) if error.is_instance_of::<PyException>(py) => {
                Ok(slf.get_type().into_any())
            }
            Err(error) => Err(error),
        }
    }

    fn __richcmp__<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        let _level = Level::of_comparison()?;
        let ours = self.instance(py)?;
        match other.cast_exact::<Self>() {
            Ok(view) => ours.rich_compare(view.get().instance(py)?, op),
            Err(_) => ours.rich_compare(other, op),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        let _level = Level::of_hash()?;
        self.instance(py)?.hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        rows::text(py, self.place())
    }

    fn __dir__(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        let names = self.core.names.iter();
        names.map(|name| name.clone_ref(py)).collect()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedRow<'py>> {
        reduce_row(py, self.place())
    }

    fn __len__(&self) -> usize {
        self.core.names.len()
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.cells(key.py())?.as_any().get_item(key)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.cells(py)?.as_any().try_iter()?.into_any())
    }

    fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.cells(value.py())?.as_any().contains(value)
    }

    fn __add__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        match other.cast_exact::<Self>() {
            Ok(view) => self.cells(py)?.as_any().add(view.get().cells(py)?),
            Err(_) => self.cells(py)?.as_any().add(other),
        }
    }

    fn __radd__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        other.add(self.cells(other.py())?)
    }

    fn __mul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.cells(count.py())?.as_any().mul(count)
    }

    fn __rmul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.cells(count.py())?.as_any().mul(count)
    }
});

/// What `PyO3` has made for `view.name`.
static GENERATED: OnceLock<ffi::getattrofunc> = OnceLock::new();

/// `view.name`.
#[allow(unsafe_code)]
unsafe extern "C" fn getattro(object: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: slots run attached. Nothing that needs to be released is made with this `py` (E1 of `cpython::slot`).
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the interpreter holds the instance during the call.
    let view = unsafe { Borrowed::<'_, '_, PyAny>::from_ptr(py, object) };
    // SAFETY: `install` puts this slot into the type of `NamedTupleView` alone, which cannot be derived from.
    let view = unsafe { view.cast_unchecked::<NamedTupleView>() };
    let NamedTupleView { core, row, .. } = view.get();
    let found = core.names.iter().position(|known| known.as_ptr() == name);
    if let Some(position) = found
        && *row < core.table.rows
        && let Some(column) = core.columns.get(position)
    {
        // SAFETY: `get` is the getter that `codec::of` gave with the parts; they hold, as the view keeps its image (P1 to P4).
        // `row` is below the number of rows, and `Table::column` gives columns of as many cells. Slots run attached.
        return unsafe { (column.get)(&column.parts, *row) };
    }
    let generated = GENERATED
        .get()
        .copied()
        .unwrap_or(ffi::PyObject_GenericGetAttr);
    // SAFETY: the slot that PyO3 made for this very type, or that of any object, called as the interpreter calls this one.
    unsafe { generated(object, name) }
}

/// Puts the slot in. Called once, when the module is made, before any instance exists.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    let class: Bound<'_, PyType> = py.get_type::<NamedTupleView>();
    // SAFETY: a field of a type that lives for ever; no instance exists yet, and the thread is attached, as `py` shows.
    #[allow(unsafe_code)]
    let slot = unsafe { &mut (*class.as_type_ptr()).tp_getattro };
    let generated =
        slot.ok_or_else(|| PyImportError::new_err("a view type came without a slot"))?;
    GENERATED.get_or_init(|| generated);
    *slot = Some(getattro);
    // SAFETY: the type lives for ever; attached. The interpreter forgets what it remembers of it.
    #[allow(unsafe_code)]
    unsafe {
        ffi::PyType_Modified(class.as_type_ptr());
    }
    Ok(())
}
