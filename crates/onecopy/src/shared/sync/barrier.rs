//! A barrier: threads wait until so many have come, and go on together.
//!
//! ```text
//! root 0: how many have to come      root 1: how many have        root 2: how often they have gone on
//! root 3: 0 fills, 1 the last one acts, 2 broken                  root 4: the thread that acts
//! 256: the bell     216: deaths that broke it     4096: who waits (waiters.rs), the ticket being root 2
//! ```
//! A thread that dies while it waits, or while it acts before the others go on, breaks the barrier for all. So does one whose time
//! ends, unless its round is full: that is decided under the lock, by the words above. The bell only wakes.
//!
//! **Invariant.** `I1`: a round that is broken stays so until `reset`, which tells all who wait in it before it begins the next.
//! So whoever loads the state, the number of the round and its own place, in this order, knows what has become of its round.
//!
//! **Crash points** are those of a change (change.rs). Without an action, the last one completes the round by the change in which
//! it comes: it has no place, and its death before that is that of one who never came.
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
use super::waiters::{BROKEN, BYTES, FREE, LEFT, Place, WAITING, Waiters};
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

/// Why a barrier breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// One that is needed has died.
    Death,
    /// One has gone without the others, or says that all are to.
    Patience,
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

    /// Waits until all have come. `acts`: the last one has something to do first. Who waits in vain breaks the barrier; who comes
    /// while the last one of the round before still acts, and does not have the time to wait for that, is told so, and breaks nothing.
    ///
    /// # Errors
    /// [`ContainerError::Interrupted`], which breaks the barrier as well; the lock is not to be had.
    pub fn wait(&self, patience: Option<Duration>, acts: bool) -> Result<Turn, ContainerError> {
        let mut deadline = Deadline::after(patience);
        loop {
            let seen = self.bell().rings();
            let locked = self.heap.lock()?;
            match locked.root(STATE) {
                FILLS => {}
                ACTS => {
                    drop(locked);
                    if self.goes_on(seen, &mut deadline)? {
                        continue;
                    }
                    return Ok(Turn::Done(Passed::Broken));
                }
                _ => return Ok(Turn::Done(Passed::Broken)),
            }
            if let Some(loss) = self.loss()? {
                self.break_locked(locked, loss);
                return Ok(Turn::Done(Passed::Broken));
            }
            let (number, generation) = (locked.root(COUNT), locked.root(GENERATION));
            self.free_places_of_before(generation)?;
            if number.saturating_add(1) >= locked.root(PARTIES) {
                return self.complete(locked, number, acts);
            }
            let me = self.heap.container.thread()?;
            let place = Waiters(&self.heap).join(&locked, me, generation)?;
            locked.set_root(COUNT, number.saturating_add(1));
            drop(locked);
            let passed = self.stay(place, generation, &mut deadline)?;
            return Ok(Turn::Done(if passed {
                Passed::Yes(number)
            } else {
                Passed::Broken
            }));
        }
    }

    /// The last one has come.
    fn complete(
        &self,
        locked: Locked<'_>,
        number: u64,
        acts: bool,
    ) -> Result<Turn, ContainerError> {
        let generation = locked.root(GENERATION);
        let mut change = locked.change();
        if acts {
            change.put_root(COUNT, number.saturating_add(1))?;
            change.put_root(STATE, ACTS)?;
            change.put_root(ACTOR, self.heap.container.thread()?.into())?;
        } else {
            change.put_root(COUNT, 0)?;
            change.put_root(GENERATION, generation.wrapping_add(1))?;
        }
        change.commit(false)?;
        drop(change);
        drop(locked);
        if acts {
            return Ok(Turn::Act(Round { number, generation }));
        }
        self.bell().ring(ALL);
        Ok(Turn::Done(Passed::Yes(number)))
    }

    /// Waits at a place; whether all have come.
    fn stay(
        &self,
        place: Place,
        generation: u64,
        deadline: &mut Deadline,
    ) -> Result<bool, ContainerError> {
        let waiters = Waiters(&self.heap);
        let passed = loop {
            let seen = self.bell().rings();
            if let Some(passed) = self.outcome(place, generation) {
                break Ok(passed);
            }
            match self.goes_on(seen, deadline) {
                Ok(true) => {}
                Ok(false) => break self.give_up(place, generation),
                Err(ContainerError::Interrupted) => {
                    let given_up = self.give_up(place, generation);
                    break given_up.and(Err(ContainerError::Interrupted));
                }
                Err(error) => break Err(error),
            }
        };
        // One that leaves its round without having broken it tells so by its place.
        let becomes = if passed.is_err() { LEFT } else { FREE };
        if !waiters.stop_waiting(place, becomes) {
            waiters.leave(place, FREE);
        }
        passed
    }

    /// What has become of the round for the thread of a place: whether it has passed; `None` if nothing has yet.
    fn outcome(&self, place: Place, generation: u64) -> Option<bool> {
        // In this order: I1.
        let is_broken = self.root(STATE) == IS_BROKEN;
        let is_over = self.root(GENERATION) != generation;
        let is_told = Waiters(&self.heap).state(place).load(Ordering::Acquire) == BROKEN;
        match (is_told, is_over, is_broken) {
            (true, _, _) | (false, false, true) => Some(false),
            (false, true, _) => Some(true),
            (false, false, false) => None,
        }
    }

    /// Breaks the barrier since one has waited in vain, unless something has become of its round at the last moment.
    fn give_up(&self, place: Place, generation: u64) -> Result<bool, ContainerError> {
        let locked = self.heap.lock()?;
        if let Some(passed) = self.outcome(place, generation) {
            return Ok(passed);
        }
        self.break_locked(locked, Loss::Patience);
        Ok(false)
    }

    /// Sleeps a while; `false` if the time is over. Breaks the barrier if somebody who is needed is lost.
    fn goes_on(&self, seen: u32, deadline: &mut Deadline) -> Result<bool, ContainerError> {
        match deadline.next() {
            Next::Spin => {}
            Next::End => return Ok(false),
            Next::Sleep(nap) if self.bell().wait(seen, nap) => {
                self.heap.finish_for_the_dead()?;
                if self.bell().rings() == seen && self.loss()?.is_some() {
                    let locked = self.heap.lock()?;
                    // As it is now.
                    if let Some(loss) = self.loss()? {
                        self.break_locked(locked, loss);
                    }
                }
            }
            Next::Sleep(_) => return Err(ContainerError::Interrupted),
        }
        Ok(true)
    }

    /// Who of the round that fills, or acts, is lost.
    fn loss(&self) -> Result<Option<Loss>, ContainerError> {
        if self.root(STATE) == IS_BROKEN {
            return Ok(None);
        }
        let (waiters, generation) = (Waiters(&self.heap), self.root(GENERATION));
        let actor = self.root(ACTOR) as u32;
        if actor != 0 && self.heap.container.is_absent(actor) {
            return Ok(Some(Loss::Death));
        }
        let loss = |(place, state)| match state {
            _ if waiters.ticket(place) != generation => None,
            LEFT => Some(Loss::Patience),
            WAITING => waiters.is_dead(place).then_some(Loss::Death),
            _ => None,
        };
        Ok(waiters.taken()?.into_iter().find_map(loss))
    }

    fn break_locked(&self, locked: Locked<'_>, loss: Loss) {
        if loss == Loss::Death {
            locked.set_root(DEATHS, locked.root(DEATHS).wrapping_add(1));
        }
        locked.set_root(STATE, IS_BROKEN);
        drop(locked);
        self.bell().ring(ALL);
    }

    /// Frees places of an earlier round: of the dead, and of those that have left.
    fn free_places_of_before(&self, generation: u64) -> Result<(), ContainerError> {
        let waiters = Waiters(&self.heap);
        for (place, state) in waiters.taken()? {
            if waiters.ticket(place) != generation && (state == LEFT || waiters.is_dead(place)) {
                waiters.tell(place, FREE)?;
            }
        }
        Ok(())
    }

    /// The last one of a round has done what was to be done: all go on, or the barrier is broken unless it `has_worked`. What has
    /// become of the round: if the barrier was reset or broken meanwhile, nothing happens, and nobody passes.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn finish(&self, round: &Round, has_worked: bool) -> Result<Passed, ContainerError> {
        let locked = self.heap.lock()?;
        if locked.root(STATE) != ACTS || locked.root(GENERATION) != round.generation {
            return Ok(Passed::Broken);
        }
        let mut change = locked.change();
        change.put_root(ACTOR, 0)?;
        if has_worked {
            change.put_root(COUNT, 0)?;
            change.put_root(GENERATION, round.generation.wrapping_add(1))?;
        }
        change.put_root(STATE, if has_worked { FILLS } else { IS_BROKEN })?;
        change.commit(false)?;
        drop(change);
        drop(locked);
        self.bell().ring(ALL);
        Ok(if has_worked {
            Passed::Yes(round.number)
        } else {
            Passed::Broken
        })
    }

    /// Breaks the barrier: all who wait, and all who come, are told so.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn abort(&self) -> Result<(), ContainerError> {
        self.break_locked(self.heap.lock()?, Loss::Patience);
        Ok(())
    }

    /// Makes the barrier as it was at first. Those who wait are told that it is broken.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn reset(&self) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        let (waiters, generation) = (Waiters(&self.heap), locked.root(GENERATION));
        // Broken, until all are told: who dies in between leaves it so.
        locked.set_root(STATE, IS_BROKEN);
        for (place, state) in waiters.taken()? {
            if state == WAITING && waiters.ticket(place) == generation {
                waiters.tell_waiting(place, BROKEN)?;
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
