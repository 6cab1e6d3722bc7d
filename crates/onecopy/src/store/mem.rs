//! The metadata as words: the only way in which the store reads or writes shared memory.
//!
//! **Invariants.** `I1`: `base .. base + len` is mapped readable and writable as long as the value
//! lives. `I2`: every access is an atomic of the word's own width, so a peer that writes at the same
//! time is no data race; no `&T` to these bytes exists.
//!
//! [`Mem::set`] counts every store for the crash tests (feature `testing`): they kill a process right
//! after its n-th one, for all n.
#![allow(unsafe_code, reason = "atomics over mapped memory are made here, once")]
#![allow(clippy::cast_ptr_alignment, reason = "asserted before each cast")]

use std::ptr::NonNull;

use crate::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::sys::life;

/// The metadata area of one attached store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mem {
    base: NonNull<u8>,
    len: u64,
}

// SAFETY: an address of memory that stays mapped as long as a copy is used, in whichever thread (I1); all accesses are
// atomic (I2).
unsafe impl Send for Mem {}
// SAFETY: the value itself never changes; the memory behind it stays mapped (I1), and all accesses to that are atomic
// (I2).
unsafe impl Sync for Mem {}

impl Mem {
    /// Wraps metadata.
    ///
    /// # Safety
    /// - `base` is valid for reads and writes of `len` bytes, a multiple of 8, and aligned to 64, as long as the value
    ///   or a copy of it is used (I1).
    /// - All other accesses to these bytes, by any process, are atomic or happen before (I2).
    pub(crate) unsafe fn new(base: NonNull<u8>, len: u64) -> Self {
        Self { base, len }
    }

    /// Bytes of metadata.
    pub(crate) fn len(self) -> u64 {
        self.len
    }

    /// Where a word of `byte_len` bytes stands.
    fn address(&self, offset: u64, byte_len: u64) -> *mut u8 {
        assert!(
            offset.is_multiple_of(byte_len) && offset < self.len,
            "a word outside the metadata"
        );
        self.base.as_ptr().wrapping_add(offset as usize)
    }

    /// The word at `offset`. Offsets come from the geometry, never unchecked from shared memory.
    pub(crate) fn word(&self, offset: u64) -> &AtomicU64 {
        let address = self.address(offset, 8).cast::<u64>();
        // SAFETY: `address` has asserted that `offset` is a multiple of 8 below `len`, which is one, too (`new`), and
        // `base` is aligned to 64: the word is aligned, and all of it lies below `len`. It is mapped as long as `self`
        // (I1), and only accessed atomically (I2).
        unsafe { AtomicU64::from_ptr(address) }
    }

    /// The half word at `offset`.
    pub(crate) fn half(&self, offset: u64) -> &AtomicU32 {
        let address = self.address(offset, 4).cast::<u32>();
        // SAFETY: `address` has asserted that `offset` is a multiple of 4 below `len`, which is one, too (`new`), and
        // `base` is aligned to 64: the word is aligned, and all of it lies below `len`. It is mapped as long as `self`
        // (I1), and only accessed atomically (I2): no word is used in both widths.
        unsafe { AtomicU32::from_ptr(address) }
    }

    /// Reads a word. Acquire: pairs with Release in [`Mem::set`].
    pub(crate) fn get(&self, offset: u64) -> u64 {
        self.word(offset).load(Ordering::Acquire)
    }

    /// Writes a word. Release: what was written before is seen by whoever reads this, and the order
    /// of the machine's stores is the order of the program's, which crash safety rests on.
    pub(crate) fn set(&self, offset: u64, value: u64) {
        self.word(offset).store(value, Ordering::Release);
        crate::testing::stored();
    }

    /// Replaces `old` by `new`; whether it was `old`.
    pub(crate) fn replace(&self, offset: u64, old: u64, new: u64) -> bool {
        let word = self.word(offset);
        // AcqRel: publishes what this thread wrote and sees what the last writer wrote.
        let done = word
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        crate::testing::stored();
        done
    }

    /// Writes a word unless it says more already, by words whose order is that of what they say.
    pub(crate) fn raise(&self, offset: u64, to: impl Fn(u64) -> Option<u64>) {
        let mut old = self.get(offset);
        while let Some(new) = to(old) {
            if self.replace(offset, old, new) {
                return;
            }
            old = self.get(offset);
        }
    }

    /// Whether the thread whose life word stands at `offset` has died.
    pub(crate) fn owner_died(&self, offset: u64) -> bool {
        // Acquire: what the dead thread stored is seen.
        let word = self
            .half(offset.saturating_add(life::FUTEX_WORD_OFFSET))
            .load(Ordering::Acquire);
        word & life::OWNER_DIED != 0
    }

    /// The address of a life word.
    pub(crate) fn life_place(&self, offset: u64) -> NonNull<u8> {
        assert!(
            offset.saturating_add(life::LIFE_BYTES) <= self.len,
            "a life word outside the metadata"
        );
        // SAFETY: the sum lies below `len` (asserted), and so inside one mapping (I1).
        unsafe { self.base.add(offset as usize) }
    }
}
