//! From a hash to an entry: segments of slots, and the directory that finds them.
//!
//! ```text
//! hash:   tag (16) | … | which segment (19) | first slot (13)
//! root 0: slow hash (1) | … | depth (5) | log2 of slots (4) | offset of the directory, or of the segment if depth is 0
//! entry of the directory: … | depth of the segment (5) | … | offset of the segment
//! slot:   tag | offset of the entry's block;   0: empty;   1: deleted;   in the first slot: 2 + 8 × slots that are not empty
//! ```
//! A key stands in the first slot from its own on that was free, round a segment's end. A small dict has one segment, made
//! anew with twice the slots when it is full. A full segment of a large one is **split**: its keys go to two fresh ones,
//! by the next bit of their hashes, and the directory's entries change in one step. So no insertion moves more than one
//! segment's keys, however large the dict is.
//!
//! The count in the first slot is written before an insertion and after a deletion, without a record: after a death it
//! may be too high, never too low, and it is right again when the segment is next made anew.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::look::found;
use super::super::look::{Look, Retry};
use super::super::value::Incoming;
use super::hash::{Key, Secret, no_key};
use super::{INDEX, KEY_AT, OFFSET, PLACE_AT, RawDict};

/// log2 of the slots of a dict's first segment, and of the largest.
pub(super) const SMALLEST: u32 = if cfg!(test) { 3 } else { 5 };
/// See [`SMALLEST`].
pub(super) const LARGEST: u32 = if cfg!(test) { 5 } else { 13 };
/// The most bits of a hash that choose a segment.
pub(super) const DEEPEST: u64 = 32 - LARGEST as u64;
/// Probes that chance makes in a segment that is nearly full, at most.
pub(super) const LONG: u64 = if cfg!(test) { 6 } else { 128 };
/// A slot whose key was deleted.
pub(super) const DELETED: u64 = 1;
/// What the first slot of a segment without keys says.
pub(super) const NO_KEYS: u64 = 2;
/// What a key more adds to it.
pub(super) const ONE_KEY: u64 = 8;
/// In root 0: hashes are slow ones.
pub(super) const SLOW: u64 = 1 << 63;
const LOG_SHIFT: u32 = 48;
const DEPTH_SHIFT: u32 = 52;

/// Root 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Root(pub(super) u64);

impl Root {
    #[inline(always)]
    pub(super) fn offset(self) -> u64 {
        self.0 & OFFSET
    }
    #[inline(always)]
    pub(super) fn log(self) -> u32 {
        (self.0 >> LOG_SHIFT) as u32 & 15
    }
    #[inline(always)]
    pub(super) fn depth(self) -> u64 {
        self.0 >> DEPTH_SHIFT & 31
    }
    #[inline(always)]
    pub(super) fn is_slow(self) -> bool {
        self.0 & SLOW != 0
    }
    pub(super) fn new(is_slow: bool, depth: u64, log: u32, offset: u64) -> Self {
        let slow = if is_slow { SLOW } else { 0 };
        Self(slow | depth << DEPTH_SHIFT | u64::from(log) << LOG_SHIFT | offset & OFFSET)
    }
    /// Whether there can be a directory so deep, and segments so large: loops over them end.
    ///
    /// # Errors
    /// There cannot.
    pub(super) fn check(self, locked: &Locked<'_>) -> Result<(), ContainerError> {
        if self.depth() <= DEEPEST && self.log() <= LARGEST {
            return Ok(());
        }
        let at = locked.heap.head + INDEX;
        Err(locked
            .heap
            .corrupt(at, "an index that is too deep or too wide")
            .into())
    }
    /// Slots of all segments together.
    pub(super) fn slots(self) -> u64 {
        if self.offset() == 0 {
            0
        } else {
            1 << (u64::from(self.log()) + self.depth().min(DEEPEST))
        }
    }
    /// Where the directory's entry for a hash stands.
    #[inline(always)]
    pub(super) fn entry_at(self, hash: u64) -> u64 {
        let which = hash >> LARGEST & ((1 << self.depth()) - 1);
        self.offset().wrapping_add(8 * which)
    }
}

/// Where a key is, or where it could go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Where the slot stands; 0 if the dict has no segment.
    pub(super) slot: u64,
    /// What is in the slot: tag and entry, or no key.
    pub(super) word: u64,
    /// The first slot of the segment.
    pub(super) segment: u64,
    pub(super) log: u32,
    pub(super) hash: u64,
    pub(super) probes: u64,
}

/// Whether the word of a slot leads to an entry: those stand at multiples of eight, and marks are none.
#[inline(always)]
pub(super) fn is_entry(word: u64) -> bool {
    word.is_multiple_of(8) && word != 0
}

impl Found {
    pub(super) const NONE: Self = Self {
        slot: 0,
        word: 0,
        segment: 0,
        log: 0,
        hash: 0,
        probes: 0,
    };

    #[inline(always)]
    pub(super) fn is_key(&self) -> bool {
        is_entry(self.word)
    }
    /// The entry's block.
    #[inline(always)]
    pub(super) fn entry(&self) -> u64 {
        self.word & OFFSET
    }
    /// The slot of an entry.
    #[inline(always)]
    pub(super) fn word_of(&self, entry: u64) -> u64 {
        self.hash >> 48 << 48 | entry
    }
}

/// The depth that a directory's entry says.
pub(super) fn depth_of(entry: u64) -> u64 {
    entry >> DEPTH_SHIFT & 31
}

/// The directory's entry for a segment.
pub(super) fn entry_of(depth: u64, segment: u64) -> u64 {
    depth << DEPTH_SHIFT | segment
}

/// Keys that a segment holds before it is split.
#[inline(always)]
pub(super) fn most(log: u32) -> u64 {
    (1 << log) * 2 / 3
}

/// Looks a key up. `WRITES`: where it is not there, the slot that is given may be one whose key was deleted.
#[inline(always)]
pub(super) fn find<const WRITES: bool>(
    look: &Look<'_>,
    secret: Secret,
    key: &Key<'_>,
) -> Result<Found, Retry> {
    let root = Root(look.root(INDEX));
    let hash = if root.is_slow() {
        secret.slow_hash(&key.canonical)
    } else {
        key.hash
    };
    let (segment, log) = segment_of(look, root, hash)?;
    let mut result = Found {
        slot: 0,
        word: 0,
        segment,
        log,
        hash,
        probes: 0,
    };
    if segment == 0 {
        return Ok(result);
    }
    let mask = (1u64 << log) - 1;
    let mut index = hash & mask;
    loop {
        let slot = segment.wrapping_add(8 * index);
        let word = look.load(slot)?;
        if (word ^ hash) >> 48 == 0 && is_entry(word) {
            if is_key(look, word & OFFSET, key)? {
                (result.slot, result.word) = (slot, word);
                return Ok(result);
            }
        } else if word == 0 {
            if result.slot == 0 {
                result.slot = slot;
            }
            return Ok(result);
        } else if WRITES && word == DELETED && result.slot == 0 && index != 0 {
            (result.slot, result.word) = (slot, DELETED);
        }
        index = (index + 1) & mask;
        result.probes += 1;
        if result.probes > mask {
            return Err(Retry);
        }
    }
}

/// Whether a place for a key is one that it can take, beside `more` others of its segment.
#[inline(always)]
pub(super) fn room(locked: &Locked<'_>, found: &Found, more: u64) -> Result<bool, ContainerError> {
    Ok(found.segment != 0
        && (found.probes < LONG || Root(locked.root(INDEX)).is_slow())
        && locked.load(found.segment)?.wrapping_add(more * ONE_KEY)
            < NO_KEYS + most(found.log) * ONE_KEY)
}

/// Counts a slot that will not be empty any more.
pub(super) fn count_slot(locked: &Locked<'_>, segment: u64) -> Result<(), ContainerError> {
    locked.prepare(segment, locked.load(segment)?.wrapping_add(ONE_KEY))
}

/// Counts a slot that has become empty.
pub(super) fn uncount_slot(locked: &Locked<'_>, segment: u64) -> Result<(), ContainerError> {
    let count = locked.load(segment)?.saturating_sub(ONE_KEY);
    locked.prepare(segment, count.max(NO_KEYS))
}

/// Keys and deleted slots that a segment counts.
pub(super) fn counted(locked: &Locked<'_>, segment: u64) -> Result<u64, ContainerError> {
    Ok(locked.load(segment)? / ONE_KEY)
}

/// The slot behind a slot.
pub(super) fn after(look: &Look<'_>, found: &Found) -> Result<Found, Retry> {
    let mask = (1u64 << found.log) - 1;
    let index = found.slot.wrapping_sub(found.segment) / 8;
    let slot = found
        .segment
        .wrapping_add(8 * (index.wrapping_add(1) & mask));
    Ok(Found {
        slot,
        word: look.load(slot)?,
        ..*found
    })
}

/// The first slot of a hash's segment, 0 for none, and log2 of its slots.
#[inline(always)]
fn segment_of(look: &Look<'_>, root: Root, hash: u64) -> Result<(u64, u32), Retry> {
    if root.depth() == 0 {
        return Ok((root.offset(), root.log()));
    }
    Ok((look.load(root.entry_at(hash))? & OFFSET, LARGEST))
}

/// Whether an entry is that of a key.
#[inline(always)]
fn is_key(look: &Look<'_>, entry: u64, key: &Key<'_>) -> Result<bool, Retry> {
    let header = look.load(entry)? & !0xff00;
    let at = if header == key.header {
        entry.wrapping_add(KEY_AT)
    } else if header == key.header_with_form() {
        entry.wrapping_add(KEY_AT + 8)
    } else {
        return Ok(false);
    };
    match key.canonical {
        Incoming::Word(word) => Ok(look.load(at)? == word.0),
        Incoming::Blob(_, bytes) => look.heap.words.same(at, bytes).ok_or(Retry),
        Incoming::Reference(_) | Incoming::Large(_) => no_key(),
    }
}

impl RawDict {
    /// Takes the lock and looks a key up, mostly in the other order: then the slot is looked at again. `act` does the rest.
    #[inline(always)]
    pub(super) fn locate<T>(
        &self,
        key: &Key<'_>,
        act: impl FnOnce(&Locked<'_>, Found) -> Result<T, ContainerError>,
    ) -> Result<T, ContainerError> {
        let mut before = None;
        let mut place = Found::NONE;
        if let Some(look) = self.heap.look()
            && let Ok(found) = find::<true>(&look, self.secret, key)
        {
            (before, place) = (Some(look.moment()), found);
        }
        let locked = self.heap.lock()?;
        // If no block has been freed since, the slot is one of the index, and an entry that is still in it is the same. A
        // place where nothing was may have been taken by any change.
        let holds = match before {
            Some(moment) if place.is_key() => {
                self.heap.is_unmoved(moment) && locked.load(place.slot)? == place.word
            }
            Some(moment) => self.heap.is_now(moment),
            None => false,
        };
        if !holds {
            place = self.find_locked(&locked, key)?;
        }
        act(&locked, place)
    }

    /// Looks a key up under the lock.
    #[cold]
    #[inline(never)]
    pub(super) fn find_locked(
        &self,
        locked: &Locked<'_>,
        key: &Key<'_>,
    ) -> Result<Found, ContainerError> {
        found(
            locked.heap,
            find::<true>(&Look::locked(locked.heap), self.secret, key),
        )
    }

    /// The slot of an entry that is known to be in the dict.
    pub(super) fn slot_of(&self, locked: &Locked<'_>, entry: u64) -> Result<Found, ContainerError> {
        // The tag is not needed: an offset is enough.
        let hash = locked.load(entry.wrapping_add(PLACE_AT))? >> 32;
        let look = Look::locked(locked.heap);
        let (segment, log) = found(
            locked.heap,
            segment_of(&look, Root(locked.root(INDEX)), hash),
        )?;
        let mask = (1u64 << log) - 1;
        for probes in 0..=mask {
            let slot = segment.wrapping_add(8 * (hash.wrapping_add(probes) & mask));
            let word = locked.load(slot)?;
            if is_entry(word) && word & OFFSET == entry {
                return Ok(Found {
                    slot,
                    word,
                    segment,
                    log,
                    hash,
                    probes,
                });
            }
            if word == 0 {
                break;
            }
        }
        Err(locked
            .heap
            .corrupt(entry, "an entry that no slot leads to")
            .into())
    }
}

/// The segments, each once, and log2 of the slots of each.
pub(super) fn segments(locked: &Locked<'_>, root: Root) -> Result<Vec<(u64, u32)>, ContainerError> {
    if root.offset() == 0 {
        return Ok(Vec::new());
    }
    root.check(locked)?;
    if root.depth() == 0 {
        return Ok(vec![(root.offset(), root.log())]);
    }
    let mut segments = Vec::new();
    for which in 0..1u64 << root.depth() {
        let entry = locked.load(root.offset().wrapping_add(8 * which))?;
        // The others of its entries have one of the bits above its depth.
        if which >> depth_of(entry) == 0 {
            segments.push((entry & OFFSET, LARGEST));
        }
    }
    Ok(segments)
}
