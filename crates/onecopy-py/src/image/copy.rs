//! Copies large memory: without the interpreter's lock, and by two threads if that pays.
#![allow(
    unsafe_code,
    reason = "copies between addresses that other objects own"
)]

use std::{ptr, thread};

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;

/// Copies of at least this size are made by two threads.
const PARALLEL_BYTES: usize = 32 << 20;
/// Shorter copies are over before the interpreter's lock could be taken again.
const DETACHED_BYTES: usize = 1 << 16;

/// An address that goes to another thread.
#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) *mut u8);

// SAFETY: an address by itself gives no access; whoever reads or writes there proves it in a block of its own.
unsafe impl Send for Address {}
// SAFETY: an address by itself gives no access; whoever reads or writes there proves it in a block of its own.
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
        // SAFETY: the buffer is contiguous and has `len` bytes, as was just found, which are readable at `from` while
        // it is exported, as the borrow of `source` keeps it; `target` has as many, exclusively borrowed for as long.
        // Memory that an image is written to has been handed out as a buffer to nobody, so they do not overlap.
        unsafe { bytes(from, to, len) };
    });
    Ok(())
}

/// One axis of an array.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    /// How many elements, or runs of elements.
    pub(super) len: usize,
    /// Bytes from one to the next; negative if they lie backwards.
    pub(super) step: isize,
}

/// Where the elements of an array lie: runs of bytes, and the axes along which they are repeated.
pub(super) struct Strided {
    from: Address,
    /// Bytes that lie together.
    run: usize,
    /// The fastest first.
    axes: Vec<Axis>,
}

impl Strided {
    /// Strided of `item` bytes, the first of them at `from`, over axes of which the fastest comes first.
    pub(super) fn new(
        from: Address,
        item: usize,
        fastest_first: impl Iterator<Item = Axis>,
    ) -> Self {
        let (mut run, mut axes) = (item, Vec::<Axis>::new());
        for axis in fastest_first.filter(|axis| axis.len != 1) {
            let beyond = |inner: &Axis| inner.step.wrapping_mul(inner.len.cast_signed());
            match axes.last_mut() {
                None if axis.step == run.cast_signed() => run *= axis.len,
                Some(inner) if axis.step == beyond(inner) => inner.len *= axis.len,
                _ => axes.push(axis),
            }
        }
        Self { from, run, axes }
    }

    /// Whether there is one run only.
    pub(super) fn lie_together(&self) -> bool {
        self.axes.is_empty()
    }

    /// Bytes of all elements.
    pub(super) fn byte_len(&self) -> usize {
        self.axes.iter().fold(self.run, |len, axis| len * axis.len)
    }

    /// Whether copying them takes longer than taking the interpreter's lock again.
    pub(super) fn are_many(&self) -> bool {
        self.byte_len() >= DETACHED_BYTES
    }

    /// Copies all elements, in order and without gaps.
    ///
    /// # Safety
    /// - The elements are readable, [`Strided::byte_len`] bytes at `target` are writable, and the two do not overlap.
    pub(super) unsafe fn copy_to(&self, target: Address) {
        let Some((inner, outer)) = self.axes.split_first() else {
            // SAFETY: one run of readable bytes, as many writable ones, and no overlap, as this function asks.
            return unsafe { bytes(self.from, target, self.run) };
        };
        if self.byte_len() == 0 {
            return;
        }
        let copy_row = copy_row(self.run);
        let mut at = vec![0; outer.len()];
        let (mut from, mut target) = (self.from.0, target.0);
        loop {
            // SAFETY: `from` is the first element of a row, as `at` counts no axis past its end; `target` has moved by as
            // many bytes as were copied, so the rest of the caller's memory has room for this row.
            unsafe { copy_row(from, self.run, *inner, target) };
            target = target.wrapping_add(self.run * inner.len);
            let mut number = 0;
            loop {
                let Some(axis) = outer.get(number) else {
                    return;
                };
                from = from.wrapping_offset(axis.step);
                at[number] += 1;
                if at[number] < axis.len {
                    break;
                }
                from = from.wrapping_offset(axis.step.wrapping_mul(-axis.len.cast_signed()));
                at[number] = 0;
                number += 1;
            }
        }
    }
}

/// Copies the runs of one axis.
///
/// # Safety
/// - `row.len` runs of so many bytes are readable, `row.step` apart, the first of them at the source; as many bytes are
///   writable at the target; and the two do not overlap.
type CopyRow = unsafe fn(*const u8, usize, Axis, *mut u8);

/// The function for runs of this length.
fn copy_row(run: usize) -> CopyRow {
    match run {
        1 => copy_runs::<1>,
        2 => copy_runs::<2>,
        4 => copy_runs::<4>,
        8 => copy_runs::<8>,
        16 => copy_runs::<16>,
        _ => copy_long_runs,
    }
}

/// [`CopyRow`] for runs of any length.
///
/// # Safety
/// - As for [`CopyRow`].
unsafe fn copy_long_runs(from: *const u8, run: usize, row: Axis, target: *mut u8) {
    for index in 0..row.len {
        let from = from.wrapping_offset(row.step.wrapping_mul(index.cast_signed()));
        let target = target.wrapping_add(index * run);
        // SAFETY: the run of this number is readable, and there is room for it at its place, as this function asks.
        unsafe { ptr::copy_nonoverlapping(from, target, run) };
    }
}

/// [`CopyRow`] for runs of `N` bytes, which the compiler makes one load and one store of.
///
/// # Safety
/// - As for [`CopyRow`]; runs have `N` bytes.
unsafe fn copy_runs<const N: usize>(from: *const u8, _run: usize, row: Axis, target: *mut u8) {
    let target = target.cast::<[u8; N]>();
    let mut from = from.cast::<[u8; N]>();
    if row.step == -N.cast_signed() {
        // Backwards and without gaps: with a step that the compiler knows, it copies many at once.
        for index in 0..row.len {
            let from = from.wrapping_sub(index);
            // SAFETY: the run of this number is readable, and there is room for it, as this function asks.
            unsafe { ptr::copy_nonoverlapping(from, target.wrapping_add(index), 1) };
        }
        return;
    }
    for index in 0..row.len {
        // SAFETY: the run of this number is readable, and there is room for it, as this function asks. Bytes need no
        // alignment.
        unsafe { ptr::copy_nonoverlapping(from, target.wrapping_add(index), 1) };
        from = from.wrapping_byte_offset(row.step);
    }
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
            // SAFETY: `first <= len`, and `len` bytes are readable there, as this function asks: inside them or at
            // their end.
            let from = unsafe { from.0.add(first) };
            // SAFETY: `first <= len`, and `len` bytes are writable there, as this function asks: inside them or at
            // their end.
            let target = unsafe { target.0.add(first) };
            // SAFETY: `len - first` bytes from `first` on are the second part of the caller's ranges, which are
            // readable, writable and apart, as this function asks.
            unsafe { ptr::copy_nonoverlapping(from, target, len - first) };
        };
        let helper = (first < len).then(|| thread::Builder::new().spawn_scoped(scope, rest));
        // SAFETY: `first <= len` bytes are the first part of the caller's ranges, which are readable, writable and
        // apart, as this function asks.
        unsafe { ptr::copy_nonoverlapping(from.0, target.0, first) };
        if let Some(Err(_)) = helper {
            // No thread to be had (RLIMIT_NPROC): this one does it all.
            rest();
        }
    });
}
