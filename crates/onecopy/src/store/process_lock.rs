//! The process lock: one for everything that the threads of this process share about its stores.
//!
//! It is what a fork waits for, so that parent and child both see whole tables. Order: process lock, then a store's lock;
//! no Python code, no allocation callback and no wait for an interpreter lock happens under either.
//!
//! **Invariants.** `I1`: there is a [`ProcessGuard`] only while the lock is taken, and never two: `lock` makes one after
//! taking it, `suspend` and `resume` hand one over. `I2`: what a [`Guarded`] holds is reached through the guard alone.
#![allow(
    unsafe_code,
    reason = "what the lock guards lies in cells, and a guard is carried across forks"
)]

use std::cell::UnsafeCell;

use crate::primitive::{AtomicU64, Ordering};
use crate::sys::lock::LocalLock;

static LOCK: LocalLock = LocalLock::new();
/// How many forks lie between this process and the first.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Proof that this thread holds the process lock.
pub(crate) struct ProcessGuard(());

impl ProcessGuard {
    /// Waits for the process lock.
    pub(crate) fn lock() -> Self {
        LOCK.lock();
        Self(())
    }

    /// Leaves the lock taken across a fork; [`ProcessGuard::resume`] takes it up on both sides.
    pub(crate) fn suspend(self) {
        std::mem::forget(self);
    }

    /// The guard that [`ProcessGuard::suspend`] left, in the same thread or in its fork child.
    ///
    /// # Safety
    /// - This thread, or the thread it was forked from, has called `suspend` and nobody `resume` since.
    pub(crate) unsafe fn resume() -> Self {
        Self(())
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        LOCK.unlock();
    }
}

/// What only the holder of the process lock reaches.
pub(crate) struct Guarded<T>(UnsafeCell<T>);

// SAFETY: threads that share the value reach what is in it one after the other, each with the lock taken (I1, I2): it is
// handed from one to the next, which is what `Send` allows.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    /// Puts a value under the lock.
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value, for as long as the guard is borrowed for it.
    pub(crate) fn open<'a>(&'a self, _guard: &'a mut ProcessGuard) -> &'a mut T {
        // SAFETY: the pointer is that of a live value, as `self` outlives the reference. There is one guard (I1), it is
        // borrowed exclusively as long as the reference lives, and every reference to the value borrows it (I2): this
        // is the only one.
        unsafe { &mut *self.0.get() }
    }
}

/// Counts the forks; called in the child.
pub(crate) fn forked() {
    // Relaxed: called by the only thread of a fork child.
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Forks between this process and the one of its ancestors, or itself, that first had a store or wanted one.
#[must_use]
pub fn fork_count() -> u64 {
    // Relaxed: it changes only before a process has a second thread.
    FORKS.load(Ordering::Relaxed)
}
