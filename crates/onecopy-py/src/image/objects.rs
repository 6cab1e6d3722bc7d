//! The one way from here to the views above: *an element can be any object*.
//!
//! A column leads to nodes, nodes are shown by views, and views read columns. This trait cuts the circle; the folder
//! `view` implements it and registers itself when the module is made. (Pickled elements need no views: `rebuilt`.)
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::owner::Image;

/// Makes objects of nodes.
pub(crate) trait Objects: Sync {
    /// The Python object of a node: a view, an array, or a rebuilt object.
    fn node<'py>(&self, image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, PyAny>>;

    /// The real thing behind a view; other objects are returned as they are.
    fn real<'py>(&self, view: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>;
}

static OBJECTS: OnceLock<&'static dyn Objects> = OnceLock::new();

/// Says who makes objects. The first to say so stays.
pub(crate) fn register(objects: &'static dyn Objects) {
    OBJECTS.get_or_init(|| objects);
}

#[inline]
fn objects() -> PyResult<&'static dyn Objects> {
    let missing = || PyRuntimeError::new_err("the extension module was not initialised");
    OBJECTS.get().copied().ok_or_else(missing)
}

/// [`Objects::node`] of whoever is registered.
#[inline]
pub(crate) fn node<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, PyAny>> {
    objects()?.node(image, node)
}

/// [`Objects::real`] of whoever is registered.
pub(crate) fn real<'py>(view: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    objects()?.real(view)
}
