//! One operation of a thread on a store, and what is done before and after it: looking for the dead, giving back what
//! waits, freeing what died.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use super::ObjectId;
use super::attached::Attached;
use super::local::Local;
use super::lock::Holder;
use super::locked::{DROP_PATIENCE, Locked, PATIENCE};
use super::objects::Row;
use super::process_lock::ProcessGuard;
use super::recover::{self, Swept};
use super::references::AT_ONCE;
use super::threads::ThreadSlot;
use crate::error::AccessError;

/// How often operations look for dead processes.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// One operation of this thread on one store: the process lock is held until it is dropped.
pub(crate) struct Session<'a> {
    attached: &'a Attached,
    guard: ProcessGuard,
    pub(crate) slot: u64,
    thread: ThreadSlot,
}

impl<'a> Session<'a> {
    /// The process-local tables.
    pub(crate) fn local(&mut self) -> &mut Local {
        self.attached.local(&mut self.guard)
    }

    /// The calling thread's name in lock words.
    pub(crate) fn thread(&self) -> Holder {
        self.thread.holder
    }

    /// Takes the store's lock.
    pub(crate) fn lock(&self, patience: Duration) -> Result<Locked<'a>, AccessError> {
        self.attached.file.lock(&self.thread, patience)
    }

    /// Before an operation that adds something: looks for the dead, and gives back what waits.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub(crate) fn tidy_up(&mut self) -> Result<(), AccessError> {
        // Failing to recover a dead process is no reason to fail: the next sweep tries again.
        let swept = self.sweep(false, &mut Swept::default());
        if let Err(timeout @ AccessError::LockTimeout { .. }) = swept {
            return Err(timeout);
        }
        self.settle(PATIENCE)
    }

    /// Ends the operation, and frees what died of it.
    pub(crate) fn end(mut self, patience: Duration) {
        let dying = std::mem::take(&mut self.local().unfinished);
        let Self {
            attached, guard, ..
        } = self;
        drop(guard);
        attached.free(dying, patience);
    }

    /// Gives back the holds that nobody here owns any more.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub(crate) fn settle(&mut self, patience: Duration) -> Result<(), AccessError> {
        if self.local().pending.is_empty() {
            return Ok(());
        }
        let locked = self.lock(patience)?;
        let slot = self.slot;
        let local = self.local();
        for id in std::mem::take(&mut local.pending) {
            let Some(held) = local.held.get(&id).copied() else {
                continue;
            };
            if held.count > 0 {
                continue;
            }
            let dying = &mut local.unfinished;
            if locked
                .drop_hold(slot, held.handle, Some(id), slot, dying)
                .is_ok()
            {
                local.held.remove(&id);
                local.building.remove(&id);
                local.free_handles.push(held.handle);
            }
        }
        Ok(())
    }

    /// Recovers dead processes, at most once a second unless `always`. What was found before an error is counted.
    pub(crate) fn sweep(&mut self, always: bool, swept: &mut Swept) -> Result<(), AccessError> {
        let now = Instant::now();
        let last = self.local().last_sweep;
        if !always && last.is_some_and(|last| now.duration_since(last) < SWEEP_INTERVAL) {
            return Ok(());
        }
        let (attached, thread, slot) = (self.attached, self.thread, self.slot);
        let local = self.local();
        local.last_sweep = Some(now);
        let Some(process) = &local.process else {
            return Ok(());
        };
        let life = process.life.as_fd();
        let done = recover::sweep(&attached.file, &thread, life, slot, PATIENCE, swept);
        local.unfinished.append(&mut swept.dying);
        done
    }
}

impl Attached {
    /// Begins an operation.
    pub(crate) fn session(&self) -> Result<Session<'_>, AccessError> {
        let mut guard = ProcessGuard::lock();
        let (slot, thread) = self.identify(&mut guard)?;
        Ok(Session {
            attached: self,
            guard,
            slot,
            thread,
        })
    }

    /// Frees objects that became DYING: punches their pages without any lock, lets go of what they refer to, which may
    /// be the end of more, then clears their rows. When the lock is not to be had in time, the rest is left to the next
    /// operation: nobody else frees it.
    pub(crate) fn free(&self, mut dying: Vec<Row>, patience: Duration) {
        let mut done = 0;
        while let Some(row) = dying.get(done).copied() {
            // A failed punch leaves pages in a range that the next object commits again: no leak.
            let _ = self.file.punch_data(row.first, row.committed());
            if !self.finish(&row, patience, &mut dying) {
                let mut guard = ProcessGuard::lock();
                let unfinished = &mut self.local(&mut guard).unfinished;
                unfinished.extend(dying.iter().skip(done));
                return;
            }
            done = done.saturating_add(1);
        }
    }

    /// Frees one of them; `false` if the lock is not to be had. It is given back between batches of references.
    fn finish(&self, row: &Row, patience: Duration, dying: &mut Vec<Row>) -> bool {
        loop {
            let Ok(session) = self.session() else {
                return false;
            };
            let Ok(locked) = session.lock(patience) else {
                return false;
            };
            let dropped = locked.drop_references(row.id, session.slot, AT_ONCE, dying);
            // A damaged chain keeps its container.
            if !matches!(dropped, Ok(false)) {
                let _ = locked.finish_free(row);
                return true;
            }
        }
    }

    /// Gives one local owner's interest back; the last one gives the hold back.
    pub(crate) fn release(&self, id: ObjectId) {
        let Ok(mut session) = self.session() else {
            return;
        };
        let local = session.local();
        let Some(held) = local.held.get_mut(&id) else {
            return;
        };
        held.count = held.count.saturating_sub(1);
        if held.count > 0 {
            return;
        }
        local.pending.push(id);
        // What cannot be given back now waits for the next operation.
        let _ = session.settle(DROP_PATIENCE);
        session.end(DROP_PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Huge, Store};

    #[test]
    fn what_died_in_an_operation_that_failed_is_freed_by_the_next_one() {
        let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
        let object = store.allocate(10, Huge::Never).unwrap();
        let object = object.publish().unwrap();
        let id = object.id();
        // This test gives the hold back.
        std::mem::forget(object);
        let mut session = store.0.session().unwrap();
        let local = session.local();
        local.held.get_mut(&id).unwrap().count = 0;
        local.pending.push(id);
        session.settle(PATIENCE).unwrap();
        // The operation goes no further: the lock is not to be had, for instance.
        drop(session);
        assert_eq!(store.stats().unwrap().dying_objects, 1);
        drop(store.allocate(10, Huge::Never).unwrap());
        let stats = store.stats().unwrap();
        assert_eq!((stats.dying_objects, stats.allocated_bytes), (0, 0));
        store.verify().unwrap();
    }
}
