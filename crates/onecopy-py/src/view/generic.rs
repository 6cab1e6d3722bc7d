//! Annotations such as `ListView[int]`.
#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::cpython::import_once;

static ALIAS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// `types.GenericAlias(class, item)`.
pub(super) fn generic<'py>(
    class: &Bound<'py, PyType>,
    item: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    import_once(class.py(), &ALIAS, "types", "GenericAlias")?.call1((class, item))
}
