//! The list itself: how it is made and found.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::head::Inside;
use super::super::heap::Heap;
use super::super::lock::{Locked, WriterLock};
use super::super::reference::Reference;
use super::super::stored::{Stored, handed_over};
use super::place::State;
use super::roots::{BASE, DIRECTORY_AT, LEN, OFFSET, PER};
use crate::store::{Container, Store, Token};

/// A list as containers keep it: values come as [`super::super::Incoming`] and go through a [`super::super::Sink`]. What a sink does
/// while an element is popped happens under the list's lock, so it uses no container.
#[derive(Debug, Clone)]
pub struct RawList {
    pub(crate) heap: Heap,
}

/// What the container's head says it is.
pub(crate) const KIND: u8 = 1;

handed_over!(RawList, "list");

impl Stored for RawList {
    const KIND: u8 = KIND;
    const INSIDE: Inside = Inside { each_word, renew };

    fn of(heap: Heap) -> Self {
        Self { heap }
    }

    fn heap(&self) -> &Heap {
        &self.heap
    }
}

impl RawList {
    /// The writers' lock.
    #[must_use]
    pub fn writer_lock(&self) -> WriterLock {
        WriterLock::of(&self.heap)
    }

    /// A new, empty list.
    ///
    /// # Errors
    /// No memory for it.
    pub fn create(store: &Store) -> Result<Self, ContainerError> {
        Ok(Self {
            heap: Heap::create(store, KIND, Self::INSIDE)?,
        })
    }

    /// Where the list begins in its store: two handles with the same are of the same list.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.heap.head
    }
}

/// Makes the list anew in as little memory as it needs.
pub(crate) fn renew(heap: &Heap) -> Result<(), ContainerError> {
    let locked = Locked::of_holder(heap);
    let list = RawList { heap: heap.clone() };
    list.compact(&locked, &State::load(&locked)?)
}

/// Calls a function with every element.
pub(crate) fn each_word(heap: &Heap, take: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    let root = |at| heap.words.relaxed(heap.head + at);
    let (directory, base, len) = (root(DIRECTORY_AT), root(BASE), root(LEN));
    for position in base..base.wrapping_add(len) {
        let entry = heap.load(directory.wrapping_add(position / PER * 8))?;
        let place = (entry >> 48).wrapping_add(position) % PER;
        take(heap.load((entry & OFFSET).wrapping_add(8 * place))?);
    }
    Ok(())
}
