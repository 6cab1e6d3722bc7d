//! Chunks: what makes a container's memory grow and shrink.
//!
//! ```text
//! container's row ──next──▶ newest chunk ──next──▶ … ──next──▶ oldest chunk
//! FREE ─▶ DYING(who adds it) ─▶ CHUNK(container) ─▶ DYING(who frees it) ─▶ FREE, generation + 1
//! ```
//! A chunk is a run of spans with a row of its own, in the chain of one container. Nobody holds it: it lives as long as the
//! container, or until it is freed by its *tag*, a number that means something to the container alone. One that is being
//! added is DYING until its pages are committed, so whatever is in a chain is memory, and a process that dies or finds
//! none leaves nothing but an object that is freed like any other.
//!
//! **Invariants.** `I1`: a CHUNK is in exactly one chain, that of the container that its row names; the container is
//! CONTAINER or DYING. `I2`: only containers that are CONTAINER or DYING have chains. `I3`: a CHUNK's pages are committed.
//!
//! **Crash points.** After any store of a change: intent.rs. Between the changes: after *allocate*, the chunk is DYING and
//! recovered as such; after *link*, it is in the chain, and the container's own rules say whether it is in use; after the
//! last drop of a container, it is DYING with the rest of its chain: whoever recovers its owner goes on from there.
#![forbid(unsafe_code)]

use super::ObjectId;
use super::intent::Intent;
use super::layout::Counter;
use super::locked::Locked;
use super::objects::{Row, State};
use crate::error::{AccessError, AllocateError, Corrupt};

impl Locked<'_> {
    fn corrupt_row(&self, index: u32, what: &'static str) -> Corrupt {
        let at = self.file.geometry.entry(u64::from(index));
        self.file.corrupt(at, what)
    }

    /// The row of a container that the caller holds.
    pub(crate) fn container(&self, id: ObjectId) -> Result<Row, Corrupt> {
        let row = self.object(id)?;
        row.filter(|row| row.state == State::Container)
            .ok_or_else(|| self.corrupt_row(id.index, "a held container that is gone"))
    }

    /// Takes spans and a row for a chunk: DYING, and `me` frees it unless it comes to [`Locked::link_chunk`].
    pub(crate) fn allocate_chunk(&self, me: u64, len: u64) -> Result<Row, AllocateError> {
        let mut intent = Intent::default();
        let row = self.take_row(&mut intent, (State::Dying, me), len, 0)?;
        self.commit(&intent)?;
        Ok(row)
    }

    /// Puts a chunk whose pages are committed at the head of a container's chain.
    pub(crate) fn link_chunk(
        &self,
        id: ObjectId,
        chunk: &Row,
        tag: u32,
    ) -> Result<Row, AccessError> {
        let container = self.container(id)?;
        if self.object(chunk.id)? != Some(*chunk) {
            let what = "a chunk that changed while it was added";
            return Err(self.corrupt_row(chunk.id.index, what).into());
        }
        let linked = Row {
            state: State::Chunk,
            owner: u64::from(id.index),
            next: container.next,
            tag,
            ..*chunk
        };
        let head = Row {
            next: Some(chunk.id.index),
            ..container
        };
        self.set_both(&linked, &head)?;
        Ok(linked)
    }

    fn set_both(&self, one: &Row, other: &Row) -> Result<(), AccessError> {
        let mut intent = Intent::default();
        self.set_row(&mut intent, one);
        self.set_row(&mut intent, other);
        Ok(self.commit(&intent)?)
    }

    /// The chunks of a container, from the newest to the oldest.
    pub(crate) fn chunks(&self, container: &Row) -> Result<Vec<Row>, Corrupt> {
        let most = self.high(Counter::EntryHigh)?;
        let mut chunks = Vec::new();
        let mut next = container.next;
        while let Some(index) = next {
            let row = self.row(index)?;
            let is_own = row.state == State::Chunk && row.owner == u64::from(container.id.index);
            if !is_own || chunks.len() as u64 >= most {
                return Err(
                    self.corrupt_row(index, "a chain that leads to no chunk of its container")
                );
            }
            next = row.next;
            chunks.push(row);
        }
        Ok(chunks)
    }

    /// Takes the chunks that `is_unwanted` out of a container's chain, one change each: they are DYING then and added to
    /// `dying`, and the caller (process slot `me`) punches each and calls [`Locked::finish_free`].
    pub(crate) fn free_chunks(
        &self,
        container: &Row,
        me: u64,
        is_unwanted: impl Fn(&Row) -> bool,
        dying: &mut Vec<Row>,
    ) -> Result<(), AccessError> {
        let mut before = *container;
        for chunk in self.chunks(container)? {
            if !is_unwanted(&chunk) {
                before = chunk;
                continue;
            }
            before.next = chunk.next;
            let died = Row {
                state: State::Dying,
                owner: me,
                next: None,
                tag: 0,
                ..chunk
            };
            self.set_both(&died, &before)?;
            dying.push(died);
        }
        Ok(())
    }

    /// Frees all chunks of a DYING container, and then it itself: adds them to `dying` in this order.
    pub(super) fn free_all_chunks(
        &self,
        container: &Row,
        me: u64,
        dying: &mut Vec<Row>,
    ) -> Result<(), AccessError> {
        self.free_chunks(container, me, |_| true, dying)?;
        dying.push(Row {
            next: None,
            ..*container
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{Container, Store};

    /// Rows of a container, of its two chunks, of another container and of its chunk.
    type Change = fn(&mut [Row; 5]);

    /// What `verify` says afterwards.
    fn verify_after(change: Change) -> String {
        let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
        let containers = [2, 1].map(|chunks| {
            let container = Container::new(&store, 0, 1).unwrap();
            for tag in 0..chunks {
                container.add_chunk(1, tag).unwrap();
            }
            container
        });
        store.verify().unwrap();
        let session = store.0.session().unwrap();
        let locked = session.lock(Duration::ZERO).unwrap();
        let rows = containers.each_ref().map(|container| {
            let row = locked.container(container.id()).unwrap();
            (row, locked.chunks(&row).unwrap())
        });
        let [(first, chunks), (second, others)] = rows;
        let mut rows = [first, chunks[0], chunks[1], second, others[0]];
        change(&mut rows);
        for row in &rows {
            let mut intent = Intent::default();
            locked.set_row(&mut intent, row);
            locked.commit(&intent).unwrap();
        }
        drop((locked, session));
        let error = store.verify().unwrap_err().to_string();
        // Freeing them finds the same, and comes to an end.
        drop(containers);
        error
    }

    #[test]
    fn verify_finds_every_way_in_which_chains_can_be_broken() {
        let stray = "a chain that leads to no chunk of its container";
        let broken: [(Change, &str); 8] = [
            (|rows| rows[0].next = rows[1].next, "a chunk in no chain"),
            (|rows| rows[0].next = None, "a chunk in no chain"),
            (|rows| rows[2].next = Some(rows[1].id.index), stray),
            (|rows| rows[0].next = Some(rows[4].id.index), stray),
            (|rows| rows[4].next = Some(rows[3].id.index), stray),
            (|rows| rows[1].owner = u64::from(rows[3].id.index), stray),
            (|rows| rows[1].count = 1, "count is not holds + units"),
            (
                |rows| rows[0].state = State::Live,
                "an object that is no container and has a chain",
            ),
        ];
        for (change, expected) in broken {
            let found = verify_after(change);
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }

    #[test]
    fn a_hold_of_a_chunk_is_damage() {
        let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
        let container = Container::new(&store, 0, 1).unwrap();
        container.add_chunk(1, 1).unwrap();
        let session = store.0.session().unwrap();
        let locked = session.lock(Duration::ZERO).unwrap();
        let chunk = locked
            .chunks(&locked.container(container.id()).unwrap())
            .unwrap()[0];
        let mut dying = Vec::new();
        let dropped = locked.subtract(Intent::default(), &chunk, session.slot, &mut dying);
        assert!(
            matches!(dropped, Err(AccessError::Corrupt(_))),
            "{dropped:?}"
        );
        assert_eq!(dying, []);
        drop((locked, session));
        store.verify().unwrap();
    }
}
