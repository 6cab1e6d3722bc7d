//! Dicts.
//!
//! ```text
//! root 0 ─▶ index: slots {16 bits of a hash | offset of an entry}      in segments, found through a directory
//! root 1 ─▶ order: words {offset of an entry}                          in pages, found through a directory
//!            entry: {header} {value} {half of the hash | place} {key}
//! root 3    places in use (32) | keys (32)         root 4: places below this are holes
//! ```
//! A lookup is a load of a slot and one of the entry that it leads to, both next to nothing else of interest, so a dict
//! that no cache holds costs two misses. Growth splits one segment at a time: the longest insertion into a dict of
//! millions moves a few thousand keys.
//!
//! **Invariants.** `I1`: each key has one entry; one slot of its segment leads to it, and one place of the order. `I2`:
//! every slot between a key's own slot and the one where it stands is not empty. `I3`: a slot that leads to an entry has
//! the upper 16 bits of its hash, the entry the lower 32. `I4`: places from root 4 up to those in use have pages. `I5`: an
//! entry's key never changes; its value is one word.
//!
//! **Readers** look at the index alone. A slot goes from empty, or deleted, to an entry and back, and an entry's value from
//! word to word, each by one store. Entries that are deleted go into limbo with their content, so readers that have just
//! found one go on. A point read does not ask whether a change is under way: beside a writer that is stopped between its
//! commit and its last write it may find what was before, while a copy of many keys has what comes after.
//!
//! **Crash points** are those of a change (change.rs). An operation is one change: of one word if a value is a word and
//! replaces one, else of a record. What comes before it is a change of its own that nobody sees: a segment that is split,
//! a page more, gaps closed, a generation. Two things are written without a record, because they may be wrong: counts of
//! slots (index.rs) and the entries' words for their places (order.rs).
//!
//! * `hash` prepares keys; `index` finds them and `segment` makes room for them; `entry` is where they are; `order` keeps
//!   their order.
//! * `point` is what takes nanoseconds; `add` adds; `update` sets many; `whole` makes a dict anew; `read` copies many.
//! * `api`, `set` and `counter` are for Rust programs; `check` looks at the invariants.
#![forbid(unsafe_code)]
#![allow(
    clippy::unused_self,
    reason = "what is done under a dict's lock is the dict's"
)]

mod add;
mod api;
mod check;
mod counter;
mod entry;
mod hash;
mod index;
mod order;
mod point;
mod read;
mod segment;
mod set;
#[cfg(test)]
mod tests;
mod update;
mod whole;

pub use add::KeyAdded;
pub use api::{Dict, DictError, DictLock, Items};
pub use counter::Counter;
pub use hash::{Canonical, Key, canonical, refusal};
pub use point::{End, KeyExchanged};
pub use read::{Part, Picture};
pub use set::Set;

use super::error::ContainerError;
use super::heap::Heap;
use super::layout::{HASH_KEYS, ROOT0, ROOT1, ROOT3, ROOT4};
use super::value::{Incoming, Word};
use crate::store::{Container, Store, Token};
use hash::Secret;

/// The index.
const INDEX: u64 = ROOT0;
/// The order.
const ORDER: u64 = ROOT1;
/// Places in use and keys.
const STATE: u64 = ROOT3;
/// All places below are holes.
const FIRST: u64 = ROOT4;
/// In a word: where something stands.
const OFFSET: u64 = (1 << 48) - 1;
/// The most keys, and places.
const LEN_MOST: u64 = (1 << 32) - 2;
/// In an entry, from its header on: the value.
const VALUE_AT: u64 = 8;
/// The half of the hash, and the place.
const PLACE_AT: u64 = 16;
/// The key, or its form.
const KEY_AT: u64 = 24;

#[inline(always)]
fn len_of(state: u64) -> u64 {
    state & 0xffff_ffff
}

#[inline(always)]
fn used_of(state: u64) -> u64 {
    state >> 32
}

#[inline(always)]
fn state(used: u64, len: u64) -> u64 {
    used << 32 | len & 0xffff_ffff
}

/// A dict as containers keep it: keys come as [`Key`], values as [`Incoming`], and both go through a [`super::Sink`]. What
/// a sink does while a key is taken out happens under the dict's lock, so it uses no container.
#[derive(Debug)]
pub struct RawDict {
    pub(crate) heap: Heap,
    secret: Secret,
}

/// What the container's head says it is.
pub(crate) const KIND: u8 = 2;

impl RawDict {
    /// A new, empty dict.
    ///
    /// # Errors
    /// No memory for it.
    pub fn create(store: &Store) -> Result<Self, ContainerError> {
        let heap = Heap::create(store, KIND)?;
        Ok(Self::of(heap))
    }

    /// Turns a token into the dict, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no dict.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        Ok(Self::of(Heap::open(Container::attach(token)?, KIND)?))
    }

    /// A token for another process. It counts as an interest in the dict until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        Ok(self.heap.container.token()?)
    }

    fn of(heap: Heap) -> Self {
        let word = |at| heap.words.relaxed(heap.head + at);
        let secret = Secret(word(HASH_KEYS), word(HASH_KEYS + 8));
        Self { heap, secret }
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
    fn corrupt(&self, at: u64, what: &'static str) -> ContainerError {
        self.heap.corrupt(self.heap.head + at, what).into()
    }
}
