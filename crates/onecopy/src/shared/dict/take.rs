//! Taking keys out: one by its name, or the first or the last.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::look::{Look, found};
use super::super::value::{Sink, Word};
use super::entry::{Made, read_key};
use super::hash::Key;
use super::index::{DELETED, Found, Root, uncount_slot};
use super::{FIRST, INDEX, RawDict, STATE, VALUE_AT, len_of, state, used_of};

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
