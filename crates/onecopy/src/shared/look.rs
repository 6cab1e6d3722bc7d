//! Reading without writing: walk, copy out, then look whether anything was freed or moved meanwhile.
//!
//! A reader loads `seq`, walks by words that may change under it, and looks at `seq` again. Changes that free and move
//! nothing leave `seq` alone and disturb nobody. A writer that stands between its commit and its last write, because it
//! is stopped or dead, has all its writes in the intent record: the reader lays them over what it loads and goes on. So
//! a point read waits for nobody, and only one that was disturbed often takes the lock.
//!
//! A read of the whole container that was disturbed reads it as it was at one moment (past.rs).
//!
//! **When a change is seen**: all readers agree on one store. It is the one that makes `seq` odd, or, in a change that
//! moves nothing, the write that its author has put by [`Change::put_seen`](super::change::Change::put_seen). A point read
//! depends on no other word of such a change. A read of many words looks whether that write is done, and lays the rest of
//! the record over what it loads if it is.
//!
//! `changes` is odd from before that store until the change is done. So whoever has seen a change finds that what was read
//! ahead before it, of a [`Moment`] with an even `changes`, is not of now, though its author has stopped right after the
//! store. What is read while `changes` is odd has no moment that lasts. And as long as `changes` stays the same, at most one
//! change that moves nothing is seen.
//!
//! How often a read is tried, and what comes then: reading.rs.
//!
//! In a fork child that could be given no holds nobody looks: a reader finds no moment there, goes for the lock, and is
//! refused (container.rs I3).
//!
//! **Invariant.** `I1`: while the lock is held, a `Look` that was made under it is always valid.
#![forbid(unsafe_code)]

use super::change::seen_index;
use super::error::ContainerError;
pub(crate) use super::error::Retry;
use super::heap::Heap;
use super::layout::{ARMED, CHANGES, RECORD_WRITES, SEQ};
use super::number_map::NumberMap;
use super::past::Past;
use super::record::Record;
use crate::primitive::{Ordering, fence};

/// What a look at the past has in place of a record.
const OF_THE_PAST: Record = Record { at: 0, len: 1 };

/// A container at a moment that has not passed yet, as far as [`Look::check`] says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) heap: &'a Heap,
    seq: u64,
    changes: u64,
    /// Committed writes that may not be done; empty but for a reader that goes past a writer.
    overlay: Record,
    /// The same by offsets, if it is long.
    index: Option<&'a NumberMap<u64>>,
    /// Where the words come from instead; `overlay` is not empty then.
    past: Option<&'a Past<'a>>,
}

impl<'a> Look<'a> {
    /// What the holder of the lock sees (I1).
    #[inline(always)]
    pub(crate) fn locked(heap: &'a Heap) -> Self {
        let counters = [SEQ, CHANGES].map(|at| heap.top.relaxed(at));
        Self::new(heap, counters, Record::EMPTY)
    }

    /// What a read began with that found these counters, and a record to be laid over.
    #[inline(always)]
    fn new(heap: &'a Heap, [seq, changes]: [u64; 2], overlay: Record) -> Self {
        Self {
            heap,
            seq,
            changes,
            overlay,
            index: None,
            past: None,
        }
    }

    /// What a point read began with that found `seq` even.
    #[inline(always)]
    fn of_point(heap: &'a Heap, seq: u64) -> Self {
        Self::new(heap, [seq, 0], Record::EMPTY)
    }

    /// The same look of a point read, for a function that is called: whatever is borrowed by one lies in memory, in the
    /// quick way as well.
    #[inline(always)]
    pub(crate) fn point(&self) -> PointLook {
        PointLook { seq: self.seq }
    }

    /// The container as it was at a moment, of which these were the counters.
    pub(super) fn of_the_past(past: &'a Past<'a>, counters: [u64; 2]) -> Self {
        Self {
            past: Some(past),
            ..Self::new(past.heap, counters, OF_THE_PAST)
        }
    }

    /// Whether it is one at the past: then words are loaded one by one, by [`Look::load`].
    #[inline(always)]
    pub(crate) fn is_past(&self) -> bool {
        self.past.is_some()
    }

    /// What stands in the record that is laid over, or stood there in the past.
    #[cold]
    #[inline(never)]
    fn find(&self, at: u64) -> Result<Option<u64>, Retry> {
        match self.past {
            Some(past) => past.load(at).map(Some),
            None => Ok(match self.index {
                Some(index) => index.get(&at).copied(),
                None => self.overlay.find(&self.heap.words, at),
            }),
        }
    }

    /// Reads by this look. A record that is laid over is searched for every word, so a long one is put in order first.
    pub(super) fn read<T>(
        self,
        read: &mut dyn FnMut(&Look<'_>) -> Result<T, Retry>,
    ) -> Result<T, Retry> {
        if self.overlay.len <= RECORD_WRITES {
            return read(&self);
        }
        let index = self.overlay.index(&self.heap.words).ok_or(Retry)?;
        read(&Look {
            index: Some(&index),
            ..self
        })
    }

    /// A word at an offset that may be anything.
    #[inline(always)]
    pub(crate) fn load(&self, at: u64) -> Result<u64, Retry> {
        if !self.overlay.is_empty()
            && let Some(value) = self.find(at)?
        {
            return Ok(value);
        }
        self.heap.words.load(at).ok_or(Retry)
    }

    /// Appends words that lie one after the other to what has been read; the offset may be anything.
    pub(crate) fn append_words(&self, at: u64, count: u64, to: &mut Vec<u64>) -> Result<(), Retry> {
        to.try_reserve(count as usize).map_err(|_| Retry)?;
        if self.overlay.is_empty() {
            return self.heap.words.append(at, count, to).ok_or(Retry);
        }
        for nth in 0..count {
            to.push(self.load(at.wrapping_add(8 * nth))?);
        }
        Ok(())
    }

    /// A word of the head.
    #[inline(always)]
    pub(crate) fn root(&self, at: u64) -> u64 {
        if !self.overlay.is_empty()
            && let Ok(Some(value)) = self.find(self.heap.head + at)
        {
            return value;
        }
        self.heap.top.follow(at)
    }

    /// A word of the head as it is after all that was read so far. [`Look::check`] comes after it.
    #[inline(always)]
    pub(crate) fn root_after(&self, at: u64) -> u64 {
        // Acquire: neither the compiler nor the machine loads it before what was loaded until now.
        fence(Ordering::Acquire);
        self.root(at)
    }

    /// Whether nothing that was read since the beginning has been freed or moved.
    #[inline(always)]
    pub(crate) fn is_valid(&self) -> bool {
        // Acquire: whatever was loaded before, a store of it came after `seq` became odd, so that is seen here. Pairs
        // with the Release stores of `Change::commit`.
        fence(Ordering::Acquire);
        (self.heap.top.relaxed(SEQ) == self.seq || self.is_past())
            && (self.overlay.is_empty() || self.is_same_record())
    }

    /// Whether the record that is laid over is still that of the same change, or the past was written down to the end.
    #[cold]
    #[inline(never)]
    fn is_same_record(&self) -> bool {
        if let Some(past) = self.past {
            return past.is_valid();
        }
        self.heap.top.relaxed(CHANGES) == self.changes
    }

    /// The same, as what a read ends with.
    #[inline(always)]
    pub(crate) fn check(&self) -> Result<(), Retry> {
        if self.is_valid() { Ok(()) } else { Err(Retry) }
    }

    /// Whether nothing at all has changed since the beginning.
    #[inline(always)]
    pub(crate) fn is_current(&self) -> bool {
        // Acquire: what was loaded until now is no newer than what this asks for. `changes` comes last: a record that is
        // the next change's by now is no answer.
        fence(Ordering::Acquire);
        (self.changes & 1 == 0 || self.is_seen_as_before())
            && self.is_valid()
            && (self.heap.top.relaxed(CHANGES) == self.changes || self.is_past())
    }

    /// Whether the change that was under way, and moves nothing, is still seen, or not yet.
    #[cold]
    #[inline(never)]
    fn is_seen_as_before(&self) -> bool {
        self.seq & 1 == 1 || self.heap.seen_record() == Some(self.overlay)
    }

    /// `changes`, before what is loaded from now on.
    #[inline(always)]
    pub(crate) fn changes(&self) -> u64 {
        self.heap.top.acquire(CHANGES)
    }

    /// Whether `changes` is the same after all that was loaded until now: then at most one store by which a change that
    /// moves nothing is seen came between the loads.
    #[inline(always)]
    pub(crate) fn is_one_change(&self, changes: u64) -> bool {
        // Acquire: as in `is_valid`.
        fence(Ordering::Acquire);
        self.heap.top.relaxed(CHANGES) == changes
    }

    /// The moment, for caches that live longer than the look.
    #[inline(always)]
    pub(crate) fn moment(&self) -> Moment {
        let is_odd = self.changes & 1;
        Moment {
            seq: self.seq,
            // All ones, which `changes` never is, if it is odd.
            changes: self.changes | is_odd.wrapping_neg(),
        }
    }
}

/// What is left of the look of a point read when it is handed on by value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PointLook {
    seq: u64,
}

impl PointLook {
    /// The look again.
    #[inline(always)]
    pub(crate) fn of(self, heap: &Heap) -> Look<'_> {
        Look::of_point(heap, self.seq)
    }
}

/// Both counters at a time when no change that moves nothing was under way; otherwise no time at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    seq: u64,
    changes: u64,
}

impl Heap {
    /// Whether a moment is now.
    #[inline(always)]
    pub(crate) fn is_now(&self, moment: Moment) -> bool {
        !self.container.is_void()
            && self.top.acquire(SEQ) == moment.seq
            && self.top.relaxed(CHANGES) == moment.changes
    }

    /// Whether nothing has been freed or moved since a moment.
    #[inline(always)]
    pub(crate) fn is_unmoved(&self, moment: Moment) -> bool {
        !self.container.is_void() && self.top.acquire(SEQ) == moment.seq
    }

    #[inline(always)]
    pub(crate) fn look(&self) -> Option<Look<'_>> {
        if self.container.is_void() {
            return None;
        }
        // Acquire: pairs with Release in `Change::commit`, so that what is loaded after this is no older.
        let changes = self.top.acquire(CHANGES);
        let seq = self.top.acquire(SEQ);
        if seq & 1 == 1 {
            return None;
        }
        let overlay = if changes & 1 == 0 {
            Record::EMPTY
        } else {
            self.seen_record()?
        };
        Some(Look::new(self, [seq, changes], overlay))
    }

    /// The writes of a change that moves nothing, is under way and is seen already; [`Record::EMPTY`] if there is none.
    #[cold]
    #[inline(never)]
    fn seen_record(&self) -> Option<Record> {
        // Acquire: the record is at least that of this change.
        match self.top.acquire(ARMED) {
            0 => Some(Record::EMPTY),
            armed => self.seen_record_of(armed),
        }
    }

    fn seen_record_of(&self, armed: u64) -> Option<Record> {
        let Some(index) = seen_index(armed) else {
            return Some(Record::EMPTY);
        };
        let record = self.record_of(armed).ok()?;
        let (at, value) = record.write(&self.words, index);
        let is_seen = self.words.load(at)? == value;
        Some(if is_seen { record } else { Record::EMPTY })
    }

    /// The same without a look at the writers' line, which would have to come from the writers' processor each time; its
    /// moment means nothing.
    #[inline(always)]
    pub(crate) fn point_look(&self) -> Option<Look<'_>> {
        if self.container.is_void() {
            return None;
        }
        // Acquire: as in `look`.
        let seq = self.top.acquire(SEQ);
        (seq & 1 == 0).then_some(Look::of_point(self, seq))
    }

    /// A look past a writer, at the committed writes in its intent record as if they were done, which move something.
    pub(super) fn look_past_writer(&self) -> Option<Look<'_>> {
        if self.container.is_void() {
            return None;
        }
        let changes = self.top.acquire(CHANGES);
        let seq = self.top.acquire(SEQ);
        if seq & 1 == 0 {
            return self.look();
        }
        let overlay = self.armed_record().ok()?;
        if overlay.is_empty() {
            return None;
        }
        // The record is that change's, and stays so, as long as both counters stay the same: what a read ends with.
        let look = Look::new(self, [seq, changes], overlay);
        look.is_valid().then_some(look)
    }
}

/// Under the lock nothing changes, so a walk that fails has met damage.
pub(crate) fn found<T>(heap: &Heap, result: Result<T, Retry>) -> Result<T, ContainerError> {
    result.map_err(|Retry| heap.corrupt(0, "a container that leads nowhere").into())
}
