//! Repair after death: what a process leaves behind when it ends without giving things back.
//!
//! A normal exit takes the same road as a SIGKILL. Whoever finds a dead process slot drops its holds,
//! takes over the objects it was freeing, frees its thread slots and finally its slot. Every step is a
//! change of its own under the lock (intent.rs), and each looks again whether there is something left
//! to do, so two recoverers help each other and one that dies midway is followed by the next. Units
//! stay: their tokens may still be in a pipe.
//!
//! **Crash points.** Between any two steps: the slot is still LIVE and its process still dead, so the
//! next sweep goes on. Objects that became DYING belong to the recoverer, and are found by *its* slot; so does a container
//! with the chunks that it still has (chunks.rs).
#![forbid(unsafe_code)]

use std::os::fd::BorrowedFd;

use super::file::StoreFile;
use super::layout::Counter;
use super::locked::Locked;
use super::objects::{Row, State};
use super::threads::ThreadSlot;
use super::{alive, threads};
use crate::error::AccessError;

/// What a sweep found.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Dead processes whose slots were freed.
    pub(crate) processes: u64,
    /// Holds that went with them.
    pub(crate) holds: u64,
    /// Objects that nobody holds any more; the caller punches and frees them.
    pub(crate) dying: Vec<Row>,
}

/// Recovers all dead processes. `me` is the caller's process slot, `life` its own description.
///
/// # Errors
/// The first failure; what is damaged about one process does not keep the others from being recovered.
pub(crate) fn sweep(
    file: &StoreFile,
    own: &ThreadSlot,
    life: BorrowedFd<'_>,
    me: u64,
    patience: std::time::Duration,
    swept: &mut Swept,
) -> Result<(), AccessError> {
    // The dead may have left a change half done, the enlisting of their own slot for instance.
    drop(file.lock(own, patience)?);
    let mut result = Ok(());
    for slot in 0..file.high(Counter::ProcessHigh)? {
        let recovered = if slot == me {
            Ok(())
        } else {
            recover_if_dead(file, own, life, slot, me, patience, swept)
        };
        match recovered {
            Err(error @ AccessError::LockTimeout { .. }) => return Err(error),
            failed => result = result.and(failed),
        }
    }
    result
}

fn recover_if_dead(
    file: &StoreFile,
    own: &ThreadSlot,
    life: BorrowedFd<'_>,
    slot: u64,
    me: u64,
    patience: std::time::Duration,
    swept: &mut Swept,
) -> Result<(), AccessError> {
    if alive::may_be_dead(file, life, slot) {
        let locked = file.lock(own, patience)?;
        if locked.is_dead(life, slot)? {
            locked.recover(slot, me, swept)?;
        }
    }
    Ok(())
}

impl Locked<'_> {
    fn recover(&self, slot: u64, me: u64, swept: &mut Swept) -> Result<(), AccessError> {
        for handle in 0..self.handle_high(slot)? {
            if self.handle(slot, handle)?.is_some() {
                self.drop_hold(slot, handle, None, me, &mut swept.dying)?;
                swept.holds = swept.holds.saturating_add(1);
            }
        }
        for row in self.rows()? {
            let row = row?;
            if row.state == State::Dying && row.owner == slot {
                self.adopt_dying(&row, me, &mut swept.dying)?;
            }
        }
        threads::free_all_of(self.file, slot)?;
        self.delist(slot)?;
        swept.processes = swept.processes.saturating_add(1);
        Ok(())
    }

    /// Whether a slot has no holds.
    pub(crate) fn holds_nothing(&self, slot: u64) -> bool {
        let is_empty = |handle| matches!(self.handle(slot, handle), Ok(None));
        self.handle_high(slot)
            .is_ok_and(|high| (0..high).all(is_empty))
    }

    /// Objects that this process began to free and did not finish, for instance because the lock was
    /// not to be had then.
    pub(crate) fn own_dying(&self, me: u64) -> Result<Vec<Row>, AccessError> {
        let mut dying = Vec::new();
        for row in self.rows()? {
            let row = row?;
            if row.state == State::Dying && row.owner == me {
                dying.push(row);
            }
        }
        Ok(dying)
    }
}
