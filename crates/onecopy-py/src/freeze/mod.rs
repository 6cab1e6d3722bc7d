//! `freeze()`: real objects, made immortal before the fork, so that workers read them without copying their pages.
//!
//! Reading an object writes its reference count, and a collection writes the collector's header before it: in a forked
//! child each such write copies a page. An immortal object (PEP 683) is not counted, and an object that the collector
//! does not track has no header to write. What else readers write, hashes above all, is computed beforehand.
//!
//! | file | question it answers |
//! |---|---|
//! | `classes` | which classes are frozen, and how? |
//! | `walk` | how is everything found, at any depth? |
//! | `descend` | what does an object hold? |
//! | `prepare` | what is computed beforehand, and what do objects hold in secret? |
//! | `size` | how many bytes are that? |
//! | `seal` | how are new objects kept out of frozen pages? |
//! | `check` | does a child read frozen objects without writing to them? |
//!
//! What an immortal object is in which version of `CPython`, and how the mark is read and written, is in `cpython/`.
//!
//! The doors (`onecopy.freeze` and its sisters) and their warnings are in `python/onecopy/_freeze.py`, what an interpreter
//! is refused for in `_freeze_support.py`.
#![allow(unsafe_code)] // Starts walks over raw objects.

mod check;
mod classes;
mod descend;
mod prepare;
mod seal;
mod size;
mod walk;

use std::collections::HashSet;

use pyo3::exceptions::{PyMemoryError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::cpython::{calibrate, header, immortal};
use classes::Types;
use prepare::Prepare;
use walk::{Marks, NoMemory, Walk};

/// Adds the functions to the extension module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_freeze_walk, module)?)?;
    module.add_function(wrap_pyfunction!(_freeze_look, module)?)?;
    module.add_function(wrap_pyfunction!(_freeze_seal, module)?)?;
    module.add_function(wrap_pyfunction!(_freeze_trouble, module)?)?;
    module.add_function(wrap_pyfunction!(_freeze_rows, module)?)?;
    module.add_function(wrap_pyfunction!(_freeze_header, module)?)?;
    module.add_function(wrap_pyfunction!(is_frozen, module)?)
}

/// Freezes everything that is reachable: objects, bytes, objects by class, and the skipped ones with the way to the
/// first of each class.
#[pyfunction]
fn _freeze_walk<'py>(
    root: &Bound<'py, PyAny>,
    hash: bool,
    dicts: bool,
    utf8: bool,
) -> PyResult<Bound<'py, PyTuple>> {
    run(root, Marks::Freeze(Prepare { hash, dicts, utf8 }))
}

/// Counts what `_freeze_walk` would freeze, and changes nothing.
#[pyfunction]
fn _freeze_look<'py>(root: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    run(root, Marks::Look(HashSet::new()))
}

fn run<'py>(root: &Bound<'py, PyAny>, marks: Marks) -> PyResult<Bound<'py, PyTuple>> {
    let py = root.py();
    let version = calibrate::calibrated().map_err(PyRuntimeError::new_err)?;
    let types = Types::find(py)?;
    let mut walk = Walk::new(version, &types, marks);
    // SAFETY: `root` holds the object to the end of this function and shows that the thread is attached; `calibrated()`
    // gave `version`, so the interpreter was calibrated.
    let done = unsafe { walk.run(root.as_ptr()) };
    seal::owe(&walk.frozen);
    done.map_err(|NoMemory| {
        PyMemoryError::new_err("no memory to remember where freeze() has been")
    })?;
    report(py, &walk)
}

fn report<'py>(py: Python<'py>, walk: &Walk<'_>) -> PyResult<Bound<'py, PyTuple>> {
    // All that the walk has noted is owned before anything else is done: making Python objects may collect garbage, and
    // with it run code that lets go of what was met.
    let own = |object: *mut ffi::PyObject| {
        // SAFETY: an object that the walk has met, and so one that can be reached from the root or a class of one. The
        // caller holds the root, and nothing has run since that could have changed what it leads to.
        unsafe { Bound::from_borrowed_ptr(py, object) }
    };
    let classes: Vec<Bound<'py, PyAny>> = walk
        .classes
        .iter()
        .map(|class| own(class.raw.cast()))
        .collect();
    let ways: Vec<(usize, u64, Vec<Bound<'py, PyAny>>)> = walk
        .skipped
        .iter()
        .map(|(&index, skipped)| {
            let way = walk.way(skipped).into_iter().map(own).collect();
            (index, skipped.objects, way)
        })
        .collect();
    // Pairs, not a dict: a metaclass may have a hash of its own, which is Python code.
    let frozen = PyList::empty(py);
    for (class, known) in classes.iter().zip(&walk.classes) {
        if known.objects > 0 {
            frozen.append((class, known.objects))?;
        }
    }
    let left = PyList::empty(py);
    for (index, objects, way) in ways {
        let Some(class) = classes.get(index) else {
            continue;
        };
        left.append((class, objects, PyList::new(py, way)?))?;
    }
    (walk.objects, walk.bytes, frozen, left).into_pyobject(py)
}

/// Keeps new objects out of the pools with many frozen ones; returns the bytes that it took.
#[pyfunction]
fn _freeze_seal(py: Python<'_>, limit: usize) -> usize {
    seal::seal(py, limit)
}

/// Why freezing does not work here, as far as the interpreter's memory tells; None if it does. Forks once.
#[pyfunction]
fn _freeze_trouble(py: Python<'_>) -> Option<String> {
    check::self_test(py).err()
}

/// The audited versions: pairs of the minor version and the first patch level.
#[pyfunction]
fn _freeze_rows() -> Vec<(u32, u32)> {
    immortal::VERSIONS
        .iter()
        .map(|version| (version.minor, version.first_patch))
        .collect()
}

/// The header of an object, for tests.
#[pyfunction]
fn _freeze_header(object: &Bound<'_, PyAny>) -> u64 {
    // SAFETY: the `Bound` holds the object, and exists only attached.
    unsafe { header::word(object.as_ptr()) }
}

/// Whether an object is immortal: neither counted nor freed, and shared with forked children while they read it.
///
/// >>> import onecopy
/// >>> onecopy.is_frozen([1, 2, 3])
/// False
#[pyfunction]
fn is_frozen(object: &Bound<'_, PyAny>) -> bool {
    immortal::version().is_some() && prepare::is_frozen(object)
}
