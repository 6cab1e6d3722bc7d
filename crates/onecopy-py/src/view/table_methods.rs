//! What Python can do with a `TableView`.
#![forbid(unsafe_code)]
#![allow(
    clippy::unused_self,
    reason = "methods that refuse do so whatever they are called on"
)]
#![allow(
    clippy::doc_markdown,
    reason = "docstrings are written for Python's help()"
)]

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PySlice, PyTuple};

use super::level::Level;
use super::methods::view_methods;
use super::sequence::wrap;
use super::table::{self, ReducedTable, TableIterator, TableView};
use super::{missing, ops, repr};
use crate::column::Elements;
use crate::error::Error;
use crate::value::index;

view_methods!(TableView generic {
    fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        missing::names(slf.as_any())
    }

    fn __len__(&self) -> usize {
        self.steps.len
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        if let Ok(slice) = key.cast_exact::<PySlice>() {
            let steps = self.steps.of_slice(slice)?;
            return Ok(Bound::new(py, self.with_steps(py, steps))?.into_any());
        }
        let kind = if self.is_list() { "list" } else { "tuple" };
        let at = self.steps.position(missing::subscript(key, kind)?);
        let at = at.ok_or_else(|| index::out_of_range(kind))?;
        self.row_at(py, at)
    }

    fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(missing::read_only("TableView", "does not support item assignment"))
    }

    fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(missing::read_only("TableView", "does not support item deletion"))
    }

    /// Bytes of the image that it is a part of.
    #[getter]
    fn nbytes(&self) -> usize {
        self.image.get().bytes().len()
    }

    fn __iter__(slf: &Bound<'_, Self>) -> TableIterator {
        TableIterator::new(slf, slf.get().steps)
    }

    /// Yields the rows from the last to the first.
    fn __reversed__(slf: &Bound<'_, Self>) -> TableIterator {
        TableIterator::new(slf, slf.get().steps.reversed())
    }

    fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(ops::find(self, value, 0..self.steps.len)?.is_some())
    }

    /// Returns the index of the first row that equals `value`, between `start` and `stop`.
    ///
    /// Raises ValueError if there is none.
    #[pyo3(
        signature = (value, start = None, stop = None, /),
        text_signature = "($self, value, start=0, stop=sys.maxsize, /)"
    )]
    fn index(
        &self,
        value: &Bound<'_, PyAny>,
        start: Option<&Bound<'_, PyAny>>,
        stop: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let found = ops::index(self, value, start, stop)?;
        found.ok_or_else(|| PyValueError::new_err("no row equals this value"))
    }

    /// Returns how many rows equal `value`.
    #[pyo3(signature = (value, /))]
    fn count(&self, value: &Bound<'_, PyAny>) -> PyResult<usize> {
        ops::count(self, value)
    }

    /// Names of the fields, in order of the columns.
    #[getter]
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.core.names)
    }

    /// Returns all cells of a field as a list view; a row that lacks the field has None there.
    ///
    /// Raises KeyError if there is no such field.
    #[pyo3(signature = (name, /))]
    fn column<'py>(&self, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        let position = self.core.position(name)?;
        let missing = || PyKeyError::new_err(name.clone().unbind());
        let position = position.ok_or_else(missing)?;
        // Looked at anew, and found to have as many cells as the steps were checked against (S1).
        let column = self.core.table.column(position).map_err(Error::from)?;
        let mut view = Elements::of_sequence(self.image.bind(py), &column);
        view.steps = self.steps;
        wrap(py, view)
    }

    fn __richcmp__<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        ops::compare(self, other, op)
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        if slf.get().is_list() {
            return Err(PyTypeError::new_err(
                "unhashable type: 'TableView' of a list",
            ));
        }
        let _level = Level::of_hash()?;
        slf.get().rows(slf.py(), false)?.hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (open, close) = if self.is_list() {
            ("[", "]")
        } else {
            ("(", ")")
        };
        let again = format!("TableView({open}...{close})");
        repr::guarded(self.image.as_ptr().addr(), self.core.node, &again, || {
            let rows = repr::listed(self.steps.len, |index| repr::of(&self.row(py, index)?))?;
            let is_single = !self.is_list() && self.steps.len == 1;
            let comma = if is_single { "," } else { "" };
            Ok(format!("TableView({open}{rows}{comma}{close})"))
        })
    }

    fn __concat__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        let other = match other.cast_exact::<Self>() {
            Ok(view) => view.get().rows(py, view.get().is_list())?,
            Err(_) => other.clone(),
        };
        self.rows(py, self.is_list())?.add(other)
    }

    fn __radd__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        other.add(self.rows(other.py(), self.is_list())?)
    }

    fn __repeat__<'py>(&self, py: Python<'py>, count: isize) -> PyResult<Bound<'py, PyAny>> {
        self.rows(py, self.is_list())?.mul(count)
    }

    /// Returns a real list of the rows, which stay views.
    fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.rows(py, true)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedTable<'py>> {
        table::reduce(py, self)
    }
});
