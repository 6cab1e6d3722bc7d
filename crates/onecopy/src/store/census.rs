//! Which containers a store has, and what they are made of: for reports.
//!
//! Rows are listed at one moment. Their memory is looked at afterwards, one run at a time under the store's lock: as long as
//! a row is there it is committed, so a look reads no hole, which would give it a page.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ptr::NonNull;

use super::ObjectId;
use super::handle::Store;
use super::layout::SPAN;
use super::locked::PATIENCE;
use super::objects::{Row, State};
use crate::error::AccessError;

/// A run of spans of a container, or of what it refers to, in bytes of the data area.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    id: ObjectId,
    /// Where it begins.
    pub(crate) offset: u64,
    /// Its bytes, whole pages.
    pub(crate) len: u64,
    /// What its container calls it by; of the container's own run, its kind.
    pub(crate) tag: u32,
}

impl Run {
    fn of(row: &Row) -> Self {
        Self {
            id: row.id,
            offset: row.first.saturating_mul(SPAN),
            len: row.committed(),
            tag: row.tag(),
        }
    }
}

/// A container at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) id: ObjectId,
    /// What its maker asked for, in bytes.
    pub(crate) len: u64,
    /// Processes that hold it.
    pub(crate) holds: u64,
    /// Tokens of it in flight.
    pub(crate) units: u64,
    pub(crate) own: Run,
    pub(crate) chunks: Vec<Run>,
    /// What it refers to that never changes, each as often as it does.
    pub(crate) referred: Vec<Run>,
}

impl Store {
    /// All containers.
    pub(crate) fn listed(&self) -> Result<Vec<Listed>, AccessError> {
        let session = self.0.session()?;
        let locked = session.lock(PATIENCE)?;
        let mut units: HashMap<ObjectId, u64> = HashMap::new();
        for unit in locked.units()? {
            let count = units.entry(unit.object).or_default();
            *count = count.saturating_add(1);
        }
        let mut listed = Vec::new();
        for row in locked.rows()? {
            let row = row?;
            if row.state != State::Container {
                continue;
            }
            let mut referred = Vec::new();
            for (_, id) in locked.references(&row)? {
                let row = locked.object(id)?.filter(|row| row.state == State::Live);
                referred.extend(row.as_ref().map(Run::of));
            }
            let units = units.get(&row.id).copied().unwrap_or(0);
            listed.push(Listed {
                id: row.id,
                len: row.len,
                holds: row.count.saturating_sub(units),
                units,
                own: Run::of(&row),
                chunks: locked.chunks(&row)?.iter().map(Run::of).collect(),
                referred,
            });
        }
        Ok(listed)
    }

    /// Looks at a run's memory, if it is still there.
    pub(crate) fn look_at<T>(
        &self,
        run: &Run,
        look: impl FnOnce() -> T,
    ) -> Result<Option<T>, AccessError> {
        let session = self.0.session()?;
        let locked = session.lock(PATIENCE)?;
        let row = locked.object(run.id)?;
        let is_there = row
            .is_some_and(|row| matches!(row.state, State::Container | State::Chunk | State::Live));
        Ok(is_there.then(look))
    }

    /// Where the data area begins in this process, and its bytes; see [`super::Container::data`].
    pub(crate) fn data(&self) -> (NonNull<u8>, u64) {
        let file = &self.0.file;
        let len = file.geometry.span_count.saturating_mul(SPAN);
        (file.mapping.data(), len.min(file.data_len()))
    }
}
