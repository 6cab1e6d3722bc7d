//! Where the elements stand.
#![forbid(unsafe_code)]

use super::super::change::Change;
use super::super::error::ContainerError;
use super::super::layout::{FIRST_BLOCK, Header};
use super::super::lock::Locked;
use super::super::look::{Look, Retry};
use super::super::value::{DIRECTORY, PAGE_OF_WORDS};
use super::{BASE, CAP, DIRECTORY_AT, ENTRIES, FLOOR, LEN, OFFSET, PAGE_BYTES, PER};

/// Where the word of a position stands in the page of an entry. Both may be anything.
#[inline(always)]
pub(super) fn slot(entry: u64, position: u64) -> u64 {
    (entry & OFFSET).wrapping_add((entry >> 48).wrapping_add(position) % PER * 8)
}

/// An entry of the directory: a page, and the place in it of positions that are multiples of 512.
#[inline(always)]
pub(super) fn entry_of(page: u64, start: u64) -> u64 {
    page & OFFSET | (start % PER) << 48
}

/// Where the entry of a position stands.
#[inline(always)]
pub(super) fn entry_at(directory: u64, position: u64) -> u64 {
    directory.wrapping_add(position / PER * 8)
}

/// The index of an element, counted from the end if it is negative.
#[inline(always)]
pub(super) fn normal(index: i64, len: u64) -> Option<u64> {
    let index = if index < 0 {
        (index as u64).wrapping_add(len)
    } else {
        index as u64
    };
    (index < len).then_some(index)
}

/// The word of an element as a reader finds it.
#[inline(always)]
pub(super) fn look_up(look: &Look<'_>, index: u64) -> Result<u64, Retry> {
    let position = look.root(BASE).wrapping_add(index);
    let entry = look.load(entry_at(look.root(DIRECTORY_AT), position))?;
    look.load(slot(entry, position))
}

impl Look<'_> {
    /// Whether an entry leads to a page: where it is asked for each page, a damaged length ends no later than the pages.
    #[inline(always)]
    pub(super) fn check_page(&self, entry: u64) -> Result<(), Retry> {
        let header = Header(self.load((entry & OFFSET).wrapping_sub(8))?);
        if header.kind() == PAGE_OF_WORDS && header.len() == PAGE_BYTES {
            Ok(())
        } else {
            Err(Retry)
        }
    }
}

impl Locked<'_> {
    /// Where the word of an element stands.
    #[inline(always)]
    pub(super) fn place_of(&self, index: u64) -> Result<u64, ContainerError> {
        let position = self.root(BASE).wrapping_add(index);
        let entry = self.load(entry_at(self.root(DIRECTORY_AT), position))?;
        Ok(slot(entry, position))
    }
}

/// The words of a list's head, once they are known to fit each other: what they cover is the container's, so loops
/// over it end.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) directory: u64,
    pub(super) len: u64,
    pub(super) base: u64,
    pub(super) cap: u64,
    pub(super) entries: u64,
    pub(super) floor: u64,
}

impl State {
    /// Those of a list that never had an element.
    pub(super) const EMPTY: Self = Self {
        directory: 0,
        len: 0,
        base: 0,
        cap: 0,
        entries: 0,
        floor: 0,
    };

    /// The words as they are.
    ///
    /// # Errors
    /// They break the invariants.
    pub(super) fn load(locked: &Locked<'_>) -> Result<Self, ContainerError> {
        let state = Self {
            directory: locked.root(DIRECTORY_AT),
            len: locked.root(LEN),
            base: locked.root(BASE),
            cap: locked.root(CAP),
            entries: locked.root(ENTRIES),
            floor: locked.root(FLOOR),
        };
        state.check(locked)?;
        Ok(state)
    }

    fn check(&self, locked: &Locked<'_>) -> Result<(), ContainerError> {
        let heap = locked.heap;
        let room = self.entries.checked_mul(PER);
        let end = self.base.checked_add(self.len);
        let is_in_order = self.floor <= self.base
            && end.is_some_and(|end| end <= self.cap)
            && room.is_some_and(|room| self.cap <= room)
            && (self.floor | self.cap).is_multiple_of(PER);
        if !is_in_order {
            return Err(heap
                .corrupt(heap.head + LEN, "a length that does not fit its list")
                .into());
        }
        if self.entries == 0 {
            return Ok(());
        }
        let header = Header(locked.load(self.directory.wrapping_sub(8))?);
        if header.kind() != DIRECTORY || self.entries > header.len() / 8 {
            return Err(heap.corrupt(self.directory, "no directory").into());
        }
        heap.own_all(self.directory, 8 * self.entries)?;
        Ok(())
    }

    /// Position behind the last element.
    pub(super) fn end(&self) -> u64 {
        self.base + self.len
    }

    /// Pages that the list has.
    pub(super) fn pages(&self) -> u64 {
        (self.cap - self.floor) / PER
    }

    /// Pages that have elements.
    pub(super) fn used_pages(&self) -> u64 {
        if self.len == 0 {
            return 0;
        }
        self.end().div_ceil(PER) - self.base / PER
    }

    /// An entry that leads to a page (I1), or at least to 4 KiB of the container's that are not its head: a look at the
    /// page's header would be a cache miss for each.
    ///
    /// # Errors
    /// It leads elsewhere.
    #[inline]
    pub(super) fn entry(&self, locked: &Locked<'_>, index: u64) -> Result<u64, ContainerError> {
        let entry = locked.load(self.directory.wrapping_add(8 * index))?;
        let page = entry & OFFSET;
        if entry >> 48 >= PER || page.wrapping_sub(locked.heap.head) < FIRST_BLOCK {
            return Err(locked.heap.corrupt(page, "no page of a list").into());
        }
        locked.heap.own_all(page, PAGE_BYTES)?;
        Ok(entry)
    }

    /// The word of an element.
    ///
    /// # Errors
    /// As in [`State::entry`].
    pub(super) fn word(&self, locked: &Locked<'_>, index: u64) -> Result<u64, ContainerError> {
        let position = self.base + index;
        let entry = self.entry(locked, position / PER)?;
        locked.load(slot(entry, position))
    }

    /// Adds what the head has to say to a change.
    pub(super) fn put(&self, change: &mut Change<'_>) -> Result<(), ContainerError> {
        change.put_root(DIRECTORY_AT, self.directory)?;
        change.put_root(LEN, self.len)?;
        change.put_root(BASE, self.base)?;
        change.put_root(CAP, self.cap)?;
        change.put_root(ENTRIES, self.entries)?;
        change.put_root(FLOOR, self.floor)
    }
}
