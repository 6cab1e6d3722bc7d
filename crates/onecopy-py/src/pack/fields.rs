//! What the rows of a table have in common, learned from the rows: their fields, and their shapes.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use onecopy::image::{RowKind, Survey};
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::source::{Repeats, Source, is_of_heap_type};

const MOST_FIELDS: usize = 1024;
const MOST_SHAPES: usize = 127;

/// What the rows of a table have in common.
pub(super) struct Fields<'py> {
    pub(super) kind: RowKind,
    pub(super) class: Option<Bound<'py, PyType>>,
    pub(super) names: Vec<Bound<'py, PyAny>>,
    positions: Bound<'py, PyDict>,
    pub(super) columns: Vec<(Survey, Repeats)>,
    pub(super) shapes: Vec<Vec<u16>>,
    shape_ids: HashMap<Vec<u16>, usize>,
    /// The shape of the last row.
    last: usize,
    pub(super) cells: u64,
}

/// One row, taken apart.
#[derive(Default)]
pub(super) struct Row<'py> {
    pub(super) positions: Vec<u16>,
    pub(super) cells: Vec<Bound<'py, PyAny>>,
}

impl Row<'_> {
    pub(super) fn clear(&mut self) {
        self.positions.clear();
        self.cells.clear();
    }
}

impl<'py> Fields<'py> {
    /// Fields of rows like this one, if it can be a row.
    pub(super) fn of(first: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let py = first.py();
        let is_dict = first.is_exact_instance_of::<PyDict>();
        if !is_dict && (Source::container_of(first).is_some() || !is_of_heap_type(first)) {
            return Ok(None);
        }
        let mut fields = Self {
            kind: RowKind::Dict,
            class: None,
            names: Vec::new(),
            positions: PyDict::new(py),
            columns: Vec::new(),
            shapes: Vec::new(),
            shape_ids: HashMap::new(),
            last: 0,
            cells: 0,
        };
        if is_dict {
            return Ok(Some(fields));
        }
        let class = first.get_type();
        let helper = crate::cpython::module(py, "onecopy._pickle")?;
        let found = helper.call_method1("row_fields", (&class,))?;
        let Ok(found) = found.cast_into::<PyTuple>() else {
            return Ok(None);
        };
        let (kind, names): (u8, Bound<'py, PyTuple>) = found.extract()?;
        fields.kind = if kind == 1 {
            RowKind::Dataclass
        } else {
            RowKind::NamedTuple
        };
        fields.class = Some(class);
        for name in names.iter() {
            if fields.add(&name)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(fields))
    }

    fn add(&mut self, name: &Bound<'py, PyAny>) -> PyResult<Option<u16>> {
        if self.names.len() >= MOST_FIELDS {
            return Ok(None);
        }
        let position = self.names.len() as u16;
        self.positions.set_item(name, position)?;
        self.names.push(name.clone());
        self.columns.push(Default::default());
        Ok(Some(position))
    }

    /// The cells of a row and their positions; returns its shape, or `None` if it is no row of this table.
    pub(super) fn take_apart(
        &mut self,
        object: &Bound<'py, PyAny>,
        row: &mut Row<'py>,
        learn: bool,
    ) -> PyResult<Option<usize>> {
        row.clear();
        let taken = match self.kind {
            RowKind::Dict => match object.cast_exact::<PyDict>() {
                Ok(dict) => self.take_dict(dict, row, learn)?,
                Err(_) => false,
            },
            RowKind::NamedTuple => self.take_tuple(object, row),
            RowKind::Dataclass => self.take_instance(object, row)?,
        };
        if !taken {
            return Ok(None);
        }
        if self.shapes.get(self.last) == Some(&row.positions) {
            return Ok(Some(self.last));
        }
        if let Some(&shape) = self.shape_ids.get(&row.positions) {
            self.last = shape;
            return Ok(Some(shape));
        }
        if !learn || self.shapes.len() >= MOST_SHAPES {
            return Ok(None);
        }
        self.last = self.shapes.len();
        self.shape_ids.insert(row.positions.clone(), self.last);
        self.shapes.push(row.positions.clone());
        Ok(Some(self.last))
    }

    fn take_dict(
        &mut self,
        dict: &Bound<'py, PyDict>,
        row: &mut Row<'py>,
        learn: bool,
    ) -> PyResult<bool> {
        for (index, (key, value)) in dict.iter().enumerate() {
            // Where the last row had this field, the next mostly has it too.
            let guess = self
                .shapes
                .get(self.last)
                .and_then(|shape| shape.get(index))
                .copied();
            let position = match guess {
                Some(position) if self.names[usize::from(position)].is(&key) => position,
                _ => {
                    if !key.is_exact_instance_of::<PyString>() {
                        return Ok(false);
                    }
                    match self.positions.get_item(&key)? {
                        Some(position) => position.extract()?,
                        None if learn => match self.add(&key)? {
                            Some(position) => position,
                            None => return Ok(false),
                        },
                        None => return Ok(false),
                    }
                }
            };
            row.positions.push(position);
            row.cells.push(value);
        }
        Ok(true)
    }

    fn take_tuple(&self, object: &Bound<'py, PyAny>, row: &mut Row<'py>) -> bool {
        let same = self
            .class
            .as_ref()
            .is_some_and(|class| object.get_type().is(class));
        let Ok(tuple) = object.cast::<PyTuple>() else {
            return false;
        };
        if !same || tuple.len() != self.names.len() {
            return false;
        }
        for (position, cell) in tuple.iter().enumerate() {
            row.positions.push(position as u16);
            row.cells.push(cell);
        }
        true
    }

    fn take_instance(&self, object: &Bound<'py, PyAny>, row: &mut Row<'py>) -> PyResult<bool> {
        let same = self
            .class
            .as_ref()
            .is_some_and(|class| object.get_type().is(class));
        if !same {
            return Ok(false);
        }
        for (position, name) in self.names.iter().enumerate() {
            let Ok(name) = name.cast::<PyString>() else {
                return Ok(false);
            };
            let cell = match object.getattr(name) {
                Ok(cell) => cell,
                Err(error) if error.is_instance_of::<PyAttributeError>(object.py()) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            };
            row.positions.push(position as u16);
            row.cells.push(cell);
        }
        // What was set beside the fields would be lost.
        match object.getattr_opt("__dict__")? {
            None => Ok(true),
            Some(all) => {
                let all = all.cast_into::<PyDict>()?;
                for name in all.keys() {
                    if !self.positions.contains(name)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }
}
