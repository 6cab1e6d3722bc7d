//! Values on their way in.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::super::change::Change;
use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::reference::Reference;
use super::kind::Kind;
use super::large::Large;
use super::word::Word;

/// A value on its way in: a word, or the bytes of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The word is all.
    Word(Word),
    /// The content of a blob.
    Blob(Kind, &'a [u8]),
    /// Another object of the store.
    Reference(&'a Reference),
    /// A value that is an object of its own.
    Large(&'a Large),
}

impl<'a> Incoming<'a> {
    /// A str of ASCII or Latin-1 characters.
    #[must_use]
    #[inline(always)]
    pub fn of_latin1(characters: &'a [u8], is_ascii: bool) -> Self {
        match Word::of_latin1(characters) {
            Some(word) => Self::Word(word),
            None if is_ascii => Self::Blob(Kind::Ascii, characters),
            None => Self::Blob(Kind::Latin1, characters),
        }
    }

    /// An int, from little-endian two's complement.
    #[must_use]
    pub fn of_int(bytes: &'a [u8]) -> Self {
        let bytes = narrowest_int(bytes);
        let word = small_int(bytes).and_then(Word::of_int);
        word.map_or(Self::Blob(Kind::Int, bytes), Self::Word)
    }

    /// Bytes.
    #[must_use]
    #[inline(always)]
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Word::of_bytes(bytes).map_or(Self::Blob(Kind::Bytes, bytes), Self::Word)
    }

    /// Whether it becomes an object of its own before it is put into a container.
    #[inline(always)]
    pub(crate) fn is_large(&self) -> bool {
        matches!(*self, Self::Blob(kind, bytes) if Large::is_due(kind, bytes))
    }

    /// Bytes of the blob that it becomes; 0 if it becomes none.
    #[inline(always)]
    pub(crate) fn blob_len(&self) -> usize {
        match self {
            Self::Blob(_, bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// The word of the value; a blob gets its block here, filled before the change's commit.
    ///
    /// # Errors
    /// No memory.
    #[inline(always)]
    pub(crate) fn place(&self, change: &mut Change<'_>) -> Result<Word, ContainerError> {
        match *self {
            Self::Word(word) => Ok(word),
            Self::Blob(kind, bytes) => {
                let at = change.allocate(kind as u8, bytes.len() as u64)?;
                change.fill(at + 8, bytes)?;
                Ok(Word::of_blob(at))
            }
            Self::Reference(reference) => change.refer(reference).map(Word::of_reference),
            Self::Large(large) => change.refer(large.reference()).map(Word::of_large),
        }
    }
}

/// Values that became objects of the store, and are held until they are in a container.
///
/// Making them takes as long as copying them does, so it is done before the container is locked.
#[derive(Debug)]
pub(crate) struct Outside(Option<Large>);

impl Outside {
    /// Makes an object of a large value.
    ///
    /// # Errors
    /// No memory.
    #[inline(always)]
    pub(crate) fn of(heap: &Heap, value: &Incoming<'_>) -> Result<Self, ContainerError> {
        Ok(Self(match *value {
            Incoming::Blob(kind, bytes) if Large::is_due(kind, bytes) => {
                Some(Large::create(&heap.container.store(), kind, bytes)?)
            }
            _ => None,
        }))
    }

    /// The same of many; none if none is large.
    pub(crate) fn of_all<'a, T: Carries<'a>>(
        heap: &Heap,
        values: &[T],
    ) -> Result<Vec<Self>, ContainerError> {
        if !values.iter().any(|value| value.value().is_large()) {
            return Ok(Vec::new());
        }
        let values = values.iter().map(T::value);
        values.map(|value| Self::of(heap, value)).collect()
    }

    /// What is put into the container.
    #[inline(always)]
    pub(crate) fn or<'a>(&'a self, value: &Incoming<'a>) -> Incoming<'a> {
        self.0.as_ref().map_or(*value, Incoming::Large)
    }

    /// The same of many.
    pub(crate) fn or_all<'a, T: Carries<'a>>(outside: &'a [Self], values: &'a [T]) -> Cow<'a, [T]> {
        if outside.is_empty() {
            return Cow::Borrowed(values);
        }
        let pairs = outside.iter().zip(values);
        pairs
            .map(|(outside, value)| value.with(outside.or(value.value())))
            .collect()
    }
}

/// What a value is put into a container with.
pub(crate) trait Carries<'a>: Clone {
    /// The value.
    fn value(&self) -> &Incoming<'a>;
    /// The same with another value.
    fn with(&self, value: Incoming<'a>) -> Self;
}

impl<'a> Carries<'a> for Incoming<'a> {
    fn value(&self) -> &Self {
        self
    }

    fn with(&self, value: Self) -> Self {
        value
    }
}

/// A key and its value.
impl<'a, K: Clone> Carries<'a> for (K, Incoming<'a>) {
    fn value(&self) -> &Incoming<'a> {
        &self.1
    }

    fn with(&self, value: Incoming<'a>) -> Self {
        (self.0.clone(), value)
    }
}

impl Change<'_> {
    /// Fills a block that this change takes.
    ///
    /// # Errors
    /// It does not lie in the container.
    #[inline(always)]
    pub(crate) fn fill(&self, at: u64, bytes: &[u8]) -> Result<(), ContainerError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let words = (bytes.len() as u64).div_ceil(8);
        self.heap.own_all(at, 8 * words)?;
        for word in 0..words {
            self.note(at + 8 * word);
        }
        self.heap.words.fill(at, bytes);
        Ok(())
    }
}

/// The fewest bytes that mean the same int; none for 0.
pub(crate) fn narrowest_int(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [rest @ .., last] = bytes {
        let is_negative_below = rest.last().is_some_and(|byte| byte & 0x80 != 0);
        let is_spare = (*last == 0 && !is_negative_below) || (*last == 0xff && is_negative_below);
        if !is_spare {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// An int of at most eight bytes.
pub(crate) fn small_int(bytes: &[u8]) -> Option<i64> {
    let sign = bytes
        .last()
        .map_or(0, |byte| if byte & 0x80 == 0 { 0 } else { 0xff });
    let mut word = [sign; 8];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ints_come_back(int: i64) {
            let bytes = int.to_le_bytes();
            prop_assert_eq!(small_int(narrowest_int(&bytes)), Some(int));
        }
    }
}
