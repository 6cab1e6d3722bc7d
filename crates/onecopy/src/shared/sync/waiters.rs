//! Who waits, by name: a table of threads behind a container's head.
//!
//! ```text
//! 4096: places of 16 bytes: {state (u32), thread (u32)} | ticket
//! ```
//! Each sleeps on its own state. All of it changes under the lock, by single stores, of which that of the state is the last:
//! a place is taken, its thread woken, or free.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::layout::FIRST_ARENA;
use super::super::lock::Locked;
use crate::primitive::{AtomicU32, Ordering};

/// Behind the head.
const PLACES: u64 = FIRST_ARENA;
const PLACE_BYTES: u64 = 16;
/// Threads that can wait at a time.
pub(super) const MOST: u64 = 1024;
/// Bytes of a container with such a table.
pub(super) const BYTES: u64 = PLACES + MOST * PLACE_BYTES;

/// Nobody's place.
pub(super) const FREE: u32 = 0;
/// Its thread waits.
pub(super) const WAITING: u32 = 1;
/// It has been told to go on.
pub(super) const WOKEN: u32 = 2;
/// It has been told to give up.
pub(super) const BROKEN: u32 = 3;

/// A place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u64);

/// The table of a container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiters<'a>(pub(super) &'a Heap);

impl<'a> Waiters<'a> {
    fn places(self) -> impl Iterator<Item = Place> {
        let len = self.0.container.len();
        let count = len.saturating_sub(PLACES) / PLACE_BYTES;
        (0..count.min(MOST)).map(|index| Place(PLACES + index * PLACE_BYTES))
    }

    /// The state of a place, on which its thread sleeps.
    pub(super) fn state(self, place: Place) -> &'a AtomicU32 {
        self.0.words.half(self.0.head + place.0)
    }

    fn thread(self, place: Place) -> &'a AtomicU32 {
        self.0.words.half(self.0.head + place.0 + 4)
    }

    /// The ticket with which a place was taken.
    pub(super) fn ticket(self, place: Place) -> u64 {
        self.0.words.relaxed(self.0.head + place.0 + 8)
    }

    /// Says something to the thread of a place, under the lock.
    pub(super) fn tell(self, place: Place, state: u32) {
        // Release: whoever sees it sees what was changed before.
        self.state(place).store(state, Ordering::Release);
        crate::testing::container_stored();
    }

    /// Takes a place for the calling thread.
    ///
    /// # Errors
    /// [`ContainerError::Full`].
    pub(super) fn join(
        self,
        _locked: &Locked<'_>,
        me: u32,
        ticket: u64,
    ) -> Result<Place, ContainerError> {
        let is_free = |place: &Place| self.state(*place).load(Ordering::Relaxed) == FREE;
        let Some(place) = self.places().find(is_free) else {
            return Err(ContainerError::Full {
                most: MOST,
                what: "waiting threads",
            });
        };
        self.0.words.store(self.0.head + place.0 + 8, ticket);
        self.thread(place).store(me, Ordering::Release);
        crate::testing::container_stored();
        self.tell(place, WAITING);
        Ok(place)
    }

    /// The places that are taken, with what was said to each.
    pub(super) fn taken(self) -> impl Iterator<Item = (Place, u32)> {
        self.places().filter_map(move |place| {
            let state = self.state(place).load(Ordering::Acquire);
            (state != FREE).then_some((place, state))
        })
    }

    /// Whether the thread of a place has died.
    pub(super) fn is_dead(self, place: Place) -> bool {
        let thread = self.thread(place).load(Ordering::Acquire);
        self.0.container.is_absent(thread)
    }
}
