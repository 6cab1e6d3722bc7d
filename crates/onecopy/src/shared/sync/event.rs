//! An event: set or not, and sleepers that wait until it is.
//!
//! ```text
//! root 0: 1 if it is set (1 bit) | how often it was (63)        256: the bell, rung by each `set`
//! ```
//! One store sets it and counts, which is the whole change. A waiter goes by the count: the bell may be rung later, when the event
//! has been cleared again.
//!
//! **Crash points.** Who dies between the store and the ring has set it; sleepers see it when they look around.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::layout::{BARE_BYTES, ROOT0};
use super::super::reference::Reference;
use super::bell::{ALL, Bell};
use super::deadline::{Deadline, Next};
use super::stored::{self, Stored, kinds};
use crate::store::{Container, Store, Token};

const FLAG: u64 = ROOT0;
const IS_SET: u64 = 1;
const ONE_MORE: u64 = 2;
const BELL: u64 = 256;

/// An event that all processes see.
#[derive(Debug, Clone)]
pub struct Event {
    heap: Heap,
}

stored::handed_over!(Event, "event");

impl Stored for Event {
    const KIND: u8 = kinds::EVENT;

    fn of(heap: Heap) -> Self {
        Self { heap }
    }

    fn heap(&self) -> &Heap {
        &self.heap
    }
}

impl Event {
    /// A new one that is not set.
    ///
    /// # Errors
    /// No memory.
    pub fn create(store: &Store) -> Result<Self, ContainerError> {
        Self::create_empty(store, BARE_BYTES)
    }

    fn bell(&self) -> Bell<'_> {
        Bell::of(&self.heap, BELL)
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.heap.top.acquire(FLAG) & IS_SET != 0
    }

    /// Sets it, and wakes all who wait for it.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn set(&self) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        let flag = locked.root(FLAG);
        if flag & IS_SET == 0 {
            locked.set_root(FLAG, flag.wrapping_add(ONE_MORE) | IS_SET);
        }
        drop(locked);
        self.bell().ring(ALL);
        Ok(())
    }

    /// Takes it back.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn clear(&self) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        locked.set_root(FLAG, locked.root(FLAG) & !IS_SET);
        Ok(())
    }

    /// Waits until it is set, also if it is cleared right afterwards; whether it was.
    ///
    /// # Errors
    /// [`ContainerError::Interrupted`].
    pub fn wait(&self, patience: Option<Duration>) -> Result<bool, ContainerError> {
        let (bell, mut deadline) = (self.bell(), Deadline::after(patience));
        let first = self.heap.top.acquire(FLAG);
        loop {
            let seen = bell.rings();
            let flag = self.heap.top.acquire(FLAG);
            if flag & IS_SET != 0 || flag != first {
                return Ok(true);
            }
            match deadline.next() {
                Next::Spin => {}
                Next::End => return Ok(false),
                Next::Sleep(nap) if bell.wait(seen, nap) => {}
                Next::Sleep(_) => return Err(ContainerError::Interrupted),
            }
        }
    }
}
