//! An event: set or not, and sleepers that wait until it is.
//!
//! ```text
//! root 0: 1 if it is set        256: the bell, rung by each `set`
//! ```
//! One store sets it, which is the whole change.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::layout::{FIRST_BLOCK, ROOT0};
use super::super::reference::Reference;
use super::bell::{ALL, Bell};
use super::deadline::{Deadline, Next};
use super::stored::{self, kinds};
use crate::store::{Container, Store, Token};

const FLAG: u64 = ROOT0;
const BELL: u64 = 256;

/// An event that all processes see.
#[derive(Debug, Clone)]
pub struct Event {
    heap: Heap,
}

impl Event {
    /// A new one that is not set.
    ///
    /// # Errors
    /// No memory.
    pub fn create(store: &Store) -> Result<Self, ContainerError> {
        let heap = stored::create(store, kinds::EVENT, FIRST_BLOCK)?;
        Ok(Self { heap })
    }

    /// Turns a token into the event, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no event.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        let heap = stored::open(Container::attach(token)?, kinds::EVENT)?;
        Ok(Self { heap })
    }

    /// The event that a reference is to.
    ///
    /// # Errors
    /// It is damaged.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let heap = stored::of_reference(reference, kinds::EVENT)?;
        Ok(heap.map(|heap| Self { heap }))
    }

    /// A reference to it, to be put into a container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference::of_container(&self.heap.container)
    }

    /// A token for another process. It counts as an interest in the event until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        Ok(self.heap.container.token()?)
    }

    fn bell(&self) -> Bell<'_> {
        Bell::of(&self.heap, BELL)
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.heap.top.acquire(FLAG) != 0
    }

    /// Sets it, and wakes all who wait for it.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn set(&self) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        locked.set(self.heap.head + FLAG, 1)?;
        drop(locked);
        self.bell().ring(ALL);
        Ok(())
    }

    /// Takes it back.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn clear(&self) -> Result<(), ContainerError> {
        self.heap.lock()?.set(self.heap.head + FLAG, 0)
    }

    /// Waits until it is set, also if it is cleared right afterwards; whether it was.
    ///
    /// # Errors
    /// [`ContainerError::Interrupted`].
    pub fn wait(&self, patience: Option<Duration>) -> Result<bool, ContainerError> {
        let (bell, mut deadline) = (self.bell(), Deadline::after(patience));
        let first = bell.rings();
        loop {
            let seen = bell.rings();
            if self.is_set() || seen != first {
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
