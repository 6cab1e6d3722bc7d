//! This process's side of the stores it is attached to.
//!
//! One [`LocalLock`] guards everything process-local: it is what a fork waits for, so that parent and
//! child both see whole tables. Order: process lock, then the store's lock; no Python code, no
//! allocation callback and no wait for an interpreter lock happens under either.
//!
//! **Invariants.** `I1`: a handle number is in `held` or in `free_handles` or ≥ `next_handle`, in
//! exactly one. `I2`: `held[id].count` is the number of local owners; at 0 the hold is only still there
//! because the lock was busy, and `pending` names it.
#![allow(
    unsafe_code,
    reason = "process-local state lives in cells that the process lock guards"
)]

use std::cell::{RefCell, UnsafeCell};
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::alive::ProcessSlot;
use super::file::StoreFile;
use super::lock::Holder;
use super::locked::Locked;
use super::objects::Row;
use super::recover::{self, Swept};
use super::threads::{self, ThreadSlot};
use super::{ObjectId, Uuid};
use crate::error::AccessError;
use crate::primitive::{AtomicU64, Ordering};
use crate::sys::lock::LocalLock;

/// How long an operation waits for a living holder of the store's lock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a destructor waits before it leaves its hold to the next operation.
const DROP_PATIENCE: Duration = Duration::from_millis(20);
/// How often operations look for dead processes.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Attachments of this process, numbered so that thread-local slots find theirs.
static NEXT_KEY: AtomicU64 = AtomicU64::new(1);
/// How many forks lie between this process and the first: slots of before a fork are void.
static FORKS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// (attachment, fork count, slot) for each store this thread has locked.
    static SLOTS: RefCell<Vec<(u64, u64, ThreadSlot)>> = const { RefCell::new(Vec::new()) };
}

/// Everything process-local: the stores this process knows.
pub(crate) struct Process {
    pub(crate) stores: Vec<(Uuid, Weak<Attached>)>,
    pub(crate) default: Option<Arc<Attached>>,
    /// Default stores of users that this process was before; kept for ever.
    pub(crate) former: Vec<Arc<Attached>>,
    /// Kept alive between the fork handlers.
    pub(crate) forking: Vec<Arc<Attached>>,
    /// What is done first at a fork: making the default store if there is none.
    pub(crate) before_fork: Option<fn(&mut ProcessGuard)>,
}

struct Global {
    lock: LocalLock,
    process: UnsafeCell<Process>,
}

// SAFETY: `process` is only reached through `ProcessGuard`, which holds `lock`.
unsafe impl Sync for Global {}

static GLOBAL: Global = Global {
    lock: LocalLock::new(),
    process: UnsafeCell::new(Process {
        stores: Vec::new(),
        default: None,
        former: Vec::new(),
        forking: Vec::new(),
        before_fork: None,
    }),
};

/// Proof that this thread holds the process lock.
pub(crate) struct ProcessGuard(());

impl ProcessGuard {
    /// Waits for the process lock.
    pub(crate) fn lock() -> Self {
        GLOBAL.lock.lock();
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

    /// The process-wide state.
    #[allow(
        clippy::unused_self,
        reason = "the exclusive borrow of the guard is the proof"
    )]
    pub(crate) fn process(&mut self) -> &mut Process {
        // SAFETY: the lock is held (this guard), and `&mut self` makes this the only reference.
        unsafe { &mut *GLOBAL.process.get() }
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        GLOBAL.lock.unlock();
    }
}

/// Counts the forks; called in the child.
pub(crate) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Forks between this process and the one of its ancestors, or itself, that first had a store or wanted one.
#[must_use]
pub fn fork_count() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// A hold of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) handle: u64,
    pub(crate) count: u64,
}

/// Process-local tables of one store.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// `None` only in a fork child for which no slot could be had: taken at its next operation.
    pub(crate) process: Option<ProcessSlot>,
    /// The slot reserved for the child while a fork is under way.
    pub(crate) child: Option<ProcessSlot>,
    pub(crate) held: HashMap<ObjectId, Held>,
    pub(crate) free_handles: Vec<u64>,
    pub(crate) next_handle: u64,
    pub(crate) pending: Vec<ObjectId>,
    /// Objects that became DYING and that this process has to free: at the end of the operation, or, if that failed,
    /// of the next one. No thread is at work on what stands here: a late punch would hit the next object in the room.
    pub(crate) unfinished: Vec<Row>,
    /// Objects that this process is building: their writable pages are not for fork children.
    pub(crate) building: HashMap<ObjectId, Row>,
    last_sweep: Option<Instant>,
}

impl Local {
    /// A handle that no hold uses.
    pub(crate) fn take_handle(&mut self) -> u64 {
        self.free_handles.pop().unwrap_or_else(|| {
            let handle = self.next_handle;
            self.next_handle = self.next_handle.saturating_add(1);
            handle
        })
    }
}

/// Takes a process slot of a store.
fn enlist(file: &StoreFile, key: u64) -> Result<ProcessSlot, AccessError> {
    let reserved = ProcessSlot::reserve(file)?;
    let own = thread_slot(file, key, reserved.slot)?;
    file.lock(&own, PATIENCE)?
        .enlist(reserved.slot, std::process::id())?;
    Ok(reserved)
}

/// The calling thread's slot, claimed at its first operation.
fn thread_slot(file: &StoreFile, key: u64, slot: u64) -> Result<ThreadSlot, AccessError> {
    let forks = fork_count();
    let known = SLOTS.try_with(|slots| {
        let slots = slots.borrow();
        slots
            .iter()
            .find(|(owner, fork, _)| *owner == key && *fork == forks)
            .map(|known| known.2)
    });
    if let Ok(Some(own)) = known {
        return Ok(own);
    }
    let own = threads::claim(file, slot)?;
    // During a thread's last breath its table may be gone: the slot then serves one operation and is
    // freed like that of any ended thread.
    let _ = SLOTS.try_with(|slots| {
        let mut slots = slots.borrow_mut();
        slots.retain(|(_, fork, _)| *fork == forks);
        slots.push((key, forks, own));
    });
    Ok(own)
}

/// A store that this process is attached to.
pub(crate) struct Attached {
    pub(crate) file: ManuallyDrop<StoreFile>,
    key: u64,
    /// Holds from before this fork are void: the fork could not give the child holds of its own.
    void_before_fork: AtomicU64,
    local: UnsafeCell<Local>,
}

// SAFETY: `local` is only reached with the process lock held (`Attached::local`); the rest is Sync.
unsafe impl Sync for Attached {}
// SAFETY: `local` is only reached with the process lock held (`Attached::local`), by whichever thread; file and
// numbers are bound to none.
unsafe impl Send for Attached {}

impl std::fmt::Debug for Attached {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Attached")
            .field("store", &self.file.uuid)
            .finish_non_exhaustive()
    }
}

impl Attached {
    /// Joins the family of a store: takes a process slot and registers for forks.
    pub(crate) fn join(
        file: StoreFile,
        guard: &mut ProcessGuard,
    ) -> Result<Arc<Self>, AccessError> {
        // Relaxed: only uniqueness matters.
        let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
        let reserved = match enlist(&file, key) {
            Ok(reserved) => reserved,
            Err(error) => {
                close(file, forget_thread(key));
                return Err(error);
            }
        };
        let local = Local {
            process: Some(reserved),
            ..Local::default()
        };
        let attached = Arc::new(Self {
            file: ManuallyDrop::new(file),
            key,
            void_before_fork: AtomicU64::new(0),
            local: UnsafeCell::new(local),
        });
        let process = guard.process();
        process.stores.retain(|store| store.1.strong_count() > 0);
        process
            .stores
            .push((attached.file.uuid, Arc::downgrade(&attached)));
        Ok(attached)
    }

    /// The process-local tables.
    pub(crate) fn local<'a>(&'a self, _guard: &'a mut ProcessGuard) -> &'a mut Local {
        // SAFETY: the guard proves that the process lock is held, and its exclusive borrow lasts as
        // long as the reference, so there is no second one, of this store or of another.
        unsafe { &mut *self.local.get() }
    }

    /// This process's slot and this thread's.
    pub(crate) fn identify(
        &self,
        guard: &mut ProcessGuard,
    ) -> Result<(u64, ThreadSlot), AccessError> {
        let slot = if let Some(process) = &self.local(guard).process {
            process.slot
        } else {
            let reserved = enlist(&self.file, self.key)?;
            let slot = reserved.slot;
            self.local(guard).process = Some(reserved);
            slot
        };
        Ok((slot, thread_slot(&self.file, self.key, slot)?))
    }

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

    /// Frees objects that became DYING: punches their pages without any lock, then clears their rows. When the lock is
    /// not to be had in time, the rest is left to the next operation: nobody else frees it.
    pub(crate) fn free(&self, dying: &[Row], patience: Duration) {
        for row in dying {
            // A failed punch leaves pages in a range that the next object commits again: no leak.
            let _ = self.file.punch_data(row.first, row.committed());
        }
        let is_left = |row: &Row| {
            let Ok(session) = self.session() else {
                return true;
            };
            let Ok(locked) = session.lock(patience) else {
                return true;
            };
            let _ = locked.finish_free(row);
            false
        };
        if let Some(first) = dying.iter().position(is_left) {
            let mut guard = ProcessGuard::lock();
            let unfinished = &mut self.local(&mut guard).unfinished;
            unfinished.extend(dying.iter().skip(first));
        }
    }

    /// Makes the holds of before the last fork void: this child has none of its own.
    pub(crate) fn void_inherited(&self) {
        // Relaxed: set in a fork child by its only thread.
        self.void_before_fork.store(fork_count(), Ordering::Relaxed);
    }

    /// Whether this process inherited its mappings, but no holds: some of its pages may be private ones of what its
    /// ancestor built, so that it cannot write to what others read.
    pub(crate) fn is_void(&self) -> bool {
        // Relaxed: see `void_inherited`.
        self.void_before_fork.load(Ordering::Relaxed) != 0
    }

    /// This attachment's number, which no other of this process has had; never 0.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// Whether a hold that was taken after `forks` forks is this process's to give back.
    pub(crate) fn owns(&self, forks: u64) -> bool {
        // Relaxed: see `void_inherited`.
        forks >= self.void_before_fork.load(Ordering::Relaxed)
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

impl Drop for Attached {
    fn drop(&mut self) {
        let mut guard = ProcessGuard::lock();
        guard
            .process()
            .stores
            .retain(|store| store.1.strong_count() > 0);
        let slot = self
            .local(&mut guard)
            .process
            .as_ref()
            .map(|process| process.slot);
        if let Some(slot) = slot {
            self.leave(slot, &mut guard);
        }
        drop(guard);
        // SAFETY: this is the only place that takes the file, and `drop` runs once.
        let file = unsafe { ManuallyDrop::take(&mut self.file) };
        if slot.is_some() {
            close(file, forget_thread(self.key));
        } else {
            // Life words of before the fork may stand in the metadata.
            file.mapping.leak_metadata();
        }
    }
}

impl Attached {
    /// Gives back what is left (holds that waited for the lock) and the process slot.
    fn leave(&self, slot: u64, guard: &mut ProcessGuard) {
        let Ok(own) = thread_slot(&self.file, self.key, slot) else {
            return;
        };
        let mut dying = std::mem::take(&mut self.local(guard).unfinished);
        if let Ok(locked) = self.file.lock(&own, DROP_PATIENCE) {
            for handle in 0..locked.handle_high(slot).unwrap_or(0) {
                let _ = locked.drop_hold(slot, handle, None, slot, &mut dying);
            }
        } else {
            return;
        }
        for row in &dying {
            let _ = self.file.punch_data(row.first, row.committed());
        }
        if let Ok(locked) = self.file.lock(&own, DROP_PATIENCE) {
            for row in &dying {
                let _ = locked.finish_free(row);
            }
            // With anything left, the slot is recovered like that of a dead process.
            if locked.own_dying(slot).is_ok_and(|rows| rows.is_empty())
                && locked.holds_nothing(slot)
            {
                let _ = locked.delist(slot);
            }
        }
        // Closes the life descriptor: what was not finished is swept like that of a dead process.
        *self.local(guard) = Local::default();
    }
}

/// Takes the calling thread's slot of a store out of its table.
fn forget_thread(key: u64) -> Option<ThreadSlot> {
    let forks = fork_count();
    SLOTS
        .try_with(|slots| {
            let mut slots = slots.borrow_mut();
            let at = slots
                .iter()
                .position(|(owner, fork, _)| *owner == key && *fork == forks);
            at.map(|at| slots.swap_remove(at).2)
        })
        .ok()
        .flatten()
}

/// Unmaps a store; with life words in it, its metadata stay mapped (life.rs).
fn close(file: StoreFile, own: Option<ThreadSlot>) {
    if let Some(own) = own {
        threads::release(&file, &own);
    }
    if file.has_lives() {
        file.mapping.leak_metadata();
    }
}

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
        attached.free(&dying, patience);
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
