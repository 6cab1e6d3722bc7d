//! The object table: allocation, publication, holds and units, as changes under the store's lock.
//!
//! ```text
//! state word:  state (8) | process slot (24) | generation (32)
//! FREE ─▶ BUILDING(builder) ─▶ LIVE ─▶ DYING(who frees it) ─▶ FREE, generation + 1
//!              └──────── count falls to 0 ────────┘
//! ```
//! A **hold** is one word in the handle table of its process; a **unit** is one row of the unit table:
//! a token in flight. Both name an object by index and generation. `count` is their sum. A builder has
//! a hold from the beginning, so a failed or killed build is an object whose last hold goes.
//!
//! **Invariants.** `I1`: `count` = handles + units that name the object. `I2`: BUILDING or LIVE ⇒
//! count ≥ 1. `I3`: heads of runs ↔ entries that are not FREE, one to one. `I4`: `Allocated` = Σ
//! committed lengths of entries that are not FREE. Each change below is one intent record and keeps all
//! four. `verify.rs` checks them.
//!
//! **Crash points.** After any store of a change: intent.rs. Between the changes of one operation:
//! after *allocate*, the object is BUILDING and held by a dead process: its recovery drops the hold;
//! after *the last drop*, it is DYING: whoever recovers its owner punches again and finishes;
//! after *the punch*: the same.
#![forbid(unsafe_code)]

use super::ObjectId;
use super::file::Locked;
use super::intent::Intent;
use super::layout::{Counter, ENTRY_BYTES};
use super::spans;
use crate::error::{AccessError, AllocateError};
use crate::sys::mapping::PAGE;

/// States of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    Building,
    Live,
    Dying,
}

/// A row of the object table, checked against the geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: ObjectId,
    pub(crate) state: State,
    /// Builder or liberator: a process slot.
    pub(crate) owner: u64,
    pub(crate) first: u64,
    pub(crate) len: u64,
    pub(crate) count: u64,
}

impl Row {
    /// Bytes that are committed for the object.
    pub(crate) fn committed(&self) -> u64 {
        self.len.next_multiple_of(PAGE)
    }
}

pub(crate) const fn state_word(state: State, owner: u64, generation: u32) -> u64 {
    state as u64 | owner << 8 | (generation as u64) << 32
}

const FIRST: u64 = 8;
const LEN: u64 = 16;
const COUNT: u64 = 24;

impl Locked<'_> {
    /// Reads entry `index`, whatever its state.
    pub(crate) fn row(&self, index: u32) -> Result<Row, AccessError> {
        let file = self.file;
        let high = self
            .counter(Counter::EntryHigh)
            .min(file.geometry.entry_count);
        let at = file.geometry.entry(u64::from(index));
        if u64::from(index) >= high {
            return Err(file
                .corrupt(at, "an object beyond the end of the table")
                .into());
        }
        let word = file.mem.get(at);
        let state = match word & 0xff {
            0 => State::Free,
            1 => State::Building,
            2 => State::Live,
            3 => State::Dying,
            _ => return Err(file.corrupt(at, "an unknown object state").into()),
        };
        let read = |offset: u64| file.mem.get(at.saturating_add(offset));
        let row = Row {
            id: ObjectId {
                index,
                generation: (word >> 32) as u32,
            },
            state,
            owner: word >> 8 & 0xff_ffff,
            first: read(FIRST),
            len: read(LEN),
            count: read(COUNT),
        };
        let end = row.first.checked_add(spans::spans_of(row.len));
        if state != State::Free && end.is_none_or(|end| end > file.geometry.span_count) {
            return Err(file
                .corrupt(at, "an object beyond the end of the store")
                .into());
        }
        Ok(row)
    }

    /// Reads an object by id; `None` when it is free or another one by now.
    pub(crate) fn object(&self, id: ObjectId) -> Result<Option<Row>, AccessError> {
        if u64::from(id.index) >= self.counter(Counter::EntryHigh) {
            return Ok(None);
        }
        let row = self.row(id.index)?;
        Ok((row.id == id && row.state != State::Free).then_some(row))
    }

    /// Takes spans and a row for `len` bytes, held by the caller's handle, and not yet committed.
    pub(crate) fn allocate(&self, slot: u64, handle: u64, len: u64) -> Result<Row, AllocateError> {
        let file = self.file;
        self.check_quota(len)?;
        let n = spans::spans_of(len);
        let first = self.find_run(n, len)?;
        let index = self.find_entry()?;
        let at = file.geometry.entry(index);
        self.commit_handle(slot, handle)?;
        let generation = ((file.mem.get(at) >> 32) as u32).max(1);
        let row = Row {
            id: ObjectId {
                index: index as u32,
                generation,
            },
            state: State::Building,
            owner: slot,
            first,
            len,
            count: 1,
        };
        let end = first.saturating_add(n);
        let table_bytes = end.saturating_mul(8);
        file.commit_table(file.geometry.spans, Counter::SpanTable, table_bytes)
            .map_err(|source| AllocateError::Kernel {
                requested: len,
                source,
            })?;
        let allocated = self
            .counter(Counter::Allocated)
            .saturating_add(row.committed());
        let mut intent = Intent::default();
        intent
            .set(file.geometry.span_word(first), spans::head(n))
            .set(
                Counter::SpanHigh.offset(),
                self.counter(Counter::SpanHigh).max(end),
            )
            .set(Counter::SpanHint.offset(), self.hint_after_take(first, n))
            .set(
                Counter::EntryHigh.offset(),
                self.counter(Counter::EntryHigh)
                    .max(index.saturating_add(1)),
            )
            .set(Counter::EntryHint.offset(), index.saturating_add(1))
            .set(Counter::Allocated.offset(), allocated)
            .set(at.saturating_add(FIRST), first)
            .set(at.saturating_add(LEN), len)
            .set(at.saturating_add(COUNT), 1)
            .set(at, state_word(State::Building, slot, generation));
        self.set_handle(&mut intent, slot, handle, row.id.word());
        intent.commit(file.mem);
        Ok(row)
    }

    fn check_quota(&self, requested: u64) -> Result<(), AllocateError> {
        let max_bytes = self.counter(Counter::MaxBytes);
        let allocated = self.counter(Counter::Allocated);
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

    fn find_entry(&self) -> Result<u64, AllocateError> {
        let file = self.file;
        let high = self
            .counter(Counter::EntryHigh)
            .min(file.geometry.entry_count);
        let hint = self.counter(Counter::EntryHint);
        let state = |index: u64| file.mem.get(file.geometry.entry(index)) as u8;
        let free = (hint..high).find(|index| state(*index) == State::Free as u8);
        let index = free.unwrap_or(high);
        if index >= file.geometry.entry_count {
            let capacity = file.geometry.entry_count;
            return Err(AllocateError::Full {
                store: file.uuid,
                what: "object entry",
                capacity,
            });
        }
        let needed = index.saturating_add(1).saturating_mul(ENTRY_BYTES);
        file.commit_table(file.geometry.entries, Counter::EntryTable, needed)
            .map_err(|source| AllocateError::Kernel {
                requested: needed,
                source,
            })?;
        Ok(index)
    }

    /// BUILDING → LIVE, by its builder.
    pub(crate) fn publish(&self, id: ObjectId, slot: u64) -> Result<(), AccessError> {
        match self.object(id)? {
            Some(row) if row.state == State::Building && row.owner == slot => {
                let at = self.file.geometry.entry(u64::from(id.index));
                let mut intent = Intent::default();
                intent.set(at, state_word(State::Live, 0, id.generation));
                intent.commit(self.file.mem);
                Ok(())
            }
            _ => Err(AccessError::Inherited { index: id.index }),
        }
    }

    /// Adds a hold of process `slot` on an object that somebody else holds already.
    pub(crate) fn add_hold(&self, row: &Row, slot: u64, handle: u64) -> Result<(), AccessError> {
        self.commit_handle(slot, handle)?;
        let mut intent = Intent::default();
        intent.set(self.count_at(row), row.count.saturating_add(1));
        self.set_handle(&mut intent, slot, handle, row.id.word());
        intent.commit(self.file.mem);
        Ok(())
    }

    /// Drops the hold in a handle. Returns the object if that was the last interest in it: then it is
    /// DYING, and the caller (process slot `me`) punches it and calls [`Locked::finish_free`].
    pub(crate) fn drop_hold(
        &self,
        slot: u64,
        handle: u64,
        me: u64,
    ) -> Result<Option<Row>, AccessError> {
        let at = self.file.geometry.handle(slot, handle);
        let Some(id) = ObjectId::from_word(self.file.mem.get(at)) else {
            return Ok(None);
        };
        let Some(row) = self.object(id)? else {
            return Err(self
                .file
                .corrupt(at, "a hold on an object that is gone")
                .into());
        };
        let mut intent = Intent::default();
        intent.set(at, 0);
        let dying = self.subtract(&mut intent, &row, me);
        intent.commit(self.file.mem);
        Ok(dying)
    }

    /// Adds "count − 1", and DYING at 0, to a change.
    pub(super) fn subtract(&self, intent: &mut Intent, row: &Row, me: u64) -> Option<Row> {
        let left = row.count.saturating_sub(1);
        intent.set(self.count_at(row), left);
        if left > 0 || row.state == State::Dying {
            return None;
        }
        let at = self.file.geometry.entry(u64::from(row.id.index));
        intent.set(at, state_word(State::Dying, me, row.id.generation));
        Some(Row {
            state: State::Dying,
            owner: me,
            count: 0,
            ..*row
        })
    }

    /// DYING → FREE after the pages were punched out. Does nothing if somebody else did it.
    pub(crate) fn finish_free(&self, row: &Row) -> Result<(), AccessError> {
        let Some(now) = self.object(row.id)? else {
            return Ok(());
        };
        if now.state != State::Dying {
            return Ok(());
        }
        let file = self.file;
        let at = file.geometry.entry(u64::from(row.id.index));
        let next = row.id.generation.wrapping_add(1).max(1);
        let index = u64::from(row.id.index);
        let allocated = self
            .counter(Counter::Allocated)
            .saturating_sub(now.committed());
        let mut intent = Intent::default();
        intent
            .set(file.geometry.span_word(now.first), 0)
            .set(
                Counter::SpanHint.offset(),
                self.counter(Counter::SpanHint).min(now.first),
            )
            .set(
                Counter::EntryHint.offset(),
                self.counter(Counter::EntryHint).min(index),
            )
            .set(Counter::Allocated.offset(), allocated)
            .set(at, state_word(State::Free, 0, next));
        intent.commit(file.mem);
        Ok(())
    }

    /// Makes `me` the one who frees a DYING object.
    pub(crate) fn adopt_dying(&self, row: &Row, me: u64) {
        let at = self.file.geometry.entry(u64::from(row.id.index));
        let mut intent = Intent::default();
        intent.set(at, state_word(State::Dying, me, row.id.generation));
        intent.commit(self.file.mem);
    }

    /// All entries that are not FREE.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<Row, AccessError>> + '_ {
        let high = self
            .counter(Counter::EntryHigh)
            .min(self.file.geometry.entry_count);
        (0..high as u32)
            .map(|index| self.row(index))
            .filter(|row| row.as_ref().map_or(true, |row| row.state != State::Free))
    }

    pub(super) fn count_at(&self, row: &Row) -> u64 {
        self.file
            .geometry
            .entry(u64::from(row.id.index))
            .saturating_add(COUNT)
    }
}
