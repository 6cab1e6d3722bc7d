//! A model of the user's lock (mutex.rs): who has it is alone, whoever gives it back, and the lock outlives its thread, not its
//! process. Run by `make loom`.
//!
//! The words lie in mapped memory, where loom's atomics cannot be, so this is the protocol and not its code. Sleeping is
//! yielding, as after a nap.

#![allow(unsafe_code, reason = "loom's cell hands out pointers")]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

/// A thread that has ended.
const ENDED: u32 = 9;
const OWN: u32 = 1;
const DEAD: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Took {
    Free,
    FromTheDead,
}

struct Words {
    word: AtomicU32,
    process: AtomicU32,
    /// What the lock protects: loom reports any unsynchronised access to it.
    value: UnsafeCell<u32>,
}

impl Words {
    /// A lock that a thread which has ended took, in this process or a dead one, or was about to take (0).
    fn taken_in(process: u32) -> Self {
        Self {
            word: AtomicU32::new(ENDED),
            process: AtomicU32::new(process),
            value: UnsafeCell::new(0),
        }
    }

    fn swap(&self, owner: u32, me: u32) -> bool {
        self.word
            .compare_exchange(owner, me, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// `Mutex::how_to_be_had`.
    fn how_to_be_had(&self, owner: u32) -> Option<Took> {
        match owner {
            0 => Some(Took::Free),
            ENDED => match self.process.load(Ordering::Acquire) {
                0 => Some(Took::Free),
                process => (process == DEAD).then_some(Took::FromTheDead),
            },
            _ => None,
        }
    }

    /// `Mutex::wait`.
    fn acquire(&self, me: u32) -> Took {
        loop {
            let owner = self.word.load(Ordering::Acquire);
            if let Some(took) = self.how_to_be_had(owner)
                && self.swap(owner, me)
            {
                self.process.store(OWN, Ordering::Release);
                return took;
            }
            thread::yield_now();
        }
    }

    /// `Mutex::release`, whoever has it.
    fn release(&self) {
        let owner = self.word.load(Ordering::Acquire);
        assert_ne!(owner, 0, "somebody has it");
        self.process.store(0, Ordering::Release);
        let _ = self
            .word
            .compare_exchange(owner, 0, Ordering::SeqCst, Ordering::Relaxed);
    }

    fn add_one(&self) {
        self.value.with_mut(|value| {
            // SAFETY: the lock is held, and loom fails the run if it did not exclude.
            unsafe { *value += 1 };
        });
    }
}

fn check(process: u32, work: fn(&Words, u32) -> Option<Took>) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let words = Arc::new(Words::taken_in(process));
        let other = Arc::clone(&words);
        let handle = thread::spawn(move || work(&other, 1));
        let took = [words.use_it(2), handle.join().unwrap()];
        let from_the_dead = took.iter().filter(|took| **took == Some(Took::FromTheDead));
        assert_eq!(from_the_dead.count(), usize::from(process == DEAD));
        // SAFETY: the other thread has ended.
        let sum = words.value.with(|value| unsafe { *value });
        assert_eq!(sum, 2);
        assert_eq!(words.word.load(Ordering::Acquire), 0, "the lock is free");
    });
}

impl Words {
    fn use_it(&self, me: u32) -> Option<Took> {
        let took = self.acquire(me);
        self.add_one();
        self.release();
        Some(took)
    }

    /// What the thread that ended had begun, another goes on with and ends.
    fn end_it(&self, _: u32) -> Option<Took> {
        self.add_one();
        self.release();
        None
    }
}

#[test]
fn one_of_two_takes_it_over_from_a_dead_process() {
    check(DEAD, Words::use_it);
}

#[test]
fn nothing_is_told_of_one_that_died_before_it_had_the_lock() {
    check(0, Words::use_it);
}

#[test]
fn it_is_taken_until_another_thread_gives_it_back() {
    check(OWN, Words::end_it);
}
