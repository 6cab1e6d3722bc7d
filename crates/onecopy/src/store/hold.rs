//! A hold as a Rust value: what objects and containers have in common on this process's side.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::ObjectId;
use super::attached::Attached;
use super::local::Held;
use super::locked::PATIENCE;
use super::objects::{Row, State};
use super::process_lock::fork_count;
use super::token::Token;
use crate::error::{AccessError, AllocateError, AttachError};
use crate::sys::procfs;

/// Takes room for `len` bytes, not committed yet, and the first hold, which [`Attached::release`] gives back. What
/// `is_private` becomes that in fork children.
pub(super) fn allocate(
    attached: &Attached,
    len: u64,
    is_private: bool,
) -> Result<Row, AllocateError> {
    let mut session = attached.session()?;
    session.tidy_up()?;
    let slot = session.slot;
    let locked = session.lock(PATIENCE)?;
    let local = session.local();
    let handle = local.take_handle();
    let allocated = locked.allocate(slot, handle, len);
    drop(locked);
    match &allocated {
        Ok(row) => {
            let run = (!is_private).then(|| row.range(&attached.file.geometry));
            local.held.insert(
                row.id,
                Held {
                    handle,
                    count: 1,
                    run,
                },
            );
            if is_private {
                local.building.insert(row.id, *row);
            }
        }
        Err(_) => local.free_handles.push(handle),
    }
    session.end(PATIENCE);
    let row = allocated?;
    if let Err(error) = attached.share_again(&row) {
        attached.release(row.id);
        return Err(error.into());
    }
    Ok(row)
}

/// One owner of this process's hold.
pub(super) struct Hold {
    pub(super) attached: Arc<Attached>,
    forks: u64,
    pub(super) id: ObjectId,
    pub(super) first: u64,
    pub(super) len: u64,
}

impl Hold {
    /// Takes over the interest of whoever has it counted.
    pub(super) fn of(attached: Arc<Attached>, row: &Row) -> Self {
        Self {
            attached,
            forks: fork_count(),
            id: row.id,
            first: row.first,
            len: row.len,
        }
    }

    /// Turns a token of an object in the state `wanted` into a hold.
    pub(super) fn attach(
        attached: &Arc<Attached>,
        token: &Token,
        wanted: State,
    ) -> Result<(Self, Row), AttachError> {
        let mut session = attached.session()?;
        session.tidy_up()?;
        let slot = session.slot;
        let locked = session.lock(PATIENCE)?;
        let local = session.local();
        let id = token.object;
        let known = local.held.get(&id).copied();
        let handle = if known.is_none() {
            Some(local.take_handle())
        } else {
            None
        };
        let result = locked.redeem(token, wanted, slot, handle);
        drop(locked);
        match (&result, handle) {
            (Ok(row), Some(handle)) => {
                let is_container = wanted == State::Container;
                let run = is_container.then(|| row.range(&attached.file.geometry));
                let count = 1;
                local.held.insert(id, Held { handle, count, run });
            }
            (Ok(_), None) => {
                if let Some(held) = local.held.get_mut(&id) {
                    held.count = held.count.saturating_add(1);
                }
            }
            (Err(_), Some(handle)) => local.free_handles.push(handle),
            (Err(_), None) => {}
        }
        session.end(PATIENCE);
        let row = result?;
        Ok((Self::of(Arc::clone(attached), &row), row))
    }

    /// Takes a hold on what a reference of a container means, which the caller holds; `None` if it was dropped.
    pub(super) fn by_reference(
        attached: &Arc<Attached>,
        from: ObjectId,
        name: u64,
    ) -> Result<Option<(Self, Row)>, AccessError> {
        let mut session = attached.session()?;
        let (slot, locked) = (session.slot, session.lock(PATIENCE)?);
        let Some(row) = locked.referent(from, name)? else {
            return Ok(None);
        };
        locked.check_reach(&row)?;
        let local = session.local();
        if let Some(held) = local.held.get_mut(&row.id) {
            held.count = held.count.saturating_add(1);
        } else {
            let handle = local.take_handle();
            if let Err(error) = locked.add_hold(&row, slot, handle) {
                local.free_handles.push(handle);
                return Err(error);
            }
            let is_container = row.state == State::Container;
            let run = is_container.then(|| row.range(&attached.file.geometry));
            let count = 1;
            local.held.insert(row.id, Held { handle, count, run });
        }
        Ok(Some((Self::of(Arc::clone(attached), &row), row)))
    }

    /// A token for another process. It counts as an interest in the object until it is attached once.
    pub(super) fn token(&self) -> Result<Token, AccessError> {
        let attached = &self.attached;
        let session = attached.session()?;
        let locked = session.lock(PATIENCE)?;
        let at = attached.file.geometry.entry(u64::from(self.id.index));
        let row = locked
            .object(self.id)?
            .ok_or_else(|| attached.file.corrupt(at, "a held object that is gone"))?;
        let unit = locked.add_unit(&row)?;
        Ok(Token {
            store: attached.file.uuid,
            pid: std::process::id(),
            fd: procfs::number(&attached.file.fd),
            object: self.id,
            unit,
            len: self.len,
        })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.attached.owns(self.forks) {
            self.attached.release(self.id);
        }
    }
}
