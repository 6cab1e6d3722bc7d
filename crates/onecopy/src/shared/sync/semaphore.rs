//! A semaphore: units that are taken and given back.
//!
//! ```text
//! root 0: units to be had      root 1: the most there may be plus one, 0 for any number
//! root 2: 1 once somebody gave back what it had not taken: the units are signals then
//! 256: the bell      216: units that the dead have left      4096: names of processes, one for each unit that is taken
//! ```
//! Whoever takes a unit writes the name of its process beside it in the same change, and the units of a process that has
//! died are given back by whoever waits in vain. A semaphore whose units one process takes and another gives back counts
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
use super::stored::{self, kinds};
use crate::store::{Container, Store, Token};

const UNITS: u64 = ROOT0;
const MOST: u64 = ROOT1;
const IS_SIGNAL: u64 = ROOT2;
const BELL: u64 = 256;
/// Where the names begin: behind the head.
const NAMES: u64 = FIRST_ARENA;
/// Names that there is room for, at least and at most. Units beyond stay taken if their process dies.
const FEWEST_NAMES: u64 = 512;
/// See [`FEWEST_NAMES`].
const MOST_NAMES: u64 = 64 << 10;

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

impl Semaphore {
    /// A new one with so many units; `is_bounded`: there are never more.
    ///
    /// # Errors
    /// No memory.
    pub fn create(store: &Store, units: u64, is_bounded: bool) -> Result<Self, ContainerError> {
        let names = units.clamp(FEWEST_NAMES, MOST_NAMES);
        let heap = stored::create(store, kinds::SEMAPHORE, NAMES + 8 * names)?;
        heap.words.store(heap.head + UNITS, units);
        let most = if is_bounded { units + 1 } else { 0 };
        heap.words.store(heap.head + MOST, most);
        heap.words
            .store(heap.head + IS_SIGNAL, u64::from(units == 0));
        Ok(Self { heap })
    }

    /// Turns a token into the semaphore, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no semaphore.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        let heap = stored::open(Container::attach(token)?, kinds::SEMAPHORE)?;
        Ok(Self { heap })
    }

    /// The semaphore that a reference is to.
    ///
    /// # Errors
    /// It is damaged.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let heap = stored::of_reference(reference, kinds::SEMAPHORE)?;
        Ok(heap.map(|heap| Self { heap }))
    }

    /// A reference to it, to be put into a container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference::of_container(&self.heap.container)
    }

    /// A token for another process. It counts as an interest in the semaphore until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        Ok(self.heap.container.token()?)
    }

    fn bell(&self) -> Bell<'_> {
        Bell::of(&self.heap, BELL)
    }

    /// Names that there is room for.
    fn names(&self) -> u64 {
        self.heap.container.len().saturating_sub(NAMES) / 8
    }

    /// The first name that is `name`.
    fn find(&self, locked: &Locked<'_>, name: u64) -> Option<u64> {
        (0..self.names())
            .map(|index| NAMES + 8 * index)
            .find(|at| locked.root(*at) == name)
    }

    /// Takes a unit; whether one was to be had in time.
    ///
    /// # Errors
    /// [`ContainerError::Interrupted`]; the lock is not to be had.
    pub fn acquire(&self, patience: Option<Duration>) -> Result<bool, ContainerError> {
        let (bell, mut deadline) = (self.bell(), Deadline::after(patience));
        loop {
            let seen = bell.rings();
            if self.heap.words.acquire(self.heap.head + UNITS) > 0 && self.take()? {
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
        let units = locked.root(UNITS);
        if units == 0 {
            return Ok(false);
        }
        let place = match locked.root(IS_SIGNAL) {
            0 => self.find(&locked, 0),
            _ => None,
        };
        let mut change = locked.change();
        change.put_root(UNITS, units - 1)?;
        if let Some(at) = place {
            change.put_root(at, me)?;
        }
        change.commit(false)?;
        Ok(true)
    }

    /// Gives units back.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn release(&self, count: u64) -> Result<Released, ContainerError> {
        let me = self.heap.container.process()?;
        let locked = self.heap.lock()?;
        let (units, most) = (locked.root(UNITS), locked.root(MOST));
        let sum = units.saturating_add(count);
        if most > 0 && sum >= most || sum > u64::from(u32::MAX) {
            return Ok(Released::TooMany);
        }
        self.give_back(&locked, me, count)?;
        drop(locked);
        self.bell().ring(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Released::Yes)
    }

    /// Gives units back one by one, each with the name beside it.
    fn give_back(&self, locked: &Locked<'_>, me: u64, count: u64) -> Result<(), ContainerError> {
        for given in 0..count {
            let units = locked.root(UNITS);
            if locked.root(IS_SIGNAL) != 0 {
                let left = count - given;
                return locked.set(self.heap.head + UNITS, units.saturating_add(left));
            }
            let mut change = locked.change();
            match self.find(locked, me) {
                Some(at) => change.put_root(at, 0)?,
                None => change.put_root(IS_SIGNAL, 1)?,
            }
            change.put_root(UNITS, units.saturating_add(1))?;
            change.commit(false)?;
        }
        Ok(())
    }

    /// Gives back the units that dead processes have; whether there were any.
    fn free_those_of_the_dead(&self) -> Result<bool, ContainerError> {
        let mut known: Vec<(u64, bool)> = Vec::new();
        let locked = self.heap.lock()?;
        if locked.root(IS_SIGNAL) != 0 {
            return Ok(false);
        }
        let mut freed = 0;
        for at in (0..self.names()).map(|index| NAMES + 8 * index) {
            let name = locked.root(at);
            if name == 0 {
                continue;
            }
            let before = known.iter().find(|known| known.0 == name).copied();
            let has_ended = if let Some((_, has_ended)) = before {
                has_ended
            } else {
                let has_ended = self.heap.container.has_ended(name)?;
                known.push((name, has_ended));
                has_ended
            };
            if has_ended {
                let mut change = locked.change();
                change.put_root(at, 0)?;
                change.put_root(UNITS, locked.root(UNITS).saturating_add(1))?;
                change.put_root(DEATHS, locked.root(DEATHS).wrapping_add(1))?;
                change.commit(false)?;
                freed += 1;
            }
        }
        drop(locked);
        if freed > 0 {
            self.bell().ring(freed);
        }
        Ok(freed > 0)
    }

    /// Whether there are never more than at first.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.heap.words.relaxed(self.heap.head + MOST) > 0
    }

    /// Units to be had, as of a moment ago.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.heap.words.acquire(self.heap.head + UNITS)
    }

    /// Units that processes had when they died, and that were given back for them.
    #[must_use]
    pub fn deaths(&self) -> u64 {
        self.heap.words.relaxed(self.heap.head + DEATHS)
    }
}
