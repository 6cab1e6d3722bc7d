//! Keys and their index: what dicts, sets and tables find their members by.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 16 | node head: kind 7, count of keys; flag bit 0: some keys are opaque |
//! | 16 | 8 | offset of a tuple node with the keys, in order |
//! | 24 | 8 | seed of the hash |
//! | 32 | 8 | offset of the index |
//! | 40 | 8 | slots of the index: a power of two, or 0 for no index (8 keys or fewer) |
//!
//! A slot is 8 bytes: 0 if empty, else the position of the key plus one in the low half and the high half of its hash in
//! the high half. The search begins at slot hash mod slots and goes on to the next until one is empty. Opaque keys, which
//! only Python can compare, are not in the index.

use super::arena::Arena;
use super::bytes::{once, u64_at};
use super::equal::equal;
use super::error::{BuildError, ImageError, corrupt};
use super::fields::put_fields;
use super::node::{NodeHead, NodeKind, Section};
use super::sequence::{Element, Sequence};
use super::text::Text;
use super::word::Scalar;

/// Length of a keys node without its index.
const KEYS_LEN: u64 = 48;
/// So few keys are compared one by one.
const UNINDEXED: u64 = 8;
/// Flag: some keys are not in the index.
const FLAG_OPAQUE: u8 = 1;
/// A writer tries so many seeds.
pub(crate) const SEED_LIMIT: u64 = 16;

/// A longer way to an empty slot makes the writer try another seed. The longest of *n* keys whose hashes are random grows
/// with log *n*: at the highest load, 2/3, it is some 9 · log₂ *n* slots.
fn probe_limit(slot_count: u64) -> usize {
    16_usize.saturating_mul(slot_count.max(16).ilog2() as usize)
}

/// Keys, resolved.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// The keys in order.
    pub items: Sequence<'a>,
    /// Offset of the tuple node with the keys.
    pub items_offset: u64,
    /// Seed of the hash.
    pub seed: u64,
    /// Whether some keys are not in the index.
    pub opaque: bool,
    slots: &'a [u64],
    at: u64,
}

impl<'a> Keys<'a> {
    /// The keys at an offset.
    pub(crate) fn at(image: &'a [u8], offset: u64) -> Result<Self, ImageError> {
        let head = NodeHead::read(image, offset)?;
        if head.kind != NodeKind::Keys {
            return Err(corrupt(offset, "keys were expected"));
        }
        Self::resolve(image, offset, &head)
    }

    /// The keys that have this head.
    pub(crate) fn resolve(bytes: &'a [u8], at: u64, head: &NodeHead) -> Result<Self, ImageError> {
        let field = |distance: u64| u64_at(bytes, at.saturating_add(distance), "keys node");
        let items_offset = field(16)?;
        let items = Sequence::at(bytes, items_offset)?;
        if items.len() as u64 != head.count {
            return Err(corrupt(at, "number of keys does not match"));
        }
        if head.flags & !FLAG_OPAQUE != 0 {
            return Err(corrupt(at, "unknown flags of keys"));
        }
        let slot_count = field(40)?;
        let slots: &[u64] = if slot_count == 0 {
            if head.count > UNINDEXED {
                return Err(corrupt(at, "so many keys have an index"));
            }
            &[]
        } else {
            if !slot_count.is_power_of_two() || slot_count <= head.count {
                return Err(corrupt(at, "an index has 2^n slots, more than keys"));
            }
            let index = Section {
                offset: field(32)?,
                len: slot_count.saturating_mul(8),
            };
            index.typed(bytes, slot_count as usize)?
        };
        Ok(Self {
            items,
            items_offset,
            seed: field(24)?,
            opaque: head.flags & FLAG_OPAQUE != 0,
            slots,
            at,
        })
    }

    /// Number of keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether there is an index; without, every key is a candidate.
    #[must_use]
    pub const fn is_indexed(&self) -> bool {
        !self.slots.is_empty()
    }

    /// The slots of the index.
    #[must_use]
    pub const fn slots(&self) -> &'a [u64] {
        self.slots
    }

    /// Offset of the keys node.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.at
    }

    /// Positions of the keys that may have this hash: those whose stored half of it matches.
    #[must_use]
    pub fn candidates(&self, hash: u64) -> Candidates<'a> {
        let mask = (self.slots.len() as u64).wrapping_sub(1);
        Candidates {
            slots: self.slots,
            len: self.len(),
            next: if self.slots.is_empty() {
                0
            } else {
                hash & mask
            },
            half: hash >> 32,
            left: if self.slots.is_empty() {
                self.len()
            } else {
                self.slots.len()
            },
        }
    }

    /// The position of a str key; `hash` is that of the text.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if a key does not hold together.
    #[inline]
    pub fn find_text(&self, text: Text<'_>, hash: u64) -> Result<Option<usize>, ImageError> {
        for position in self.candidates(hash) {
            if let Some(element) = self.items.get(position)?
                && let Scalar::Str(key) = element.as_scalar()
                && key.kind == text.kind
                && key.bytes == text.bytes
            {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// The position of a key that equals a value as in Python; `None` also for a key that is opaque.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if a key does not hold together.
    pub fn find_scalar(&self, value: &Scalar<'_>, hash: u64) -> Result<Option<usize>, ImageError> {
        for position in self.candidates(hash) {
            if let Some(element) = self.items.get(position)?
                && !matches!(element, Element::Node(_))
                && equal(&element.as_scalar(), value)
            {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }
}

/// See [`Keys::candidates`].
#[derive(Debug, Clone)]
pub struct Candidates<'a> {
    slots: &'a [u64],
    len: usize,
    next: u64,
    half: u64,
    left: usize,
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.slots.is_empty() {
            let position = self.next as usize;
            self.next = self.next.wrapping_add(1);
            return (position < self.len).then_some(position);
        }
        let mask = (self.slots.len() as u64).wrapping_sub(1);
        while self.left > 0 {
            self.left = self.left.wrapping_sub(1);
            let slot = self.slots.get(self.next as usize).map(once)?;
            self.next = self.next.wrapping_add(1) & mask;
            if slot == 0 {
                self.left = 0;
                return None;
            }
            let position = ((slot & 0xffff_ffff) as usize).wrapping_sub(1);
            // A position past the keys is damage; `validate` says so, a search passes over it.
            if slot >> 32 == self.half && position < self.len {
                return Some(position);
            }
        }
        None
    }
}

/// Writes a keys node for the tuple node at `items`, whose keys have the hashes that `hashes` gives for a seed, in order;
/// `None` for an opaque key.
///
/// # Errors
/// As for [`Arena::alloc`]; [`BuildError::TooLarge`] for 2^32 keys.
pub fn put_keys(
    arena: &mut Arena<'_>,
    items: u64,
    count: u64,
    opaque: bool,
    mut hashes: impl FnMut(u64, &mut dyn FnMut(Option<u64>)) -> Result<(), BuildError>,
) -> Result<u64, BuildError> {
    if count >= u64::from(u32::MAX) {
        return Err(BuildError::TooLarge { len: count });
    }
    let node = arena.alloc(KEYS_LEN, 8)?;
    let slot_count = if count <= UNINDEXED {
        0
    } else {
        count.saturating_add(count >> 1).next_power_of_two()
    };
    let align = if slot_count >= 512 { 64 } else { 8 };
    let index = arena.alloc(slot_count.saturating_mul(8), align)?;
    if arena.is_measuring() {
        return Ok(node);
    }
    let mut seed = 0;
    if slot_count > 0 {
        let room = arena.slice_mut(index, slot_count.saturating_mul(8))?;
        let room = room.ok_or(BuildError::Outgrown)?;
        let (slots, _) = room.as_chunks_mut::<8>();
        loop {
            let mut position: u64 = 0;
            let mut longest = 0;
            hashes(seed, &mut |hash| {
                position = position.wrapping_add(1);
                if let Some(hash) = hash {
                    longest = longest.max(insert(slots, hash, position));
                }
            })?;
            if position != count {
                return Err(BuildError::Changed { index: position });
            }
            if longest <= probe_limit(slot_count) || seed.saturating_add(1) >= SEED_LIMIT {
                break;
            }
            seed = seed.saturating_add(1);
            slots.fill([0; 8]);
        }
    }
    let flags = if opaque { FLAG_OPAQUE } else { 0 };
    let head = NodeHead::new(NodeKind::Keys, None, flags, 0, count);
    put_fields(arena, node, &head, &[items, seed, index, slot_count])?;
    Ok(node)
}

/// Puts a key into the first free slot; returns how many were full before it.
fn insert(slots: &mut [[u8; 8]], hash: u64, position_plus_one: u64) -> usize {
    let mask = (slots.len() as u64).wrapping_sub(1);
    let mut at = hash & mask;
    for probes in 0..slots.len() {
        if let Some(slot) = slots.get_mut(at as usize)
            && *slot == [0; 8]
        {
            *slot = ((hash >> 32 << 32) | position_plus_one).to_le_bytes();
            return probes;
        }
        at = at.wrapping_add(1) & mask;
    }
    slots.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Container, IntWidth, Survey, hash};

    /// At the highest load, the way to some of many keys is longer than to any of a few: no reason for another seed.
    #[test]
    fn many_keys_are_hashed_once() {
        for (slots, count) in [(1_u64 << 10, 682), (1 << 16, 43_690), (1 << 20, 699_050)] {
            let mut memory = vec![0_u64; slots as usize + 1000];
            let mut arena = Arena::write(bytemuck::cast_slice_mut(&mut memory));
            let plan = Survey::default().plan(Container::Tuple, IntWidth::Full);
            let items = crate::image::ColumnCursor::place(&mut arena, &plan).unwrap();
            let mut rounds = 0;
            put_keys(&mut arena, items.node, count, false, |seed, give| {
                rounds += 1;
                for key in 0..count.cast_signed() {
                    give(Some(hash::int(key, seed)));
                }
                Ok(())
            })
            .unwrap();
            assert_eq!(rounds, 1, "{count} keys");
        }
    }
}
