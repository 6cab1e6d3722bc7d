//! A condition: threads that have a lock wait until another says that something has changed.
//!
//! ```text
//! root 0: the next ticket      root 1: when somebody last looked for the dead, in milliseconds      4096: who waits (waiters.rs)
//! ```
//! Those who have waited longest are woken first. A wake-up that went to a thread which has died goes on to the next.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::layout::{ROOT0, ROOT1};
use super::super::lock::{Locked, sleep};
use super::deadline::{Deadline, Next};
use super::mutex::Mutex;
use super::stored::{self, kinds};
use super::waiters::{BYTES, FREE, Place, WAITING, WOKEN, Waiters};
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

impl Condition {
    /// A new one for which nobody waits.
    ///
    /// # Errors
    /// No memory.
    pub fn create(store: &Store) -> Result<Self, ContainerError> {
        let heap = stored::create(store, kinds::CONDITION, BYTES)?;
        Ok(Self { heap })
    }

    /// Turns a token into the condition, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no condition.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        let heap = stored::open(Container::attach(token)?, kinds::CONDITION)?;
        Ok(Self { heap })
    }

    /// A token for another process. It counts as an interest in the condition until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        Ok(self.heap.container.token()?)
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
                self.leave(place)?;
                return Err(error);
            }
        };
        let slept = self.sleep(place, patience);
        // Its place is kept until it has the lock: if it dies before, the next one is woken in its stead.
        let locked = lock.acquire_all(depth);
        let woken = self.leave(place);
        locked?;
        slept?;
        woken
    }

    fn join(&self, me: u32) -> Result<Place, ContainerError> {
        let locked = self.heap.lock()?;
        self.pass_on(&locked);
        let ticket = locked.root(TICKET);
        locked.set(self.heap.head + TICKET, ticket.wrapping_add(1))?;
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
        if !is_due(self.heap.words.relaxed(self.heap.head + LOOKED)) {
            return Ok(());
        }
        let locked = self.heap.lock()?;
        if is_due(locked.root(LOOKED)) {
            locked.set(self.heap.head + LOOKED, now)?;
            self.pass_on(&locked);
        }
        Ok(())
    }

    /// Gives a place back; whether its thread was woken.
    fn leave(&self, place: Place) -> Result<bool, ContainerError> {
        let locked = self.heap.lock()?;
        let waiters = Waiters(&self.heap);
        let was_woken = waiters.state(place).load(Ordering::Acquire) == WOKEN;
        waiters.tell(place, FREE);
        drop(locked);
        Ok(was_woken)
    }

    /// Wakes `most` threads at most, those first that have waited longest; how many.
    ///
    /// # Errors
    /// The condition's own lock is not to be had.
    pub fn notify(&self, most: usize) -> Result<usize, ContainerError> {
        let locked = self.heap.lock()?;
        self.pass_on(&locked);
        Ok(self.wake(&locked, most))
    }

    fn wake(&self, _locked: &Locked<'_>, most: usize) -> usize {
        let waiters = Waiters(&self.heap);
        let waiting = waiters.taken().filter(|(_, state)| *state == WAITING);
        let mut waiting: Vec<Place> = waiting.map(|(place, _)| place).collect();
        waiting.sort_by_key(|place| waiters.ticket(*place));
        waiting.truncate(most);
        for place in &waiting {
            waiters.tell(*place, WOKEN);
            futex::wake(waiters.state(*place));
        }
        waiting.len()
    }

    /// Frees the places of the dead, and wakes others in place of those that had been woken.
    fn pass_on(&self, locked: &Locked<'_>) {
        let waiters = Waiters(&self.heap);
        let mut owed = 0;
        for (place, state) in waiters.taken() {
            if waiters.is_dead(place) {
                owed += usize::from(state == WOKEN);
                waiters.tell(place, FREE);
            }
        }
        if owed > 0 {
            self.wake(locked, owed);
        }
    }

    /// Threads that wait, as of a moment ago.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let waiters = Waiters(&self.heap);
        let taken = waiters.taken();
        taken.filter(|(_, state)| *state == WAITING).count()
    }
}
