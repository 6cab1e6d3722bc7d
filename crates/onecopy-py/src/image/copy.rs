//! Copies large memory: without the interpreter's lock, and by two threads if that pays.
#![allow(
    unsafe_code,
    reason = "copies between addresses that other objects own"
)]

use std::thread;

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;

/// Copies of at least this size are made by two threads.
const PARALLEL_BYTES: usize = 32 << 20;
/// Shorter copies are over before the interpreter's lock could be taken again.
const DETACHED_BYTES: usize = 1 << 16;

/// An address that goes to another thread.
#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) *mut u8);

// SAFETY: an address by itself gives no access; those who use it answer for it.
unsafe impl Send for Address {}
// SAFETY: an address by itself gives no access; those who use it answer for it.
unsafe impl Sync for Address {}

/// Copies a buffer of as many bytes to `target`.
pub(crate) fn from_buffer(
    py: Python<'_>,
    source: &PyBuffer<u8>,
    target: &mut [u8],
) -> PyResult<()> {
    let len = target.len();
    if len < DETACHED_BYTES || !source.is_c_contiguous() || source.len_bytes() != len {
        return source.copy_to_slice(py, target);
    }
    let from = Address(source.buf_ptr().cast());
    let to = Address(target.as_mut_ptr());
    py.detach(move || {
        // SAFETY: `len` bytes are readable at `from` while the buffer is exported, and `target` is borrowed for as long;
        // memory that an image is written to has been handed out as a buffer to nobody, so they do not overlap.
        unsafe { bytes(from, to, len) };
    });
    Ok(())
}

/// Copies `len` bytes, by two threads if that pays.
///
/// # Safety
/// - `len` bytes at `from` are readable and at `target` writable, and the two do not overlap.
pub(crate) unsafe fn bytes(from: Address, target: Address, len: usize) {
    let first = if len < PARALLEL_BYTES {
        len
    } else {
        (len / 2).next_multiple_of(4096)
    };
    thread::scope(|scope| {
        let rest = move || {
            let (from, target) = (from, target);
            // SAFETY: `first <= len`, so the address stays inside the caller's range or at its end.
            let from = unsafe { from.0.add(first) };
            // SAFETY: `first <= len`, so this address stays inside the caller's other range or at its end.
            let target = unsafe { target.0.add(first) };
            // SAFETY: the second part of the caller's ranges.
            unsafe { std::ptr::copy_nonoverlapping(from, target, len - first) };
        };
        let helper = (first < len).then(|| thread::Builder::new().spawn_scoped(scope, rest));
        // SAFETY: the first part of the caller's ranges.
        unsafe { std::ptr::copy_nonoverlapping(from.0, target.0, first) };
        if let Some(Err(_)) = helper {
            // No thread to be had (RLIMIT_NPROC): this one does it all.
            rest();
        }
    });
}
