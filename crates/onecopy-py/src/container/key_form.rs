//! What a key that is no plain value is written as, and how it is read: `key` says the form.
#![forbid(unsafe_code)]

use onecopy::shared::{Incoming, Kind, Word};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFrozenSet, PyTuple};

use super::found::{Objects, object};
use crate::cpython::import_once;
use crate::error::corrupt;

pub(super) const TUPLE: u8 = b't';
pub(super) const FROZENSET: u8 = b'z';
/// In the place of a blob's kind: a word follows.
pub(super) const WORD: u8 = 0;
/// Tuples in tuples, at most.
pub(super) const DEPTH: usize = 64;

static OBJECT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn no_parts() -> PyErr {
    corrupt(0, "a key that nobody can have written")
}

/// The key that was written so.
pub(super) fn decoded<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    decoded_in(py, bytes, 0)
}

fn decoded_in<'py>(py: Python<'py>, bytes: &[u8], depth: usize) -> PyResult<Bound<'py, PyAny>> {
    let (tag, mut rest) = bytes.split_first().ok_or_else(no_parts)?;
    if depth > DEPTH {
        return Err(no_parts());
    }
    let mut parts = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let part;
        (part, rest) = read_part(*kind, after).ok_or_else(no_parts)?;
        parts.push(match part {
            Incoming::Blob(Kind::Encoded, inner) => decoded_in(py, inner, depth + 1)?,
            Incoming::Blob(Kind::Pickle, _) => return Err(no_parts()),
            plain => object(py, plain.make(&Objects))?,
        });
    }
    match *tag {
        TUPLE => Ok(PyTuple::new(py, parts)?.into_any()),
        FROZENSET => Ok(PyFrozenSet::new(py, parts)?.into_any()),
        tag => {
            let object = import_once(py, &OBJECT, "onecopy._keys", "object_of")?;
            object.call1((tag, PyTuple::new(py, parts)?))
        }
    }
}

/// A part, and what follows it.
fn read_part(kind: u8, bytes: &[u8]) -> Option<(Incoming<'_>, &[u8])> {
    if kind == WORD {
        let (word, rest) = bytes.split_first_chunk::<8>()?;
        return Some((
            Incoming::Word(Word::of_bits(u64::from_le_bytes(*word))?),
            rest,
        ));
    }
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (content, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    Some((Incoming::Blob(Kind::of(kind)?, content), rest))
}
