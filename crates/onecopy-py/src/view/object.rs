//! `ObjectView`: an object that was shared whole, as a pickle and its buffers.

use std::sync::OnceLock;

use pyo3::exceptions::PyAttributeError;
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

view_methods!(ObjectView generic {
    /// Returns the object: the same each time.
    fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(object) = self.object.get() {
            return Ok(object.bind(py).clone());
        }
        let object = rebuilt::object(self.image.bind(py), self.node)?.unbind();
        Ok(self.object.get_or_init(|| object).bind(py).clone())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("ObjectView({})", self.get(py)?.repr()?))
    }

    // Python asks only where the class has no such name. The object is not built for an answer: `get()` may run code.
    #[allow(clippy::unused_self, reason = "Python calls it with the view")]
    fn __getattr__(&self, name: &str) -> PyResult<()> {
        Err(PyAttributeError::new_err(format!(
            "'ObjectView' object has no attribute '{name}'; view.get() gives the object itself"
        )))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, &self.image, self.node)
    }
});
