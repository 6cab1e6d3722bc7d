//! Process slots and handle tables: who holds what. Whether a process is alive: alive.rs.
//!
//! ```text
//! slot of 64 bytes: {live (1) | generation (32), pid, born, handle high-water, handle bytes committed, …}
//! ```
//! All but the time carry a check (check.rs). A slot that was never used is zeros.
//!
//! **Crash points.** After the kernel lock, before LIVE: the lock goes with the process, the slot was
//! never taken. After LIVE: recover.rs.
#![forbid(unsafe_code)]

use std::os::fd::BorrowedFd;

use super::alive::{HANDLE_HIGH, LIVE, NUMBER_BITS, PID, STATE_BITS, is_unlocked, state};
use super::check;
use super::id::ObjectId;
use super::intent::Intent;
use super::layout::Counter;
use super::locked::Locked;
use crate::error::{AccessError, Corrupt};
use crate::sys::mapping::PAGE;
use crate::sys::{memory, procfs};

/// Bits of a handle: 22 of an object's index, since there are no more entries, and its generation.
const HANDLE_BITS: u32 = 54;
const BORN: u64 = 16;
const HANDLE_TABLE: u64 = 32;

impl Locked<'_> {
    /// Marks a reserved slot LIVE, with an empty handle table.
    pub(crate) fn enlist(&self, slot: u64, pid: u32) -> Result<(), AccessError> {
        let at = self.file.geometry.process(slot);
        let (pid_at, high_at) = (at.saturating_add(PID), at.saturating_add(HANDLE_HIGH));
        let high = self.high(Counter::ProcessHigh)?;
        let last = state(self.file, slot)? >> 1;
        let generation = last.wrapping_add(1) & u64::from(u32::MAX);
        let mut intent = Intent::default();
        intent
            .set(pid_at, check::with(pid_at, NUMBER_BITS, u64::from(pid)))
            .set(at.saturating_add(BORN), procfs::boot_ms())
            .set(high_at, check::with(high_at, NUMBER_BITS, 0))
            .set(at, check::with(at, STATE_BITS, generation << 1 | LIVE))
            .set_counter(Counter::ProcessHigh, high.max(slot.saturating_add(1)));
        Ok(self.commit(&intent)?)
    }

    /// Frees the slot of a process whose handle table is empty. Its first page stays for the next process.
    pub(crate) fn delist(&self, slot: u64) -> Result<(), AccessError> {
        if self.handle_bytes(slot)? > PAGE {
            self.give_table_back(slot)?;
        }
        let at = self.file.geometry.process(slot);
        let pid_at = at.saturating_add(PID);
        let state = state(self.file, slot)?;
        let mut intent = Intent::default();
        intent
            .set(pid_at, check::with(pid_at, NUMBER_BITS, 0))
            .set(at, check::with(at, STATE_BITS, state & !LIVE));
        Ok(self.commit(&intent)?)
    }

    /// Gives back what free slots keep for the next processes.
    pub(crate) fn give_free_tables_back(&self) -> Result<(), AccessError> {
        for slot in 0..self.high(Counter::ProcessHigh)? {
            if !self.is_taken(slot)? && self.handle_bytes(slot)? > 0 {
                self.give_table_back(slot)?;
            }
        }
        Ok(())
    }

    /// Gives the pages of an empty handle table back. Nobody commits them again before this lock is given back: the slot
    /// is free, or its process has died or is the caller.
    fn give_table_back(&self, slot: u64) -> Result<(), AccessError> {
        let file = self.file;
        let (bytes, process) = (self.handle_bytes(slot)?, file.geometry.process(slot));
        let (high_at, table_at) = (
            process.saturating_add(HANDLE_HIGH),
            process.saturating_add(HANDLE_TABLE),
        );
        let mut intent = Intent::default();
        intent
            .set(high_at, check::with(high_at, NUMBER_BITS, 0))
            .set(table_at, check::with(table_at, Counter::BITS, 0));
        self.commit(&intent)?;
        // One that fails, or that death prevents, leaves pages for the next process of this slot.
        let _ = memory::punch(file.fd(), file.geometry.handle(slot, 0), bytes);
        Ok(())
    }

    /// Whether the process of a slot has died. `life` is the caller's own description. The answer is final: slots are
    /// enlisted under the lock, with their own locks held.
    pub(crate) fn is_dead(&self, life: BorrowedFd<'_>, slot: u64) -> Result<bool, Corrupt> {
        Ok(is_unlocked(life, slot) && self.is_taken(slot)?)
    }

    /// Whether a slot is taken.
    pub(crate) fn is_taken(&self, slot: u64) -> Result<bool, Corrupt> {
        Ok(state(self.file, slot)? & LIVE != 0)
    }

    /// Checks what only messages and the growth of tables use.
    pub(crate) fn verify_slot(&self, slot: u64) -> Result<(), Corrupt> {
        let process = self.file.geometry.process(slot);
        for (field, bits) in [(PID, NUMBER_BITS), (HANDLE_TABLE, Counter::BITS)] {
            let at = process.saturating_add(field);
            check::value_or_zero(at, bits, self.file.mem.get(at))
                .ok_or_else(|| self.file.corrupt(at, "a process slot that fails its check"))?;
        }
        Ok(())
    }

    /// Bytes of a slot's handle table that are committed.
    fn handle_bytes(&self, slot: u64) -> Result<u64, Corrupt> {
        let at = self
            .file
            .geometry
            .process(slot)
            .saturating_add(HANDLE_TABLE);
        check::value_or_zero(at, Counter::BITS, self.file.mem.get(at))
            .ok_or_else(|| self.file.corrupt(at, "a process slot that fails its check"))
    }

    /// Handles of a slot that were ever used.
    pub(crate) fn handle_high(&self, slot: u64) -> Result<u64, Corrupt> {
        let file = self.file;
        let process = file.geometry.process(slot);
        let at = process.saturating_add(HANDLE_HIGH);
        let word = file.mem.get(at);
        let is_new = word == 0 && file.mem.get(process) == 0;
        let high = check::value(at, NUMBER_BITS, word).or(is_new.then_some(0));
        let committed = self.handle_bytes(slot);
        high.filter(|high| {
            *high <= file.geometry.handles_per_process
                && committed.is_ok_and(|bytes| high.saturating_mul(8) <= bytes)
        })
        .ok_or_else(|| file.corrupt(at, "a number of handles that fails its check"))
    }

    /// The object in a handle.
    pub(crate) fn handle(&self, slot: u64, handle: u64) -> Result<Option<ObjectId>, Corrupt> {
        let at = self.file.geometry.handle(slot, handle);
        check::value_or_zero(at, HANDLE_BITS, self.file.mem.get(at))
            .map(ObjectId::from_packed)
            .ok_or_else(|| self.file.corrupt(at, "a handle that fails its check"))
    }

    /// Adds the emptying of a handle to a change.
    pub(crate) fn clear_handle(&self, intent: &mut Intent, slot: u64, handle: u64) {
        intent.set(self.file.geometry.handle(slot, handle), 0);
    }

    /// Makes sure that a handle's word is committed memory.
    pub(crate) fn commit_handle(&self, slot: u64, handle: u64) -> Result<(), AccessError> {
        let file = self.file;
        if handle >= file.geometry.handles_per_process {
            return Err(AccessError::Full {
                store: file.uuid,
                what: "handles of this process",
                capacity: file.geometry.handles_per_process,
                advice: "drop views, or share one nested object instead of many small ones",
            });
        }
        let table = file.geometry.handle(slot, 0);
        let watermark = file.geometry.process(slot).saturating_add(HANDLE_TABLE);
        let needed = handle.saturating_add(1).saturating_mul(8);
        file.commit_handles(table, watermark, needed)
    }

    /// Adds a hold on an object, and the high-water mark above its handle, to a change.
    pub(crate) fn set_handle(
        &self,
        intent: &mut Intent,
        slot: u64,
        handle: u64,
        id: ObjectId,
    ) -> Result<(), Corrupt> {
        let geometry = &self.file.geometry;
        let (high_at, at) = (
            geometry.process(slot).saturating_add(HANDLE_HIGH),
            geometry.handle(slot, handle),
        );
        let high = self.handle_high(slot)?.max(handle.saturating_add(1));
        intent.set(high_at, check::with(high_at, NUMBER_BITS, high));
        intent.set(at, check::with(at, HANDLE_BITS, id.packed()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::store::alive::may_be_dead;
    use crate::store::handle::Store;
    use crate::sys::memory;

    #[test]
    fn a_slot_in_the_middle_of_a_change_is_asked_about_under_the_lock() {
        let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
        let file = &store.0.file;
        let life = memory::reopen(file.fd()).unwrap();
        let session = store.0.session().unwrap();
        let slot = session.slot + 1;
        assert!(!may_be_dead(file, life.as_fd(), slot));
        // What `enlist` writes before the state.
        let at = file.geometry.process(slot).saturating_add(HANDLE_HIGH);
        file.mem.set(at, check::with(at, NUMBER_BITS, 0));
        assert!(may_be_dead(file, life.as_fd(), slot));
        // Nobody is changing it any more, so it is damaged.
        let locked = session.lock(std::time::Duration::ZERO).unwrap();
        locked.is_dead(life.as_fd(), slot).unwrap_err();
    }
}
