//! `DictView`: a dict's entries, found by hash where they lie.
#![deny(unsafe_code)]

use onecopy::image::{Dict, Node};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::finder::Finder;
use super::repr;
use crate::column::Elements;
use crate::error::{Error, corrupt};
use crate::image::{Image, lasting};

/// A shared dict: looks like a dict, never changes, and is one copy in memory for all processes.
///
/// Values are made when they are read, so `view[key] is view[key]` need not hold.
///
/// Example:
///     >>> import onecopy
///     >>> view = onecopy.share({"a": 1, "b": [2, 3]})
///     >>> view["b"][1], "c" in view, dict(view.items())["a"]
///     (3, False, 1)
#[pyclass(frozen, mapping, weakref, module = "onecopy")]
pub(crate) struct DictView {
    pub(super) image: Py<Image>,
    pub(super) node: u64,
    pub(super) finder: Finder,
    pub(super) values: Elements,
}

impl DictView {
    pub(crate) fn new<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, Self>> {
        // SAFETY: what refers to the image goes into the view below, which holds the image as long as it lives.
        #[allow(unsafe_code)]
        let opened = unsafe { lasting(image)? };
        let Node::Dict(Dict { keys, values, .. }) = opened.node(node).map_err(Error::from)? else {
            return Err(corrupt(node, "a dict was expected"));
        };
        let shown = Elements::of_sequence(image, &keys.items);
        Bound::new(
            image.py(),
            Self {
                image: image.clone().unbind(),
                node,
                finder: Finder::new(keys, shown),
                values: Elements::of_sequence(image, &values),
            },
        )
    }

    /// The image and node that it shows.
    pub(crate) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
        (self.image.clone_ref(py), self.node)
    }

    pub(super) fn value<'py>(
        &self,
        py: Python<'py>,
        position: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.values.at(py, position)
    }

    fn key<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>> {
        self.finder.keys.at(py, position)
    }

    /// A real dict of the entries.
    pub(super) fn real<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let real = PyDict::new(py);
        for position in 0..self.finder.len() {
            real.set_item(self.key(py, position)?, self.value(py, position)?)?;
        }
        Ok(real)
    }

    pub(super) fn text(&self, py: Python<'_>) -> PyResult<String> {
        let image = self.image.as_ptr().addr();
        repr::guarded(image, self.node, "DictView({...})", || {
            let mut entries = Vec::with_capacity(self.finder.len());
            for position in 0..self.finder.len() {
                let (key, value) = (self.key(py, position)?, self.value(py, position)?);
                entries.push(format!("{}: {}", key.repr()?, value.repr()?));
            }
            Ok(format!("DictView({{{}}})", entries.join(", ")))
        })
    }
}
