//! A function or class of a Python module, looked up at its first use.
//!
//! While the interpreter ends it takes modules apart, and objects that it finalises late still have views. What needs no
//! module goes on; the rest is told so, and not that `None` cannot be called.
#![forbid(unsafe_code)]

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// `sys.is_finalizing`, kept from the import of this extension: in the end `sys` cannot be imported either.
static IS_FINALIZING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Keeps what tells the end of the interpreter.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    IS_FINALIZING.get_or_try_init(py, || {
        let function = py.import("sys")?.getattr("is_finalizing")?;
        Ok::<_, PyErr>(function.unbind())
    })?;
    Ok(())
}

fn is_finalizing(py: Python<'_>) -> bool {
    IS_FINALIZING.get(py).is_some_and(|function| {
        let said = function.bind(py).call0();
        said.is_ok_and(|said| said.is_truthy().unwrap_or(false))
    })
}

fn too_late(module: &str, cause: Option<PyErr>, py: Python<'_>) -> PyErr {
    let text = format!(
        "Python is ending and has taken the module {module} apart, which this needs: do it before, as in a `with` block \
         or a function of atexit"
    );
    let error = PyRuntimeError::new_err(text);
    error.set_cause(py, cause);
    error
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
    let found = kept.get_or_try_init(py, || {
        Ok::<_, PyErr>(self::module(py, module)?.getattr(name)?.unbind())
    })?;
    let found = found.bind(py);
    if is_finalizing(py) && is_taken_apart(found) {
        return Err(too_late(module, None, py));
    }
    Ok(found.clone())
}

/// Whether a function's module has lost its names: each is `None` then, its own included.
fn is_taken_apart(function: &Bound<'_, PyAny>) -> bool {
    let name = function
        .getattr("__globals__")
        .and_then(|globals| globals.get_item("__name__"));
    function.is_none() || name.is_ok_and(|name| name.is_none())
}

/// A function of this extension, by its name: what pickles call.
pub(crate) fn own_function<'py>(
    py: Python<'py>,
    kept: &PyOnceLock<Py<PyAny>>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    import_once(py, kept, "onecopy._onecopy", name)
}
