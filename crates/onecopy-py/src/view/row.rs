//! `RowView`: a dict that is a row of a table; and rows of any kind.
#![forbid(unsafe_code)]

use std::sync::Arc;

use onecopy::image::RowKind;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::rows::Rows;
use super::table_core::{RowPlace, TableCore};
use super::{named, peek, record, repr};
use crate::error::corrupt;
use crate::image::Image;

/// A dict in a shared list of dicts: looks like a dict and never changes. Its cells lie in the table's columns.
#[pyclass(frozen, mapping, weakref, module = "onecopy.views")]
pub(crate) struct RowView {
    // Not a structure of their own, which would be copied once more on its way into the object: `table[i]` shows it.
    image: Py<Image>,
    pub(super) core: Arc<TableCore>,
    pub(super) row: usize,
}

/// The view of a row, which must be one of the table's.
#[inline]
pub(super) fn new<'py>(
    py: Python<'py>,
    image: &Py<Image>,
    core: &Arc<TableCore>,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    if core.table.row_kind == RowKind::Dict {
        return dict(py, image, core, row);
    }
    no_dict(py, image, core, row)
}

/// The view of a row that is a dict.
#[inline]
pub(super) fn dict<'py>(
    py: Python<'py>,
    image: &Py<Image>,
    core: &Arc<TableCore>,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let (image, core) = (image.clone_ref(py), core.clone());
    Ok(Bound::new(py, RowView { image, core, row })?.into_any())
}

/// The view of a row that is no dict. Apart, so that the stack that it takes is not set up for dicts.
#[inline(never)]
fn no_dict<'py>(
    py: Python<'py>,
    image: &Py<Image>,
    core: &Arc<TableCore>,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    match core.table.row_kind {
        RowKind::Instance => Rows::view(&Rows::of(py, image, core)?, row),
        _ => named::new(py, image, core, row),
    }
}

/// The row of the table at `table`, whichever kind it is.
pub(super) fn of_table<'py>(
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

/// The row that an object shows, if it is a view of one.
pub(super) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<RowPlace<'a>> {
    match object.cast_exact::<RowView>() {
        Ok(row) => Some(row.get().place()),
        Err(_) => record::of(object).or_else(|| named::of(object)),
    }
}

impl RowView {
    pub(super) fn place(&self) -> RowPlace<'_> {
        (&self.image, &self.core, self.row)
    }

    /// The cell at a position where it lies, if it is a str or bytes.
    pub(super) fn peek_at<'py>(
        &self,
        py: Python<'py>,
        position: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        peek::cell(self.image.bind(py), &self.core, position, self.row)
    }

    /// A real dict of the cells.
    pub(super) fn real<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let real = PyDict::new(py);
        for position in self.core.positions(self.row)? {
            let name = self.core.names[position].bind(py);
            real.set_item(name, self.core.cell(py, position, self.row)?)?;
        }
        Ok(real)
    }

    pub(super) fn text(&self, py: Python<'_>) -> PyResult<String> {
        let (image, node) = repr::row(&self.image, self.core.node, self.row);
        repr::guarded(image, node, "RowView({...})", || {
            let positions = self.core.positions(self.row)?;
            let cells = repr::listed(positions.len(), |index| {
                let cell = self.core.cell(py, positions[index], self.row)?;
                let name = self.core.names[positions[index]].bind(py);
                Ok(format!("{}: {}", repr::of(name)?, repr::of(&cell)?))
            })?;
            Ok(format!("RowView({{{cells}}})"))
        })
    }
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
