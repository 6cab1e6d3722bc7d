//! What the interpreter keeps before an object, in the same allocation: the collector's head, and the pointers of classes
//! whose `__dict__` or weak references it manages.
//!
//! | version | the collector's head, 16 bytes | two pointers, 16 bytes |
//! |---|---|---|
//! | 3.11 | `Py_TPFLAGS_HAVE_GC` | `Py_TPFLAGS_MANAGED_DICT` |
//! | 3.12 – 3.15 | the same | `Py_TPFLAGS_MANAGED_DICT` or `Py_TPFLAGS_MANAGED_WEAKREF` |
//!
//! Sources: `Include/internal/pycore_object.h` (`_PyType_PreHeaderSize`), `Include/internal/pycore_gc.h` (`PyGC_Head`).
#![allow(unsafe_code, reason = "reads the flags of classes")]

use std::ffi::c_ulong;

use pyo3::ffi::{self, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};

const HEAD_BYTES: usize = 16;
const POINTERS_BYTES: usize = 16;

#[cfg(Py_3_12)]
const HAS_POINTERS: c_ulong = ffi::Py_TPFLAGS_MANAGED_DICT | ffi::Py_TPFLAGS_MANAGED_WEAKREF;
#[cfg(not(Py_3_12))]
const HAS_POINTERS: c_ulong = ffi::Py_TPFLAGS_MANAGED_DICT;

/// Bytes before each object of a class.
///
/// # Safety
/// - `class` is a live class, and the thread is attached to the interpreter.
pub(crate) unsafe fn bytes(class: *mut PyTypeObject) -> usize {
    // SAFETY: reads a field of the class, which is live and whose thread is attached: this function's own duty.
    let flags = unsafe { ffi::PyType_GetFlags(class) };
    let has = |flag: c_ulong, bytes: usize| if flags & flag == 0 { 0 } else { bytes };
    has(ffi::Py_TPFLAGS_HAVE_GC, HEAD_BYTES) + has(HAS_POINTERS, POINTERS_BYTES)
}

/// The same of an object's class.
pub(crate) fn of(object: &Bound<'_, PyAny>) -> usize {
    // SAFETY: the `Bound` holds a reference to `object`, which holds one to its class, and it exists only attached.
    unsafe { bytes(object.get_type_ptr()) }
}

/// Whether `sys.getsizeof()`, which counts these bytes, agrees for samples of each kind.
pub(super) fn check(py: Python<'_>) -> PyResult<bool> {
    let getsizeof = py.import("sys")?.getattr("getsizeof")?;
    let class = |slots: Option<&str>| -> PyResult<Bound<'_, PyAny>> {
        let names = PyDict::new(py);
        if let Some(slots) = slots {
            names.set_item("__slots__", (slots,))?;
        }
        let arguments = ("Sample", PyTuple::empty(py), names);
        py.get_type::<PyType>().call1(arguments)?.call0()
    };
    let samples = [
        PyString::new(py, "sample").into_any(),
        PyList::empty(py).into_any(),
        PyDict::new(py).into_any(),
        class(None)?,
        class(Some("__weakref__"))?,
        class(Some("held"))?,
    ];
    for sample in samples {
        let whole: usize = getsizeof.call1((&sample,))?.extract()?;
        let own: usize = sample.call_method0("__sizeof__")?.extract()?;
        if whole != own + of(&sample) {
            return Ok(false);
        }
    }
    Ok(true)
}
