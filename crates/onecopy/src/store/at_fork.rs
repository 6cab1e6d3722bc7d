//! What happens to stores at a fork.
//!
//! A forked child has its parent's views, so it needs holds of its own before the parent can drop its.
//! *prepare* (in the parent, before): takes the process lock, so that both sides inherit whole tables;
//! for each store, reserves a process slot for the child on a new description and copies the parent's
//! handles into it, which raises the counts. *parent*: closes that description; the child keeps it open
//! if there is a child. *child*: makes it its own, closes the parent's (or the parent would look alive
//! for as long as the child), makes the parent's unfinished objects private and forgets all thread slots. Containers stay
//! shared: they are there to be written to. Only where the child could be given no holds is their memory private as well,
//! since it may become another object's, and every operation on them is refused (container.rs).
//!
//! **Crash points.** At any moment: the child's slot is alive exactly as long as a process has the new
//! description open, so a parent killed in *prepare*, a fork that fails and a child killed at once all
//! leave an ordinary dead slot (recover.rs).
//!
//! `vfork` and `posix_spawn` run no handlers and need none: the child execs, and all descriptors are
//! close-on-exec. A raw `clone` system call runs none either: such a child must not use views.
#![allow(unsafe_code, reason = "the process lock is carried across the fork")]

use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::alive::{self, ProcessSlot};
use super::attached::Attached;
use super::layout::Counter;
use super::locked::PATIENCE;
use super::process_lock::{ProcessGuard, forked};
use super::recover::{self, Swept};
use crate::error::AccessError;
use crate::sys::{atfork, life};

/// Slots that may be in use beyond twice those of the living.
const SPARE_SLOTS: u64 = 8;

/// Registers the handlers; the first store of a process does this.
pub(crate) fn register() -> std::io::Result<()> {
    atfork::register(prepare, parent, child)
}

extern "C" fn prepare() {
    let mut guard = ProcessGuard::lock();
    // A panic must not cross into C; a store that could not be prepared is treated like a failure.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if let Some(work) = guard.process().before_fork {
            work(&mut guard);
        }
        let stores: Vec<_> = guard
            .process()
            .stores
            .iter()
            .filter_map(|store| store.1.upgrade())
            .collect();
        // Before the work that may fail, so that the child finds every store.
        guard.process().forking.clone_from(&stores);
        for store in &stores {
            // On failure the child has no slot and takes one at its first operation.
            let child = prepare_store(store, &mut guard).ok();
            store.local(&mut guard).child = child;
        }
    }));
    guard.suspend();
}

fn prepare_store(
    store: &Arc<Attached>,
    guard: &mut ProcessGuard,
) -> Result<ProcessSlot, AccessError> {
    let reserved = reserve(store, guard)?;
    let (_, thread) = store.identify(guard)?;
    let locked = store.file.lock(&thread, PATIENCE)?;
    // The pid is not known yet; the child signs.
    locked.enlist(reserved.slot, 0)?;
    for (id, held) in &store.local(guard).held {
        if let Some(row) = locked.object(*id)? {
            locked.add_hold(&row, reserved.slot, held.handle)?;
        }
    }
    Ok(reserved)
}

/// Reserves a slot for the child: one that was used before, if those who had it may be dead. Each slot has a table of its
/// own, and children that ended since the last look may have all slots.
fn reserve(store: &Attached, guard: &mut ProcessGuard) -> Result<ProcessSlot, AccessError> {
    match ProcessSlot::reserve(&store.file) {
        Ok(fresh) if is_crowded(store, guard, fresh.slot) => drop(fresh),
        Err(AccessError::Full { .. }) => {}
        reserved => return reserved,
    }
    // What is damaged about the dead keeps nobody from a slot that is free.
    let looked = free_the_dead(store, guard);
    ProcessSlot::reserve(&store.file).map_err(|full| looked.err().unwrap_or(full))
}

/// Whether all slots below this one are in use, and so many that it pays to look who of them has died: twice as many as
/// were found alive at the last look, so that a fork asks about a few on average, however many there are.
fn is_crowded(store: &Attached, guard: &mut ProcessGuard, fresh: u64) -> bool {
    let is_new = store
        .file
        .high(Counter::ProcessHigh)
        .is_ok_and(|high| fresh >= high);
    is_new && fresh >= store.local(guard).crowd
}

fn free_the_dead(store: &Attached, guard: &mut ProcessGuard) -> Result<(), AccessError> {
    let (slot, thread) = store.identify(guard)?;
    let (local, mut swept) = (store.local(guard), Swept::default());
    let Some(process) = &local.process else {
        return Ok(());
    };
    let life = process.life.as_fd();
    let done = recover::sweep(&store.file, &thread, life, slot, PATIENCE, &mut swept);
    local.unfinished.append(&mut swept.dying);
    let used = store.file.high(Counter::ProcessHigh).unwrap_or(0);
    let alive = used.saturating_sub(swept.processes);
    local.crowd = alive.saturating_mul(2).saturating_add(SPARE_SLOTS);
    done
}

extern "C" fn parent() {
    // SAFETY: pthread_atfork(3) calls this in the thread that forks, after `prepare`, which suspended its guard at its
    // end; in this process nobody else resumes it, and this runs once for each fork.
    let mut guard = unsafe { ProcessGuard::resume() };
    // As in `prepare`, a panic must not cross into C.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let stores = std::mem::take(&mut guard.process().forking);
        for store in &stores {
            store.local(&mut guard).child = None;
        }
        drop(guard);
        // After the guard: this may be the last owner, and its drop takes the process lock.
        drop(stores);
    }));
}

extern "C" fn child() {
    // SAFETY: pthread_atfork(3) calls this in the child, whose only thread is forked from the one that ran `prepare`,
    // which suspended its guard at its end; in this process nobody else resumes it, and this runs once.
    let mut guard = unsafe { ProcessGuard::resume() };
    forked();
    life::forget_all();
    let stores = std::mem::take(&mut guard.process().forking);
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let pid = std::process::id();
        for store in &stores {
            let local = store.local(&mut guard);
            // Replacing drops the parent's description here, so that it is the parent's alone again.
            local.process = local.child.take();
            // The parent's to finish.
            local.unfinished.clear();
            let building = std::mem::take(&mut local.building);
            let ranges = building.values().map(|row| row.range(&store.file.geometry));
            let mut private: Vec<_> = ranges.collect();
            if let Some(process) = &local.process {
                alive::sign(&store.file, process.slot, pid);
            } else {
                // No holds of our own: none can be given back, and addresses of arrays lead to copies.
                private.extend(local.held.values().filter_map(|held| held.run));
                local.held.clear();
                local.pending.clear();
                store.void_inherited();
            }
            for (from, to) in private {
                let file = &store.file;
                if file
                    .mapping
                    .make_private(file.fd.as_fd(), from, to)
                    .is_err()
                {
                    // Going on would let this child write into what the parent is building.
                    std::process::abort();
                }
            }
        }
    }));
    drop(guard);
    drop(stores);
}
