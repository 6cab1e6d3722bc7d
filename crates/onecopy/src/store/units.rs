//! Units: the interest of tokens in flight.
//!
//! ```text
//! row of 32 bytes:  {used (1) … generation (32) in the high half | object id | born, ms since boot | -}
//! ```
//! Pickling counts a unit, the first unpickling turns it into the receiver's hold, or drops it if the
//! receiver holds the object already. A unit outlives its sender: the token may still be in a pipe. One
//! that is never consumed stays until `collect(max_age)` or the end of the store.
//!
//! **Invariants.** `I1`: a used unit names an object that is LIVE. `I2`: generations only rise, so
//! a token that was used once never finds its unit again.
#![forbid(unsafe_code)]

use super::ObjectId;
use super::file::Locked;
use super::intent::Intent;
use super::layout::{Counter, UNIT_BYTES};
use super::objects::{Row, State};
use crate::error::{AccessError, AttachError};
use crate::sys::procfs;

/// Which unit a token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnitId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

const USED: u64 = 1;
const OBJECT: u64 = 8;
const BORN: u64 = 16;

impl Locked<'_> {
    /// Counts a token in flight.
    pub(crate) fn add_unit(&self, row: &Row) -> Result<UnitId, AccessError> {
        let file = self.file;
        let high = self
            .counter(Counter::UnitHigh)
            .min(file.geometry.unit_count);
        let hint = self.counter(Counter::UnitHint);
        let free = (hint..high).find(|index| file.mem.get(file.geometry.unit(*index)) & USED == 0);
        let index = free.unwrap_or(high);
        if index >= file.geometry.unit_count {
            return Err(AccessError::Full {
                store: file.uuid,
                what: "unit for a token in flight",
                capacity: file.geometry.unit_count,
                advice: "; tokens that were pickled and never unpickled can be given up by collect(max_age)",
            });
        }
        let next = index.saturating_add(1);
        file.commit_table(
            file.geometry.units,
            Counter::UnitTable,
            next.saturating_mul(UNIT_BYTES),
        )
        .map_err(|source| AccessError::Kernel {
            store: file.uuid,
            step: "fallocate",
            source,
        })?;
        let at = file.geometry.unit(index);
        let generation = (file.mem.get(at) >> 32) as u32;
        let mut intent = Intent::default();
        intent
            .set(at.saturating_add(OBJECT), row.id.word())
            .set(at.saturating_add(BORN), procfs::boot_ms())
            .set(at, u64::from(generation) << 32 | USED)
            .set(Counter::UnitHigh.offset(), high.max(next))
            .set(Counter::UnitHint.offset(), next)
            .set(self.count_at(row), row.count.saturating_add(1));
        intent.commit(file.mem);
        Ok(UnitId {
            index: index as u32,
            generation,
        })
    }

    /// Turns a token into a hold in `handle` of `slot`; without a handle (the process holds the object
    /// already) only its unit is dropped.
    pub(crate) fn redeem(
        &self,
        id: ObjectId,
        unit: UnitId,
        slot: u64,
        handle: Option<u64>,
    ) -> Result<Row, AttachError> {
        let row = match self.object(id)? {
            Some(row) if row.state == State::Live => row,
            _ => return Err(AttachError::Gone),
        };
        let in_flight = self.is_in_flight(unit, id);
        let held = u64::from(handle.is_some());
        // Every LIVE object is counted at least once (objects.rs I2), so it cannot vanish here.
        let count = row
            .count
            .saturating_add(held)
            .saturating_sub(u64::from(in_flight));
        let mut intent = Intent::default();
        if let Some(handle) = handle {
            self.commit_handle(slot, handle)?;
            self.set_handle(&mut intent, slot, handle, id.word());
        }
        if in_flight {
            self.free_unit(&mut intent, u64::from(unit.index));
        }
        intent.set(self.count_at(&row), count);
        intent.commit(self.file.mem);
        Ok(Row { count, ..row })
    }

    fn is_in_flight(&self, unit: UnitId, id: ObjectId) -> bool {
        let file = self.file;
        let index = u64::from(unit.index);
        let at = file.geometry.unit(index);
        index
            < self
                .counter(Counter::UnitHigh)
                .min(file.geometry.unit_count)
            && file.mem.get(at) == u64::from(unit.generation) << 32 | USED
            && file.mem.get(at.saturating_add(OBJECT)) == id.word()
    }

    fn free_unit(&self, intent: &mut Intent, index: u64) {
        let at = self.file.geometry.unit(index);
        let next = (self.file.mem.get(at) >> 32).wrapping_add(1) & u64::from(u32::MAX);
        intent.set(at, next << 32).set(
            Counter::UnitHint.offset(),
            self.counter(Counter::UnitHint).min(index),
        );
    }

    /// The object and the age in milliseconds of each unit in flight.
    pub(crate) fn units(&self) -> impl Iterator<Item = (u64, Option<ObjectId>, u64)> + '_ {
        let file = self.file;
        let high = self
            .counter(Counter::UnitHigh)
            .min(file.geometry.unit_count);
        let now = procfs::boot_ms();
        (0..high).filter_map(move |index| {
            let at = file.geometry.unit(index);
            let used = file.mem.get(at) & USED != 0;
            used.then(|| {
                let object = ObjectId::from_word(file.mem.get(at.saturating_add(OBJECT)));
                (
                    index,
                    object,
                    now.saturating_sub(file.mem.get(at.saturating_add(BORN))),
                )
            })
        })
    }

    /// Gives up a unit. Returns the object if that was the last interest in it (see `drop_hold`).
    pub(crate) fn drop_unit(&self, index: u64, me: u64) -> Result<Option<Row>, AccessError> {
        let at = self.file.geometry.unit(index);
        let object = ObjectId::from_word(self.file.mem.get(at.saturating_add(OBJECT)));
        let row = match object {
            Some(id) => self.object(id)?,
            None => None,
        };
        let Some(row) = row else {
            return Err(self
                .file
                .corrupt(at, "a unit of an object that is gone")
                .into());
        };
        let mut intent = Intent::default();
        self.free_unit(&mut intent, index);
        let dying = self.subtract(&mut intent, &row, me);
        intent.commit(self.file.mem);
        Ok(dying)
    }
}
