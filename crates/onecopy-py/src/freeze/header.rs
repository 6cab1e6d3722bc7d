//! The first word of an object: read, and written by the rules of [`super::table`].
//!
//! **Invariants.** `H1`: the thread is attached to the interpreter while it is here, and nothing here runs Python code
//! or lets go of the GIL; so nobody else reads or writes a header meanwhile. `H2`: [`super::calibrate`] has found that
//! this interpreter's own immortal objects look as the table says, otherwise nothing here is called.
#![allow(unsafe_code)] // Reads and writes the headers of objects.

use pyo3::ffi::PyObject;

use super::table::Row;

/// The header of an object.
///
/// # Safety
/// - `object` is a live object, and the thread is attached.
#[inline]
pub(super) unsafe fn word(object: *mut PyObject) -> u64 {
    // SAFETY: every object begins with this word, aligned to 8 bytes; nobody writes to it now (H1).
    unsafe { object.cast::<u64>().read() }
}

/// Whether the interpreter neither counts references to it nor frees it.
#[inline]
pub(super) const fn is_immortal(word: u64) -> bool {
    (word as u32).cast_signed() < 0
}

/// Makes an object immortal.
///
/// # Safety
/// - `object` is a live object, and the thread is attached;
/// - `row` is that of the running interpreter, and was calibrated (H2).
#[inline]
pub(super) unsafe fn immortalise(object: *mut PyObject, row: &Row) {
    // SAFETY: the caller's word.
    let old = unsafe { word(object) };
    // SAFETY: every object begins with this word, aligned to 8 bytes; nobody reads or writes it now (H1). What is
    // written is what the interpreter itself takes for immortal (H2).
    unsafe {
        object.cast::<u64>().write((old & row.kept) | row.written);
    }
}
