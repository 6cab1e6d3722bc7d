//! `RecordView` and `NamedTupleView`: rows that were instances of a dataclass or of a namedtuple.
//!
//! Fields are read where they lie. Everything else that an instance can do (its methods, comparing, hashing) is done by
//! a real instance, made for the purpose.

use std::sync::Arc;

use onecopy::image::RowKind;
use onecopy::printable;
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::methods::view_methods;
use super::repr;
use super::table_core::{ReducedRow, RowPlace, TableCore, reduce_row};
use crate::image::Image;

/// The view of a row that is no dict, which must be one of the table's.
pub(super) fn new<'py>(
    py: Python<'py>,
    image: &Py<Image>,
    core: &Arc<TableCore>,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let record = Record {
        image: image.clone_ref(py),
        core: core.clone(),
        row,
    };
    Ok(match core.table.row_kind {
        RowKind::NamedTuple => Bound::new(py, NamedTupleView(record))?.into_any(),
        _ => Bound::new(py, RecordView(record))?.into_any(),
    })
}

/// A row that was an instance.
struct Record {
    image: Py<Image>,
    core: Arc<TableCore>,
    row: usize,
}

/// The class of a table's rows, imported when it is needed.
pub(crate) fn class<'py>(
    image: &Bound<'py, Image>,
    core: &TableCore,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    if let Some(class) = core.class.get() {
        return Ok(class.bind(py).clone());
    }
    let helper = crate::cpython::module(py, "onecopy._pickle")?;
    if !image.get().allows_pickle() {
        return Err(PyErr::from_value(helper.call_method1("refusal", (image,))?));
    }
    let class = helper.call_method1("find_class", (core.class_name.as_str(),))?;
    Ok(core.class.get_or_init(|| class.unbind()).bind(py).clone())
}

impl Record {
    fn place(&self) -> RowPlace<'_> {
        (&self.image, &self.core, self.row)
    }

    fn cells<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let cells = (0..self.core.names.len())
            .map(|position| self.core.cell(py, position, self.row))
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, cells)
    }

    /// An instance of the class, whose fields are what the view's are.
    fn instance<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let class = class(self.image.bind(py), &self.core)?;
        let names = PyTuple::new(py, &self.core.names)?;
        let kind = self.core.table.row_kind as u8;
        let helper = crate::cpython::module(py, "onecopy._pickle")?;
        helper.call_method1("new_row", (class, kind, names, self.cells(py)?))
    }

    fn attribute<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        if let Some(position) = self.core.position(name.as_any())? {
            return self.core.cell(py, position, self.row);
        }
        let text = name.to_string_lossy();
        if text.starts_with("__") {
            // What protocols ask a type for, this type answers.
            let missing = format!("a row view has no attribute {text:?}");
            return Err(PyAttributeError::new_err(missing));
        }
        self.instance(py)?.getattr(name)
    }

    fn repr(&self, py: Python<'_>) -> PyResult<String> {
        // Whoever made the file wrote it, maybe for the terminal.
        let name = self.core.class_name.rsplit([':', '.']).next();
        let name = printable(name.unwrap_or_default());
        let (image, node) = repr::row(&self.image, self.core.node, self.row);
        repr::guarded(image, node, &format!("{name}View(...)"), || {
            let cells = repr::listed(self.core.names.len(), |position| {
                let cell = self.core.cell(py, position, self.row)?;
                let field = self.core.names[position].bind(py).to_string();
                Ok(format!("{}={}", printable(&field), repr::of(&cell)?))
            })?;
            Ok(format!("{name}View({cells})"))
        })
    }
}

/// The record in an object, if it is a view of one.
fn record_of<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a Record> {
    if let Ok(view) = object.cast_exact::<RecordView>() {
        return Some(&view.get().0);
    }
    let view = object.cast_exact::<NamedTupleView>().ok()?;
    Some(&view.get().0)
}

/// The row that an object shows, if it is a view of a record.
pub(super) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<RowPlace<'a>> {
    record_of(object).map(Record::place)
}

macro_rules! record_class {
    ($class:ident, $doc:literal, { $($extra:tt)* }) => {
        #[doc = $doc]
        #[pyclass(frozen, weakref, module = "onecopy.views")]
        pub(crate) struct $class(Record);

        view_methods!($class {
            fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
                self.0.attribute(name)
            }

            fn __richcmp__<'py>(
                &self,
                other: &Bound<'py, PyAny>,
                op: CompareOp,
            ) -> PyResult<Bound<'py, PyAny>> {
                let py = other.py();
                let ours = self.0.instance(py)?;
                match record_of(other) {
                    Some(record) => ours.rich_compare(record.instance(py)?, op),
                    None => ours.rich_compare(other, op),
                }
            }

            fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
                self.0.instance(py)?.hash()
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                self.0.repr(py)
            }

            fn __dir__(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
                Ok(self.0.core.names.iter().map(|name| name.clone_ref(py)).collect())
            }

            fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedRow<'py>> {
                reduce_row(py, self.0.place())
            }

            $($extra)*
        });
    };
}

record_class!(
    RecordView,
    "A dataclass instance in a shared list of them: has its attributes, methods and properties, and never changes.",
    {}
);

record_class!(
    NamedTupleView,
    "A namedtuple in a shared list of them: has its attributes and methods, indexes and unpacks like it, and never \
     changes.",
    {
        fn __len__(&self) -> usize {
            self.0.core.names.len()
        }

        fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
            self.0.cells(key.py())?.as_any().get_item(key)
        }

        fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
            Ok(self.0.cells(py)?.as_any().try_iter()?.into_any())
        }

        fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
            self.0.cells(value.py())?.as_any().contains(value)
        }
    }
);
