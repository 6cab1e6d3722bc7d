//! References in a container's words: which objects of the store it keeps, and how that stays true under `kill -9`.
//!
//! A word that refers to another object has the *name* of a reference (store/references.rs), which the store counts as the
//! container's interest in the object. The two are in different memories, under different locks and records: the word under the
//! container's, the reference under the store's. The container's lock is always taken first, the store's inside it.
//!
//! ```text
//! adding     1 DIRTY    2 the store adds the reference     3 the change that puts its name into a word     4 not DIRTY
//! dropping   1 DIRTY    2 the change after which no word has the name     3 the store drops the reference   4 not DIRTY
//! ```
//! `REFERENCES` in the head says DIRTY from before the first of these to after the last. So the container's references are
//! exactly those that its words name whenever it is not dirty, and more when it is, never fewer.
//!
//! **Invariants.** `I1`: every name in a word that can be found means a reference of this container. `I2`: if the head is not
//! DIRTY and the lock is free, every reference of the container is in exactly one word. `I3`: the head says REFERS if there are
//! references.
//!
//! **Crash points.** Before 2 of the first row nothing has happened. Between the steps the head is DIRTY: whoever takes the lock
//! over replays the change (change.rs), goes through all words, and has the store drop what none of them names. That is what 3 of
//! the second row does, only that there the names are known. Dropping a name twice does nothing, so a successor that dies is
//! followed by the next. A container that is freed is no question of this: the store has the list of its references.
//!
//! **Readers** may find a name that has been dropped since: in a word of a moment ago, or in a block in limbo. They take their hold
//! under the store's lock, by the name; if it means nothing any more, they read again, and find what stands there now: it was
//! there before the name was dropped. So limbo keeps words, and never an object.
//!
//! **Whole generations** (generation.rs) drop words that nobody lists: they are DIRTY from before the swap, and go through all
//! words afterwards, as a successor does.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::change::Change;
use super::error::ContainerError;
use super::heap::Heap;
use super::layout::REFERENCES;
use super::lock::Locked;
use super::reference::{Pending, Reference};
use super::value::Word;

/// In `REFERENCES`: there are references.
const REFERS: u64 = 1;
/// In `REFERENCES`: there may be references that no word names.
const DIRTY: u64 = 2;

impl Heap {
    fn references(&self) -> u64 {
        self.top.relaxed(REFERENCES)
    }

    /// Makes the head DIRTY. What was left so by an operation that failed is settled first.
    fn begin_references(&self) -> Result<(), ContainerError> {
        self.settle_references()?;
        self.top.store(REFERENCES, REFERS | DIRTY);
        Ok(())
    }

    /// Makes the head DIRTY if a change that drops any words might drop references; whether it might.
    pub(crate) fn begin_dropping_any(&self) -> bool {
        let may = self.references() != 0;
        if may {
            self.top.store(REFERENCES, REFERS | DIRTY);
        }
        may
    }

    /// Adds a reference; its name, for a word that is not in the container yet, without a change of its own: the caller settles.
    pub(crate) fn refer(&self, reference: &Reference) -> Result<u64, ContainerError> {
        if !self.container.can_refer_to(&reference.0) {
            return Err(ContainerError::OtherStore);
        }
        self.top.store(REFERENCES, REFERS | DIRTY);
        Ok(self.container.add_reference(&reference.0)?)
    }

    /// Has the store drop what no word names, if there may be any.
    pub(crate) fn settle_references(&self) -> Result<(), ContainerError> {
        if self.references() & DIRTY == 0 {
            return Ok(());
        }
        let mut kept = HashSet::new();
        (self.inside.each_word)(self, &mut |word| {
            kept.extend(Word(word).as_reference());
        })?;
        self.container.keep_references(&kept)?;
        let refers = if kept.is_empty() { 0 } else { REFERS };
        self.top.store(REFERENCES, refers);
        Ok(())
    }

    /// Ends a change that has happened.
    fn finish_references(&self, pending: &Pending) -> Result<(), ContainerError> {
        if !pending.dropped.is_empty() {
            self.container
                .drop_references(pending.dropped.iter().copied())?;
        }
        self.top.store(REFERENCES, REFERS);
        Ok(())
    }
}

impl Change<'_> {
    fn pending(&mut self) -> Result<&mut Pending, ContainerError> {
        if self.references.is_none() {
            self.heap.begin_references()?;
        }
        Ok(self.references.get_or_insert_default())
    }

    /// Adds a reference; its name, for a word that this change puts somewhere.
    ///
    /// # Errors
    /// It is of another store. The store's table is full.
    #[cold]
    #[inline(never)]
    pub(crate) fn refer(&mut self, reference: &Reference) -> Result<u64, ContainerError> {
        if !self.heap.container.can_refer_to(&reference.0) {
            return Err(ContainerError::OtherStore);
        }
        self.pending()?;
        self.heap.refer(reference)
    }

    /// Says that no place has this word after the change, which has one now. Nothing happens unless it is a reference.
    ///
    /// # Errors
    /// What an earlier operation has left cannot be settled.
    #[inline(always)]
    pub(crate) fn drops(&mut self, word: Word) -> Result<(), ContainerError> {
        match word.as_reference() {
            None => Ok(()),
            Some(name) => self.drops_reference(name),
        }
    }

    #[cold]
    #[inline(never)]
    fn drops_reference(&mut self, name: u64) -> Result<(), ContainerError> {
        self.pending()?.dropped.push(name);
        Ok(())
    }

    /// Ends what a change that has happened did to references. What cannot be dropped now stays DIRTY.
    #[cold]
    #[inline(never)]
    pub(super) fn finish_references(&mut self) {
        if let Some(pending) = self.references.take() {
            let _ = self.heap.finish_references(&pending);
        }
    }

    /// Takes back what a change that has not happened did to references.
    #[cold]
    #[inline(never)]
    pub(super) fn give_up_references(&self) {
        let _ = self.heap.settle_references();
    }
}

impl Locked<'_> {
    /// Whether a word refers to this object.
    #[cold]
    #[inline(never)]
    pub(crate) fn is_reference_to(
        &self,
        word: Word,
        reference: &Reference,
    ) -> Result<bool, ContainerError> {
        let (Some(name), container) = (word.as_reference(), &self.heap.container) else {
            return Ok(false);
        };
        Ok(!word.is_large()
            && container.can_refer_to(&reference.0)
            && container.referent(name)? == Some(reference.id()))
    }
}
