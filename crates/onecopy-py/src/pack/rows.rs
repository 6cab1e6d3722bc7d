//! Lists whose elements have the same fields become tables: dicts with str keys, instances of a class, namedtuples.
//!
//! The rows are looked at once to learn the fields, the kind of each column and the *shapes*: which fields rows have, in
//! which order. Most tables have one shape, and most rows show the very same key objects, so a row is recognised by
//! comparing addresses.
#![forbid(unsafe_code)]

use onecopy::image::{
    BuildError, ColumnCursor, ColumnKind, Container, RowKind, Scalar, Survey, TableParts, Word,
    place_table, put_table,
};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};

use super::fields::{Fields, Row};
use super::flat::INT_WIDTH;
use super::known::{Known, node_word};
use super::packer::Packer;
use super::path::Step;
use super::source::{CHUNK_LEN, exact};
use crate::error::Error;
use crate::value::item::Item;

/// Fewer rows are not worth a table.
const FEWEST_ROWS: usize = 2;

/// A table while its rows are written.
struct Filling<'py> {
    cursors: Vec<ColumnCursor>,
    row_shapes: Option<ColumnCursor>,
    /// Which columns the row at hand has.
    filled: Vec<bool>,
    row: Row<'py>,
    scratch: Vec<u8>,
}

impl<'py> Packer<'_, '_, 'py> {
    /// The node of a list or tuple as a table, if its elements are rows.
    pub(super) fn table(
        &mut self,
        object: &Bound<'py, PyAny>,
        container: Container,
        extra: isize,
    ) -> PyResult<Option<u64>> {
        let source = exact(object)?;
        if source.len() < FEWEST_ROWS {
            return Ok(None);
        }
        let Some(&first) = source.chunk(0).first() else {
            return Ok(None);
        };
        // Most lists are of plain values or of lists, and quickly told from rows.
        if first.scalar(&mut Vec::new()).is_some() {
            return Ok(None);
        }
        let first = first.object(self.py);
        let Some(mut fields) = Fields::of(&first, &mut self.layouts)? else {
            return Ok(None);
        };
        drop(first);
        if !self.survey_rows(object, &mut fields, false)? {
            return Ok(None);
        }
        let node = self.place_table_of(&fields)?;
        self.remember(object, extra, Known::Word(node_word(node)?));
        self.put_rows(object, container, node, &mut fields, None)?;
        Ok(Some(node))
    }

    /// Takes memory for the node of a table.
    pub(super) fn place_table_of(&mut self, fields: &Fields<'py>) -> PyResult<u64> {
        Ok(place_table(self.arena, fields.names.len()).map_err(Error::from)?)
    }

    /// Writes a table, whose rows have been looked at, and all that its cells lead to. With `paths`, to each row, the rows
    /// have nodes of their own already.
    pub(super) fn put_rows(
        &mut self,
        object: &Bound<'py, PyAny>,
        container: Container,
        node: u64,
        fields: &mut Fields<'py>,
        paths: Option<&[Vec<Step<'py>>]>,
    ) -> PyResult<()> {
        let rows = exact(object)?.len() as u64;
        let names = PyList::new(self.py, &fields.names)?;
        let names = self.keys(&names, Step::KeyItself)?;
        let class = match fields.class() {
            Some(class) => {
                let name = class_name(class)?;
                self.arena.class_blob(&name).map_err(Error::from)?
            }
            None => 0,
        };
        let cursors = self.place_columns(fields, rows)?;
        let plain = fields.shapes.len() == 1
            && fields.shapes[0]
                .iter()
                .enumerate()
                .all(|(index, &position)| index == usize::from(position))
            && fields.shapes[0].len() == fields.names.len();
        let (shapes, row_shapes) = if plain {
            (0, None)
        } else {
            (self.shapes(&fields.shapes)?, Some(self.shape_column(rows)?))
        };
        let columns: Vec<u64> = cursors.iter().map(|cursor| cursor.node).collect();
        let parts = TableParts {
            rows,
            container,
            row_kind: fields.kind,
            names,
            class,
            shapes,
            row_shapes: row_shapes.map_or(0, |cursor| cursor.node),
            columns: &columns,
        };
        put_table(self.arena, node, &parts).map_err(Error::from)?;
        if paths.is_none() {
            self.remember_rows(object, node)?;
        }
        self.fill_rows(object, fields, cursors, row_shapes, paths)
    }

    /// Places a column for each field, whose cells are still to be written.
    fn place_columns(&mut self, fields: &Fields<'py>, rows: u64) -> PyResult<Vec<ColumnCursor>> {
        let mut cursors = Vec::with_capacity(fields.names.len());
        for (survey, repeats) in &fields.columns {
            let mut survey = survey.clone();
            survey.observe_nones(rows.saturating_sub(survey.count()));
            if repeats.pay(&survey) && survey.span_len() > 0 {
                survey.observe_other();
            }
            let mut plan = survey.plan(Container::List, INT_WIDTH);
            plan.count = rows;
            cursors.push(ColumnCursor::place(self.arena, &plan).map_err(Error::from)?);
        }
        Ok(cursors)
    }

    /// Looks at all rows; `false` if they are not rows of one table.
    /// Those that `have_nodes` are met here for the first time, and are rows however many cells are empty.
    pub(super) fn survey_rows(
        &mut self,
        object: &Bound<'py, PyAny>,
        fields: &mut Fields<'py>,
        have_nodes: bool,
    ) -> PyResult<bool> {
        let source = exact(object)?;
        let mut met = std::collections::HashSet::new();
        let (mut row, mut scratch) = (Row::default(), Vec::new());
        let mut start = 0;
        while start < source.len() {
            for (distance, &item) in source.chunk(start).iter().enumerate() {
                // A row that is met twice would be written twice, and one that is a node already stays one.
                let may_be_known = !have_nodes && item.is_shared(0);
                if may_be_known && (self.is_known(item, 0) || !met.insert(item.address())) {
                    return Ok(false);
                }
                let object = item.object(self.py);
                if fields.take_apart(&object, &mut row, true)?.is_none() {
                    return Ok(false);
                }
                let before = (start + distance) as u64;
                for (&position, cell) in row.positions.iter().zip(&row.cells) {
                    let (survey, repeats) = &mut fields.columns[usize::from(position)];
                    if survey.count() < before {
                        survey.observe_nones(before - survey.count());
                    }
                    let item = Item::of(cell);
                    match item.scalar(&mut scratch) {
                        Some(scalar) => {
                            survey.observe(&scalar);
                            repeats.observe(item, &scalar, 1);
                        }
                        None => survey.observe_other(),
                    }
                }
                fields.cells += row.cells.len() as u64;
                row.clear();
                // Attributes of instances can run Python code.
                source.expect_same(start + distance)?;
            }
            let done = source.chunk(start).len() as u64 * (fields.names.len() as u64 + 1);
            start += CHUNK_LEN;
            self.reporter.step(self.py, done)?;
            source.expect_same(start)?;
        }
        let all = (source.len() as u64).saturating_mul(fields.names.len() as u64);
        let is_dense = have_nodes || fields.cells.saturating_mul(2) >= all;
        Ok(is_dense && !fields.names.is_empty())
    }

    /// Remembers every row before the first cell is written, as cells may lead to rows that come later.
    fn remember_rows(&mut self, object: &Bound<'py, PyAny>, table: u64) -> PyResult<()> {
        let source = exact(object)?;
        let mut start = 0;
        while start < source.len() {
            for (distance, &item) in source.chunk(start).iter().enumerate() {
                let row = (start + distance) as u64;
                self.remember(&item.object(self.py), 1, Known::Row { table, row });
            }
            start += CHUNK_LEN;
        }
        Ok(())
    }

    fn fill_rows(
        &mut self,
        object: &Bound<'py, PyAny>,
        fields: &mut Fields<'py>,
        cursors: Vec<ColumnCursor>,
        row_shapes: Option<ColumnCursor>,
        paths: Option<&[Vec<Step<'py>>]>,
    ) -> PyResult<()> {
        let leads_on = cursors
            .iter()
            .any(|cursor| cursor.column() == ColumnKind::Words);
        let skip = self.arena.is_measuring() && !leads_on;
        let source = exact(object)?;
        let mut filling = Filling {
            filled: vec![false; cursors.len()],
            cursors,
            row_shapes,
            row: Row::default(),
            scratch: Vec::new(),
        };
        let mut start = 0;
        while start < source.len() {
            for (distance, &item) in source.chunk(start).iter().enumerate() {
                if skip {
                    break;
                }
                let index = start + distance;
                let object = item.object(self.py);
                let before = self.path.len();
                match paths {
                    Some(paths) => self
                        .path
                        .extend_from_slice(paths.get(index).map_or(&[], |path| path)),
                    None => self.path.push(Step::Index(index)),
                }
                self.fill_row(&object, index, fields, &mut filling)?;
                self.path.truncate(before);
                source.expect_same(index)?;
            }
            let done = source.chunk(start).len() as u64 * (fields.names.len() as u64 + 1);
            start += CHUNK_LEN;
            self.reporter.step(self.py, done)?;
            source.expect_same(start)?;
        }
        let cursors = filling.cursors.into_iter();
        for cursor in cursors.chain(filling.row_shapes) {
            cursor.finish(self.arena).map_err(Error::from)?;
        }
        Ok(())
    }

    fn fill_row(
        &mut self,
        object: &Bound<'py, PyAny>,
        index: usize,
        fields: &mut Fields<'py>,
        filling: &mut Filling<'py>,
    ) -> PyResult<()> {
        let changed = || {
            Error::from(BuildError::Changed {
                index: index as u64,
            })
        };
        let Filling {
            cursors,
            row_shapes,
            filled,
            row,
            scratch,
        } = filling;
        let shape = fields.take_apart(object, row, false)?;
        let shape = shape.ok_or_else(changed)?;
        if let Some(cursor) = row_shapes {
            let shape = i64::try_from(shape).map_err(|_| changed())?;
            cursor
                .push(self.arena, &Scalar::Int(shape))
                .map_err(Error::from)?;
        }
        filled.fill(false);
        for (&position, cell) in row.positions.iter().zip(&row.cells) {
            let position = usize::from(position);
            filled[position] = true;
            let item = Item::of(cell);
            let scalar = item.scalar(scratch);
            if cursors[position].column() != ColumnKind::Words {
                let scalar = scalar.ok_or_else(changed)?;
                let pushed = cursors[position].push(self.arena, &scalar);
                pushed.map_err(Error::from)?;
                continue;
            }
            let word = match scalar {
                Some(scalar) => self.scalar(item, &scalar, 1)?,
                None => self.cell(cell, fields, position)?,
            };
            let pushed = cursors[position].push_word(self.arena, word);
            pushed.map_err(Error::from)?;
        }
        if row.cells.len() < cursors.len() {
            let missing = cursors
                .iter_mut()
                .zip(filled)
                .filter(|(_, filled)| !**filled);
            for (cursor, _) in missing {
                let pushed = cursor.push(self.arena, &Scalar::None);
                pushed.map_err(Error::from)?;
            }
        }
        row.clear();
        Ok(())
    }

    /// The word of a cell that is no plain value.
    fn cell(
        &mut self,
        cell: &Bound<'py, PyAny>,
        fields: &Fields<'py>,
        position: usize,
    ) -> PyResult<Word> {
        let name = fields.names[position].clone();
        self.path.push(match fields.kind {
            RowKind::Dict => Step::Key(name),
            _ => Step::Attribute(name),
        });
        let word = self.value(cell, 1)?;
        self.path.pop();
        Ok(word)
    }

    /// The node that lists the shapes.
    fn shapes(&mut self, shapes: &[Vec<u16>]) -> PyResult<u64> {
        let lists = shapes
            .iter()
            .map(|shape| PyList::new(self.py, shape))
            .collect::<PyResult<Vec<_>>>()?;
        let lists = PyList::new(self.py, lists)?;
        // Walked like data, so its nodes are lists of ints; empty ones among them too.
        self.sequence_of(lists.as_any(), Container::Tuple, isize::MAX / 2)
    }

    fn shape_column(&mut self, rows: u64) -> PyResult<ColumnCursor> {
        let mut survey = Survey::default();
        survey.observe(&Scalar::Int(0));
        let mut plan = survey.plan(Container::List, onecopy::image::IntWidth::Narrowest);
        plan.count = rows;
        Ok(ColumnCursor::place(self.arena, &plan).map_err(Error::from)?)
    }
}

/// How the class of a table's rows is found again.
fn class_name(class: &Bound<'_, PyType>) -> PyResult<String> {
    Ok(format!("{}:{}", class.module()?, class.qualname()?))
}
