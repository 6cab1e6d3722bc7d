//! Model checks of the lock word: all interleavings of two threads, with bounded preemptions.
//!
//! Run by `make loom`. Sleeping is replaced by yielding, so what is checked is mutual exclusion, the
//! take-over from a dead holder, and that everything done under the lock is seen by the next holder.

#![allow(unsafe_code, reason = "loom's cell hands out pointers")]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::lock::{Holder, Taken, give_back, take, try_take};
use crate::primitive::{AtomicU32, Ordering};
use std::time::Duration;

const DEAD: Holder = Holder {
    slot: 9,
    generation: 1,
};

struct Guarded {
    word: AtomicU32,
    /// The slots of both threads, each written by its thread before it takes the lock.
    slots: [AtomicU32; 2],
    /// Loom reports any unsynchronised access to it.
    value: UnsafeCell<u32>,
}

fn add_one(guarded: &Guarded, slot: u32) -> Taken {
    let me = Holder {
        slot,
        generation: 0,
    };
    let slot_of = |holder: Holder| &guarded.slots[holder.slot as usize - 1];
    // Relaxed: it is the lock word that is to order this.
    slot_of(me).store(1, Ordering::Relaxed);
    let is_dead = |holder| {
        let is_seen = holder == DEAD || slot_of(holder).load(Ordering::Relaxed) == 1;
        assert!(
            is_seen,
            "the slot of a holder is seen as its thread left it"
        );
        holder == DEAD
    };
    let taken = take(&guarded.word, me, Duration::MAX, is_dead).unwrap();
    guarded.value.with_mut(|value| {
        // SAFETY: the lock is held, and loom fails the run if it did not exclude.
        unsafe { *value += 1 };
    });
    give_back(&guarded.word, me);
    taken
}

fn check(first_holder: Option<Holder>) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let guarded = Arc::new(Guarded {
            word: AtomicU32::new(0),
            slots: [AtomicU32::new(0), AtomicU32::new(0)],
            value: UnsafeCell::new(0),
        });
        if let Some(dead) = first_holder {
            assert!(try_take(&guarded.word, dead).is_some());
        }
        let other = Arc::clone(&guarded);
        let handle = thread::spawn(move || add_one(&other, 1));
        let mine = add_one(&guarded, 2);
        let theirs = handle.join().unwrap();
        let from_the_dead = [mine, theirs]
            .iter()
            .filter(|taken| **taken == Taken::FromTheDead)
            .count();
        assert_eq!(
            from_the_dead,
            usize::from(first_holder.is_some()),
            "exactly one repairs"
        );
        // SAFETY: the other thread has ended.
        let sum = guarded.value.with(|value| unsafe { *value });
        assert_eq!(sum, 2);
        assert!(
            try_take(&guarded.word, DEAD).is_some(),
            "the lock is free at the end"
        );
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
