//! Fills the holes between frozen objects, so that new objects of a child do not land there.
//!
//! pymalloc keeps blocks of one size class in pools of 16 KiB. A pool with frozen objects and free blocks serves new
//! objects, each of which makes the child copy a page. Here a class allocates until a block is the first of a fresh
//! pool; that one goes back, the others are never freed. They are memory that was resident already.
//!
//! A hole that is filled is lost to the program, so each class fills [`HOLES_PER_FROZEN`] times as many bytes as were
//! frozen in it at most, and none before a whole pool is worth it: what many small calls freeze is sealed together.
#![allow(unsafe_code, reason = "allocates blocks and keeps them")]

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

use crate::cpython::pymalloc::{self, BLOCK_STEP_BYTES, LARGEST_BLOCK_BYTES, POOL_BYTES};

const CLASSES: usize = LARGEST_BLOCK_BYTES / BLOCK_STEP_BYTES;
/// Where less than a quarter is frozen, filling the rest costs more than three workers that copy the quarter.
const HOLES_PER_FROZEN: u64 = 3;

/// Bytes of holes that are worth filling, by size class.
static OWED: [AtomicU64; CLASSES] = [const { AtomicU64::new(0) }; CLASSES];

/// Bytes of frozen blocks by size class.
#[derive(Default)]
pub(super) struct ByBlock([u64; CLASSES]);

impl ByBlock {
    /// Adds a block, if pymalloc serves blocks of that size.
    #[inline]
    pub(super) fn add(&mut self, bytes: u64) {
        let class = bytes.wrapping_sub(1) / BLOCK_STEP_BYTES as u64;
        if let Some(sum) = self.0.get_mut(class as usize) {
            *sum += bytes;
        }
    }
}

/// Remembers what was frozen for the next sealing.
pub(super) fn owe(frozen: &ByBlock) {
    for (owed, bytes) in OWED.iter().zip(&frozen.0) {
        // Relaxed, as below: a sum, nothing is ordered by it.
        owed.fetch_add(bytes * HOLES_PER_FROZEN, Ordering::Relaxed);
    }
}

/// Fills the holes; returns the bytes that were taken for it. Stops at `limit`.
pub(super) fn seal(attached: Python<'_>, limit: usize) -> usize {
    let mut taken = 0;
    if !pymalloc::is_in_use() {
        return taken;
    }
    for (class, owed) in OWED.iter().enumerate() {
        let worth = owed.load(Ordering::Relaxed);
        if worth as usize >= POOL_BYTES {
            // What others have added since stays owed.
            owed.fetch_sub(worth, Ordering::Relaxed);
            let size = (class + 1) * BLOCK_STEP_BYTES;
            taken += fill(
                attached,
                size,
                (worth as usize).min(limit.saturating_sub(taken)),
            );
        }
    }
    taken
}

/// Fills the holes of one size class with `most` bytes or fewer; returns how many.
fn fill(_attached: Python<'_>, size: usize, most: usize) -> usize {
    let mut taken = 0;
    while taken + size <= most {
        // SAFETY: takes a plain number; the thread is attached, as the argument of type `Python` shows.
        let block = unsafe { ffi::PyObject_Malloc(size) };
        if block.is_null() {
            break;
        }
        // SAFETY: not null, so a block that `PyObject_Malloc` has just given, and nobody has freed; attached.
        if unsafe { pymalloc::opens_pool(block) } {
            // SAFETY: a block that `PyObject_Malloc` has just given and that is not used after this; nobody else has
            // its address.
            unsafe { ffi::PyObject_Free(block) };
            break;
        }
        taken += size;
    }
    taken
}
