//! What is made or looked up at its first use, and kept.
//!
//! While the interpreter ends it takes modules apart, and objects that it finalises late still have views. What needs no
//! module goes on; the rest is told so, and not that `None` cannot be called.
#![forbid(unsafe_code)]

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::ending::is_finalizing;

fn too_late(module: &str, cause: Option<PyErr>, py: Python<'_>) -> PyErr {
    let text = format!(
        "Python is ending and has taken the module {module} apart, which this needs: do it before, as in a `with` block \
         or a function of atexit"
    );
    // Made now: what is made when it is first looked at asks whether there is an interpreter, and panics.
    match py.get_type::<PyRuntimeError>().call1((text,)) {
        Ok(value) => {
            let error = PyErr::from_value(value);
            error.set_cause(py, cause);
            error
        }
        Err(failure) => failure,
    }
}

/// What is kept, or else made now. Making it may run Python code: imports do, and so does the cycle collector. Code of a
/// signal's handler or a finalizer may come here again then, so nobody waits for anybody, and the first to be ready wins.
pub(crate) fn made_once<'a, T>(
    py: Python<'_>,
    kept: &'a PyOnceLock<T>,
    work: impl FnOnce() -> PyResult<T>,
) -> PyResult<&'a T> {
    if let Some(found) = kept.get(py) {
        return Ok(found);
    }
    let made = work()?;
    Ok(kept.get_or_init(py, || made))
}

/// A Python module.
///
/// # Errors
/// What the import raises; a `RuntimeError` that says so if Python is ending.
pub(crate) fn module<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyModule>> {
    py.import(name).map_err(|error| {
        if is_finalizing(py) {
            too_late(name, Some(error), py)
        } else {
            error
        }
    })
}

/// What `module` calls `name`. Later calls find it in `kept`.
pub(crate) fn import_once<'py>(
    py: Python<'py>,
    kept: &PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let make = || Ok(self::module(py, module)?.getattr(name)?.unbind());
    let found = made_once(py, kept, make)?;
    let found = found.bind(py);
    if is_finalizing(py) && is_taken_apart(found) {
        return Err(too_late(module, None, py));
    }
    Ok(found.clone())
}

/// Whether the module of a function or class has lost its names: each is `None` then, its own included.
fn is_taken_apart(found: &Bound<'_, PyAny>) -> bool {
    let globals = found.getattr("__globals__");
    let globals = globals.or_else(|_| found.getattr("__init__")?.getattr("__globals__"));
    let name = globals.and_then(|globals| globals.get_item("__name__"));
    found.is_none() || name.is_ok_and(|name| name.is_none())
}

/// A function of this extension, by its name: what pickles call.
pub(crate) fn own_function<'py>(
    py: Python<'py>,
    kept: &PyOnceLock<Py<PyAny>>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    import_once(py, kept, "onecopy._onecopy", name)
}
