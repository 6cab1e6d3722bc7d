//! What all rows of a table share: its columns, the names of its fields and the shapes of its rows.
#![deny(unsafe_code)]

use std::sync::{Arc, OnceLock};

use onecopy::image::{Decoded, Element, Items, Node, Scalar, Table, Word, read_blob};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::record_class::RecordClass;
use crate::column::{self, Getter, Parts};
use crate::cpython::own_function;
use crate::error::{Error, corrupt};
use crate::image::{Image, lasting};
use crate::value::key::equal;
use crate::value::scalar;

/// A column of a table.
pub(crate) struct Column {
    pub(crate) parts: Parts,
    pub(crate) get: Getter,
}

/// The fields that rows of one shape have.
pub(crate) struct Shape {
    /// Positions of the columns, in order of the row.
    pub(crate) positions: Vec<usize>,
    /// Whether there is one at a position.
    pub(crate) has: Vec<bool>,
}

/// What all rows of a table share. It refers to the image without holding it: whoever has it holds the image.
pub(crate) struct TableCore {
    pub(crate) node: u64,
    pub(crate) table: Table<'static>,
    /// Interned, so that most look-ups compare addresses.
    pub(crate) names: Vec<Py<PyAny>>,
    pub(crate) columns: Vec<Column>,
    pub(crate) shapes: Vec<Shape>,
    /// `module:qualname`; empty for dicts.
    pub(crate) class_name: String,
    pub(crate) class: OnceLock<Py<PyAny>>,
    /// What views of rows that were instances are; made when the first is.
    pub(super) record: OnceLock<Arc<RecordClass>>,
}

impl TableCore {
    /// The table at `node`.
    pub(crate) fn of(image: &Bound<'_, Image>, node: u64) -> PyResult<Arc<Self>> {
        if let Some(core) = image.get().kept.table::<Self>(node) {
            return Ok(core);
        }
        let py = image.py();
        // SAFETY: the table goes into a core, which is used only through views and rows, which hold the image, and
        // through the image's own cache.
        #[allow(unsafe_code)]
        let opened = unsafe { lasting(image)? };
        let Node::Table(table) = opened.node(node).map_err(Error::from)? else {
            return Err(corrupt(node, "a table was expected"));
        };
        let (mut names, mut columns) = (Vec::new(), Vec::new());
        for field in 0..table.field_count() {
            // Made of what was looked at: an element that is a row of this very table would need the names again.
            let element = table.names.items.get(field).map_err(Error::from)?;
            let name = element.as_ref().map(Element::as_scalar);
            let Some(name @ Scalar::Str(_)) = name else {
                return Err(corrupt(table.names_offset, "the name of a field is a str"));
            };
            let name = scalar::object(py, &name)?;
            let name = crate::cpython::module(py, "sys")?.call_method1("intern", (name,))?;
            names.push(name.unbind());
            let column = table.column(field).map_err(Error::from)?;
            let (parts, codec) = column::of(image, &column);
            columns.push(Column {
                parts,
                get: codec.get,
            });
        }
        let mut shapes = Vec::with_capacity(table.shape_count());
        for shape in 0..table.shape_count() {
            let positions = table.shape(shape).map_err(Error::from)?;
            let mut has = vec![false; names.len()];
            for &position in &positions {
                has[position] = true;
            }
            shapes.push(Shape { positions, has });
        }
        let core = Arc::new(Self {
            node,
            class_name: table.class().map_err(Error::from)?.unwrap_or_default(),
            table,
            names,
            columns,
            shapes,
            class: OnceLock::new(),
            record: OnceLock::new(),
        });
        image.get().kept.keep_table(node, core.clone());
        Ok(core)
    }

    /// The shape of a row; `None` if every row has all fields in order.
    #[inline]
    pub(crate) fn shape(&self, row: usize) -> PyResult<Option<&Shape>> {
        let shape = self.table.row_shape(row).map_err(Error::from)?;
        Ok(shape.and_then(|shape| self.shapes.get(shape)))
    }

    /// The position of a field that a row has.
    #[inline]
    pub(super) fn find(&self, row: usize, name: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let Some(position) = self.position(name)? else {
            return Ok(None);
        };
        match self.shape(row)? {
            Some(shape) if !shape.has[position] => Ok(None),
            _ => Ok(Some(position)),
        }
    }

    /// The positions of the fields that a row has, in its order.
    pub(super) fn positions(&self, row: usize) -> PyResult<Vec<usize>> {
        Ok(match self.shape(row)? {
            Some(shape) => shape.positions.clone(),
            None => (0..self.names.len()).collect(),
        })
    }

    /// The position of a field by its name.
    #[inline]
    pub(crate) fn position(&self, name: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let address = name.as_ptr();
        if let Some(position) = self
            .names
            .iter()
            .position(|known| known.as_ptr() == address)
        {
            return Ok(Some(position));
        }
        self.position_by_value(name)
    }

    fn position_by_value(&self, name: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        // As a dict: an unhashable key is an error, and of whatever class a key is, only its hash and what it equals count.
        let hash = name.hash()?;
        for (position, known) in self.names.iter().enumerate() {
            let known = known.bind(name.py());
            if known.hash()? == hash && equal(known, name)? {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Whether a cell is an object that would have to be unpickled.
    pub(super) fn is_pickled(&self, position: usize, row: usize) -> PyResult<bool> {
        let column = self.table.column(position).map_err(Error::from)?;
        let Items::Words(words) = column.items() else {
            return Ok(false);
        };
        let Some(Decoded::Blob(offset)) =
            words.words.get(row).and_then(|&word| Word(word).decode())
        else {
            return Ok(false);
        };
        let value = read_blob(self.table.image(), offset).map_err(Error::from)?;
        Ok(matches!(value, Scalar::Pickle(_)))
    }

    /// The cell of a row.
    #[inline]
    pub(crate) fn cell<'py>(
        &self,
        py: Python<'py>,
        position: usize,
        row: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let column = self.columns.get(position);
        let Some(column) = column.filter(|_| row < self.table.rows) else {
            return Err(corrupt(self.node, "the table has no such cell"));
        };
        // SAFETY: `get` is the getter that `codec::of` gave with the parts; they hold, as whoever has the core keeps
        // the image (P1 to P4). `row` is below the number of rows, as was just found, and `Table::column` gives columns
        // of as many cells. Attached, as `py` shows.
        #[allow(unsafe_code)]
        let object = unsafe { (column.get)(&column.parts, row) };
        // SAFETY: a decoder gives a new reference, or null with an exception set.
        #[allow(unsafe_code)]
        unsafe {
            Bound::from_owned_ptr_or_err(py, object)
        }
    }
}

/// A row of a table, and the image that holds both.
pub(super) type RowPlace<'a> = (&'a Py<Image>, &'a Arc<TableCore>, usize);

/// What pickling a row gives.
pub(super) type ReducedRow<'py> = (Bound<'py, PyAny>, (Py<Image>, u64, usize));

static ATTACH_ROW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Pickles a row as its image, table and index.
pub(super) fn reduce_row<'py>(py: Python<'py>, place: RowPlace<'_>) -> PyResult<ReducedRow<'py>> {
    let (image, core, row) = place;
    let attach = own_function(py, &ATTACH_ROW, "_attach_row")?;
    Ok((attach, (image.clone_ref(py), core.node, row)))
}
