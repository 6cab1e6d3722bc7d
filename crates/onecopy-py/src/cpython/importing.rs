//! Is the main module being imported by a process that was just started? `python/onecopy/_importing.py` knows.
#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::import_once;

static CHECK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Warns, once in a process, that what is made there is not its parent's.
pub(crate) fn check_importing(py: Python<'_>) -> PyResult<()> {
    import_once(py, &CHECK, "onecopy._importing", "check")?.call0()?;
    Ok(())
}
