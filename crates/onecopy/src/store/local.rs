//! What a process knows of one store beside the store itself: its holds and its unfinished work.
//!
//! **Invariants.** `I1`: a handle number is in `held` or in `free_handles` or ≥ `next_handle`, in
//! exactly one. `I2`: `held[id].count` is the number of local owners; at 0 the hold is only still there
//! because the lock was busy, and `pending` names it.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::Instant;

use super::ObjectId;
use super::alive::ProcessSlot;
use super::objects::Row;

/// A hold of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) handle: u64,
    pub(crate) count: u64,
    /// Of a container: where its own run begins and ends in the file.
    pub(crate) run: Option<(u64, u64)>,
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
    pub(crate) last_sweep: Option<Instant>,
    /// So many process slots may be in use before a fork looks for the dead.
    pub(crate) crowd: u64,
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
