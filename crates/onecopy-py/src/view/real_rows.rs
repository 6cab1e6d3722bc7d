//! Real rows: dicts, instances, namedtuples.
#![forbid(unsafe_code)]

use std::sync::Arc;

use onecopy::image::{Container, Items, RowKind, Word};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::real::{Job, Real};
use super::rows;
use super::table_core::TableCore;
use crate::error::Error;

impl<'py> Real<'py> {
    pub(super) fn table(&mut self, offset: u64) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py();
        let core = TableCore::of(&self.image.clone(), offset)?;
        let list = PyList::empty(py);
        if core.table.container == Container::List {
            self.made.insert(offset, list.clone().into_any());
        }
        for row in 0..core.table.rows {
            list.append(self.row(&core, row)?)?;
        }
        if core.table.container == Container::List {
            return Ok(list.into_any());
        }
        let made = list.to_tuple().into_any();
        self.made.insert(offset, made.clone());
        Ok(made)
    }

    pub(super) fn row(&mut self, core: &Arc<TableCore>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py();
        if let Some(made) = self.rows.get(&(core.node, row)) {
            return Ok(made.clone());
        }
        let made = match core.table.row_kind {
            RowKind::Dict => PyDict::new(py).into_any(),
            RowKind::Instance => {
                let class = rows::class(&self.image.clone(), core)?;
                let helper = crate::cpython::module(py, "onecopy._records")?;
                helper.call_method1("new_row", (class,))?
            }
            RowKind::NamedTuple => {
                let class = rows::class(&self.image.clone(), core)?;
                self.enter()?;
                let cells = (0..core.names.len())
                    .map(|position| self.cell(core, position, row))
                    .collect::<PyResult<Vec<_>>>();
                self.depth -= 1;
                let cells = cells?;
                let tuple = py.get_type::<PyTuple>();
                let made = tuple.call_method1("__new__", (class, PyTuple::new(py, cells)?))?;
                self.rows.insert((core.node, row), made.clone());
                return Ok(made);
            }
        };
        self.rows.insert((core.node, row), made.clone());
        self.queue.push(Job::Row(core.clone(), row, made.clone()));
        Ok(made)
    }

    pub(super) fn fill_row(
        &mut self,
        core: &Arc<TableCore>,
        row: usize,
        object: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let py = self.py();
        let positions = core.positions(row)?;
        let cells = positions
            .iter()
            .map(|&position| self.cell(core, position, row))
            .collect::<PyResult<Vec<_>>>()?;
        let names = positions
            .iter()
            .map(|&position| core.names[position].bind(py));
        if let Ok(dict) = object.cast::<PyDict>() {
            for (name, cell) in names.zip(cells) {
                dict.set_item(name, cell)?;
            }
            return Ok(());
        }
        let (names, cells) = (PyTuple::new(py, names)?, PyTuple::new(py, cells)?);
        let helper = crate::cpython::module(py, "onecopy._records")?;
        helper.call_method1("set_attributes", (object, names, cells))?;
        Ok(())
    }

    fn cell(
        &mut self,
        core: &TableCore,
        position: usize,
        row: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let column = core.table.column(position).map_err(Error::from)?;
        if let Items::Words(words) = column.items()
            && let Some(&word) = words.words.get(row)
            && let Some(special) = self.word(Word(word))?
        {
            return Ok(special);
        }
        core.cell(self.py(), position, row)
    }
}
