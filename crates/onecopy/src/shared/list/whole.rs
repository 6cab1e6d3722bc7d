//! What touches all of a list: clear, replace, reverse, and making it anew in less memory.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::generation::Generation;
use super::super::layout::{CLASSES, Header};
use super::super::lock::Locked;
use super::super::look::Moment;
use super::super::value::{DIRECTORY, Incoming, Kind, Outside, PAGE_OF_WORDS, Word};
use super::place::{State, entry_of, slot};
use super::{LEN, PAGE_BYTES, PEAK, PER, RawList};

/// The most words that are written over in place rather than in new pages.
const MOST_IN_PLACE: u64 = 1 << 14;
/// Elements up to which replacing all of them is done in place.
const SMALL: u64 = 1 << 9;
/// What a value that leads elsewhere takes, about, until it is known.
const GUESS: u64 = 16;

/// An element of a list that is made anew.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// One that it has, by its index.
    Old(u64),
    /// A new one.
    New(&'a Incoming<'a>),
}

impl RawList {
    /// Takes all elements out.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn clear(&self) -> Result<(), ContainerError> {
        self.clear_locked(&self.heap.lock()?)
    }

    pub(super) fn clear_locked(&self, locked: &Locked<'_>) -> Result<(), ContainerError> {
        let state = State::load(locked)?;
        if Self::is_large(locked)? {
            return self.renew(locked, &state, std::iter::empty(), 0);
        }
        if Self::leads_elsewhere(locked, &state)? {
            return self.splice(locked, 0..state.len, &[]);
        }
        // All of it ends with its length, as one element does that is popped.
        locked.set_root(LEN, 0);
        self.trim(locked);
        Ok(())
    }

    /// Whether some element leads elsewhere: then its blob or reference goes with it.
    fn leads_elsewhere(locked: &Locked<'_>, state: &State) -> Result<bool, ContainerError> {
        let mut position = state.base;
        while position < state.end() {
            let entry = state.entry(locked, position / PER)?;
            // A page is a circle, of which this is the part up to its end.
            let place = (entry >> 48).wrapping_add(position) % PER;
            let count = (state.end() - position)
                .min(PER - position % PER)
                .min(PER - place);
            let leads = |word| Word(word).leads();
            let found = locked.heap.words.any(slot(entry, position), count, leads);
            match found {
                Some(false) => position += count,
                Some(true) => return Ok(true),
                None => return Err(locked.heap.corrupt(entry, "a page beyond the store").into()),
            }
        }
        Ok(false)
    }

    /// Replaces all elements.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn replace(&self, values: &[Incoming<'_>]) -> Result<(), ContainerError> {
        let outside = Outside::of_all(&self.heap, values)?;
        let values = &*Outside::or_all(&outside, values);
        self.replace_locked(&self.heap.lock()?, values)
    }

    /// Replaces all elements if nothing has changed since `moment`; `false` if something has.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn replace_if(
        &self,
        moment: Moment,
        values: &[Incoming<'_>],
    ) -> Result<bool, ContainerError> {
        let outside = Outside::of_all(&self.heap, values)?;
        let values = &*Outside::or_all(&outside, values);
        let locked = self.heap.lock()?;
        if !self.heap.is_now(moment) {
            return Ok(false);
        }
        self.replace_locked(&locked, values)?;
        Ok(true)
    }

    fn replace_locked(
        &self,
        locked: &Locked<'_>,
        values: &[Incoming<'_>],
    ) -> Result<(), ContainerError> {
        let state = State::load(locked)?;
        let len = values.len() as u64;
        if state.len == 0 && Self::is_one_step(values) {
            return self.extend_locked(locked, values);
        }
        if state.len <= SMALL && len <= SMALL {
            return self.splice(locked, 0..state.len, values);
        }
        self.renew(locked, &state, values.iter().map(Source::New), len)
    }

    /// Turns the order of the elements round.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn reverse(&self) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        let state = State::load(&locked)?;
        let indices = (0..state.len).rev();
        if state.len <= MOST_IN_PLACE {
            return self.reorder(&locked, &state, 0, indices, 0);
        }
        self.renew(&locked, &state, indices.map(Source::Old), state.len)
    }

    /// Takes elements out: `step` apart, `count` of them, the first at `start`.
    pub(super) fn delete_stepped(
        &self,
        locked: &Locked<'_>,
        start: u64,
        step: u64,
        count: u64,
    ) -> Result<(), ContainerError> {
        let state = State::load(locked)?;
        let last = start + (count - 1) * step;
        let goes = move |index: u64| {
            index >= start && index <= last && (index - start).is_multiple_of(step)
        };
        if state.len - start > MOST_IN_PLACE {
            let kept = (0..state.len)
                .filter(|index| !goes(*index))
                .map(Source::Old);
            return self.renew(locked, &state, kept, state.len - count);
        }
        let kept = (start..state.len).filter(|index| !goes(*index));
        let gone = (start..state.len).filter(|index| goes(*index));
        self.reorder(locked, &state, start, kept.chain(gone), count)
    }

    /// Puts the elements from `start` on into another order, and takes the last `gone` of it out.
    fn reorder(
        &self,
        locked: &Locked<'_>,
        state: &State,
        start: u64,
        order: impl Iterator<Item = u64>,
        gone: u64,
    ) -> Result<(), ContainerError> {
        let len = state.len - gone;
        let mut change = locked.long_change(state.len - start + gone.min(CLASSES) + 1)?;
        for (index, from) in (start..state.len).zip(order) {
            let word = state.word(locked, from)?;
            if index >= len {
                if let Some(blob) = Word(word).as_blob() {
                    change.free(blob)?;
                }
                change.drops(Word(word))?;
                continue;
            }
            let position = state.base + index;
            let entry = state.entry(locked, position / PER)?;
            change.put(slot(entry, position), word)?;
        }
        change.put_root(LEN, len)?;
        change.commit(true)?;
        if gone > 0 {
            self.trim(locked);
        }
        Ok(())
    }

    /// Makes the list anew as it is, in as little memory as it needs.
    pub(super) fn compact(&self, locked: &Locked<'_>, state: &State) -> Result<(), ContainerError> {
        self.renew(locked, state, (0..state.len).map(Source::Old), state.len)
    }

    /// Makes the list anew, of `len` elements.
    pub(super) fn renew<'v>(
        &self,
        locked: &Locked<'_>,
        state: &State,
        elements: impl Iterator<Item = Source<'v>>,
        len: u64,
    ) -> Result<(), ContainerError> {
        let built = Builder::new(locked, len).and_then(|mut builder| {
            for element in elements {
                let word = match element {
                    Source::Old(index) => builder.move_over(locked, state.word(locked, index)?)?,
                    Source::New(value) => builder.generation.place(value)?,
                };
                builder.push(word)?;
            }
            builder.finish()
        });
        if built.is_err() {
            // Nothing leads to it.
            let _ = self.heap.give_back_old_chunks();
            let _ = self.heap.settle_references();
        }
        built
    }
}

/// A list that is being built in a generation of its own.
struct Builder<'a> {
    generation: Generation<'a>,
    directory: u64,
    entries: u64,
    page: u64,
    len: u64,
}

impl<'a> Builder<'a> {
    fn new(locked: &'a Locked<'a>, len: u64) -> Result<Self, ContainerError> {
        let pages = len.div_ceil(PER);
        let entries = pages + pages / 8 + 16;
        let bytes = pages
            .saturating_mul(PAGE_BYTES + GUESS)
            .saturating_add(8 * entries);
        let mut generation = locked.begin_generation(bytes)?;
        let directory = generation.allocate(DIRECTORY, 8 * entries)? + 8;
        Ok(Self {
            generation,
            directory,
            entries,
            page: 0,
            len: 0,
        })
    }

    fn push(&mut self, word: Word) -> Result<(), ContainerError> {
        if self.len.is_multiple_of(PER) {
            self.page = self.generation.allocate(PAGE_OF_WORDS, PAGE_BYTES)? + 8;
            let entry = self.directory + self.len / PER * 8;
            self.generation.set(entry, entry_of(self.page, 0))?;
        }
        self.generation
            .set(self.page + self.len % PER * 8, word.0)?;
        self.len += 1;
        Ok(())
    }

    /// The word of a value that is in the old generation.
    fn move_over(&mut self, locked: &Locked<'_>, word: u64) -> Result<Word, ContainerError> {
        let Some(old) = Word(word).as_blob() else {
            return Ok(Word(word));
        };
        let header = Header(locked.load(old)?);
        let words = header.len().div_ceil(8);
        if Kind::of(header.kind()).is_none() || old.checked_add(8 * words).is_none() {
            return Err(locked
                .heap
                .corrupt(old, "an element that leads to no value")
                .into());
        }
        // All of it is the container's, so the length is no dream.
        locked.heap.own_all(old, 8 * words + 8)?;
        let new = self.generation.allocate(header.kind(), header.len())?;
        for word in 1..=words {
            self.generation
                .set(new + 8 * word, locked.load(old + 8 * word)?)?;
        }
        Ok(Word::of_blob(new))
    }

    fn finish(self) -> Result<(), ContainerError> {
        let pages = self.len.div_ceil(PER);
        let state = State {
            directory: self.directory,
            len: self.len,
            base: 0,
            cap: pages * PER,
            entries: self.entries,
            floor: 0,
        };
        self.generation.commit(|change| {
            state.put(change)?;
            change.put_root(PEAK, pages)
        })
    }
}
