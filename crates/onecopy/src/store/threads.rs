//! Thread slots: who holds the lock, and whether that thread is alive (liveness, tier 1).
//!
//! ```text
//! word of 47 bits and its check (check.rs):  state (2) | process slot (13) | generation (32)
//! FREE ──claim──▶ CLAIMED ──life word locked──▶ LIVE ──thread dies──▶ LIVE, OWNER_DIED ──claim──▶ CLAIMED
//! ```
//! **Crash points.** Dead after CLAIMED: the slot is freed when its process is recovered. Dead after
//! LIVE: the kernel has set the bit; the next claim takes the slot, unless the lock still names it.
//!
//! **Names.** A lock word has 16 bits of the generation. Words of containers do not keep the slot of whom they name, so a slot
//! whose names are used up is given to nobody while there is another, or room for one: a name comes back after some 2^31
//! threads have used the store, if most had ended before the next began.
//!
//! **Damage.** A slot whose word fails its check is given to nobody. A thread looks at its own before each operation
//! and goes no further when it is not as it left it.
#![forbid(unsafe_code)]

use super::check;
use super::file::StoreFile;
use super::layout::{Counter, LOCK, THREAD_BYTES, THREAD_SLOTS};
use super::lock::Holder;
use crate::error::AccessError;
use crate::primitive::Ordering;

const FREE: u64 = 0;
const CLAIMED: u64 = 1;
const LIVE: u64 = 2;

/// What the word of a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    kind: u64,
    process: u64,
    generation: u64,
}

impl State {
    const BITS: u32 = 47;

    fn word(self, at: u64) -> u64 {
        let value = self.kind | self.process << 2 | self.generation << 15;
        check::with(at, Self::BITS, value)
    }

    /// `None` for a word that fails its check; one that was never written is a free slot.
    fn of(at: u64, word: u64) -> Option<Self> {
        let value = check::value_or_zero(at, Self::BITS, word)?;
        Some(Self {
            kind: value & 3,
            process: value >> 2 & 0x1fff,
            generation: value >> 15,
        })
    }
}

/// The calling thread's slot in a store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadSlot {
    pub(crate) holder: Holder,
    process: u64,
    word: u64,
}

/// Whether the slot is still as the calling thread left it when it took it.
pub(crate) fn is_own(file: &StoreFile, own: &ThreadSlot) -> bool {
    let slot = u64::from(own.holder.slot);
    file.mem.get(file.geometry.thread(slot)) == own.word
        && !file.mem.owner_died(file.life_offset(slot))
}

/// Whether a lock word names a slot that was never used: its place may be no memory yet. A mark that is damaged hides
/// nobody.
fn is_beyond(file: &StoreFile, holder: Holder) -> bool {
    file.high(Counter::ThreadHigh)
        .is_ok_and(|high| u64::from(holder.slot) >= high)
}

/// Whether the thread that the store's lock word names is not inside: it has died, there is none, or it is one of the
/// calling process's own, which holds its process lock and so knows that none of its threads is inside.
pub(crate) fn is_absent(file: &StoreFile, holder: Holder, own: &ThreadSlot) -> bool {
    has_ended(file, holder) || {
        let at = file.geometry.thread(u64::from(holder.slot));
        State::of(at, file.mem.get(at)).is_some_and(|state| state.process == own.process)
    }
}

/// Whether the thread that a lock word names has died, or there is none. Only the store's lock keeps a slot from being
/// given to another thread; whom another word names is then told by the generation.
pub(crate) fn has_ended(file: &StoreFile, holder: Holder) -> bool {
    if is_beyond(file, holder) {
        return true;
    }
    let slot = u64::from(holder.slot);
    let at = file.geometry.thread(slot);
    let is_its_own = State::of(at, file.mem.get(at))
        .is_none_or(|state| state.kind == LIVE && state.generation as u16 == holder.generation);
    !is_its_own || file.mem.owner_died(file.life_offset(slot))
}

/// The process slot of the thread that a lock word names.
pub(crate) fn process_of(file: &StoreFile, holder: Holder) -> Option<u64> {
    if is_beyond(file, holder) {
        return None;
    }
    let at = file.geometry.thread(u64::from(holder.slot));
    let state = State::of(at, file.mem.get(at))?;
    let is_its_own = state.generation as u16 == holder.generation;
    (is_its_own && state.process < file.geometry.process_slots).then_some(state.process)
}

/// Takes a slot for the calling thread.
pub(crate) fn claim(file: &StoreFile, process: u64) -> Result<ThreadSlot, AccessError> {
    let mem = file.mem;
    let counter = Counter::ThreadHigh;
    loop {
        let high = file.high(counter)?;
        let find =
            |names_again| (0..high).find_map(|slot| try_claim(file, slot, process, names_again));
        if let Some(own) = find(false) {
            return Ok(own);
        }
        if high == THREAD_SLOTS {
            if let Some(own) = find(true) {
                return Ok(own);
            }
            return Err(AccessError::Full {
                store: file.uuid,
                what: "thread slots",
                capacity: THREAD_SLOTS,
                advice: "end some of the threads that use it",
            });
        }
        let next = high.saturating_add(1);
        let needed = next.saturating_mul(THREAD_BYTES);
        file.commit_table(file.geometry.threads, Counter::ThreadTable, needed)?;
        // Lost to another thread or not, the next round finds the new slot or a higher mark.
        mem.replace(counter.offset(), counter.word(high), counter.word(next));
    }
}

/// Takes a slot if it is nobody's. `names_again`: also if its names are used up and begin again.
fn try_claim(file: &StoreFile, slot: u64, process: u64, names_again: bool) -> Option<ThreadSlot> {
    let mem = file.mem;
    let at = file.geometry.thread(slot);
    let old = mem.get(at);
    let was = State::of(at, old)?;
    let reusable = match was.kind {
        LIVE => mem.owner_died(file.life_offset(slot)) && !is_named(file, slot),
        kind => kind == FREE,
    };
    let generation = was.generation.wrapping_add(1) & u64::from(u32::MAX);
    let state = |kind| State {
        kind,
        process,
        generation,
    };
    if generation as u16 == 0 && !names_again {
        return None;
    }
    if !reusable || !mem.replace(at, old, state(CLAIMED).word(at)) {
        return None;
    }
    if !file.start_life(slot) {
        mem.set(at, state(FREE).word(at));
        return None;
    }
    let word = state(LIVE).word(at);
    mem.set(at, word);
    Some(ThreadSlot {
        holder: Holder {
            slot: slot as u32,
            generation: generation as u16,
        },
        process,
        word,
    })
}

/// Whether the lock word names this slot: then it must not be given away (lock.rs I1).
fn is_named(file: &StoreFile, slot: u64) -> bool {
    // Acquire: pairs with Release in `give_back`.
    let word = file.mem.half(LOCK).load(Ordering::Acquire);
    Holder::of(word).is_some_and(|holder| u64::from(holder.slot) == slot)
}

/// Gives the calling thread's own slot back, if its life word can be unlocked.
pub(crate) fn release(file: &StoreFile, own: &ThreadSlot) {
    let slot = u64::from(own.holder.slot);
    if file.end_life(slot) {
        free(file, file.geometry.thread(slot), own.word);
    }
}

/// Frees the slots of a dead process. A thread that lives on in one was of the process that had its number before, which
/// left the store while that thread was in its robust list.
pub(crate) fn free_all_of(file: &StoreFile, process: u64) -> Result<(), AccessError> {
    for slot in 0..file.high(Counter::ThreadHigh)? {
        let at = file.geometry.thread(slot);
        let word = file.mem.get(at);
        let is_left = State::of(at, word).is_some_and(|state| {
            let has_ended = state.kind == CLAIMED || file.mem.owner_died(file.life_offset(slot));
            state.process == process && state.kind != FREE && has_ended
        });
        if is_left && !is_named(file, slot) {
            free(file, at, word);
        }
    }
    Ok(())
}

/// Frees the slot at `at` if its word is still `word`.
fn free(file: &StoreFile, at: u64, word: u64) {
    if let Some(state) = State::of(at, word) {
        let freed = State {
            kind: FREE,
            process: 0,
            ..state
        };
        file.mem.replace(at, word, freed.word(at));
    }
}

/// Checks the slots that were ever used.
pub(crate) fn verify(file: &StoreFile) -> Result<(), AccessError> {
    for slot in 0..file.high(Counter::ThreadHigh)? {
        let at = file.geometry.thread(slot);
        let state = State::of(at, file.mem.get(at));
        if state
            .is_none_or(|state| state.kind > LIVE || state.process >= file.geometry.process_slots)
        {
            return Err(file
                .corrupt(at, "a thread slot that fails its check")
                .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::sync::mpsc;

    use super::*;
    use crate::store::handle::Store;
    use crate::store::process_lock::ProcessGuard;
    use crate::sys::memory;

    fn store() -> Store {
        Store::options().capacity_bytes(1 << 28).create().unwrap()
    }

    #[test]
    fn the_death_of_a_process_frees_no_slot_of_a_thread_that_lives() {
        let store = store();
        let file = &store.0.file;
        // The process of this number left the store, and another got it.
        let process = 5;
        let (claimed, own) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let guard = ProcessGuard::lock();
                claimed.send(claim(file, process).unwrap()).unwrap();
                drop(guard);
                ended.recv().unwrap_err();
            });
            let own = own.recv().unwrap();
            free_all_of(file, process).unwrap();
            assert!(is_own(file, &own));
            drop(end);
            thread.join().unwrap();
            free_all_of(file, process).unwrap();
            let at = file.geometry.thread(u64::from(own.holder.slot));
            let state = State::of(at, file.mem.get(at)).unwrap();
            assert_eq!(state.kind, FREE);
        });
    }

    #[test]
    fn a_lock_word_that_names_a_slot_of_no_memory_names_nobody() {
        let store = store();
        let file = &store.0.file;
        let own = {
            let guard = ProcessGuard::lock();
            let own = claim(file, 0).unwrap();
            drop(guard);
            own
        };
        let before = memory::occupied(file.fd.as_fd()).unwrap();
        let nobody = Holder {
            slot: 30_000,
            generation: 0,
        };
        assert!(is_absent(file, nobody, &own));
        assert_eq!(process_of(file, nobody), None);
        assert_eq!(memory::occupied(file.fd.as_fd()).unwrap(), before);
        let guard = ProcessGuard::lock();
        release(file, &own);
        drop(guard);
    }

    /// Claims and frees the slots so often that each has had as many threads as a lock word can tell apart, and more.
    #[test]
    fn a_slot_is_given_away_until_its_names_are_used_up_and_then_others_are() {
        let store = store();
        let file = &store.0.file;
        let claim_and_free = || {
            let guard = ProcessGuard::lock();
            let own = claim(file, 0).unwrap();
            release(file, &own);
            drop(guard);
            own.holder
        };
        let first = claim_and_free();
        let at = file.geometry.thread(u64::from(first.slot));
        let state = State::of(at, file.mem.get(at)).unwrap();
        // The last but one.
        let generation = u64::from(u16::MAX) - 1;
        file.mem.set(
            at,
            State {
                generation,
                ..state
            }
            .word(at),
        );
        let last = claim_and_free();
        assert_eq!((last.slot, last.generation), (first.slot, u16::MAX));
        let next = claim_and_free();
        assert_ne!(next.slot, first.slot, "its names would come again");
        assert!(has_ended(file, first) && has_ended(file, last));
    }
}
