//! The object table: allocation, publication, holds and units, as changes under the store's lock.
//!
//! ```text
//! state word:  state (8) | owner (24) | generation (32)                 count word: count (32) and its check (check.rs)
//! link word:   tag, or kind (8) and first reference + 1 (24) | the next chunk's index + 1 (32)
//! FREE ─▶ BUILDING(builder) ─▶ LIVE or CONTAINER ─▶ DYING(who frees it) ─▶ FREE, generation + 1
//!              └────────────── count falls to 0 ──────────────┘
//! ```
//! A CONTAINER is written to and can get more memory, in rows of the state CHUNK: chunks.rs. In all other ways it is held,
//! counted and freed like a LIVE object.
//!
//! A **hold** is one word in the handle table of its process; a **unit** is one row of the unit table:
//! a token in flight, or a reference of a container (references.rs). All name an object by index and generation. `count` is their sum. A builder has
//! a hold from the beginning, so a failed or killed build is an object whose last hold goes.
//!
//! The check of the count covers the whole row, and a row counts as read only if the run of spans that it names begins
//! there and is as long as its bytes need: freeing an object punches its own pages, never another's.
//!
//! **Invariants.** `I1`: `count` = handles + units that name the object. `I2`: BUILDING, LIVE or CONTAINER ⇔
//! count ≥ 1. `I3`: heads of runs ↔ entries that are not FREE, one to one. `I4`: `Allocated` = Σ
//! committed lengths of entries that are not FREE. Each change below is one intent record and keeps all
//! four. `verify.rs` checks them.
//!
//! **Crash points.** After any store of a change: intent.rs. Between the changes of one operation:
//! after *allocate*, the object is BUILDING and held by a dead process: its recovery drops the hold;
//! after *the last drop*, it is DYING: whoever recovers its owner punches again and finishes, its chunks first;
//! after *the punch*: the same.
#![forbid(unsafe_code)]

use super::ObjectId;
use super::check;
use super::intent::Intent;
use super::layout::{Counter, ENTRY_BYTES, Geometry, MAX_CAPACITY, SPAN};
use super::locked::Locked;
use super::spans;
use crate::error::{AccessError, AllocateError, Corrupt};
use crate::sys::mapping::PAGE;

/// States of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    Building,
    Live,
    Dying,
    Container,
    Chunk,
}

/// A row of the object table, checked against the geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: ObjectId,
    pub(crate) state: State,
    /// Builder or liberator: a process slot. Of a CHUNK: the index of its container.
    pub(crate) owner: u64,
    pub(crate) first: u64,
    pub(crate) len: u64,
    pub(crate) count: u64,
    /// Of a CHUNK: what its container calls it by. Of a container: its kind and its first reference.
    pub(crate) tag: u32,
    /// Of a container: its newest chunk. Of a CHUNK: the one that is older.
    pub(crate) next: Option<u32>,
}

impl Row {
    /// Bytes that are committed for the object.
    pub(crate) fn committed(&self) -> u64 {
        self.len.next_multiple_of(PAGE)
    }

    /// The first unit of what a container refers to.
    pub(crate) fn first_reference(&self) -> Option<u32> {
        match self.state {
            State::Container | State::Dying => (self.tag >> 8).checked_sub(1),
            _ => None,
        }
    }

    /// Of a CHUNK: what its container calls it by. Of a container: its kind.
    pub(crate) fn tag(&self) -> u32 {
        match self.state {
            State::Container => self.tag & 0xff,
            _ => self.tag,
        }
    }

    /// The same row with another first reference.
    pub(crate) fn referring(self, first: Option<u32>) -> Self {
        let first = first.map_or(0, |first| first.saturating_add(1));
        Self {
            tag: self.tag & 0xff | first << 8,
            ..self
        }
    }

    /// Where its spans begin and end in the file.
    pub(crate) fn range(&self, geometry: &Geometry) -> (u64, u64) {
        let from = geometry.span_data(self.first);
        let bytes = spans::spans_of(self.len).saturating_mul(SPAN);
        (from, from.saturating_add(bytes))
    }
}

const FIRST: u64 = 8;
const LEN: u64 = 16;
const COUNT: u64 = 24;
const LINK: u64 = 32;
/// Bits of a count.
const COUNT_BITS: u32 = 32;

impl Row {
    fn state_word(&self) -> u64 {
        self.state as u64 | self.owner << 8 | u64::from(self.id.generation) << 32
    }

    fn link_word(&self) -> u64 {
        let next = self
            .next
            .map_or(0, |next| u64::from(next).saturating_add(1));
        u64::from(self.tag) | next << 32
    }

    /// What the check of the count is made from: the rest of the row and its place.
    const fn digest(at: u64, state_word: u64, first: u64, len: u64, link: u64) -> u64 {
        let place = check::mix(check::mix(len, link), at);
        check::mix(check::mix(state_word, first), place)
    }
}

impl Locked<'_> {
    /// Adds the words of a row that change with its state to a change.
    pub(super) fn set_row(&self, intent: &mut Intent, row: &Row) {
        let at = self.file.geometry.entry(u64::from(row.id.index));
        let (word, link) = (row.state_word(), row.link_word());
        let digest = Row::digest(at, word, row.first, row.len, link);
        let count = row.count.min(u64::from(u32::MAX));
        intent
            .set(
                at.saturating_add(COUNT),
                check::with(digest, COUNT_BITS, count),
            )
            .set(at.saturating_add(LINK), link)
            .set(at, word);
    }

    /// Reads entry `index`, whatever its state.
    pub(crate) fn row(&self, index: u32) -> Result<Row, Corrupt> {
        let file = self.file;
        let at = file.geometry.entry(u64::from(index));
        let corrupt = |what| file.corrupt(at, what);
        if u64::from(index) >= self.high(Counter::EntryHigh)? {
            return Err(corrupt("an object beyond the end of the table"));
        }
        self.row_at(index, at)
    }

    /// The same for an index below `EntryHigh`.
    fn row_at(&self, index: u32, at: u64) -> Result<Row, Corrupt> {
        let file = self.file;
        let corrupt = |what| file.corrupt(at, what);
        let read = |offset: u64| file.mem.get(at.saturating_add(offset));
        let (word, first, len, link) = (read(0), read(FIRST), read(LEN), read(LINK));
        let digest = Row::digest(at, word, first, len, link);
        let count = check::value(digest, COUNT_BITS, read(COUNT))
            .ok_or_else(|| corrupt("an object entry that fails its check"))?;
        let row = Row {
            id: ObjectId {
                index,
                generation: (word >> 32) as u32,
            },
            state: match word & 0xff {
                0 => State::Free,
                1 => State::Building,
                2 => State::Live,
                3 => State::Dying,
                4 => State::Container,
                5 => State::Chunk,
                _ => return Err(corrupt("an unknown object state")),
            },
            owner: word >> 8 & 0xff_ffff,
            first,
            len,
            count,
            tag: link as u32,
            next: ((link >> 32) as u32).checked_sub(1),
        };
        if row.state != State::Free {
            if first >= file.geometry.span_count {
                return Err(corrupt("an object beyond the end of the store"));
            }
            let run = self.run_at(first)?;
            if !run.is_used || run.n != spans::spans_of(len) {
                return Err(corrupt("an object whose spans are not headed by it"));
            }
        }
        Ok(row)
    }

    /// Reads an object by id; `None` when it is free or another one by now.
    pub(crate) fn object(&self, id: ObjectId) -> Result<Option<Row>, Corrupt> {
        if u64::from(id.index) >= self.high(Counter::EntryHigh)? {
            return Ok(None);
        }
        let row = self.row_at(id.index, self.file.geometry.entry(u64::from(id.index)))?;
        Ok((row.id == id && row.state != State::Free).then_some(row))
    }

    /// Takes spans and a row for `len` bytes, held by the caller's handle, and not yet committed.
    pub(crate) fn allocate(&self, slot: u64, handle: u64, len: u64) -> Result<Row, AllocateError> {
        let mut intent = Intent::default();
        let row = self.take_row(&mut intent, (State::Building, slot), len, 0)?;
        self.commit_handle(slot, handle)?;
        self.set_handle(&mut intent, slot, handle, row.id)?;
        self.commit(&intent)?;
        Ok(row)
    }

    /// Adds the taking of spans and a row for `len` bytes to a change: 13 writes. What is BUILDING has one hold.
    pub(super) fn take_row(
        &self,
        intent: &mut Intent,
        (state, owner): (State, u64),
        len: u64,
        tag: u32,
    ) -> Result<Row, AllocateError> {
        let file = self.file;
        if len > MAX_CAPACITY {
            // Sums of such a length could overflow.
            return Err(self.no_room(0, spans::spans_of(MAX_CAPACITY), len));
        }
        self.check_quota(len)?;
        let room = self.find_room(spans::spans_of(len), len)?;
        let (index, generation) = self.find_entry()?;
        let row = Row {
            id: ObjectId { index, generation },
            state,
            owner,
            first: room.first,
            len,
            count: u64::from(state == State::Building),
            tag,
            next: None,
        };
        let table_bytes = room.object_end().saturating_mul(8);
        file.commit_table(file.geometry.spans, Counter::SpanTable, table_bytes)?;
        let next = u64::from(index).saturating_add(1);
        let allocated = self
            .counter(Counter::Allocated)?
            .saturating_add(row.committed());
        let high = self.high(Counter::EntryHigh)?;
        let at = file.geometry.entry(u64::from(index));
        self.take_room(intent, &room);
        intent
            .set_counter(Counter::EntryHigh, high.max(next))
            .set_counter(Counter::EntryHint, next)
            .set_counter(Counter::Allocated, allocated)
            .set(at.saturating_add(FIRST), room.first)
            .set(at.saturating_add(LEN), len);
        self.set_row(intent, &row);
        Ok(row)
    }

    fn check_quota(&self, requested: u64) -> Result<(), AllocateError> {
        let max_bytes = self.counter(Counter::MaxBytes)?;
        let allocated = self.counter(Counter::Allocated)?;
        let after = allocated.saturating_add(requested.next_multiple_of(PAGE));
        if max_bytes != 0 && after > max_bytes {
            return Err(AllocateError::QuotaExceeded {
                requested,
                allocated,
                max_bytes,
            });
        }
        Ok(())
    }

    /// A free entry and the generation that its next object has.
    fn find_entry(&self) -> Result<(u32, u32), AllocateError> {
        let file = self.file;
        let high = self.high(Counter::EntryHigh)?;
        let hint = self.hint(Counter::EntryHint, high)?;
        let state = |index: u64| file.mem.get(file.geometry.entry(index)) as u8;
        let free = (hint..high).find(|index| state(*index) == State::Free as u8);
        if let Some(index) = free {
            let row = self.row(index as u32)?;
            return Ok((row.id.index, row.id.generation));
        }
        if high >= file.geometry.entry_count {
            let capacity = file.geometry.entry_count;
            return Err(AllocateError::Full {
                store: file.uuid,
                what: "object entry",
                capacity,
            });
        }
        let needed = high.saturating_add(1).saturating_mul(ENTRY_BYTES);
        file.commit_table(file.geometry.entries, Counter::EntryTable, needed)?;
        Ok((high as u32, 1))
    }

    /// BUILDING → LIVE, or CONTAINER of a kind, by its builder, who knows the row; `slot` is the caller's.
    pub(crate) fn publish(
        &self,
        built: &Row,
        slot: u64,
        kind: Option<u8>,
    ) -> Result<(), AccessError> {
        match self.object(built.id)? {
            Some(row) if row.state == State::Building && row.owner == slot => {
                if (row.first, row.len) != (built.first, built.len) {
                    let at = self.file.geometry.entry(u64::from(row.id.index));
                    return Err(self
                        .file
                        .corrupt(at, "an object that lies elsewhere by now")
                        .into());
                }
                let mut intent = Intent::default();
                let (state, tag) = match kind {
                    Some(kind) => (State::Container, u32::from(kind)),
                    None => (State::Live, 0),
                };
                let published = Row {
                    state,
                    owner: 0,
                    tag,
                    ..row
                };
                self.set_row(&mut intent, &published);
                Ok(self.commit(&intent)?)
            }
            _ => Err(AccessError::Inherited {
                index: built.id.index,
            }),
        }
    }

    /// Adds a hold of process `slot` on an object that somebody else holds already.
    pub(crate) fn add_hold(&self, row: &Row, slot: u64, handle: u64) -> Result<(), AccessError> {
        self.commit_handle(slot, handle)?;
        let mut intent = Intent::default();
        self.set_count(&mut intent, row, row.count.saturating_add(1));
        self.set_handle(&mut intent, slot, handle, row.id)?;
        Ok(self.commit(&intent)?)
    }

    /// Adds a row's new count to a change.
    pub(super) fn set_count(&self, intent: &mut Intent, row: &Row, count: u64) {
        self.set_row(intent, &Row { count, ..*row });
    }

    /// Drops the hold in a handle; `expected` is the object that its process knows to be there. If that was the last
    /// interest in it, it and its chunks are DYING and added to `dying`: the caller (process slot `me`) punches each and
    /// calls [`Locked::finish_free`].
    pub(crate) fn drop_hold(
        &self,
        slot: u64,
        handle: u64,
        expected: Option<ObjectId>,
        me: u64,
        dying: &mut Vec<Row>,
    ) -> Result<(), AccessError> {
        let at = self.file.geometry.handle(slot, handle);
        let found = self.handle(slot, handle)?;
        if expected.is_some() && found != expected {
            return Err(self
                .file
                .corrupt(at, "a hold on another object than was taken")
                .into());
        }
        let Some(id) = found else {
            return Ok(());
        };
        let Some(row) = self.object(id)? else {
            return Err(self
                .file
                .corrupt(at, "a hold on an object that is gone")
                .into());
        };
        let mut intent = Intent::default();
        self.clear_handle(&mut intent, slot, handle);
        self.subtract(intent, &row, me, dying)
    }

    /// Commits a change with "count − 1", and DYING at 0. Chunks of what died so follow it, one change each.
    pub(super) fn subtract(
        &self,
        mut intent: Intent,
        row: &Row,
        me: u64,
        dying: &mut Vec<Row>,
    ) -> Result<(), AccessError> {
        if row.state == State::Chunk {
            let at = self.file.geometry.entry(u64::from(row.id.index));
            return Err(self.file.corrupt(at, "a hold or unit of a chunk").into());
        }
        let left = row.count.saturating_sub(1);
        if left > 0 || row.state == State::Dying {
            self.set_count(&mut intent, row, left);
            return Ok(self.commit(&intent)?);
        }
        let died = Row {
            state: State::Dying,
            owner: me,
            count: 0,
            ..*row
        };
        self.set_row(&mut intent, &died);
        self.commit(&intent)?;
        self.free_all_chunks(&died, me, dying)
    }

    /// DYING → FREE after the pages were punched out. Does nothing if somebody else did it.
    pub(crate) fn finish_free(&self, row: &Row) -> Result<(), AccessError> {
        let Some(now) = self.object(row.id)? else {
            return Ok(());
        };
        // A container with chunks or references waits for them.
        if now.state != State::Dying || now.next.is_some() || now.first_reference().is_some() {
            return Ok(());
        }
        let index = u64::from(row.id.index);
        let high = self.high(Counter::EntryHigh)?;
        let hint = self.hint(Counter::EntryHint, high)?;
        let allocated = self
            .counter(Counter::Allocated)?
            .saturating_sub(now.committed());
        let mut intent = Intent::default();
        self.free_run(&mut intent, now.first, spans::spans_of(now.len))?;
        intent
            .set_counter(Counter::EntryHint, hint.min(index))
            .set_counter(Counter::Allocated, allocated);
        let free = Row {
            id: ObjectId {
                generation: row.id.generation.wrapping_add(1).max(1),
                ..row.id
            },
            state: State::Free,
            owner: 0,
            count: 0,
            tag: 0,
            ..now
        };
        self.set_row(&mut intent, &free);
        Ok(self.commit(&intent)?)
    }

    /// Makes `me` the one who frees a DYING object, and what chunks it still has.
    pub(crate) fn adopt_dying(
        &self,
        row: &Row,
        me: u64,
        dying: &mut Vec<Row>,
    ) -> Result<(), AccessError> {
        let mine = Row { owner: me, ..*row };
        let mut intent = Intent::default();
        self.set_row(&mut intent, &mine);
        self.commit(&intent)?;
        self.free_all_chunks(&mine, me, dying)
    }

    /// All entries that are not FREE.
    pub(crate) fn rows(&self) -> Result<impl Iterator<Item = Result<Row, Corrupt>> + '_, Corrupt> {
        let high = self.high(Counter::EntryHigh)?;
        Ok((0..high as u32)
            .map(|index| self.row_at(index, self.file.geometry.entry(u64::from(index))))
            .filter(|row| row.as_ref().map_or(true, |row| row.state != State::Free)))
    }
}
