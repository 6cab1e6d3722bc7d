//! `ObjectView`: an object that was shared whole, as a pickle and its buffers.

#![allow(
    clippy::unused_self,
    reason = "methods that refuse do so whatever they are called on"
)]

use std::sync::OnceLock;

use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::prelude::*;

use super::methods::view_methods;
use super::reduce::{Reduced, reduce};
use crate::image::{Image, rebuilt};

/// A shared object of a type that images do not know: `get()` gives it, rebuilt once per view, its buffers read-only
/// memory of the image.
///
/// Example:
///     >>> import onecopy, datetime
///     >>> view = onecopy.share(datetime.date(2026, 1, 2))
///     >>> view.get().year
///     2026
#[pyclass(frozen, weakref, module = "onecopy.views")]
pub(crate) struct ObjectView {
    image: Py<Image>,
    node: u64,
    object: OnceLock<Py<PyAny>>,
}

impl ObjectView {
    pub(crate) fn new<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, Self>> {
        Bound::new(
            image.py(),
            Self {
                image: image.clone().unbind(),
                node,
                object: OnceLock::new(),
            },
        )
    }

    /// The image and node that it shows.
    pub(crate) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
        (self.image.clone_ref(py), self.node)
    }
}

fn not_the_object(what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "'ObjectView' object {what}; view.get() gives the object itself, onecopy.to_python(view) one to be changed"
    ))
}

view_methods!(ObjectView generic {
    /// Returns the object. It is built the first time: one object per view and process, the same at each call, which keeps
    /// it in this process's memory, apart from its buffers, as long as the view lives.
    fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(object) = self.object.get() {
            return Ok(object.bind(py).clone());
        }
        let object = rebuilt::object(self.image.bind(py), self.node)?.unbind();
        Ok(self.object.get_or_init(|| object).bind(py).clone())
    }

    /// Bytes of the image that it is a part of.
    #[getter]
    fn nbytes(&self) -> usize {
        self.image.get().bytes().len()
    }

    fn __getitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(not_the_object("is not subscriptable"))
    }

    fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(not_the_object("does not support item assignment"))
    }

    fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(not_the_object("does not support item deletion"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("ObjectView({})", self.get(py)?.repr()?))
    }

    // Python asks only where the class has no such name. The object is not built for an answer: `get()` may run code.
    fn __getattr__(&self, name: &str) -> PyResult<()> {
        Err(PyAttributeError::new_err(format!(
            "'ObjectView' object has no attribute '{name}'; view.get() gives the object itself"
        )))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, &self.image, self.node)
    }
});
