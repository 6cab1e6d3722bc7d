//! What has to be written when a list changes in its middle.
//!
//! What is on one side of the middle stays, the other side, the smaller one, moves by some positions: most of these are
//! whole pages, for which entries move in the directory, and the rest, up to half a page to either side, turns each page.
//! Of a page that turns by r places, all words but r are in place already.
//!
//! The plan is free to put any old page anywhere: all words are read before the first is written, since a change is done
//! at its commit.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::place::{State, entry_of};
use super::room::Side;
use super::{OFFSET, PER};

/// Words of a page up to which they are written by the record.
pub(super) const WRITTEN_BY_RECORD: u64 = 64;

/// Where words come from: what a position of the list as it will be was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Stays,
    New,
    Moves,
}

/// A page as it will be: where it stood in the directory, and its entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    /// Its index in [`Plan::old`].
    from: usize,
    pub(super) entry: u64,
    /// Words to write.
    pub(super) words: u64,
}

/// How a list changes in its middle. Positions are new ones where nothing else is said.
#[derive(Debug)]
pub(super) struct Plan {
    side: Side,
    pub(super) base: u64,
    pub(super) len: u64,
    /// The new elements.
    pub(super) middle: Range<u64>,
    /// What moves, and how far: by whole pages, and by places.
    moves: Range<u64>,
    pub(super) shift: i64,
    whole: i64,
    turn: i64,
    /// The first entry of the directory that may change, and these entries as they were.
    pub(super) first: u64,
    pub(super) old: Vec<u64>,
    pub(super) new: Vec<Page>,
}

impl Plan {
    pub(super) fn new(
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
        let full = self.pages_that_move();
        let source = |index: usize| {
            let source = (index as i64 - self.whole) as usize;
            (full.contains(&index) && source < count).then_some(source)
        };
        let is_taken = |old: usize| full.contains(&((old as i64 + self.whole) as usize));
        // The page that what stays shares with the middle.
        let shared = match self.side {
            Side::Front => count.wrapping_sub(1),
            Side::Back => 0,
        };
        let keeps_shared = shared < count && !is_taken(shared) && source(shared).is_none();
        let is_left = |old: &usize| !(is_taken(*old) || keeps_shared && *old == shared);
        let mut left = (0..count).filter(is_left);
        let page = |index: usize| {
            let own = (keeps_shared && index == shared).then_some(shared);
            let from = source(index).or(own).or_else(|| left.next())?;
            let turn = if full.contains(&index) { self.turn } else { 0 };
            Some(self.page(from, turn))
        };
        self.new = (0..count).filter_map(page).collect();
        self.turn_shared(shared);
        for index in 0..count {
            // A page that moves into the place of another one has all but its ends in place already.
            let is_inner = index > full.start && index + 1 < full.end;
            let words = if is_inner {
                self.turn.unsigned_abs()
            } else {
                self.count_page(index)
            };
            if let Some(page) = self.new.get_mut(index) {
                page.words = words;
            }
        }
    }

    fn page(&self, from: usize, turn: i64) -> Page {
        let old = self.old.get(from).copied().unwrap_or(0);
        let start = (old >> 48).wrapping_sub(turn as u64);
        Page {
            from,
            entry: entry_of(old & OFFSET, start),
            words: 0,
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
    pub(super) fn parts_of(&self, index: usize) -> impl Iterator<Item = (Part, Range<u64>, i64)> {
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
    pub(super) fn page_writes(&self, index: usize, mut write: impl FnMut(Part, Range<u64>)) {
        let Some(page) = self.new.get(index) else {
            return;
        };
        let old = self.old.get(page.from).copied().unwrap_or(0);
        for (part, positions, shift) in self.parts_of(index) {
            let (from, to) = (positions.start, positions.end);
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
            count += positions.end.saturating_sub(positions.start);
        });
        count
    }

    /// Writes of the change, without the head's and those of blobs, and the pages that are written anew.
    pub(super) fn count(&self) -> (u64, u64) {
        let (mut writes, mut pages) = (0, 0);
        for (index, page) in self.new.iter().enumerate() {
            match page.words {
                words if words > WRITTEN_BY_RECORD => (writes, pages) = (writes + 1, pages + 1),
                words => writes += words + u64::from(self.is_moved(index)),
            }
        }
        (writes, pages)
    }

    /// Whether an entry of the directory changes.
    pub(super) fn is_moved(&self, index: usize) -> bool {
        self.new.get(index).map(|page| page.entry) != self.old.get(index).copied()
    }

    /// Whether the list has pages now that it does not need.
    pub(super) fn is_spare(&self, state: &State) -> bool {
        let end = self.base + self.len;
        (state.cap - end) / PER > 1 || self.base / PER - state.floor / PER > 1
    }
}
