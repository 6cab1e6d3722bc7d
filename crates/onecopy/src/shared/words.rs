//! The data area of a store as words: the only way in which containers read or write it.
//!
//! **Invariants.** `I1`: `base .. base + len` is mapped readable and writable for as long as the value lives, and `len`
//! is a multiple of 8. `I2`: every access of a container's memory, by any process, is an atomic, so a peer that writes at
//! the same time is no data race; no reference to these bytes exists. Its width is a word, but for the half words that
//! threads sleep on ([`Head::half`], [`Words::half`]), and for the elements of an array, which are accessed as whoever made it says (array.rs).
//!
//! A reader may be led astray by a word that is changing or damaged, and load any word of the area: of an image, which nobody
//! writes to, or one that others access in another width or not atomically. Memory models of languages say nothing about
//! that; the machine gives bits of one writer or another, and the reader throws away what it was led to.
//!
//! Offsets count from the start of the data area, so that they mean the same in every process. Readers follow any
//! offset: the lowest three bits are cleared and the bounds checked, and what was read is judged afterwards.
#![allow(unsafe_code, reason = "atomics over mapped memory are made here, once")]
#![allow(
    clippy::cast_ptr_alignment,
    reason = "offsets are rounded down to words"
)]

use std::ptr::NonNull;

use crate::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::store::{Container, Store};

/// How a word is loaded that may be the way to others. x86 keeps loads in order, and a Relaxed one lets the compiler
/// merge address computations; elsewhere what a word leads to must not be older than the word.
const FOLLOW: Ordering = if cfg!(target_arch = "x86_64") {
    Ordering::Relaxed
} else {
    Ordering::Acquire
};

/// The data area of one attached store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    base: NonNull<u8>,
    len: u64,
}

// SAFETY: all accesses are atomic (I2) and the memory stays mapped (I1), whichever thread has the value.
unsafe impl Send for Words {}
// SAFETY: all accesses are atomic (I2), so threads may make them at the same time.
unsafe impl Sync for Words {}

impl Words {
    /// The data area of a container's store. Whoever uses it keeps the container, or a clone of it.
    pub(crate) fn of(container: &Container) -> Self {
        let (base, len) = container.data();
        Self {
            base,
            len: len & !7,
        }
    }

    /// The data area of a store, which whoever uses it keeps.
    pub(crate) fn of_store(store: &Store) -> Self {
        let (base, len) = store.data();
        Self {
            base,
            len: len & !7,
        }
    }

    /// Bytes of the area.
    #[inline(always)]
    pub(crate) fn len(self) -> u64 {
        self.len
    }

    /// Where the area begins: with a page.
    pub(crate) fn start(self) -> NonNull<u8> {
        self.base
    }

    #[inline(always)]
    fn cell(&self, at: u64) -> Option<&AtomicU64> {
        let at = at & !7;
        if at >= self.len {
            return None;
        }
        // SAFETY: `at` is a multiple of 8 below `len`, which is a multiple of 8, so the word lies in the area (I1).
        let word = unsafe { self.base.as_ptr().add(at as usize) };
        // SAFETY: in bounds and mapped (I1), aligned since `base` and `at` are, and only accessed atomically (I2).
        Some(unsafe { AtomicU64::from_ptr(word.cast()) })
    }

    /// The word at an offset that may be anything; `None` outside the area.
    #[inline(always)]
    pub(crate) fn load(&self, at: u64) -> Option<u64> {
        let value = self.cell(at)?.load(FOLLOW);
        crate::testing::container_loaded();
        Some(value)
    }

    /// The word at an offset; 0 outside the area. Acquire: pairs with Release in [`Words::store`].
    #[inline(always)]
    pub(crate) fn acquire(&self, at: u64) -> u64 {
        let value = self.cell(at).map_or(0, |word| word.load(Ordering::Acquire));
        crate::testing::container_loaded();
        value
    }

    /// The same, in no order with others.
    #[inline(always)]
    pub(crate) fn relaxed(&self, at: u64) -> u64 {
        let value = self.cell(at).map_or(0, |word| word.load(Ordering::Relaxed));
        crate::testing::container_loaded();
        value
    }

    /// Writes a word of a container that this thread has locked, or one that nobody can reach yet. Release: what was
    /// written before is seen by whoever reads this, and the order of the machine's stores is the order of the
    /// program's, which crash safety rests on.
    #[inline(always)]
    pub(crate) fn store(&self, at: u64, value: u64) {
        let Some(word) = self.cell(at) else {
            // Owned offsets lie within the area.
            unreachable!("a word outside the data area");
        };
        word.store(value, Ordering::Release);
        crate::testing::container_stored();
    }

    /// Writes two words, one after the other, as [`Words::store`] does.
    #[inline(always)]
    pub(crate) fn store_two(&self, at: u64, values: [u64; 2]) {
        let Some(room) = self.range(at, 2) else {
            unreachable!("words outside the data area");
        };
        for (word, value) in room.iter().zip(values) {
            // Release: as in `store`.
            word.store(value, Ordering::Release);
            crate::testing::container_stored();
        }
    }

    /// Copies words into a block that nobody can reach yet; `false` if either range reaches beyond the area.
    #[inline(always)]
    pub(crate) fn copy(&self, from: u64, to: u64, words: u64) -> bool {
        let (Some(from), Some(to)) = (self.range(from, words), self.range(to, words)) else {
            return false;
        };
        for (from, to) in from.iter().zip(to) {
            // Relaxed: the commit that makes the block reachable is a Release, and what is copied was judged before.
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
            crate::testing::container_stored();
        }
        true
    }

    /// Appends words that may be changing; `None`, and nothing is appended, if they reach beyond the area.
    pub(crate) fn append(&self, at: u64, words: u64, to: &mut Vec<u64>) -> Option<()> {
        to.extend(self.range(at, words)?.iter().map(|word| word.load(FOLLOW)));
        Some(())
    }

    /// Whether some of the words from `at` on is such a one; `None` if they reach beyond the area.
    pub(crate) fn any(&self, at: u64, words: u64, is_one: impl Fn(u64) -> bool) -> Option<bool> {
        // Relaxed: the caller has the lock, and whoever stored them had it.
        let mut words = self.range(at, words)?.iter();
        Some(words.any(|word| is_one(word.load(Ordering::Relaxed))))
    }

    #[inline(always)]
    fn range(&self, at: u64, words: u64) -> Option<&[AtomicU64]> {
        let end = words
            .checked_mul(8)
            .and_then(|bytes| at.checked_add(bytes))?;
        if !at.is_multiple_of(8) || end > self.len {
            return None;
        }
        // SAFETY: `at` is below `len`, so the place lies in the area (I1).
        let first = unsafe { self.base.as_ptr().add(at as usize) };
        // SAFETY: `words` words from there lie in the area, mapped (I1) and aligned since `base` and `at` are; they are only
        // accessed atomically (I2), and the slice does not outlive `self`, which the area does (I1).
        Some(unsafe { std::slice::from_raw_parts(first.cast::<AtomicU64>(), words as usize) })
    }

    /// Replaces a word by what a function makes of it, as often as others are faster; `None` from the function leaves it.
    /// The word as it was, or as it was when it was left. Only for words that no record changes.
    #[inline(always)]
    pub(crate) fn update(
        &self,
        at: u64,
        change: impl FnMut(u64) -> Option<u64>,
    ) -> Option<Result<u64, u64>> {
        // AcqRel: publishes what this thread wrote, and sees what the last writer of this word had written before.
        let updated = self
            .cell(at)?
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        crate::testing::container_stored();
        Some(updated)
    }

    /// Where bytes that are not accessed as words begin; `None` if they would reach beyond the area.
    pub(crate) fn place(&self, at: u64, byte_len: u64) -> Option<NonNull<u8>> {
        if at.checked_add(byte_len).is_none_or(|end| end > self.len) {
            return None;
        }
        // SAFETY: `at` is at most `len`, so the place lies in the area or at its end (I1).
        Some(unsafe { self.base.add(at as usize) })
    }

    /// The first words of a container's head, which begins at `head`; `None` if they would reach beyond the area.
    pub(crate) fn head(&self, head: u64) -> Option<Head> {
        let first = self.range(head, HEAD_BYTES / 8)?;
        Some(Head(NonNull::from(first).cast()))
    }

    /// A half word of a container, behind its head: a thread's place. No offset is used in both widths.
    #[inline(always)]
    pub(crate) fn half(&self, at: u64) -> &AtomicU32 {
        let at = at & !3;
        assert!(at < self.len, "a word outside the data area");
        // SAFETY: `at` is a multiple of 4 below `len`, a multiple of 8, so the half word lies in the area (I1).
        let word = unsafe { self.base.as_ptr().add(at as usize) };
        // SAFETY: in bounds and mapped (I1), aligned to 4 since `base` and `at` are, and only accessed atomically: in this
        // width by all that does not stray, and by what does only read (I2).
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }

    /// Copies `len` bytes out; what lies there may be changing. `false` if they reach beyond the area.
    ///
    /// # Safety
    /// - `to` is valid for writes of `len` bytes, and not part of the area.
    #[inline(always)]
    pub(crate) unsafe fn copy_out(&self, at: u64, to: *mut u8, len: usize) -> bool {
        let (whole, rest) = (len & !7, len & 7);
        let end = at.wrapping_add(len as u64);
        if end < at || end > self.len {
            return false;
        }
        for done in (0..whole).step_by(8) {
            let Some(word) = self.load(at.wrapping_add(done as u64)) else {
                return false;
            };
            // SAFETY: `done + 8 <= len`, and `to` is valid for `len` bytes (the caller's duty).
            let place = unsafe { to.add(done) };
            // SAFETY: eight bytes from `place` lie within the `len` that the caller vouches for; no alignment is assumed.
            unsafe { place.cast::<u64>().write_unaligned(word.to_le()) };
        }
        if rest > 0 {
            let Some(word) = self.load(at.wrapping_add(whole as u64)) else {
                return false;
            };
            let bytes = word.to_le_bytes();
            // SAFETY: `whole + rest == len`, and `to` is valid for `len` bytes (the caller's duty).
            let place = unsafe { to.add(whole) };
            // SAFETY: `rest` of at most 7 bytes, from a private array of 8 to a place that is valid for them; the two do
            // not overlap, since the array is this function's own.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, rest) };
        }
        true
    }

    /// Fills a block that nobody can reach yet: readers that were led there by an old word find out afterwards.
    #[inline(always)]
    pub(crate) fn fill(&self, at: u64, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let count = words.len() as u64;
        let Some(room) = self.range(at, count) else {
            unreachable!("words outside the data area");
        };
        for (to, word) in room.iter().zip(words) {
            // Release: as in `store`.
            to.store(u64::from_le_bytes(*word), Ordering::Release);
            crate::testing::container_stored();
        }
        if !rest.is_empty() {
            self.store(at.wrapping_add(8 * count), tail(rest));
        }
    }

    /// Whether these bytes lie at `at`; `None` if they would reach beyond the area.
    #[inline(always)]
    pub(crate) fn same(&self, at: u64, bytes: &[u8]) -> Option<bool> {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut at = at;
        for word in words {
            if self.load(at)? != u64::from_le_bytes(*word) {
                return Some(false);
            }
            at = at.wrapping_add(8);
        }
        Some(rest.is_empty() || self.load(at)? == tail(rest))
    }

    /// Asks for the cache line of an offset that may be anything.
    #[inline(always)]
    pub(crate) fn prefetch(&self, at: u64) {
        #[cfg(target_arch = "x86_64")]
        {
            let place = self.base.as_ptr().wrapping_add(at as usize);
            // SAFETY: a prefetch accesses nothing, whatever the address (Intel SDM, PREFETCHh: no faults).
            unsafe {
                std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
            };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
}

/// Bytes of a container's memory whose words are found without a look at the bounds: what stands at the same place in all
/// containers.
const HEAD_BYTES: u64 = 4096;

/// The head of a container, by offsets from its first byte: an operation of a few nanoseconds asks for a dozen of its words.
///
/// **Invariant.** `I3`: [`HEAD_BYTES`] from here on lie in the area of the [`Words`] that it comes from, aligned to eight
/// bytes. Whoever uses it keeps what keeps these.
#[derive(Debug, Clone)]
pub(crate) struct Head(NonNull<AtomicU64>);

// SAFETY: as for `Words`: all accesses are atomic (I2) and the memory stays mapped (I1).
unsafe impl Send for Head {}
// SAFETY: as for `Words`.
unsafe impl Sync for Head {}

impl Head {
    #[inline(always)]
    fn cell(&self, at: u64) -> &AtomicU64 {
        debug_assert!(at < HEAD_BYTES, "a word behind the head");
        // A constant, and unchanged, wherever it is not a matter of the limbo.
        let at = (at % HEAD_BYTES) & !7;
        // SAFETY: a multiple of eight below `HEAD_BYTES`, so the word lies in the head (I3).
        let word = unsafe { self.0.byte_add(at as usize) };
        // SAFETY: mapped (I1) and aligned (I3), and only accessed atomically (I2).
        unsafe { word.as_ref() }
    }

    /// A word that is followed, or that others are believed by: what is loaded after it is no older.
    #[inline(always)]
    pub(crate) fn follow(&self, at: u64) -> u64 {
        let value = self.cell(at).load(FOLLOW);
        crate::testing::container_loaded();
        value
    }

    /// A word. Acquire: pairs with Release in [`Head::store`].
    #[inline(always)]
    pub(crate) fn acquire(&self, at: u64) -> u64 {
        let value = self.cell(at).load(Ordering::Acquire);
        crate::testing::container_loaded();
        value
    }

    /// A word, in no order with others.
    #[inline(always)]
    pub(crate) fn relaxed(&self, at: u64) -> u64 {
        let value = self.cell(at).load(Ordering::Relaxed);
        crate::testing::container_loaded();
        value
    }

    /// Writes a word, as [`Words::store`] does.
    #[inline(always)]
    pub(crate) fn store(&self, at: u64, value: u64) {
        self.cell(at).store(value, Ordering::Release);
        crate::testing::container_stored();
    }

    /// Writes two words, one after the other.
    #[inline(always)]
    pub(crate) fn store_two(&self, at: u64, values: [u64; 2]) {
        self.store(at, values[0]);
        self.store(at + 8, values[1]);
    }

    /// A half word: that of a lock or a bell. No offset is used in both widths.
    #[inline(always)]
    pub(crate) fn half(&self, at: u64) -> &AtomicU32 {
        let at = (at % HEAD_BYTES) & !3;
        // SAFETY: a multiple of four below `HEAD_BYTES`, a multiple of eight, so the half word lies in the head (I3).
        let word = unsafe { self.0.cast::<AtomicU32>().byte_add(at as usize) };
        // SAFETY: mapped (I1) and aligned to four (I3), and only accessed atomically and in this width (I2).
        unsafe { word.as_ref() }
    }
}

/// Up to seven bytes as a word, zeros above.
#[inline(always)]
pub(crate) fn tail(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}
