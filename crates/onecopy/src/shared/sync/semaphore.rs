//! A semaphore: units that are taken and given back.
//!
//! ```text
//! root 0: units to be had      root 1: the most there may be plus one, 0 for any number
//! root 2: 1 once somebody gave back what it had not taken: the units are signals then
//! 256: the bell      216: units that the dead have left      4096: 512 places of {process, units that it has taken}
//! ```
//! Whoever takes a unit counts it for its process in the same change, and the units of a process that has died are given back
//! by whoever waits in vain. A semaphore whose units one process takes and another gives back counts
//! something; nobody can say then what the dead have left, and theirs stay taken. It is known by its first value, 0, or
//! by the first unit that is given back by a process that has none.
//!
//! **Crash points** are those of a change (change.rs).
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::layout::{DEATHS, FIRST_ARENA, ROOT0, ROOT1, ROOT2};
use super::super::lock::Locked;
use super::super::reference::Reference;
use super::bell::Bell;
use super::deadline::{Deadline, Next};
use super::stored::{self, Stored, kinds};
use crate::store::{Container, Store, Token};

const UNITS: u64 = ROOT0;
const MOST: u64 = ROOT1;
const IS_SIGNAL: u64 = ROOT2;
const BELL: u64 = 256;
/// Where the places begin: behind the head.
const PLACES: u64 = FIRST_ARENA;
/// Processes that can have units at a time; those of more stay taken if they die.
const MOST_PLACES: u64 = 512;
const PLACE_BYTES: u64 = 16;

/// What came of giving units back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// They can be taken.
    Yes,
    /// There would be more than there may be; nothing has happened.
    TooMany,
}

/// A semaphore that all processes see.
#[derive(Debug, Clone)]
pub struct Semaphore {
    heap: Heap,
}

stored::handed_over!(Semaphore, "semaphore");

impl Stored for Semaphore {
    const KIND: u8 = kinds::SEMAPHORE;

    fn of(heap: Heap) -> Self {
        Self { heap }
    }

    fn heap(&self) -> &Heap {
        &self.heap
    }
}

impl Semaphore {
    /// The most units that there can be.
    pub const MOST_UNITS: u64 = u32::MAX as u64;

    /// A new one with so many units; `is_bounded`: there are never more.
    ///
    /// # Errors
    /// No memory; more units than there may be: [`Semaphore::MOST_UNITS`].
    pub fn create(store: &Store, units: u64, is_bounded: bool) -> Result<Self, ContainerError> {
        if units > Self::MOST_UNITS {
            return Err(ContainerError::Full {
                most: Self::MOST_UNITS,
                what: "units",
            });
        }
        let new = Self::create_empty(store, PLACES + PLACE_BYTES * MOST_PLACES)?;
        let top = &new.heap.top;
        top.store(UNITS, units);
        let most = if is_bounded { units.wrapping_add(1) } else { 0 };
        top.store(MOST, most);
        top.store(IS_SIGNAL, u64::from(units == 0));
        Ok(new)
    }

    fn bell(&self) -> Bell<'_> {
        Bell::of(&self.heap, BELL)
    }

    /// Where the places stand, from the head on.
    fn places(&self) -> impl Iterator<Item = u64> {
        let room = self.heap.container.len().saturating_sub(PLACES) / PLACE_BYTES;
        (0..room.min(MOST_PLACES)).map(|index| PLACES.wrapping_add(PLACE_BYTES.wrapping_mul(index)))
    }

    /// A word of a place, as of under the lock.
    fn word(&self, _locked: &Locked<'_>, at: u64) -> u64 {
        self.heap.words.relaxed(self.heap.head.wrapping_add(at))
    }

    /// The place of a process, 0 being nobody's.
    fn place_of(&self, locked: &Locked<'_>, process: u64) -> Option<u64> {
        self.places().find(|at| self.word(locked, *at) == process)
    }

    /// Takes a unit; whether one was to be had in time.
    ///
    /// # Errors
    /// [`ContainerError::Interrupted`]; the lock is not to be had.
    pub fn acquire(&self, patience: Option<Duration>) -> Result<bool, ContainerError> {
        let (bell, mut deadline) = (self.bell(), Deadline::after(patience));
        loop {
            let seen = bell.rings();
            if self.heap.top.acquire(UNITS) > 0 && self.take()? {
                return Ok(true);
            }
            match deadline.next() {
                Next::Spin => {}
                _ if self.free_those_of_the_dead()? => {}
                Next::End => return Ok(false),
                Next::Sleep(nap) if bell.wait(seen, nap) => {}
                Next::Sleep(_) => return Err(ContainerError::Interrupted),
            }
        }
    }

    fn take(&self) -> Result<bool, ContainerError> {
        let me = self.heap.container.process()?;
        let locked = self.heap.lock()?;
        let Some(left) = locked.root(UNITS).checked_sub(1) else {
            return Ok(false);
        };
        let place = match locked.root(IS_SIGNAL) {
            0 => self
                .place_of(&locked, me)
                .or_else(|| self.place_of(&locked, 0)),
            _ => None,
        };
        let mut change = locked.change();
        change.put_root(UNITS, left)?;
        if let Some(at) = place {
            let had = if self.word(&locked, at) == me {
                self.word(&locked, at.wrapping_add(8))
            } else {
                0
            };
            change.put_root(at, me)?;
            change.put_root(at.wrapping_add(8), had.saturating_add(1))?;
        }
        change.commit(false)?;
        Ok(true)
    }

    /// Gives units back.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn release(&self, count: u64) -> Result<Released, ContainerError> {
        if self.give(count)? == Released::TooMany {
            return Ok(Released::TooMany);
        }
        self.bell().ring(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Released::Yes)
    }

    fn give(&self, count: u64) -> Result<Released, ContainerError> {
        let me = self.heap.container.process()?;
        let locked = self.heap.lock()?;
        let (units, most) = (locked.root(UNITS), locked.root(MOST));
        let sum = units.saturating_add(count);
        if most > 0 && sum >= most || sum > Self::MOST_UNITS {
            return Ok(Released::TooMany);
        }
        let mut change = locked.change();
        change.put_root(UNITS, sum)?;
        if locked.root(IS_SIGNAL) == 0 {
            let place = self.place_of(&locked, me);
            match place.map(|at| (at, self.word(&locked, at.wrapping_add(8)))) {
                Some((at, had)) if had == count => change.put_root(at, 0)?,
                Some((at, had)) if had > count => {
                    change.put_root(at.wrapping_add(8), had.wrapping_sub(count))?;
                }
                // It gives back what it has not.
                _ => change.put_root(IS_SIGNAL, 1)?,
            }
        }
        change.commit(false)?;
        Ok(Released::Yes)
    }

    /// Gives back the units that dead processes have; whether there were any.
    fn free_those_of_the_dead(&self) -> Result<bool, ContainerError> {
        let locked = self.heap.lock()?;
        if locked.root(IS_SIGNAL) != 0 {
            return Ok(false);
        }
        let mut freed = 0_u64;
        for at in self.places() {
            let process = self.word(&locked, at);
            if process == 0 || !self.heap.container.has_ended(process)? {
                continue;
            }
            let had = self.word(&locked, at.wrapping_add(8));
            let mut change = locked.change();
            change.put_root(at, 0)?;
            change.put_root(UNITS, locked.root(UNITS).saturating_add(had))?;
            change.put_root(DEATHS, locked.root(DEATHS).wrapping_add(had))?;
            change.commit(false)?;
            freed = freed.saturating_add(had);
        }
        drop(locked);
        if freed > 0 {
            self.bell().ring(u32::try_from(freed).unwrap_or(u32::MAX));
        }
        Ok(freed > 0)
    }

    /// Whether there are never more than at first.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.heap.top.relaxed(MOST) > 0
    }

    /// Units to be had, as of a moment ago.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.heap.top.acquire(UNITS)
    }

    /// Units that processes had when they died, and that were given back for them.
    #[must_use]
    pub fn deaths(&self) -> u64 {
        self.heap.top.relaxed(DEATHS)
    }
}
