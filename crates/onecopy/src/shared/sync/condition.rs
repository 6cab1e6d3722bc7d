//! A condition: threads that have a lock wait until another says that something has changed.
//!
//! ```text
//! root 0: the next ticket      root 1: when somebody last looked for the dead, in milliseconds      4096: who waits (waiters.rs)
//! ```
//! Those who have waited longest are woken first. A wake-up that went to a thread which has died, or whose wait has failed, goes
//! on to the next.
//!
//! **Crash points.** Who wakes another in place of one that has died does that first, and then frees the place of the dead: if it
//! dies in between, one more is woken, and no wake-up is lost.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::error::ContainerError;
use super::super::head::Inside;
use super::super::heap::Heap;
use super::super::layout::{ROOT0, ROOT1};
use super::super::lock::{Locked, sleep};
use super::super::reference::Reference;
use super::deadline::{Deadline, Next};
use super::mutex::Mutex;
use super::stored::{self, Stored, kinds};
use super::waiters::{BYTES, FREE, LEFT, Place, WAITING, WOKEN, Waiters};
use crate::primitive::Ordering;
use crate::store::{Container, Store, Token};
use crate::sys::{futex, procfs};

const TICKET: u64 = ROOT0;
const LOOKED: u64 = ROOT1;
/// So often one of all who wait looks for the dead, in milliseconds.
const EVERY_MS: u64 = 50;

/// A condition that all processes see. The lock that belongs to it is the caller's.
#[derive(Debug, Clone)]
pub struct Condition {
    heap: Heap,
}

stored::handed_over!(Condition, "condition");

impl Stored for Condition {
    const KIND: u8 = kinds::CONDITION;
    const INSIDE: Inside = Inside::without_blocks(stored::companions_word);

    fn of(heap: Heap) -> Self {
        Self { heap }
    }

    fn heap(&self) -> &Heap {
        &self.heap
    }
}

impl Condition {
    /// A new one for which nobody waits.
    ///
    /// # Errors
    /// No memory.
    pub fn create(store: &Store) -> Result<Self, ContainerError> {
        Self::create_empty(store, BYTES)
    }

    /// A new one to which a lock belongs, in the store of the lock: whoever has the condition finds it there.
    ///
    /// # Errors
    /// No memory.
    pub fn with_lock(lock: &Mutex) -> Result<Self, ContainerError> {
        let new = Self::create(&lock.heap().container.store())?;
        stored::join(&new.heap, &lock.reference())?;
        Ok(new)
    }

    /// The lock that belongs to it.
    ///
    /// # Errors
    /// It is damaged.
    pub fn lock(&self) -> Result<Option<Mutex>, ContainerError> {
        let lock = stored::companion(&self.heap)?;
        Ok(lock
            .map(|lock| Mutex::of_reference(&lock))
            .transpose()?
            .flatten())
    }

    /// Gives the lock back, waits until it is woken, and takes the lock again; whether it was woken in time.
    ///
    /// # Errors
    /// [`ContainerError::NotHeld`]: the lock is not held. [`ContainerError::Interrupted`] while it waited, with the lock
    /// held again, or while it waited for the lock, without.
    pub fn wait(&self, lock: &Mutex, patience: Option<Duration>) -> Result<bool, ContainerError> {
        let me = self.heap.container.thread()?;
        let place = self.join(me)?;
        let depth = match lock.release_all() {
            Ok(depth) => depth,
            Err(error) => {
                self.leave(place, true);
                return Err(error);
            }
        };
        let slept = self.sleep(place, patience);
        // Its place is kept until it has the lock: if it dies before, the next one is woken in its stead.
        let locked = lock.acquire_all(depth);
        let was_woken = self.leave(place, slept.is_err() || locked.is_err());
        locked?;
        slept?;
        Ok(was_woken)
    }

    pub(super) fn join(&self, me: u32) -> Result<Place, ContainerError> {
        let locked = self.heap.lock()?;
        self.pass_on(&locked)?;
        let ticket = locked.root(TICKET);
        locked.set_root(TICKET, ticket.wrapping_add(1));
        Waiters(&self.heap).join(&locked, me, ticket)
    }

    fn sleep(&self, place: Place, patience: Option<Duration>) -> Result<(), ContainerError> {
        let state = Waiters(&self.heap).state(place);
        let mut deadline = Deadline::after(patience);
        // Acquire: sees what whoever woke this thread had changed.
        while state.load(Ordering::Acquire) == WAITING {
            match deadline.next() {
                Next::Spin => {}
                Next::End => break,
                Next::Sleep(nap) => {
                    if !sleep(&mut || futex::wait(state, WAITING, nap)) {
                        return Err(ContainerError::Interrupted);
                    }
                    if state.load(Ordering::Acquire) == WAITING {
                        self.look_around()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks for the dead, unless another has just done so.
    fn look_around(&self) -> Result<(), ContainerError> {
        let now = procfs::boot_ms();
        let is_due = |looked: u64| now.saturating_sub(looked) >= EVERY_MS;
        if !is_due(self.heap.top.relaxed(LOOKED)) {
            return Ok(());
        }
        let locked = self.heap.lock()?;
        if is_due(locked.root(LOOKED)) {
            locked.set_root(LOOKED, now);
            self.pass_on(&locked)?;
        }
        Ok(())
    }

    /// Gives a place back; whether its thread was woken. A wake-up that finds a wait which `has_failed` goes to another.
    fn leave(&self, place: Place, has_failed: bool) -> bool {
        let waiters = Waiters(&self.heap);
        if waiters.stop_waiting(place, FREE) {
            return false;
        }
        waiters.leave(place, if has_failed { LEFT } else { FREE });
        if has_failed && let Ok(locked) = self.heap.lock() {
            // If this fails, whoever looks around does it.
            let _ = self.pass_on(&locked);
        }
        true
    }

    /// Wakes `most` threads at most, those first that have waited longest; how many.
    ///
    /// # Errors
    /// The condition's own lock is not to be had.
    pub fn notify(&self, most: usize) -> Result<usize, ContainerError> {
        let locked = self.heap.lock()?;
        self.pass_on(&locked)?;
        self.wake(&locked, most)
    }

    fn wake(&self, _locked: &Locked<'_>, most: usize) -> Result<usize, ContainerError> {
        let waiters = Waiters(&self.heap);
        let mut waiting: Vec<Place> = self.who_waits()?.collect();
        waiting.sort_by_key(|place| waiters.ticket(*place));
        let mut woken = 0_usize;
        for place in waiting {
            if woken == most {
                break;
            }
            // It may leave at this moment.
            if waiters.tell_waiting(place, WOKEN)? {
                futex::wake(waiters.state(place));
                woken = woken.wrapping_add(1);
            }
        }
        Ok(woken)
    }

    fn who_waits(&self) -> Result<impl Iterator<Item = Place>, ContainerError> {
        let taken = Waiters(&self.heap).taken()?.into_iter();
        Ok(taken.filter_map(|(place, state)| (state == WAITING).then_some(place)))
    }

    /// Frees the places of the dead, and wakes others in place of those that had been woken, or that have left.
    fn pass_on(&self, locked: &Locked<'_>) -> Result<(), ContainerError> {
        let waiters = Waiters(&self.heap);
        let mut owing = Vec::new();
        // Those first that nothing is owed for, so that none of them is woken.
        for (place, state) in waiters.taken()? {
            if state == LEFT || state == WOKEN && waiters.is_dead(place) {
                owing.push(place);
            } else if waiters.is_dead(place) {
                waiters.tell(place, FREE)?;
            }
        }
        for place in owing {
            self.wake(locked, 1)?;
            waiters.tell(place, FREE)?;
        }
        Ok(())
    }

    /// Threads that wait, as of a moment ago.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.who_waits().map_or(0, Iterator::count)
    }
}
