//! Many keys and values on their way into a dict, a set or a counter.
#![forbid(unsafe_code)]

use onecopy::shared::{Incoming, Key, Part, RawDict, Snapshot, Tries};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::key::OwnedKey;
use super::keyed::{Keyed, Kind};
use super::list_work::QUICK;
use super::lock;
use super::update::again;
use super::word::Encoded;
use crate::error::Error;

/// Keys and values on their way in.
#[derive(Default)]
pub(super) struct Pairs {
    keys: Vec<OwnedKey>,
    values: Vec<Encoded>,
}

impl Pairs {
    /// None yet, with room for so many: what grows is copied into pages that nobody has touched.
    pub(super) fn of(count: usize) -> Self {
        Self {
            keys: Vec::with_capacity(count),
            values: Vec::with_capacity(count),
        }
    }

    fn reserve(&mut self, count: usize) {
        self.keys.reserve(count);
        self.values.reserve(count);
    }

    pub(super) fn push(
        &mut self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.push_key(OwnedKey::of(key)?, value)
    }

    pub(super) fn push_key(&mut self, key: OwnedKey, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.values.push(Encoded::of(value)?);
        self.keys.push(key);
        Ok(())
    }

    pub(super) fn keys(&self) -> &[OwnedKey] {
        &self.keys
    }

    /// What `dict.update` takes: a mapping, or an iterable of pairs.
    pub(super) fn add(&mut self, source: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(other) = Keyed::of(source)
            && other.kind != Kind::Set
        {
            return self.add_of(other.raw());
        }
        if let Ok(dict) = source.cast_exact::<PyDict>() {
            return self.add_items(&dict.items());
        }
        if !source.hasattr("keys")? {
            return self.add_pairs(source);
        }
        for key in source.call_method0("keys")?.try_iter()? {
            let key = key?;
            self.push(&key, &source.get_item(&key)?)?;
        }
        Ok(())
    }

    fn add_of(&mut self, raw: &RawDict) -> PyResult<()> {
        let picture = raw.picture(Part::Items).map_err(Error::from)?;
        self.reserve(picture.len() / 2);
        let mut all = picture.iter();
        while let (Some(key), Some(value)) = (all.next(), all.next()) {
            self.keys.push(OwnedKey::of_given(&key)?);
            self.values.push(Encoded::of_incoming(&value));
        }
        Ok(())
    }

    fn add_items(&mut self, items: &Bound<'_, PyList>) -> PyResult<()> {
        self.reserve(items.len());
        for item in items {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            self.push(&key, &value)?;
        }
        Ok(())
    }

    fn add_pairs(&mut self, pairs: &Bound<'_, PyAny>) -> PyResult<()> {
        for (at, pair) in pairs.try_iter()?.enumerate() {
            let pair = pair?;
            let pair = pair.try_iter().map_err(|_| {
                PyTypeError::new_err(format!(
                    "cannot convert dictionary update sequence element #{at} to a sequence"
                ))
            })?;
            let pair = pair.collect::<PyResult<Vec<_>>>()?;
            let [key, value] = pair.as_slice() else {
                return Err(PyValueError::new_err(format!(
                    "dictionary update sequence element #{at} has length {}; 2 is required",
                    pair.len()
                )));
            };
            self.push(key, value)?;
        }
        Ok(())
    }

    /// Keys that all have one value.
    pub(super) fn add_keys(
        &mut self,
        keys: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if let Some(other) = Keyed::of(keys) {
            let picture = other.raw().picture(Part::Keys).map_err(Error::from)?;
            for key in picture.iter() {
                self.keys.push(OwnedKey::of_given(&key)?);
                self.values.push(Encoded::of(value)?);
            }
            return Ok(());
        }
        for key in keys.try_iter()? {
            self.push(&key?, value)?;
        }
        Ok(())
    }

    /// Sets them all.
    pub(super) fn put(&self, raw: &RawDict) -> PyResult<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        Ok(raw.update(&self.items(raw)).map_err(Error::from)?)
    }

    /// As the core takes them.
    pub(super) fn items(&self, raw: &RawDict) -> Vec<(Key<'_>, Incoming<'_>)> {
        let keys = self.keys.iter().zip(&self.values);
        keys.map(|(key, value)| (key.key(raw), value.incoming()))
            .collect()
    }
}

/// What one step does to a container: keys to be taken out, and other keys to be set.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) gone: Vec<OwnedKey>,
    pub(super) set: Pairs,
}

impl Changes {
    /// Makes them, under the lock.
    pub(super) fn make(&self, raw: &RawDict) -> PyResult<()> {
        // First what may lack memory.
        self.set.put(raw)?;
        for key in &self.gone {
            raw.delete(&key.key(raw)).map_err(Error::from)?;
        }
        Ok(())
    }
}

/// Works out what to change by a copy of one moment, without the lock, and does it if the container is still the same. If
/// others were often faster, it is worked out under the lock, where a copy `is_plain`: that runs no code of others.
/// To writers it is one step; readers may see some of the keys before the others.
pub(super) fn change(
    py: Python<'_>,
    raw: &RawDict,
    method: &str,
    is_plain: impl Fn(&Snapshot) -> bool,
    work_out: impl Fn(&Snapshot) -> PyResult<Changes>,
) -> PyResult<()> {
    let mut tries = Tries::new(raw.writer_lock());
    loop {
        let early = (tries.count() >= QUICK).then(|| lock::hold(raw.writer_lock()));
        let early = early.transpose()?;
        let picture = raw.picture(Part::Items).map_err(Error::from)?;
        let early = early.filter(|_| is_plain(&picture));
        let changes = tries.run(|| work_out(&picture))?;
        let late = lock::hold(raw.writer_lock())?;
        let is_now = picture.moment().is_some_and(|moment| raw.is_now(moment));
        if is_now {
            changes.make(raw)?;
        }
        drop((late, early));
        if is_now {
            return Ok(());
        }
        again(py, &mut tries, method)?;
    }
}

/// Sets what `dict.update` takes.
pub(super) fn update_from(
    raw: &RawDict,
    source: Option<&Bound<'_, PyAny>>,
    named: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let mut pairs = Pairs::default();
    if let Some(source) = source {
        pairs.add(source)?;
    }
    if let Some(named) = named {
        pairs.add(named)?;
    }
    pairs.put(raw)
}
