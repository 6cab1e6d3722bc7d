//! A word that sleepers sleep on, and whoever has changed something rings.
//!
//! Whoever waits reads `rings`, looks whether what it waits for is there, and sleeps only while `rings` is still the same:
//! what comes in between ends the sleep at once. `sleepers` spares those who ring the kernel when nobody sleeps. A sleeper
//! that is killed stays counted: when many wake-ups in a row have found nobody, each takes one off. Should somebody lie down
//! at that moment, he looks around by himself a tenth of a second later (deadline.rs); otherwise no wake-up is lost
//! (`bell_loom.rs`).
//!
//! **Crash points.** Whoever dies between its change and its ring has changed something all the same; sleepers find it when
//! they look around.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::heap::Heap;
use super::super::lock::sleep;
use crate::primitive::{AtomicU32, Ordering};
use crate::sys::futex;

/// The words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bell<'a> {
    rings: &'a AtomicU32,
    sleepers: &'a AtomicU32,
    /// Wake-ups that found nobody since somebody lay down.
    in_vain: &'a AtomicU32,
}

/// So many wake-ups in vain are no chance: sleepers have died.
const MANY: u32 = 64;

/// Wakes all.
pub(super) const ALL: u32 = i32::MAX as u32;

impl<'a> Bell<'a> {
    /// The bell whose two half words stand at an offset of a container's head.
    #[inline(always)]
    pub(super) fn of(heap: &'a Heap, at: u64) -> Self {
        Self {
            rings: heap.top.half(at),
            sleepers: heap.top.half(at.wrapping_add(4)),
            in_vain: heap.top.half(at.wrapping_add(8)),
        }
    }

    /// How often it was rung, as of a look at anything that follows.
    #[inline(always)]
    pub(super) fn rings(self) -> u32 {
        self.rings.load(Ordering::SeqCst)
    }

    /// Says that something has changed, and wakes `most` sleepers at most.
    #[inline(always)]
    pub(super) fn ring(self, most: u32) {
        // SeqCst, here and in `wait`: either this sees the sleeper, or the sleeper sees this ring.
        self.rings.fetch_add(1, Ordering::SeqCst);
        crate::testing::container_stored();
        if self.sleepers.load(Ordering::SeqCst) != 0 {
            self.wake(most);
        }
    }

    #[cold]
    #[inline(never)]
    fn wake(self, most: u32) {
        // Relaxed: which of several counts first does not matter.
        if futex::wake_many(self.rings, most) == 0
            && self.in_vain.fetch_add(1, Ordering::Relaxed) >= MANY
        {
            self.one_less();
        }
    }

    fn one_less(self) {
        let less = |count: u32| count.checked_sub(1);
        // Fails at 0, where there is nothing to take off.
        let _ = self
            .sleepers
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }

    /// Sleeps until it is rung, unless it was since `rings` was `seen`; at most for a nap. `false`: a signal's handler ended it.
    pub(super) fn wait(self, seen: u32, nap: Duration) -> bool {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        self.in_vain.store(0, Ordering::Relaxed);
        let goes_on = sleep(&mut || futex::wait(self.rings, seen, nap));
        self.one_less();
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleepers_that_have_died_are_taken_off_after_a_while() {
        let words = [0, 3, 0].map(AtomicU32::new);
        let [rings, sleepers, in_vain] = &words;
        let bell = Bell {
            rings,
            sleepers,
            in_vain,
        };
        for _ in 0..MANY {
            bell.ring(ALL);
        }
        assert_eq!(
            sleepers.load(Ordering::SeqCst),
            3,
            "it may have been chance"
        );
        for _ in 0..4 {
            bell.ring(ALL);
        }
        assert_eq!(sleepers.load(Ordering::SeqCst), 0);
        assert!(bell.wait(0, Duration::MAX), "it was rung since");
        assert_eq!(sleepers.load(Ordering::SeqCst), 0);
        assert_eq!(in_vain.load(Ordering::SeqCst), 0);
    }
}
