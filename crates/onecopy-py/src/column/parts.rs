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

use pyo3::ffi::PyObject;

/// Where the elements of an image lie in this process.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(super) items: *const u8,
    pub(super) validity: *const u8,
    pub(super) data: *const u8,
    pub(super) data_len: usize,
    /// The `Image` that all of it lies in, kept alive by whoever has the parts.
    pub(super) image: *mut PyObject,
}

// SAFETY: the pointers lead to memory of an image, which no thread of this process writes to (P4).
unsafe impl Send for Parts {}
// SAFETY: the pointers lead to memory of an image, which no thread of this process writes to (P4).
unsafe impl Sync for Parts {}

impl Parts {
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
        // SAFETY: `index` is below the number of items of type `T` in the section, as this function asks.
        let at = unsafe { self.items.cast::<T>().add(index) };
        // SAFETY: aligned and readable (P1). Volatile: loaded once, so that what is checked is what is used (P5).
        unsafe { at.read_volatile() }
    }

    /// Whether element `index` is something else than `None`.
    ///
    /// # Safety
    /// - there is a validity bitmap, and `index` is below the number of elements (P2).
    #[inline]
    pub(super) unsafe fn is_valid(&self, index: usize) -> bool {
        // SAFETY: the bitmap has a bit for every element (P2), and `index` is one, as this function asks.
        let at = unsafe { self.validity.add(index >> 3) };
        // SAFETY: the byte at `at` can be read as long as the image is there (P4).
        let byte = unsafe { at.read_volatile() };
        byte & (1 << (index & 7)) != 0
    }

    /// The bytes from `start` to `end` of the data, or `None` if they do not lie there.
    #[inline]
    pub(super) fn data(&self, start: usize, end: usize) -> Option<&[u8]> {
        // SAFETY: the data can be read for `data_len` bytes (P3) as long as the image is there (P4).
        let data = unsafe { std::slice::from_raw_parts(self.data, self.data_len) };
        data.get(start..end)
    }
}
