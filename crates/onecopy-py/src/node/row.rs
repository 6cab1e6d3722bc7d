//! `RowView`: a dict that is a row of a table.

#![allow(
    clippy::unused_self,
    reason = "methods that refuse do so whatever they are called on"
)]

use std::sync::Arc;

use onecopy::image::RowKind;
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use super::dict::{compare_mappings, merge, part, read_only};
use super::table::TableCore;
use super::{record, text};
use crate::cpython::own_function;
use crate::error::corrupt;
use crate::image::Image;

/// A dict in a shared list of dicts: looks like a dict and never changes. Its cells lie in the table's columns.
#[pyclass(frozen, mapping, weakref, module = "onecopy")]
pub(crate) struct RowView {
    image: Py<Image>,
    core: Arc<TableCore>,
    row: usize,
}

/// The view of a row, which must be one of the table's.
#[inline]
pub(crate) fn new<'py>(
    py: Python<'py>,
    image: &Py<Image>,
    core: &Arc<TableCore>,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    if core.table.row_kind != RowKind::Dict {
        return record::new(py, image, core, row);
    }
    let (image, core) = (image.clone_ref(py), core.clone());
    Ok(Bound::new(py, RowView { image, core, row })?.into_any())
}

/// The row of the table at `table`, whichever kind it is.
pub(crate) fn of_table<'py>(
    image: &Bound<'py, Image>,
    table: u64,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let core = TableCore::of(image, table)?;
    if row >= core.table.rows {
        return Err(corrupt(table, "the table has no such row"));
    }
    new(image.py(), image.as_unbound(), &core, row)
}

impl RowView {
    #[inline]
    fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let Some(position) = self.core.position(key)? else {
            return Ok(None);
        };
        match self.core.shape(self.row)? {
            Some(shape) if !shape.has[position] => Ok(None),
            _ => Ok(Some(position)),
        }
    }

    fn positions(&self) -> PyResult<Vec<usize>> {
        Ok(match self.core.shape(self.row)? {
            Some(shape) => shape.positions.clone(),
            None => (0..self.core.names.len()).collect(),
        })
    }
}

#[pymethods]
impl RowView {
    fn __len__(&self) -> PyResult<usize> {
        let shape = self.core.shape(self.row)?;
        Ok(shape.map_or(self.core.names.len(), |shape| shape.positions.len()))
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match self.find(key)? {
            Some(position) => self.core.cell(key.py(), position, self.row),
            None => Err(PyKeyError::new_err(key.clone().unbind())),
        }
    }

    fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(read_only(
            "'RowView' object does not support item assignment",
        ))
    }

    fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(read_only("'RowView' object does not support item deletion"))
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.find(key)?.is_some())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.key_list(py)?.try_iter()?.into_any())
    }

    /// Yields the keys from the last to the first.
    fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("builtins")?
            .call_method1("reversed", (self.key_list(py)?,))
    }

    /// Returns the value of `key`, or `default` if there is none.
    #[pyo3(signature = (key, default = None, /))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.find(key)? {
            Some(position) => self.core.cell(key.py(), position, self.row).map(Some),
            None => Ok(default),
        }
    }

    /// Returns a set-like view of the keys.
    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        part(slf.as_any(), "Keys")
    }

    /// Returns a view of the values.
    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        part(slf.as_any(), "Values")
    }

    /// Returns a set-like view of the pairs of key and value.
    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        part(slf.as_any(), "Items")
    }

    /// Returns a real dict of the cells; those that are containers stay views.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let real = PyDict::new(py);
        for position in self.positions()? {
            let cell = self.core.cell(py, position, self.row)?;
            real.set_item(self.core.names[position].bind(py), cell)?;
        }
        Ok(real)
    }

    fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        merge(self.copy(other.py())?, other, false)
    }

    fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        merge(self.copy(other.py())?, other, true)
    }

    fn __richcmp__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        compare_mappings(slf.as_any(), other, op)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (image, node) = text::row(&self.image, self.core.node, self.row);
        text::guarded(image, node, "RowView({...})", || {
            let mut cells = Vec::new();
            for position in self.positions()? {
                let cell = self.core.cell(py, position, self.row)?;
                let name = self.core.names[position].bind(py).repr()?;
                cells.push(format!("{name}: {}", cell.repr()?));
            }
            Ok(format!("RowView({{{}}})", cells.join(", ")))
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedRow<'py>> {
        reduce(py, &self.image, &self.core, self.row)
    }

    /// Returns the view itself: what cannot change need not be copied.
    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Returns the view itself: what cannot change need not be copied.
    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    #[pyo3(name = "_keys")]
    fn key_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let names = self.positions()?;
        PyTuple::new(
            py,
            names
                .into_iter()
                .map(|position| self.core.names[position].bind(py)),
        )
    }

    #[pyo3(name = "_values")]
    fn value_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let cells = self.positions()?;
        let cells = cells
            .into_iter()
            .map(|position| self.core.cell(py, position, self.row))
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, cells)
    }

    fn _to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        super::real::of_row(self.image.bind(py), &self.core, self.row)
    }
}

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// What pickling a row gives.
pub(crate) type ReducedRow<'py> = (Bound<'py, PyAny>, (Py<Image>, u64, usize));

/// Pickles a row as its image, table and index.
pub(crate) fn reduce<'py>(
    py: Python<'py>,
    image: &Py<Image>,
    core: &TableCore,
    row: usize,
) -> PyResult<ReducedRow<'py>> {
    let attach = own_function(py, &ATTACH, "_attach_row")?;
    Ok((attach, (image.clone_ref(py), core.node, row)))
}

/// Unpickles a row.
#[pyfunction(name = "_attach_row")]
pub(crate) fn attach_row<'py>(
    image: &Bound<'py, Image>,
    table: u64,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    of_table(image, table, row)
}
