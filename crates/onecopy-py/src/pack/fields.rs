//! What the rows of a table have in common, learned from the rows: their fields, and their shapes.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::rc::Rc;

use onecopy::image::{RowKind, Survey};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::classes::{Layout, Layouts};
use super::source::Repeats;

const MOST_FIELDS: usize = 1024;
const MOST_SHAPES: usize = 127;

/// What the rows of a table have in common.
pub(super) struct Fields<'py> {
    pub(super) kind: RowKind,
    layout: Option<Rc<Layout<'py>>>,
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
    pub(super) fn of(
        first: &Bound<'py, PyAny>,
        layouts: &mut Layouts<'py>,
    ) -> PyResult<Option<Self>> {
        if first.is_exact_instance_of::<PyDict>() {
            return Ok(Some(Self::new(first.py(), RowKind::Dict)));
        }
        match layouts.of(first)? {
            Some(layout) => Self::of_layout(first.py(), &layout),
            None => Ok(None),
        }
    }

    /// Fields of instances of a class.
    pub(super) fn of_layout(py: Python<'py>, layout: &Rc<Layout<'py>>) -> PyResult<Option<Self>> {
        let mut fields = Self::new(py, layout.kind);
        fields.layout = Some(layout.clone());
        if layout.kind == RowKind::NamedTuple {
            for name in &layout.names {
                if fields.add(name)?.is_none() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(fields))
    }

    fn new(py: Python<'py>, kind: RowKind) -> Self {
        Self {
            kind,
            layout: None,
            names: Vec::new(),
            positions: PyDict::new(py),
            columns: Vec::new(),
            shapes: Vec::new(),
            shape_ids: HashMap::new(),
            last: 0,
            cells: 0,
        }
    }

    /// The class of the rows, if they are no dicts.
    pub(super) fn class(&self) -> Option<&Bound<'py, PyType>> {
        self.layout.as_ref().map(|layout| &layout.class)
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
            RowKind::NamedTuple => self.take_tuple(object, row)?,
            RowKind::Instance => self.take_instance(object, row, learn)?,
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
        for (key, value) in dict.iter() {
            let Some(position) = self.position(&key, row.positions.len(), learn)? else {
                return Ok(false);
            };
            row.positions.push(position);
            row.cells.push(value);
        }
        Ok(true)
    }

    /// The position of the field that a row has at `index`.
    fn position(
        &mut self,
        name: &Bound<'py, PyAny>,
        index: usize,
        learn: bool,
    ) -> PyResult<Option<u16>> {
        // Where the last row had this field, the next mostly has it too.
        let shape = self.shapes.get(self.last);
        let guess = shape.and_then(|shape| shape.get(index)).copied();
        if let Some(position) = guess
            && self.names[usize::from(position)].is(name)
        {
            return Ok(Some(position));
        }
        if !name.is_exact_instance_of::<PyString>() {
            return Ok(None);
        }
        match self.positions.get_item(name)? {
            Some(position) => Ok(Some(position.extract()?)),
            None if learn => self.add(name),
            None => Ok(None),
        }
    }

    fn take_tuple(&self, object: &Bound<'py, PyAny>, row: &mut Row<'py>) -> PyResult<bool> {
        let Some(layout) = self.layout_of(object) else {
            return Ok(false);
        };
        let Ok(tuple) = object.cast::<PyTuple>() else {
            return Ok(false);
        };
        // What was set beside the fields would be lost.
        if tuple.len() != self.names.len() || (layout.has_dict && !attributes(object)?.is_empty()) {
            return Ok(false);
        }
        for (position, cell) in tuple.iter().enumerate() {
            row.positions.push(position as u16);
            row.cells.push(cell);
        }
        Ok(true)
    }

    fn take_instance(
        &mut self,
        object: &Bound<'py, PyAny>,
        row: &mut Row<'py>,
        learn: bool,
    ) -> PyResult<bool> {
        let Some(layout) = self.layout_of(object) else {
            return Ok(false);
        };
        for (index, name) in layout.names.iter().enumerate() {
            let Some(cell) = layout.slot(object, index)? else {
                continue;
            };
            let Some(position) = self.position(name, row.positions.len(), learn)? else {
                return Ok(false);
            };
            row.positions.push(position);
            row.cells.push(cell);
        }
        if !layout.has_dict {
            return Ok(true);
        }
        self.take_dict(&attributes(object)?, row, learn)
    }

    /// The layout of the rows, if an object is of their class.
    fn layout_of(&self, object: &Bound<'py, PyAny>) -> Option<Rc<Layout<'py>>> {
        let layout = self.layout.as_ref()?;
        object.get_type().is(&layout.class).then(|| layout.clone())
    }
}

/// The attributes that an instance keeps in a dict.
fn attributes<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let all = object.getattr(intern!(object.py(), "__dict__"))?;
    Ok(all.cast_into::<PyDict>()?)
}
