//! Who waits, by name: tables of threads behind a container's head, and in chunks of their own when there are many.
//!
//! ```text
//! 4096:  places of 16 bytes: {state (u32), thread (u32)} | ticket
//! 272:   the first chunk, 0 for none      chunk: the next one | nothing | places
//! ```
//! ```text
//! FREE ──join──▶ WAITING ──told, by another──▶ WOKEN or BROKEN ──its own thread──▶ FREE
//!                WAITING ──its own thread──▶ FREE               ──its own thread──▶ LEFT ──another──▶ FREE
//!                any ──its thread dies, another sees it──▶ FREE
//! ```
//! Each sleeps on its own state. A place is taken, its thread told and the place of a dead one freed under the lock, by single
//! stores, of which that of the state is the last. **Its own thread leaves without the lock**, which may not be to be had: by one
//! exchange, against which whoever tells it something exchanges, too. So a wake-up goes to a thread that waits, or to nobody.
//! Where a chunk is, is a word of the container, which readers follow within the store, and writers only if the chunk is the
//! container's; it stays so as long as the container.
//!
//! **Crash points.** A chunk that was added and that no word leads to yet is taken by whoever needs the next. A place whose
//! thread has died stays as it is until somebody sees it.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::layout::FIRST_ARENA;
use super::super::lock::Locked;
use crate::primitive::{AtomicU32, Ordering};
use crate::store::MOST_THREADS;

/// Behind the head.
const PLACES: u64 = FIRST_ARENA;
const PLACE_BYTES: u64 = 16;
/// Threads that can wait without a chunk.
const FEW: u64 = 1024;
/// Bytes of a container with such a table.
pub(super) const BYTES: u64 = PLACES + FEW * PLACE_BYTES;
/// Where the chunks begin.
const CHUNKS: u64 = 272;
const CHUNK_BYTES: u64 = 64 << 10;
/// More chunks than all threads of a store need are a circle.
const MOST_CHUNKS: usize = 1 + (MOST_THREADS * PLACE_BYTES / CHUNK_BYTES) as usize;

/// Nobody's place.
pub(super) const FREE: u32 = 0;
/// Its thread waits.
pub(super) const WAITING: u32 = 1;
/// It has been told to go on.
pub(super) const WOKEN: u32 = 2;
/// It has been told to give up.
pub(super) const BROKEN: u32 = 3;
/// Its thread has left, and others have still to do what follows from that.
pub(super) const LEFT: u32 = 4;

/// A place: its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place(u64);

/// The tables of a container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiters<'a>(pub(super) &'a Heap);

impl<'a> Waiters<'a> {
    /// The offsets of the chunks.
    fn chunks(self) -> Result<Vec<u64>, ContainerError> {
        let heap = self.0;
        let (mut chunks, mut next) = (Vec::new(), heap.top.acquire(CHUNKS));
        while next != 0 {
            let is_inside = next.is_multiple_of(PLACE_BYTES)
                && next < heap.words.len().saturating_sub(CHUNK_BYTES);
            if !is_inside || chunks.len() == MOST_CHUNKS {
                return Err(heap.corrupt(next, "a table of waiters").into());
            }
            chunks.push(next);
            next = heap.words.acquire(next);
        }
        Ok(chunks)
    }

    fn places(self, chunks: &[u64]) -> impl Iterator<Item = Place> {
        let room = self.0.container.len().saturating_sub(PLACES);
        let own = (
            self.0.head.wrapping_add(PLACES),
            room.min(FEW * PLACE_BYTES),
        );
        let further = |chunk: &u64| (chunk.wrapping_add(PLACE_BYTES), CHUNK_BYTES - PLACE_BYTES);
        let tables = std::iter::once(own).chain(chunks.iter().map(further));
        tables.flat_map(|(first, bytes)| {
            (0..bytes / PLACE_BYTES)
                .map(move |nth| Place(first.wrapping_add(nth.wrapping_mul(PLACE_BYTES))))
        })
    }

    /// The state of a place, on which its thread sleeps.
    pub(super) fn state(self, place: Place) -> &'a AtomicU32 {
        self.0.words.half(place.0)
    }

    fn thread(self, place: Place) -> &'a AtomicU32 {
        self.0.words.half(place.0.wrapping_add(4))
    }

    /// The ticket with which a place was taken.
    pub(super) fn ticket(self, place: Place) -> u64 {
        self.0.words.relaxed(place.0.wrapping_add(8))
    }

    /// Says something to the thread of a place, under the lock.
    ///
    /// # Errors
    /// The place is not the container's: damage.
    pub(super) fn tell(self, place: Place, state: u32) -> Result<(), ContainerError> {
        self.0.own(place.0)?;
        // Release: whoever sees it sees what was changed before.
        self.state(place).store(state, Ordering::Release);
        crate::testing::container_stored();
        Ok(())
    }

    /// Says something to the thread of a place, under the lock, if it still waits; whether it does.
    ///
    /// # Errors
    /// As in [`Waiters::tell`].
    pub(super) fn tell_waiting(self, place: Place, state: u32) -> Result<bool, ContainerError> {
        self.0.own(place.0)?;
        Ok(self.exchange(place, WAITING, state))
    }

    /// Ends the wait of the calling thread, without the lock: `state` is what becomes of its place. `false` if it was told
    /// something before, which it sees then; nobody else changes the place after that.
    pub(super) fn stop_waiting(self, place: Place, state: u32) -> bool {
        self.exchange(place, WAITING, state)
    }

    /// What becomes of the place of the calling thread that was told something.
    pub(super) fn leave(self, place: Place, state: u32) {
        // The place was the container's when it was taken. Release: as in `tell`.
        self.state(place).store(state, Ordering::Release);
        crate::testing::container_stored();
    }

    fn exchange(self, place: Place, from: u32, to: u32) -> bool {
        // AcqRel: whoever leaves sees what was done before it was told, and whoever is told sees it, too.
        let word = self.state(place);
        let exchanged = word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        crate::testing::container_stored();
        exchanged.is_ok()
    }

    /// Takes a place for the calling thread.
    ///
    /// # Errors
    /// No memory for more than there were ever before.
    pub(super) fn join(
        self,
        locked: &Locked<'_>,
        me: u32,
        ticket: u64,
    ) -> Result<Place, ContainerError> {
        let chunks = self.chunks()?;
        let is_free = |place: &Place| self.state(*place).load(Ordering::Relaxed) == FREE;
        let place = match self.places(&chunks).find(is_free) {
            Some(place) => place,
            None => self.more(locked, &chunks)?,
        };
        self.0.own_all(place.0, PLACE_BYTES)?;
        self.0.words.store(place.0.wrapping_add(8), ticket);
        self.thread(place).store(me, Ordering::Release);
        crate::testing::container_stored();
        self.tell(place, WAITING)?;
        Ok(place)
    }

    /// Adds a chunk; its first place.
    #[cold]
    fn more(self, locked: &Locked<'_>, known: &[u64]) -> Result<Place, ContainerError> {
        let container = &self.0.container;
        let mut chunks = container.chunks()?.into_iter();
        let left = chunks.find(|chunk| chunk.len >= CHUNK_BYTES && !known.contains(&chunk.offset));
        let chunk = match left {
            Some(chunk) => chunk,
            None => container.add_chunk(CHUNK_BYTES, self.0.generation())?,
        };
        let from = known
            .last()
            .copied()
            .unwrap_or(self.0.head.wrapping_add(CHUNKS));
        locked.set(from, chunk.offset)?;
        Ok(Place(chunk.offset.wrapping_add(PLACE_BYTES)))
    }

    /// The places that are taken, with what was said to each.
    ///
    /// # Errors
    /// Damage.
    pub(super) fn taken(self) -> Result<Vec<(Place, u32)>, ContainerError> {
        let chunks = self.chunks()?;
        let states = self.places(&chunks).map(|place| {
            let state = self.state(place).load(Ordering::Acquire);
            (place, state)
        });
        Ok(states.filter(|(_, state)| *state != FREE).collect())
    }

    /// Whether the thread of a place has died.
    pub(super) fn is_dead(self, place: Place) -> bool {
        let thread = self.thread(place).load(Ordering::Acquire);
        self.0.container.is_absent(thread)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::condition::Condition;
    use super::super::stored::Stored as _;
    use super::*;
    use crate::store::Store;

    fn condition() -> Condition {
        let store = Store::options().capacity_bytes(1 << 30).create().unwrap();
        Condition::create(&store).unwrap()
    }

    fn join(condition: &Condition, ticket: u64) -> Place {
        let heap = condition.heap();
        let (me, locked) = (heap.container.thread().unwrap(), heap.lock().unwrap());
        Waiters(heap).join(&locked, me, ticket).unwrap()
    }

    #[test]
    fn as_many_wait_as_there_are_and_places_are_used_again() {
        const MANY: u64 = 2 * FEW + CHUNK_BYTES / PLACE_BYTES;
        let condition = condition();
        let heap = condition.heap();
        let waiters = Waiters(heap);
        let places: Vec<Place> = (0..MANY).map(|ticket| join(&condition, ticket)).collect();
        let different: HashSet<Place> = places.iter().copied().collect();
        assert_eq!(different.len() as u64, MANY);
        assert_eq!(condition.waiting() as u64, MANY);
        for (ticket, place) in places.iter().enumerate() {
            assert_eq!(waiters.ticket(*place), ticket as u64);
        }
        let last = *places.last().unwrap();
        waiters.tell(last, FREE).unwrap();
        assert_eq!(join(&condition, 7), last);
        assert_eq!(heap.container.chunks().unwrap().len(), 2);
        assert_eq!(condition.notify(usize::MAX).unwrap() as u64, MANY);
        assert_eq!(condition.waiting(), 0);
    }

    #[test]
    #[cfg(feature = "testing")]
    fn a_thread_that_ends_while_it_adds_a_table_leaves_one_for_the_next() {
        let condition = condition();
        for ticket in 0..FEW {
            join(&condition, ticket);
        }
        let mut stores = 1;
        while !crate::testing::in_thread(|| {
            crate::testing::end_thread_after(stores);
            join(&condition, FEW);
        }) {
            let taken = Waiters(condition.heap()).taken().unwrap();
            // Those of the dead are freed by whoever looks around.
            let alive = taken
                .iter()
                .filter(|(place, _)| !Waiters(condition.heap()).is_dead(*place));
            assert_eq!(alive.count() as u64, FEW, "after {stores} stores");
            assert!(condition.heap().container.chunks().unwrap().len() <= 1);
            stores += 1;
        }
        assert!(stores > 3);
        assert_eq!(condition.heap().container.chunks().unwrap().len(), 1);
    }

    #[test]
    fn a_table_that_is_not_the_containers_is_damage() {
        let condition = condition();
        let heap = condition.heap();
        for to in [8, heap.words.len() - 16, u64::MAX - 15] {
            heap.top.store(CHUNKS, to);
            assert!(matches!(
                condition.notify(1),
                Err(ContainerError::Corrupt(_))
            ));
        }
        // Another container's memory: readable, and not written to.
        let other = Condition::create(&heap.container.store()).unwrap();
        heap.top.store(CHUNKS, other.heap().head + PLACES);
        let full = (0..FEW).map(|_| join(&condition, 0));
        assert_eq!(full.count() as u64, FEW);
        let locked = heap.lock().unwrap();
        let beyond = Waiters(heap).join(&locked, 2, 0);
        assert!(matches!(beyond, Err(ContainerError::Corrupt(_))));
    }
}
