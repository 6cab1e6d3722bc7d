//! What dicts, sets and counters have in common: they are dicts of the core.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use onecopy::shared::{DictKind, End, Incoming, KeyAdded, KeyExchanged, Part, Picture, RawDict};
use onecopy::store::Store;
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList};

use super::key::{OwnedKey, no_key, with_key};
use super::lock;
use super::update;
use super::word::{self, Copies, Encoded, Found, Objects, Raised, with_incoming};
use crate::error::Error;

/// What a container that is a dict of the core is for Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dict,
    Set,
    Counter,
}

/// A container that is a dict of the core.
pub(super) struct Keyed {
    pub(super) kind: Kind,
    object: Py<PyAny>,
    raw: RawDict,
}

/// Which of these containers an object is.
type Of = fn(&Bound<'_, PyAny>) -> Option<Keyed>;

static OF: OnceLock<Of> = OnceLock::new();

impl Keyed {
    pub(super) fn new(kind: Kind, object: Py<PyAny>, raw: &RawDict) -> Self {
        let raw = raw.clone();
        Self { kind, object, raw }
    }

    /// Says how an object is recognised; what this file is used by knows the classes.
    pub(super) fn register(of: Of) {
        OF.get_or_init(|| of);
    }

    /// The container that an object is, if it is one of these.
    pub(super) fn of(object: &Bound<'_, PyAny>) -> Option<Self> {
        OF.get().and_then(|of| of(object))
    }

    pub(super) fn raw(&self) -> &RawDict {
        &self.raw
    }

    pub(super) fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.object.bind(py).clone()
    }
}

/// A new container.
pub(super) fn create(kind: DictKind) -> PyResult<RawDict> {
    let store = Store::current().map_err(Error::from)?;
    Ok(RawDict::create(&store, kind).map_err(Error::from)?)
}

/// What was found, once the container is no longer looked at.
pub(super) fn object(
    py: Python<'_>,
    found: Option<Result<Found, Raised>>,
) -> PyResult<Option<Bound<'_, PyAny>>> {
    found.map(|found| word::object(py, found)).transpose()
}

/// The value of a key, if it is there.
pub(super) fn get<'py>(
    raw: &RawDict,
    key: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let found = with_key(raw, key, |key| {
        Ok(raw.get(key, &Objects).map_err(Error::from)?)
    })?;
    object(key.py(), found)
}

pub(super) fn contains(raw: &RawDict, key: &Bound<'_, PyAny>) -> PyResult<bool> {
    with_key(raw, key, |key| {
        Ok(raw.contains(key).map_err(Error::from)?)
    })
}

pub(super) fn set(raw: &RawDict, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    with_incoming(value, |value| {
        with_key(raw, key, |key| {
            Ok(raw.set(key, value).map_err(Error::from)?)
        })
    })
}

/// Takes a key out; whether it was there.
pub(super) fn delete(raw: &RawDict, key: &Bound<'_, PyAny>) -> PyResult<bool> {
    with_key(raw, key, |key| Ok(raw.delete(key).map_err(Error::from)?))
}

/// The value of a key that is set to `default` if it is not there.
pub(super) fn setdefault<'py>(
    raw: &RawDict,
    key: &Bound<'py, PyAny>,
    default: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let found = with_incoming(&default, |value| {
        with_key(raw, key, |key| {
            Ok(raw.set_default(key, value, &Objects).map_err(Error::from)?)
        })
    })?;
    Ok(object(key.py(), found)?.unwrap_or(default))
}

/// Takes a key out and gives its value, if it was there.
pub(super) fn pop<'py>(
    raw: &RawDict,
    key: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let found = with_key(raw, key, |key| {
        Ok(raw.pop(key, &Objects).map_err(Error::from)?)
    })?;
    object(key.py(), found)
}

/// A key and its value.
pub(super) type KeyValue<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Takes the first or last key out with its value, unless there is none.
pub(super) fn pop_item<'py>(
    py: Python<'py>,
    raw: &RawDict,
    end: End,
) -> PyResult<Option<KeyValue<'py>>> {
    let found = raw.pop_item(end, &Objects).map_err(Error::from)?;
    found.map(|item| word::pair(py, item)).transpose()
}

/// A real dict of one moment.
pub(super) fn to_dict<'py>(py: Python<'py>, raw: &RawDict) -> PyResult<Bound<'py, PyDict>> {
    dict_of(py, &raw.exact_picture(Part::Items).map_err(Error::from)?)
}

/// A real dict of a copy of items.
pub(super) fn dict_of<'py>(py: Python<'py>, picture: &Picture) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let mut all = picture.iter();
    while let (Some(key), Some(value)) = (all.next(), all.next()) {
        let key = word::object(py, key.make(&Objects))?;
        dict.set_item(key, word::object(py, value.make(&Objects))?)?;
    }
    Ok(dict)
}

/// Keys and values on their way in.
#[derive(Default)]
pub(super) struct Pairs {
    keys: Vec<OwnedKey>,
    values: Vec<Encoded>,
}

impl Pairs {
    pub(super) fn push(
        &mut self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.keys.push(OwnedKey::of(key)?);
        self.values.push(Encoded::of(value)?);
        Ok(())
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
        let picture = raw.exact_picture(Part::Items).map_err(Error::from)?;
        let mut all = picture.iter();
        while let (Some(key), Some(value)) = (all.next(), all.next()) {
            self.keys.push(OwnedKey::of_given(&key)?);
            self.values.push(Encoded::of_incoming(&value));
        }
        Ok(())
    }

    fn add_items(&mut self, items: &Bound<'_, PyList>) -> PyResult<()> {
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
            let picture = other.raw().exact_picture(Part::Keys).map_err(Error::from)?;
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
        let items: Vec<_> = self
            .keys
            .iter()
            .zip(&self.values)
            .map(|(key, value)| (key.key(raw), value.incoming()))
            .collect();
        Ok(raw.update(&items).map_err(Error::from)?)
    }
}

/// What one step does to a container: keys to be taken out, and other keys to be set.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) gone: Vec<OwnedKey>,
    pub(super) set: Pairs,
}

/// How often others may be faster before a change is worked out under the lock.
const TRIES: usize = 3;

/// Works out what to change by a copy of one moment, without the lock, and does it if the container is still the same.
/// To writers it is one step; readers may see some of the keys before the others.
pub(super) fn change(
    raw: &RawDict,
    work_out: impl Fn(&Picture) -> PyResult<Changes>,
) -> PyResult<()> {
    let try_once = |is_last: bool| -> PyResult<bool> {
        let early = is_last.then(|| lock::hold(raw.writer_lock())).transpose()?;
        let picture = raw.exact_picture(Part::Items).map_err(Error::from)?;
        let changes = work_out(&picture)?;
        let late = lock::hold(raw.writer_lock())?;
        let is_now = picture.moment().is_some_and(|moment| raw.is_now(moment));
        if is_now {
            // First what may lack memory.
            changes.set.put(raw)?;
            for key in &changes.gone {
                raw.delete(&key.key(raw)).map_err(Error::from)?;
            }
        }
        drop((late, early));
        Ok(is_now)
    };
    for attempt in 0..=TRIES {
        if try_once(attempt == TRIES)? {
            return Ok(());
        }
    }
    Err(PyRuntimeError::new_err(
        "a comparison changes what it compares",
    ))
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

/// Adds to the number of a key in one step; the sum. A key that is not there gets what was to be added.
pub(super) fn add<'py>(
    raw: &RawDict,
    key: &Bound<'py, PyAny>,
    amount: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    let amount = &amount.map_or_else(|| 1.into_bound_py_any(py), Ok)?;
    let added = with_incoming(amount, |amount| {
        with_key(raw, key, |key| {
            Ok(raw.add(key, amount).map_err(Error::from)?)
        })
    })?;
    match added {
        KeyAdded::Sum(sum) => sum.into_bound_py_any(py),
        KeyAdded::Wide(bytes) => word::object(
            py,
            Incoming::Blob(onecopy::shared::Kind::Int, &bytes).make(&Objects),
        ),
        KeyAdded::NoInt => add_slowly(raw, key, amount),
    }
}

/// The same where one of the numbers is a float.
#[cold]
pub(super) fn add_slowly<'py>(
    raw: &RawDict,
    key: &Bound<'py, PyAny>,
    amount: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let is_number = |value: &Bound<'py, PyAny>| {
        value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>()
    };
    let zero = PyInt::new(key.py(), 0).into_any();
    loop {
        let old = get(raw, key)?;
        for operand in [old.as_ref().unwrap_or(&zero), amount] {
            if !is_number(operand) {
                let name = operand.get_type().name()?;
                return Err(PyTypeError::new_err(format!(
                    "add() takes numbers and adds to numbers, not to {name}"
                )));
            }
        }
        let Some(old) = old else {
            let exists = with_incoming(amount, |amount| set_default(raw, key, amount))?;
            if !exists {
                return Ok(amount.clone());
            }
            continue;
        };
        let sum = old.add(amount)?;
        let old = Encoded::of(&old)?;
        if with_incoming(&sum, |sum| exchange(raw, key, &old.incoming(), sum))? != KeyExchanged::No
        {
            return Ok(sum);
        }
    }
}

/// Sets the value of a key that is not there; whether it was there.
pub(super) fn set_default(
    raw: &RawDict,
    key: &Bound<'_, PyAny>,
    value: &Incoming<'_>,
) -> PyResult<bool> {
    let found = with_key(raw, key, |key| {
        Ok(raw.set_default(key, value, &Copies).map_err(Error::from)?)
    })?;
    match found {
        Some(Err(Raised)) => Err(PyErr::fetch(key.py())),
        found => Ok(found.is_some()),
    }
}

fn exchange(
    raw: &RawDict,
    key: &Bound<'_, PyAny>,
    old: &Incoming<'_>,
    new: &Incoming<'_>,
) -> PyResult<KeyExchanged> {
    with_key(raw, key, |key| {
        Ok(raw.compare_exchange(key, old, new).map_err(Error::from)?)
    })
}

/// Replaces a value if it is `old`; whether it was.
pub(super) fn compare_exchange(
    raw: &RawDict,
    key: &Bound<'_, PyAny>,
    old: &Bound<'_, PyAny>,
    new: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let old = Encoded::of(old)?;
    match with_incoming(new, |new| exchange(raw, key, &old.incoming(), new))? {
        KeyExchanged::Yes => Ok(true),
        KeyExchanged::No => Ok(false),
        KeyExchanged::NoKey => Err(no_key(key)),
    }
}

/// Replaces the value of a key by what a function makes of it. `first`: the value of a key that is not there.
pub(super) fn update_with<'py>(
    raw: &RawDict,
    key: &Bound<'py, PyAny>,
    function: &Bound<'py, PyAny>,
    first: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    update::with(
        raw.writer_lock(),
        function,
        || {
            let found = with_key(raw, key, |key| {
                Ok(raw.get(key, &Copies).map_err(Error::from)?)
            })?;
            found.map(|found| word::copied(key.py(), found)).transpose()
        },
        || first.cloned().ok_or_else(|| no_key(key)),
        |old, new| match old {
            Some(old) => Ok(exchange(raw, key, old, new)? == KeyExchanged::Yes),
            None => Ok(!set_default(raw, key, new)?),
        },
    )
}
