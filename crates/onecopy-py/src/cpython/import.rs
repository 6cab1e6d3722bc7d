//! What is made or looked up at its first use, and kept.
#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

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

/// What `module` calls `name`. Later calls find it in `kept`.
pub(crate) fn import_once<'py>(
    py: Python<'py>,
    kept: &PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let found = made_once(py, kept, || Ok(py.import(module)?.getattr(name)?.unbind()))?;
    Ok(found.bind(py).clone())
}

/// A function of this extension, by its name: what pickles call.
pub(crate) fn own_function<'py>(
    py: Python<'py>,
    kept: &PyOnceLock<Py<PyAny>>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    import_once(py, kept, "onecopy._onecopy", name)
}
