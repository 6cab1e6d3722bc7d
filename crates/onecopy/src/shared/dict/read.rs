//! Many keys of one moment, in their order.
//!
//! A **picture** is a copy of the keys, the values or both. It is taken without the lock, with a look at the counters
//! after each page; if writers do not let that succeed, of a small dict under the lock, of others in the past (past.rs).
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::layout::Header;
use super::super::look::{Look, Moment, Retry};
use super::super::reference::References;
use super::super::value::{Incoming, Kind, Word};
use super::entry::{Shape, given};
use super::order::{PER, page_of};
use super::{FIRST, RawDict, STATE, VALUE_AT, used_of};

/// What is copied of each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The key.
    Keys,
    /// The value.
    Values,
    /// Both, the key first.
    Items,
}

/// A copy of what is in a dict.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// A word that leads elsewhere says where its blob begins in `bytes`.
    words: Vec<u64>,
    /// Blobs: a header, the content, and zeros to the next multiple of eight.
    bytes: Vec<u8>,
    /// What a word that is a reference means, which has a number for a name.
    references: References,
    moment: Option<Moment>,
}

impl RawDict {
    /// A copy of what is in the dict at one moment. No writer waits for it, unless the dict is small.
    ///
    /// # Errors
    /// As in [`RawDict::len`].
    pub fn picture(&self, part: Part) -> Result<Picture, ContainerError> {
        let mut picture = Picture::default();
        self.heap.read_whole(|look| picture.take_all(look, part))?;
        picture.references.check()?;
        Ok(picture)
    }

    /// Whether a moment is still now: nothing has changed since.
    #[inline(always)]
    #[must_use]
    pub fn is_now(&self, moment: Moment) -> bool {
        self.heap.is_now(moment)
    }
}

impl Picture {
    /// Words that it has: two for each key if it was taken of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The moment; `None` of an empty one that was not taken.
    #[must_use]
    pub fn moment(&self) -> Option<Moment> {
        self.moment
    }

    /// A key or a value.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Incoming<'_>> {
        let word = Word(*self.words.get(index)?);
        if !word.leads() {
            return Some(Incoming::Word(word));
        }
        match word.as_blob() {
            Some(at) => self.blob(at as usize),
            None => Some(Incoming::Reference(
                self.references.get(word.as_reference()?)?,
            )),
        }
    }

    fn blob(&self, at: usize) -> Option<Incoming<'_>> {
        let (header, content) = self.bytes.get(at..)?.split_first_chunk::<8>()?;
        let header = Header(u64::from_le_bytes(*header));
        Some(Incoming::Blob(
            Kind::of(header.kind())?,
            content.get(..header.len() as usize)?,
        ))
    }

    /// All of it.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Incoming<'_>> + ExactSizeIterator {
        (0..self.words.len()).map(|index| self.get(index).unwrap_or(Incoming::Word(Word::NONE)))
    }

    fn empty(&mut self) {
        self.words.clear();
        self.bytes.clear();
        self.references.clear();
        self.moment = None;
    }

    fn take_all(&mut self, look: &Look<'_>, part: Part) -> Result<(), Retry> {
        self.empty();
        let used = used_of(look.root(STATE));
        look.check()?;
        self.take(look, part, look.root(FIRST)..used)?;
        self.moment = Some(look.moment());
        Ok(())
    }

    /// Adds what is at these places.
    fn take(
        &mut self,
        look: &Look<'_>,
        part: Part,
        places: std::ops::Range<u64>,
    ) -> Result<(), Retry> {
        let mut entries = Vec::with_capacity(PER as usize);
        let mut place = places.start;
        while place < places.end {
            let page = page_of(look, place)?;
            let stop = places.end.min((place / PER + 1) * PER);
            entries.clear();
            for place in place..stop {
                let entry = look.load(page.wrapping_add(place % PER * 8))?;
                if entry != 0 {
                    look.heap.words.prefetch(entry);
                    entries.push(entry);
                }
            }
            for entry in &entries {
                self.take_one(look, part, *entry)?;
            }
            if !look.is_current() {
                return Err(Retry);
            }
            place = stop;
        }
        if look.is_current() {
            Ok(())
        } else {
            Err(Retry)
        }
    }

    fn take_one(&mut self, look: &Look<'_>, part: Part, entry: u64) -> Result<(), Retry> {
        if part != Part::Values {
            let word = match given(look, entry)? {
                Shape::Word(at) => look.load(at)?,
                Shape::Blob(kind, at, len) => {
                    let place = self.bytes.len();
                    look.append_content(at, (kind, len), &mut self.bytes)?;
                    Word::of_blob(place as u64).0
                }
            };
            self.push(word)?;
        }
        if part != Part::Keys {
            let mut word = look.load(entry.wrapping_add(VALUE_AT))?;
            if Word(word).as_reference().is_some() {
                word = Word::of_reference(self.references.add(look.hold(Word(word))?)).0;
            } else if let Some(at) = Word(word).as_blob() {
                let blob = look.blob(at)?;
                word = Word::of_blob(self.bytes.len() as u64).0;
                look.append_blob(at, blob, &mut self.bytes)?;
            }
            self.push(word)?;
        }
        Ok(())
    }

    fn push(&mut self, word: u64) -> Result<(), Retry> {
        self.words.try_reserve(1).map_err(|_| Retry)?;
        self.words.push(word);
        Ok(())
    }
}
