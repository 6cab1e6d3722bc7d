//! The store's lock, taken: what a thread has to prove before it changes the metadata.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::alive;
use super::file::StoreFile;
use super::intent::{self, Intent};
use super::layout::{Counter, LOCK};
use super::lock::{self, Holder, Taken};
use super::threads::{self, ThreadSlot};
use crate::error::{AccessError, Corrupt};
use crate::sys::procfs;

/// How long an operation waits for a living holder of the store's lock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a destructor waits before it leaves its hold to the next operation.
pub(crate) const DROP_PATIENCE: Duration = Duration::from_millis(20);

impl StoreFile {
    /// Takes the store's lock and, if its last holder died, finishes what that one began. `me` is the calling thread,
    /// which has the process lock.
    pub(crate) fn lock(
        &self,
        me: &ThreadSlot,
        patience: Duration,
    ) -> Result<Locked<'_>, AccessError> {
        if !threads::is_own(self, me) {
            let at = self.geometry.thread(u64::from(me.holder.slot));
            return Err(self
                .corrupt(at, "the slot of this thread is no longer its own")
                .into());
        }
        let word = self.mem.half(LOCK);
        let patience = crate::testing::patience(patience);
        let is_absent = |holder| threads::is_absent(self, holder, me);
        let taken = match lock::try_take(word, me.holder) {
            Some(taken) => taken,
            None => lock::take(word, me.holder, patience, is_absent)
                .map_err(|word| self.timeout(word, patience))?,
        };
        let locked = Locked {
            file: self,
            me: me.holder,
        };
        // Replaying also after an orderly release costs one load and forgives a corrupt holder.
        if taken == Taken::FromTheDead || intent::is_armed(self.mem) {
            intent::replay(self.mem)
                .map_err(|at| self.corrupt(at, "an impossible intent record"))?;
        }
        Ok(locked)
    }

    fn timeout(&self, word: u32, patience: Duration) -> AccessError {
        let process = Holder::of(word).and_then(|holder| threads::process_of(self, holder));
        let pid = process.map_or(0, |process| alive::pid_of(self, process));
        AccessError::LockTimeout {
            store: self.uuid,
            waited_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
            pid,
            state: procfs::state(pid).unwrap_or('?'),
        }
    }
}

/// Proof that this thread holds the store's lock. All changes of the metadata are methods of it.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    pub(crate) file: &'a StoreFile,
    me: Holder,
}

impl Locked<'_> {
    /// Reads a counter.
    pub(crate) fn counter(&self, counter: Counter) -> Result<u64, Corrupt> {
        self.file.counter(counter)
    }

    /// Reads a high-water mark.
    pub(crate) fn high(&self, counter: Counter) -> Result<u64, Corrupt> {
        self.file.high(counter)
    }

    /// Reads where to begin to look for a free row; `high` is the end of the used ones.
    pub(crate) fn hint(&self, counter: Counter, high: u64) -> Result<u64, Corrupt> {
        let hint = self.counter(counter)?;
        if hint > high {
            return Err(self
                .file
                .corrupt(counter.offset(), "a hint past the last row"));
        }
        Ok(hint)
    }

    /// Does all writes of a change or, if this process dies, leaves them to the next holder of the lock.
    ///
    /// # Errors
    /// Somebody has overwritten the lock word: another process may have been inside at the same time, and the change
    /// may be half another's.
    pub(crate) fn commit(&self, intent: &Intent) -> Result<(), Corrupt> {
        self.check_held()?;
        intent.commit(self.file.mem);
        self.check_held()
    }

    fn check_held(&self) -> Result<(), Corrupt> {
        if lock::is_held_by(self.file.mem.half(LOCK), self.me) {
            return Ok(());
        }
        Err(self
            .file
            .corrupt(LOCK, "a lock that was taken away from its holder"))
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        lock::give_back(self.file.mem.half(LOCK), self.me);
    }
}
