//! Looks at keys: whether their index leads to each of them and nowhere else, and whether they differ.
//!
//! **Invariant.** `H1`: the work is linear in the image's length, whoever wrote it. Every tuple was looked at before, so no
//! two overlap; one is hashed at most once for each seed (of which there are few), and each depth of a key; so is a long
//! blob. An index is looked at once, slot by slot.

use std::collections::{HashMap, HashSet};

use super::error::{ImageError, corrupt};
use super::hash;
use super::keys::{Keys, SEED_LIMIT};
use super::plan::Container;
use super::sequence::{Items, Sequence};
use super::view::{Image, Node};
use super::word::{Decoded, Scalar, Word, read_blob};

/// Keys that are tuples of tuples deeper than this are opaque.
pub const KEY_DEPTH: usize = 16;

/// Blobs of fewer bytes are looked at as often as words lead to them.
pub(crate) const LONG_BLOB: usize = 64;

/// What two equal keys have in common.
#[derive(Debug, Clone, Copy)]
struct Hashed {
    hash: u64,
    /// Whether there is a NaN in it, which does not even equal itself.
    nan: bool,
}

/// Hashes of what keys hold, as far as several keys may hold it.
pub(crate) struct KeyHashes<'a> {
    image: Image<'a>,
    /// Of tuples and frozensets, by seed, offset of the members, depth, and whether it is a frozenset.
    nodes: HashMap<(u64, u64, usize, bool), Option<Hashed>>,
    /// Of long blobs, by seed and offset.
    blobs: HashMap<(u64, u64), Option<Hashed>>,
    /// Tuples whose members are keys.
    met: HashSet<u64>,
}

impl<'a> KeyHashes<'a> {
    pub(crate) fn new(image: Image<'a>) -> Self {
        Self {
            image,
            nodes: HashMap::new(),
            blobs: HashMap::new(),
            met: HashSet::new(),
        }
    }

    /// Every key that can be hashed is found where its hash leads, no slot leads elsewhere, and no two keys are equal.
    pub(crate) fn check(&mut self, keys: &Keys<'a>) -> Result<(), ImageError> {
        let at = keys.offset();
        if keys.seed >= SEED_LIMIT {
            return Err(corrupt(at, "a seed that no writer takes"));
        }
        if !self.met.insert(keys.items_offset) {
            return Err(corrupt(at, "two nodes have the same tuple of keys"));
        }
        let mut hashes = Vec::with_capacity(keys.len());
        for position in 0..keys.len() {
            let key = self.element(&keys.items, position, keys.seed, 0)?;
            hashes.push(key.map(|key| key.hash));
        }
        if !keys.opaque && hashes.iter().any(Option::is_none) {
            return Err(corrupt(at, "keys are opaque that are not marked so"));
        }
        self.differ(keys, &hashes)?;
        if keys.is_indexed() {
            check_index(keys, hashes)?;
        }
        Ok(())
    }

    /// Two keys are equal if they have the same hashes under two seeds.
    fn differ(&mut self, keys: &Keys<'a>, hashes: &[Option<u64>]) -> Result<(), ImageError> {
        let mut sorted: Vec<u64> = hashes.iter().flatten().copied().collect();
        sorted.sort_unstable();
        let pairs = sorted.windows(2).filter(|pair| pair.first() == pair.last());
        let repeated: HashSet<u64> = pairs.flatten().copied().collect();
        if repeated.is_empty() {
            return Ok(());
        }
        let mut met = HashSet::new();
        for (position, hash) in hashes.iter().enumerate() {
            let Some(hash) = hash.filter(|hash| repeated.contains(hash)) else {
                continue;
            };
            let second = self.element(&keys.items, position, !keys.seed, 0)?;
            if let Some(Hashed { hash: second, nan }) = second
                && !nan
                && !met.insert((hash, second))
            {
                return Err(corrupt(keys.offset(), "two keys are equal"));
            }
        }
        Ok(())
    }

    fn element(
        &mut self,
        items: &Sequence<'a>,
        index: usize,
        seed: u64,
        depth: usize,
    ) -> Result<Option<Hashed>, ImageError> {
        if let Items::Words(words) = items.items()
            && let Some(&word) = words.words.get(index)
        {
            match Word(word).decode() {
                Some(Decoded::Node(offset)) => return self.node(offset, seed, depth),
                Some(Decoded::Blob(offset)) => return self.blob(offset, seed),
                _ => {}
            }
        }
        let missing = corrupt(items.offset(), "element missing");
        let element = items.get(index)?.ok_or(missing)?;
        Ok(hashed(&element.as_scalar(), seed))
    }

    fn blob(&mut self, offset: u64, seed: u64) -> Result<Option<Hashed>, ImageError> {
        let scalar = read_blob(self.image.bytes(), offset)?;
        let len = match scalar {
            Scalar::Str(text) => text.bytes.len(),
            Scalar::Bytes(bytes) | Scalar::Big(bytes) => bytes.len(),
            _ => 0,
        };
        if len <= LONG_BLOB {
            return Ok(hashed(&scalar, seed));
        }
        let known = self.blobs.entry((seed, offset));
        Ok(*known.or_insert_with(|| hashed(&scalar, seed)))
    }

    fn node(&mut self, offset: u64, seed: u64, depth: usize) -> Result<Option<Hashed>, ImageError> {
        let (items, frozen) = match self.image.node(offset)? {
            Node::Sequence(items) if items.container() == Container::Tuple => (items, false),
            Node::Set(set) if set.frozen => (set.keys.items, true),
            _ => return Ok(None),
        };
        if depth > KEY_DEPTH {
            return Ok(None);
        }
        let place = (seed, items.offset(), depth, frozen);
        if let Some(&known) = self.nodes.get(&place) {
            return Ok(known);
        }
        let hash = self.members(&items, frozen, seed, depth)?;
        self.nodes.insert(place, hash);
        Ok(hash)
    }

    fn members(
        &mut self,
        items: &Sequence<'a>,
        frozen: bool,
        seed: u64,
        depth: usize,
    ) -> Result<Option<Hashed>, ImageError> {
        let (mut hashes, mut nan) = (Vec::with_capacity(items.len()), false);
        for index in 0..items.len() {
            let Some(member) = self.element(items, index, seed, depth.saturating_add(1))? else {
                return Ok(None);
            };
            hashes.push(member.hash);
            nan |= member.nan;
        }
        let hash = if frozen {
            hash::frozenset(hashes.into_iter(), seed)
        } else {
            hash::tuple(&hashes, seed)
        };
        Ok(Some(Hashed { hash, nan }))
    }
}

fn hashed(value: &Scalar<'_>, seed: u64) -> Option<Hashed> {
    let nan = match *value {
        Scalar::Float(value) => value.is_nan(),
        Scalar::Complex(real, imaginary) => real.is_nan() || imaginary.is_nan(),
        _ => false,
    };
    hash::scalar(value, seed).map(|hash| Hashed { hash, nan })
}

/// A key is found if every slot from the one that its hash names to its own is full: the slots are gone through once,
/// from an empty one on, and the full ones before each are counted.
fn check_index(keys: &Keys<'_>, mut hashes: Vec<Option<u64>>) -> Result<(), ImageError> {
    let at = keys.offset();
    let slots = keys.slots();
    let lost = || corrupt(at, "the index does not lead to a key");
    let mask = (slots.len() as u64).wrapping_sub(1);
    // There are more slots than keys.
    let empty = slots.iter().position(|&slot| slot == 0);
    let (before, after) = slots
        .split_at_checked(empty.ok_or_else(lost)?)
        .ok_or_else(lost)?;
    let mut run: u64 = 0;
    let mut place = before.len() as u64;
    for &slot in after.iter().chain(before) {
        if slot == 0 {
            run = 0;
        } else {
            let position = ((slot & 0xffff_ffff) as usize).wrapping_sub(1);
            let hash = hashes.get_mut(position).and_then(Option::take);
            let hash = hash.ok_or(corrupt(at, "the index has slots without a key"))?;
            let distance = place.wrapping_sub(hash) & mask;
            if slot >> 32 != hash >> 32 || distance > run {
                return Err(lost());
            }
            run = run.saturating_add(1);
        }
        place = place.wrapping_add(1) & mask;
    }
    if hashes.iter().any(Option::is_some) {
        return Err(lost());
    }
    Ok(())
}
