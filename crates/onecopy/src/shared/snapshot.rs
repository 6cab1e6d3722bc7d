//! What was in a container at one moment: words, and copies of the blobs that they lead to.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::error::ContainerError;
use super::layout::Header;
use super::look::{Look, Moment, Retry};
use super::reference::Reference;
use super::value::{Incoming, Kind, Large, Word};
use crate::error::AccessError;

/// Values of one moment: elements of a list, or keys and values of a dict.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// One that leads elsewhere says where in `elsewhere`.
    words: Vec<u64>,
    elsewhere: Elsewhere,
    moment: Option<Moment>,
    container_len: u64,
}

/// What words lead to.
#[derive(Debug, Clone, Default)]
struct Elsewhere {
    /// Blobs: a header, the content, and zeros to the next multiple of eight. Words have their places.
    bytes: Vec<u8>,
    /// Other objects. Words have their numbers.
    held: Vec<Reference>,
    /// Large values, likewise.
    large: Vec<Large>,
    /// Why one could not be held.
    failure: Option<Arc<AccessError>>,
}

impl Snapshot {
    /// Values that it has: of a dict's items two for each key.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Elements of the list at this moment, of which it may have a part.
    #[must_use]
    pub fn list_len(&self) -> u64 {
        self.container_len
    }

    /// The moment; `None` of an empty one that was not taken.
    #[must_use]
    pub fn moment(&self) -> Option<Moment> {
        self.moment
    }

    /// A value.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Incoming<'_>> {
        let word = Word(*self.words.get(index)?);
        if word.leads() {
            self.elsewhere.get(word)
        } else {
            Some(Incoming::Word(word))
        }
    }

    /// The word of a value; one that leads elsewhere is no number.
    #[inline(always)]
    #[must_use]
    pub fn word(&self, index: usize) -> Option<Word> {
        self.words.get(index).map(|word| Word(*word))
    }

    /// The values, in their order.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Incoming<'_>> + ExactSizeIterator {
        (0..self.words.len()).map(|index| self.get(index).unwrap_or(Incoming::Word(Word::NONE)))
    }

    /// Whether both hold the same values, each of the same type, in the same order. Pickles are the same if their bytes
    /// are, so two that are not identical may be equal nevertheless.
    #[must_use]
    pub fn is_identical(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(one, other)| one == other)
    }

    /// Begins to take one; what was there before goes, and its room is used again.
    pub(crate) fn begin(&mut self) {
        self.words.clear();
        self.elsewhere.bytes.clear();
        self.elsewhere.held.clear();
        self.elsewhere.large.clear();
        self.elsewhere.failure = None;
        self.moment = None;
    }

    /// Says which moment it is of.
    pub(crate) fn set_moment(&mut self, moment: Moment) {
        self.moment = Some(moment);
    }

    /// Says how many elements there were.
    pub(crate) fn set_list_len(&mut self, len: u64) {
        self.container_len = len;
    }

    /// Adds words without what they lead to.
    pub(crate) fn add_words(&mut self, look: &Look<'_>, at: u64, count: u64) -> Result<(), Retry> {
        look.append_words(at, count, &mut self.words)
    }

    /// Adds what the words from `first` on lead to.
    pub(crate) fn follow(&mut self, look: &Look<'_>, first: usize) -> Result<(), Retry> {
        for word in self.words.iter_mut().skip(first) {
            if Word(*word).leads() {
                *word = self.elsewhere.add(look, Word(*word))?.0;
            }
        }
        Ok(())
    }

    /// Adds a word and what it leads to.
    pub(crate) fn add(&mut self, look: &Look<'_>, word: u64) -> Result<(), Retry> {
        let mut word = Word(word);
        if word.leads() {
            word = self.elsewhere.add(look, word)?;
        }
        self.push(word)
    }

    /// Adds a blob whose content stands at `at`.
    pub(crate) fn add_content(
        &mut self,
        look: &Look<'_>,
        at: u64,
        blob: (Kind, usize),
    ) -> Result<(), Retry> {
        let place = self.elsewhere.bytes.len() as u64;
        look.append_content(at, blob, &mut self.elsewhere.bytes)?;
        self.push(Word::of_blob(place))
    }

    fn push(&mut self, word: Word) -> Result<(), Retry> {
        self.words.try_reserve(1).map_err(|_| Retry)?;
        self.words.push(word.0);
        Ok(())
    }

    /// Ends taking one: whether all could be held that it leads to.
    pub(crate) fn check(&mut self) -> Result<(), ContainerError> {
        match self.elsewhere.failure.take().and_then(Arc::into_inner) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

impl Elsewhere {
    fn add(&mut self, look: &Look<'_>, word: Word) -> Result<Word, Retry> {
        if let Some(at) = word.as_blob() {
            let blob = look.blob(at)?;
            let place = self.bytes.len() as u64;
            look.append_content(at.wrapping_add(8), blob, &mut self.bytes)?;
            return Ok(Word::of_blob(place));
        }
        if word.is_large() {
            let number = Word::of_large(self.large.len() as u64);
            match look.hold_large(word)? {
                Ok(large) => self.large.push(large),
                Err(error) => self.failure = Some(Arc::new(error)),
            }
            return Ok(number);
        }
        let number = Word::of_reference(self.held.len() as u64);
        match look.hold(word)? {
            Ok(reference) => self.held.push(reference),
            Err(error) => self.failure = Some(Arc::new(error)),
        }
        Ok(number)
    }

    fn get(&self, word: Word) -> Option<Incoming<'_>> {
        if let Some(at) = word.as_blob() {
            return self.blob(at as usize);
        }
        let number = word.as_reference()? as usize;
        if word.is_large() {
            return self.large.get(number).map(Incoming::Large);
        }
        self.held.get(number).map(Incoming::Reference)
    }

    fn blob(&self, at: usize) -> Option<Incoming<'_>> {
        let (header, content) = self.bytes.get(at..)?.split_first_chunk::<8>()?;
        let header = Header(u64::from_le_bytes(*header));
        Some(Incoming::Blob(
            Kind::of(header.kind())?,
            content.get(..header.len() as usize)?,
        ))
    }
}
