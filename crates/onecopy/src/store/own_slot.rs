//! The calling thread's slots: which one it has in which store.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use super::file::StoreFile;
use super::process_lock::fork_count;
use super::threads::{self, ThreadSlot};
use crate::error::AccessError;

thread_local! {
    /// (attachment, fork count, slot) for each store that this thread has locked. Slots of before a fork are void.
    static SLOTS: RefCell<Vec<(u64, u64, ThreadSlot)>> = const { RefCell::new(Vec::new()) };
}

/// The slot in the store that is attached as `key`, claimed at this thread's first operation. `process` is the slot of
/// this process.
pub(crate) fn get(file: &StoreFile, key: u64, process: u64) -> Result<ThreadSlot, AccessError> {
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
    let own = threads::claim(file, process)?;
    // During a thread's last breath its table may be gone: the slot then serves one operation and is
    // freed like that of any ended thread.
    let _ = SLOTS.try_with(|slots| {
        let mut slots = slots.borrow_mut();
        slots.retain(|(_, fork, _)| *fork == forks);
        slots.push((key, forks, own));
    });
    Ok(own)
}

/// Takes the slot out of the table, to be given back.
pub(crate) fn forget(key: u64) -> Option<ThreadSlot> {
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
