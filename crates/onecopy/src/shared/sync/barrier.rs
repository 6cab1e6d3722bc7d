//! A barrier: threads wait until so many have come, and go on together.
//!
//! ```text
//! root 0: how many have to come      root 1: how many have        root 2: how often they have gone on
//! root 3: 0 fills, 1 the last one acts, 2 broken                  root 4: the thread that acts
//! 256: the bell     216: deaths that broke it     4096: who waits (waiters.rs), the ticket being root 2
//! ```
//! A thread that dies while it waits, or while it acts before the others go on, breaks the barrier for all.
//!
//! **Crash points** are those of a change (change.rs).
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::cell::Cell;
use super::super::error::ContainerError;
use super::super::head::Inside;
use super::super::heap::Heap;
use super::super::layout::{DEATHS, ROOT0, ROOT1, ROOT2, ROOT3, ROOT4};
use super::super::lock::Locked;
use super::super::reference::Reference;
use super::super::value::Incoming;
use super::bell::{ALL, Bell};
use super::deadline::{Deadline, Next};
use super::stored::{self, Stored, kinds};
use super::waiters::{BROKEN, BYTES, FREE, Place, WAITING, Waiters};
use crate::primitive::Ordering;
use crate::store::{Container, MOST_THREADS, Store, Token};

const PARTIES: u64 = ROOT0;
const COUNT: u64 = ROOT1;
const GENERATION: u64 = ROOT2;
const STATE: u64 = ROOT3;
const ACTOR: u64 = ROOT4;
const BELL: u64 = 256;

const FILLS: u64 = 0;
const ACTS: u64 = 1;
const IS_BROKEN: u64 = 2;

/// How a wait at a barrier has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// All have come; this thread was the one of this number, from 0 on.
    Yes(u64),
    /// Somebody gave up, died, or broke the barrier.
    Broken,
}

/// What a thread that has come has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It has waited.
    Done(Passed),
    /// It is the last: it does what is to be done before all go on, and then calls [`Barrier::finish`].
    Act(Round),
}

/// A round of a barrier whose last thread acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// The number of the thread that acts.
    pub number: u64,
    generation: u64,
}

/// A barrier that all processes see.
#[derive(Debug, Clone)]
pub struct Barrier {
    heap: Heap,
}

stored::handed_over!(Barrier, "barrier");

impl Stored for Barrier {
    const KIND: u8 = kinds::BARRIER;
    const INSIDE: Inside = Inside::without_blocks(stored::companions_word);

    fn of(heap: Heap) -> Self {
        Self { heap }
    }

    fn heap(&self) -> &Heap {
        &self.heap
    }
}

impl Barrier {
    /// The most that can come: as many threads as can share a store.
    pub const MOST_PARTIES: u64 = MOST_THREADS;

    /// A new one for so many threads.
    ///
    /// # Errors
    /// No memory; more threads than a store has.
    pub fn create(store: &Store, parties: u64) -> Result<Self, ContainerError> {
        if parties > Self::MOST_PARTIES {
            return Err(ContainerError::Full {
                most: Self::MOST_PARTIES,
                what: "threads",
            });
        }
        let new = Self::create_empty(store, BYTES)?;
        new.heap.top.store(PARTIES, parties);
        Ok(new)
    }

    /// Keeps a value that says more about the barrier, for whoever has it, unless there is one.
    ///
    /// # Errors
    /// No memory.
    pub fn describe(&self, more: &Incoming<'_>) -> Result<(), ContainerError> {
        let cell = Cell::create(&self.heap.container.store())?;
        cell.set(more)?;
        stored::join(&self.heap, &cell.reference())
    }

    /// What [`Barrier::describe`] has kept.
    ///
    /// # Errors
    /// It is damaged.
    pub fn description(&self) -> Result<Option<Cell>, ContainerError> {
        let more = stored::companion(&self.heap)?;
        Ok(more
            .map(|more| Cell::of_reference(&more))
            .transpose()?
            .flatten())
    }

    fn bell(&self) -> Bell<'_> {
        Bell::of(&self.heap, BELL)
    }

    fn root(&self, at: u64) -> u64 {
        self.heap.top.acquire(at)
    }

    /// Waits until all have come. `acts`: the last one has something to do first. Who waits in vain breaks the barrier.
    ///
    /// # Errors
    /// [`ContainerError::Interrupted`], which breaks the barrier as well; the lock is not to be had.
    pub fn wait(&self, patience: Option<Duration>, acts: bool) -> Result<Turn, ContainerError> {
        let mut deadline = Deadline::after(patience);
        let me = self.heap.container.thread()?;
        loop {
            let seen = self.bell().rings();
            let locked = self.heap.lock()?;
            match locked.root(STATE) {
                FILLS => {}
                ACTS => {
                    // Those before this one have not gone on yet.
                    drop(locked);
                    if !self.goes_on(seen, &mut deadline)? {
                        return Ok(Turn::Done(Passed::Broken));
                    }
                    continue;
                }
                _ => return Ok(Turn::Done(Passed::Broken)),
            }
            let (number, generation) = (locked.root(COUNT), locked.root(GENERATION));
            if self.has_lost_somebody()? {
                self.break_for_the_dead_locked(locked)?;
                return Ok(Turn::Done(Passed::Broken));
            }
            self.free_the_dead_of_before(generation)?;
            let place = Waiters(&self.heap).join(&locked, me, generation)?;
            let mut change = locked.change();
            change.put_root(COUNT, number + 1)?;
            let is_last = number + 1 >= locked.root(PARTIES);
            if is_last {
                change.put_root(STATE, ACTS)?;
                change.put_root(ACTOR, u64::from(me))?;
            }
            change.commit(false)?;
            drop(change);
            if !is_last {
                drop(locked);
                return self.stay(place, number, generation, &mut deadline);
            }
            Waiters(&self.heap).tell(place, FREE)?;
            drop(locked);
            let round = Round { number, generation };
            if acts {
                return Ok(Turn::Act(round));
            }
            self.finish(&round, true)?;
            return Ok(Turn::Done(Passed::Yes(number)));
        }
    }

    /// Waits at a place.
    fn stay(
        &self,
        place: Place,
        number: u64,
        generation: u64,
        deadline: &mut Deadline,
    ) -> Result<Turn, ContainerError> {
        let waiters = Waiters(&self.heap);
        let passed = loop {
            let seen = self.bell().rings();
            let is_told = waiters.state(place).load(Ordering::Acquire) == BROKEN;
            if !is_told && self.root(GENERATION) != generation {
                break Ok(Passed::Yes(number));
            }
            if is_told || self.root(STATE) == IS_BROKEN {
                break Ok(Passed::Broken);
            }
            match self.goes_on(seen, deadline) {
                Ok(true) => {}
                Ok(false) => break Ok(Passed::Broken),
                Err(error) => break Err(error),
            }
        };
        let locked = self.heap.lock()?;
        waiters.tell(place, FREE)?;
        drop(locked);
        Ok(Turn::Done(passed?))
    }

    /// Sleeps a while; `false` if the time is over, or somebody has died: then the barrier is broken.
    fn goes_on(&self, seen: u32, deadline: &mut Deadline) -> Result<bool, ContainerError> {
        match deadline.next() {
            Next::Spin => Ok(true),
            Next::Sleep(nap) => {
                if !self.bell().wait(seen, nap) {
                    self.abort()?;
                    return Err(ContainerError::Interrupted);
                }
                self.heap.finish_for_the_dead()?;
                if self.bell().rings() == seen && self.has_lost_somebody()? {
                    return Ok(!self.break_for_the_dead(seen)?);
                }
                Ok(true)
            }
            Next::End => {
                let locked = self.heap.lock()?;
                if self.bell().rings() != seen {
                    return Ok(true);
                }
                self.break_locked(locked)?;
                Ok(false)
            }
        }
    }

    fn has_lost_somebody(&self) -> Result<bool, ContainerError> {
        let (waiters, generation) = (Waiters(&self.heap), self.root(GENERATION));
        let actor = self.root(ACTOR) as u32;
        let is_lost = |(place, state)| {
            state == WAITING && waiters.ticket(place) == generation && waiters.is_dead(place)
        };
        let has_lost_actor = actor != 0 && self.heap.container.is_absent(actor);
        Ok(has_lost_actor || waiters.taken()?.into_iter().any(is_lost))
    }

    /// Breaks the barrier, unless something has changed since `seen`; whether it did.
    fn break_for_the_dead(&self, seen: u32) -> Result<bool, ContainerError> {
        let locked = self.heap.lock()?;
        if self.bell().rings() != seen {
            return Ok(false);
        }
        self.break_for_the_dead_locked(locked)?;
        Ok(true)
    }

    fn break_for_the_dead_locked(&self, locked: Locked<'_>) -> Result<(), ContainerError> {
        let deaths = locked.root(DEATHS).wrapping_add(1);
        locked.set(self.heap.head + DEATHS, deaths)?;
        self.break_locked(locked)
    }

    fn break_locked(&self, locked: Locked<'_>) -> Result<(), ContainerError> {
        locked.set(self.heap.head + STATE, IS_BROKEN)?;
        drop(locked);
        self.bell().ring(ALL);
        Ok(())
    }

    /// Frees places of the dead that waited in an earlier round.
    fn free_the_dead_of_before(&self, generation: u64) -> Result<(), ContainerError> {
        let waiters = Waiters(&self.heap);
        for (place, _) in waiters.taken()? {
            if waiters.ticket(place) != generation && waiters.is_dead(place) {
                waiters.tell(place, FREE)?;
            }
        }
        Ok(())
    }

    /// The last one of a round has done what was to be done: all go on, or the barrier is broken unless it `has_worked`.
    /// Nothing happens if the barrier was reset or broken meanwhile.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn finish(&self, round: &Round, has_worked: bool) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        if locked.root(STATE) == ACTS && locked.root(GENERATION) == round.generation {
            let mut change = locked.change();
            change.put_root(ACTOR, 0)?;
            if has_worked {
                change.put_root(COUNT, 0)?;
                change.put_root(GENERATION, locked.root(GENERATION).wrapping_add(1))?;
            }
            change.put_root(STATE, if has_worked { FILLS } else { IS_BROKEN })?;
            change.commit(false)?;
        }
        drop(locked);
        self.bell().ring(ALL);
        Ok(())
    }

    /// Breaks the barrier: all who wait, and all who come, are told so.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn abort(&self) -> Result<(), ContainerError> {
        self.break_locked(self.heap.lock()?)
    }

    /// Makes the barrier as it was at first. Those who wait are told that it is broken.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn reset(&self) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        let (waiters, generation) = (Waiters(&self.heap), locked.root(GENERATION));
        // Broken, until all are told: who dies in between leaves it so.
        locked.set(self.heap.head + STATE, IS_BROKEN)?;
        for (place, state) in waiters.taken()? {
            if state == WAITING && waiters.ticket(place) == generation {
                waiters.tell(place, BROKEN)?;
            }
        }
        let mut change = locked.change();
        change.put_root(COUNT, 0)?;
        change.put_root(ACTOR, 0)?;
        change.put_root(GENERATION, generation.wrapping_add(1))?;
        change.put_root(STATE, FILLS)?;
        change.commit(false)?;
        drop(change);
        drop(locked);
        self.bell().ring(ALL);
        Ok(())
    }

    /// How many have to come.
    #[must_use]
    pub fn parties(&self) -> u64 {
        self.root(PARTIES)
    }

    /// How many wait, as of a moment ago.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        match self.root(STATE) {
            FILLS => self.root(COUNT),
            _ => 0,
        }
    }

    /// Whether it is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.root(STATE) == IS_BROKEN
    }

    /// Deaths that broke it.
    #[must_use]
    pub fn deaths(&self) -> u64 {
        self.root(DEATHS)
    }
}
