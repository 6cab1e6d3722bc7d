//! Keys: how they are compared and hashed, and which plain value one stands for.
#![allow(
    unsafe_code,
    reason = "compares as lists do, and looks which slots a class has inherited"
)]

use onecopy::image::{KEY_DEPTH, hash};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFrozenSet, PyInt, PyString, PyTuple, PyType};

use super::item::Item;
use crate::cpython::import_once;

/// Whether two objects are the same or equal, as the elements of lists are compared.
pub(crate) fn equal(left: &Bound<'_, PyAny>, right: &Bound<'_, PyAny>) -> PyResult<bool> {
    // SAFETY: two live objects, held by their `Bound`s, which also say that the thread is attached.
    match unsafe { ffi::PyObject_RichCompareBool(left.as_ptr(), right.as_ptr(), ffi::Py_EQ) } {
        -1 => Err(PyErr::fetch(left.py())),
        outcome => Ok(outcome == 1),
    }
}

/// The plain key that hashes and compares as this one does, if it is of a class derived from str or int or a number of
/// NumPy's.
pub(crate) fn plain<'py>(key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    match builtin(key)? {
        Some(plain) => Ok(Some(plain)),
        None => of_numpy(key),
    }
}

/// The hash of a key; `None` if it is opaque.
pub(crate) fn key_hash(key: &Bound<'_, PyAny>, seed: u64, depth: usize) -> Option<u64> {
    let mut scratch = Vec::new();
    if let Some(scalar) = Item::of(key).scalar(&mut scratch) {
        return hash::scalar(&scalar, seed);
    }
    if depth > KEY_DEPTH {
        return None;
    }
    if let Ok(tuple) = key.cast_exact::<PyTuple>() {
        let hashes: Option<Vec<u64>> = tuple
            .iter()
            .map(|element| key_hash(&element, seed, depth + 1))
            .collect();
        return Some(hash::tuple(&hashes?, seed));
    }
    let set = key.cast_exact::<PyFrozenSet>().ok()?;
    let hashes: Option<Vec<u64>> = set
        .iter()
        .map(|element| key_hash(&element, seed, depth + 1))
        .collect();
    Some(hash::frozenset(hashes?.into_iter(), seed))
}

/// Where the functions are that hash and compare instances of a class.
///
/// # Safety
/// - `class` is a live class.
unsafe fn key_slots(class: *const ffi::PyTypeObject) -> (usize, usize) {
    // SAFETY: `class` is a live class, as this function asks; its slots are fixed once it is ready.
    let hash = unsafe { (*class).tp_hash };
    // SAFETY: `class` is a live class, as this function asks; its slots are fixed once it is ready.
    let compare = unsafe { (*class).tp_richcompare };
    let address = hash.map_or(0, |slot| slot as usize);
    (address, compare.map_or(0, |slot| slot as usize))
}

/// The exact str or int that a key of a class derived from it is, if it hashes and compares as that does.
fn builtin<'py>(key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = key.py();
    // SAFETY: reads the class in the head of an object that `key` holds; attached, as it shows.
    let class = unsafe { ffi::Py_TYPE(key.as_ptr()) };
    // SAFETY: a live class: `key` holds its object, and that holds its class.
    let ours = unsafe { key_slots(class) };
    // SAFETY: a class of the interpreter's own, which lives as long as it.
    let of_str = unsafe { key_slots(py.get_type::<PyString>().as_type_ptr()) };
    // SAFETY: a class of the interpreter's own, which lives as long as it.
    let of_int = unsafe { key_slots(py.get_type::<PyInt>().as_type_ptr()) };
    if key.is_instance_of::<PyString>() && ours == of_str {
        // SAFETY: a live str, or an instance of a class of strs, as was checked above; `key` says that the thread is
        // attached.
        let text = unsafe { ffi::PyUnicode_FromObject(key.as_ptr()) };
        // SAFETY: `PyUnicode_FromObject` gives a new reference, or null with an exception set.
        return unsafe { Bound::from_owned_ptr_or_err(py, text) }.map(Some);
    }
    if key.is_instance_of::<PyInt>() && ours == of_int {
        let zero = PyInt::new(py, 0);
        // The builtin's method, as a class may have another.
        let sum = py
            .get_type::<PyInt>()
            .call_method1("__add__", (key, zero))?;
        return Ok(sum.is_exact_instance_of::<PyInt>().then_some(sum));
    }
    Ok(None)
}

/// Whether an object is of a class, or of one derived from it that hashes and compares as that does.
pub(crate) fn is_one(key: &Bound<'_, PyAny>, class: &Bound<'_, PyType>) -> PyResult<bool> {
    if !key.is_instance(class)? {
        return Ok(false);
    }
    // SAFETY: a live object, held by its `Bound`.
    let own = unsafe { ffi::Py_TYPE(key.as_ptr()) };
    // SAFETY: a live object keeps its class, and `key` is held.
    let own = unsafe { key_slots(own) };
    // SAFETY: a live class, held by its `Bound`.
    Ok(own == unsafe { key_slots(class.as_type_ptr()) })
}

static GENERIC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// What a number of NumPy's is in Python, which has the same hash and equals the same keys.
fn of_numpy<'py>(key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if key.get_type().module()?.to_cow()? != "numpy" {
        return Ok(None);
    }
    let generic = import_once(key.py(), &GENERIC, "numpy", "generic")?;
    if !key.is_instance(&generic)? {
        return Ok(None);
    }
    let kind: char = key.getattr("dtype")?.getattr("kind")?.extract()?;
    if !matches!(kind, 'b' | 'i' | 'u' | 'f' | 'c') {
        return Ok(None);
    }
    let item = key.call_method0("item")?;
    // A long double stays one.
    let plain = !item.is_instance(&generic)?;
    Ok(plain.then_some(item))
}
