//! The store's lock: one futex word that a peer takes over when its holder has died.
//!
//! ```text
//! word = 0                                                   free
//! word = thread slot + 1 (15 bits) | generation (16) | waiters (1)   held
//! ```
//! Taking: compare-and-swap, then a short spin, then `FUTEX_WAIT` for at most 5 ms; at each timeout the
//! waiter looks at the holder's life word. A dead holder's word is swapped for the waiter's own, which
//! also elects the one process that repairs. Giving back: swap 0 and wake one if somebody waits.
//!
//! **Crash points.** A holder that dies before the swap to 0: taken over as above. After it, before the
//! wake: a waiter's timeout passes, nothing else.
//!
//! **Damage.** A word that names nobody, or a thread that is not inside, is taken over like a dead holder's: by anybody
//! if there is no such thread, by the process of the thread that it names otherwise, which alone knows that none of
//! its threads is inside. One that is overwritten while its holder is inside lets two in; each looks before and after
//! its change whether the word still names it (`Locked::commit`).
//!
//! **Invariants.** `I1`: a thread slot is not given to another thread while the word names it (threads.rs), and whoever
//! reads the word sees the slot as it was when its thread took the lock, or as it became since: taking is a Release,
//! also by the swap of a dead holder's word, and looking an Acquire. So the word's holder is dead exactly if the slot's
//! life word says so.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::primitive::{AtomicU32, Ordering};
use crate::sys::futex;

const WAITERS: u32 = 1;
/// Tries before the first sleep; loom explores every one, so it gets one.
const SPINS: u32 = if cfg!(loom) { 1 } else { 64 };
/// How long a waiter sleeps before it looks whether the holder is alive.
const LOOK: Duration = Duration::from_millis(5);

/// A thread's name in the lock word: its slot and the low half of the slot's generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) slot: u32,
    pub(crate) generation: u16,
}

impl Holder {
    /// The lock word of this holder, for whom nobody waits.
    pub(crate) fn word(self) -> u32 {
        debug_assert!(self.slot < (1 << 15) - 1, "15 bits hold the slot plus one");
        (self.slot.wrapping_add(1) << 17) | u32::from(self.generation) << 1
    }

    /// Whom a lock word names.
    pub(crate) fn of(word: u32) -> Option<Self> {
        let slot = (word >> 17).checked_sub(1)?;
        Some(Self {
            slot,
            generation: (word >> 1) as u16,
        })
    }
}

/// How the lock was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was given back in order.
    Orderly,
    /// Its holder has died: what it left behind must be repaired first.
    FromTheDead,
}

/// Tries once. `None` if somebody has it.
pub(crate) fn try_take(word: &AtomicU32, me: Holder) -> Option<Taken> {
    // Acquire: pairs with Release in `give_back`. Release: publishes this thread's slot (I1).
    let free = word
        .compare_exchange(0, me.word(), Ordering::AcqRel, Ordering::Relaxed)
        .is_ok();
    crate::testing::stored();
    free.then_some(Taken::Orderly)
}

/// Waits for the lock until `patience` is over; then returns the word that names the living holder.
pub(crate) fn take(
    word: &AtomicU32,
    me: Holder,
    patience: Duration,
    is_dead: impl Fn(Holder) -> bool,
) -> Result<Taken, u32> {
    for _ in 0..SPINS {
        if let Some(taken) = try_take(word, me) {
            return Ok(taken);
        }
        std::hint::spin_loop();
    }
    let start = Instant::now();
    loop {
        // Acquire: pairs with Release in the compare-and-swaps that take, so that the slot of whom it names is seen (I1).
        let seen = word.load(Ordering::Acquire);
        let Some(holder) = Holder::of(seen) else {
            // Free. Others may sleep, so take it with the waiters bit: at worst one wake too many.
            let mine = me.word() | WAITERS;
            // Acquire: pairs with Release in `give_back`. Release: publishes this thread's slot (I1).
            if word
                .compare_exchange(seen, mine, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                crate::testing::stored();
                return Ok(Taken::Orderly);
            }
            continue;
        };
        // Looking before the first sleep costs one load and spares the dead holder's peers 5 ms.
        if is_dead(holder) {
            let mine = me.word() | WAITERS;
            // Acquire: sees all that the dead holder stored. Release: as above. One of several waiters wins.
            if word
                .compare_exchange(seen, mine, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                crate::testing::stored();
                return Ok(Taken::FromTheDead);
            }
            continue;
        }
        if start.elapsed() >= patience {
            return Err(seen);
        }
        let waited = seen | WAITERS;
        // Relaxed: the bit only asks for a wake.
        let marked = seen & WAITERS != 0
            || word
                .compare_exchange(seen, waited, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if marked {
            futex::wait(word, waited, LOOK);
        }
    }
}

/// Whether the word names `me`: nobody has overwritten it since `me` took the lock.
pub(crate) fn is_held_by(word: &AtomicU32, me: Holder) -> bool {
    // Acquire: what this thread reads under the lock afterwards is no older than the answer.
    Holder::of(word.load(Ordering::Acquire)) == Some(me)
}

/// Gives the lock back. A word that was overwritten is left as it is: whomever it names, it is not this thread's.
pub(crate) fn give_back(word: &AtomicU32, me: Holder) {
    let mut seen = me.word();
    while Holder::of(seen) == Some(me) {
        // Release: publishes all that was done under the lock; pairs with Acquire in `take`. Relaxed: only the
        // waiters bit can be new.
        match word.compare_exchange(seen, 0, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => seen = now,
        }
    }
    crate::testing::stored();
    if seen & WAITERS != 0 {
        futex::wake(word);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const A: Holder = Holder {
        slot: 3,
        generation: 7,
    };
    const B: Holder = Holder {
        slot: 32_766,
        generation: u16::MAX,
    };

    #[test]
    fn the_word_names_its_holder() {
        for holder in [A, B] {
            assert_eq!(Holder::of(holder.word()), Some(holder));
            assert_eq!(Holder::of(holder.word() | WAITERS), Some(holder));
        }
        assert_eq!(Holder::of(0), None);
    }

    #[test]
    fn a_dead_holder_is_replaced_and_a_living_one_is_named() {
        let word = AtomicU32::new(0);
        assert_eq!(try_take(&word, A), Some(Taken::Orderly));
        assert_eq!(try_take(&word, B), None);
        let named = take(&word, B, Duration::ZERO, |_| false).unwrap_err();
        assert_eq!(Holder::of(named), Some(A));
        assert_eq!(
            take(&word, B, Duration::ZERO, |who| who == A),
            Ok(Taken::FromTheDead)
        );
        give_back(&word, A);
        assert!(is_held_by(&word, B), "only its holder gives it back");
        give_back(&word, B);
        assert_eq!(try_take(&word, A), Some(Taken::Orderly));
    }
}
