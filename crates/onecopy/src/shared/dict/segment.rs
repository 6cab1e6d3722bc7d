//! Room for keys: segments are made anew, doubled and split, and their directory grows.
//!
//! Each of these is a change of its own in front of the insertion that needs it. The fresh segments are filled before its
//! commit; the old one is freed by it.
#![forbid(unsafe_code)]

use super::super::change::Change;
use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::value::{DIRECTORY, SEGMENT};
use super::hash::Key;
use super::index::{
    DEEPEST, Found, LARGEST, LONG, NO_KEYS, ONE_KEY, Root, SMALLEST, counted, depth_of, entry_of,
    is_entry, most, room,
};
use super::{INDEX, LEN_MOST, OFFSET, PLACE_AT, RawDict, STATE, len_of};

impl RawDict {
    /// Where a new key goes: the place that was found, unless its segment is full.
    #[inline(always)]
    pub(super) fn room_for(
        &self,
        locked: &Locked<'_>,
        key: &Key<'_>,
        found: Found,
    ) -> Result<Found, ContainerError> {
        if room(locked, &found, 0)? {
            return Ok(found);
        }
        self.make_room(locked, key, 0)
    }

    /// Makes room for a key beside `more` others of its segment that are not there yet.
    #[cold]
    #[inline(never)]
    pub(super) fn make_room(
        &self,
        locked: &Locked<'_>,
        key: &Key<'_>,
        more: u64,
    ) -> Result<Found, ContainerError> {
        if len_of(locked.root(STATE)) >= LEN_MOST {
            return Err(ContainerError::Full {
                most: LEN_MOST,
                what: "keys",
            });
        }
        // Each turn halves a segment's keys or doubles its slots, unless keys were chosen for their hashes.
        loop {
            let found = self.find_locked(locked, key)?;
            let root = Root(locked.root(INDEX));
            if found.segment == 0 {
                self.first_segment(locked, root)?;
                continue;
            }
            let used = counted(locked, found.segment)?;
            let is_flooded =
                found.probes >= LONG && used <= (1 << found.log) / 4 && !root.is_slow();
            if is_flooded {
                self.rebuild(locked, true)?;
                continue;
            }
            if used.saturating_add(more) < most(found.log)
                && (found.probes < LONG || root.is_slow())
            {
                return Ok(found);
            }
            if !self.renew_segment(locked, root, &found, more)? {
                self.rebuild(locked, true)?;
            }
        }
    }

    fn first_segment(&self, locked: &Locked<'_>, root: Root) -> Result<(), ContainerError> {
        let mut change = locked.change();
        let at = change.allocate(SEGMENT, 8 << SMALLEST)? + 8;
        change.prepare(at, NO_KEYS)?;
        for slot in 1..1 << SMALLEST {
            change.prepare(at + 8 * slot, 0)?;
        }
        change.put_root(INDEX, Root::new(root.is_slow(), 0, SMALLEST, at).0)?;
        change.commit(false)
    }

    /// Makes a full segment anew: twice as large, as two, or without what was deleted. `false`: only chosen keys can fill
    /// one segment so much more than the others.
    fn renew_segment(
        &self,
        locked: &Locked<'_>,
        root: Root,
        full: &Found,
        more: u64,
    ) -> Result<bool, ContainerError> {
        root.check(locked)?;
        let keys = self.keys_of(locked, full.segment, full.log)?;
        let has_many_deleted = keys.len() as u64 + more < most(full.log) / 2 && full.probes < LONG;
        if root.depth() == 0 && (full.log < LARGEST || has_many_deleted) {
            let log = if has_many_deleted {
                full.log
            } else {
                full.log + 1
            };
            let mut change = locked.change();
            let at = new_segment(&mut change, log, keys.iter().copied())?;
            change.put_root(INDEX, Root::new(root.is_slow(), 0, log, at).0)?;
            change.free(full.segment.wrapping_sub(8))?;
            change.commit(true)?;
            return Ok(true);
        }
        let depth = if root.depth() == 0 {
            0
        } else {
            depth_of(locked.load(root.entry_at(full.hash))?)
        };
        if depth > root.depth() {
            let at = root.entry_at(full.hash);
            return Err(locked
                .heap
                .corrupt(at, "a segment that is deeper than its directory")
                .into());
        }
        if has_many_deleted {
            self.replace_segment(locked, root, full, depth, &keys)?;
            return Ok(true);
        }
        if depth >= root.depth() {
            let is_chosen = (root.slots() << 1) / 16 > len_of(locked.root(STATE)).max(1 << LARGEST);
            if root.depth() >= DEEPEST || is_chosen && !root.is_slow() {
                if root.is_slow() {
                    return Err(ContainerError::Full {
                        most: LEN_MOST,
                        what: "keys",
                    });
                }
                return Ok(false);
            }
            self.double_directory(locked, root, full)?;
        }
        let root = Root(locked.root(INDEX));
        self.split(locked, root, full, depth, &keys)?;
        Ok(true)
    }

    /// The keys of a segment: their slots' words and the lower halves of their hashes.
    fn keys_of(
        &self,
        locked: &Locked<'_>,
        segment: u64,
        log: u32,
    ) -> Result<Vec<(u64, u64)>, ContainerError> {
        let mut words = Vec::with_capacity(most(log) as usize + 1);
        for slot in 1..1u64 << log {
            let word = locked.load(segment.wrapping_add(8 * slot))?;
            if is_entry(word) {
                locked
                    .heap
                    .words
                    .prefetch((word & OFFSET).wrapping_add(PLACE_AT));
                words.push((word, 0));
            }
        }
        for key in &mut words {
            key.1 = locked.load((key.0 & OFFSET).wrapping_add(PLACE_AT))? >> 32;
        }
        Ok(words)
    }

    fn replace_segment(
        &self,
        locked: &Locked<'_>,
        root: Root,
        full: &Found,
        depth: u64,
        keys: &[(u64, u64)],
    ) -> Result<(), ContainerError> {
        let entries = 1u64 << (root.depth() - depth);
        let mut change = locked.long_change(entries + 32)?;
        let at = new_segment(&mut change, LARGEST, keys.iter().copied())?;
        let first = full.hash >> LARGEST & ((1 << depth) - 1);
        for nth in 0..entries {
            change.put(
                root.offset().wrapping_add(8 * (first + (nth << depth))),
                entry_of(depth, at),
            )?;
        }
        change.free(full.segment.wrapping_sub(8))?;
        change.commit(true)
    }

    fn split(
        &self,
        locked: &Locked<'_>,
        root: Root,
        full: &Found,
        depth: u64,
        keys: &[(u64, u64)],
    ) -> Result<(), ContainerError> {
        let bit = 1u64 << (u64::from(LARGEST) + depth);
        let entries = 1u64 << (root.depth() - depth);
        let mut change = locked.long_change(entries + 48)?;
        let halves = [0, bit].map(|side| {
            let keys = keys.iter().copied().filter(|key| key.1 & bit == side);
            new_segment(&mut change, LARGEST, keys)
        });
        let [low, high] = halves;
        let (low, high) = (low?, high?);
        let first = full.hash >> LARGEST & ((1 << depth) - 1);
        for nth in 0..entries {
            let at = if nth & 1 == 0 { low } else { high };
            let entry = root.offset().wrapping_add(8 * (first + (nth << depth)));
            change.put(entry, entry_of(depth + 1, at))?;
        }
        change.free(full.segment.wrapping_sub(8))?;
        change.commit(true)
    }

    /// A directory of twice as many entries, each twice.
    fn double_directory(
        &self,
        locked: &Locked<'_>,
        root: Root,
        full: &Found,
    ) -> Result<(), ContainerError> {
        let old = if root.depth() == 0 {
            0
        } else {
            1u64 << root.depth()
        };
        let depth = root.depth() + 1;
        let mut change = locked.change();
        let at = change.allocate(DIRECTORY, 8 << depth)? + 8;
        for nth in 0..1u64 << depth {
            let entry = match old {
                0 => full.segment,
                old => locked.load(root.offset().wrapping_add(8 * (nth & (old - 1))))?,
            };
            change.prepare(at + 8 * nth, entry)?;
        }
        change.put_root(INDEX, Root::new(root.is_slow(), depth, LARGEST, at).0)?;
        if old > 0 {
            change.free(root.offset().wrapping_sub(8))?;
        }
        change.commit(true)
    }
}

/// What stands in the slots of a segment that is made for these keys.
pub(super) fn slots_of(log: u32, keys: impl Iterator<Item = (u64, u64)>) -> Vec<u64> {
    let mask = (1usize << log) - 1;
    let mut slots = vec![0; 1 << log];
    let mut count = NO_KEYS;
    // The first slot is taken before any key.
    if let Some(first) = slots.first_mut() {
        *first = NO_KEYS;
    }
    for (word, hash) in keys {
        let mut index = hash as usize & mask;
        while slots.get(index).is_some_and(|slot| *slot != 0) {
            index = (index + 1) & mask;
        }
        if let Some(slot) = slots.get_mut(index) {
            *slot = word;
        }
        count += ONE_KEY;
    }
    if let Some(first) = slots.first_mut() {
        *first = count;
    }
    slots
}

fn new_segment(
    change: &mut Change<'_>,
    log: u32,
    keys: impl Iterator<Item = (u64, u64)>,
) -> Result<u64, ContainerError> {
    let at = change.allocate(SEGMENT, 8 << log)? + 8;
    for (nth, word) in (0..).zip(slots_of(log, keys)) {
        change.prepare(at + 8 * nth, word)?;
    }
    Ok(at)
}
