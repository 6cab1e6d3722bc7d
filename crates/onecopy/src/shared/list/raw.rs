//! The list itself: where its words stand in the head, and how it is made and found.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::layout::{ROOT0, ROOT1, ROOT2, ROOT3, ROOT4, ROOT5, ROOT6, ROOT7};
use super::super::lock::WriterLock;
use super::super::reference::Reference;
use crate::store::{Container, Store, Token};

/// Elements of a page.
pub(super) const PER: u64 = 512;
/// Bytes of a page.
pub(super) const PAGE_BYTES: u64 = 8 * PER;
/// In an entry of the directory: where the page stands.
pub(super) const OFFSET: u64 = (1 << 48) - 1;

/// The directory's first entry, 0 for none.
pub(super) const DIRECTORY_AT: u64 = ROOT0;
/// Elements. Stored last by whoever appends.
pub(crate) const LEN: u64 = ROOT1;
/// Position of the first element.
pub(super) const BASE: u64 = ROOT2;
/// The first position behind the last page.
pub(super) const CAP: u64 = ROOT3;
/// Entries that the directory has room for.
pub(super) const ENTRIES: u64 = ROOT4;
/// Position of the first page's first word.
pub(super) const FLOOR: u64 = ROOT5;
/// The most pages that this generation has had: what tells when to give memory back.
pub(super) const PEAK: u64 = ROOT6;
/// The heap's `end` when the list was last found small, so that it is not asked again all the time.
pub(super) const SMALL: u64 = ROOT7;

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
            heap: Heap::create(store, KIND, each_word)?,
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
            heap: Heap::open(container, |kind| kind == KIND, each_word)?,
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
