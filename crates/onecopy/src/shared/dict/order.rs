//! The order of the keys: a word for each *place*, in pages that a directory leads to.
//!
//! ```text
//! root 1: log2 of entries (8) | offset of the directory ─▶ entries: offset of a page, 0 for none ─▶ words: offset of an entry, 0
//! ```
//! A new key gets the place behind the last. A deletion leaves a hole; when more than half of the places are holes, the
//! others move together into new pages. An entry says where its place is. Those words are written before the pages are
//! swapped, without a record: after a death in between they are wrong until a deletion notices it and puts all right.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::look::{Look, Retry};
use super::super::value::{DIRECTORY, PAGE_OF_WORDS};
use super::{FIRST, OFFSET, ORDER, PLACE_AT, RawDict, STATE, len_of, state, used_of};

/// Places of a page.
pub(super) const PER: u64 = if cfg!(test) { 8 } else { 512 };
/// Bytes of a page.
pub(super) const PAGE_BYTES: u64 = 8 * PER;
/// log2 of the entries of the first directory.
const SMALLEST: u64 = if cfg!(test) { 1 } else { 3 };
/// Places below which holes do not matter.
const FEW: u64 = 2 * PER;

/// Root 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory(pub(super) u64);

impl Directory {
    pub(super) fn new(log: u64, offset: u64) -> Self {
        Self(log << 48 | offset & OFFSET)
    }
    #[inline(always)]
    pub(super) fn offset(self) -> u64 {
        self.0 & OFFSET
    }
    pub(super) fn entries(self) -> u64 {
        if self.offset() == 0 {
            0
        } else {
            1 << (self.0 >> 48 & 31)
        }
    }
    /// Where the entry of a page stands.
    #[inline(always)]
    pub(super) fn entry_at(self, page: u64) -> u64 {
        self.offset().wrapping_add(8 * page)
    }
    /// log2 of the entries that so many places need.
    pub(super) fn log_for(places: u64) -> u64 {
        let pages = places.div_ceil(PER) + 1;
        u64::from(pages.next_power_of_two().trailing_zeros()).max(SMALLEST)
    }
}

/// Where the word of a place stands, for readers.
#[inline(always)]
pub(super) fn page_of(look: &Look<'_>, place: u64) -> Result<u64, Retry> {
    look.load(Directory(look.root(ORDER)).entry_at(place / PER))
}

impl RawDict {
    /// Where the word of a place stands that has a page.
    #[inline(always)]
    pub(super) fn place_at(&self, locked: &Locked<'_>, place: u64) -> Result<u64, ContainerError> {
        let page = locked.load(Directory(locked.root(ORDER)).entry_at(place / PER))?;
        Ok(page.wrapping_add(place % PER * 8))
    }

    /// Where the word of the next place stands.
    #[inline(always)]
    pub(super) fn next_place(&self, locked: &Locked<'_>) -> Result<u64, ContainerError> {
        let place = used_of(locked.root(STATE));
        if place.is_multiple_of(PER) {
            self.make_place(locked)?;
            return self.place_at(locked, used_of(locked.root(STATE)));
        }
        self.place_at(locked, place)
    }

    /// Makes a page for the next place.
    #[cold]
    #[inline(never)]
    fn make_place(&self, locked: &Locked<'_>) -> Result<(), ContainerError> {
        let state = locked.root(STATE);
        let (mut used, len) = (used_of(state), len_of(state));
        if used >= FEW && len < used / 2 || used >= super::LEN_MOST {
            self.close_gaps(locked)?;
            used = used_of(locked.root(STATE));
            if !used.is_multiple_of(PER) {
                return Ok(());
            }
        }
        self.make_page(locked, used / PER)
    }

    /// Makes a page, unless it is there.
    pub(super) fn make_page(&self, locked: &Locked<'_>, page: u64) -> Result<(), ContainerError> {
        let directory = Directory(locked.root(ORDER));
        if page >= directory.entries() {
            self.grow_directory(locked, directory, (page + 1) * PER)?;
        }
        let at = Directory(locked.root(ORDER)).entry_at(page);
        if locked.load(at)? != 0 {
            return Ok(());
        }
        let mut change = locked.change();
        let page = change.allocate(PAGE_OF_WORDS, PAGE_BYTES)? + 8;
        change.put(at, page)?;
        change.commit(false)
    }

    fn grow_directory(
        &self,
        locked: &Locked<'_>,
        old: Directory,
        places: u64,
    ) -> Result<(), ContainerError> {
        let log = Directory::log_for(places);
        let mut change = locked.change();
        let at = change.allocate(DIRECTORY, 8 << log)? + 8;
        for page in 0..1u64 << log {
            let entry = if page < old.entries() {
                locked.load(old.entry_at(page))?
            } else {
                0
            };
            change.prepare(at + 8 * page, entry)?;
        }
        change.put_root(ORDER, Directory::new(log, at).0)?;
        if old.offset() != 0 {
            change.free(old.offset().wrapping_sub(8))?;
        }
        change.commit(true)
    }

    /// The entries in their order, for the holder of the lock. Calls `take` for each.
    pub(super) fn each(
        &self,
        locked: &Locked<'_>,
        mut take: impl FnMut(u64) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        let used = used_of(locked.root(STATE));
        let (mut page, mut found) = (0, 0);
        for place in 0..used {
            if place.is_multiple_of(PER) {
                page = locked.load(Directory(locked.root(ORDER)).entry_at(place / PER))?;
            }
            let entry = locked.load(page.wrapping_add(place % PER * 8))?;
            if entry != 0 {
                found += 1;
                take(entry)?;
            }
        }
        if found != len_of(locked.root(STATE)) {
            return Err(self.corrupt(STATE, "a length that is not the number of keys"));
        }
        Ok(())
    }

    /// Moves the places that are no holes together.
    pub(super) fn close_gaps(&self, locked: &Locked<'_>) -> Result<(), ContainerError> {
        let old = Directory(locked.root(ORDER));
        let len = len_of(locked.root(STATE));
        let mut entries = Vec::with_capacity(len.min(1 << 20) as usize);
        self.each(locked, |entry| {
            entries.push(entry);
            locked.heap.words.prefetch(entry.wrapping_add(PLACE_AT));
            Ok(())
        })?;
        let log = Directory::log_for(len);
        let most = (len / PER + old.entries())
            .saturating_mul(4)
            .saturating_add(64);
        let mut change = locked.long_change(most)?;
        let directory = change.allocate(DIRECTORY, 8 << log)? + 8;
        for page in 0..1u64 << log {
            change.prepare(directory + 8 * page, 0)?;
        }
        for (page, entries) in (0..).zip(entries.chunks(PER as usize)) {
            let at = change.allocate(PAGE_OF_WORDS, PAGE_BYTES)? + 8;
            change.prepare(directory + 8 * page, at)?;
            for (nth, entry) in (0..).zip(entries) {
                change.prepare(at + 8 * nth, *entry)?;
                let hash = locked.load(entry.wrapping_add(PLACE_AT))? >> 32;
                change.prepare(
                    entry.wrapping_add(PLACE_AT),
                    hash << 32 | (page * PER + nth),
                )?;
            }
        }
        for page in 0..old.entries() {
            let page = locked.load(old.entry_at(page))?;
            if page != 0 {
                change.free(page.wrapping_sub(8))?;
            }
        }
        if old.offset() != 0 {
            change.free(old.offset().wrapping_sub(8))?;
        }
        change.put_root(ORDER, Directory::new(log, directory).0)?;
        change.put_root(STATE, state(len, len))?;
        change.put_root(FIRST, 0)?;
        change.commit(true)
    }

    /// An entry's place.
    #[inline(always)]
    pub(super) fn place_of(&self, locked: &Locked<'_>, entry: u64) -> Result<u64, ContainerError> {
        let place = locked.load(entry.wrapping_add(PLACE_AT))? & 0xffff_ffff;
        if place < used_of(locked.root(STATE))
            && locked.load(self.place_at(locked, place)?)? == entry
        {
            return Ok(place);
        }
        self.mend_places(locked, entry)
    }

    /// Somebody died while gaps were closed: the entries' words for their places are made true again.
    #[cold]
    #[inline(never)]
    fn mend_places(&self, locked: &Locked<'_>, wanted: u64) -> Result<u64, ContainerError> {
        let mut found = None;
        for place in 0..used_of(locked.root(STATE)) {
            let entry = locked.load(self.place_at(locked, place)?)?;
            if entry == 0 {
                continue;
            }
            let at = entry.wrapping_add(PLACE_AT);
            let word = locked.load(at)?;
            locked.prepare(at, word >> 32 << 32 | place)?;
            if entry == wanted {
                found = Some(place);
            }
        }
        found.ok_or_else(|| self.corrupt(STATE, "a key without a place"))
    }
}
