//! Plain data with containers in it: pickled around them, so that they stay what they are.
#![forbid(unsafe_code)]

use onecopy::shared::{Mixed, Reference};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList};

use super::{handle, reference};
use crate::cpython::import_once;
use crate::error::Error;
use crate::image::Image;

/// A value of a pickle and the objects that it leaves out, as `onecopy._containers.dumps` gives them.
pub(super) fn of(pickle: &Bound<'_, PyBytes>, parts: &Bound<'_, PyList>) -> PyResult<Mixed> {
    let parts: PyResult<Vec<_>> = parts.iter().map(|part| reference_of(&part)).collect();
    let mixed = Mixed::create(&handle::store()?, pickle.as_bytes(), &parts?);
    Ok(mixed.map_err(Error::from)?)
}

fn reference_of(part: &Bound<'_, PyAny>) -> PyResult<Reference> {
    let found = match part.cast::<Image>() {
        Ok(image) => reference::of_image(image.get()),
        Err(_) => reference::of_container(part)?,
    };
    found.ok_or_else(|| {
        PyTypeError::new_err("a part of a value is a container, or an image of the store")
    })
}

static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The data, with its containers in their places. Runs Python code, so nothing may be locked.
pub(super) fn object<'py>(py: Python<'py>, mixed: &Mixed) -> PyResult<Bound<'py, PyAny>> {
    let pickle = mixed.pickle().map_err(Error::from)?;
    let parts = mixed.parts().map_err(Error::from)?;
    let parts: PyResult<Vec<_>> = parts
        .iter()
        .map(|part| reference::object(py, part))
        .collect();
    let loads = import_once(py, &LOADS, "onecopy._containers", "loads")?;
    loads.call1((PyBytes::new(py, &pickle), PyList::new(py, parts?)?))
}
