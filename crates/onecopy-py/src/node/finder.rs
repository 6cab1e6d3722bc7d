//! Where a key is: by its hash in the image, or, for keys that only Python can compare, by a real dict made for them.

use std::sync::OnceLock;

use onecopy::image::{Keys, Scalar, hash};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyInt, PyTuple};

use crate::build::{key_hash, source::Item};
use crate::error::Error;
use crate::list::raw;
use crate::list::view::View;

/// The keys of a dict, set or table.
pub(crate) struct Finder {
    /// References into the image that `view` keeps alive.
    keys: Keys<'static>,
    /// The keys as a tuple.
    pub(crate) view: View,
    /// Each key's position, made when a key is looked up that has no hash of ours.
    slow: OnceLock<Py<PyDict>>,
}

impl Finder {
    /// A finder for keys of the image that `view` shows the keys of.
    pub(crate) fn new(keys: Keys<'static>, view: View) -> Self {
        Self {
            keys,
            view,
            slow: OnceLock::new(),
        }
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.view.count
    }

    /// The position of a key that equals this one.
    #[inline]
    pub(crate) fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        if !self.keys.opaque {
            let mut scratch = Vec::new();
            match Item::of(key).scalar(&mut scratch) {
                Some(Scalar::Str(text)) => {
                    let hash = hash::text(text, self.keys.seed);
                    return Ok(self.keys.find_text(text, hash).map_err(Error::from)?);
                }
                Some(scalar) => {
                    if let Some(hash) = hash::scalar(&scalar, self.keys.seed) {
                        return Ok(self.keys.find_scalar(&scalar, hash).map_err(Error::from)?);
                    }
                }
                None => {}
            }
        }
        self.find_rare(key)
    }

    #[cold]
    fn find_rare(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let py = key.py();
        let nested =
            key.is_exact_instance_of::<PyTuple>() || key.is_exact_instance_of::<PyFrozenSet>();
        if !self.keys.opaque && nested {
            // Raises what the builtin would for a tuple with a list in it.
            key.hash()?;
            if let Some(hash) = key_hash(key, self.keys.seed, 0) {
                for position in self.keys.candidates(hash) {
                    if raw::equal(&raw::get(py, &self.view, position)?, key)? {
                        return Ok(Some(position));
                    }
                }
                return Ok(None);
            }
        }
        if !self.keys.opaque && is_numpy_int(key)? {
            let index = py.import("operator")?.call_method1("index", (key,))?;
            if index.is_exact_instance_of::<PyInt>() {
                return self.find(&index);
            }
        }
        match self.positions(py)?.get_item(key)? {
            Some(position) => Ok(Some(position.extract()?)),
            None => Ok(None),
        }
    }

    fn positions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if let Some(slow) = self.slow.get() {
            return Ok(slow.bind(py).clone());
        }
        let positions = PyDict::new(py);
        for position in 0..self.len() {
            // A real key, as a view does not equal what it was made of in every class's eyes.
            let key = super::to_python(&raw::get(py, &self.view, position)?)?;
            positions.set_item(key, position)?;
        }
        Ok(self
            .slow
            .get_or_init(|| positions.unbind())
            .bind(py)
            .clone())
    }
}

fn is_numpy_int(key: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = key.get_type();
    let name = class.module()?;
    if name.to_cow()? != "numpy" {
        return Ok(false);
    }
    class.is_subclass(&key.py().import("numpy")?.getattr("integer")?)
}
