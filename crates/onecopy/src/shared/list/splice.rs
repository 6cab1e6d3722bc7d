//! Inserting, deleting and replacing in the middle.
//!
//! What is on one side of the middle stays, the other side, the smaller one, moves by some positions: most of these are
//! whole pages, for which entries move in the directory, and the rest, up to half a page to either side, turns each page.
//! Of a page that turns by r places, all words but r are in place already.
//!
//! The plan is made first and says which words have to be written; the same loop then counts and writes them. All words
//! are read before the first is written, since the change is done at its commit, so the plan is free to put any old page
//! anywhere. A page of which much has to be written is written anew, into a block of its own: a word costs three stores
//! and more by the record, and one there.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::super::change::Change;
use super::super::error::ContainerError;
use super::super::layout::{CLASSES, RECORD_WRITES};
use super::super::lock::Locked;
use super::super::value::{Incoming, PAGE_OF_WORDS, Word};
use super::place::{State, entry_of, slot};
use super::room::Side;
use super::whole::Source;
use super::{BASE, LEN, OFFSET, PAGE_BYTES, PER, RawList};

/// The longest list of writes; what needs more makes the list anew. 16 MiB, enough for an insertion into the middle of
/// 500 million elements.
const MOST_WRITES: u64 = 1 << 20;
/// Words of a page up to which they are written by the record.
const WRITTEN_BY_RECORD: u64 = 64;

/// Where words come from: what a position of the list as it will be was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Stays,
    New,
    Moves,
}

/// A page as it will be: where it stood in the directory, and its entry.
#[derive(Debug, Clone, Copy)]
struct Page {
    /// Its index in [`Plan::old`].
    from: usize,
    entry: u64,
}

/// How a list changes in its middle. Positions are new ones where nothing else is said.
#[derive(Debug)]
struct Plan {
    side: Side,
    base: u64,
    len: u64,
    /// The new elements.
    middle: Range<u64>,
    /// What moves, and how far: by whole pages, and by places.
    moves: Range<u64>,
    shift: i64,
    whole: i64,
    turn: i64,
    /// The first entry of the directory that may change, and these entries as they were.
    first: u64,
    old: Vec<u64>,
    new: Vec<Page>,
}

impl RawList {
    /// Replaces `cut`, a range of elements, by others.
    pub(super) fn splice(
        &self,
        locked: &Locked<'_>,
        cut: Range<u64>,
        values: &[Incoming<'_>],
    ) -> Result<(), ContainerError> {
        let (removed, added) = (cut.end - cut.start, values.len() as u64);
        let mut state = State::load(locked)?;
        if cut.start > cut.end || cut.end > state.len {
            return Err(self
                .heap
                .corrupt(self.heap.head + LEN, "a length that changed under the lock")
                .into());
        }
        if removed == 0 && added == 0 {
            return Ok(());
        }
        // What little is left of a list that was large is made anew, and the rest goes back to the store.
        let left = state.len - removed + added;
        if removed / 4 > left && Self::is_large(locked)? {
            return self.renew_spliced(locked, &state, cut, values);
        }
        let side = if cut.start < state.len - cut.end {
            Side::Front
        } else {
            Side::Back
        };
        if added > removed {
            state = self.reserve(locked, side, added - removed)?;
        }
        let plan = Plan::new(locked, &state, side, cut.clone(), added)?;
        let blobs = self.count_blobs(locked, &state, cut.clone())?;
        let places = values
            .iter()
            .filter(|value| matches!(value, Incoming::Blob(..)))
            .count() as u64;
        let (writes, pages) = plan.count();
        // A block that is taken writes up to seven words, one that is freed two; in a long list they share most of these.
        if writes + 2 + 9 * pages + 7 * places + 2 * blobs <= RECORD_WRITES {
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
            if let Some(blob) = Word(state.word(locked, index)?).as_blob() {
                change.free(blob)?;
            }
        }
        change.put_root(BASE, plan.base)?;
        change.put_root(LEN, plan.len)?;
        change.commit(true)?;
        if plan.is_spare(state) {
            self.trim(locked);
        }
        Ok(())
    }

    pub(super) fn count_blobs(
        &self,
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
    fn new(
        locked: &Locked<'_>,
        state: &State,
        side: Side,
        cut: Range<u64>,
        added: u64,
    ) -> Result<Self, ContainerError> {
        let grows = added as i64 - (cut.end - cut.start) as i64;
        let len = state.len.wrapping_add_signed(grows);
        let (shift, base) = match side {
            Side::Front => (-grows, state.base.wrapping_add_signed(-grows)),
            Side::Back => (grows, state.base),
        };
        let middle = base + cut.start..base + cut.start + added;
        // The entries that may change: from the page of what stays next to the middle to the end of the list that moves.
        let (moves, entries) = match side {
            Side::Front => {
                let last = (middle.end / PER + 1).min(state.cap / PER);
                (base..middle.start, state.floor / PER..last)
            }
            Side::Back => (middle.end..base + len, middle.start / PER..state.cap / PER),
        };
        let whole = (shift + PER as i64 / 2).div_euclid(PER as i64);
        let mut plan = Self {
            side,
            base,
            len,
            middle,
            moves,
            shift,
            whole,
            turn: shift - whole * PER as i64,
            first: entries.start,
            old: Vec::with_capacity((entries.end - entries.start) as usize),
            new: Vec::new(),
        };
        for index in entries {
            plan.old.push(state.entry(locked, index)?);
        }
        plan.deal_out();
        Ok(plan)
    }

    /// Says which page stands where.
    fn deal_out(&mut self) {
        let count = self.old.len();
        let mut from: Vec<Option<usize>> = vec![None; count];
        let mut is_taken = vec![false; count];
        let full = self.pages_that_move();
        for index in full.clone() {
            let source = (index as i64 - self.whole) as usize;
            if let (Some(taken), Some(place)) = (is_taken.get_mut(source), from.get_mut(index)) {
                *taken = true;
                *place = Some(source);
            }
        }
        // The page that what stays shares with the middle.
        let shared = match self.side {
            Side::Front => count.wrapping_sub(1),
            Side::Back => 0,
        };
        if let (Some(taken @ false), Some(place @ None)) =
            (is_taken.get_mut(shared), from.get_mut(shared))
        {
            *taken = true;
            *place = Some(shared);
        }
        let mut left = is_taken
            .iter()
            .enumerate()
            .filter(|taken| !taken.1)
            .map(|taken| taken.0);
        let from: Vec<usize> = from
            .into_iter()
            .filter_map(|place| place.or_else(|| left.next()))
            .collect();
        self.new = from.iter().map(|from| self.page(*from, 0)).collect();
        for index in full {
            let turned = self
                .new
                .get(index)
                .map(|page| self.page(page.from, self.turn));
            if let (Some(place), Some(turned)) = (self.new.get_mut(index), turned) {
                *place = turned;
            }
        }
        self.turn_shared(shared);
    }

    fn page(&self, from: usize, turn: i64) -> Page {
        let old = self.old.get(from).copied().unwrap_or(0);
        let start = (old >> 48).wrapping_sub(turn as u64);
        Page {
            from,
            entry: entry_of(old & OFFSET, start),
        }
    }

    /// Pages, counted from the first entry, that hold nothing but what moves.
    fn pages_that_move(&self) -> Range<usize> {
        let (start, end) = match self.side {
            Side::Front => (self.moves.start / PER, self.moves.end / PER),
            Side::Back => (self.moves.start.div_ceil(PER), self.moves.end.div_ceil(PER)),
        };
        if start >= end {
            return 0..0;
        }
        (start - self.first) as usize..(end - self.first) as usize
    }

    /// Turns the shared page as well if that is less to write.
    fn turn_shared(&mut self, shared: usize) {
        let Some(page) = self.new.get(shared).copied() else {
            return;
        };
        let unturned = self.count_page(shared);
        let turned = self.page(page.from, self.turn);
        self.set_page(shared, turned);
        if self.count_page(shared) >= unturned {
            self.set_page(shared, page);
        }
    }

    fn set_page(&mut self, index: usize, page: Page) {
        if let Some(place) = self.new.get_mut(index) {
            *place = page;
        }
    }

    fn part(&self, part: Part) -> (Range<u64>, i64) {
        let end = self.base + self.len;
        match (part, self.side) {
            (Part::Stays, Side::Front) => (self.middle.end..end, 0),
            (Part::Stays, Side::Back) => (self.base..self.middle.start, 0),
            (Part::New, _) => (self.middle.clone(), 0),
            (Part::Moves, _) => (self.moves.clone(), self.shift),
        }
    }

    /// The positions of a page that hold elements, and how far these move.
    fn parts_of(&self, index: usize) -> impl Iterator<Item = (Part, Range<u64>, i64)> {
        let start = (self.first + index as u64) * PER;
        let parts = [Part::Stays, Part::New, Part::Moves].map(|part| (part, self.part(part)));
        parts
            .into_iter()
            .filter_map(move |(part, (positions, shift))| {
                let (from, to) = (positions.start.max(start), positions.end.min(start + PER));
                (from < to).then_some((part, from..to, shift))
            })
    }

    /// The positions of a page that have to be written if it turns as planned.
    fn page_writes(&self, index: usize, mut write: impl FnMut(Part, Range<u64>)) {
        let Some(page) = self.new.get(index) else {
            return;
        };
        let old = self.old.get(page.from).copied().unwrap_or(0);
        for (
            part,
            Range {
                start: from,
                end: to,
            },
            shift,
        ) in self.parts_of(index)
        {
            let is_turned = page.entry >> 48 == (old >> 48).wrapping_sub(shift as u64) % PER;
            let mut kept = from..from;
            if part != Part::New && is_turned {
                // What was in this page before, at its positions of now.
                let before =
                    ((self.first + page.from as u64) * PER).wrapping_add_signed(shift) as i64;
                let clamp = |position: i64| position.clamp(from as i64, to as i64) as u64;
                kept = clamp(before)..clamp(before + PER as i64);
            }
            write(part, from..kept.start);
            write(part, kept.end..to);
        }
    }

    fn count_page(&self, index: usize) -> u64 {
        let mut count = 0;
        self.page_writes(index, |_, positions| {
            count += positions.end.saturating_sub(positions.start)
        });
        count
    }

    /// Writes of the change, without the head's and those of blobs, and the pages that are written anew.
    fn count(&self) -> (u64, u64) {
        let (mut writes, mut pages) = (0, 0);
        for index in 0..self.new.len() {
            match self.count_page(index) {
                words if words > WRITTEN_BY_RECORD => (writes, pages) = (writes + 1, pages + 1),
                words => writes += words + u64::from(self.is_moved(index)),
            }
        }
        (writes, pages)
    }

    /// Whether an entry of the directory changes.
    fn is_moved(&self, index: usize) -> bool {
        self.new.get(index).map(|page| page.entry) != self.old.get(index).copied()
    }

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
            if self.count_page(index) > WRITTEN_BY_RECORD {
                let page_now = change.allocate(PAGE_OF_WORDS, PAGE_BYTES)? + 8;
                self.fill(locked, index, page_now, words)?;
                change.put(place, entry_of(page_now, 0))?;
                left.push(page.entry & OFFSET);
                continue;
            }
            let mut result = Ok(());
            self.page_writes(index, |part, positions| {
                for position in positions {
                    if result.is_ok() {
                        result = self
                            .word(locked, part, position, words)
                            .and_then(|word| change.put(slot(page.entry, position), word));
                    }
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
        locked.heap.own(page + PAGE_BYTES - 8)?;
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

    /// What a position will hold.
    fn word(
        &self,
        locked: &Locked<'_>,
        part: Part,
        position: u64,
        words: &[u64],
    ) -> Result<u64, ContainerError> {
        if part == Part::New {
            return Ok(words
                .get((position - self.middle.start) as usize)
                .copied()
                .unwrap_or(0));
        }
        let shift = if part == Part::Moves { self.shift } else { 0 };
        let before = position.wrapping_add_signed(-shift);
        locked.load(slot(self.entry_of_old(before), before))
    }

    /// Whether the list has pages now that it does not need.
    fn is_spare(&self, state: &State) -> bool {
        let end = self.base + self.len;
        (state.cap - end) / PER > 1 || self.base / PER - state.floor / PER > 1
    }
}
