//! Pages and the directory: more of them before they are needed, fewer when they are not.
//!
//! Each step is a change of its own, and the list is the same before and after it.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::layout::END;
use super::super::lock::Locked;
use super::super::value::{DIRECTORY, PAGE_OF_WORDS};
use super::place::{State, entry_of};
use super::{CAP, FLOOR, OFFSET, PAGE_BYTES, PEAK, PER, RawList, SMALL};

/// Entries of the first directory.
const FEWEST_ENTRIES: u64 = 16;
/// Spare pages that stay at each end: a queue, or a list that breathes, would take and free them all the time.
const SPARE: u64 = 1;
/// Pages that one change frees: two words each, and the class's row.
const FREED_AT_ONCE: u64 = 24;
/// Bytes of chunks up to which it is not worth the trouble to make a list anew: new pages for 20,000 elements take as long as
/// half of their appends.
const FEW_BYTES: u64 = if cfg!(any(test, feature = "testing")) {
    64 << 10
} else {
    256 << 10
};

/// The end of a list that needs room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Front,
    Back,
}

impl RawList {
    /// Sees to it that `more` elements have pages behind the last.
    #[cold]
    #[inline(never)]
    pub(super) fn reserve_back(locked: &Locked<'_>, more: u64) -> Result<State, ContainerError> {
        Self::reserve(locked, Side::Back, more)
    }

    /// Sees to it that `more` elements have pages at one end.
    pub(super) fn reserve(
        locked: &Locked<'_>,
        side: Side,
        more: u64,
    ) -> Result<State, ContainerError> {
        loop {
            let state = State::load(locked)?;
            let room = match side {
                Side::Front => state.base - state.floor,
                Side::Back => state.cap - state.end(),
            };
            if room >= more {
                return Ok(state);
            }
            let pages = (more - room).div_ceil(PER);
            let is_full = match side {
                Side::Front => state.floor == 0,
                Side::Back => state.cap / PER == state.entries,
            };
            if is_full {
                Self::renew_directory(locked, &state, side, pages)?;
            } else {
                Self::add_page(locked, &state, side)?;
            }
        }
    }

    fn add_page(locked: &Locked<'_>, state: &State, side: Side) -> Result<(), ContainerError> {
        let mut change = locked.change();
        let page = change.allocate(PAGE_OF_WORDS, PAGE_BYTES)? + 8;
        let index = match side {
            Side::Front => state.floor / PER - 1,
            Side::Back => state.cap / PER,
        };
        // No element is at these positions.
        change.prepare(state.directory + 8 * index, entry_of(page, 0))?;
        match side {
            Side::Front => change.put_root(FLOOR, state.floor - PER)?,
            Side::Back => change.put_root(CAP, state.cap + PER)?,
        }
        if state.pages() >= locked.root(PEAK) {
            change.put_root(PEAK, state.pages() + 1)?;
        }
        change.commit(false)
    }

    /// A directory twice as large as is needed, most of its room at the end that grows.
    fn renew_directory(
        locked: &Locked<'_>,
        state: &State,
        side: Side,
        more: u64,
    ) -> Result<(), ContainerError> {
        let pages = state.pages();
        let entries = pages
            .saturating_add(more)
            .saturating_mul(2)
            .max(FEWEST_ENTRIES);
        let spare = entries - pages;
        let first = match side {
            Side::Front => spare - spare / 8,
            Side::Back => spare / 8,
        };
        let mut change = locked.change();
        let directory = change.allocate(DIRECTORY, entries.saturating_mul(8))? + 8;
        for index in 0..pages {
            let entry = state.entry(locked, state.floor / PER + index)?;
            change.prepare(directory + 8 * (first + index), entry)?;
        }
        if state.entries > 0 {
            change.free(state.directory - 8)?;
        }
        // Positions move by whole pages, so all stay where they are in theirs.
        let base = state.base - state.floor + first * PER;
        let renewed = State {
            directory,
            entries,
            base,
            floor: first * PER,
            cap: (first + pages) * PER,
            ..*state
        };
        renewed.put(&mut change)?;
        change.commit(true)
    }

    /// Frees the pages that the list does not need any more, and makes it anew in less memory if it has shrunk to a quarter.
    /// What cannot be done now can be done later: the operation that made them spare has happened.
    #[cold]
    #[inline(never)]
    pub(super) fn trim(&self, locked: &Locked<'_>) {
        let _ = self.try_trim(locked);
    }

    fn try_trim(&self, locked: &Locked<'_>) -> Result<(), ContainerError> {
        let state = State::load(locked)?;
        let (peak, used) = (locked.root(PEAK), state.used_pages());
        if peak > 0 && 4 * used <= peak && Self::is_large(locked)? {
            let done = self.compact(locked, &state);
            if done.is_err() {
                // No memory to make it anew in: not before it has shrunk to a quarter again.
                let mut change = locked.change();
                change.put_root(PEAK, used)?;
                change.commit(false)?;
            }
            return done;
        }
        Self::free_spare_pages(locked)
    }

    /// Whether the list has so much memory that giving back some is worth making it anew.
    pub(super) fn is_large(locked: &Locked<'_>) -> Result<bool, ContainerError> {
        // The chunk that blocks come from now: it is another one as soon as the list takes more.
        let end = locked.root(END);
        if end == locked.root(SMALL) {
            return Ok(false);
        }
        let heap = locked.heap;
        let generation = heap.generation();
        let chunks = heap.container.chunks()?;
        let chunks = chunks.iter().filter(|chunk| chunk.tag == generation);
        let is_large = chunks.map(|chunk| chunk.len).sum::<u64>() > FEW_BYTES;
        if !is_large {
            locked.prepare(heap.head + SMALL, end)?;
        }
        Ok(is_large)
    }

    pub(super) fn free_spare_pages(locked: &Locked<'_>) -> Result<(), ContainerError> {
        loop {
            let mut state = State::load(locked)?;
            let spare_back = (state.cap - state.end()) / PER;
            let spare_front = state.base / PER - state.floor / PER;
            if spare_back <= SPARE && spare_front <= SPARE {
                return Ok(());
            }
            let mut change = locked.change();
            for _ in 0..spare_back.saturating_sub(SPARE).min(FREED_AT_ONCE) {
                state.cap -= PER;
                change.free((state.entry(locked, state.cap / PER)? & OFFSET) - 8)?;
            }
            if spare_back <= SPARE {
                for _ in 0..spare_front.saturating_sub(SPARE).min(FREED_AT_ONCE) {
                    change.free((state.entry(locked, state.floor / PER)? & OFFSET) - 8)?;
                    state.floor += PER;
                }
            }
            change.put_root(CAP, state.cap)?;
            change.put_root(FLOOR, state.floor)?;
            // A reader that saw the list longer may be in one of them.
            change.commit(true)?;
        }
    }
}
