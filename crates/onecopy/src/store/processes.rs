//! Process slots and handle tables: who holds what, and whether that process is alive (tier 2).
//!
//! ```text
//! slot of 64 bytes: {LIVE (1) … generation (32) in the high half | pid | born | handle high-water |
//!                    handle bytes committed | …}
//! ```
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
use super::file::{Locked, StoreFile};
use super::intent::Intent;
use super::layout::Counter;
use crate::error::AccessError;
use crate::sys::lock::OfdLock;
use crate::sys::{memory, procfs};

const LIVE: u64 = 1;
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
            if file.mem.get(file.geometry.process(slot)) & LIVE == 0
                && OfdLock::try_take(life.as_fd(), ALIVE_BYTE.saturating_add(slot))
                    .map_err(kernel("fcntl(F_OFD_SETLK)"))?
            {
                // Marked LIVE by somebody who died since: not free, though its kernel lock was.
                if file.mem.get(file.geometry.process(slot)) & LIVE == 0 {
                    return Ok(Self { slot, life });
                }
                OfdLock::release(life.as_fd(), ALIVE_BYTE.saturating_add(slot))
                    .map_err(kernel("fcntl(F_OFD_SETLK)"))?;
            }
        }
        Err(AccessError::Full {
            store: file.uuid,
            what: "process slot",
            capacity: file.geometry.process_slots,
            advice: "",
        })
    }
}

/// Whether the process of a slot has died. `life` is the caller's own description.
pub(crate) fn is_dead(file: &StoreFile, life: BorrowedFd<'_>, slot: u64) -> bool {
    // An error is no proof of death.
    OfdLock::is_held_by_another(life, ALIVE_BYTE.saturating_add(slot)).is_ok_and(|held| !held)
        && file.mem.get(file.geometry.process(slot)) & LIVE != 0
}

impl Locked<'_> {
    /// Marks a reserved slot LIVE, with an empty handle table.
    pub(crate) fn enlist(&self, slot: u64, pid: u32) {
        let mem = self.file.mem;
        let at = self.file.geometry.process(slot);
        let generation = (mem.get(at) >> 32).wrapping_add(1) & u64::from(u32::MAX);
        let mut intent = Intent::default();
        intent
            .set(at.saturating_add(PID), u64::from(pid))
            .set(at.saturating_add(BORN), procfs::boot_ms())
            .set(at.saturating_add(HANDLE_HIGH), 0)
            .set(at, generation << 32 | LIVE)
            .set(
                Counter::ProcessHigh.offset(),
                self.counter(Counter::ProcessHigh)
                    .max(slot.saturating_add(1)),
            );
        intent.commit(mem);
    }

    /// Frees the slot of a process whose handle table is empty.
    pub(crate) fn delist(&self, slot: u64) {
        let mem = self.file.mem;
        let at = self.file.geometry.process(slot);
        let mut intent = Intent::default();
        intent
            .set(at.saturating_add(PID), 0)
            .set(at, mem.get(at) & !u64::from(u32::MAX));
        intent.commit(mem);
    }

    /// Whether a slot is taken, and by which generation.
    pub(crate) fn generation_of(&self, slot: u64) -> Option<u64> {
        let word = self.file.mem.get(self.file.geometry.process(slot));
        (word & LIVE != 0).then_some(word >> 32)
    }

    /// Slots that were ever used.
    pub(crate) fn process_high(&self) -> u64 {
        self.counter(Counter::ProcessHigh)
            .min(self.file.geometry.process_slots)
    }

    /// Handles of a slot that were ever used.
    pub(crate) fn handle_high(&self, slot: u64) -> u64 {
        let at = self.file.geometry.process(slot).saturating_add(HANDLE_HIGH);
        self.file
            .mem
            .get(at)
            .min(self.file.geometry.handles_per_process)
    }

    /// The object in a handle.
    pub(crate) fn handle(&self, slot: u64, handle: u64) -> Option<ObjectId> {
        ObjectId::from_word(self.file.mem.get(self.file.geometry.handle(slot, handle)))
    }

    /// Makes sure that a handle's word is committed memory.
    pub(crate) fn commit_handle(&self, slot: u64, handle: u64) -> Result<(), AccessError> {
        let file = self.file;
        if handle >= file.geometry.handles_per_process {
            return Err(AccessError::Full {
                store: file.uuid,
                what: "handle of this process",
                capacity: file.geometry.handles_per_process,
                advice: "; drop views, or share one nested object instead of many small ones",
            });
        }
        let table = file.geometry.handle(slot, 0);
        let watermark = file.geometry.process(slot).saturating_add(HANDLE_TABLE);
        let needed = handle.saturating_add(1).saturating_mul(8);
        file.commit_table_at(table, watermark, needed)
            .map_err(|source| AccessError::Kernel {
                store: file.uuid,
                step: "fallocate",
                source,
            })
    }

    /// Adds a handle's word, and the high-water mark above it, to a change.
    pub(crate) fn set_handle(&self, intent: &mut Intent, slot: u64, handle: u64, word: u64) {
        let high = self.file.geometry.process(slot).saturating_add(HANDLE_HIGH);
        let now = self.file.mem.get(high);
        intent.set(high, now.max(handle.saturating_add(1)));
        intent.set(self.file.geometry.handle(slot, handle), word);
    }
}

/// Writes the pid of a slot that was enlisted before its process existed.
pub(crate) fn sign(file: &StoreFile, slot: u64, pid: u32) {
    file.mem.set(
        file.geometry.process(slot).saturating_add(PID),
        u64::from(pid),
    );
}
