//! What touches all of a dict: clear, and making it anew in less memory or with slow hashes.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::generation::Generation;
use super::super::layout::Header;
use super::super::lock::Locked;
use super::super::look::Look;
use super::super::look::found;
use super::super::number_map::NumberMap;
use super::super::value::{DIRECTORY, ENTRY, Incoming, Kind, PAGE_OF_WORDS, SEGMENT, Word};
use super::entry::{Item, new_entry};
use super::hash::BEFORE_KEY;
use super::index::{Found, LARGEST, Root, most};
use super::order::{Directory, PAGE_BYTES, PER};
use super::segment::slots_of;
use super::{
    FIRST, INDEX, LEN_MOST, OFFSET, ORDER, PLACE_AT, RawDict, STATE, VALUE_AT, len_of, state,
};

/// Bytes that an entry and its value take, about, until it is known.
const GUESS: u64 = 56;

/// A key that has been moved: its slot's word, and its hash.
type Moved = (u64, u64);

/// New values by the entries that they are of, and new keys.
type SortedOut<'i, 'a> = (NumberMap<&'i Incoming<'a>>, Vec<Item<'i, 'a>>);

/// What there cannot be so many of in one segment.
const OF_ONE_HASH: &str = "keys of one hash";

/// Which of the keys that are there a dict that is made anew has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    All,
    None,
}

impl RawDict {
    /// Takes all keys out. Their memory goes back to the store.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    pub fn clear(&self) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        self.clear_locked(&locked)
    }

    pub(super) fn clear_locked(&self, locked: &Locked<'_>) -> Result<(), ContainerError> {
        locked.empty(no_keys)
    }

    /// Makes the dict anew in as little memory as it needs.
    pub(super) fn shrink(&self, locked: &Locked<'_>) -> Result<(), ContainerError> {
        if len_of(locked.root(STATE)) == 0 {
            return self.clear_locked(locked);
        }
        self.rebuild(locked, Root(locked.root(INDEX)).is_slow())
    }

    /// Makes the dict anew in a generation of its own.
    #[cold]
    #[inline(never)]
    pub(super) fn rebuild(&self, locked: &Locked<'_>, is_slow: bool) -> Result<(), ContainerError> {
        let built = self.build(locked, is_slow, Keep::All, &[]);
        self.given_up(built)
    }

    /// Makes the dict anew with more keys, which are all different, in one step.
    pub(super) fn rebuild_with(
        &self,
        locked: &Locked<'_>,
        keep: Keep,
        items: &[Item<'_, '_>],
    ) -> Result<(), ContainerError> {
        let is_slow = keep == Keep::All && Root(locked.root(INDEX)).is_slow();
        let built = match self.build(locked, is_slow, keep, items) {
            // Chosen for their hashes.
            Err(ContainerError::Full {
                what: OF_ONE_HASH, ..
            }) if !is_slow => self.build(locked, true, keep, items),
            built => built,
        };
        self.given_up(built)
    }

    /// What was built and is not in use goes back.
    fn given_up(&self, built: Result<(), ContainerError>) -> Result<(), ContainerError> {
        if built.is_err() {
            // What cannot be given back now waits for the next generation.
            let _ = self.heap.give_back_old_chunks();
            let _ = self.heap.settle_references();
        }
        built
    }

    /// `items`: keys that are set as well, all different.
    fn build(
        &self,
        locked: &Locked<'_>,
        is_slow: bool,
        keep: Keep,
        items: &[Item<'_, '_>],
    ) -> Result<(), ContainerError> {
        let (values, new) = self.sorted_out(locked, keep, items)?;
        let old = match keep {
            Keep::All => len_of(locked.root(STATE)),
            Keep::None => 0,
        };
        let len = old.saturating_add(new.len() as u64);
        if len > LEN_MOST {
            return Err(ContainerError::Full {
                most: LEN_MOST,
                what: "keys",
            });
        }
        let mut generation = locked.begin_generation(len.saturating_mul(GUESS))?;
        let log = Directory::log_for(len);
        let directory = generation.allocate(DIRECTORY, 8 << log)? + 8;
        let mut page = 0;
        let mut moved: Vec<Moved> = Vec::with_capacity(len.min(1 << 24) as usize);
        let mut put = |generation: &mut Generation<'_>, moved: &mut Vec<Moved>, entry: Moved| {
            let place = moved.len() as u64;
            if place.is_multiple_of(PER) {
                page = generation.allocate(PAGE_OF_WORDS, PAGE_BYTES)? + 8;
                generation.set(directory + place / PER * 8, page)?;
            }
            moved.push(entry);
            generation.set(page + place % PER * 8, entry.0 & OFFSET)
        };
        if keep == Keep::All {
            self.each(locked, |old| {
                let place = moved.len() as u64;
                let value = values.get(&old).copied();
                let entry = self.move_entry(locked, &mut generation, old, value, place, is_slow)?;
                put(&mut generation, &mut moved, entry)
            })?;
        }
        for (key, value) in new {
            let hash = self.secret.hash_of(&key.canonical, is_slow);
            let value = generation.place(value)?;
            let entry = new_entry(&mut generation, key, hash, moved.len() as u64, value)?;
            let entry = (hash >> 48 << 48 | entry, hash & 0xffff_ffff);
            put(&mut generation, &mut moved, entry)?;
        }
        let root = build_index(&mut generation, moved, is_slow)?;
        generation.commit(|change| {
            change.put_root(INDEX, root.0)?;
            change.put_root(ORDER, Directory::new(log, directory).0)?;
            change.put_root(STATE, state(len, len))?;
            change.put_root(FIRST, 0)
        })
    }

    /// Which items are new values of entries that are there, and which are new keys.
    fn sorted_out<'i, 'a>(
        &self,
        locked: &Locked<'_>,
        keep: Keep,
        items: &[Item<'i, 'a>],
    ) -> Result<SortedOut<'i, 'a>, ContainerError> {
        let (mut values, mut new) = (NumberMap::default(), Vec::new());
        for item in items {
            let found = match keep {
                Keep::All => self.find_locked(locked, item.0)?,
                Keep::None => Found::NONE,
            };
            if found.is_key() {
                values.insert(found.entry(), item.1);
            } else {
                new.push(*item);
            }
        }
        Ok((values, new))
    }

    /// Moves an entry into the generation, with its value or another.
    fn move_entry(
        &self,
        locked: &Locked<'_>,
        generation: &mut Generation<'_>,
        old: u64,
        value: Option<&Incoming<'_>>,
        place: u64,
        is_slow: bool,
    ) -> Result<Moved, ContainerError> {
        let hash = self.with_canonical(locked, old, |key| self.secret.hash_of(&key, is_slow))?;
        let new = move_block(locked, generation, old)?;
        let word = Word(locked.load(old.wrapping_add(VALUE_AT))?);
        if let Some(value) = value {
            let word = generation.place(value)?;
            generation.set(new + VALUE_AT, word.0)?;
        } else if let Some(blob) = word.as_blob() {
            let blob = Word::of_blob(move_block(locked, generation, blob)?);
            generation.set(new + VALUE_AT, blob.0)?;
        }
        generation.set(new + PLACE_AT, hash << 32 | place)?;
        Ok((hash >> 48 << 48 | new, hash & 0xffff_ffff))
    }
}

/// The roots of a dict without keys.
fn no_keys(change: &mut super::super::change::Change<'_>) -> Result<(), ContainerError> {
    for root in [INDEX, ORDER, STATE, FIRST] {
        change.put_root(root, 0)?;
    }
    Ok(())
}

/// Copies an entry or a blob into the generation.
fn move_block(
    locked: &Locked<'_>,
    generation: &mut Generation<'_>,
    old: u64,
) -> Result<u64, ContainerError> {
    let header = Header(locked.load(old)?);
    let look = Look::locked(locked.heap);
    let is_entry = header.kind() >= ENTRY && header.len() >= BEFORE_KEY;
    if !is_entry && Kind::of(header.kind()).is_none() {
        return Err(locked
            .heap
            .corrupt(old, "a way to no entry and no blob")
            .into());
    }
    let len = found(
        locked.heap,
        look.content(old, header, header.len(), Kind::Bytes),
    )?;
    let new = generation.allocate(header.kind(), header.len())?;
    for word in 1..=(len as u64).div_ceil(8) {
        generation.set(new + 8 * word, locked.load(old + 8 * word)?)?;
    }
    Ok(new)
}

/// Makes segments for keys, with room for a third more.
fn build_index(
    generation: &mut Generation<'_>,
    mut keys: Vec<Moved>,
    is_slow: bool,
) -> Result<Root, ContainerError> {
    let wanted = keys.len() as u64 * 4 / 3 + 1;
    let mut log = 1;
    while log < LARGEST && most(log) <= wanted {
        log += 1;
    }
    let mut depth = 0;
    while most(LARGEST) << depth <= wanted {
        depth += 1;
    }
    let mut segment = |keys: &[Moved]| -> Result<u64, ContainerError> {
        let at = generation.allocate(SEGMENT, 8 << log)? + 8;
        for (nth, word) in (0..).zip(slots_of(log, keys.iter().copied())) {
            generation.set(at + 8 * nth, word)?;
        }
        Ok(at)
    };
    if depth == 0 && (keys.len() as u64) < most(log) {
        let at = segment(&keys)?;
        return Ok(Root::new(is_slow, 0, log, at));
    }
    // One more bit where chance has put too many keys into one segment.
    loop {
        let which = |key: &Moved| key.1 >> LARGEST & ((1 << depth) - 1);
        keys.sort_unstable_by_key(which);
        if keys
            .chunk_by(|one, other| which(one) == which(other))
            .all(|keys| (keys.len() as u64) < most(LARGEST))
        {
            break;
        }
        depth += 1;
        if (keys.len() as u64 | 1 << LARGEST) << 5 < 1 << (u64::from(LARGEST) + depth) {
            return Err(ContainerError::Full {
                most: most(LARGEST),
                what: OF_ONE_HASH,
            });
        }
    }
    let mut segments = vec![0; 1 << depth];
    let mut rest = keys.as_slice();
    for (which, entry) in (0..).zip(&mut segments) {
        let count = rest.partition_point(|key| key.1 >> LARGEST & ((1 << depth) - 1) == which);
        let (own, others) = rest.split_at(count);
        *entry = segment(own)?;
        rest = others;
    }
    let at = generation.allocate(DIRECTORY, 8 << depth)? + 8;
    for (nth, entry) in (0..).zip(segments) {
        generation.set(at + 8 * nth, super::index::entry_of(depth, entry))?;
    }
    Ok(Root::new(is_slow, depth, LARGEST, at))
}
