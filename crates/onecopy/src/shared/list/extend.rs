//! Adding many elements at the end.
#![forbid(unsafe_code)]

use super::super::change::Change;
use super::super::error::ContainerError;
use super::super::layout::{CLASSES, RECORD_WRITES};
use super::super::lock::Locked;
use super::super::value::{Incoming, Outside};
use super::place::{State, slot};
use super::{LEN, PER, RawList};

/// Values that need blocks which one change adds: a record of 1 MiB.
const MOST_BLOBS: u64 = 1 << 14;
/// Elements that one change takes back.
const TAKEN_BACK_AT_ONCE: u64 = 1 << 12;

impl RawList {
    /// Adds elements at the end: in one step as long as at most 16,384 of them are blobs; of more, others may see some
    /// before the last.
    ///
    /// # Errors
    /// As in [`RawList::set`].
    pub fn extend(&self, values: &[Incoming<'_>]) -> Result<(), ContainerError> {
        let outside = Outside::of_all(&self.heap, values)?;
        let values = &*Outside::or_all(&outside, values);
        self.extend_locked(&self.heap.lock()?, values)
    }

    /// Whether so many values are added in one step.
    pub(super) fn is_one_step(values: &[Incoming<'_>]) -> bool {
        first_step(values).0 == values.len()
    }

    pub(super) fn extend_locked(
        &self,
        locked: &Locked<'_>,
        values: &[Incoming<'_>],
    ) -> Result<(), ContainerError> {
        Self::reserve_back(locked, values.len() as u64)?;
        let before = State::load(locked)?.len;
        let mut rest = values;
        while !rest.is_empty() {
            let (step, blobs) = first_step(rest);
            let (now, later) = rest.split_at_checked(step).unwrap_or((rest, &[]));
            if let Err(error) = Self::extend_once(locked, now, blobs) {
                // Behind the end are words that will never be elements; readers of elements that were popped just now may
                // be there, and would take them for what is appended next.
                locked.change().commit(true)?;
                self.take_back(locked, before);
                return Err(error);
            }
            rest = later;
        }
        Ok(())
    }

    fn extend_once(
        locked: &Locked<'_>,
        values: &[Incoming<'_>],
        blobs: u64,
    ) -> Result<(), ContainerError> {
        let state = State::load(locked)?;
        // A block that is taken writes up to seven words; in a long list most are shared.
        let change = if 7 * blobs < RECORD_WRITES {
            locked.change()
        } else {
            locked.long_change(3 * blobs + 3 * blobs.min(CLASSES))?
        };
        Self::fill(locked, change, &state, values)
    }

    fn fill(
        locked: &Locked<'_>,
        mut change: Change<'_>,
        state: &State,
        values: &[Incoming<'_>],
    ) -> Result<(), ContainerError> {
        let mut entry = 0;
        for (position, value) in (state.end()..).zip(values) {
            if entry == 0 || position.is_multiple_of(PER) {
                entry = state.entry(locked, position / PER)?;
            }
            let word = value.place(&mut change)?;
            change.prepare(slot(entry, position), word.0)?;
        }
        // Whoever sees the length sees the headers of all blobs.
        change.put_seen(locked.heap.head + LEN, state.len + values.len() as u64)?;
        change.commit(false)
    }

    /// Ends the list where it ended before. What cannot be taken back stays.
    #[cold]
    fn take_back(&self, locked: &Locked<'_>, before: u64) {
        while let Ok(state) = State::load(locked)
            && state.len > before
        {
            let start = state.len.saturating_sub(TAKEN_BACK_AT_ONCE).max(before);
            if self.splice(locked, start..state.len, &[]).is_err() {
                return;
            }
        }
    }
}

/// How many values the next change adds, and how many of these need blocks.
fn first_step(values: &[Incoming<'_>]) -> (usize, u64) {
    let mut blobs = 0;
    for (index, value) in values.iter().enumerate() {
        if matches!(value, Incoming::Blob(..)) {
            if blobs == MOST_BLOBS {
                return (index, blobs);
            }
            blobs += 1;
        }
    }
    (values.len(), blobs)
}
