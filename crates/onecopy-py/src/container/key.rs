//! Keys: from a Python object to the one form in which equal keys are written, and back.
//!
//! Plain values are keys as they are; instances of derived classes that hash and compare as these do count as their value.
//! A tuple, a frozenset, an Enum member, a UUID or a date is written as
//! ```text
//! tag: one byte     then, for each part: 0, a word        or: kind of a blob, length (4 bytes), content
//! ```
//! Numbers in it have their canonical form, the parts of a frozenset an order, so that equal keys are equal bytes. Which
//! parts the others have is said in Python (`onecopy._keys`).
#![forbid(unsafe_code)]

use onecopy::shared::{Canonical, Incoming, Key, Kind, RawDict, Word, canonical, refusal};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyFloat, PyFrozenSet, PyTuple};

use super::found::{DEPTH, FROZENSET, TUPLE, WORD};
use super::word::{Encoded, is_scalar, with_incoming};
use crate::cpython::import_once;
use crate::value::item::Item;
use crate::value::key;

/// `KeyError(key)`. A tuple is one argument.
#[cold]
pub(super) fn no_key(key: &Bound<'_, PyAny>) -> PyErr {
    PyKeyError::new_err((key.clone().unbind(),))
}

/// Calls `take` with a key, hashed for a dict.
#[inline(always)]
pub(super) fn with_key<T>(
    raw: &RawDict,
    key: &Bound<'_, PyAny>,
    take: impl FnOnce(&Key<'_>) -> PyResult<T>,
) -> PyResult<T> {
    if let Some(word) = Item::of(key).int().and_then(Word::of_int) {
        return take(&raw.key(Incoming::Word(word)));
    }
    with_canonical(key, 0, |canonical, form| {
        take(&match form {
            None => raw.key(canonical),
            Some(form) => raw.key_of_form(canonical, form),
        })
    })
}

/// A key with bytes of its own.
#[derive(Debug, Clone)]
pub(super) struct OwnedKey {
    canonical: Encoded,
    form: Option<Word>,
}

impl OwnedKey {
    pub(super) fn of(key: &Bound<'_, PyAny>) -> PyResult<Self> {
        with_canonical(key, 0, |canonical, form| {
            let canonical = Encoded::of_incoming(&canonical);
            Ok(Self { canonical, form })
        })
    }

    /// A key that a dict has given.
    pub(super) fn of_given(given: &Incoming<'_>) -> PyResult<Self> {
        canonical_of(given, |canonical, form| {
            let canonical = Encoded::of_incoming(&canonical);
            Ok(Self { canonical, form })
        })
    }

    /// The same for equal keys, and for no others.
    pub(super) fn identity(&self) -> Vec<u8> {
        match self.canonical.incoming() {
            Incoming::Word(word) => word.bits().to_le_bytes().to_vec(),
            // Longer than a word, and another first byte for each kind.
            Incoming::Blob(kind, bytes) => [&[kind as u8; 9], bytes].concat(),
            Incoming::Reference(_) | Incoming::Large(_) => Vec::new(),
        }
    }

    pub(super) fn key(&self, raw: &RawDict) -> Key<'_> {
        let canonical = self.canonical.incoming();
        match self.form {
            None => raw.key(canonical),
            Some(form) => raw.key_of_form(canonical, form),
        }
    }
}

/// Calls `take` with a key as dicts compare it, and its form if that is another.
#[inline(never)]
fn with_canonical<T>(
    key: &Bound<'_, PyAny>,
    depth: usize,
    take: impl FnOnce(Incoming<'_>, Option<Word>) -> PyResult<T>,
) -> PyResult<T> {
    if is_scalar(key) {
        return with_incoming(key, |given| canonical_of(given, take));
    }
    if let Some(plain) = plain(key)?
        && is_scalar(&plain)
    {
        return with_incoming(&plain, |given| canonical_of(given, take));
    }
    let bytes = encoded(key, depth)?;
    take(Incoming::Blob(Kind::Encoded, &bytes), None)
}

/// The plain value as which a key of another class counts.
fn plain<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = object.py();
    if let Some(plain) = key::plain(object)? {
        return Ok(Some(plain));
    }
    // The builtin's methods, as a class may have others.
    let float = py.get_type::<PyFloat>();
    if key::is_one(object, &float)? {
        return float.call_method1("__add__", (object, 0.0)).map(Some);
    }
    let bytes = py.get_type::<PyBytes>();
    if key::is_one(object, &bytes)? {
        return bytes
            .call_method1("__add__", (object, PyBytes::new(py, b"")))
            .map(Some);
    }
    Ok(None)
}

fn canonical_of<T>(
    given: &Incoming<'_>,
    take: impl FnOnce(Incoming<'_>, Option<Word>) -> PyResult<T>,
) -> PyResult<T> {
    let word = match *given {
        Incoming::Word(word) => word,
        Incoming::Blob(kind, _) => {
            return match refusal(kind) {
                None => take(*given, None),
                Some(why) => Err(PyTypeError::new_err(format!("this cannot be a key: {why}"))),
            };
        }
        Incoming::Reference(_) | Incoming::Large(_) => return Err(is_shared()),
    };
    match canonical(word) {
        None => take(*given, None),
        Some(Canonical::Word(same)) => take(Incoming::Word(same), Some(word)),
        Some(Canonical::Wide(bytes)) => take(Incoming::Blob(Kind::Int, &bytes), Some(word)),
    }
}

fn is_shared() -> PyErr {
    PyTypeError::new_err("this cannot be a key: it is another shared object")
}

static PARTS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A key that is no plain value.
fn encoded(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Vec<u8>> {
    let py = object.py();
    if depth >= DEPTH {
        return Err(PyTypeError::new_err(format!(
            "a key has at most {DEPTH} tuples one in another"
        )));
    }
    let mut bytes = Vec::new();
    if key::is_one(object, &py.get_type::<PyTuple>())? {
        bytes.push(TUPLE);
        for part in object.cast::<PyTuple>()?.iter() {
            write_part(&part, depth, &mut bytes)?;
        }
    } else if key::is_one(object, &py.get_type::<PyFrozenSet>())? {
        bytes.push(FROZENSET);
        let mut parts = Vec::new();
        for part in object.cast::<PyFrozenSet>()?.iter() {
            let mut bytes = Vec::new();
            write_part(&part, depth, &mut bytes)?;
            parts.push(bytes);
        }
        parts.sort_unstable();
        bytes.extend(parts.into_iter().flatten());
    } else {
        let parts = import_once(py, &PARTS, "onecopy._keys", "parts")?;
        let (tag, parts): (u8, Bound<'_, PyTuple>) = parts.call1((object,))?.extract()?;
        bytes.push(tag);
        for part in parts {
            write_part(&part, depth, &mut bytes)?;
        }
    }
    Ok(bytes)
}

fn write_part(part: &Bound<'_, PyAny>, depth: usize, to: &mut Vec<u8>) -> PyResult<()> {
    with_canonical(part, depth + 1, |part, _| {
        match part {
            Incoming::Word(word) => {
                to.push(WORD);
                to.extend(word.bits().to_le_bytes());
            }
            Incoming::Blob(kind, content) => {
                let len = u32::try_from(content.len())
                    .map_err(|_| PyTypeError::new_err("a key has parts of at most 4 GiB"))?;
                to.push(kind as u8);
                to.extend(len.to_le_bytes());
                to.extend(content);
            }
            Incoming::Reference(_) | Incoming::Large(_) => return Err(is_shared()),
        }
        Ok(())
    })
}
