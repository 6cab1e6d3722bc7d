//! A dict's invariants.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::layout::Header;
use super::super::lock::Locked;
use super::super::value::{DIRECTORY, ENTRY, PAGE_OF_WORDS, SEGMENT};
use super::super::verify::Census;
use super::hash::Key;
use super::index::{Root, counted, is_entry, segments};
use super::order::Directory;
use super::{FIRST, INDEX, ORDER, PLACE_AT, RawDict, STATE, VALUE_AT, len_of, used_of};

impl RawDict {
    /// Checks every invariant of the dict and its heap, under the lock.
    ///
    /// # Errors
    /// [`ContainerError::Corrupt`] with the place and the broken invariant.
    pub fn verify(&self) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        locked.verify(|census| self.reach(&locked, census))
    }

    /// What to say of a key or a value that means nothing.
    #[cold]
    pub(super) fn no_value(&self) -> ContainerError {
        self.corrupt(0, "a key or a value that is none")
    }

    /// Reports the blocks that the dict is made of.
    fn reach(&self, locked: &Locked<'_>, census: &mut Census<'_>) -> Result<(), ContainerError> {
        let root = Root(locked.root(INDEX));
        let mut reach = |at: u64, kind, words: u64| {
            let header = census.reach(at.wrapping_sub(8), kind)?;
            if header.len() < 8 * words {
                let what = "a block that is shorter than what should be in it";
                return Err(ContainerError::from(locked.heap.corrupt(at, what)));
            }
            Ok(())
        };
        if root.depth() > 0 {
            root.check(locked)?;
            reach(root.offset(), DIRECTORY, 1 << root.depth())?;
        }
        let mut slots = 0;
        for (segment, log) in segments(locked, root)? {
            reach(segment, SEGMENT, 1 << log)?;
            slots += self.check_segment(locked, segment, log)?;
        }
        let order = Directory(locked.root(ORDER));
        if order.offset() != 0 {
            reach(order.offset(), DIRECTORY, order.entries())?;
        }
        for page in 0..order.entries() {
            let page = locked.load(order.entry_at(page))?;
            if page != 0 {
                census.reach(page.wrapping_sub(8), PAGE_OF_WORDS)?;
            }
        }
        let state = locked.root(STATE);
        if slots != len_of(state) || locked.root(FIRST) > used_of(state) {
            return Err(self.corrupt(STATE, "a length that is not the number of keys"));
        }
        for place in 0..locked.root(FIRST) {
            if locked.load(self.place_at(locked, place)?)? != 0 {
                return Err(self.corrupt(FIRST, "a key in front of the first"));
            }
        }
        self.each(locked, |entry| {
            let kind = Header(locked.load(entry)?).kind();
            if kind < ENTRY {
                return Err(locked.heap.corrupt(entry, "a way to no entry").into());
            }
            census.reach(entry, kind)?;
            census.value(locked.load(entry.wrapping_add(VALUE_AT))?)?;
            self.check_entry(locked, entry)
        })
    }

    /// Whether the entry's key leads to it.
    fn check_entry(&self, locked: &Locked<'_>, entry: u64) -> Result<(), ContainerError> {
        let found = self.with_canonical(locked, entry, |key| {
            self.find_locked(locked, &Key::new(self.secret, key, None))
        })??;
        let half = locked.load(entry.wrapping_add(PLACE_AT))? >> 32;
        if found.entry() != entry || found.hash & 0xffff_ffff != half {
            return Err(locked
                .heap
                .corrupt(entry, "an entry that its key does not lead to")
                .into());
        }
        Ok(())
    }

    /// Counts the keys of a segment.
    fn check_segment(
        &self,
        locked: &Locked<'_>,
        segment: u64,
        log: u32,
    ) -> Result<u64, ContainerError> {
        let (mut keys, mut used) = (0, 0);
        for slot in 1..1u64 << log {
            let word = locked.load(segment.wrapping_add(8 * slot))?;
            keys += u64::from(is_entry(word));
            used += u64::from(word != 0);
        }
        if counted(locked, segment)? < used {
            return Err(locked
                .heap
                .corrupt(segment, "a segment with more keys than it counts")
                .into());
        }
        Ok(keys)
    }
}
