//! A Python value and a word of a container.
//!
//! On the way in everything that may run Python code, or fail, happens before the container is locked. On the way out a
//! str or bytes object is filled by hand while the container may be changing, and looked at before anybody sees it; a
//! pickle is only copied, and read when the container is no longer looked at.
//!
//! **Invariant.** `V1`: the functions are called by threads that are attached to the interpreter.
#![forbid(unsafe_code)]

use onecopy::AccessError;
use onecopy::image::{Scalar, Text, TextKind};
use onecopy::shared::{Incoming, Kind, Large, Reference, Sink, Word};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyComplex, PyList};

pub(super) use super::found::{
    Found, Objects, Raised, Reader, list_of, object, pair, raise_failure,
};
use super::found::{held, room_for};
use super::{mixed, reference};
use crate::cpython::import_once;
use crate::image::Image;
use crate::value::item::Item;

static DUMPS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A value that [`Copies`] has copied.
pub(super) fn copied(py: Python<'_>, found: Result<Encoded, Raised>) -> PyResult<Encoded> {
    found.map_err(|Raised| PyErr::fetch(py))
}

/// The places of the elements of a list in the order in which they would be sorted.
pub(super) fn sorted_places(
    items: &Bound<'_, PyList>,
    key: Option<&Bound<'_, PyAny>>,
    reverse: bool,
) -> PyResult<Vec<usize>> {
    let py = items.py();
    let sort = import_once(py, &SORTED, "onecopy._containers", "sorted_places")?;
    sort.call1((items, key, reverse))?.extract()
}

static SORTED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Whether comparing a value with others of the kind, or adding it to one, runs no code of others.
pub(super) fn is_plain(value: &Incoming<'_>) -> bool {
    match value {
        Incoming::Word(_) => true,
        Incoming::Blob(kind, _) => !matches!(kind, Kind::Pickle | Kind::Encoded),
        Incoming::Reference(_) | Incoming::Large(_) => false,
    }
}

/// Whether a value is kept so that it is the same only as the same bytes.
pub(super) fn is_scalar(value: &Bound<'_, PyAny>) -> bool {
    Item::of(value).scalar(&mut Vec::new()).is_some() && !value.is_exact_instance_of::<PyComplex>()
}

static PART: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A value that is the same only as what is kept: a scalar, a container or a view. `None` of others.
pub(super) fn exact(value: &Bound<'_, PyAny>) -> PyResult<Option<Encoded>> {
    if is_scalar(value) {
        return Encoded::of(value).map(Some);
    }
    let part = import_once(value.py(), &PART, "onecopy._containers", "part")?.call1((value,))?;
    if part.is_none() {
        return Ok(None);
    }
    Ok(Some(Encoded::Reference(mixed::reference_of(&part)?)))
}

static SAME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Whether a value that is kept is the same as one that is no scalar, container or view. Runs code of others.
pub(super) fn is_same(
    py: Python<'_>,
    kept: &Incoming<'_>,
    value: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    if is_plain(kept) {
        return Ok(false);
    }
    let pickle = match kept {
        Incoming::Blob(Kind::Pickle, bytes) => Some(PyBytes::new(py, bytes)),
        _ => None,
    };
    let object = object(py, kept.make(&Objects))?;
    let same = import_once(py, &SAME, "onecopy._containers", "same")?;
    same.call1((pickle, object, value))?.extract()
}

/// A value as containers keep it, with its bytes.
#[derive(Debug, Clone)]
pub(super) enum Encoded {
    Word(Word),
    Blob(Kind, Vec<u8>),
    Reference(Reference),
    Large(Large),
}

impl Encoded {
    pub(super) fn of(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        with_incoming(value, |value| Ok(Self::of_incoming(value)))
    }

    /// All elements of an iterable.
    pub(super) fn all(values: &Bound<'_, PyAny>) -> PyResult<Vec<Self>> {
        values.try_iter()?.map(|value| Self::of(&value?)).collect()
    }

    /// The same, with another error for what is no iterable.
    pub(super) fn all_of(
        values: &Bound<'_, PyAny>,
        refuse: impl FnOnce() -> PyErr,
    ) -> PyResult<Vec<Self>> {
        let iterator = match values.try_iter() {
            Ok(iterator) => iterator,
            Err(error) if error.is_instance_of::<PyTypeError>(values.py()) => return Err(refuse()),
            Err(error) => return Err(error),
        };
        iterator.map(|value| Self::of(&value?)).collect()
    }

    /// The same of what a container has given.
    pub(super) fn of_incoming(value: &Incoming<'_>) -> Self {
        match *value {
            Incoming::Word(word) => Self::Word(word),
            Incoming::Blob(kind, bytes) => Self::Blob(kind, bytes.to_vec()),
            Incoming::Reference(reference) => Self::Reference(reference.clone()),
            Incoming::Large(large) => Self::Large(large.clone()),
        }
    }

    pub(super) fn incoming(&self) -> Incoming<'_> {
        match self {
            Self::Word(word) => Incoming::Word(*word),
            Self::Blob(kind, bytes) => Incoming::Blob(*kind, bytes),
            Self::Reference(reference) => Incoming::Reference(reference),
            Self::Large(large) => Incoming::Large(large),
        }
    }
}

/// Copies values as they are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copies;

impl Sink for Copies {
    type Made = Encoded;
    type Room = Vec<u8>;
    type Error = Raised;

    fn word(&self, word: Word) -> Result<Encoded, Raised> {
        Ok(Encoded::Word(word))
    }

    fn room(&self, _kind: Kind, len: usize) -> Result<(Vec<u8>, *mut u8), Raised> {
        let mut bytes = room_for(len)?;
        let to = bytes.as_mut_ptr();
        Ok((bytes, to))
    }

    fn filled(&self, room: Vec<u8>, kind: Kind, _len: usize) -> Result<Encoded, Raised> {
        Ok(Encoded::Blob(kind, room))
    }

    fn reference(&self, reference: Result<Reference, AccessError>) -> Result<Encoded, Raised> {
        held(reference).map(Encoded::Reference)
    }

    fn large(&self, large: Result<Large, AccessError>) -> Result<Encoded, Raised> {
        held(large).map(Encoded::Large)
    }
}

/// A str as containers keep it.
#[inline(always)]
fn of_text(Text { kind, bytes }: Text<'_>) -> Incoming<'_> {
    match kind {
        TextKind::Ascii => Incoming::of_latin1(bytes, true),
        TextKind::Latin1 => Incoming::of_latin1(bytes, false),
        TextKind::Ucs2 => Incoming::Blob(Kind::Ucs2, bytes),
        TextKind::Ucs4 => Incoming::Blob(Kind::Ucs4, bytes),
    }
}

/// A key that is an int of 48 bits, or a str: both are canonical as they are.
#[inline(always)]
pub(super) fn quick_key(item: &Item) -> Option<Incoming<'_>> {
    match item.int() {
        Some(int) => Word::of_int(int).map(Incoming::Word),
        None => item.text().map(of_text),
    }
}

/// The same, or a float, a bool or None.
#[inline(always)]
pub(super) fn quick_value(item: &Item) -> Option<Incoming<'_>> {
    quick_key(item).or_else(|| quick_constant(*item))
}

#[inline(never)]
fn quick_constant(item: Item) -> Option<Incoming<'static>> {
    if let Some(float) = item.float() {
        return Word::of_float(float).map(Incoming::Word);
    }
    if item.is_none() {
        return Some(Incoming::Word(Word::NONE));
    }
    item.bool().map(Word::of_bool).map(Incoming::Word)
}

/// Calls `put` with a value as containers keep it. Pickles are made here, before anything is locked.
///
/// # Errors
/// The value cannot be pickled.
#[inline(always)]
pub(super) fn with_incoming<T>(
    value: &Bound<'_, PyAny>,
    put: impl FnOnce(&Incoming<'_>) -> PyResult<T>,
) -> PyResult<T> {
    let item = Item::of(value);
    if let Some(word) = item.int().and_then(Word::of_int) {
        return put(&Incoming::Word(word));
    }
    with_other(value, put)
}

#[inline(never)]
fn with_other<T>(
    value: &Bound<'_, PyAny>,
    put: impl FnOnce(&Incoming<'_>) -> PyResult<T>,
) -> PyResult<T> {
    let mut scratch = Vec::new();
    let item = Item::of(value);
    let bits;
    let incoming = match item.scalar(&mut scratch) {
        Some(Scalar::None) => Incoming::Word(Word::NONE),
        Some(Scalar::Bool(value)) => Incoming::Word(Word::of_bool(value)),
        Some(Scalar::Float(value)) => {
            if let Some(word) = Word::of_float(value) {
                Incoming::Word(word)
            } else {
                bits = value.to_le_bytes();
                Incoming::Blob(Kind::Nan, &bits)
            }
        }
        Some(Scalar::Str(text)) => of_text(text),
        Some(Scalar::Bytes(bytes)) => Incoming::of_bytes(bytes),
        Some(Scalar::Int(value)) => return with_wide(&value.to_le_bytes(), put),
        Some(Scalar::Uint(value)) => {
            let mut bytes = [0; 9];
            bytes[..8].copy_from_slice(&value.to_le_bytes());
            return with_wide(&bytes, put);
        }
        Some(Scalar::Big(bytes)) => return with_wide(bytes, put),
        _ => return with_pickle(value, put),
    };
    put(&incoming)
}

/// An int of more than 48 bits, in the fewest bytes.
fn with_wide<T>(bytes: &[u8], put: impl FnOnce(&Incoming<'_>) -> PyResult<T>) -> PyResult<T> {
    put(&Incoming::of_int(bytes))
}

fn with_pickle<T>(
    value: &Bound<'_, PyAny>,
    put: impl FnOnce(&Incoming<'_>) -> PyResult<T>,
) -> PyResult<T> {
    let py = value.py();
    if let Some(reference) = reference::of_container(value)? {
        return put(&Incoming::Reference(&reference));
    }
    let dumps = import_once(py, &DUMPS, "onecopy._containers", "dumps")?;
    let pickled = dumps.call1((value,))?;
    if let Ok(bytes) = pickled.cast::<PyBytes>() {
        return put(&Incoming::Blob(Kind::Pickle, bytes.as_bytes()));
    }
    if let Ok(image) = pickled.cast::<Image>()
        && let Some(reference) = reference::of_image(image.get())
    {
        return put(&Incoming::Reference(&reference));
    }
    if let Some(reference) = reference::of_container(&pickled)? {
        return put(&Incoming::Reference(&reference));
    }
    let (pickle, parts) = pickled.extract::<(Bound<'_, PyBytes>, Bound<'_, PyList>)>()?;
    let mixed = mixed::of(&pickle, &parts)?;
    put(&Incoming::Reference(&mixed.reference()))
}
