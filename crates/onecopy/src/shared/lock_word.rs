//! The word of a container's lock, and the one beside it that says that somebody may sleep.
//!
//! The word is 0 or names a thread. It is given back by a plain store, which may pass a sleeper's mark unseen: a wake-up is
//! then lost, and the sleeper's timeout makes up for it. That saves 5 ns of 15.
//!
//! **Invariant.** `I1`: whoever reads the word sees the slot of the thread that it names as that thread left it
//! (store/lock.rs I1): taking is a Release on every way, looking an Acquire.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::primitive::{AtomicU32, Ordering};
use crate::sys::futex;

/// Tries before the first sleep: about a microsecond. Loom explores every one, so it gets one.
const SPINS: u32 = if cfg!(loom) { 1 } else { 40 };
/// The first and the longest sleep before a look at the holder: so long a death stays unnoticed, and a wake-up lost.
const FIRST_SLEEP: Duration = Duration::from_millis(1);
/// See [`FIRST_SLEEP`].
const LONGEST_SLEEP: Duration = Duration::from_millis(5);

/// Both words.
#[derive(Debug, Clone, Copy)]
pub(super) struct LockWord<'a> {
    pub(super) word: &'a AtomicU32,
    pub(super) sleepers: &'a AtomicU32,
}

/// How a wait has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// The lock is ours; whether from a dead holder.
    Taken { is_from_the_dead: bool },
    /// The sleep said so.
    Interrupted,
    /// Living holders had it all the time; the last of them.
    TimedOut { owner: u32, waited: Duration },
}

/// Puts one name in the place of another; 0 is nobody's.
#[inline(always)]
pub(super) fn swap(word: &AtomicU32, owner: u32, me: u32) -> bool {
    // Acquire: sees all that the last holder stored; pairs with Release in `give_back`. Release: I1. One of several wins.
    word.compare_exchange(owner, me, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

impl LockWord<'_> {
    /// Whom the word names, if it is only compared with the caller's own name, or shown.
    pub(super) fn owner(self) -> u32 {
        // Relaxed: only a thread itself writes its own name, and nothing is read because of another's.
        self.word.load(Ordering::Relaxed)
    }

    /// Waits for the lock. `sleep` runs each sleep; `false` from it ends the wait.
    pub(super) fn wait(
        self,
        me: u32,
        patience: Duration,
        is_dead: impl Fn(u32) -> bool,
        sleep: impl Fn(&mut dyn FnMut()) -> bool,
    ) -> Waited {
        let start = Instant::now();
        let (mut spins, mut nap, mut slept) = (0, FIRST_SLEEP, false);
        loop {
            // Acquire: I1.
            let owner = self.word.load(Ordering::Acquire);
            let is_from_the_dead = owner != 0 && spins >= SPINS && is_dead(owner);
            if owner == 0 || is_from_the_dead {
                if swap(self.word, owner, me) {
                    crate::testing::container_stored();
                    if slept || is_from_the_dead {
                        // Others may sleep as well.
                        self.sleepers.store(1, Ordering::Relaxed);
                    }
                    return Waited::Taken { is_from_the_dead };
                }
                continue;
            }
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
                continue;
            }
            if start.elapsed() >= patience {
                let waited = start.elapsed();
                return Waited::TimedOut { owner, waited };
            }
            self.sleepers.store(1, Ordering::SeqCst);
            if !sleep(&mut || futex::wait(self.word, owner, nap)) {
                return Waited::Interrupted;
            }
            slept = true;
            nap = (nap * 2).min(LONGEST_SLEEP);
        }
    }

    /// Gives the lock back.
    #[inline(always)]
    pub(super) fn give_back(self) {
        // Release: publishes all that was done under the lock; pairs with Acquire where it is taken.
        self.word.store(0, Ordering::Release);
        crate::testing::container_stored();
        // Relaxed: the load may pass the store; the sleeper's timeout makes up for it.
        if self.sleepers.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake(self) {
        // Relaxed: whoever goes to sleep after this sets it again.
        self.sleepers.store(0, Ordering::Relaxed);
        futex::wake(self.word);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_death_is_noticed_after_the_sleep_in_which_it_came() {
        let (word, sleepers) = (AtomicU32::new(7), AtomicU32::new(0));
        let lock = LockWord {
            word: &word,
            sleepers: &sleepers,
        };
        let sleeps = Cell::new(0);
        let sleep = |_: &mut dyn FnMut()| {
            sleeps.set(sleeps.get() + 1);
            true
        };
        let waited = lock.wait(9, Duration::from_mins(1), |_| sleeps.get() >= 20, sleep);
        let taken = Waited::Taken {
            is_from_the_dead: true,
        };
        assert_eq!((waited, sleeps.get(), lock.owner()), (taken, 20, 9));
        // Somebody else may sleep as well, and is woken.
        assert_eq!(sleepers.load(Ordering::Relaxed), 1);
    }
}
