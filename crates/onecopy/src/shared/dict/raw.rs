//! The dict itself: where its words stand in the head, and how it is made and found.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::head::Inside;
use super::super::heap::Heap;
use super::super::layout::{HASH_KEYS, ROOT0, ROOT1, ROOT3, ROOT4};
use super::super::lock::{Locked, WriterLock};
use super::super::reference::Reference;
use super::super::stored::{Stored, handed_over};
use super::super::value::{Incoming, Word};
use super::hash::{Key, Secret};
use crate::store::{Container, Store, Token};

/// The index.
pub(super) const INDEX: u64 = ROOT0;
/// The order.
pub(super) const ORDER: u64 = ROOT1;
/// Places in use and keys.
pub(crate) const STATE: u64 = ROOT3;
/// All places below are holes.
pub(super) const FIRST: u64 = ROOT4;
/// In a word: where something stands.
pub(super) const OFFSET: u64 = (1 << 48) - 1;
/// The most keys, and places.
pub(super) const LEN_MOST: u64 = (1 << 32) - 2;
/// In an entry, from its header on: the value.
pub(super) const VALUE_AT: u64 = 8;
/// The half of the hash, and the place.
pub(super) const PLACE_AT: u64 = 16;
/// The key, or its form.
pub(super) const KEY_AT: u64 = 24;

#[inline(always)]
pub(crate) fn len_of(state: u64) -> u64 {
    state & 0xffff_ffff
}

#[inline(always)]
pub(super) fn used_of(state: u64) -> u64 {
    state >> 32
}

#[inline(always)]
pub(super) fn state(used: u64, len: u64) -> u64 {
    used << 32 | len & 0xffff_ffff
}

/// A dict as containers keep it: keys come as [`Key`], values as [`Incoming`], and both go through a [`super::super::Sink`]. What
/// a sink does while a key is taken out happens under the dict's lock, so it uses no container.
#[derive(Debug, Clone)]
pub struct RawDict {
    pub(crate) heap: Heap,
    pub(super) secret: Secret,
}

/// What a dict is, as the container's head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum DictKind {
    /// A dict.
    Dict = 2,
    /// What a set is made of.
    Set = 5,
    /// What a counter is made of.
    Counter = 6,
    /// What other programs show as attributes of one object.
    Namespace = 7,
    /// The same, as a manager makes it: programs give such an object attributes of their own process as well.
    ManagedNamespace = 9,
}

impl DictKind {
    pub(crate) fn of(kind: u8) -> Option<Self> {
        use DictKind::{Counter, Dict, ManagedNamespace, Namespace, Set};

        [Dict, Set, Counter, Namespace, ManagedNamespace]
            .into_iter()
            .find(|known| *known as u8 == kind)
    }
}

handed_over!(RawDict, "dict");

impl Stored for RawDict {
    /// The first of several.
    const KIND: u8 = DictKind::Dict as u8;
    const INSIDE: Inside = Inside {
        each_word,
        renew: |heap| Self::of(heap.clone()).shrink(&Locked::of_holder(heap)),
    };

    fn is_kind(kind: u8) -> bool {
        DictKind::of(kind).is_some()
    }

    fn of(heap: Heap) -> Self {
        let word = |at| heap.words.relaxed(heap.head + at);
        let secret = Secret(word(HASH_KEYS), word(HASH_KEYS + 8));
        Self { heap, secret }
    }

    fn heap(&self) -> &Heap {
        &self.heap
    }
}

impl RawDict {
    /// The writers' lock.
    #[must_use]
    pub fn writer_lock(&self) -> WriterLock {
        WriterLock::of(&self.heap)
    }

    /// A new, empty dict.
    ///
    /// # Errors
    /// No memory for it.
    pub fn create(store: &Store, kind: DictKind) -> Result<Self, ContainerError> {
        Ok(Self::of(Heap::create(store, kind as u8, Self::INSIDE)?))
    }

    /// What the dict is.
    #[must_use]
    pub fn kind(&self) -> DictKind {
        DictKind::of(self.heap.container.kind()).unwrap_or(DictKind::Dict)
    }

    /// Where the dict begins in its store: two handles with the same are of the same dict.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.heap.head
    }

    /// A key, from its canonical form.
    #[inline(always)]
    #[must_use]
    pub fn key<'a>(&self, canonical: Incoming<'a>) -> Key<'a> {
        Key::new(self.secret, canonical, None)
    }

    /// A key that has another form than its canonical one; if it is a new one, it keeps this form.
    #[inline(always)]
    #[must_use]
    pub fn key_of_form<'a>(&self, canonical: Incoming<'a>, form: Word) -> Key<'a> {
        Key::new(self.secret, canonical, Some(form))
    }

    /// What to say of something at `at` in the head that cannot be.
    #[cold]
    pub(super) fn corrupt(&self, at: u64, what: &'static str) -> ContainerError {
        self.heap.corrupt(self.heap.head + at, what).into()
    }
}

fn each_word(heap: &Heap, take: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    let locked = Locked::of_holder(heap);
    RawDict::of(heap.clone()).each(&locked, |entry| {
        take(locked.load(entry.wrapping_add(VALUE_AT))?);
        Ok(())
    })
}
