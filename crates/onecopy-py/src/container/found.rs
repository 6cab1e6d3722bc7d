//! What is read from a container, as Python objects.
//!
//! A str or bytes object is filled by hand while the container may be changing, and looked at before anybody sees it; a
//! pickle or an encoded key is only copied, and decoded when the container is no longer looked at.
//!
//! **Invariant.** `V1`: the functions are called by threads that are attached to the interpreter.
#![allow(unsafe_code, reason = "makes strs and bytes by hand")]

use std::ptr;

use onecopy::image::{Scalar, Text, TextKind};
use onecopy::shared::{Immediate, Incoming, Kind, Large, Reference, Sink, Snapshot, Word};
use onecopy::{AccessError, ContainerError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFrozenSet, PyList, PyTuple};

use super::reference;
use crate::column::spare::Spare;
use crate::cpython::{import_once, slot};
use crate::error::{Error, corrupt};
use crate::value::{scalar, text};

pub(super) const TUPLE: u8 = b't';
pub(super) const FROZENSET: u8 = b'z';
/// In the place of a blob's kind: a word follows.
pub(super) const WORD: u8 = 0;
/// Tuples in tuples, at most.
pub(super) const DEPTH: usize = 64;

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
        // SAFETY: null, or this value's own reference to an int, float, str or bytes, in an attached thread (V1); releasing
        // one runs no Python code.
        unsafe { ffi::Py_XDECREF(self.0) };
    }
}

/// What was read: an object, null if it could not be made and an exception says why; or what has to be decoded. Dropping
/// it releases the object: what was read before a step that fails.
#[derive(Debug)]
pub(super) enum Found {
    Object(Owned),
    Pickle(Vec<u8>),
    /// A key that is no plain value, as `key` wrote it.
    Key(Vec<u8>),
    /// Another object of the store, which is held.
    Reference(Reference),
    /// A value that is an object of the store, which is held.
    Large(Large),
    /// A blob that is not what it is marked as.
    Damaged(&'static str),
}

impl Found {
    /// An object as a new reference, or null with an exception set.
    #[inline(always)]
    fn new(object: *mut PyObject) -> Self {
        Self::Object(Owned(object))
    }

    /// The object, as a new reference; null with an exception set. Reads pickles, so nothing may be locked.
    #[inline(always)]
    pub(super) fn finish(self) -> *mut PyObject {
        match self {
            Self::Object(object) => object.into_raw(),
            rest => rest.finish_slowly(),
        }
    }

    #[cold]
    #[inline(never)]
    fn finish_slowly(self) -> *mut PyObject {
        // SAFETY: attached (V1); the work gives a new reference, or an error to be raised.
        unsafe {
            slot::enter(|py| match self {
                Self::Object(object) => Ok(object.into_raw()),
                Self::Pickle(bytes) => unpickled(py, &bytes).map(Bound::into_ptr),
                Self::Key(bytes) => decoded(py, &bytes).map(Bound::into_ptr),
                Self::Large(large) => finished_large(py, &large),
                Self::Reference(found) => reference::object(py, &found).map(Bound::into_ptr),
                Self::Damaged(what) => Err(corrupt(0, what)),
            })
        }
    }
}

static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn unpickled<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    import_once(py, &LOADS, "pickle", "loads")?.call1((bytes,))
}

/// A pickle is copied once, and not twice.
fn finished_large(py: Python<'_>, large: &Large) -> PyResult<*mut PyObject> {
    if large.kind() == Kind::Pickle {
        return unpickled(py, large.bytes()).map(Bound::into_ptr);
    }
    let made = Incoming::Blob(large.kind(), large.bytes()).make(&Objects);
    object(py, made).map(Bound::into_ptr)
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
            return Ok(Found::new(scalar::int(value)));
        }
        if let Some(value) = word.as_float() {
            // SAFETY: takes a plain number; attached (V1).
            return Ok(Found::new(unsafe { ffi::PyFloat_FromDouble(value) }));
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

    #[cold]
    fn reference(&self, reference: Result<Reference, AccessError>) -> Result<Found, Raised> {
        held(reference).map(Found::Reference)
    }

    #[cold]
    fn large(&self, large: Result<Large, AccessError>) -> Result<Found, Raised> {
        held(large).map(Found::Large)
    }
}

/// Makes Python objects; a number or str that was handed out and that nobody has kept is written anew.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a Spare);

impl Sink for Reader<'_> {
    type Made = Found;
    type Room = Room;
    type Error = Raised;

    #[inline(always)]
    fn word(&self, word: Word) -> Result<Found, Raised> {
        if let Some(value) = word.as_int() {
            return Ok(Found::new(self.0.int(value)));
        }
        if let Some(value) = word.as_float() {
            return Ok(Found::new(self.0.float(value)));
        }
        Ok(other_word(word))
    }

    #[inline(always)]
    fn room(&self, kind: Kind, len: usize) -> Result<(Room, *mut u8), Raised> {
        if kind == Kind::Ascii
            && let Some((object, to)) = self.0.take_ascii(len)
        {
            return Ok((Room::Object(Owned(object)), to));
        }
        make_room(kind, len)
    }

    #[inline(always)]
    fn filled(&self, room: Room, kind: Kind, len: usize) -> Result<Found, Raised> {
        let found = make_filled(room, kind, len);
        Ok(match found {
            Found::Object(object) if kind == Kind::Ascii => {
                // SAFETY: a str that `PyUnicode_New` made for ASCII, as `text::ascii` has it do, and that `make_filled`
                // found to be ASCII.
                Found::new(unsafe { self.0.keep_ascii(object.into_raw(), len) })
            }
            found => found,
        })
    }

    #[cold]
    fn reference(&self, reference: Result<Reference, AccessError>) -> Result<Found, Raised> {
        held(reference).map(Found::Reference)
    }

    #[cold]
    fn large(&self, large: Result<Large, AccessError>) -> Result<Found, Raised> {
        held(large).map(Found::Large)
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
    Found::new(match word.immediate() {
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
        let object = unsafe { ffi::PyBytes_FromStringAndSize(ptr::null(), len.cast_signed()) };
        if object.is_null() {
            return Err(Raised);
        }
        // SAFETY: exact bytes that were made above.
        let to = unsafe { ffi::PyBytes_AsString(object) }.cast::<u8>();
        return Ok((Room::Object(Owned(object)), to));
    }
    let mut bytes = room_for(len)?;
    let to = bytes.as_mut_ptr();
    Ok((Room::Bytes(bytes), to))
}

pub(super) fn room_for(len: usize) -> Result<Vec<u8>, Raised> {
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(len).is_err() {
        // SAFETY: attached (V1); sets the exception and gives null.
        unsafe { ffi::PyErr_NoMemory() };
        return Err(Raised);
    }
    bytes.resize(len, 0);
    Ok(bytes)
}

/// A str is shown only if its content is as narrow as it was marked: another would not equal the same text.
#[inline(always)]
fn filled_object(object: Owned, kind: Kind, len: usize) -> Found {
    let kind = match kind {
        Kind::Ascii => TextKind::Ascii,
        Kind::Latin1 => TextKind::Latin1,
        Kind::Ucs2 => TextKind::Ucs2,
        Kind::Ucs4 => TextKind::Ucs4,
        _ => return Found::Object(object),
    };
    // SAFETY: a str that `room` made, exact and ready, which nobody else has seen.
    let start = unsafe { ffi::PyUnicode_DATA(object.0) }.cast::<u8>();
    // SAFETY: it was made for `len` bytes of characters, all of which have been filled, and lives as long as `object`.
    let bytes = unsafe { std::slice::from_raw_parts(start, len) };
    if (Text { kind, bytes }).is_canonical() {
        return Found::Object(object);
    }
    Found::Damaged("text is not in its narrowest form")
}

#[inline(never)]
fn other_filled(bytes: Vec<u8>, kind: Kind) -> Found {
    match kind {
        Kind::Int => Found::new(scalar::raw(&Scalar::Big(&bytes))),
        Kind::Nan => match bytes.try_into() {
            // SAFETY: takes a plain number; attached (V1).
            Ok(bits) => Found::new(unsafe { ffi::PyFloat_FromDouble(f64::from_le_bytes(bits)) }),
            Err(_) => Found::Damaged("a float of another length"),
        },
        Kind::Pickle => Found::Pickle(bytes),
        Kind::Encoded => Found::Key(bytes),
        _ => Found::Damaged("a blob of an unknown kind"),
    }
}

/// What could be held; an exception says why it could not.
#[cold]
pub(super) fn held<T>(found: Result<T, AccessError>) -> Result<T, Raised> {
    found.map_err(|error| {
        raise_failure(error.into());
        Raised
    })
}

/// Raises for an operation that failed; gives null.
#[cold]
pub(super) fn raise_failure(failure: ContainerError) -> *mut PyObject {
    // SAFETY: attached (V1); the work gives an error.
    unsafe { slot::enter(|_| Err(Error::from(failure).into())) }
}

/// The object that was found, once the container is no longer looked at.
pub(super) fn object(py: Python<'_>, found: Result<Found, Raised>) -> PyResult<Bound<'_, PyAny>> {
    let object = match found {
        Ok(found) => found.finish(),
        Err(Raised) => ptr::null_mut(),
    };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// The same of a key and its value.
pub(super) fn pair(
    py: Python<'_>,
    found: Result<(Found, Found), Raised>,
) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    match found {
        Ok((key, value)) => {
            let (key, value) = (object(py, Ok(key)), object(py, Ok(value)));
            Ok((key?, value?))
        }
        Err(Raised) => Err(PyErr::fetch(py)),
    }
}

/// A list of copied elements.
pub(super) fn list_of<'py>(py: Python<'py>, chunk: &Snapshot) -> PyResult<Bound<'py, PyList>> {
    // SAFETY: takes a length, which is not negative; `py` shows that the thread is attached.
    let list = unsafe { ffi::PyList_New(chunk.len().cast_signed()) };
    // SAFETY: a new reference, or null with an exception set.
    let list = unsafe { Bound::from_owned_ptr_or_err(py, list) }?;
    for (at, value) in (0..).zip(chunk.iter()) {
        let object = match value.make(&Objects) {
            Ok(Found::Object(object)) => object.into_raw(),
            Ok(_) => {
                // Reading a pickle runs code of others, which must not find a list with gaps.
                drop(list);
                return list_of_any(py, chunk);
            }
            Err(Raised) => ptr::null_mut(),
        };
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: `PyList_New` gave an exact list of this length, in which this place was null until now. No code of others
        // has run since, which could have found the list: making ints, floats, strs and bytes runs none. The list takes
        // the reference. What stays null if this ends early, its deallocation allows.
        unsafe { ffi::PyList_SET_ITEM(list.as_ptr(), at, object) };
    }
    // SAFETY: `PyList_New` makes lists.
    Ok(unsafe { list.cast_into_unchecked() })
}

/// The same of elements some of which are pickles: the list is made when all of them are read.
#[cold]
fn list_of_any<'py>(py: Python<'py>, chunk: &Snapshot) -> PyResult<Bound<'py, PyList>> {
    let objects: PyResult<Vec<_>> = chunk
        .iter()
        .map(|value| object(py, value.make(&Objects)))
        .collect();
    PyList::new(py, objects?)
}

static OBJECT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn no_parts() -> PyErr {
    corrupt(0, "a key that nobody can have written")
}

/// The key that was written so.
fn decoded<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
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
