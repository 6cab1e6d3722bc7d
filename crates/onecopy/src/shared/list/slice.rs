//! Python's slices: resolved under the lock, since they depend on the length.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::layout::CLASSES;
use super::super::lock::Locked;
use super::super::look::found;
use super::super::look::{Look, Moment};
use super::super::snapshot::Snapshot;
use super::super::value::{Incoming, Outside, Word};
use super::place::{State, normal};
use super::read::fill;
use super::splice::MOST_WRITES;
use super::whole::Source;
use super::{PER, RawList};

/// The longest list of writes for the elements of a slice with a step, unless the list is large: 1 MiB.
const MOST_STEPPED: u64 = 1 << 16;

/// `start:stop:step`, as Python means it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The first index; `None` for the end that `step` comes from.
    pub start: Option<i64>,
    /// The index that is not reached; `None` for the end that `step` leads to.
    pub stop: Option<i64>,
    /// Not 0.
    pub step: i64,
}

/// The elements that a slice means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meant {
    pub(super) start: u64,
    pub(super) count: u64,
    step: i64,
}

impl Meant {
    pub(super) fn indices(self) -> impl DoubleEndedIterator<Item = u64> {
        (0..self.count).map(move |nth| {
            self.start
                .wrapping_add_signed(self.step.wrapping_mul(nth as i64))
        })
    }

    /// Which of them the one with this index is.
    fn nth_of(self, index: u64) -> Option<usize> {
        let apart = self.step.unsigned_abs().max(1);
        let from_first = if self.step < 0 {
            self.start.checked_sub(index)
        } else {
            index.checked_sub(self.start)
        }?;
        let nth = from_first / apart;
        (from_first.is_multiple_of(apart) && nth < self.count).then_some(nth as usize)
    }

    /// The same elements from the first to the last: where they begin, and how far they are apart.
    fn forwards(self) -> (u64, u64) {
        let last = self.indices().next_back().unwrap_or(self.start);
        (self.start.min(last), self.step.unsigned_abs())
    }
}

impl Slice {
    /// `start:stop`.
    #[must_use]
    pub fn range(start: Option<i64>, stop: Option<i64>) -> Self {
        Self {
            start,
            stop,
            step: 1,
        }
    }

    /// Which elements of a list these are.
    pub(super) fn of(self, len: u64) -> Meant {
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let (lowest, highest) = if self.step < 0 {
            (-1, len - 1)
        } else {
            (0, len)
        };
        let clamp = |index: i64| {
            let index = if index < 0 {
                index.saturating_add(len)
            } else {
                index
            };
            index.clamp(lowest, highest)
        };
        let (first, last) = if self.step < 0 {
            (highest, lowest)
        } else {
            (lowest, highest)
        };
        let start = self.start.map_or(first, clamp);
        let stop = self.stop.map_or(last, clamp);
        let distance = if self.step < 0 {
            start - stop
        } else {
            stop - start
        };
        let count = if distance <= 0 {
            0
        } else {
            (distance as u64 - 1) / self.step.unsigned_abs().max(1) + 1
        };
        Meant {
            start: start.max(0) as u64,
            count,
            step: self.step,
        }
    }
}

impl RawList {
    /// The elements of a slice, of one moment.
    ///
    /// # Errors
    /// As in [`RawList::len`].
    pub fn slice(&self, slice: Slice) -> Result<Snapshot, ContainerError> {
        self.read_many(|len| {
            let meant = slice.of(len);
            (meant.start, meant.count, meant.step)
        })
    }

    /// Replaces the elements of a slice. If its step is not 1 it takes as many as it has; otherwise nothing happens, and
    /// the result says how many these are.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn set_slice(
        &self,
        slice: Slice,
        values: &[Incoming<'_>],
    ) -> Result<Result<(), u64>, ContainerError> {
        let outside = Outside::of_all(&self.heap, values)?;
        let values = &*Outside::or_all(&outside, values);
        let locked = self.heap.lock()?;
        let state = State::load(&locked)?;
        let meant = slice.of(state.len);
        if slice.step == 1 {
            self.splice(&locked, meant.start..meant.start + meant.count, values)?;
            return Ok(Ok(()));
        }
        if meant.count != values.len() as u64 {
            return Ok(Err(meant.count));
        }
        let places = values
            .iter()
            .filter(|value| matches!(value, Incoming::Blob(..)))
            .count() as u64;
        let writes = 2 * meant.count + 3 * places + 4 * meant.count.min(CLASSES);
        // The record stays for the next change: it is small, or small beside the elements.
        if writes > MOST_STEPPED.max(state.len / 8).min(MOST_WRITES) {
            let elements = (0..state.len).map(|index| {
                let new = meant.nth_of(index).and_then(|nth| values.get(nth));
                new.map_or(Source::Old(index), Source::New)
            });
            self.renew(&locked, &state, elements, state.len)?;
            return Ok(Ok(()));
        }
        let mut change = locked.long_change(writes)?;
        let mut old = Vec::new();
        for (index, value) in meant.indices().zip(values) {
            let position = state.base + index;
            let at = super::place::slot(state.entry(&locked, position / PER)?, position);
            old.push(Word(locked.load(at)?));
            let word = value.place(&mut change)?;
            change.put(at, word.0)?;
        }
        for word in old {
            if let Some(blob) = word.as_blob() {
                change.free(blob)?;
            }
            change.drops(word)?;
        }
        change.commit(true)?;
        Ok(Ok(()))
    }

    /// Takes the elements of a slice out.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn delete_slice(&self, slice: Slice) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        let state = State::load(&locked)?;
        let meant = slice.of(state.len);
        if meant.count == 0 {
            return Ok(());
        }
        let (start, step) = meant.forwards();
        if step == 1 {
            return self.splice(&locked, start..start + meant.count, &[]);
        }
        self.delete_stepped(&locked, start, step, meant.count)
    }

    /// Takes an element out; `false` if there is none with this index.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn delete(&self, index: i64) -> Result<bool, ContainerError> {
        let locked = self.heap.lock()?;
        self.delete_locked(&locked, index)
    }

    /// Takes an element out if nothing has changed since `moment`; `false` if something has.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn delete_if(&self, moment: Moment, index: i64) -> Result<bool, ContainerError> {
        let locked = self.heap.lock()?;
        Ok(self.heap.is_now(moment) && self.delete_locked(&locked, index)?)
    }

    fn delete_locked(&self, locked: &Locked<'_>, index: i64) -> Result<bool, ContainerError> {
        let state = State::load(locked)?;
        let Some(index) = normal(index, state.len) else {
            return Ok(false);
        };
        self.splice(locked, index..index + 1, &[])?;
        Ok(true)
    }

    /// Inserts an element before the one at `index`, or at the end that is nearer if there is none.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn insert(&self, index: i64, value: &Incoming<'_>) -> Result<(), ContainerError> {
        let outside = Outside::of(&self.heap, value)?;
        let value = outside.or(value);
        let locked = self.heap.lock()?;
        let state = State::load(&locked)?;
        let start = Slice::range(Some(index), None).of(state.len).start;
        if start == state.len {
            return self.append_locked(&locked, &value);
        }
        self.splice(&locked, start..start, &[value])
    }

    /// Takes all elements out and returns them.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn take_all(&self) -> Result<Snapshot, ContainerError> {
        let locked = self.heap.lock()?;
        let state = State::load(&locked)?;
        let mut chunk = Snapshot::default();
        let look = Look::locked(&self.heap);
        found(&self.heap, fill(&mut chunk, &look, 0, state.len, 1))?;
        chunk.check()?;
        self.clear_locked(&locked)?;
        Ok(chunk)
    }
}
