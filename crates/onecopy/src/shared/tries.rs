//! Changes that code of others works out: without the lock, on a copy, and again if somebody was faster.
//!
//! Such code may block, fail, or kill its process, so it does not run under a container's lock unless its caller has taken
//! that. Whoever is always too late ends in an error that says how to keep the others out.
#![forbid(unsafe_code)]

use std::time::Instant;

use super::error::ContainerError;
use super::lock::{PATIENCE, WriterLock};
use crate::store::Watch;

/// So many tries at least; and after so many in which the code itself has used the container, it is to blame.
const LEAST: u32 = 8;

/// Counts tries that were in vain.
#[derive(Debug)]
pub struct Tries {
    lock: WriterLock,
    begun: Instant,
    count: u32,
    /// In a row, up to now, in which the code has changed the container, or asked for its lock.
    own: u32,
    is_own: bool,
}

impl Tries {
    /// None yet.
    #[must_use]
    pub fn new(lock: WriterLock) -> Self {
        Self {
            lock,
            begun: Instant::now(),
            count: 0,
            own: 0,
            is_own: false,
        }
    }

    /// How many there have been.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The container's lock.
    #[must_use]
    pub fn lock(&self) -> &WriterLock {
        &self.lock
    }

    /// Runs code of others, and notices whether it changes the container.
    pub fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        let watch = Watch::of(self.lock.container());
        let done = code();
        self.is_own |= watch.is_used();
        done
    }

    /// After a try in vain: another may be made.
    ///
    /// # Errors
    /// [`ContainerError::OwnChange`] if it was the code itself, and [`ContainerError::Overtaken`] if for ten seconds, and eight
    /// tries, others were faster.
    pub fn again(&mut self) -> Result<(), ContainerError> {
        self.count = self.count.saturating_add(1);
        self.own = if self.is_own { self.own + 1 } else { 0 };
        self.is_own = false;
        // Nobody else changes what this thread has locked.
        if self.own >= LEAST || self.lock.is_held_here()? {
            return Err(ContainerError::OwnChange);
        }
        let waited = self.begun.elapsed();
        if self.count >= LEAST && waited >= crate::testing::patience(PATIENCE) {
            return Err(ContainerError::Overtaken {
                tries: self.count,
                waited_s: waited.as_millis() as f64 / 1000.0,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::shared::{Cell, Incoming, Word};

    fn cell() -> Cell {
        let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
        Cell::create(&store).unwrap()
    }

    fn change(cell: &Cell) {
        cell.set(&Incoming::Word(Word::NONE)).unwrap();
    }

    #[test]
    fn who_is_always_late_is_told_after_ten_seconds_and_eight_tries() {
        let mut tries = Tries::new(cell().writer_lock());
        for _ in 0..100 {
            tries.again().unwrap();
        }
        tries.begun = Instant::now().checked_sub(PATIENCE).unwrap();
        let told = tries.again().unwrap_err();
        assert!(matches!(told, ContainerError::Overtaken { tries: 101, .. }));
        tries.count = 0;
        for _ in 1..LEAST {
            tries.again().unwrap();
        }
        tries.again().unwrap_err();
    }

    #[test]
    fn code_that_changes_the_container_itself_is_to_blame() {
        let (one, other) = (cell(), cell());
        let mut tries = Tries::new(one.writer_lock());
        let mut outcomes = Vec::new();
        for nth in 0..2 * LEAST {
            // Also from inside another's watch; one try without it, and the count begins anew.
            let is_own = nth != LEAST - 2;
            let mut inner = Tries::new(other.writer_lock());
            tries.run(|| {
                change(&other);
                inner.run(|| {
                    if is_own {
                        change(&one);
                    }
                });
            });
            inner.again().unwrap();
            change(&one);
            outcomes.push(tries.again().is_ok());
        }
        let blamed = outcomes.iter().position(|is_ok| !is_ok).unwrap();
        assert_eq!(blamed as u32, LEAST - 2 + LEAST);
    }

    #[test]
    fn who_has_the_lock_is_late_only_by_its_own_doing() {
        let cell = cell();
        let mut tries = Tries::new(cell.writer_lock());
        tries.lock().hold(None).unwrap();
        let told = tries.again().unwrap_err();
        assert!(matches!(told, ContainerError::OwnChange));
        tries.lock().release().unwrap();
        tries.again().unwrap();
    }
}
