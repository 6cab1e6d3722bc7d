//! What is in a store, and giving back what nobody needs.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::attached::Attached;
use super::layout::Counter;
use super::locked::PATIENCE;
use super::objects::State;
use super::recover::Swept;
use super::references::AT_ONCE;
use super::session::Session;
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
    /// Objects that containers refer to, each as often as one does.
    pub references: u64,
    /// Processes that use the store, dead ones not yet recovered included.
    pub processes: u64,
    /// Containers: objects that are written to.
    pub containers: u64,
    /// Chunks of memory that containers took when they grew.
    pub chunks: u64,
    /// Bytes of containers and their chunks, in whole pages; `allocated_bytes` has them, too.
    pub container_bytes: u64,
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
    /// Containers that only referred to each other.
    pub cycles: u64,
    /// Objects that went with these, and chunks of containers.
    pub objects: u64,
    /// Bytes of those objects.
    pub bytes: u64,
}

pub(crate) fn stats(attached: &Arc<Attached>) -> Result<Stats, AccessError> {
    let session = attached.session()?;
    let locked = session.lock(PATIENCE)?;
    let mut stats = Stats {
        units: locked.units()?.len() as u64,
        references: locked.count_references()? as u64,
        allocated_bytes: locked.counter(Counter::Allocated)?,
        max_bytes: locked.counter(Counter::MaxBytes)?,
        capacity_bytes: attached.file.geometry.capacity,
        ..Stats::default()
    };
    let mut interests = 0u64;
    for row in locked.rows()? {
        let row = row?;
        let field = match row.state {
            State::Live => &mut stats.live_objects,
            State::Building => &mut stats.building_objects,
            State::Container => &mut stats.containers,
            State::Chunk => &mut stats.chunks,
            State::Free | State::Dying => &mut stats.dying_objects,
        };
        *field = field.saturating_add(1);
        if matches!(row.state, State::Container | State::Chunk) {
            stats.container_bytes = stats.container_bytes.saturating_add(row.committed());
        }
        interests = interests.saturating_add(row.count);
    }
    stats.holds = interests
        .saturating_sub(stats.units)
        .saturating_sub(stats.references);
    for slot in 0..locked.high(Counter::ProcessHigh)? {
        let taken = u64::from(locked.is_taken(slot)?);
        stats.processes = stats.processes.saturating_add(taken);
    }
    stats.occupied_bytes = memory::occupied(attached.file.fd()).unwrap_or(0);
    Ok(stats)
}

pub(crate) fn collect(
    attached: &Arc<Attached>,
    max_age: Option<Duration>,
) -> Result<Collected, AccessError> {
    let mut session = attached.session()?;
    let mut swept = Swept::default();
    let (mut units, mut cycles) = (0, 0);
    let collected = collect_in(&mut session, max_age, &mut swept, &mut units)
        .and_then(|()| collect_cycles(&mut session, &mut cycles));
    let dying = &session.local().unfinished;
    let found = Collected {
        processes: swept.processes,
        holds: swept.holds,
        units,
        cycles,
        objects: dying.len() as u64,
        bytes: dying.iter().map(super::objects::Row::committed).sum(),
    };
    session.end(PATIENCE);
    collected.map(|()| found)
}

fn collect_in(
    session: &mut Session<'_>,
    max_age: Option<Duration>,
    swept: &mut Swept,
    units: &mut u64,
) -> Result<(), AccessError> {
    session.sweep(true, swept)?;
    session.settle(PATIENCE)?;
    session.lock(PATIENCE)?.give_free_tables_back()?;
    let Some(max_age) = max_age else {
        return Ok(());
    };
    let max_age = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
    let (locked, slot) = (session.lock(PATIENCE)?, session.slot);
    for unit in locked.units()?.iter().filter(|unit| unit.age_ms >= max_age) {
        locked.drop_unit(unit, slot, &mut session.local().unfinished)?;
        *units = units.saturating_add(1);
    }
    Ok(())
}

/// Lets containers go that nobody can come to: by dropping what they refer to, a few references at a time. Nobody comes to
/// them in between.
fn collect_cycles(session: &mut Session<'_>, cycles: &mut u64) -> Result<(), AccessError> {
    let unreachable = session.lock(PATIENCE)?.unreachable()?;
    for id in unreachable {
        loop {
            let (locked, slot) = (session.lock(PATIENCE)?, session.slot);
            let dying = &mut session.local().unfinished;
            if locked.drop_references(id, slot, AT_ONCE, dying)? {
                break;
            }
        }
        *cycles = cycles.saturating_add(1);
    }
    Ok(())
}
