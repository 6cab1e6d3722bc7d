//! The stores that this process is attached to, each with what is the process's own of it.
#![allow(
    unsafe_code,
    reason = "a store that is left is unmapped, or stays mapped for the life words in it"
)]

use std::mem::ManuallyDrop;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Weak};

use super::alive::ProcessSlot;
use super::file::StoreFile;
use super::local::Local;
use super::locked::{DROP_PATIENCE, PATIENCE};
use super::objects::Row;
use super::process_lock::{Guarded, ProcessGuard, fork_count};
use super::references::AT_ONCE;
use super::threads::{self, ThreadSlot};
use super::{Uuid, own_slot};
use crate::error::AccessError;
use crate::primitive::{AtomicU64, Ordering};

/// Attachments of this process, numbered so that each thread finds its slots (`own_slot.rs`).
static NEXT_KEY: AtomicU64 = AtomicU64::new(1);

/// Stores of this process that are void ([`Attached::is_void`]): what every read of a container looks at first.
static VOID: AtomicU64 = AtomicU64::new(0);

/// Whether some store of this process may be void.
#[inline]
pub(crate) fn some_are_void() -> bool {
    // Relaxed: see `Attached::void_inherited`.
    VOID.load(Ordering::Relaxed) != 0
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

static PROCESS: Guarded<Process> = Guarded::new(Process {
    stores: Vec::new(),
    default: None,
    former: Vec::new(),
    forking: Vec::new(),
    before_fork: None,
});

impl ProcessGuard {
    /// The stores of this process.
    pub(crate) fn process(&mut self) -> &mut Process {
        PROCESS.open(self)
    }
}

/// Takes a process slot of a store.
fn enlist(file: &StoreFile, key: u64) -> Result<ProcessSlot, AccessError> {
    let reserved = ProcessSlot::reserve(file)?;
    let own = own_slot::get(file, key, reserved.slot)?;
    file.lock(&own, PATIENCE)?
        .enlist(reserved.slot, std::process::id())?;
    Ok(reserved)
}

/// A store that this process is attached to.
pub(crate) struct Attached {
    pub(crate) file: ManuallyDrop<StoreFile>,
    key: u64,
    /// Holds from before this fork are void: the fork could not give the child holds of its own.
    void_before_fork: AtomicU64,
    local: Guarded<Local>,
}

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
                close(file, own_slot::forget(key));
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
            local: Guarded::new(local),
        });
        let process = guard.process();
        process.stores.retain(|store| store.1.strong_count() > 0);
        process
            .stores
            .push((attached.file.uuid, Arc::downgrade(&attached)));
        Ok(attached)
    }

    /// The process-local tables.
    pub(crate) fn local<'a>(&'a self, guard: &'a mut ProcessGuard) -> &'a mut Local {
        self.local.open(guard)
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
        Ok((slot, own_slot::get(&self.file, self.key, slot)?))
    }

    /// Makes the holds of before the last fork void: this child has none of its own.
    pub(crate) fn void_inherited(&self) {
        // Relaxed: set in a fork child by its only thread.
        self.void_before_fork.store(fork_count(), Ordering::Relaxed);
        VOID.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this process inherited its mappings, but no holds: some of its pages may be private ones of what its
    /// ancestor built, so that it cannot write to what others read.
    pub(crate) fn is_void(&self) -> bool {
        // Relaxed: see `void_inherited`.
        self.void_before_fork.load(Ordering::Relaxed) != 0
    }

    /// Where this process is void, the room of a new object may be under private pages of a container that was there.
    pub(crate) fn share_again(&self, row: &Row) -> Result<(), AccessError> {
        if !self.is_void() {
            return Ok(());
        }
        let (from, to) = row.range(&self.file.geometry);
        let shared = self
            .file
            .mapping
            .make_shared(self.file.fd.as_fd(), from, to);
        shared.map_err(|source| AccessError::Kernel {
            store: self.file.uuid,
            step: "mmap",
            source,
        })
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

    /// Gives back what is left (holds that waited for the lock) and the process slot.
    fn leave(&self, slot: u64, guard: &mut ProcessGuard) {
        let Ok(own) = own_slot::get(&self.file, self.key, slot) else {
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
        let mut done = 0;
        while let Some(row) = dying.get(done).copied() {
            done = done.saturating_add(1);
            let _ = self.file.punch_data(row.first, row.committed());
            // What is left is freed by whoever recovers this process's slot.
            while let Ok(locked) = self.file.lock(&own, DROP_PATIENCE) {
                let dropped = locked.drop_references(row.id, slot, AT_ONCE, &mut dying);
                if !matches!(dropped, Ok(false)) {
                    let _ = locked.finish_free(&row);
                    break;
                }
            }
        }
        if let Ok(locked) = self.file.lock(&own, DROP_PATIENCE) {
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
        // SAFETY: the value is there, as this is the only place that takes it and `drop` runs once; after this line
        // nothing uses `self.file`, in particular no drop of fields, which `ManuallyDrop` leaves out.
        let file = unsafe { ManuallyDrop::take(&mut self.file) };
        if slot.is_some() {
            close(file, own_slot::forget(self.key));
        } else {
            // Life words of before the fork may stand in the metadata.
            file.mapping.leak_metadata();
        }
    }
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
