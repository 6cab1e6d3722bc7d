//! Setting many keys in one step.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};

use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::look::Look;
use super::super::number_map::NumberMap;
use super::super::value::{Incoming, Outside, Word};
use super::entry::{Item, new_entry};
use super::hash::Key;
use super::index::{DELETED, Found, after, count_slot, room};
use super::order::PER;
use super::whole::Keep;
use super::{RawDict, STATE, VALUE_AT, len_of, state, used_of};

/// Keys that are set in one step in a dict of any size.
const BATCH: usize = if cfg!(test) { 8 } else { 1024 };
/// More keys are set in one step, in a dict that is made anew for it, if it has at most so many times as many.
const LARGER: u64 = if cfg!(test) { 2 } else { 4 };
/// Words of a change for each key, and for all: rows of classes, runs, chunks.
const WORDS: u64 = 16;

impl RawDict {
    /// Sets many keys: one step for up to 1,024 of them, and for any number if the dict has at most four times as many.
    /// Else others may see some before the last, and if this process is killed, or has no memory, some may be all that is
    /// set. If a key comes twice, its first form and its last value count.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    pub fn update(&self, items: &[(Key<'_>, Incoming<'_>)]) -> Result<(), ContainerError> {
        let outside = Outside::of_all(&self.heap, items)?;
        let items = &*Outside::or_all(&outside, items);
        self.update_locked(&self.heap.lock()?, items)
    }

    /// Replaces all keys, in one step.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    pub fn replace(&self, items: &[(Key<'_>, Incoming<'_>)]) -> Result<(), ContainerError> {
        let outside = Outside::of_all(&self.heap, items)?;
        let items = &*Outside::or_all(&outside, items);
        let locked = self.heap.lock()?;
        if len_of(locked.root(STATE)) == 0 {
            return self.update_locked(&locked, items);
        }
        self.rebuild_with(&locked, Keep::None, &once(items))
    }

    pub(super) fn update_locked(
        &self,
        locked: &Locked<'_>,
        items: &[(Key<'_>, Incoming<'_>)],
    ) -> Result<(), ContainerError> {
        self.update_different(locked, &once(items))
    }

    /// The same for keys that are all different.
    fn update_different(
        &self,
        locked: &Locked<'_>,
        items: &[Item<'_, '_>],
    ) -> Result<(), ContainerError> {
        if items.len() > BATCH
            && let Some(words) = self.only_words(locked, items)?
        {
            return replace_words(locked, &words);
        }
        self.update_mixed(locked, items)
    }

    /// The same where some keys are new, or some values are no words.
    pub(super) fn update_mixed(
        &self,
        locked: &Locked<'_>,
        items: &[Item<'_, '_>],
    ) -> Result<(), ContainerError> {
        let count = items.len() as u64;
        if items.len() > BATCH && len_of(locked.root(STATE)) <= LARGER.saturating_mul(count) {
            return self.rebuild_with(locked, Keep::All, items);
        }
        for batch in items.chunks(BATCH) {
            self.update_at_once(locked, batch)?;
        }
        Ok(())
    }

    /// Where the values are and what they become, if all keys are there and nothing but words is replaced by words: a record
    /// of these is small beside the dict.
    fn only_words(
        &self,
        locked: &Locked<'_>,
        items: &[Item<'_, '_>],
    ) -> Result<Option<Vec<(u64, Word)>>, ContainerError> {
        let mut words = Vec::new();
        for (key, value) in items {
            let found = self.find_locked(locked, key)?;
            let (true, Incoming::Word(word)) = (found.is_key(), value) else {
                return Ok(None);
            };
            let at = found.entry().wrapping_add(VALUE_AT);
            if Word(locked.load(at)?).immediate().is_none() {
                return Ok(None);
            }
            words.push((at, *word));
        }
        Ok(Some(words))
    }

    /// Sets keys that are all different.
    fn update_at_once(
        &self,
        locked: &Locked<'_>,
        items: &[Item<'_, '_>],
    ) -> Result<(), ContainerError> {
        if items.is_empty() {
            return Ok(());
        }
        // Room for them changes where others are, so it comes first.
        while !self.make_room_for(locked, items)? {}
        self.make_places(locked, items.len() as u64)?;
        let before = locked.root(STATE);
        let (mut used, mut len) = (used_of(before), len_of(before));
        let mut change = locked.long_change(WORDS * (items.len() as u64 + 32))?;
        let mut old = Vec::new();
        let (mut taken, mut counted) = (HashSet::new(), Vec::new());
        for (key, value) in items {
            let found = self.find_locked(locked, key)?;
            let word = value.place(&mut change)?;
            if found.is_key() {
                let at = found.entry().wrapping_add(VALUE_AT);
                old.push(Word(locked.load(at)?));
                change.put(at, word.0)?;
                continue;
            }
            let found = free_slot(locked, &found, &mut taken)?;
            let entry = new_entry(&mut change, key, found.hash, used, word)?;
            change.prepare(self.place_at(locked, used)?, entry)?;
            if found.word == 0 {
                counted.push(found.segment);
            }
            change.put(found.slot, found.word_of(entry))?;
            (used, len) = (used + 1, len + 1);
        }
        for word in old {
            if let Some(blob) = word.as_blob() {
                change.free(blob)?;
            }
            change.drops(word)?;
        }
        change.put_root(STATE, state(used, len))?;
        // Last, since nobody takes it back: what fails counts nothing.
        for segment in counted {
            count_slot(locked, segment)?;
        }
        // Whoever copies many keys sees all of them or none.
        change.commit(true)?;
        locked.give_back_idle();
        Ok(())
    }

    /// Makes room for keys in their segments. `false`: segments have changed, so it has to be looked again.
    fn make_room_for(
        &self,
        locked: &Locked<'_>,
        items: &[Item<'_, '_>],
    ) -> Result<bool, ContainerError> {
        let mut wanted: HashMap<u64, u64> = HashMap::new();
        for (key, _) in items {
            let found = self.find_locked(locked, key)?;
            if found.is_key() {
                continue;
            }
            let more = wanted.entry(found.segment).or_insert(0);
            if !room(locked, &found, *more)? {
                self.make_room(locked, key, *more)?;
                return Ok(false);
            }
            *more += 1;
        }
        Ok(true)
    }

    /// Makes pages for so many places more.
    fn make_places(&self, locked: &Locked<'_>, count: u64) -> Result<(), ContainerError> {
        self.next_place(locked)?;
        let used = used_of(locked.root(STATE));
        for page in used / PER..=(used + count) / PER {
            self.make_page(locked, page)?;
        }
        Ok(())
    }
}

/// Replaces words of values, all in one step.
pub(super) fn replace_words(
    locked: &Locked<'_>,
    words: &[(u64, Word)],
) -> Result<(), ContainerError> {
    let mut change = locked.long_change(words.len() as u64)?;
    for (at, word) in words {
        change.put(*at, word.0)?;
    }
    // As in `update_at_once`.
    change.commit(true)
}

/// The items with each key once.
pub(super) fn once<'i, 'a>(items: &'i [(Key<'a>, Incoming<'a>)]) -> Vec<Item<'i, 'a>> {
    let mut result: Vec<Item<'_, '_>> = Vec::with_capacity(items.len());
    let mut seen = Seen::of(items.len());
    for (key, value) in items {
        match seen.place(key, |place| result.get(place).map(|item| item.0)) {
            Some(place) => {
                if let Some(other) = result.get_mut(place) {
                    other.1 = value;
                }
            }
            None => result.push((key, value)),
        }
    }
    result
}

/// Keys that have been met, by their hashes, or by a number after it where others are.
pub(super) struct Seen {
    places: NumberMap<usize>,
    count: usize,
}

impl Seen {
    /// None yet, with room for so many.
    pub(super) fn of(count: usize) -> Self {
        let mut places = NumberMap::default();
        places.reserve(count);
        Self { places, count: 0 }
    }

    /// Where a key has been met before; if it has not been, it gets the next place. `key_at` gives the key of a place.
    pub(super) fn place<'k, 'a: 'k>(
        &mut self,
        key: &Key<'_>,
        key_at: impl Fn(usize) -> Option<&'k Key<'a>>,
    ) -> Option<usize> {
        let mut number = key.hash;
        while let Some(place) = self.places.get(&number) {
            if key_at(*place).is_some_and(|other| other.canonical == key.canonical) {
                return Some(*place);
            }
            number = number.wrapping_add(1);
        }
        self.places.insert(number, self.count);
        self.count += 1;
        None
    }
}

/// A slot for a key that is not there, which no other key of this change takes.
fn free_slot(
    locked: &Locked<'_>,
    found: &Found,
    taken: &mut HashSet<u64>,
) -> Result<Found, ContainerError> {
    let mut free = *found;
    for _ in 0..1u64 << found.log {
        if free.word <= DELETED && taken.insert(free.slot) {
            return Ok(free);
        }
        free = super::super::look::found(locked.heap, after(&Look::locked(locked.heap), &free))?;
    }
    Err(locked
        .heap
        .corrupt(found.segment, "a segment with fewer slots than it counts")
        .into())
}
