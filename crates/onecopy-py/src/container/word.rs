//! A Python value and a word of a container.
//!
//! On the way in everything that may run Python code, or fail, happens before the container is locked. On the way out a
//! str or bytes object is filled by hand while the container may be changing, and looked at before anybody sees it; a
//! pickle is only copied, and read when the container is no longer looked at.
//!
//! **Invariant.** `V1`: the functions are called by threads that are attached to the interpreter.
#![allow(unsafe_code, reason = "makes strs and bytes by hand")]

use onecopy::image::{Scalar, Text, TextKind};
use onecopy::shared::{Immediate, Incoming, Kind, Sink, Word};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyInt, PyList};

use crate::column::spare::Spare;
use crate::cpython::import_once;
use crate::error::corrupt;
use crate::value::item::Item;
use crate::value::{scalar, text};

/// A reference that is released when nobody takes it.
#[derive(Debug)]
pub(super) struct Owned(*mut PyObject);

impl Owned {
    fn into_raw(self) -> *mut PyObject {
        let object = self.0;
        std::mem::forget(self);
        object
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: null, or this value's own reference to a str or bytes that nobody has seen, in an attached thread (V1);
        // releasing one runs no Python code.
        unsafe { ffi::Py_XDECREF(self.0) };
    }
}

/// What was read: an object as a new reference, null if it could not be made and an exception says why; or a pickle.
#[derive(Debug)]
pub(super) enum Found {
    Object(*mut PyObject),
    Pickle(Vec<u8>),
    /// A blob that is not what it is marked as.
    Damaged(&'static str),
}

impl Found {
    /// The object, as a new reference; null with an exception set. Reads pickles, so nothing may be locked.
    #[inline(always)]
    pub(super) fn finish(self) -> *mut PyObject {
        match self {
            Self::Object(object) => object,
            rest => rest.finish_slowly(),
        }
    }

    #[cold]
    #[inline(never)]
    fn finish_slowly(self) -> *mut PyObject {
        // SAFETY: attached (V1); the work gives a new reference, or an error to be raised.
        unsafe {
            crate::cpython::slot::enter(|py| match self {
                Self::Object(object) => Ok(object),
                Self::Pickle(bytes) => unpickled(py, &bytes).map(Bound::into_ptr),
                Self::Damaged(what) => Err(corrupt(0, what)),
            })
        }
    }
}

static DUMPS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn unpickled<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    import_once(py, &LOADS, "pickle", "loads")?.call1((bytes,))
}

/// Makes Python objects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Objects;

/// Room for the content of a blob.
#[derive(Debug)]
pub(super) enum Room {
    /// A str or bytes object that nobody has seen.
    Object(Owned),
    /// Content of which an object is made later.
    Bytes(Vec<u8>),
}

/// Memory ran out while room was made; an exception says so.
#[derive(Debug)]
pub(super) struct Raised;

impl Sink for Objects {
    type Made = Found;
    type Room = Room;
    type Error = Raised;

    #[inline(always)]
    fn word(&self, word: Word) -> Result<Found, Raised> {
        if let Some(value) = word.as_int() {
            return Ok(Found::Object(scalar::int(value)));
        }
        Ok(other_word(word))
    }

    #[inline(always)]
    fn room(&self, kind: Kind, len: usize) -> Result<(Room, *mut u8), Raised> {
        make_room(kind, len)
    }

    #[inline(always)]
    fn filled(&self, room: Room, kind: Kind, len: usize) -> Result<Found, Raised> {
        Ok(make_filled(room, kind, len))
    }
}

/// Makes Python objects; a number that was handed out and that nobody has kept is written anew.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a Spare);

impl Sink for Reader<'_> {
    type Made = Found;
    type Room = Room;
    type Error = Raised;

    #[inline(always)]
    fn word(&self, word: Word) -> Result<Found, Raised> {
        if let Some(value) = word.as_int() {
            return Ok(Found::Object(self.0.int(value)));
        }
        if let Some(value) = word.as_float() {
            return Ok(Found::Object(self.0.float(value)));
        }
        Ok(other_word(word))
    }

    #[inline(always)]
    fn room(&self, kind: Kind, len: usize) -> Result<(Room, *mut u8), Raised> {
        make_room(kind, len)
    }

    #[inline(always)]
    fn filled(&self, room: Room, kind: Kind, len: usize) -> Result<Found, Raised> {
        Ok(make_filled(room, kind, len))
    }
}

#[inline(always)]
fn make_room(kind: Kind, len: usize) -> Result<(Room, *mut u8), Raised> {
    let widest = match kind {
        Kind::Ascii => 0x7f,
        Kind::Latin1 => 0xff,
        Kind::Ucs2 => 0xffff,
        Kind::Ucs4 => 0x0010_ffff,
        _ => return other_room(kind, len),
    };
    let count = len / kind.unit();
    // SAFETY: takes plain numbers; attached (V1).
    let object = unsafe { ffi::PyUnicode_New(count.cast_signed(), widest) };
    if object.is_null() {
        return Err(Raised);
    }
    // SAFETY: `PyUnicode_New` gave a str that is exact and ready, which nobody else has seen.
    let to = unsafe { ffi::PyUnicode_DATA(object) }.cast::<u8>();
    Ok((Room::Object(Owned(object)), to))
}

#[inline(always)]
fn make_filled(room: Room, kind: Kind, len: usize) -> Found {
    match room {
        Room::Object(object) => filled_object(object, kind, len),
        Room::Bytes(bytes) => other_filled(bytes, kind),
    }
}

#[inline(never)]
fn other_word(word: Word) -> Found {
    Found::Object(match word.immediate() {
        Some(Immediate::None) => scalar::none(),
        Some(Immediate::Bool(value)) => scalar::bool_object(value),
        Some(Immediate::Int(value)) => scalar::int(value),
        // SAFETY: takes a plain number; attached (V1).
        Some(Immediate::Float(value)) => unsafe { ffi::PyFloat_FromDouble(value) },
        Some(Immediate::Str(bytes, len)) => {
            let bytes = bytes.get(..len).unwrap_or_default();
            let kind = if bytes.is_ascii() {
                TextKind::Ascii
            } else {
                TextKind::Latin1
            };
            text::new(Text { kind, bytes })
        }
        Some(Immediate::Bytes(bytes, len)) => scalar::bytes(bytes.get(..len).unwrap_or_default()),
        _ => return Found::Damaged("a word that is no value"),
    })
}

#[inline(never)]
fn other_room(kind: Kind, len: usize) -> Result<(Room, *mut u8), Raised> {
    if kind == Kind::Bytes {
        // SAFETY: null for the content asks for bytes that are filled later; attached (V1).
        let object = unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), len.cast_signed()) };
        if object.is_null() {
            return Err(Raised);
        }
        // SAFETY: exact bytes that were made above.
        let to = unsafe { ffi::PyBytes_AsString(object) }.cast::<u8>();
        return Ok((Room::Object(Owned(object)), to));
    }
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(len).is_err() {
        // SAFETY: attached (V1); sets the exception and gives null.
        unsafe { ffi::PyErr_NoMemory() };
        return Err(Raised);
    }
    bytes.resize(len, 0);
    let to = bytes.as_mut_ptr();
    Ok((Room::Bytes(bytes), to))
}

/// A str is shown only if its content is as narrow as it was marked: another would not equal the same text.
#[inline(always)]
fn filled_object(object: Owned, kind: Kind, len: usize) -> Found {
    let kind = match kind {
        Kind::Ascii => TextKind::Ascii,
        Kind::Latin1 => TextKind::Latin1,
        Kind::Ucs2 => TextKind::Ucs2,
        Kind::Ucs4 => TextKind::Ucs4,
        _ => return Found::Object(object.into_raw()),
    };
    // SAFETY: a str that `room` made, exact and ready, which nobody else has seen.
    let start = unsafe { ffi::PyUnicode_DATA(object.0) }.cast::<u8>();
    // SAFETY: it was made for `len` bytes of characters, all of which have been filled, and lives as long as `object`.
    let bytes = unsafe { std::slice::from_raw_parts(start, len) };
    if (Text { kind, bytes }).is_canonical() {
        return Found::Object(object.into_raw());
    }
    Found::Damaged("text is not in its narrowest form")
}

#[inline(never)]
fn other_filled(bytes: Vec<u8>, kind: Kind) -> Found {
    match kind {
        Kind::Int => Found::Object(scalar::raw(&Scalar::Big(&bytes))),
        Kind::Nan => match bytes.try_into() {
            // SAFETY: takes a plain number; attached (V1).
            Ok(bits) => Found::Object(unsafe { ffi::PyFloat_FromDouble(f64::from_le_bytes(bits)) }),
            Err(_) => Found::Damaged("a float of another length"),
        },
        Kind::Pickle => Found::Pickle(bytes),
        _ => Found::Damaged("a blob of an unknown kind"),
    }
}

/// The object that was found, once the container is no longer looked at.
pub(super) fn object(py: Python<'_>, found: Result<Found, Raised>) -> PyResult<Bound<'_, PyAny>> {
    let object = match found {
        Ok(found) => found.finish(),
        Err(Raised) => std::ptr::null_mut(),
    };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// A list of copied elements.
pub(super) fn list_of<'py, 'v>(
    py: Python<'py>,
    values: impl ExactSizeIterator<Item = Incoming<'v>>,
) -> PyResult<Bound<'py, PyList>> {
    // Filled from the start while it grows: a list that others may see has no gaps.
    let list = PyList::empty(py);
    for value in values {
        list.append(object(py, value.make(&Objects))?)?;
    }
    Ok(list)
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

/// Adds to an int that is too wide for one step: reads, adds, and replaces it if it is still the same.
pub(super) fn add_slowly<'py>(
    amount: &Bound<'py, PyAny>,
    read: impl Fn() -> PyResult<Bound<'py, PyAny>>,
    replace: impl Fn(&Incoming<'_>, &Incoming<'_>) -> PyResult<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    loop {
        let old = read()?;
        for operand in [&old, amount] {
            if !operand.is_exact_instance_of::<PyInt>() {
                let name = operand.get_type().name()?;
                return Err(PyTypeError::new_err(format!("add() takes ints and adds to ints, not to {name}")));
            }
        }
        let sum = old.add(amount)?;
        let expected = Encoded::of(&old)?;
        if with_incoming(&sum, |sum| replace(&expected.incoming(), sum))? {
            return Ok(sum);
        }
    }
}

/// A value as containers keep it, with its bytes.
#[derive(Debug)]
pub(super) enum Encoded {
    Word(Word),
    Blob(Kind, Vec<u8>),
}

impl Encoded {
    pub(super) fn of(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        with_incoming(value, |value| {
            Ok(match *value {
                Incoming::Word(word) => Self::Word(word),
                Incoming::Blob(kind, bytes) => Self::Blob(kind, bytes.to_vec()),
            })
        })
    }

    /// All elements of an iterable.
    pub(super) fn all(values: &Bound<'_, PyAny>) -> PyResult<Vec<Self>> {
        values.try_iter()?.map(|value| Self::of(&value?)).collect()
    }

    /// The same, with another error for what is no iterable.
    pub(super) fn all_of(values: &Bound<'_, PyAny>, refuse: impl FnOnce() -> PyErr) -> PyResult<Vec<Self>> {
        let iterator = match values.try_iter() {
            Ok(iterator) => iterator,
            Err(error) if error.is_instance_of::<PyTypeError>(values.py()) => return Err(refuse()),
            Err(error) => return Err(error),
        };
        iterator.map(|value| Self::of(&value?)).collect()
    }

    pub(super) fn incoming(&self) -> Incoming<'_> {
        match self {
            Self::Word(word) => Incoming::Word(*word),
            Self::Blob(kind, bytes) => Incoming::Blob(*kind, bytes),
        }
    }
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
        Some(Scalar::Float(value)) => match Word::of_float(value) {
            Some(word) => Incoming::Word(word),
            None => {
                bits = value.to_le_bytes();
                Incoming::Blob(Kind::Nan, &bits)
            }
        },
        Some(Scalar::Str(Text { kind, bytes })) => match kind {
            TextKind::Ascii => Incoming::of_latin1(bytes, true),
            TextKind::Latin1 => Incoming::of_latin1(bytes, false),
            TextKind::Ucs2 => Incoming::Blob(Kind::Ucs2, bytes),
            TextKind::Ucs4 => Incoming::Blob(Kind::Ucs4, bytes),
        },
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
    let dumps = import_once(py, &DUMPS, "onecopy._containers", "dumps")?;
    let pickled = dumps.call1((value,))?;
    let bytes = pickled
        .cast::<PyBytes>()
        .map_err(|_| PyTypeError::new_err("a pickle is bytes"))?;
    put(&Incoming::Blob(Kind::Pickle, bytes.as_bytes()))
}
