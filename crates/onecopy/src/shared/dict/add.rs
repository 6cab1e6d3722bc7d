//! Adding to the int of a key, in one step.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::look::Look;
use super::super::look::found;
use super::super::rust_value::Values;
use super::super::value::{Immediate, Incoming, Kind, Outside, Word, read_value};
use super::hash::Key;
use super::update::{Seen, replace_words};
use super::{RawDict, VALUE_AT};

/// What came of adding to the value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAdded {
    /// The sum, which is the value now.
    Sum(i64),
    /// A sum of more than 64 bits: little-endian two's complement in the fewest bytes.
    Wide(Vec<u8>),
    /// The value, or what was to be added, is no int; nothing has happened.
    NoInt,
}

impl RawDict {
    /// Adds to the value of a key that is an int, or a bool. A key that is not there gets what was to be added.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    #[inline(always)]
    pub fn add(&self, key: &Key<'_>, amount: &Incoming<'_>) -> Result<KeyAdded, ContainerError> {
        self.locate(
            key,
            #[inline(always)]
            |locked, found| {
                if found.is_key() {
                    let at = found.entry().wrapping_add(VALUE_AT);
                    if let Incoming::Word(amount) = amount
                        && let Some(amount) = amount.as_int()
                        && let Some(old) = Word(locked.load(at)?).as_int()
                        && let Some(word) = Word::of_int(old + amount)
                    {
                        locked.set(at, word.0)?;
                        return Ok(KeyAdded::Sum(old + amount));
                    }
                    return self.add_slowly(locked, at, amount);
                }
                let Some(bytes) = int_bytes(amount) else {
                    return Ok(KeyAdded::NoInt);
                };
                let amount = Incoming::of_int(&bytes);
                self.insert(locked, key, &found, &amount)?;
                Ok(added(&bytes))
            },
        )
    }

    /// The same where one of the ints is wide, or a bool.
    #[cold]
    #[inline(never)]
    fn add_slowly(
        &self,
        locked: &Locked<'_>,
        at: u64,
        amount: &Incoming<'_>,
    ) -> Result<KeyAdded, ContainerError> {
        let old = self.int_at(locked, at)?;
        let (Some(old), Some(amount)) = (old, int_bytes(amount)) else {
            return Ok(KeyAdded::NoInt);
        };
        let sum = sum(&old, &amount);
        locked.replace(at, &Incoming::of_int(&sum))?;
        Ok(added(&sum))
    }

    /// The int, or bool, that a value is.
    fn int_at(&self, locked: &Locked<'_>, at: u64) -> Result<Option<Vec<u8>>, ContainerError> {
        let look = Look::locked(&self.heap);
        let word = locked.load(at)?;
        let Some(blob) = Word(word).as_blob() else {
            return Ok(int_bytes(&Incoming::Word(Word(word))));
        };
        if found(&self.heap, look.blob(blob))?.0 != Kind::Int {
            return Ok(None);
        }
        let value = found(&self.heap, read_value(&look, word, &Values))?.ok();
        Ok(value.and_then(|value| value.with_incoming(|value| int_bytes(&value))))
    }

    /// Adds to the values of many keys, in as many steps as [`RawDict::update`] takes; `false`, and nothing has happened, if
    /// one of the numbers is no int. What is added to a key that comes twice is added twice.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    pub fn add_all(&self, items: &[(Key<'_>, Incoming<'_>)]) -> Result<bool, ContainerError> {
        let locked = self.heap.lock()?;
        let mut sums: Vec<(Key<'_>, Int)> = Vec::with_capacity(items.len());
        // Where the sums go, as long as all are words that replace words.
        let mut places = Some(Vec::with_capacity(items.len()));
        let mut seen = Seen::of(items.len());
        for (key, amount) in items {
            let Some(amount) = Int::of(amount) else {
                return Ok(false);
            };
            if let Some(place) = seen.place(key, |place| sums.get(place).map(|item| &item.0)) {
                if let Some(item) = sums.get_mut(place) {
                    item.1 = item.1.plus(&amount);
                }
                continue;
            }
            let found = self.find_locked(&locked, key)?;
            if !found.is_key() {
                places = None;
                sums.push((*key, amount));
                continue;
            }
            let at = found.entry().wrapping_add(VALUE_AT);
            let old = match Word(locked.load(at)?).as_int() {
                Some(int) => Some(Int::Small(int)),
                None => self.int_at(&locked, at)?.map(Int::Wide),
            };
            let Some(old) = old else {
                return Ok(false);
            };
            match (&mut places, &old) {
                (Some(places), Int::Small(_)) => places.push(at),
                _ => places = None,
            }
            sums.push((*key, old.plus(&amount)));
        }
        let values: Vec<_> = sums.iter().map(|item| item.1.incoming()).collect();
        if let Some(words) = places.and_then(|places| words_at(places, &values))
            && !words.is_empty()
        {
            replace_words(&locked, &words)?;
            return Ok(true);
        }
        let sums = sums.iter().map(|item| &item.0).zip(&values);
        self.update_mixed(&locked, &sums.collect::<Vec<_>>())?;
        Ok(true)
    }

    /// Sets many keys, in as many steps as [`RawDict::update`] takes, if each has the value that is expected of it, or is not
    /// there if that is `None`; whether all were as expected.
    ///
    /// # Errors
    /// As in [`RawDict::set`].
    pub fn exchange_all(
        &self,
        items: &[(Key<'_>, Incoming<'_>)],
        expected: &[Option<Incoming<'_>>],
    ) -> Result<bool, ContainerError> {
        let outside = Outside::of_all(&self.heap, items)?;
        let items = &*Outside::or_all(&outside, items);
        let locked = self.heap.lock()?;
        for ((key, _), expected) in items.iter().zip(expected) {
            let found = self.find_locked(&locked, key)?;
            let is_same = match expected {
                None => !found.is_key(),
                Some(_) if !found.is_key() => false,
                Some(old) => {
                    let word = locked.load(found.entry().wrapping_add(VALUE_AT))?;
                    locked.is_same(Word(word), old)?
                }
            };
            if !is_same {
                return Ok(false);
            }
        }
        self.update_locked(&locked, items)?;
        Ok(true)
    }
}

/// The values with their places, if all are words.
fn words_at(places: Vec<u64>, values: &[Incoming<'_>]) -> Option<Vec<(u64, Word)>> {
    let word_at = |(at, value): (u64, &Incoming<'_>)| match value {
        Incoming::Word(word) => Some((at, *word)),
        _ => None,
    };
    places.into_iter().zip(values).map(word_at).collect()
}

/// An int that is added up.
enum Int {
    /// One of 48 bits.
    Small(i64),
    /// Any: little-endian two's complement.
    Wide(Vec<u8>),
}

impl Int {
    fn of(value: &Incoming<'_>) -> Option<Self> {
        if let Incoming::Word(word) = value
            && let Some(int) = word.as_int()
        {
            return Some(Self::Small(int));
        }
        int_bytes(value).map(Self::Wide)
    }

    fn plus(&self, other: &Self) -> Self {
        if let (Self::Small(one), Self::Small(other)) = (self, other)
            && Word::of_int(one + other).is_some()
        {
            return Self::Small(one + other);
        }
        let bytes = |int: &Self| match int {
            Self::Small(int) => int.to_le_bytes().to_vec(),
            Self::Wide(bytes) => bytes.clone(),
        };
        Self::Wide(sum(&bytes(self), &bytes(other)))
    }

    fn incoming(&self) -> Incoming<'_> {
        match self {
            Self::Small(int) => {
                Word::of_int(*int).map_or(Incoming::Word(Word::NONE), Incoming::Word)
            }
            Self::Wide(bytes) => Incoming::of_int(bytes),
        }
    }
}

/// What is said of a sum.
fn added(sum: &[u8]) -> KeyAdded {
    let mut word = [if sum.last().is_some_and(|last| last & 0x80 != 0) {
        0xff
    } else {
        0
    }; 8];
    match Incoming::of_int(sum) {
        Incoming::Word(word) => word.as_int().map_or(KeyAdded::NoInt, KeyAdded::Sum),
        Incoming::Blob(_, bytes) => match word.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                KeyAdded::Sum(i64::from_le_bytes(word))
            }
            None => KeyAdded::Wide(bytes.to_vec()),
        },
        Incoming::Reference(_) | Incoming::Large(_) => KeyAdded::NoInt,
    }
}

/// An int, or bool, as little-endian two's complement.
fn int_bytes(value: &Incoming<'_>) -> Option<Vec<u8>> {
    match value {
        Incoming::Word(word) => match word.immediate()? {
            Immediate::Int(value) => Some(value.to_le_bytes().to_vec()),
            Immediate::Bool(value) => Some(i64::from(value).to_le_bytes().to_vec()),
            _ => None,
        },
        Incoming::Blob(Kind::Int, bytes) => Some(bytes.to_vec()),
        _ => None,
    }
}

/// The sum of two ints in little-endian two's complement, with a byte to spare.
fn sum(one: &[u8], other: &[u8]) -> Vec<u8> {
    let sign = |bytes: &[u8]| {
        if bytes.last().is_some_and(|last| last & 0x80 != 0) {
            0xffu8
        } else {
            0
        }
    };
    let (one_sign, other_sign) = (sign(one), sign(other));
    let mut carry = false;
    let mut sum = Vec::with_capacity(one.len().max(other.len()) + 1);
    for index in 0..=one.len().max(other.len()) {
        let one = one.get(index).copied().unwrap_or(one_sign);
        let other = other.get(index).copied().unwrap_or(other_sign);
        let byte = u16::from(one) + u16::from(other) + u16::from(carry);
        carry = byte > 0xff;
        sum.push(byte as u8);
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn wide_sums_are_right(one: i64, other: i64, shift in 0usize..9) {
            let wide = |value: i64| {
                let mut bytes = vec![0; shift];
                bytes.extend(value.to_le_bytes());
                bytes
            };
            let expected = (i128::from(one) + i128::from(other)).to_le_bytes();
            let mut sum = sum(&wide(one), &wide(other));
            prop_assert!(sum.drain(..shift).all(|byte| byte == 0));
            let expected = Incoming::of_int(&expected);
            prop_assert_eq!(Incoming::of_int(&sum), expected);
        }
    }
}
