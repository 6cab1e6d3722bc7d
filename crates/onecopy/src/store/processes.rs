//! Process slots and handle tables: who holds what, and whether that process is alive (tier 2).
//!
//! ```text
//! slot of 64 bytes: {live (1) | generation (32), pid, born, handle high-water, handle bytes committed, …}
//! ```
//! All but the time carry a check (check.rs). A slot that was never used is zeros.
//!
//! A process is alive as long as the kernel keeps its write lock on byte `2^47 + slot` of the memory
//! file. The lock belongs to an open file description that only this process has (a reopened one: fork
//! shares descriptions), and the kernel drops it after the last thread is gone, however it died. The
//! lock is taken *before* the slot is marked LIVE, so no living process ever looks dead.
//!
//! **Crash points.** After the kernel lock, before LIVE: the lock goes with the process, the slot was
//! never taken. After LIVE: recover.rs.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use super::ObjectId;
use super::check;
use super::file::StoreFile;
use super::intent::Intent;
use super::layout::Counter;
use super::locked::Locked;
use crate::error::{AccessError, Corrupt};
use crate::sys::lock::OfdLock;
use crate::sys::{memory, procfs};

/// Bits of a state: LIVE and the generation.
const STATE_BITS: u32 = 33;
const LIVE: u64 = 1;
/// Bits of a pid and of a high-water mark of handles.
const NUMBER_BITS: u32 = 32;
/// Bits of a handle: 22 of an object's index, since there are no more entries, and its generation.
const HANDLE_BITS: u32 = 54;
const PID: u64 = 8;
const BORN: u64 = 16;
const HANDLE_HIGH: u64 = 24;
const HANDLE_TABLE: u64 = 32;
/// First of the bytes whose locks say which process slots are alive: far past any store's data.
const ALIVE_BYTE: u64 = 1 << 47;
const _: () = assert!(ALIVE_BYTE >= 2 * super::layout::MAX_CAPACITY);

/// A process slot and the descriptor whose lock keeps it alive.
#[derive(Debug)]
pub(crate) struct ProcessSlot {
    pub(crate) slot: u64,
    pub(crate) life: OwnedFd,
}

impl ProcessSlot {
    /// Finds a free slot and takes its kernel lock. The slot is not marked LIVE yet.
    pub(crate) fn reserve(file: &StoreFile) -> Result<Self, AccessError> {
        let kernel = |step| {
            move |source: io::Error| AccessError::Kernel {
                store: file.uuid,
                step,
                source,
            }
        };
        let life = memory::reopen(file.fd()).map_err(kernel("open of /proc/self/fd"))?;
        for slot in 0..file.geometry.process_slots {
            // One that fails its check is given to nobody.
            let is_free = || state(file, slot).is_ok_and(|state| state & LIVE == 0);
            if is_free()
                && OfdLock::try_take(life.as_fd(), ALIVE_BYTE.saturating_add(slot))
                    .map_err(kernel("fcntl(F_OFD_SETLK)"))?
            {
                // Marked LIVE by somebody who died since: not free, though its kernel lock was.
                if is_free() {
                    return Ok(Self { slot, life });
                }
                OfdLock::release(life.as_fd(), ALIVE_BYTE.saturating_add(slot))
                    .map_err(kernel("fcntl(F_OFD_SETLK)"))?;
            }
        }
        Err(AccessError::Full {
            store: file.uuid,
            what: "process slots",
            capacity: file.geometry.process_slots,
            advice: "end some of the processes that use it",
        })
    }
}

/// LIVE and the generation of a slot; 0 for one that was never used.
fn state(file: &StoreFile, slot: u64) -> Result<u64, Corrupt> {
    let at = file.geometry.process(slot);
    let word = file.mem.get(at);
    let is_new = word == 0 && file.mem.get(at.saturating_add(HANDLE_HIGH)) == 0;
    check::value(at, STATE_BITS, word)
        .or(is_new.then_some(0))
        .ok_or_else(|| file.corrupt(at, "a process slot that fails its check"))
}

/// Whether the process of a slot may have died, asked without the store's lock. `life` is the caller's own description.
pub(crate) fn may_be_dead(file: &StoreFile, life: BorrowedFd<'_>, slot: u64) -> bool {
    // A slot that fails its check may be one that is being changed: the lock's holder knows.
    is_unlocked(life, slot) && state(file, slot).map_or(true, |state| state & LIVE != 0)
}

fn is_unlocked(life: BorrowedFd<'_>, slot: u64) -> bool {
    // An error is no proof of death.
    OfdLock::is_held_by_another(life, ALIVE_BYTE.saturating_add(slot)).is_ok_and(|held| !held)
}

/// The pid of a slot, 0 when it is not known.
pub(crate) fn pid_of(file: &StoreFile, slot: u64) -> u32 {
    let at = file.geometry.process(slot).saturating_add(PID);
    check::value(at, NUMBER_BITS, file.mem.get(at)).unwrap_or(0) as u32
}

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

    /// Frees the slot of a process whose handle table is empty.
    pub(crate) fn delist(&self, slot: u64) -> Result<(), AccessError> {
        let at = self.file.geometry.process(slot);
        let pid_at = at.saturating_add(PID);
        let state = state(self.file, slot)?;
        let mut intent = Intent::default();
        intent
            .set(pid_at, check::with(pid_at, NUMBER_BITS, 0))
            .set(at, check::with(at, STATE_BITS, state & !LIVE));
        Ok(self.commit(&intent)?)
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

    /// Handles of a slot that were ever used.
    pub(crate) fn handle_high(&self, slot: u64) -> Result<u64, Corrupt> {
        let file = self.file;
        let process = file.geometry.process(slot);
        let (at, table) = (
            process.saturating_add(HANDLE_HIGH),
            process.saturating_add(HANDLE_TABLE),
        );
        let word = file.mem.get(at);
        let is_new = word == 0 && file.mem.get(process) == 0;
        let high = check::value(at, NUMBER_BITS, word).or(is_new.then_some(0));
        let committed = check::value_or_zero(table, Counter::BITS, file.mem.get(table));
        high.filter(|high| {
            *high <= file.geometry.handles_per_process
                && committed.is_some_and(|bytes| high.saturating_mul(8) <= bytes)
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
        file.commit_table_at(table, watermark, needed)
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

/// Writes the pid of a slot that was enlisted before its process existed.
pub(crate) fn sign(file: &StoreFile, slot: u64, pid: u32) {
    let at = file.geometry.process(slot).saturating_add(PID);
    file.mem
        .set(at, check::with(at, NUMBER_BITS, u64::from(pid)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::handle::Store;

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
