//! Where a key is: by its hash in the image, or, for keys that only Python can compare, by a real dict made for them.
//!
//! The dict is made once for an image, not for each view of it: it takes all keys to make, and unpickles those that only
//! Python can compare.
//!
//! Dicts with the same keys share them in the image, as a rule, and the views of such dicts share a finder.
#![deny(unsafe_code)]

use std::sync::{Arc, OnceLock};

use onecopy::image::{Keys, Scalar, hash};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyTuple};

use super::record;
use crate::column::{self, Elements, Getter, Parts};
use crate::error::{Error, corrupt};
use crate::image::{Image, Opened, objects};
use crate::value::item::Item;
use crate::value::{key, key_hash, scalar};

/// So few keys are compared one by one, by address at first.
const FEW: usize = 8;

/// The keys of a dict or set. It refers to the image without holding it: whoever has it holds the image.
pub(crate) struct Finder {
    /// Where each key is found.
    table: Keys<'static>,
    parts: Parts,
    get: Getter,
    /// The keys of several dicts, if they are a few strs: interned, so that most look-ups compare addresses.
    names: OnceLock<Vec<Py<PyAny>>>,
}

impl Finder {
    /// A finder for keys of this image.
    pub(super) fn new(image: &Bound<'_, Image>, table: Keys<'static>) -> Self {
        let (parts, codec) = column::of(image, &table.items);
        Self {
            table,
            parts,
            get: codec.get,
            names: OnceLock::new(),
        }
    }

    /// The finder for the keys at `offset`, which other dicts may have, too.
    #[inline]
    pub(super) fn shared(
        image: &Bound<'_, Image>,
        opened: &Opened<'static>,
        offset: u64,
    ) -> PyResult<Arc<Self>> {
        let kept = &image.get().kept;
        if let Some(known) = kept.keys::<Self>(offset) {
            if known.names.get().is_none() {
                // Made first and set then: nobody waits for a thread that may wait for the interpreter's lock.
                let _ = known.names.set(known.few_names(image.py()));
            }
            return Ok(known);
        }
        let keys = opened.keys_at(offset).map_err(Error::from)?;
        let finder = Arc::new(Self::new(image, keys));
        kept.keep_keys(offset, finder.clone());
        Ok(finder)
    }

    /// The names, or none if the keys are anything else than a few strs. Made of what was looked at: a key that only
    /// Python can make would run its code, which may come back here.
    #[cold]
    fn few_names(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        if self.len() > FEW {
            return Vec::new();
        }
        let name = |position| {
            let key = self.table.items.get(position).ok()??;
            let name @ Scalar::Str(_) = key.as_scalar() else {
                return None;
            };
            let name = scalar::object(py, &name).ok()?;
            let interned = crate::cpython::module(py, "sys")
                .ok()?
                .call_method1("intern", (name,));
            interned.map(Bound::unbind).ok()
        };
        let names: Option<_> = (0..self.len()).map(name).collect();
        names.unwrap_or_default()
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The key at a position.
    #[inline]
    pub(crate) fn key<'py>(
        &self,
        image: &Bound<'py, Image>,
        position: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        if position >= self.len() {
            return Err(corrupt(self.table.offset(), "a key that is not there"));
        }
        // SAFETY: `get` is the getter that `codec::of` gave with the parts; they hold, as whoever has the finder holds
        // the image (P1 to P4). `position` is one of the keys, as was just found; attached, as `image` shows.
        #[allow(unsafe_code)]
        let object = unsafe { (self.get)(&self.parts, position) };
        // SAFETY: a decoder gives a new reference, or null with an exception set.
        #[allow(unsafe_code)]
        unsafe {
            Bound::from_owned_ptr_or_err(image.py(), object)
        }
    }

    /// The keys as a tuple's elements.
    pub(crate) fn elements(&self, image: &Bound<'_, Image>) -> Elements {
        Elements::of_sequence(image, &self.table.items)
    }

    /// The position of a key that equals this one.
    #[inline]
    pub(crate) fn find(
        &self,
        image: &Bound<'_, Image>,
        key: &Bound<'_, PyAny>,
    ) -> PyResult<Option<usize>> {
        if let Some(names) = self.names.get() {
            let address = key.as_ptr();
            if let Some(at) = names.iter().position(|name| name.as_ptr() == address) {
                return Ok(Some(at));
            }
        }
        self.find_by_value(image, key)
    }

    fn find_by_value(
        &self,
        image: &Bound<'_, Image>,
        key: &Bound<'_, PyAny>,
    ) -> PyResult<Option<usize>> {
        let mut scratch = Vec::new();
        let found = match Item::of(key).scalar(&mut scratch) {
            Some(Scalar::Str(text)) => {
                let hash = hash::text(text, self.table.seed);
                self.table.find_text(text, hash).map_err(Error::from)?
            }
            Some(scalar) => match hash::scalar(&scalar, self.table.seed) {
                Some(hash) => self.table.find_scalar(&scalar, hash).map_err(Error::from)?,
                None => return self.find_rare(image, key),
            },
            None => return self.find_rare(image, key),
        };
        // No other key equals one that was found.
        if found.is_some() || !self.table.opaque {
            return Ok(found);
        }
        self.find_by_python(image, key)
    }

    #[cold]
    fn find_rare(
        &self,
        image: &Bound<'_, Image>,
        key: &Bound<'_, PyAny>,
    ) -> PyResult<Option<usize>> {
        let nested =
            key.is_exact_instance_of::<PyTuple>() || key.is_exact_instance_of::<PyFrozenSet>();
        if nested {
            // Raises what the builtin would for a tuple with a list in it.
            let theirs = key.hash()?;
            if let Some(hash) = key_hash(key, self.table.seed, 0) {
                for position in self.table.candidates(hash) {
                    // Of few keys all are candidates, and what equals the key may be of any class.
                    let ours = self.key(image, position)?;
                    if ours.hash()? == theirs && key::equal(&ours, key)? {
                        return Ok(Some(position));
                    }
                }
                if !self.table.opaque {
                    return Ok(None);
                }
            }
        }
        if let Some(plain) = key::plain(key)? {
            return self.find_by_value(image, &plain);
        }
        self.find_by_python(image, key)
    }

    fn find_by_python(
        &self,
        image: &Bound<'_, Image>,
        key: &Bound<'_, PyAny>,
    ) -> PyResult<Option<usize>> {
        // Raises what the builtin would, before any work.
        key.hash()?;
        let positions = self.positions(image)?;
        let mut found = positions.get_item(key)?;
        if found.is_none()
            && let Some(place) = record::place(key)
        {
            found = positions.get_item(place)?;
        }
        match found {
            Some(position) => Ok(Some(position.extract()?)),
            None => Ok(None),
        }
    }

    /// Each key's position.
    fn positions<'py>(&self, image: &Bound<'py, Image>) -> PyResult<Bound<'py, PyDict>> {
        let (py, kept) = (image.py(), &image.get().kept);
        let offset = self.table.offset();
        if let Some(known) = kept.positions(py, offset) {
            return Ok(known);
        }
        let positions = PyDict::new(py);
        for position in 0..self.len() {
            // A real key, as a view does not equal what it was made of in every class's eyes.
            let shown = self.key(image, position)?;
            let real = objects::real(&shown)?;
            // An instance that is equal to itself alone is found by its view. That would hold the image, which holds what is
            // made here; so its place stands for it. One that cannot be hashed, as it keeps its hash, is found by real ones.
            match (record::place(&shown), shown.hash()) {
                (Some(place), Ok(hash)) if hash != real.hash()? => {
                    positions.set_item(place, position)?;
                }
                (_, Err(error)) if !error.is_instance_of::<PyException>(py) => return Err(error),
                _ => positions.set_item(real, position)?,
            }
        }
        kept.keep_positions(offset, positions.clone().unbind());
        Ok(positions)
    }
}
