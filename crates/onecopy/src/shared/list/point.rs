//! What takes a few nanoseconds: one element by its index, and the end of the list.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::look::found;
use super::super::look::{Look, PointLook, Retry};
use super::super::value::{Incoming, Outside, Sink, Word, read_value};
use super::place::{entry_at, look_up, normal, slot};
use super::{BASE, CAP, DIRECTORY_AT, LEN, PER, RawList};

/// What came of adding to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// The sum, which is the element now.
    Sum(i64),
    /// The element is no int of at most 48 bits, or the sum would be none; nothing has happened.
    NoInt,
    /// There is no such element.
    NoElement,
}

/// What came of replacing an element that was expected to be a certain value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchanged {
    /// It was, and has been replaced.
    Yes,
    /// It was another; nothing has happened.
    No,
    /// There is no such element.
    NoElement,
}

/// An element that a sink made, or why it could not.
pub(super) type Made<S> = Result<<S as Sink>::Made, <S as Sink>::Error>;

/// The word of an element, as it was at some time since the look began; `None` if there is no such element.
#[inline(always)]
fn word_at(look: &Look<'_>, index: u64) -> Result<Option<Word>, Retry> {
    if index >= look.root(LEN) {
        look.check()?;
        return Ok(None);
    }
    let word = look_up(look, index)?;
    // Popped meanwhile: then the word may be one that is not appended yet.
    if look.root_after(LEN) <= index {
        return Err(Retry);
    }
    look.check()?;
    Ok(Some(Word(word)))
}

impl RawList {
    /// Elements.
    ///
    /// # Errors
    /// As in every read: the list is damaged, or the lock is not to be had.
    #[inline(always)]
    pub fn len(&self) -> Result<u64, ContainerError> {
        self.heap.read(|look| {
            let len = look.root(LEN);
            look.check()?;
            Ok(len)
        })
    }

    /// Whether there are no elements.
    ///
    /// # Errors
    /// As in [`RawList::len`].
    pub fn is_empty(&self) -> Result<bool, ContainerError> {
        Ok(self.len()? == 0)
    }

    /// An element; `None` if there is none with this index. Negative indices count from the end, here and everywhere.
    ///
    /// # Errors
    /// As in [`RawList::len`].
    #[inline(always)]
    pub fn get<S: Sink>(&self, index: i64, sink: &S) -> Result<Option<Made<S>>, ContainerError> {
        if index < 0 {
            return self.get_from_end(index, sink);
        }
        let index = index as u64;
        let Some(look) = self.heap.point_look() else {
            return self.get_again(index, sink);
        };
        match word_at(&look, index) {
            Ok(Some(word)) if !word.leads() => Ok(Some(sink.word(word))),
            Ok(Some(word)) => self.get_led(index, look.point(), word, sink),
            Ok(None) => Ok(None),
            Err(Retry) => self.get_again(index, sink),
        }
    }

    /// The same of an element that leads elsewhere.
    #[inline(never)]
    fn get_led<S: Sink>(
        &self,
        index: u64,
        look: PointLook,
        word: Word,
        sink: &S,
    ) -> Result<Option<Made<S>>, ContainerError> {
        match read_value(&look.of(&self.heap), word.0, sink) {
            Ok(made) => Ok(Some(made)),
            Err(Retry) => self.get_again(index, sink),
        }
    }

    /// The same for a reader that was disturbed.
    #[cold]
    #[inline(never)]
    fn get_again<S: Sink>(&self, index: u64, sink: &S) -> Result<Option<Made<S>>, ContainerError> {
        self.heap.read_again(&mut |look| {
            let Some(word) = word_at(look, index)? else {
                return Ok(None);
            };
            read_value(look, word.0, sink).map(Some)
        })
    }

    /// The same for a negative index: the length says which element it is, so both have to be of one moment.
    #[inline(never)]
    fn get_from_end<S: Sink>(
        &self,
        index: i64,
        sink: &S,
    ) -> Result<Option<Made<S>>, ContainerError> {
        self.heap.read(
            #[inline(always)]
            |look| {
                let changes = look.changes();
                let Some(index) = normal(index, look.root(LEN)) else {
                    look.check()?;
                    return Ok(None);
                };
                let word = look_up(look, index)?;
                // One change is seen by a length or by a word, not by both.
                if !look.is_one_change(changes) {
                    return Err(Retry);
                }
                read_value(look, word, sink).map(Some)
            },
        )
    }

    /// Replaces an element; `false` if there is none with this index.
    ///
    /// # Errors
    /// No memory, or damage; nothing has happened then, here and everywhere.
    #[inline(always)]
    pub fn set(&self, index: i64, value: &Incoming<'_>) -> Result<bool, ContainerError> {
        if value.is_large() {
            return self.set_large(index, value);
        }
        self.set_as_it_is(index, value)
    }

    #[cold]
    #[inline(never)]
    fn set_large(&self, index: i64, value: &Incoming<'_>) -> Result<bool, ContainerError> {
        let outside = Outside::of(&self.heap, value)?;
        self.set_as_it_is(index, &outside.or(value))
    }

    #[inline(always)]
    fn set_as_it_is(&self, index: i64, value: &Incoming<'_>) -> Result<bool, ContainerError> {
        let locked = self.heap.lock()?;
        let Some(index) = normal(index, locked.root(LEN)) else {
            return Ok(false);
        };
        let at = locked.place_of(index)?;
        locked.replace(at, value)?;
        Ok(true)
    }

    /// Adds an element at the end.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    #[inline(always)]
    pub fn append(&self, value: &Incoming<'_>) -> Result<(), ContainerError> {
        if value.is_large() {
            return self.append_large(value);
        }
        let locked = self.heap.lock()?;
        self.append_locked(&locked, value)
    }

    #[cold]
    #[inline(never)]
    fn append_large(&self, value: &Incoming<'_>) -> Result<(), ContainerError> {
        let outside = Outside::of(&self.heap, value)?;
        let locked = self.heap.lock()?;
        self.append_locked(&locked, &outside.or(value))
    }

    #[inline(always)]
    pub(crate) fn append_locked(
        &self,
        locked: &Locked<'_>,
        value: &Incoming<'_>,
    ) -> Result<(), ContainerError> {
        let len = locked.root(LEN);
        let mut position = locked.root(BASE).wrapping_add(len);
        if position >= locked.root(CAP) {
            position = Self::reserve_back(locked, 1)?.end();
        }
        let entry = locked.load(entry_at(locked.root(DIRECTORY_AT), position))?;
        let at = slot(entry, position);
        match value {
            Incoming::Word(word) => {
                locked.prepare(at, word.0)?;
                locked.set_root(LEN, len.wrapping_add(1));
                Ok(())
            }
            _ => Self::append_slowly(locked, at, len, value),
        }
    }

    #[inline(never)]
    fn append_slowly(
        locked: &Locked<'_>,
        at: u64,
        len: u64,
        value: &Incoming<'_>,
    ) -> Result<(), ContainerError> {
        let mut change = locked.change();
        let word = value.place(&mut change)?;
        change.prepare(at, word.0)?;
        change.put_seen(locked.heap.head + LEN, len.wrapping_add(1))?;
        change.commit(false)
    }

    /// Takes an element out; `None` if there is none with this index. It is read before it goes, so one that the sink
    /// cannot make stays.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    #[inline(always)]
    pub fn pop<S: Sink>(&self, index: i64, sink: &S) -> Result<Option<Made<S>>, ContainerError> {
        if index == -1
            && let Some(made) = self.pop_word(sink)
        {
            return Ok(Some(made));
        }
        self.pop_slowly(index, sink)
    }

    /// Takes the last element out if it is a word and its page has others; `None`, and nothing has happened, if not.
    #[inline(always)]
    fn pop_word<S: Sink>(&self, sink: &S) -> Option<Made<S>> {
        let locked = self.heap.try_lock()?;
        let index = locked.root(LEN).checked_sub(1)?;
        let word = Word(locked.load(locked.place_of(index).ok()?).ok()?);
        let is_first = locked.root(BASE).wrapping_add(index).is_multiple_of(PER);
        if word.leads() || is_first || index == 0 {
            return None;
        }
        let made = sink.word(word);
        if made.is_ok() {
            locked.set_root(LEN, index);
        }
        Some(made)
    }

    #[inline(never)]
    fn pop_slowly<S: Sink>(&self, index: i64, sink: &S) -> Result<Option<Made<S>>, ContainerError> {
        let locked = self.heap.lock()?;
        let len = locked.root(LEN);
        let Some(index) = normal(index, len) else {
            return Ok(None);
        };
        let word = locked.load(locked.place_of(index)?)?;
        let look = Look::locked(&self.heap);
        let made = match found(&self.heap, read_value(&look, word, sink))? {
            Ok(made) => made,
            Err(error) => return Ok(Some(Err(error))),
        };
        if index + 1 == len {
            self.pop_last(&locked, index, Word(word))?;
        } else {
            self.splice(&locked, index..index + 1, &[])?;
        }
        Ok(Some(Ok(made)))
    }

    /// Ends the list at `index`, its last element.
    #[inline(always)]
    fn pop_last(&self, locked: &Locked<'_>, index: u64, word: Word) -> Result<(), ContainerError> {
        if word.leads() {
            locked.make_room_in_limbo()?;
            let mut change = locked.change();
            change.put_seen(locked.heap.head + LEN, index)?;
            if let Some(blob) = word.as_blob() {
                change.retire(blob)?;
            }
            change.drops(word)?;
            change.commit(false)?;
        } else {
            locked.set_root(LEN, index);
        }
        if index == 0 || locked.root(BASE).wrapping_add(index).is_multiple_of(PER) {
            self.trim(locked);
        }
        Ok(())
    }

    /// Adds to an element that is an int.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    #[inline(always)]
    pub fn add(&self, index: i64, amount: i64) -> Result<Added, ContainerError> {
        let locked = self.heap.lock()?;
        let Some(index) = normal(index, locked.root(LEN)) else {
            return Ok(Added::NoElement);
        };
        let at = locked.place_of(index)?;
        let sum = Word(locked.load(at)?)
            .as_int()
            .and_then(|old| old.checked_add(amount));
        let Some((sum, word)) = sum.and_then(|sum| Some((sum, Word::of_int(sum)?))) else {
            return Ok(Added::NoInt);
        };
        locked.set(at, word.0)?;
        Ok(Added::Sum(sum))
    }

    /// Replaces an element if it is `old`: of the same type and, for a pickle, made of the same bytes.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn compare_exchange(
        &self,
        index: i64,
        old: &Incoming<'_>,
        new: &Incoming<'_>,
    ) -> Result<Exchanged, ContainerError> {
        let outside = Outside::of(&self.heap, new)?;
        let locked = self.heap.lock()?;
        let Some(index) = normal(index, locked.root(LEN)) else {
            return Ok(Exchanged::NoElement);
        };
        let at = locked.place_of(index)?;
        if !locked.is_same(Word(locked.load(at)?), old)? {
            return Ok(Exchanged::No);
        }
        locked.replace(at, &outside.or(new))?;
        Ok(Exchanged::Yes)
    }
}
