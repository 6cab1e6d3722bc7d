//! Inserting, deleting and replacing in the middle.
//!
//! The plan (plan.rs) says which words have to be written, so they are counted first. Few go into the intent record, more
//! into the long one, and for more than that the list is made anew. A page of which much has to be written is written anew,
//! into a block of its own: a word costs three stores and more by the record, and one there.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::super::change::Change;
use super::super::error::ContainerError;
use super::super::layout::{CLASSES, RECORD_WRITES};
use super::super::lock::Locked;
use super::super::value::{Incoming, PAGE_OF_WORDS, Word};
use super::place::{State, entry_of, slot};
use super::plan::{Part, Plan, WRITTEN_BY_RECORD};
use super::room::Side;
use super::whole::Source;
use super::{BASE, LEN, OFFSET, PAGE_BYTES, PER, RawList};

/// The longest list of writes; what needs more makes the list anew. 16 MiB, enough for an insertion into the middle of
/// 500 million elements.
pub(super) const MOST_WRITES: u64 = 1 << 20;

impl RawList {
    /// Replaces `cut`, a range of elements, by others.
    pub(super) fn splice(
        &self,
        locked: &Locked<'_>,
        cut: Range<u64>,
        values: &[Incoming<'_>],
    ) -> Result<(), ContainerError> {
        let state = State::load(locked)?;
        if cut.start > cut.end || cut.end > state.len {
            return Err(self
                .heap
                .corrupt(self.heap.head + LEN, "a length that changed under the lock")
                .into());
        }
        let (removed, added) = (cut.end - cut.start, values.len() as u64);
        if removed == 0 && added == 0 {
            return Ok(());
        }
        // What little is left of a list that was large is made anew, and the rest goes back to the store.
        let left = state.len - removed + added;
        if removed / 4 > left && Self::is_large(locked)? {
            return self.renew_spliced(locked, &state, cut, values);
        }
        match self.splice_in_place(locked, state, cut, values) {
            // What takes everything out is not to fail for want of memory for its record.
            Err(ContainerError::Allocate(_)) if left == 0 => Self::empty(locked),
            done => done,
        }
    }

    fn splice_in_place(
        &self,
        locked: &Locked<'_>,
        mut state: State,
        cut: Range<u64>,
        values: &[Incoming<'_>],
    ) -> Result<(), ContainerError> {
        let (removed, added) = (cut.end - cut.start, values.len() as u64);
        let side = if cut.start < state.len - cut.end {
            Side::Front
        } else {
            Side::Back
        };
        if added > removed {
            state = Self::reserve(locked, side, added - removed)?;
        }
        let plan = Plan::new(locked, &state, side, cut.clone(), added)?;
        let blobs = Self::count_blobs(locked, &state, cut.clone())?;
        let places = values
            .iter()
            .filter(|value| matches!(value, Incoming::Blob(..)))
            .count() as u64;
        let (writes, pages) = plan.count();
        // A block that is taken writes up to seven words, one that is freed two; in a long list they share most of these.
        if writes + 4 + 9 * pages + 7 * places + 2 * blobs <= RECORD_WRITES {
            return self.carry_out(locked, locked.change(), &plan, &state, cut, values);
        }
        let classes = 3 * (places + 1).min(CLASSES) + blobs.min(CLASSES);
        let writes = writes + 4 * pages + 3 * places + blobs + classes;
        if writes > MOST_WRITES {
            return self.renew_spliced(locked, &state, cut, values);
        }
        let change = locked.long_change(writes)?;
        self.carry_out(locked, change, &plan, &state, cut, values)
    }

    fn renew_spliced(
        &self,
        locked: &Locked<'_>,
        state: &State,
        cut: Range<u64>,
        values: &[Incoming<'_>],
    ) -> Result<(), ContainerError> {
        let len = state.len - (cut.end - cut.start) + values.len() as u64;
        let kept = |range: Range<u64>| range.map(Source::Old);
        let values = values.iter().map(Source::New);
        let elements = kept(0..cut.start)
            .chain(values)
            .chain(kept(cut.end..state.len));
        self.renew(locked, state, elements, len)
    }

    fn carry_out(
        &self,
        locked: &Locked<'_>,
        mut change: Change<'_>,
        plan: &Plan,
        state: &State,
        cut: Range<u64>,
        values: &[Incoming<'_>],
    ) -> Result<(), ContainerError> {
        let mut words = Vec::with_capacity(values.len());
        for value in values {
            words.push(value.place(&mut change)?.0);
        }
        let left = plan.write(locked, state, &words, &mut change)?;
        for page in left {
            change.free(page - 8)?;
        }
        for index in cut {
            let word = Word(state.word(locked, index)?);
            if let Some(blob) = word.as_blob() {
                change.free(blob)?;
            }
            change.drops(word)?;
        }
        change.put_root(BASE, plan.base)?;
        change.put_root(LEN, plan.len)?;
        change.commit(true)?;
        if plan.is_spare(state) {
            self.trim(locked);
        }
        locked.give_back_idle();
        Ok(())
    }

    fn count_blobs(
        locked: &Locked<'_>,
        state: &State,
        range: Range<u64>,
    ) -> Result<u64, ContainerError> {
        let mut blobs = 0;
        for index in range {
            blobs += u64::from(Word(state.word(locked, index)?).as_blob().is_some());
        }
        Ok(blobs)
    }
}

impl Plan {
    /// Adds the pages to a change; those that are not needed any more.
    fn write(
        &self,
        locked: &Locked<'_>,
        state: &State,
        words: &[u64],
        change: &mut Change<'_>,
    ) -> Result<Vec<u64>, ContainerError> {
        let mut left = Vec::new();
        for (index, page) in self.new.iter().enumerate() {
            let place = state.directory + 8 * (self.first + index as u64);
            if page.words > WRITTEN_BY_RECORD {
                let page_now = change.allocate(PAGE_OF_WORDS, PAGE_BYTES)? + 8;
                self.fill(locked, index, page_now, words)?;
                change.put(place, entry_of(page_now, 0))?;
                left.push(page.entry & OFFSET);
                continue;
            }
            let mut result = Ok(());
            self.page_writes(index, |part, positions| {
                if result.is_ok() {
                    result = self.put_words(locked, part, positions, page.entry, words, change);
                }
            });
            result?;
            if self.is_moved(index) {
                change.put(place, page.entry)?;
            }
        }
        Ok(left)
    }

    /// Writes a page into a block that nobody can reach yet.
    fn fill(
        &self,
        locked: &Locked<'_>,
        index: usize,
        page: u64,
        words: &[u64],
    ) -> Result<(), ContainerError> {
        locked.heap.own_all(page, PAGE_BYTES)?;
        for (part, positions, shift) in self.parts_of(index) {
            let to = page + positions.start % PER * 8;
            if part != Part::New {
                self.copy(locked, positions, shift, to)?;
                continue;
            }
            let skipped = (positions.start - self.middle.start) as usize;
            let count = (positions.end - positions.start) as usize;
            for (place, word) in (to..)
                .step_by(8)
                .zip(words.iter().skip(skipped).take(count))
            {
                locked.prepare(place, *word)?;
            }
        }
        Ok(())
    }

    /// Copies what positions will hold from where it is.
    fn copy(
        &self,
        locked: &Locked<'_>,
        positions: Range<u64>,
        shift: i64,
        to: u64,
    ) -> Result<(), ContainerError> {
        let mut before = positions.start.wrapping_add_signed(-shift);
        let (mut to, end) = (to, positions.end.wrapping_add_signed(-shift));
        while before < end {
            let entry = self.entry_of_old(before);
            let place = (entry >> 48).wrapping_add(before) % PER;
            let count = (end - before).min(PER - before % PER).min(PER - place);
            for nth in 0..count {
                locked.note(to + 8 * nth);
            }
            if !locked.heap.words.copy(slot(entry, before), to, count) {
                return Err(locked
                    .heap
                    .corrupt(entry & OFFSET, "a page beyond the store")
                    .into());
            }
            before += count;
            to += 8 * count;
        }
        Ok(())
    }

    fn entry_of_old(&self, before: u64) -> u64 {
        self.old
            .get((before / PER - self.first) as usize)
            .copied()
            .unwrap_or(0)
    }

    /// Adds what positions will hold, all of them in the page of `entry`, to a change.
    fn put_words(
        &self,
        locked: &Locked<'_>,
        part: Part,
        positions: Range<u64>,
        entry: u64,
        words: &[u64],
        change: &mut Change<'_>,
    ) -> Result<(), ContainerError> {
        if part == Part::New {
            let skipped = (positions.start - self.middle.start) as usize;
            for (position, word) in positions.zip(words.iter().skip(skipped)) {
                change.put(slot(entry, position), *word)?;
            }
            return Ok(());
        }
        let shift = if part == Part::Moves { self.shift } else { 0 };
        let mut position = positions.start;
        while position < positions.end {
            let before = position.wrapping_add_signed(-shift);
            let old = self.entry_of_old(before);
            let count = (positions.end - position).min(PER - before % PER);
            for nth in 0..count {
                let word = locked.load(slot(old, before.wrapping_add(nth)))?;
                change.put(slot(entry, position + nth), word)?;
            }
            position += count;
        }
        Ok(())
    }
}
