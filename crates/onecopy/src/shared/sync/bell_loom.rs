//! A model of the bell (bell.rs): no wake-up is lost, though nobody looks around by himself. Run by `make loom`.
//!
//! The words lie in mapped memory, where loom's atomics cannot be, so this is the protocol and not its code. The kernel
//! compares the word and puts the thread to sleep in one step, which wake-ups of the same word wait for (futex(2)): a mutex
//! and a condition variable. Loom knows no order of all `SeqCst` accesses, so fences stand where the code relies on it.

use loom::sync::atomic::{AtomicU32, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

#[derive(Debug)]
struct Words {
    /// What is waited for: units to be had.
    units: AtomicU32,
    rings: AtomicU32,
    sleepers: AtomicU32,
    kernel: Mutex<()>,
    asleep: Condvar,
}

impl Words {
    fn new() -> Self {
        Self {
            units: AtomicU32::new(0),
            rings: AtomicU32::new(0),
            sleepers: AtomicU32::new(0),
            kernel: Mutex::new(()),
            asleep: Condvar::new(),
        }
    }

    /// A change, and `Bell::ring(1)`.
    fn give(&self) {
        self.units.fetch_add(1, Ordering::AcqRel);
        self.rings.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) != 0 {
            let _step = self.kernel.lock().unwrap();
            self.asleep.notify_one();
        }
    }

    fn take(&self) -> bool {
        let less = |units: u32| units.checked_sub(1);
        let taken = self
            .units
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        taken.is_ok()
    }

    /// Looks, and sleeps by `Bell::wait`, until there is something to take.
    fn wait(&self) {
        loop {
            let seen = self.rings.load(Ordering::SeqCst);
            if self.take() {
                return;
            }
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let step = self.kernel.lock().unwrap();
            if self.rings.load(Ordering::SeqCst) == seen {
                drop(self.asleep.wait(step).unwrap());
            } else {
                drop(step);
            }
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Loom fails a run in which all threads sleep.
fn check(takers: usize, gifts: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let words = Arc::new(Words::new());
        let takers: Vec<_> = (0..takers)
            .map(|_| {
                let words = Arc::clone(&words);
                thread::spawn(move || words.wait())
            })
            .collect();
        for _ in 0..gifts {
            words.give();
        }
        for taker in takers {
            taker.join().unwrap();
        }
        assert_eq!(words.sleepers.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn one_who_waits_is_woken() {
    check(1, 1);
}

#[test]
fn two_who_wait_are_woken_by_two_rings() {
    check(2, 2);
}
