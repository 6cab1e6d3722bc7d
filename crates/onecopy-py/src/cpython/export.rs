//! How an exporter of the buffer protocol answers: with plain bytes at one place.
#![allow(unsafe_code, reason = "the buffer protocol hands out addresses")]

use std::ffi::c_int;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Fills `view` with `len` bytes at `address`, kept alive by `owner`.
///
/// # Safety
/// - `view` is the pointer that the interpreter handed to `__getbuffer__`: null, or valid for writes.
/// - `len` bytes at `address` stay readable, and writable if `writable`, as long as `owner` lives.
pub(crate) unsafe fn export(
    view: *mut ffi::Py_buffer,
    flags: c_int,
    owner: &Bound<'_, PyAny>,
    address: *mut u8,
    len: usize,
    writable: bool,
) -> PyResult<()> {
    if view.is_null() {
        return Err(PyBufferError::new_err("no Py_buffer to fill"));
    }
    if !writable && flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
        // SAFETY: `view` is not null, as was just found, so it is valid for writes, as this function asks. A failed
        // request leaves `obj` null (Python/C API, "Buffer Protocol").
        unsafe { (*view).obj = std::ptr::null_mut() };
        return Err(PyBufferError::new_err(
            "shared bytes never change: ask for a read-only buffer, or use onecopy.private(view)",
        ));
    }
    let len = ffi::Py_ssize_t::try_from(len)
        .map_err(|_| PyBufferError::new_err("longer than Py_ssize_t"))?;
    // SAFETY: `view` is not null, so it is valid for writes, as this function asks; `owner` is a live object, gets a
    // reference from the structure, and keeps `len` bytes at `address` readable, and writable if that is said, as this
    // function asks.
    let status = unsafe {
        ffi::PyBuffer_FillInfo(
            view,
            owner.as_ptr(),
            address.cast(),
            len,
            c_int::from(!writable),
            flags,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(owner.py()))
    }
}
