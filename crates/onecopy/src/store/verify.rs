//! The whole truth: checks every invariant that the tables promise.
//!
//! Used by the crash tests after each kill and recovery, and open to users who suspect a stray write.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use super::ObjectId;
use super::attached::Attached;
use super::layout::{Counter, Header, INTENT};
use super::locked::{Locked, PATIENCE};
use super::objects::{Row, State};
use super::{intent, threads};
use crate::error::AccessError;

pub(crate) fn verify(attached: &Arc<Attached>) -> Result<(), AccessError> {
    let session = attached.session()?;
    let locked = session.lock(PATIENCE)?;
    locked.verify_header()?;
    locked.verify_intent()?;
    for counter in Counter::ALL {
        locked.counter(counter)?;
    }
    threads::verify(locked.file)?;
    let interests = locked.count_interests()?;
    locked.verify_objects(&interests)?;
    locked.verify_chains()?;
    locked.verify_spans()
}

impl Locked<'_> {
    fn verify_header(&self) -> Result<(), AccessError> {
        let header = Header {
            uuid: self.file.uuid.0,
            geometry: self.file.geometry,
        };
        for (index, word) in header.words().into_iter().enumerate() {
            let at = (index as u64).saturating_mul(8);
            if self.file.mem.get(at) != word {
                return Err(self
                    .file
                    .corrupt(at, "a header that is not what it was")
                    .into());
            }
        }
        Ok(())
    }

    fn verify_intent(&self) -> Result<(), AccessError> {
        if intent::is_armed(self.file.mem) {
            return Err(self
                .file
                .corrupt(INTENT, "an intent record that nobody replayed")
                .into());
        }
        Ok(())
    }

    /// Handles, units and references per object; a slot that is not taken has no handles.
    fn count_interests(&self) -> Result<HashMap<ObjectId, u64>, AccessError> {
        let geometry = &self.file.geometry;
        let mut interests: HashMap<ObjectId, u64> = HashMap::new();
        let mut add = |id| {
            let count = interests.entry(id).or_default();
            *count = count.saturating_add(1);
        };
        for slot in 0..self.high(Counter::ProcessHigh)? {
            self.verify_slot(slot)?;
            let taken = self.is_taken(slot)?;
            for handle in 0..self.handle_high(slot)? {
                if let Some(id) = self.handle(slot, handle)? {
                    if !taken {
                        let at = geometry.handle(slot, handle);
                        return Err(self
                            .file
                            .corrupt(at, "a hold of a free process slot")
                            .into());
                    }
                    add(id);
                }
            }
        }
        for unit in self.units()? {
            let (at, id) = (geometry.unit(unit.index), unit.object);
            let row = self.object(id)?;
            let is_sound = |row: Row| matches!(row.state, State::Live | State::Container);
            if !row.is_some_and(is_sound) {
                return Err(self
                    .file
                    .corrupt(
                        at,
                        "a unit of an object that is neither LIVE nor a CONTAINER",
                    )
                    .into());
            }
            add(id);
        }
        self.verify_references(add)?;
        Ok(interests)
    }

    fn verify_objects(&self, interests: &HashMap<ObjectId, u64>) -> Result<(), AccessError> {
        let geometry = &self.file.geometry;
        let mut known = 0usize;
        let mut allocated = 0u64;
        for row in self.rows()? {
            let row = row?;
            let at = geometry.entry(u64::from(row.id.index));
            let corrupt = |what| AccessError::from(self.file.corrupt(at, what));
            let count = interests.get(&row.id).copied().unwrap_or(0);
            known = known.saturating_add(usize::from(count > 0));
            if row.count != count {
                return Err(corrupt("count is not holds + units + references"));
            }
            let is_held = !matches!(row.state, State::Dying | State::Chunk);
            if is_held != (count > 0) {
                return Err(corrupt(
                    "BUILDING, LIVE or CONTAINER without interest, or DYING or CHUNK with it",
                ));
            }
            allocated = allocated.saturating_add(row.committed());
        }
        if known != interests.len() {
            let at = geometry.entries;
            return Err(self
                .file
                .corrupt(at, "a hold, unit or reference of an object that is gone")
                .into());
        }
        if allocated != self.counter(Counter::Allocated)? {
            let at = Counter::Allocated.offset();
            return Err(self
                .file
                .corrupt(at, "Allocated is not the sum of the objects")
                .into());
        }
        for index in 0..self.hint(Counter::EntryHint, self.high(Counter::EntryHigh)?)? {
            if self.row(index as u32)?.state == State::Free {
                let at = geometry.entry(index);
                return Err(self.file.corrupt(at, "a free entry below the hint").into());
            }
        }
        Ok(())
    }

    /// Every chunk is in one chain, that of its container (chunks.rs I1), and nothing else has chains (I2). A chain ends, so
    /// no chunk is in it twice, and it has its own container's alone: as many in chains as there are means each in one.
    fn verify_chains(&self) -> Result<(), AccessError> {
        let (mut chunks, mut chained) = (0usize, 0usize);
        for row in self.rows()? {
            let row = row?;
            match row.state {
                State::Chunk => chunks = chunks.saturating_add(1),
                State::Container | State::Dying => {
                    chained = chained.saturating_add(self.chunks(&row)?.len());
                }
                _ if row.next.is_some() || row.tag != 0 => {
                    let at = self.file.geometry.entry(u64::from(row.id.index));
                    let what = "an object that is no container and has a chain";
                    return Err(self.file.corrupt(at, what).into());
                }
                _ => {}
            }
        }
        if chunks != chained {
            let at = self.file.geometry.entries;
            return Err(self.file.corrupt(at, "a chunk in no chain").into());
        }
        Ok(())
    }

    fn verify_spans(&self) -> Result<(), AccessError> {
        let geometry = &self.file.geometry;
        let mut heads = HashMap::new();
        for row in self.rows()? {
            let row = row?;
            if heads.insert(row.first, row.id).is_some() {
                let at = geometry.entry(u64::from(row.id.index));
                return Err(self
                    .file
                    .corrupt(at, "two objects in one run of spans")
                    .into());
            }
        }
        let high = self.high(Counter::SpanHigh)?;
        let hint = self.hint(Counter::SpanHint, high)?;
        let mut span = 0;
        let mut is_hint_a_boundary = false;
        while span < high {
            is_hint_a_boundary |= span == hint;
            let at = geometry.span_word(span);
            let corrupt = |what| AccessError::from(self.file.corrupt(at, what));
            let run = self.run_at(span)?;
            if !run.is_used && span < hint {
                return Err(corrupt("a free span below the hint"));
            }
            if run.is_used && heads.remove(&span).is_none() {
                return Err(corrupt("a run of spans without an object"));
            }
            span = span.saturating_add(run.n);
        }
        if span != high || !is_hint_a_boundary && hint != high {
            let at = Counter::SpanHigh.offset();
            return Err(self
                .file
                .corrupt(at, "runs of spans that do not end where they should")
                .into());
        }
        if !heads.is_empty() {
            let at = geometry.spans;
            return Err(self
                .file
                .corrupt(at, "an object whose run is past the end")
                .into());
        }
        Ok(())
    }
}
