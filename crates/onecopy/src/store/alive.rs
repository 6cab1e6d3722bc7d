//! Is the process of a slot alive (tier 2)? The slots themselves are described in processes.rs.
//!
//! A process is alive as long as the kernel keeps its write lock on byte `2^47 + slot` of the memory
//! file. The lock belongs to an open file description that only this process has (a reopened one: fork
//! shares descriptions), and the kernel drops it after the last thread is gone, however it died. The
//! lock is taken *before* the slot is marked LIVE, so no living process ever looks dead.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use super::check;
use super::file::StoreFile;
use crate::error::{AccessError, Corrupt};
use crate::sys::lock::OfdLock;
use crate::sys::memory;

/// Bits of a state: LIVE and the generation.
pub(super) const STATE_BITS: u32 = 33;
pub(super) const LIVE: u64 = 1;
/// Bits of a pid and of a high-water mark of handles.
pub(super) const NUMBER_BITS: u32 = 32;
pub(super) const PID: u64 = 8;
pub(super) const HANDLE_HIGH: u64 = 24;
/// First of the bytes whose locks say which process slots are alive: far past any store's data.
pub(super) const ALIVE_BYTE: u64 = 1 << 47;
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
pub(super) fn state(file: &StoreFile, slot: u64) -> Result<u64, Corrupt> {
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

/// Names the process that has a slot now: {generation (32) | slot + 1 (16)}, never 0.
pub(crate) fn name_of(file: &StoreFile, slot: u64) -> Result<u64, Corrupt> {
    Ok((state(file, slot)? >> 1) << 16 | slot.wrapping_add(1) & 0xffff)
}

/// Whether a process that was named has ended. `life` is the description of the caller, who is another.
pub(crate) fn has_ended(file: &StoreFile, life: BorrowedFd<'_>, name: u64) -> bool {
    let Some(slot) = (name & 0xffff).checked_sub(1) else {
        return true;
    };
    if slot >= file.geometry.process_slots {
        return true;
    }
    // A slot that fails its check may be one that is being changed: it is looked at again later.
    state(file, slot).is_ok_and(|state| {
        let is_its_own = state & LIVE != 0 && state >> 1 == name >> 16;
        !is_its_own || is_unlocked(life, slot)
    })
}

pub(super) fn is_unlocked(life: BorrowedFd<'_>, slot: u64) -> bool {
    // An error is no proof of death.
    OfdLock::is_held_by_another(life, ALIVE_BYTE.saturating_add(slot)).is_ok_and(|held| !held)
}

/// The pid of a slot, 0 when it is not known.
pub(crate) fn pid_of(file: &StoreFile, slot: u64) -> u32 {
    let at = file.geometry.process(slot).saturating_add(PID);
    check::value(at, NUMBER_BITS, file.mem.get(at)).unwrap_or(0) as u32
}

/// Writes the pid of a slot that was enlisted before its process existed.
pub(crate) fn sign(file: &StoreFile, slot: u64, pid: u32) {
    let at = file.geometry.process(slot).saturating_add(PID);
    file.mem
        .set(at, check::with(at, NUMBER_BITS, u64::from(pid)));
}
