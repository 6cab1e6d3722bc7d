//! `TableView`: rows with the same fields, one column per field.
#![allow(
    clippy::doc_markdown,
    reason = "docstrings are written for Python's help()"
)]

use std::sync::{Arc, OnceLock};

use onecopy::image::{Container, Element, Node, Scalar, Table};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyIndexError, PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyList, PySlice, PyString, PyTuple, PyType};

use super::{row, text};
use crate::cpython::own_function;
use crate::error::{Error, corrupt};
use crate::image::{Image, lasting};
use crate::list::decode::{Codec, Getter, Parts, Steps};
use crate::list::level::Level;
use crate::list::view::{self, View, wrap};
use crate::value::index::{self, range};
use crate::value::key::equal;
use crate::value::scalar;

/// A column of a table.
pub(crate) struct Column {
    pub(crate) parts: Parts,
    pub(crate) get: Getter,
    pub(crate) _codec: &'static Codec,
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
}

impl TableCore {
    /// The table at `node`.
    pub(crate) fn of(image: &Bound<'_, Image>, node: u64) -> PyResult<Arc<Self>> {
        if let Some(core) = image.get().kept.table(node) {
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
            let name = py.import("sys")?.call_method1("intern", (name,))?;
            names.push(name.unbind());
            let column = table.column(field).map_err(Error::from)?;
            let (parts, codec) = Parts::of(image, &column);
            columns.push(Column {
                parts,
                get: codec.get,
                _codec: codec,
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
        });
        image.get().kept.keep_table(node, core.clone());
        Ok(core)
    }

    /// The shape of a row; `None` if every row has all fields in order.
    pub(crate) fn shape(&self, row: usize) -> PyResult<Option<&Shape>> {
        let shape = self.table.row_shape(row).map_err(Error::from)?;
        Ok(shape.and_then(|shape| self.shapes.get(shape)))
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
        if !name.is_instance_of::<PyString>() {
            // As a dict: an unhashable key is an error, another is just not there.
            name.hash()?;
            return Ok(None);
        }
        for (position, known) in self.names.iter().enumerate() {
            if equal(known.bind(name.py()), name)? {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// The cell of a row.
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
        // SAFETY: the column has a cell for each row, as was checked when the table was resolved, and whoever has the
        // core keeps the image (P1 to P4).
        #[allow(unsafe_code)]
        let object = unsafe { (column.get)(&column.parts, row) };
        // SAFETY: null with an exception, or a new reference.
        #[allow(unsafe_code)]
        unsafe {
            Bound::from_owned_ptr_or_err(py, object)
        }
    }
}

/// A shared list or tuple of rows with the same fields: dicts, or instances of a dataclass or namedtuple.
///
/// Looks like a list of its rows; `column(name)` gives all cells of a field, for numbers without copying them.
///
/// Example:
///     >>> import onecopy
///     >>> view = onecopy.share([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
///     >>> view[1]["name"], view.columns, list(view.column("id"))
///     ('b', ('id', 'name'), [1, 2])
#[pyclass(frozen, sequence, weakref, module = "onecopy")]
pub(crate) struct TableView {
    pub(crate) image: Py<Image>,
    pub(crate) core: Arc<TableCore>,
    pub(crate) steps: Steps,
}

impl TableView {
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
        Bound::new(py, Self { image, core, steps })
    }

    fn with_steps(&self, py: Python<'_>, steps: Steps) -> Self {
        Self {
            image: self.image.clone_ref(py),
            core: self.core.clone(),
            steps,
        }
    }

    /// The image and node that it shows.
    pub(crate) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
        (self.image.clone_ref(py), self.core.node)
    }

    /// The row at position `index` of the view, which must be below its length.
    #[inline]
    pub(crate) fn row<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        row::new(py, &self.image, &self.core, self.steps.at(index))
    }

    /// Whether it shows all rows in order.
    pub(crate) fn is_whole(&self) -> bool {
        let Steps { start, step, len } = self.steps;
        start == 0 && step == 1 && len == self.core.table.rows
    }

    /// List or tuple.
    pub(crate) fn container(&self) -> Container {
        self.core.table.container
    }

    fn is_list(&self) -> bool {
        self.container() == Container::List
    }

    fn find(&self, value: &Bound<'_, PyAny>, start: usize, stop: usize) -> PyResult<Option<usize>> {
        for index in start..stop {
            if equal(&self.row(value.py(), index)?, value)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
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

#[pymethods]
impl TableView {
    fn __len__(&self) -> usize {
        self.steps.len
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        if let Ok(slice) = key.cast::<PySlice>() {
            let part = slice.indices(self.steps.len.cast_signed())?;
            let steps = self.steps.slice(part.start, part.step, part.slicelength);
            return Ok(Bound::new(py, self.with_steps(py, steps))?.into_any());
        }
        let kind = if self.is_list() { "list" } else { "tuple" };
        let at = self.steps.position(index::subscript(key, kind)?);
        let at = at.ok_or_else(|| index::out_of_range(kind))?;
        row::new(py, &self.image, &self.core, at)
    }

    fn __iter__(slf: &Bound<'_, Self>) -> TableIterator {
        TableIterator::new(slf, slf.get().steps)
    }

    /// Yields the rows from the last to the first.
    fn __reversed__(slf: &Bound<'_, Self>) -> TableIterator {
        TableIterator::new(slf, slf.get().steps.reversed())
    }

    fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.find(value, 0, self.steps.len)?.is_some())
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
        let (start, stop) = range(start, stop, self.steps.len)?;
        let missing = || PyValueError::new_err("no row equals this value");
        self.find(value, start, stop)?.ok_or_else(missing)
    }

    /// Returns how many rows equal `value`.
    #[pyo3(signature = (value, /))]
    fn count(&self, value: &Bound<'_, PyAny>) -> PyResult<usize> {
        let (mut count, mut from) = (0, 0);
        while let Some(found) = self.find(value, from, self.steps.len)? {
            count += 1;
            from = found + 1;
        }
        Ok(count)
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
        let mut view = View::of_sequence(self.image.bind(py), &column);
        view.steps = self.steps;
        wrap(py, view)
    }

    fn __richcmp__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let list = other.is_instance_of::<PyList>();
        let tuple = other.is_instance_of::<PyTuple>();
        let alike = if let Ok(other) = other.cast_exact::<Self>() {
            other.get().container() == this.container()
        } else if let Some(other) = view::of(other) {
            other.container == this.container()
        } else {
            (list && this.is_list()) || (tuple && !this.is_list())
        };
        if !alike {
            return Ok(py.NotImplemented().into_bound(py));
        }
        let bool_object = |value: bool| Ok(PyBool::new(py, value).to_owned().into_any());
        if matches!(op, CompareOp::Eq | CompareOp::Ne) && this.steps.len != other.len()? {
            return bool_object(matches!(op, CompareOp::Ne));
        }
        let _level = Level::of_comparison()?;
        let mut index = 0;
        while index < this.steps.len && index < other.len()? {
            let (left, right) = (this.row(py, index)?, other.get_item(index)?);
            if !equal(&left, &right)? {
                return match op {
                    CompareOp::Eq | CompareOp::Ne => bool_object(matches!(op, CompareOp::Ne)),
                    _ => left.rich_compare(&right, op),
                };
            }
            index += 1;
        }
        bool_object(op.matches(this.steps.len.cmp(&other.len()?)))
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
        text::guarded(self.image.as_ptr().addr(), self.core.node, &again, || {
            let mut rows = Vec::with_capacity(self.steps.len);
            for index in 0..self.steps.len {
                rows.push(self.row(py, index)?.repr()?.to_string());
            }
            let comma = if !self.is_list() && rows.len() == 1 {
                ","
            } else {
                ""
            };
            Ok(format!(
                "TableView({open}{}{comma}{close})",
                rows.join(", ")
            ))
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

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        let attach = own_function(py, &ATTACH, "_attach_table")?;
        let Steps { start, step, len } = self.steps;
        let image = self.image.clone_ref(py);
        Ok((attach, (image, self.core.node, start, step, len)))
    }

    /// Returns the view itself: what cannot change need not be copied.
    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Returns the view itself: what cannot change need not be copied.
    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    /// Generic alias for annotations.
    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        super::dict::generic(class, item)
    }

    fn _to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        super::real::of_rows(self.image.bind(py), &self.core, &self.steps)
    }
}

/// What pickling a table or a slice of one gives.
type Reduced<'py> = (Bound<'py, PyAny>, (Py<Image>, u64, isize, isize, usize));

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

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
    })
}

/// Yields the rows of a table.
#[pyclass(module = "onecopy")]
pub(crate) struct TableIterator {
    image: Py<Image>,
    core: Arc<TableCore>,
    steps: Steps,
    next: usize,
}

impl TableIterator {
    fn new(view: &Bound<'_, TableView>, steps: Steps) -> Self {
        Self {
            image: view.get().image.clone_ref(view.py()),
            core: view.get().core.clone(),
            steps,
            next: 0,
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
        row::new(py, &self.image, &self.core, at).map(Some)
    }

    fn __length_hint__(&self) -> usize {
        self.steps.len - self.next
    }
}
