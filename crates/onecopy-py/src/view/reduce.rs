//! What pickle needs to show a node again in another process.
#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::cpython::own_function;
use crate::image::Image;

static ATTACH_NODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// What pickling a view of a node gives.
pub(super) type Reduced<'py> = (Bound<'py, PyAny>, (Py<Image>, u64));

/// Pickles a view as its image and node.
pub(super) fn reduce<'py>(py: Python<'py>, image: &Py<Image>, node: u64) -> PyResult<Reduced<'py>> {
    let attach = own_function(py, &ATTACH_NODE, "_attach_node")?;
    Ok((attach, (image.clone_ref(py), node)))
}
