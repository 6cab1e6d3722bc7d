//! Fills the holes between frozen objects, so that new objects of a child do not land there.
//!
//! pymalloc keeps blocks of one size class in pools of 16 KiB. A pool with frozen objects and free blocks serves new
//! objects, each of which makes the child copy a page. Here each class allocates until a block is the first of a fresh
//! pool; that one goes back, the others are never freed. They are memory that was resident already.
//!
//! A block is the first of a fresh pool if it lies 48 bytes into it, behind the pool's header, and the pool counts one
//! block in use: the first 32 bits of that header (`Objects/obmalloc.c`, `struct pool_header`, 3.12 to 3.15).
#![allow(unsafe_code)] // Allocates blocks, and reads the header of their pool.

use std::ffi::{CStr, c_char};

use pyo3::ffi;
use pyo3::prelude::*;

use super::symbol;

const POOL_BYTES: usize = 16 << 10;
const POOL_HEADER_BYTES: usize = 48;
const LARGEST_BLOCK_BYTES: usize = 512;
const BLOCK_STEP_BYTES: usize = 16;

type AllocatorName = unsafe extern "C" fn() -> *const c_char;

/// Whether pymalloc, and nothing around it, serves objects.
fn is_pymalloc() -> bool {
    // SAFETY: the interpreter's function of this name has this type (Include/internal/pycore_pymem.h).
    let found = unsafe { symbol::find::<AllocatorName>(c"_PyMem_GetCurrentAllocatorName") };
    let Some(function) = found else {
        return false;
    };
    // SAFETY: takes nothing; returns null or a static string.
    let name = unsafe { function() };
    // SAFETY: as above.
    !name.is_null() && unsafe { CStr::from_ptr(name) } == c"pymalloc"
}

/// Fills the holes; returns the bytes that were taken for it. Stops at `limit`.
pub(super) fn seal(_attached: Python<'_>, limit: usize) -> usize {
    let mut taken = 0;
    if !is_pymalloc() {
        return taken;
    }
    for size in (BLOCK_STEP_BYTES..=LARGEST_BLOCK_BYTES).step_by(BLOCK_STEP_BYTES) {
        while taken < limit {
            // SAFETY: attached to the interpreter.
            let block = unsafe { ffi::PyObject_Malloc(size) };
            if block.is_null() {
                return taken;
            }
            if block.addr() % POOL_BYTES == POOL_HEADER_BYTES {
                // Should the block not lie in a pool, then still in a mapped page that begins before it: 48 < 4096.
                // SAFETY: the bytes before the block lie in the same page.
                let header = unsafe { block.byte_sub(POOL_HEADER_BYTES) }.cast::<u32>();
                // SAFETY: as above; aligned, and the allocator writes it only when it is called.
                if unsafe { header.read() } == 1 {
                    // SAFETY: just allocated, and nobody has it.
                    unsafe { ffi::PyObject_Free(block) };
                    break;
                }
            }
            taken += size;
        }
    }
    taken
}
