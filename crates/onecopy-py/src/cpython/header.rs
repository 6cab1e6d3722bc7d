//! The first word of an object: read, and written by the rules of [`super::immortal`].
//!
//! **Invariants.** `H1`: the thread is attached to the interpreter while it is here, and nothing here runs Python code
//! or lets go of the GIL; so nobody else reads or writes a header meanwhile. `H2`: [`super::calibrate`] has found that
//! this interpreter's own immortal objects look as the table says, otherwise nothing here is called.
#![allow(unsafe_code, reason = "reads and writes the headers of objects")]

use pyo3::ffi::PyObject;

use super::immortal::{MANAGED_DICT_OFFSET, Version};

/// The header of an object.
///
/// # Safety
/// - `object` is a live object, and the thread is attached.
#[inline]
pub(crate) unsafe fn word(object: *mut PyObject) -> u64 {
    // SAFETY: `object` is live, as this function asks, and every object begins with this word, aligned to 8 bytes; nobody
    // writes to it now (H1).
    unsafe { object.cast::<u64>().read() }
}

/// Whether the interpreter neither counts references to it nor frees it.
#[inline]
pub(crate) const fn is_immortal(word: u64) -> bool {
    (word as u32).cast_signed() < 0
}

/// Makes an object immortal.
///
/// # Safety
/// - `object` is a live object, and the thread is attached;
/// - `version` is that of the running interpreter, and was calibrated (H2).
#[inline]
pub(crate) unsafe fn immortalise(object: *mut PyObject, version: &Version) {
    // SAFETY: `object` is live and the thread attached, as this function asks too.
    let old = unsafe { word(object) };
    // SAFETY: `object` is live, as this function asks, and every object begins with this word, aligned to 8 bytes; nobody
    // reads or writes it now (H1). What is written is what the interpreter itself takes for immortal (H2).
    unsafe {
        object
            .cast::<u64>()
            .write((old & version.kept) | version.written);
    }
}

/// The `__dict__` that an object has before its start, borrowed from it; null if there is none.
///
/// # Safety
/// - `object` is a live instance of a class with a managed dict, the thread is attached, and the running interpreter is a
///   version whose [`Version::dict_beside_values`] says that the word is there (H2).
pub(crate) unsafe fn managed_dict(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: an instance of such a class has this word before its start, in the same allocation (H2).
    let place = unsafe { object.byte_offset(MANAGED_DICT_OFFSET) }.cast::<*mut PyObject>();
    // SAFETY: the word is there (H2), aligned like the object, and nobody writes it now (H1).
    unsafe { place.read() }
}
