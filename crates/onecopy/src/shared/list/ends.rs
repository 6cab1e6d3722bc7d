//! Lists as queues: what is added or taken at an end together with other words of the head.
#![forbid(unsafe_code)]

use super::super::change::Change;
use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::look::{Look, found};
use super::super::value::{Incoming, Sink, Word, read_value};
use super::place::{entry_at, slot};
use super::point::Made;
use super::{BASE, CAP, DIRECTORY_AT, LEN, PER, RawList};

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    First,
    Last,
}

/// An element that is about to be taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    which: Which,
    /// What it is.
    pub(crate) word: Word,
}

impl RawList {
    /// Appends an element in one change with what `also` adds to it.
    ///
    /// # Errors
    /// No memory, or damage; nothing has happened then.
    pub(crate) fn append_and(
        locked: &Locked<'_>,
        value: &Incoming<'_>,
        also: impl FnOnce(&mut Change<'_>) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        let len = locked.root(LEN);
        let mut position = locked.root(BASE).wrapping_add(len);
        if position >= locked.root(CAP) {
            position = Self::reserve_back(locked, 1)?.end();
        }
        let entry = locked.load(entry_at(locked.root(DIRECTORY_AT), position))?;
        let mut change = locked.change();
        let word = value.place(&mut change)?;
        change.prepare(slot(entry, position), word.0)?;
        change.put_seen(locked.heap.head + LEN, len.wrapping_add(1))?;
        also(&mut change)?;
        change.commit(false)
    }

    /// The element at an end, if there is one.
    ///
    /// # Errors
    /// Damage.
    pub(crate) fn at_end(
        locked: &Locked<'_>,
        which: Which,
    ) -> Result<Option<Taken>, ContainerError> {
        let len = locked.root(LEN);
        if len == 0 {
            return Ok(None);
        }
        let index = match which {
            Which::First => 0,
            Which::Last => len - 1,
        };
        let word = Word(locked.load(locked.place_of(index)?)?);
        Ok(Some(Taken { which, word }))
    }

    /// What a sink makes of an element under the lock.
    ///
    /// # Errors
    /// Damage.
    pub(crate) fn make<S: Sink>(
        locked: &Locked<'_>,
        word: Word,
        sink: &S,
    ) -> Result<Made<S>, ContainerError> {
        let look = Look::locked(locked.heap);
        found(locked.heap, read_value(&look, word.0, sink))
    }

    /// Takes an element off its end in one change with what `also` adds to it: its blob is `also`'s to retire or to keep.
    /// `may_move`: nothing but the list is in its heap, so that it may be made anew in less memory.
    ///
    /// # Errors
    /// Damage; nothing has happened then.
    pub(crate) fn take_and(
        &self,
        locked: &Locked<'_>,
        taken: Taken,
        may_move: bool,
        also: impl FnOnce(&mut Change<'_>) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        let (base, len) = (locked.root(BASE), locked.root(LEN).wrapping_sub(1));
        let mut change = locked.change();
        change.put_root(LEN, len)?;
        if taken.which == Which::First {
            change.put_root(BASE, base.wrapping_add(1))?;
        }
        also(&mut change)?;
        // All others are at other places now.
        change.commit(true)?;
        let edge = match taken.which {
            Which::First => base.wrapping_add(1),
            Which::Last => base.wrapping_add(len),
        };
        if len == 0 || edge.is_multiple_of(PER) {
            if may_move {
                self.trim(locked);
            } else {
                // What cannot be freed now can be freed later.
                let _ = Self::free_spare_pages(locked);
            }
        }
        locked.after_retiring();
        Ok(())
    }
}
