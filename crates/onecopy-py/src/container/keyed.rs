//! What dicts, sets and counters have in common: they are dicts of the core.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use onecopy::shared::{
    DictKind, End, Incoming, KeyAdded, KeyExchanged, Part, RawDict, Snapshot, WriterLock,
};
use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::handle;
use super::key::{no_key, with_key};
use super::update::{self, Place};
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
    let store = handle::store()?;
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
    dict_of(py, &raw.picture(Part::Items).map_err(Error::from)?)
}

/// A real dict of a copy of items.
pub(super) fn dict_of<'py>(py: Python<'py>, picture: &Snapshot) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let mut all = picture.iter();
    while let (Some(key), Some(value)) = (all.next(), all.next()) {
        let key = word::object(py, key.make(&Objects))?;
        dict.set_item(key, word::object(py, value.make(&Objects))?)?;
    }
    Ok(dict)
}

/// Where a dict has, or may have, the value of a key.
pub(super) struct ValueOf<'a, 'py> {
    pub(super) raw: &'a RawDict,
    pub(super) key: &'a Bound<'py, PyAny>,
}

impl<'py> Place<'py> for ValueOf<'_, 'py> {
    fn py(&self) -> Python<'py> {
        self.key.py()
    }

    fn lock(&self) -> WriterLock {
        self.raw.writer_lock()
    }

    fn read(&self) -> PyResult<Option<Encoded>> {
        let found = with_key(self.raw, self.key, |key| {
            Ok(self.raw.get(key, &Copies).map_err(Error::from)?)
        })?;
        found
            .map(|found| word::copied(self.key.py(), found))
            .transpose()
    }

    fn exchange(&self, old: &Incoming<'_>, new: &Incoming<'_>) -> PyResult<Option<bool>> {
        let exchanged = with_key(self.raw, self.key, |key| {
            let exchanged = self.raw.compare_exchange(key, old, new);
            Ok(exchanged.map_err(Error::from)?)
        })?;
        Ok(match exchanged {
            KeyExchanged::Yes => Some(true),
            KeyExchanged::No => Some(false),
            KeyExchanged::NoKey => None,
        })
    }

    fn insert(&self, new: &Incoming<'_>) -> PyResult<bool> {
        Ok(!set_default(self.raw, self.key, new)?)
    }

    fn absent(&self) -> PyErr {
        no_key(self.key)
    }
}

/// Adds to the number of a key in one step; the sum. A key that is not there gets what was to be added.
pub(super) fn add<'py>(
    raw: &RawDict,
    key: &Bound<'py, PyAny>,
    amount: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    let amount = &match amount {
        Some(amount) => update::number("add()", &amount)?,
        None => 1.into_bound_py_any(py)?,
    };
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
        KeyAdded::NoInt => update::add(&ValueOf { raw, key }, amount),
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
