//! Units: the interest of tokens in flight, and of containers (references.rs).
//!
//! ```text
//! row of 32 bytes:  {used (1) | generation (32) | reference (1), object id (54), born, ms since boot, -}
//! ```
//! All but the last word carry a check (check.rs). In a reference the last two words mean something else.
//!
//! Pickling counts a unit, the first unpickling turns it into the receiver's hold, or drops it if the
//! receiver holds the object already. A unit outlives its sender: the token may still be in a pipe. One
//! that is never consumed stays until `collect(max_age)` or the end of the store.
//!
//! **Invariants.** `I1`: a used unit names an object that is LIVE or CONTAINER. `I2`: generations only rise, so
//! a token that was used once never finds its unit again.
#![forbid(unsafe_code)]

use super::check;
use super::id::{ObjectId, UnitId};
use super::intent::Intent;
use super::layout::{Counter, UNIT_BYTES};
use super::locked::Locked;
use super::objects::{Row, State};
use super::token::Token;
use crate::error::{AccessError, AttachError, Corrupt};
use crate::sys::procfs;

/// A unit in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) index: u64,
    pub(crate) object: ObjectId,
    pub(crate) age_ms: u64,
}

/// Bits of a state: USED, the generation and REFERENCE.
const STATE_BITS: u32 = 34;
const USED: u64 = 1;
const REFERENCE: u64 = 1 << 33;
/// Bits of an object id.
pub(super) const OBJECT_BITS: u32 = 54;
const OBJECT: u64 = 8;
const BORN: u64 = 16;
const OTHER_LENGTH: &str = "an object of another length than was shared";

fn generation_of(state: u64) -> u64 {
    state >> 1 & u64::from(u32::MAX)
}

impl Locked<'_> {
    /// Counts a token in flight.
    pub(crate) fn add_unit(&self, row: &Row) -> Result<UnitId, AccessError> {
        let mut intent = Intent::default();
        let unit = self.take_unit(&mut intent, row.id, false)?;
        let at = self.file.geometry.unit(u64::from(unit.index));
        let born_at = at.saturating_add(BORN);
        let born = procfs::boot_ms().min(Counter::MAX);
        intent.set(born_at, check::with(born_at, Counter::BITS, born));
        self.set_count(&mut intent, row, row.count.saturating_add(1));
        self.commit(&intent)?;
        Ok(unit)
    }

    /// Adds the taking of a free unit for an object to a change: 4 writes.
    pub(super) fn take_unit(
        &self,
        intent: &mut Intent,
        object: ObjectId,
        is_reference: bool,
    ) -> Result<UnitId, AccessError> {
        let file = self.file;
        let high = self.high(Counter::UnitHigh)?;
        let hint = self.hint(Counter::UnitHint, high)?;
        let mut found = None;
        for index in hint..high {
            if self.unit_state(index)? & USED == 0 {
                found = Some(index);
                break;
            }
        }
        let index = found.unwrap_or(high);
        if index >= file.geometry.unit_count {
            return Err(AccessError::Full {
                store: file.uuid,
                what: "places for tokens on their way and objects in containers",
                capacity: file.geometry.unit_count,
                advice: "unpickle them or call onecopy.collect(max_age=…)",
            });
        }
        let next = index.saturating_add(1);
        file.commit_table(
            file.geometry.units,
            Counter::UnitTable,
            next.saturating_mul(UNIT_BYTES),
        )?;
        let at = file.geometry.unit(index);
        let last = if index < high {
            generation_of(self.unit_state(index)?)
        } else {
            0
        };
        let object_at = at.saturating_add(OBJECT);
        let kind = if is_reference { REFERENCE } else { 0 };
        intent
            .set(
                object_at,
                check::with(object_at, OBJECT_BITS, object.packed()),
            )
            .set(at, check::with(at, STATE_BITS, kind | last << 1 | USED))
            .set_counter(Counter::UnitHigh, high.max(next))
            .set_counter(Counter::UnitHint, next);
        Ok(UnitId {
            index: index as u32,
            generation: last as u32,
        })
    }

    /// The state of a unit below `UnitHigh`.
    fn unit_state(&self, index: u64) -> Result<u64, Corrupt> {
        let at = self.file.geometry.unit(index);
        check::value(at, STATE_BITS, self.file.mem.get(at))
            .ok_or_else(|| self.file.corrupt(at, "a unit that fails its check"))
    }

    pub(super) fn unit_object(&self, index: u64) -> Result<ObjectId, Corrupt> {
        let at = self.file.geometry.unit(index).saturating_add(OBJECT);
        check::value(at, OBJECT_BITS, self.file.mem.get(at))
            .and_then(ObjectId::from_packed)
            .ok_or_else(|| self.file.corrupt(at, "a unit without an object"))
    }

    /// Turns a token of an object that is `wanted`, LIVE or CONTAINER, into a hold in `handle` of `slot`; without a handle
    /// (the process holds the object already) only its unit is dropped.
    ///
    /// # Errors
    /// [`AttachError::WrongType`] for the other of the two; the token stays good.
    pub(crate) fn redeem(
        &self,
        token: &Token,
        wanted: State,
        slot: u64,
        handle: Option<u64>,
    ) -> Result<Row, AttachError> {
        let (id, unit) = (token.object, token.unit);
        let row = match self.object(id)? {
            Some(row) if row.state == wanted => row,
            Some(Row {
                state: State::Live, ..
            }) => {
                return Err(AttachError::WrongType {
                    expected: "a container",
                    what: "an object that never changes".to_owned(),
                });
            }
            Some(Row {
                state: State::Container,
                ..
            }) => {
                return Err(AttachError::WrongType {
                    expected: "an object that never changes",
                    what: "a container".to_owned(),
                });
            }
            _ => return Err(AttachError::Gone),
        };
        if row.len != token.len {
            let at = self.file.geometry.entry(u64::from(id.index));
            return Err(self.file.corrupt(at, OTHER_LENGTH).into());
        }
        self.check_reach(&row)?;
        let in_flight = self.is_in_flight(unit, id)?;
        let held = u64::from(handle.is_some());
        // Every such object is counted at least once (objects.rs I2), so it cannot vanish here.
        let count = row
            .count
            .saturating_add(held)
            .saturating_sub(u64::from(in_flight));
        let mut intent = Intent::default();
        if let Some(handle) = handle {
            self.commit_handle(slot, handle)?;
            self.set_handle(&mut intent, slot, handle, id)?;
        }
        if in_flight {
            self.free_unit(&mut intent, u64::from(unit.index))?;
        }
        self.set_count(&mut intent, &row, count);
        self.commit(&intent)?;
        Ok(Row { count, ..row })
    }

    /// Whether an object lies within the file.
    pub(super) fn check_reach(&self, row: &Row) -> Result<(), Corrupt> {
        let start = self.file.geometry.span_data(row.first);
        let end = start.saturating_add(row.committed());
        // An object without bytes commits nothing and may lie past the end of the file.
        if start == end || self.file.reaches(end) {
            return Ok(());
        }
        let at = self.file.geometry.entry(u64::from(row.id.index));
        Err(self.file.corrupt(at, OTHER_LENGTH))
    }

    fn is_in_flight(&self, unit: UnitId, id: ObjectId) -> Result<bool, Corrupt> {
        let index = u64::from(unit.index);
        Ok(index < self.high(Counter::UnitHigh)?
            && self.unit_state(index)? == u64::from(unit.generation) << 1 | USED
            && self.unit_object(index)? == id)
    }

    /// Adds the freeing of a unit to a change: 2 writes.
    pub(super) fn free_unit(&self, intent: &mut Intent, index: u64) -> Result<(), Corrupt> {
        let at = self.file.geometry.unit(index);
        let next = generation_of(self.unit_state(index)?).wrapping_add(1) & u64::from(u32::MAX);
        let hint = self.hint(Counter::UnitHint, self.high(Counter::UnitHigh)?)?;
        intent
            .set(at, check::with(at, STATE_BITS, next << 1))
            .set_counter(Counter::UnitHint, hint.min(index));
        Ok(())
    }

    /// The generation of a unit that is a reference; `None` of any other.
    pub(super) fn reference_at(&self, index: u64) -> Result<Option<u32>, Corrupt> {
        if index >= self.high(Counter::UnitHigh)? {
            return Ok(None);
        }
        let state = self.unit_state(index)?;
        let is_reference = state & (USED | REFERENCE) == USED | REFERENCE;
        Ok(is_reference.then_some(generation_of(state) as u32))
    }

    /// All units in flight.
    pub(crate) fn units(&self) -> Result<Vec<Unit>, Corrupt> {
        let mut units = Vec::new();
        let now = procfs::boot_ms();
        for index in 0..self.high(Counter::UnitHigh)? {
            if self.unit_state(index)? & (USED | REFERENCE) != USED {
                continue;
            }
            let at = self.file.geometry.unit(index).saturating_add(BORN);
            let born = check::value(at, Counter::BITS, self.file.mem.get(at))
                .ok_or_else(|| self.file.corrupt(at, "a unit's time that fails its check"))?;
            units.push(Unit {
                index,
                object: self.unit_object(index)?,
                age_ms: now.saturating_sub(born),
            });
        }
        Ok(units)
    }

    /// Gives up a unit. What dies of it is added to `dying` (see `drop_hold`).
    pub(crate) fn drop_unit(
        &self,
        unit: &Unit,
        me: u64,
        dying: &mut Vec<Row>,
    ) -> Result<(), AccessError> {
        let Some(row) = self.object(unit.object)? else {
            let at = self.file.geometry.unit(unit.index);
            return Err(self
                .file
                .corrupt(at, "a unit of an object that is gone")
                .into());
        };
        let mut intent = Intent::default();
        self.free_unit(&mut intent, unit.index)?;
        self.subtract(intent, &row, me, dying)
    }
}
