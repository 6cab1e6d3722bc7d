//! Where `CPython` keeps what its containers hold, apart from the object itself, and how large that is.
//!
//! | container | what it holds lies | bytes |
//! |---|---|---|
//! | list | where `ob_item` points ([`items`]) | 8 for each item |
//! | dict | where `ma_keys` points: a head of 32 bytes, the index, the entries | what `__sizeof__` says beyond the object |
//! | set, frozenset | where `table` points: into the object up to eight entries, elsewhere above | 16 for each of `mask + 1` entries |
//! | bytearray | where `PyByteArray_AsString` says | 1 for each item |
//!
//! A dict whose keys are those of its class (`ma_values` is not null) keeps its values apart from them; of such a dict only
//! the keys are found. The structures are those of `PyO3`, per version; the rest is from `Objects/dictobject.c`
//! (`GROWTH_RATE`, `USABLE_FRACTION`) and `Include/internal/pycore_dict.h` (`_dictkeysobject`) of 3.11 to 3.15,
//! `Include/cpython/setobject.h`.
//!
//! **Invariants.** `C1`: [`dict_keys`] is followed only if [`check_dict`] has found the keys of known dicts there.
//! `C2`: [`set_table`] is followed only if [`check_set`] has found the entries of known sets there.
#![allow(
    unsafe_code,
    reason = "reads the fields of dicts and sets, which the C API does not give"
)]

use std::hash::{DefaultHasher, Hasher as _};

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyDict, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple};

use super::import::made_once;
use super::items;
use super::layouts::{self, Part};
use super::unicode;

/// Bytes of the head of a dict's keys. Looking something up may write a number there.
const KEYS_HEAD_BYTES: usize = 32;
/// Bytes of one entry of a dict with str keys, or of a set.
const ENTRY_BYTES: usize = 16;

/// Memory from an address on, so many bytes.
pub(crate) type Stretch = (usize, usize);

/// Where a container has what it holds, or why that is not known here. `None` for what is no list, dict, set, frozenset
/// or bytearray.
pub(crate) fn held(object: &Bound<'_, PyAny>) -> PyResult<Result<Option<Stretch>, &'static str>> {
    let raw = object.as_ptr();
    let found = if object.is_instance_of::<PyList>() {
        // SAFETY: a live list, as was just found, and attached, as `object` shows.
        let (items, len) = unsafe { items::of_list(raw) };
        (items.addr(), len * size_of::<*mut PyObject>())
    } else if let Ok(dict) = object.cast::<PyDict>() {
        if let Err(why) = layouts::known(Part::Dict) {
            return Ok(Err(why));
        }
        (dict_keys(dict), dict_keys_bytes(dict)?)
    } else if object.is_instance_of::<PySet>() || object.is_instance_of::<PyFrozenSet>() {
        if let Err(why) = layouts::known(Part::Set) {
            return Ok(Err(why));
        }
        // SAFETY: a set or frozenset, as was just found.
        unsafe { set_table(object) }
    } else if object.is_instance_of::<PyByteArray>() {
        // SAFETY: a bytearray, as was just found, that `object` holds, and an attached thread, as it shows. The address
        // that it gives is not followed here.
        let start = unsafe { ffi::PyByteArray_AsString(raw) };
        // SAFETY: the same bytearray, which `object` holds, and an attached thread.
        let len = unsafe { ffi::PyByteArray_Size(raw) };
        (start.addr(), len.unsigned_abs())
    } else {
        return Ok(Ok(None));
    };
    Ok(Ok(Some(found)))
}

/// Bytes of an object that are there whatever it holds: as many as its class says, or fewer in a str.
fn fixed_part(object: &Bound<'_, PyAny>) -> usize {
    // SAFETY: `object` holds its class, which is ready, so nobody writes this field any more.
    let bytes = unsafe { (*object.get_type_ptr()).tp_basicsize }.unsigned_abs();
    if !object.is_exact_instance_of::<PyString>() {
        return bytes;
    }
    // SAFETY: a live and exact str, as was just found, and the thread is attached, as `object` shows.
    if !unsafe { unicode::is_ready(object.as_ptr()) } {
        // Its class's size is all that such a str has.
        return bytes;
    }
    // SAFETY: the same str, which is ready, as was just found.
    bytes.min(unsafe { unicode::bytes(object.as_ptr()) })
}

/// A hash over the references that an object holds: with the same ones it lies in the same memory.
pub(crate) fn digest(object: &Bound<'_, PyAny>) -> PyResult<Result<u64, &'static str>> {
    let (mut start, mut len) = if let Ok(tuple) = object.cast::<PyTuple>() {
        // SAFETY: a live tuple, as was just found, and attached, as `object` shows.
        let (items, len) = unsafe { items::of_tuple(tuple.as_ptr()) };
        (items.addr(), len * size_of::<*mut PyObject>())
    } else if object.is_instance_of::<PyList>() || object.is_instance_of::<PyDict>() {
        match held(object)? {
            Ok(found) => found.unwrap_or_default(),
            Err(why) => return Ok(Err(why)),
        }
    } else {
        (object.as_ptr().addr(), fixed_part(object))
    };
    // What is written by reading: a reference count, or the number in the head of a dict's keys.
    let skipped = match () {
        () if object.is_instance_of::<PyDict>() => KEYS_HEAD_BYTES.min(len),
        () if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() => 0,
        () => size_of::<PyObject>().min(len),
    };
    start += skipped;
    len -= skipped;
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(start);
    hasher.write_usize(len);
    if len > 0 {
        let bytes = std::ptr::with_exposed_provenance::<u8>(start);
        // SAFETY: `len` bytes lie there for as long as the object is not changed: items of a list or tuple (I1 of
        // `items`), keys of a dict (C1), or what of the object itself is there in any case (`fixed_part`).
        // Nobody changes it while this thread is attached and runs no Python code. The interpreter has written all of it:
        // it clears the free entries of a dict, and items beyond the length of a list are left out.
        hasher.write(unsafe { std::slice::from_raw_parts(bytes, len) });
    }
    Ok(Ok(hasher.finish()))
}

/// The address of a dict's keys.
fn dict_keys(dict: &Bound<'_, PyDict>) -> usize {
    // SAFETY: a live dict is a `PyDictObject`, at least as far as this field; the pointer is read and not followed.
    unsafe { (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_keys }.addr()
}

/// Bytes of a dict's keys, by the method of `dict` itself: subclasses may have any.
fn dict_keys_bytes(dict: &Bound<'_, PyDict>) -> PyResult<usize> {
    static SIZEOF: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = dict.py();
    let sizeof = made_once(py, &SIZEOF, || {
        let method = py.get_type::<PyDict>().getattr("__sizeof__")?;
        Ok(method.unbind())
    })?;
    let bytes: usize = sizeof.bind(py).call1((dict,))?.extract()?;
    Ok(bytes.saturating_sub(size_of::<ffi::PyDictObject>()))
}

/// Where the entries of a set lie, and their bytes.
///
/// # Safety
/// - `set` is a set or frozenset, or an instance of a class derived from one.
unsafe fn set_table(set: &Bound<'_, PyAny>) -> Stretch {
    let raw = set.as_ptr().cast::<ffi::PySetObject>();
    // SAFETY: `set` holds it, and it is a set or frozenset, as this function asks, so it begins with a `PySetObject`; the
    // pointer is read and not followed.
    let start = unsafe { (*raw).table }.addr();
    // SAFETY: the same `PySetObject`.
    let mask = unsafe { (*raw).mask }.unsigned_abs();
    (start, (mask + 1) * ENTRY_BYTES)
}

/// Bytes of a set's entries that do not lie in the set itself.
///
/// # Safety
/// - `set` is a live set or frozenset, and the thread is attached to the interpreter.
pub(crate) unsafe fn set_table_bytes(set: *mut PyObject) -> usize {
    // SAFETY: a live set or frozenset, as this function asks, is a `PySetObject`.
    let mask = unsafe { (*set.cast::<ffi::PySetObject>()).mask }.unsigned_abs();
    // Up to eight entries lie in the set.
    if mask < 8 {
        0
    } else {
        (mask + 1) * ENTRY_BYTES
    }
}

/// Bytes of the items that a list has room for.
///
/// # Safety
/// - `list` is a live list, and the thread is attached to the interpreter.
pub(crate) unsafe fn list_bytes(list: *mut PyObject) -> usize {
    // SAFETY: a live list, as this function asks, is a `PyListObject`.
    let room = unsafe { (*list.cast::<ffi::PyListObject>()).allocated };
    room.unsigned_abs() * size_of::<*mut PyObject>()
}

/// Bytes of the keys, values and index of a dict that has grown to this length, with str keys: two thirds full.
pub(crate) fn grown_dict_bytes(len: usize) -> usize {
    if len == 0 {
        return 0;
    }
    let slots = (len * 3 / 2 + 1).next_power_of_two().max(8);
    let index = match slots {
        0..=0x80 => 1,
        0x81..=0x8000 => 2,
        _ => 4,
    };
    KEYS_HEAD_BYTES + slots * index + slots * 2 / 3 * ENTRY_BYTES
}

/// Whether all of these references lie in a container's memory.
///
/// # Safety
/// - at `place` lies what a live container holds, aligned to words, and nobody changes it meanwhile.
unsafe fn holds(place: Stretch, references: &[*mut PyObject]) -> bool {
    let words = std::ptr::with_exposed_provenance::<usize>(place.0);
    // SAFETY: as many bytes lie there, aligned, and stay as they are, as this function asks.
    let words = unsafe { std::slice::from_raw_parts(words, place.1 / size_of::<usize>()) };
    references.iter().all(|held| words.contains(&held.addr()))
}

/// Whether dicts look as is written here. Empty dicts have the same keys, others have keys of their own; that is compared
/// before the pointer is followed.
pub(super) fn check_dict(py: Python<'_>) -> PyResult<bool> {
    let (empty, other, dict) = (PyDict::new(py), PyDict::new(py), PyDict::new(py));
    let basic = py.get_type::<PyDict>().getattr("__basicsize__")?;
    let nothing = dict_keys(&empty);
    if basic.extract::<usize>()? != size_of::<ffi::PyDictObject>()
        || nothing == 0
        || dict_keys(&other) != nothing
    {
        return Ok(false);
    }
    let keys: Vec<_> = (0..100)
        .map(|number| PyString::new(py, &format!("key {number}")))
        .collect();
    for (number, key) in keys.iter().enumerate() {
        dict.set_item(key, py.None())?;
        // As few as have no table of their own are counted elsewhere.
        if dict_keys_bytes(&dict)? != grown_dict_bytes(number + 1) {
            return Ok(false);
        }
    }
    other.set_item("key", py.None())?;
    let place = (dict_keys(&dict), dict_keys_bytes(&dict)?);
    if place.0 == nothing
        || place.0 == dict_keys(&other)
        || !place.0.is_multiple_of(align_of::<usize>())
    {
        return Ok(false);
    }
    let keys: Vec<_> = keys.iter().map(Bound::as_ptr).collect();
    // SAFETY: a pointer that empty dicts have in common and others have not, with as many bytes as `dict` says of itself:
    // its keys, which live with it. It is used by this function alone.
    Ok(unsafe { holds(place, &keys) })
}

/// Whether sets look as is written here: a small one has its entries inside, and a large one as many bytes elsewhere as
/// it says. Only then is the pointer followed.
pub(super) fn check_set(py: Python<'_>) -> PyResult<bool> {
    let numbers: Vec<Bound<'_, PyInt>> = (1_000_000..1_001_000_i64)
        .map(|number| number.into_pyobject(py))
        .collect::<Result<_, _>>()?;
    let small = PySet::new(py, &numbers[..3])?.into_any();
    let large = PySet::new(py, &numbers)?.into_any();
    let bytes =
        |set: &Bound<'_, PyAny>| -> PyResult<usize> { set.call_method0("__sizeof__")?.extract() };
    let basic = size_of::<ffi::PySetObject>();
    // SAFETY: a set, made above.
    let inside = unsafe { set_table(&small) };
    // SAFETY: a set, made above.
    let outside = unsafe { set_table(&large) };
    // SAFETY: a set, made above, that `large` holds, and attached, as `py` shows.
    let beyond = unsafe { set_table_bytes(large.as_ptr()) };
    let object = small.as_ptr().addr();
    if bytes(&small)? != basic
        || inside.0 < object
        || inside.0 + inside.1 > object + basic
        || bytes(&large)? != basic + outside.1
        || beyond != outside.1
        || !outside.0.is_multiple_of(align_of::<usize>())
    {
        return Ok(false);
    }
    let held: Vec<_> = numbers.iter().map(Bound::as_ptr).collect();
    // SAFETY: inside of `small`, a live object of this function alone.
    let is_inside = unsafe { holds(inside, &held[..3]) };
    // SAFETY: the field that for `small` leads to the entries in it, with as many bytes as `large` says of itself: its
    // entries, which live with it. It is used by this function alone.
    Ok(is_inside && unsafe { holds(outside, &held) })
}
