//! `DictView`: a dict's entries, found by hash where they lie.
#![deny(unsafe_code)]

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::finder::Finder;
use super::{peek, repr};
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
#[pyclass(frozen, mapping, weakref, module = "onecopy.views")]
pub(crate) struct DictView {
    pub(super) node: u64,
    pub(super) finder: Arc<Finder>,
    pub(super) values: Elements,
}

impl DictView {
    #[inline(never)]
    pub(crate) fn new<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, Self>> {
        // SAFETY: what refers to the image goes into the view below, which holds the image as long as it lives; the keys as
        // well into the image's own cache.
        #[allow(unsafe_code)]
        let opened = unsafe { lasting(image)? };
        let parts = opened.dict_parts(node).map_err(Error::from)?;
        let finder = Finder::shared(image, &opened, parts.keys_offset)?;
        if finder.len() != parts.values.len() {
            return Err(corrupt(node, "a dict has as many keys as values"));
        }
        let values = Elements::of_sequence(image, &parts.values);
        let view = Self {
            node,
            finder,
            values,
        };
        Bound::new(image.py(), view)
    }

    /// The image that it shows a part of.
    #[inline]
    pub(super) fn image<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, Image> {
        self.values.image.bind(py)
    }

    /// The image and node that it shows.
    pub(crate) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
        (self.values.image.clone_ref(py), self.node)
    }

    pub(super) fn value<'py>(
        &self,
        py: Python<'py>,
        position: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.values.at(py, position)
    }

    /// The value at a position where it lies, if it is a str or bytes.
    pub(super) fn peek_at<'py>(
        &self,
        py: Python<'py>,
        position: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        peek::element(py, &self.values, position)
    }

    fn key<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>> {
        self.finder.key(self.image(py), position)
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
        let image = self.values.image.as_ptr().addr();
        repr::guarded(image, self.node, "DictView({...})", || {
            let entries = repr::listed(self.finder.len(), |position| {
                let (key, value) = (self.key(py, position)?, self.value(py, position)?);
                Ok(format!("{}: {}", repr::of(&key)?, repr::of(&value)?))
            })?;
            Ok(format!("DictView({{{entries}}})"))
        })
    }
}
