//! What takes nanoseconds: one key.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::look::Look;
use super::super::look::found;
use super::super::value::{Incoming, Outside, Sink, Word, read_value};
use super::entry::{Made, new_entry, read_key};
use super::hash::Key;
use super::index::{DELETED, Found, Root, count_slot, find, room, uncount_slot};
use super::{FIRST, INDEX, PLACE_AT, RawDict, STATE, VALUE_AT, len_of, state, used_of};

/// What came of replacing the value of a key that was expected to be a certain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExchanged {
    /// It was, and has been replaced.
    Yes,
    /// It was another; nothing has happened.
    No,
    /// There is no such key.
    NoKey,
}

/// An end of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where the oldest key is.
    First,
    /// Where the newest key is.
    Last,
}

/// A key and its value that a sink made, or why it could not.
type MadeItem<S> = Result<(<S as Sink>::Made, <S as Sink>::Made), <S as Sink>::Error>;

/// Slots of an index up to which it does not matter that there are few keys.
const FEW_SLOTS: u64 = if cfg!(test) { 64 } else { 2048 };
/// Slots for each key from which on a dict is made anew in less memory.
const THIN: u64 = 10;

impl RawDict {
    /// Keys.
    ///
    /// # Errors
    /// As in every read: the dict is damaged, or the lock is not to be had.
    #[inline(always)]
    pub fn len(&self) -> Result<u64, ContainerError> {
        // Not as a point read: a key is found by another word.
        self.heap.read_long(|look| Ok(len_of(look.root(STATE))))
    }

    /// Whether there are no keys.
    ///
    /// # Errors
    /// As in [`RawDict::len`].
    pub fn is_empty(&self) -> Result<bool, ContainerError> {
        Ok(self.len()? == 0)
    }

    /// The value of a key; `None` if there is no such key.
    ///
    /// # Errors
    /// As in [`RawDict::len`].
    #[inline(always)]
    pub fn get<S: Sink>(&self, key: &Key<'_>, sink: &S) -> Result<Option<Made<S>>, ContainerError> {
        self.heap.read(
            #[inline(always)]
            |look| {
                let found = find::<false>(look, self.secret, key)?;
                if !found.is_key() {
                    look.check()?;
                    return Ok(None);
                }
                let word = look.load(found.entry().wrapping_add(VALUE_AT))?;
                read_value(look, word, sink).map(Some)
            },
        )
    }

    /// Whether there is such a key.
    ///
    /// # Errors
    /// As in [`RawDict::len`].
    #[inline(always)]
    pub fn contains(&self, key: &Key<'_>) -> Result<bool, ContainerError> {
        self.heap.read(
            #[inline(always)]
            |look| {
                let found = find::<false>(look, self.secret, key)?;
                look.check()?;
                Ok(found.is_key())
            },
        )
    }

    /// Sets the value of a key, which may be a new one; the key that is there keeps its form.
    ///
    /// # Errors
    /// No memory, or damage; nothing has happened then, here and everywhere.
    #[inline(always)]
    pub fn set(&self, key: &Key<'_>, value: &Incoming<'_>) -> Result<(), ContainerError> {
        if value.is_large() {
            return self.set_large(key, value);
        }
        self.set_as_it_is(key, value)
    }

    #[cold]
    #[inline(never)]
    fn set_large(&self, key: &Key<'_>, value: &Incoming<'_>) -> Result<(), ContainerError> {
        let outside = Outside::of(&self.heap, value)?;
        self.set_as_it_is(key, &outside.or(value))
    }

    #[inline(always)]
    fn set_as_it_is(&self, key: &Key<'_>, value: &Incoming<'_>) -> Result<(), ContainerError> {
        self.locate(
            key,
            #[inline(always)]
            |locked, found| {
                if found.is_key() {
                    return locked.replace(found.entry().wrapping_add(VALUE_AT), value);
                }
                self.insert(locked, key, &found, value)
            },
        )
    }

    /// Sets the value of a key that is not there. If it is there, its value, which stays.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    pub fn set_default<S: Sink>(
        &self,
        key: &Key<'_>,
        value: &Incoming<'_>,
        sink: &S,
    ) -> Result<Option<Made<S>>, ContainerError> {
        if let Some(made) = self.get(key, sink)? {
            return Ok(Some(made));
        }
        let outside = Outside::of(&self.heap, value)?;
        let value = &outside.or(value);
        self.locate(
            key,
            #[inline(always)]
            |locked, found| {
                if found.is_key() {
                    return self.value_of(locked, found.entry(), sink).map(Some);
                }
                self.insert(locked, key, &found, value)?;
                Ok(None)
            },
        )
    }

    /// Takes a key out; whether it was there.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    #[inline(always)]
    pub fn delete(&self, key: &Key<'_>) -> Result<bool, ContainerError> {
        self.locate(
            key,
            #[inline(always)]
            |locked, found| {
                if !found.is_key() {
                    return Ok(false);
                }
                self.remove(locked, &found, None)?;
                Ok(true)
            },
        )
    }

    /// Takes a key out and gives its value; `None` if it was not there. What the sink cannot make stays.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    #[inline(always)]
    pub fn pop<S: Sink>(&self, key: &Key<'_>, sink: &S) -> Result<Option<Made<S>>, ContainerError> {
        self.locate(
            key,
            #[inline(always)]
            |locked, found| {
                if !found.is_key() {
                    return Ok(None);
                }
                let made = self.value_of(locked, found.entry(), sink)?;
                if made.is_ok() {
                    self.remove(locked, &found, None)?;
                }
                Ok(Some(made))
            },
        )
    }

    /// Takes the first or the last key out, as it was given, with its value; `None` if the dict is empty.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    pub fn pop_item<S: Sink>(
        &self,
        end: End,
        sink: &S,
    ) -> Result<Option<MadeItem<S>>, ContainerError> {
        let locked = self.heap.lock()?;
        let Some((place, entry)) = self.end_of(&locked, end)? else {
            return Ok(None);
        };
        let look = Look::locked(&self.heap);
        let key = found(&self.heap, read_key(&look, entry, sink))?;
        let key = match key {
            Ok(key) => key,
            Err(error) => return Ok(Some(Err(error))),
        };
        let value = match self.value_of(&locked, entry, sink)? {
            Ok(value) => value,
            Err(error) => return Ok(Some(Err(error))),
        };
        let found = self.slot_of(&locked, entry)?;
        self.remove(&locked, &found, Some((place, end)))?;
        Ok(Some(Ok((key, value))))
    }

    /// The first or last place that is no hole, and its entry.
    fn end_of(&self, locked: &Locked<'_>, end: End) -> Result<Option<(u64, u64)>, ContainerError> {
        let state = locked.root(STATE);
        if len_of(state) == 0 {
            return Ok(None);
        }
        let (mut first, mut last) = (locked.root(FIRST), used_of(state));
        while first < last {
            let place = match end {
                End::First => first,
                End::Last => last - 1,
            };
            let entry = locked.load(self.place_at(locked, place)?)?;
            if entry != 0 {
                return Ok(Some((place, entry)));
            }
            match end {
                End::First => first += 1,
                End::Last => last -= 1,
            }
        }
        Err(self.corrupt(STATE, "a length that is not the number of keys"))
    }

    /// Replaces the value of a key if it is `old`: of the same type and, for a pickle, made of the same bytes.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    pub fn compare_exchange(
        &self,
        key: &Key<'_>,
        old: &Incoming<'_>,
        new: &Incoming<'_>,
    ) -> Result<KeyExchanged, ContainerError> {
        let outside = Outside::of(&self.heap, new)?;
        let new = &outside.or(new);
        self.locate(
            key,
            #[inline(always)]
            |locked, found| {
                if !found.is_key() {
                    return Ok(KeyExchanged::NoKey);
                }
                let at = found.entry().wrapping_add(VALUE_AT);
                if !locked.is_same(Word(locked.load(at)?), old)? {
                    return Ok(KeyExchanged::No);
                }
                locked.replace(at, new)?;
                Ok(KeyExchanged::Yes)
            },
        )
    }

    /// Makes a key the last in the order; whether it is there.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    pub fn move_to_end(&self, key: &Key<'_>) -> Result<bool, ContainerError> {
        self.locate(
            key,
            #[inline(always)]
            |locked, found| {
                if !found.is_key() {
                    return Ok(false);
                }
                let entry = found.entry();
                let at = self.next_place(locked)?;
                let (used, len) = (used_of(locked.root(STATE)), len_of(locked.root(STATE)));
                let place = self.place_of(locked, entry)?;
                if place + 1 == used {
                    return Ok(true);
                }
                let hash = locked.load(entry.wrapping_add(PLACE_AT))? >> 32;
                locked.prepare(at, entry)?;
                let mut change = locked.change();
                change.put(self.place_at(locked, place)?, 0)?;
                change.put(entry.wrapping_add(PLACE_AT), hash << 32 | used)?;
                change.put_root(STATE, state(used + 1, len))?;
                // Whoever copies the order must not see the key at neither place.
                change.commit(true)?;
                Ok(true)
            },
        )
    }

    /// What a sink makes of an entry's value, under the lock.
    #[inline(always)]
    fn value_of<S: Sink>(
        &self,
        locked: &Locked<'_>,
        entry: u64,
        sink: &S,
    ) -> Result<Made<S>, ContainerError> {
        let word = locked.load(entry.wrapping_add(VALUE_AT))?;
        found(
            &self.heap,
            read_value(&Look::locked(&self.heap), word, sink),
        )
    }

    /// Adds a key that is not there.
    #[inline(never)]
    pub(super) fn insert(
        &self,
        locked: &Locked<'_>,
        key: &Key<'_>,
        found: &Found,
        value: &Incoming<'_>,
    ) -> Result<(), ContainerError> {
        let elsewhere;
        let found = if room(locked, found, 0)? {
            found
        } else {
            elsewhere = self.make_room(locked, key, 0)?;
            &elsewhere
        };
        let at = self.next_place(locked)?;
        let before = locked.root(STATE);
        let (used, len) = (used_of(before), len_of(before));
        let mut change = locked.change();
        let word = value.place(&mut change)?;
        let entry = new_entry(&mut change, key, found.hash, used, word)?;
        change.prepare(at, entry)?;
        if found.word == 0 {
            count_slot(locked, found.segment)?;
        }
        change.put_seen(found.slot, found.word_of(entry))?;
        change.put_root(STATE, state(used + 1, len + 1))?;
        change.commit(false)
    }

    /// Takes a key out. `place`: its place, if it is known to be the first or the last.
    #[inline(always)]
    pub(super) fn remove(
        &self,
        locked: &Locked<'_>,
        found: &Found,
        place: Option<(u64, End)>,
    ) -> Result<(), ContainerError> {
        locked.make_room_in_limbo()?;
        let entry = found.entry();
        let value = Word(locked.load(entry.wrapping_add(VALUE_AT))?);
        let (mut used, len) = (used_of(locked.root(STATE)), len_of(locked.root(STATE)));
        let (place, end) = match place {
            Some((place, end)) => (place, Some(end)),
            None => (self.place_of(locked, entry)?, None),
        };
        let mask = (1u64 << found.log) - 1;
        let index = found.slot.wrapping_sub(found.segment) / 8;
        let next = locked.load(
            found
                .segment
                .wrapping_add(8 * (index.wrapping_add(1) & mask)),
        )?;
        let mut change = locked.change();
        change.put_seen(found.slot, if next == 0 { 0 } else { DELETED })?;
        change.put(self.place_at(locked, place)?, 0)?;
        if len == 1 {
            used = 0;
        } else if end == Some(End::Last) || place + 1 == used {
            used = place;
        }
        change.put_root(STATE, state(used, len.wrapping_sub(1)))?;
        if locked.root(FIRST) > used {
            change.put_root(FIRST, used)?;
        }
        change.retire(entry)?;
        if let Some(blob) = value.as_blob() {
            change.retire(blob)?;
        }
        change.drops(value)?;
        change.commit(false)?;
        if end == Some(End::First) && used > place {
            locked.prepare(self.heap.head + FIRST, place + 1)?;
        }
        if next == 0 {
            uncount_slot(locked, found.segment)?;
        }
        let slots = Root(locked.root(INDEX)).slots();
        if slots > FEW_SLOTS && len.saturating_mul(THIN) < slots {
            // Without memory for it the dict stays as large as it is.
            let _ = self.shrink(locked);
        }
        locked.after_retiring();
        Ok(())
    }
}
