//! What a view does not do, and what does it instead: no error of a view leaves its reader alone.
//!
//! The methods by which the real things change are absent, so that `hasattr()` says what is true. A descriptor in the place
//! of each says what to do; a `__getattr__` would have each method of a view be looked up more slowly.
#![forbid(unsafe_code)]

use onecopy::printable;
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use crate::value::index;

const LIST: &[&str] = &[
    "append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse",
];
const DICT: &[&str] = &["update", "setdefault", "pop", "popitem", "clear"];
const SET: &[&str] = &[
    "add",
    "discard",
    "remove",
    "pop",
    "clear",
    "update",
    "intersection_update",
    "difference_update",
    "symmetric_difference_update",
];
const WAY_OUT: &str = "shared data never change; onecopy.to_python(view) gives the real thing";

/// In the place of a method that would change a view.
#[pyclass(frozen, module = "onecopy._onecopy")]
struct Missing {
    class: &'static str,
    name: &'static str,
}

#[pymethods]
impl Missing {
    fn __get__(
        &self,
        _instance: Option<&Bound<'_, PyAny>>,
        _class: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let Self { class, name } = self;
        Err(PyAttributeError::new_err(format!(
            "'{class}' object has no attribute '{name}': {WAY_OUT}"
        )))
    }
}

/// Puts a descriptor in the place of each method that would change a list, a dict or a set.
pub(super) fn install(
    lists: &[Bound<'_, PyType>],
    dicts: &[Bound<'_, PyType>],
    sets: &[Bound<'_, PyType>],
) -> PyResult<()> {
    for (classes, names) in [(lists, LIST), (dicts, DICT), (sets, SET)] {
        for class in classes {
            let title = class_name(class)?;
            for name in names {
                class.setattr(*name, Missing { class: title, name })?;
            }
        }
    }
    Ok(())
}

/// The names that a view has: completion offers no method that is missing.
pub(super) fn names<'py>(view: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let all = view.py().get_type::<PyAny>();
    let mut names = Vec::new();
    for name in all.call_method1("__dir__", (view,))?.try_iter()? {
        let name = name?;
        let is_missing = name.cast::<PyString>().is_ok_and(|name| {
            [LIST, DICT, SET]
                .into_iter()
                .flatten()
                .any(|known| name == *known)
        });
        if !is_missing {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name of one of the classes, as a constant.
fn class_name(class: &Bound<'_, PyType>) -> PyResult<&'static str> {
    let name = class.name()?;
    let known = ["ListView", "TableView", "DictView", "RowView", "SetView"];
    Ok(known
        .into_iter()
        .find(|known| name == *known)
        .unwrap_or("view"))
}

/// The error for what would change a view.
#[cold]
pub(super) fn read_only(class: &str, what: &str) -> PyErr {
    PyTypeError::new_err(format!("'{class}' object {what}: {WAY_OUT}"))
}

/// The error for setting or deleting an attribute.
#[cold]
pub(super) fn no_attribute_set(class: &str, name: &Bound<'_, PyAny>) -> PyErr {
    let name = name
        .cast::<PyString>()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    PyAttributeError::new_err(format!(
        "attribute '{}' of a '{class}' object cannot be changed: {WAY_OUT}",
        printable(&name)
    ))
}

/// The position that `view[index]` asks for; who asks for a column of rows by its name is told how.
pub(super) fn subscript(key: &Bound<'_, PyAny>, kind: &str) -> PyResult<isize> {
    index::subscript(key, kind).map_err(|error| {
        if !key.is_instance_of::<PyString>() || !error.is_instance_of::<PyTypeError>(key.py()) {
            return error;
        }
        PyTypeError::new_err(format!(
            "{kind} indices must be integers or slices, not str; view.column(name) gives a field of all rows"
        ))
    })
}
