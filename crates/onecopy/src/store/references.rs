//! References: the interest of a container in other objects of its store, which may be containers, and itself.
//!
//! ```text
//! container's row ──first──▶ unit ⇄ unit ⇄ … ⇄ unit          each names an object, which it keeps as a hold does
//! row of 32 bytes: {used | generation | reference, object id (54), link before + 1 (21) | link after + 1 (21), container (54)}
//! ```
//! A reference is a unit that belongs to a container instead of a token. The container keeps its *name*, index and
//! generation in 48 bits, in words of its own memory (shared/referring.rs); the store never reads those. A name that was
//! dropped means nothing, and another object not before its row was used 2^28 times more: whoever finds one takes his hold
//! under the store's lock, if it still means one.
//!
//! **Invariants.** `I1`: a reference is in exactly one chain, that of the container that it names, which is CONTAINER or DYING.
//! `I2`: it names an object that is LIVE or CONTAINER, and is one of those that the object's count counts (objects.rs I1).
//!
//! **Crash points.** Adding one and dropping one are one change each: unit, neighbours, container's row and object's count
//! together; after any store of it: intent.rs. A container that nobody is interested in any more is DYING with its references:
//! they are dropped in batches, so whoever recovers its liberator goes on from there. An object that dies of that is DYING, too,
//! and waits in the same list: a chain of containers is freed one after the other, not one inside the other.
//!
//! **Cycles.** Containers that refer to each other keep each other. `Locked::unreachable` marks what holds and tokens lead to;
//! of the others the references are dropped, and they die of that.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::ObjectId;
use super::check;
use super::intent::Intent;
use super::layout::Counter;
use super::locked::Locked;
use super::objects::{Row, State};
use super::units::OBJECT_BITS;
use crate::error::{AccessError, Corrupt};

/// References that are dropped while the store's lock is held once.
pub(crate) const AT_ONCE: u64 = 64;

const LINKS: u64 = 16;
const CONTAINER: u64 = 24;
/// Bits of one link.
const LINK_BITS: u32 = 21;
/// Bits of the generation in a name; the index has 20.
const GENERATION_BITS: u32 = 28;

/// A reference's name.
fn name_of(index: u64, generation: u32) -> u64 {
    index << GENERATION_BITS | u64::from(generation) & ((1 << GENERATION_BITS) - 1)
}

/// Where a reference stands in its container's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Links {
    before: Option<u32>,
    after: Option<u32>,
}

impl Locked<'_> {
    fn corrupt_reference(&self, index: u64, what: &'static str) -> Corrupt {
        self.file.corrupt(self.file.geometry.unit(index), what)
    }

    fn links(&self, index: u64) -> Result<Links, Corrupt> {
        let at = self.file.geometry.unit(index).saturating_add(LINKS);
        let word = check::value(at, 2 * LINK_BITS, self.file.mem.get(at))
            .ok_or_else(|| self.corrupt_reference(index, "a reference without links"))?;
        let link = |word: u64| (word as u32 & ((1 << LINK_BITS) - 1)).checked_sub(1);
        Ok(Links {
            before: link(word),
            after: link(word >> LINK_BITS),
        })
    }

    fn set_links(&self, intent: &mut Intent, index: u64, links: Links) {
        let at = self.file.geometry.unit(index).saturating_add(LINKS);
        let link = |link: Option<u32>| link.map_or(0, |link| u64::from(link).saturating_add(1));
        let word = link(links.before) | link(links.after) << LINK_BITS;
        intent.set(at, check::with(at, 2 * LINK_BITS, word));
    }

    /// The container that a reference belongs to.
    fn referrer(&self, index: u64) -> Result<ObjectId, Corrupt> {
        let at = self.file.geometry.unit(index).saturating_add(CONTAINER);
        check::value(at, OBJECT_BITS, self.file.mem.get(at))
            .and_then(ObjectId::from_packed)
            .ok_or_else(|| self.corrupt_reference(index, "a reference of no container"))
    }

    /// Adds a reference of a container to an object, both of which the caller holds; its name.
    pub(crate) fn add_reference(&self, from: ObjectId, to: ObjectId) -> Result<u64, AccessError> {
        let container = self.container(from)?;
        let object = self.object(to)?;
        let object = object
            .filter(|row| matches!(row.state, State::Live | State::Container))
            .ok_or_else(|| {
                let at = self.file.geometry.entry(u64::from(to.index));
                self.file.corrupt(at, "a held object that is gone")
            })?;
        let mut intent = Intent::default();
        let unit = self.take_unit(&mut intent, to, true)?;
        let index = u64::from(unit.index);
        let at = self.file.geometry.unit(index).saturating_add(CONTAINER);
        intent.set(at, check::with(at, OBJECT_BITS, from.packed()));
        let after = container.first_reference();
        let own = Links {
            before: None,
            after,
        };
        self.set_links(&mut intent, index, own);
        if let Some(after) = after.map(u64::from) {
            let links = Links {
                before: Some(unit.index),
                ..self.links(after)?
            };
            self.set_links(&mut intent, after, links);
        }
        let container = container.referring(Some(unit.index));
        let count = object.count.saturating_add(1);
        if from == to {
            self.set_row(&mut intent, &Row { count, ..container });
        } else {
            self.set_row(&mut intent, &container);
            self.set_row(&mut intent, &Row { count, ..object });
        }
        self.commit(&intent)?;
        Ok(name_of(index, unit.generation))
    }

    /// The unit that a name of a container's means; `None` if it was dropped.
    fn named(&self, from: ObjectId, name: u64) -> Result<Option<u64>, Corrupt> {
        let index = name >> GENERATION_BITS;
        let Some(generation) = self.reference_at(index)? else {
            return Ok(None);
        };
        let is_it = name_of(index, generation) == name && self.referrer(index)? == from;
        Ok(is_it.then_some(index))
    }

    /// The object that a name of a container's means; `None` if it was dropped.
    pub(crate) fn referent(&self, from: ObjectId, name: u64) -> Result<Option<Row>, Corrupt> {
        match self.named(from, name)? {
            Some(index) => self.object_of_reference(index).map(Some),
            None => Ok(None),
        }
    }

    fn object_of_reference(&self, index: u64) -> Result<Row, Corrupt> {
        let row = self.object(self.unit_object(index)?)?;
        row.filter(|row| matches!(row.state, State::Live | State::Container))
            .ok_or_else(|| self.corrupt_reference(index, "a reference to an object that is gone"))
    }

    /// Drops a reference by its name; nothing happens if it was dropped before. What dies of it is added to `dying` (see
    /// `drop_hold`).
    pub(crate) fn drop_reference(
        &self,
        from: ObjectId,
        name: u64,
        me: u64,
        dying: &mut Vec<Row>,
    ) -> Result<(), AccessError> {
        match self.named(from, name)? {
            Some(index) => self.drop_unit_of(from, index, me, dying),
            None => Ok(()),
        }
    }

    fn drop_unit_of(
        &self,
        from: ObjectId,
        index: u64,
        me: u64,
        dying: &mut Vec<Row>,
    ) -> Result<(), AccessError> {
        let container = self.object(from)?;
        let container = container
            .filter(|row| matches!(row.state, State::Container | State::Dying))
            .ok_or_else(|| {
                self.corrupt_reference(index, "a reference of a container that is gone")
            })?;
        let object = self.object_of_reference(index)?;
        let mut intent = Intent::default();
        self.free_unit(&mut intent, index)?;
        let links = self.links(index)?;
        if let Some(after) = links.after.map(u64::from) {
            let others = Links {
                before: links.before,
                ..self.links(after)?
            };
            self.set_links(&mut intent, after, others);
        }
        let mut changed = container;
        if let Some(before) = links.before.map(u64::from) {
            let others = Links {
                after: links.after,
                ..self.links(before)?
            };
            self.set_links(&mut intent, before, others);
        } else {
            changed = container.referring(links.after);
        }
        if object.id == from {
            return self.subtract(intent, &changed, me, dying);
        }
        if changed != container {
            self.set_row(&mut intent, &changed);
        }
        self.subtract(intent, &object, me, dying)
    }

    /// Drops up to `most` references of a container; whether it has none now.
    pub(crate) fn drop_references(
        &self,
        from: ObjectId,
        me: u64,
        most: u64,
        dying: &mut Vec<Row>,
    ) -> Result<bool, AccessError> {
        for _ in 0..most {
            let first = self.object(from)?.and_then(|row| row.first_reference());
            let Some(first) = first.map(u64::from) else {
                return Ok(true);
            };
            if self.reference_at(first)?.is_none() || self.referrer(first)? != from {
                return Err(self.no_chain(first).into());
            }
            self.drop_unit_of(from, first, me, dying)?;
        }
        Ok(false)
    }

    fn no_chain(&self, index: u64) -> Corrupt {
        self.corrupt_reference(index, "a chain that leads to no reference of its container")
    }

    /// The references of a container: their names and what they mean, the newest first.
    pub(crate) fn references(&self, container: &Row) -> Result<Vec<(u64, ObjectId)>, Corrupt> {
        let most = self.high(Counter::UnitHigh)?;
        let mut references = Vec::new();
        let (mut before, mut next) = (None, container.first_reference());
        while let Some(index) = next {
            let wide = u64::from(index);
            let Some(generation) = self.reference_at(wide)? else {
                return Err(self.no_chain(wide));
            };
            let links = self.links(wide)?;
            let is_own = self.referrer(wide)? == container.id && links.before == before;
            if !is_own || references.len() as u64 >= most {
                return Err(self.no_chain(wide));
            }
            references.push((name_of(wide, generation), self.unit_object(wide)?));
            (before, next) = (Some(index), links.after);
        }
        Ok(references)
    }

    /// Calls `take` with what each reference means, and checks that each is in the chain of its container (I1).
    pub(super) fn verify_references(
        &self,
        mut take: impl FnMut(ObjectId),
    ) -> Result<(), AccessError> {
        let mut chained = 0usize;
        for row in self.rows()? {
            for (_, object) in self.references(&row?)? {
                chained = chained.saturating_add(1);
                take(object);
            }
        }
        if chained != self.count_references()? {
            return Err(self
                .file
                .corrupt(self.file.geometry.units, "a reference in no chain")
                .into());
        }
        Ok(())
    }

    /// How many references there are.
    pub(super) fn count_references(&self) -> Result<usize, Corrupt> {
        let mut count = 0usize;
        for index in 0..self.high(Counter::UnitHigh)? {
            count = count.saturating_add(usize::from(self.reference_at(index)?.is_some()));
        }
        Ok(count)
    }

    /// Containers that nothing but containers refers to, which nobody can come to: neither holds nor tokens lead there.
    pub(super) fn unreachable(&self) -> Result<Vec<ObjectId>, AccessError> {
        let mut left = Vec::new();
        for slot in 0..self.high(Counter::ProcessHigh)? {
            for handle in 0..self.handle_high(slot)? {
                left.extend(self.handle(slot, handle)?);
            }
        }
        left.extend(self.units()?.iter().map(|unit| unit.object));
        let mut reached = HashSet::new();
        while let Some(id) = left.pop() {
            if !reached.insert(id) {
                continue;
            }
            if let Some(row) = self.object(id)? {
                left.extend(self.references(&row)?.iter().map(|reference| reference.1));
            }
        }
        let mut unreachable = Vec::new();
        for row in self.rows()? {
            let row = row?;
            if row.state == State::Container && !reached.contains(&row.id) {
                unreachable.push(row.id);
            }
        }
        Ok(unreachable)
    }
}
