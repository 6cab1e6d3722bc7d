//! Model checks of a container's lock: all interleavings of two threads, with bounded preemptions.
//!
//! Run by `make loom`. Sleeping is replaced by yielding, as after a timeout. Checked: mutual exclusion, the take-over from a
//! dead holder by exactly one, that what was done under the lock is seen by the next holder, and that the slot of whoever
//! is named is seen as its thread left it.

#![allow(unsafe_code, reason = "loom's cell hands out pointers")]

use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::lock_word::{LockWord, Waited, swap};
use crate::primitive::{AtomicU32, Ordering};

const DEAD: u32 = 9;

struct Guarded {
    word: AtomicU32,
    sleepers: AtomicU32,
    /// The slots of both threads, each written by its thread before it takes the lock.
    slots: [AtomicU32; 2],
    /// Loom reports any unsynchronised access to it.
    value: UnsafeCell<u32>,
}

impl Guarded {
    fn lock(&self) -> LockWord<'_> {
        LockWord {
            word: &self.word,
            sleepers: &self.sleepers,
        }
    }

    /// Adds one under the lock; whether it was taken from the dead.
    fn add_one(&self, me: u32) -> bool {
        let slot_of = |owner: u32| &self.slots[owner as usize - 1];
        // Relaxed: it is the lock word that is to order this.
        slot_of(me).store(1, Ordering::Relaxed);
        let is_dead = |owner| {
            let is_seen = owner == DEAD || slot_of(owner).load(Ordering::Relaxed) == 1;
            assert!(
                is_seen,
                "the slot of a holder is seen as its thread left it"
            );
            owner == DEAD
        };
        let sleep = |nap: &mut dyn FnMut()| {
            nap();
            true
        };
        let is_from_the_dead = !swap(&self.word, 0, me)
            && match self.lock().wait(me, Duration::MAX, is_dead, sleep) {
                Waited::Taken { is_from_the_dead } => is_from_the_dead,
                other => unreachable!("{other:?}"),
            };
        self.value.with_mut(|value| {
            // SAFETY: the lock is held, and loom fails the run if it did not exclude.
            unsafe { *value += 1 };
        });
        self.lock().give_back();
        is_from_the_dead
    }
}

fn check(first_holder: Option<u32>) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let guarded = Arc::new(Guarded {
            word: AtomicU32::new(first_holder.unwrap_or(0)),
            sleepers: AtomicU32::new(0),
            slots: [AtomicU32::new(0), AtomicU32::new(0)],
            value: UnsafeCell::new(0),
        });
        let other = Arc::clone(&guarded);
        let handle = thread::spawn(move || other.add_one(1));
        let mine = guarded.add_one(2);
        let theirs = handle.join().unwrap();
        assert_eq!(
            usize::from(mine) + usize::from(theirs),
            usize::from(first_holder.is_some()),
            "exactly one repairs"
        );
        // SAFETY: the other thread has ended.
        let sum = guarded.value.with(|value| unsafe { *value });
        assert_eq!(sum, 2);
        assert!(swap(&guarded.word, 0, DEAD), "the lock is free at the end");
    });
}

#[test]
fn two_threads_exclude_each_other_and_see_each_others_writes() {
    check(None);
}

#[test]
fn one_of_two_waiters_takes_over_from_the_dead() {
    check(Some(DEAD));
}
