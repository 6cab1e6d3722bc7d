//! What is in a store, and giving back what nobody needs.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::attached::{Attached, PATIENCE};
use super::layout::Counter;
use super::objects::State;
use crate::error::AccessError;
use crate::sys::memory;

/// Figures of a store at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Objects that can be read.
    pub live_objects: u64,
    /// Objects being built.
    pub building_objects: u64,
    /// Objects whose pages are being given back.
    pub dying_objects: u64,
    /// Holds of all processes.
    pub holds: u64,
    /// Tokens that were made and not yet attached.
    pub units: u64,
    /// Processes that use the store, dead ones not yet recovered included.
    pub processes: u64,
    /// Bytes of all objects, in whole pages.
    pub allocated_bytes: u64,
    /// Bytes of memory that the file occupies, metadata included (`st_blocks`).
    pub occupied_bytes: u64,
    /// Quota for `allocated_bytes`; 0 means none.
    pub max_bytes: u64,
    /// Address range of one mapping.
    pub capacity_bytes: u64,
}

/// What [`super::Store::collect`] gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Dead processes that were recovered.
    pub processes: u64,
    /// Holds they left behind.
    pub holds: u64,
    /// Tokens that were given up because of their age.
    pub units: u64,
    /// Objects that went with these.
    pub objects: u64,
    /// Bytes of those objects.
    pub bytes: u64,
}

pub(crate) fn stats(attached: &Arc<Attached>) -> Result<Stats, AccessError> {
    let session = attached.session()?;
    let locked = session.lock(PATIENCE)?;
    let mut stats = Stats {
        units: locked.units().count() as u64,
        allocated_bytes: locked.counter(Counter::Allocated),
        max_bytes: locked.counter(Counter::MaxBytes),
        capacity_bytes: attached.file.geometry.capacity,
        ..Stats::default()
    };
    let mut interests = 0u64;
    for row in locked.rows() {
        let row = row?;
        let field = match row.state {
            State::Live => &mut stats.live_objects,
            State::Building => &mut stats.building_objects,
            _ => &mut stats.dying_objects,
        };
        *field = field.saturating_add(1);
        interests = interests.saturating_add(row.count);
    }
    stats.holds = interests.saturating_sub(stats.units);
    let slots = 0..locked.process_high();
    stats.processes = slots
        .filter(|slot| locked.generation_of(*slot).is_some())
        .count() as u64;
    stats.occupied_bytes = memory::occupied(attached.file.fd()).unwrap_or(0);
    Ok(stats)
}

pub(crate) fn collect(
    attached: &Arc<Attached>,
    max_age: Option<Duration>,
) -> Result<Collected, AccessError> {
    let mut session = attached.session()?;
    let swept = session.sweep(true)?;
    let mut dying = swept.dying;
    dying.extend(session.settle(PATIENCE));
    let mut units = 0u64;
    let locked = session.lock(PATIENCE)?;
    if let Some(max_age) = max_age {
        let max_age = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
        let old: Vec<u64> = locked
            .units()
            .filter(|unit| unit.2 >= max_age)
            .map(|unit| unit.0)
            .collect();
        for index in old {
            dying.extend(locked.drop_unit(index, session.slot)?);
            units = units.saturating_add(1);
        }
    }
    drop(locked);
    dying.append(&mut session.local().unfinished);
    drop(session);
    let collected = Collected {
        processes: swept.processes,
        holds: swept.holds,
        units,
        objects: dying.len() as u64,
        bytes: dying.iter().map(super::objects::Row::committed).sum(),
    };
    attached.free(dying);
    Ok(collected)
}
