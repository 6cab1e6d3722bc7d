//! `TableView`: rows with the same fields, one column per field.
#![forbid(unsafe_code)]
#![allow(
    clippy::doc_markdown,
    reason = "docstrings are written for Python's help()"
)]

use std::sync::Arc;

use onecopy::image::{Container, RowKind};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;

use super::row;
use super::rows::Rows;
use super::sequential::Sequential;
use super::table_core::TableCore;
use crate::column::Steps;
use crate::cpython::{import_once, made_once, own_function};
use crate::image::Image;

/// A shared list or tuple of rows with the same fields: dicts, or instances of a class or namedtuple.
///
/// Looks like a list of its rows; `column(name)` gives all cells of a field, for numbers without copying them.
///
/// Example:
///     >>> import onecopy
///     >>> view = onecopy.share([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
///     >>> view[1]["name"], view.columns, list(view.column("id"))
///     ('b', ('id', 'name'), [1, 2])
#[pyclass(frozen, sequence, weakref, module = "onecopy.views")]
pub(crate) struct TableView {
    pub(crate) image: Py<Image>,
    pub(crate) core: Arc<TableCore>,
    pub(crate) steps: Steps,
    /// What its rows' views have in common, if they were instances; made for the first.
    pub(super) shared: PyOnceLock<Py<Rows>>,
}

/// The view of a row, which must be one of the table's.
#[inline]
fn view_of<'py>(
    py: Python<'py>,
    image: &Py<Image>,
    core: &Arc<TableCore>,
    shared: &PyOnceLock<Py<Rows>>,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    if core.table.row_kind == RowKind::Dict {
        return row::dict(py, image, core, row);
    }
    no_dict(py, image, core, shared, row)
}

/// The view of a row that is no dict. Apart, so that the stack that it takes is not set up for others.
#[inline(never)]
fn no_dict<'py>(
    py: Python<'py>,
    image: &Py<Image>,
    core: &Arc<TableCore>,
    shared: &PyOnceLock<Py<Rows>>,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    if core.table.row_kind != RowKind::Instance {
        return row::new(py, image, core, row);
    }
    let rows = made_once(py, shared, || Ok(Rows::of(py, image, core)?.unbind()))?;
    Rows::view(rows.bind(py), row)
}

impl TableView {
    #[inline(never)]
    pub(crate) fn new<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, Self>> {
        let core = TableCore::of(image, node)?;
        let len = core.table.rows;
        let steps = Steps {
            start: 0,
            step: 1,
            len,
        };
        let image = image.clone();
        let py = image.py();
        let image = image.unbind();
        let shared = PyOnceLock::new();
        let view = Self {
            image,
            core,
            steps,
            shared,
        };
        Bound::new(py, view)
    }

    pub(super) fn with_steps(&self, py: Python<'_>, steps: Steps) -> Self {
        Self {
            image: self.image.clone_ref(py),
            core: self.core.clone(),
            steps,
            shared: PyOnceLock::new(),
        }
    }

    /// The image and node that it shows.
    pub(crate) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
        (self.image.clone_ref(py), self.core.node)
    }

    /// The row at position `index` of the view, which must be below its length.
    #[inline]
    pub(crate) fn row<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.row_at(py, self.steps.at(index))
    }

    /// A row of the table, which must be one.
    #[inline]
    pub(super) fn row_at<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        view_of(py, &self.image, &self.core, &self.shared, row)
    }

    /// Whether it shows all rows in order.
    pub(crate) fn is_whole(&self) -> bool {
        let Steps { start, step, len } = self.steps;
        start == 0 && step == 1 && len == self.core.table.rows
    }

    pub(super) fn is_list(&self) -> bool {
        self.container() == Container::List
    }

    /// The rows as a real list or tuple of row views.
    pub(crate) fn rows<'py>(&self, py: Python<'py>, list: bool) -> PyResult<Bound<'py, PyAny>> {
        let rows = PyList::empty(py);
        for index in 0..self.steps.len {
            rows.append(self.row(py, index)?)?;
        }
        if list {
            return Ok(rows.into_any());
        }
        Ok(rows.to_tuple().into_any())
    }
}

impl Sequential for TableView {
    fn container(&self) -> Container {
        self.core.table.container
    }

    fn len(&self) -> usize {
        self.steps.len
    }

    fn element<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.row(py, index)
    }
}

/// What pickling a table or a slice of one gives.
pub(super) type ReducedTable<'py> = (Bound<'py, PyAny>, (Py<Image>, u64, isize, isize, usize));

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Pickles the rows as their image, table and steps.
pub(super) fn reduce<'py>(py: Python<'py>, view: &TableView) -> PyResult<ReducedTable<'py>> {
    let attach = own_function(py, &ATTACH, "_attach_table")?;
    let Steps { start, step, len } = view.steps;
    let image = view.image.clone_ref(py);
    Ok((attach, (image, view.core.node, start, step, len)))
}

/// Unpickles a table or a slice of one.
#[pyfunction(name = "_attach_table")]
pub(crate) fn attach_table(
    image: &Bound<'_, Image>,
    node: u64,
    start: isize,
    step: isize,
    len: usize,
) -> PyResult<TableView> {
    let core = TableCore::of(image, node)?;
    let rows = core.table.rows;
    let steps = Steps::checked(start, step, len, rows).ok_or_else(|| {
        PyIndexError::new_err(format!(
            "{len} rows from {start} on, {step} apart, do not lie in {rows} rows"
        ))
    })?;
    Ok(TableView {
        image: image.clone().unbind(),
        core,
        steps,
        shared: PyOnceLock::new(),
    })
}

/// Yields the rows of a table.
#[pyclass(module = "onecopy._onecopy")]
pub(crate) struct TableIterator {
    image: Py<Image>,
    core: Arc<TableCore>,
    steps: Steps,
    next: usize,
    shared: PyOnceLock<Py<Rows>>,
}

impl TableIterator {
    pub(super) fn new(view: &Bound<'_, TableView>, steps: Steps) -> Self {
        Self {
            image: view.get().image.clone_ref(view.py()),
            core: view.get().core.clone(),
            steps,
            next: 0,
            shared: PyOnceLock::new(),
        }
    }
}

#[pymethods]
impl TableIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.next >= self.steps.len {
            return Ok(None);
        }
        let at = self.steps.at(self.next);
        self.next += 1;
        view_of(py, &self.image, &self.core, &self.shared, at).map(Some)
    }

    fn __length_hint__(&self) -> usize {
        self.steps.len - self.next
    }

    /// `iter(rest of the table)`: what pickling and copying an iterator give.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (TableView,))> {
        static ITER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let steps = Steps {
            start: self.steps.at(self.next).cast_signed(),
            step: self.steps.step,
            len: self.steps.len - self.next,
        };
        let rest = TableView {
            image: self.image.clone_ref(py),
            core: self.core.clone(),
            steps,
            shared: PyOnceLock::new(),
        };
        Ok((import_once(py, &ITER, "builtins", "iter")?, (rest,)))
    }
}
