//! What takes nanoseconds: one key.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::look::{Look, PointLook, Retry, found};
use super::super::value::{Incoming, Outside, Sink, Word, read_value};
use super::entry::{Made, new_entry};
use super::hash::Key;
use super::index::{Found, count_slot, find, room};
use super::{PLACE_AT, RawDict, STATE, VALUE_AT, len_of, state, used_of};

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
        let Some(look) = self.heap.point_look() else {
            return self.get_again(key, sink);
        };
        match self.word_of(&look, key) {
            Ok(Some(word)) if !word.leads() => Ok(Some(sink.word(word))),
            Ok(Some(word)) => self.get_led(key, look.point(), word, sink),
            Ok(None) => Ok(None),
            Err(Retry) => self.get_again(key, sink),
        }
    }

    /// The word of a key's value, as it was at some time since the look began; `None` if there is no such key.
    #[inline(always)]
    fn word_of(&self, look: &Look<'_>, key: &Key<'_>) -> Result<Option<Word>, Retry> {
        let found = find::<false>(look, self.secret, key)?;
        if !found.is_key() {
            look.check()?;
            return Ok(None);
        }
        let word = look.load(found.entry().wrapping_add(VALUE_AT))?;
        look.check()?;
        Ok(Some(Word(word)))
    }

    /// The same as [`RawDict::get`] of a value that leads elsewhere.
    #[inline(never)]
    fn get_led<S: Sink>(
        &self,
        key: &Key<'_>,
        look: PointLook,
        word: Word,
        sink: &S,
    ) -> Result<Option<Made<S>>, ContainerError> {
        match read_value(&look.of(&self.heap), word.0, sink) {
            Ok(made) => Ok(Some(made)),
            Err(Retry) => self.get_again(key, sink),
        }
    }

    /// The same for a reader that was disturbed.
    #[cold]
    #[inline(never)]
    fn get_again<S: Sink>(
        &self,
        key: &Key<'_>,
        sink: &S,
    ) -> Result<Option<Made<S>>, ContainerError> {
        self.heap.read_again(&mut |look| {
            let Some(word) = self.word_of(look, key)? else {
                return Ok(None);
            };
            read_value(look, word.0, sink).map(Some)
        })
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
    pub(super) fn value_of<S: Sink>(
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
}
