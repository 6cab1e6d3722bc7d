//! Thread slots: who holds the lock, and whether that thread is alive (liveness, tier 1).
//!
//! ```text
//! state word:  state (8) | process slot (24) | generation (32)
//! FREE ──claim──▶ CLAIMED ──life word locked──▶ LIVE ──thread dies──▶ LIVE, OWNER_DIED ──claim──▶ CLAIMED
//! ```
//! **Crash points.** Dead after CLAIMED: the slot is freed when its process is recovered. Dead after
//! LIVE: the kernel has set the bit; the next claim takes the slot, unless the lock still names it.
#![forbid(unsafe_code)]

use super::file::StoreFile;
use super::layout::{Counter, LOCK, THREAD_BYTES, THREAD_SLOTS};
use super::lock::Holder;
use crate::error::AccessError;
use crate::primitive::Ordering;

const CLAIMED: u64 = 1;
const LIVE: u64 = 2;

const fn state(kind: u64, process: u64, generation: u64) -> u64 {
    kind | process << 8 | generation << 32
}

/// The process slot in a state word.
pub(crate) const fn process_of(state: u64) -> u64 {
    state >> 8 & 0xff_ffff
}

/// Whether the thread in a holder's slot has died; a slot that is somebody else's by now counts so.
pub(crate) fn is_dead(file: &StoreFile, holder: Holder) -> bool {
    let slot = u64::from(holder.slot);
    let high = file.mem.get(Counter::ThreadHigh.offset());
    if slot >= high.min(THREAD_SLOTS) {
        return true;
    }
    let word = file.mem.get(file.geometry.thread(slot));
    word & 0xff != LIVE
        || (word >> 32) as u16 != holder.generation
        || file.mem.owner_died(file.life_offset(slot))
}

/// Takes a slot for the calling thread.
pub(crate) fn claim(file: &StoreFile, process: u64) -> Result<Holder, AccessError> {
    let mem = file.mem;
    let counter = Counter::ThreadHigh.offset();
    loop {
        let high = mem.get(counter).min(THREAD_SLOTS);
        for slot in 0..high {
            if let Some(holder) = try_claim(file, slot, process) {
                return Ok(holder);
            }
        }
        if high == THREAD_SLOTS {
            return Err(AccessError::Full {
                store: file.uuid,
                what: "thread slot",
                capacity: THREAD_SLOTS,
                advice: "",
            });
        }
        let needed = high.saturating_add(1).saturating_mul(THREAD_BYTES);
        file.commit_table(file.geometry.threads, Counter::ThreadTable, needed)
            .map_err(|source| AccessError::Kernel {
                store: file.uuid,
                step: "fallocate",
                source,
            })?;
        // Lost to another thread or not, the next round finds the new slot or a higher mark.
        mem.replace(counter, high, high.saturating_add(1));
    }
}

fn try_claim(file: &StoreFile, slot: u64, process: u64) -> Option<Holder> {
    let mem = file.mem;
    let at = file.geometry.thread(slot);
    let old = mem.get(at);
    let generation = old >> 32;
    let reusable = match old & 0xff {
        LIVE => mem.owner_died(file.life_offset(slot)) && !is_named(file, slot),
        CLAIMED => false,
        _ => true,
    };
    let next = generation.wrapping_add(1) & u64::from(u32::MAX);
    if !reusable || !mem.replace(at, old, state(CLAIMED, process, next)) {
        return None;
    }
    if !file.start_life(slot) {
        mem.set(at, state(0, 0, next));
        return None;
    }
    mem.set(at, state(LIVE, process, next));
    Some(Holder {
        slot: slot as u32,
        generation: next as u16,
    })
}

/// Whether the lock word names this slot: then it must not be given away (lock.rs I1).
fn is_named(file: &StoreFile, slot: u64) -> bool {
    // Acquire: pairs with Release in `give_back`.
    let word = file.mem.half(LOCK).load(Ordering::Acquire);
    Holder::of(word).is_some_and(|holder| u64::from(holder.slot) == slot)
}

/// Gives the calling thread's own slot back; its life word is unlocked.
pub(crate) fn release(file: &StoreFile, holder: Holder) {
    let at = file.geometry.thread(u64::from(holder.slot));
    file.end_life(u64::from(holder.slot));
    let word = file.mem.get(at);
    file.mem.set(at, state(0, 0, word >> 32));
}

/// Frees the slots of a dead process.
pub(crate) fn free_all_of(file: &StoreFile, process: u64) {
    let high = file.mem.get(Counter::ThreadHigh.offset()).min(THREAD_SLOTS);
    for slot in 0..high {
        let at = file.geometry.thread(slot);
        let word = file.mem.get(at);
        if word & 0xff != 0 && process_of(word) == process && !is_named(file, slot) {
            file.mem.replace(at, word, state(0, 0, word >> 32));
        }
    }
}

/// Whether another thread of process slot `process` than `own` has a living slot.
pub(crate) fn has_others(file: &StoreFile, process: u64, own: Option<Holder>) -> bool {
    let high = file.mem.get(Counter::ThreadHigh.offset()).min(THREAD_SLOTS);
    (0..high).any(|slot| {
        let word = file.mem.get(file.geometry.thread(slot));
        word & 0xff != 0
            && process_of(word) == process
            && own.is_none_or(|own| u64::from(own.slot) != slot)
            && !file.mem.owner_died(file.life_offset(slot))
    })
}
