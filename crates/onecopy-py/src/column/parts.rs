//! Where the elements of a column lie in this process.
//!
//! **Invariants** of [`Parts`], established by [`super::codec::of`] from a resolved `Sequence` and relied on by the decoders.
//! `P1`: `items` points to as many items of the codec's type as the sequence has elements (offsets: one more), aligned.
//! `P2`: `validity` has a bit for each element if the codec looks at it. `P3`: `data` can be read for `data_len` bytes.
//! `P4`: all of it stays where it is as long as the image beside it lives. It is published and nobody should write to it,
//! but another process of the user could. `P5`: so no decoder relies on what the bytes are. A number is loaded once; text
//! and digits are copied, and the copy is checked.
#![allow(
    unsafe_code,
    reason = "reads columns in place: their bounds were proved when the image was resolved"
)]

use onecopy::image::Word;
use pyo3::ffi::PyObject;

use super::spare::Spare;

/// Where the elements of an image lie in this process.
pub(crate) struct Parts {
    pub(super) items: *const u8,
    pub(super) validity: *const u8,
    pub(super) data: *const u8,
    pub(super) data_len: usize,
    /// The `Image` that all of it lies in, kept alive by whoever has the parts.
    pub(super) image: *mut PyObject,
    pub(super) spare: Spare,
}

// SAFETY: the pointers lead to memory of an image, which is bound to no thread and which no thread of this process
// writes to (P4); the spare is used by attached threads alone (Z2), and its object is bound to none of them.
unsafe impl Send for Parts {}
// SAFETY: the pointers lead to memory of an image, which no thread of this process writes to (P4); the spare, the one
// field that changes, is used by attached threads (Z2), of which there is one at a time.
unsafe impl Sync for Parts {}

impl Parts {
    /// The same elements for somebody else who keeps the image.
    pub(super) const fn again(&self) -> Self {
        let spare = Spare::new();
        Self { spare, ..*self }
    }

    /// Where item `index` of the first section lies, as it is of this size.
    pub(crate) fn address_of(&self, index: usize, item_size: usize) -> usize {
        let distance = index.wrapping_mul(item_size);
        self.items.addr().wrapping_add(distance)
    }

    /// The first item.
    pub(crate) fn first(&self) -> *const u8 {
        self.items
    }

    /// Item `index` of the first section.
    ///
    /// # Safety
    /// - the section holds items of type `T`, at least `index + 1` of them (P1).
    #[inline]
    pub(super) unsafe fn item<T: Copy>(&self, index: usize) -> T {
        // SAFETY: there are at least `index + 1` items of type `T` in the section, as this function asks, all in one
        // mapping (P1).
        let at = unsafe { self.items.cast::<T>().add(index) };
        // SAFETY: an item of the section: aligned and readable (P1) as long as the image is there (P4), which whoever
        // has the parts keeps. Callers take numbers, whose every bit pattern is a value. Volatile: loaded once, so that
        // what is checked is what is used (P5).
        unsafe { at.read_volatile() }
    }

    /// Whether element `index` is something else than `None`.
    ///
    /// # Safety
    /// - there is a validity bitmap, and `index` is below the number of elements (P2).
    #[inline]
    pub(super) unsafe fn is_valid(&self, index: usize) -> bool {
        // SAFETY: there is a bitmap, with a bit for every element (P2), and `index` is one, as this function asks: the
        // byte lies in it.
        let at = unsafe { self.validity.add(index >> 3) };
        // SAFETY: a byte of the bitmap, which can be read as long as the image is there (P4), which whoever has the
        // parts keeps.
        let byte = unsafe { at.read_volatile() };
        byte & (1 << (index & 7)) != 0
    }

    /// The bytes from `start` to `end` of the data, or `None` if they do not lie there.
    #[inline]
    pub(super) fn data(&self, start: usize, end: usize) -> Option<&[u8]> {
        // SAFETY: the data can be read for `data_len` bytes (P3), none of them null, as long as the image is there
        // (P4), which whoever has the parts keeps as long as `self`.
        let data = unsafe { std::slice::from_raw_parts(self.data, self.data_len) };
        data.get(start..end)
    }

    /// Tells the processor that the node of word `index`, if there is one, will be read soon.
    #[inline]
    pub(super) fn expect_node(&self, index: usize) {
        let at = self.address_of(index, size_of::<u64>());
        let distance = at.wrapping_sub(self.data.addr());
        // Words lie in their image, so past the last of them lie other bytes, or the end.
        let Some(bytes) = self.data(distance, distance.wrapping_add(size_of::<u64>())) else {
            return;
        };
        let word = bytes
            .first_chunk()
            .map(|&bytes| Word(u64::from_le_bytes(bytes)));
        if let Some(offset) = word.and_then(Word::node_offset) {
            prefetch(self.data.wrapping_add(offset as usize));
        }
    }
}

/// Asks for the memory at an address, which need not be there.
#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    // SAFETY: the instruction has no effect that a program could see, whatever the address (Intel SDM, PREFETCHh).
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

/// Other processors have no such instruction in stable Rust.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn prefetch(_: *const u8) {}
