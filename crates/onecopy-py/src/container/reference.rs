//! Containers and views as values of containers: the thing itself comes out again, and not a copy.
//!
//! Which classes stand for containers is told by the module (`register`), since their files use this one. A view is a value of
//! this kind if it shows the whole of an image that lies in the store; `onecopy._containers.dumps` says which do.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use onecopy::shared::Reference;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::cpython::own_function;
use crate::error::corrupt;
use crate::image::Image;

/// The reference to the container that an object stands for.
pub(super) type Of = fn(&Bound<'_, PyAny>) -> PyResult<Option<Reference>>;
/// A new object that stands for a container.
pub(super) type Make = for<'py> fn(Python<'py>, &Reference) -> PyResult<Option<Bound<'py, PyAny>>>;

static CLASSES: OnceLock<(Of, Make)> = OnceLock::new();

/// Says which classes there are. The first to say so stays.
pub(super) fn register(of: Of, make: Make) {
    CLASSES.get_or_init(|| (of, make));
}

/// The reference to the container that an object stands for.
pub(super) fn of_container(object: &Bound<'_, PyAny>) -> PyResult<Option<Reference>> {
    CLASSES
        .get()
        .map_or(Ok(None), |classes| (classes.0)(object))
}

/// The reference to an image of the store.
pub(super) fn of_image(image: &Image) -> Option<Reference> {
    image.object().cloned().map(Reference::of_image)
}

static SHOW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The container or view that is referred to. Runs Python code, so nothing may be locked.
pub(super) fn object<'py>(py: Python<'py>, found: &Reference) -> PyResult<Bound<'py, PyAny>> {
    if let Some(object) = found.image() {
        let image = Bound::new(py, Image::new(object.clone()))?;
        let root = image.get().open()?.root_offset();
        return own_function(py, &SHOW, "_attach_node")?.call1((image, root));
    }
    let missing = || PyRuntimeError::new_err("the extension module was not initialised");
    let (_, make) = CLASSES.get().ok_or_else(missing)?;
    make(py, found)?.ok_or_else(|| corrupt(0, "a container of an unknown kind"))
}
