//! Where objects lie, as `_ranges.py`, `_kept.py` and `_objects.py` ask: what only `cpython/` knows.
#![forbid(unsafe_code)]

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::cpython::before;
use crate::cpython::containers::{self, Stretch};
use crate::cpython::layouts::{self, Part};

/// Adds the functions to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_layouts, module)?)?;
    module.add_function(wrap_pyfunction!(_bytes_before, module)?)?;
    module.add_function(wrap_pyfunction!(_held_by, module)?)?;
    module.add_function(wrap_pyfunction!(_digest, module)?)
}

/// Layouts of this interpreter by name, each with None, or with the reason why it cannot be relied on.
#[pyfunction]
fn _layouts() -> Vec<(&'static str, Option<&'static str>)> {
    Part::ALL
        .map(|part| (part.name(), layouts::known(part).err()))
        .to_vec()
}

/// Bytes that the interpreter keeps before an object.
#[pyfunction]
fn _bytes_before(object: &Bound<'_, PyAny>) -> PyResult<usize> {
    layouts::known(Part::Before).map_err(PyTypeError::new_err)?;
    Ok(before::of(object))
}

/// Address and length of what a list, dict, set, frozenset or bytearray holds; None for anything else.
#[pyfunction]
fn _held_by(object: &Bound<'_, PyAny>) -> PyResult<Option<Stretch>> {
    containers::held(object)?.map_err(|why| refused(object, why))
}

/// A hash over the references that an object holds.
#[pyfunction]
fn _digest(object: &Bound<'_, PyAny>) -> PyResult<u64> {
    containers::digest(object)?.map_err(|why| refused(object, why))
}

fn refused(object: &Bound<'_, PyAny>, why: &str) -> PyErr {
    let name = object.get_type().qualname();
    let name = name.map_or_else(|_| "object".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{name}: {why}; give an array or a view"))
}
