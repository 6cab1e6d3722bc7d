//! Where a key is: by its hash in the image, or, for keys that only Python can compare, by a real dict made for them.
//!
//! The dict is made once for an image, not for each view of it: it takes all keys to make, and unpickles those that only
//! Python can compare.

use onecopy::image::{Keys, Scalar, hash};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyTuple};

use crate::column::Elements;
use crate::error::Error;
use crate::image::objects;
use crate::value::item::Item;
use crate::value::{key, key_hash};

/// The keys of a dict, set or table.
pub(crate) struct Finder {
    /// Where each key is found, in the image that `keys` keeps.
    table: Keys<'static>,
    /// The keys as a tuple.
    pub(crate) keys: Elements,
}

impl Finder {
    /// A finder for the keys that `keys` shows.
    pub(crate) fn new(table: Keys<'static>, keys: Elements) -> Self {
        Self { table, keys }
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.count
    }

    /// The position of a key that equals this one.
    #[inline]
    pub(crate) fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let mut scratch = Vec::new();
        let found = match Item::of(key).scalar(&mut scratch) {
            Some(Scalar::Str(text)) => {
                let hash = hash::text(text, self.table.seed);
                self.table.find_text(text, hash).map_err(Error::from)?
            }
            Some(scalar) => match hash::scalar(&scalar, self.table.seed) {
                Some(hash) => self.table.find_scalar(&scalar, hash).map_err(Error::from)?,
                None => return self.find_rare(key),
            },
            None => return self.find_rare(key),
        };
        // No other key equals one that was found.
        if found.is_some() || !self.table.opaque {
            return Ok(found);
        }
        self.find_by_python(key)
    }

    #[cold]
    fn find_rare(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let py = key.py();
        let nested =
            key.is_exact_instance_of::<PyTuple>() || key.is_exact_instance_of::<PyFrozenSet>();
        if nested {
            // Raises what the builtin would for a tuple with a list in it.
            key.hash()?;
            if let Some(hash) = key_hash(key, self.table.seed, 0) {
                for position in self.table.candidates(hash) {
                    if key::equal(&self.keys.at(py, position)?, key)? {
                        return Ok(Some(position));
                    }
                }
                if !self.table.opaque {
                    return Ok(None);
                }
            }
        }
        if let Some(plain) = key::plain(key)? {
            return self.find(&plain);
        }
        self.find_by_python(key)
    }

    fn find_by_python(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        // Raises what the builtin would, before any work.
        key.hash()?;
        match self.positions(key.py())?.get_item(key)? {
            Some(position) => Ok(Some(position.extract()?)),
            None => Ok(None),
        }
    }

    /// Each key's position.
    fn positions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let kept = &self.keys.image.get().kept;
        let offset = self.table.offset();
        if let Some(known) = kept.positions(py, offset) {
            return Ok(known);
        }
        let positions = PyDict::new(py);
        for position in 0..self.len() {
            // A real key, as a view does not equal what it was made of in every class's eyes.
            let key = objects::real(&self.keys.at(py, position)?)?;
            positions.set_item(key, position)?;
        }
        kept.keep_positions(offset, positions.clone().unbind());
        Ok(positions)
    }
}
