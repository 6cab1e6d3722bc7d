//! Changes of a container, all-or-nothing under `kill -9`.
//!
//! A change is a list of absolute writes {offset, value}. Under the lock its author writes the list into the intent
//! record as it goes, then stores its length into `armed`, **which is the commit**, does the writes in the list's order
//! and clears `armed`. A change of one word needs no record: its store is the commit.
//!
//! **Crash points**, in the order of the stores:
//! 1. fresh blocks are filled and the list is written: `armed` is 0, both mean nothing; the blocks' headers still say
//!    that they are free;
//! 2. after `armed := n`: the change has happened; readers see it through the record, and whoever takes the lock over
//!    does the writes;
//! 3. between the writes: they are absolute, so doing them all again changes nothing;
//! 4. after `armed := 0`: done.
//!
//! A change that frees or moves what readers may be following makes `seq` odd while it is under way; any other counts
//! `changes` up, and readers that look at words in the list's order see a container at each step: a block's header
//! before the word that leads to it, an element before the length that covers it.
//!
//! **Invariants.** `I1`: `armed` is 0 whenever a change is begun. `I2`: every offset of the list is the container's own:
//! it is looked at when it is put there, and again before the write, since the record is shared memory.
#![forbid(unsafe_code)]

use super::error::ContainerError;
use super::heap::Heap;
use super::layout::{ARMED, CHANGES, RECORD, RECORD_WRITES, SEQ};
use super::lock::Locked;
use super::look::Retry;
use crate::error::Corrupt;

/// A list of absolute writes to be done as one.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) heap: &'a Heap,
    len: u64,
}

impl Locked<'_> {
    /// Begins a change. Dropping it unfinished changes nothing.
    #[inline(always)]
    pub(crate) fn change(&self) -> Change<'_> {
        Change { heap: self.heap, len: 0 }
    }

    /// Writes one word, which is the whole change: it frees and moves nothing.
    #[inline(always)]
    pub(crate) fn set(&self, at: u64, value: u64) -> Result<(), ContainerError> {
        let heap = self.heap;
        let at = heap.own(at)?;
        heap.words.store(at, value);
        heap.count_change();
        Ok(())
    }

    /// Writes a word that nobody can reach yet: of a fresh block, or beyond a length.
    #[inline(always)]
    pub(crate) fn prepare(&self, at: u64, value: u64) -> Result<(), ContainerError> {
        let at = self.heap.own(at)?;
        self.heap.words.store(at, value);
        Ok(())
    }

    /// A word of the container.
    #[inline(always)]
    pub(crate) fn load(&self, at: u64) -> Result<u64, ContainerError> {
        self.heap.load(at)
    }

    /// A word of the head.
    #[inline(always)]
    pub(crate) fn root(&self, at: u64) -> u64 {
        self.heap.words.relaxed(self.heap.head + at)
    }
}

impl Heap {
    /// A word of the container, under the lock.
    #[inline(always)]
    pub(crate) fn load(&self, at: u64) -> Result<u64, ContainerError> {
        match self.words.load(at) {
            Some(word) => Ok(word),
            None => Err(self.corrupt(at, "an offset beyond the store").into()),
        }
    }

    #[inline(always)]
    fn count_change(&self) {
        let at = self.head + CHANGES;
        self.words.store(at, self.words.relaxed(at).wrapping_add(1));
    }

    /// Does the writes that a dead holder of the lock committed. The caller has the lock.
    ///
    /// # Errors
    /// A record that no change can have left.
    pub(crate) fn replay(&self) -> Result<(), Corrupt> {
        let (words, head) = (&self.words, self.head);
        let len = words.relaxed(head + ARMED);
        if len > RECORD_WRITES {
            return Err(self.corrupt(head + ARMED, "an impossible intent record"));
        }
        let seq = words.relaxed(head + SEQ) | 1;
        words.store(head + SEQ, seq);
        self.write(len)?;
        words.store(head + SEQ, (seq & !1).wrapping_add(2));
        self.count_change();
        words.store(head + ARMED, 0);
        Ok(())
    }

    /// Does the first `len` writes of the record.
    #[inline(always)]
    fn write(&self, len: u64) -> Result<(), Corrupt> {
        for index in 0..len {
            let (at, value) = self.entry(index);
            let at = self.own(at)?;
            self.words.store(at, value);
        }
        Ok(())
    }

    /// A write of the record.
    #[inline(always)]
    fn entry(&self, index: u64) -> (u64, u64) {
        let at = self.head + RECORD + 16 * index;
        (self.words.relaxed(at), self.words.relaxed(at + 8))
    }
}

impl Change<'_> {
    /// Adds the write of `value` to the word at `at`.
    ///
    /// # Errors
    /// The word is not the container's: an offset in it is damaged.
    #[inline(always)]
    pub(crate) fn put(&mut self, at: u64, value: u64) -> Result<(), ContainerError> {
        let heap = self.heap;
        let at = heap.own(at)?;
        assert!(self.len < RECORD_WRITES, "an intent record holds {RECORD_WRITES} writes");
        let entry = heap.head + RECORD + 16 * self.len;
        heap.words.store(entry, at);
        heap.words.store(entry + 8, value);
        self.len += 1;
        Ok(())
    }

    /// Adds the write of a word of the head.
    #[inline(always)]
    pub(crate) fn put_root(&mut self, at: u64, value: u64) -> Result<(), ContainerError> {
        self.put(self.heap.head + at, value)
    }

    /// The same as [`Change::put`] for a word that the list may hold already: the later value counts.
    #[inline(always)]
    pub(crate) fn put_again(&mut self, at: u64, value: u64) -> Result<(), ContainerError> {
        for index in (0..self.len).rev() {
            if self.heap.entry(index).0 == at {
                self.heap.words.store(self.heap.head + RECORD + 16 * index + 8, value);
                return Ok(());
            }
        }
        self.put(at, value)
    }

    /// What a word will be after the change.
    #[inline(always)]
    pub(crate) fn see(&self, at: u64) -> Result<u64, ContainerError> {
        for index in (0..self.len).rev() {
            let (written, value) = self.heap.entry(index);
            if written == at {
                return Ok(value);
            }
        }
        self.heap.load(at)
    }

    /// Writes a word that nobody can reach before the commit: of a block that this change takes, or beyond a length.
    #[inline(always)]
    pub(crate) fn prepare(&self, at: u64, value: u64) -> Result<(), ContainerError> {
        let at = self.heap.own(at)?;
        self.heap.words.store(at, value);
        Ok(())
    }

    /// Does the change. `moves`: it frees or moves what readers may be following.
    ///
    /// # Errors
    /// Somebody has overwritten the record meanwhile.
    #[inline(always)]
    pub(crate) fn commit(self, moves: bool) -> Result<(), ContainerError> {
        let (words, head) = (&self.heap.words, self.heap.head);
        words.store(head + ARMED, self.len);
        if moves {
            let seq = words.relaxed(head + SEQ) | 1;
            words.store(head + SEQ, seq);
            self.heap.write(self.len)?;
            words.store(head + SEQ, seq.wrapping_add(1));
        } else {
            self.heap.write(self.len)?;
            self.heap.count_change();
        }
        words.store(head + ARMED, 0);
        Ok(())
    }
}

/// Under the lock nothing changes, so a walk that fails has met damage.
pub(crate) fn found<T>(heap: &Heap, result: Result<T, Retry>) -> Result<T, ContainerError> {
    result.map_err(|Retry| heap.corrupt(0, "a container that leads nowhere").into())
}
