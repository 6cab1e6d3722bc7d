//! The list itself: how it is made and found.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::head::Inside;
use super::super::heap::Heap;
use super::super::lock::{Locked, WriterLock};
use super::super::reference::Reference;
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
            heap: Heap::create(store, KIND, INSIDE)?,
        })
    }

    /// Turns a token into the list, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no list.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        Self::open(Container::attach(token)?)
    }

    fn open(container: Container) -> Result<Self, ContainerError> {
        Ok(Self {
            heap: Heap::open(container, |kind| kind == KIND, INSIDE)?,
        })
    }

    /// The list that a reference is to.
    ///
    /// # Errors
    /// It is damaged.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let container = reference
            .container()
            .filter(|container| container.kind() == KIND);
        container.cloned().map(Self::open).transpose()
    }

    /// A reference to it, to be put into another container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference::of_container(&self.heap.container)
    }

    /// Where the list begins in its store: two handles with the same are of the same list.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.heap.head
    }

    /// A token for another process. It counts as an interest in the list until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        Ok(self.heap.container.token()?)
    }
}

const INSIDE: Inside = Inside { each_word, renew };

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
