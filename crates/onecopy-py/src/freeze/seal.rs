//! Fills the holes between frozen objects, so that new objects of a child do not land there.
//!
//! pymalloc keeps blocks of one size class in pools of 16 KiB. A pool with frozen objects and free blocks serves new
//! objects, each of which makes the child copy a page. Here each class allocates until a block is the first of a fresh
//! pool; that one goes back, the others are never freed. They are memory that was resident already.
#![allow(unsafe_code, reason = "allocates blocks and keeps them")]

use pyo3::ffi;
use pyo3::prelude::*;

use crate::cpython::pymalloc::{self, BLOCK_STEP_BYTES, LARGEST_BLOCK_BYTES};

/// Fills the holes; returns the bytes that were taken for it. Stops at `limit`.
pub(super) fn seal(_attached: Python<'_>, limit: usize) -> usize {
    let mut taken = 0;
    if !pymalloc::is_in_use() {
        return taken;
    }
    for size in (BLOCK_STEP_BYTES..=LARGEST_BLOCK_BYTES).step_by(BLOCK_STEP_BYTES) {
        while taken < limit {
            // SAFETY: takes a plain number; the thread is attached, as the argument of type `Python` shows.
            let block = unsafe { ffi::PyObject_Malloc(size) };
            if block.is_null() {
                return taken;
            }
            // SAFETY: not null, so a block that `PyObject_Malloc` has just given, and nobody has freed; attached.
            if unsafe { pymalloc::opens_pool(block) } {
                // SAFETY: a block that `PyObject_Malloc` has just given and that is not used after this; nobody else
                // has its address.
                unsafe { ffi::PyObject_Free(block) };
                break;
            }
            taken += size;
        }
    }
    taken
}
