//! pymalloc, the allocator of small objects: where its pools begin (`Objects/obmalloc.c`, `struct pool_header`, 3.12 to
//! 3.15).
//!
//! Blocks of one size lie in pools of 16 KiB, aligned to as many. A pool begins with a header of 48 bytes, whose first 32
//! bits count the blocks in use.
#![allow(unsafe_code, reason = "reads the header of a pool")]

use std::ffi::{CStr, c_char, c_void};

use super::symbol;

/// Blocks of one size lie together in so many bytes.
pub(crate) const POOL_BYTES: usize = 16 << 10;
const POOL_HEADER_BYTES: usize = 48;
/// Larger objects come from elsewhere.
pub(crate) const LARGEST_BLOCK_BYTES: usize = 512;
/// Blocks have sizes of this and its multiples.
pub(crate) const BLOCK_STEP_BYTES: usize = 16;

type AllocatorName = unsafe extern "C" fn() -> *const c_char;

/// Whether pymalloc, and nothing around it, serves objects.
pub(crate) fn is_in_use() -> bool {
    // SAFETY: `AllocatorName` is a function pointer type, and the interpreter's function of this name has it
    // (Include/internal/pycore_pymem.h).
    let found = unsafe { symbol::find::<AllocatorName>(c"_PyMem_GetCurrentAllocatorName") };
    let Some(function) = found else {
        return false;
    };
    // SAFETY: `function` has the type of its name, as above; it takes nothing and only looks which allocator is set.
    let name = unsafe { function() };
    // SAFETY: not null, so one of the literals in the interpreter's own code (Objects/obmalloc.c): ended by a zero, and
    // there as long as the process.
    !name.is_null() && unsafe { CStr::from_ptr(name) } == c"pymalloc"
}

/// Whether a block is the first of a fresh pool: it lies behind the header, and the pool counts one block in use.
///
/// # Safety
/// - `block` was allocated by `PyObject_Malloc`, and not freed; the thread is attached to the interpreter.
pub(crate) unsafe fn opens_pool(block: *mut c_void) -> bool {
    if block.addr() % POOL_BYTES != POOL_HEADER_BYTES {
        return false;
    }
    // Should the block not lie in a pool, then still in a mapped page that begins before it: 48 < 4096.
    // SAFETY: the 48 bytes before the block lie in the same page as its first, and so in the same mapping.
    let header = unsafe { block.byte_sub(POOL_HEADER_BYTES) }.cast::<u32>();
    // SAFETY: mapped, as was just said, and aligned as the remainder above says; the allocator writes it only when it is
    // called, which needs the thread to be attached, as this one is.
    unsafe { header.read() == 1 }
}
