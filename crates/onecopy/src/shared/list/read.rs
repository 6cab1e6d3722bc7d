//! Many elements of one moment.
//!
//! Words and the blobs that they lead to are copied without the lock, page by page, with a look at the counters after each;
//! after a few tries, few of them under the lock, and many as they were (past.rs). A chunk knows its moment, so an iterator reads ahead and asks for each element
//! whether that moment is still now.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::look::{Look, Moment, Retry};
use super::super::reference::References;
use super::super::value::{Incoming, Kind, Word};
use super::place::entry_at;
use super::{BASE, DIRECTORY_AT, LEN, OFFSET, PER, RawList};

/// Elements of a list at one moment.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// A word that leads elsewhere says where its blob begins in `bytes`.
    words: Vec<u64>,
    /// Blobs: a header, the content, and zeros to the next multiple of eight.
    bytes: Vec<u8>,
    /// What a word that is a reference means, which has a number for a name.
    references: References,
    moment: Option<Moment>,
    len: u64,
}

impl RawList {
    /// Up to `most` elements from the one at `start` on.
    ///
    /// # Errors
    /// As in [`RawList::len`].
    pub fn chunk(&self, start: u64, most: u64) -> Result<Chunk, ContainerError> {
        self.read_many(|len| (start, len.saturating_sub(start).min(most), 1))
    }

    /// The same into a chunk that is there already: what it held goes, its room is used again.
    ///
    /// # Errors
    /// As in [`RawList::len`].
    pub fn read_chunk(
        &self,
        chunk: &mut Chunk,
        start: u64,
        most: u64,
    ) -> Result<(), ContainerError> {
        let which = |len: u64| (start, len.saturating_sub(start).min(most), 1);
        self.heap.read_long(|look| chunk.read(look, &which))?;
        chunk.check_references()
    }

    /// All elements.
    ///
    /// # Errors
    /// As in [`RawList::len`].
    pub fn snapshot(&self) -> Result<Chunk, ContainerError> {
        self.chunk(0, u64::MAX)
    }

    /// Whether a moment is still now: nothing has changed since.
    #[inline(always)]
    #[must_use]
    pub fn is_now(&self, moment: Moment) -> bool {
        self.heap.is_now(moment)
    }

    /// The elements that `which` says when it is told the length: the first, how many, and how far apart.
    pub(super) fn read_many(
        &self,
        which: impl Fn(u64) -> (u64, u64, i64),
    ) -> Result<Chunk, ContainerError> {
        let mut chunk = Chunk::default();
        self.heap.read_whole(|look| chunk.read(look, &which))?;
        chunk.check_references()?;
        Ok(chunk)
    }
}

impl Chunk {
    /// Elements that it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Elements of the list at this moment.
    #[must_use]
    pub fn list_len(&self) -> u64 {
        self.len
    }

    /// The moment.
    #[must_use]
    pub fn moment(&self) -> Option<Moment> {
        self.moment
    }

    /// An element.
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

    /// The word of an element; one that leads elsewhere is no number.
    #[inline(always)]
    #[must_use]
    pub fn word(&self, index: usize) -> Option<Word> {
        self.words.get(index).map(|word| Word(*word))
    }

    fn blob(&self, at: usize) -> Option<Incoming<'_>> {
        let (header, content) = self.bytes.get(at..)?.split_first_chunk::<8>()?;
        let header = super::super::layout::Header(u64::from_le_bytes(*header));
        Some(Incoming::Blob(
            Kind::of(header.kind())?,
            content.get(..header.len() as usize)?,
        ))
    }

    /// The elements, in their order.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Incoming<'_>> + ExactSizeIterator {
        (0..self.words.len()).map(|index| self.get(index).unwrap_or(Incoming::Word(Word::NONE)))
    }

    /// Whether both hold the same values, each of the same type, in the same order. Pickles are the same if their bytes
    /// are, so two chunks that are not identical may be equal nevertheless.
    #[must_use]
    pub fn is_identical(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(one, other)| one == other)
    }

    /// Whether all could be held that elements refer to.
    pub(super) fn check_references(&mut self) -> Result<(), ContainerError> {
        Ok(self.references.check()?)
    }

    fn read(
        &mut self,
        look: &Look<'_>,
        which: &impl Fn(u64) -> (u64, u64, i64),
    ) -> Result<(), Retry> {
        let len = look.root(LEN);
        // What is counted has to be true before it is relied on.
        look.check()?;
        let (start, count, step) = which(len);
        self.len = len;
        self.fill(look, start, count, step)
    }

    /// Reads elements; what was there before goes.
    pub(super) fn fill(
        &mut self,
        look: &Look<'_>,
        start: u64,
        count: u64,
        step: i64,
    ) -> Result<(), Retry> {
        self.words.clear();
        self.bytes.clear();
        self.references.clear();
        self.moment = Some(look.moment());
        let (base, directory) = (look.root(BASE), look.root(DIRECTORY_AT));
        let mut done = 0;
        while done < count {
            let index = start.wrapping_add_signed(step.wrapping_mul(done as i64));
            let position = base.wrapping_add(index);
            let entry = look.load(entry_at(directory, position))?;
            let in_page = if step == 1 {
                (PER - position % PER).min(count - done)
            } else {
                1
            };
            look.check_page(entry)?;
            let first = self.words.len();
            // A page is a circle: what is asked for may go on at its beginning.
            let place = (entry >> 48).wrapping_add(position) % PER;
            let before_end = in_page.min(PER - place);
            let page = entry & OFFSET;
            look.append_words(page.wrapping_add(8 * place), before_end, &mut self.words)?;
            look.append_words(page, in_page - before_end, &mut self.words)?;
            self.take_blobs(look, first)?;
            // Now and then is enough where a page is one element.
            if (step == 1 || done.is_multiple_of(PER)) && !look.is_current() {
                return Err(Retry);
            }
            done += in_page;
        }
        Ok(())
    }

    /// Copies the blobs of the words from `first` on.
    fn take_blobs(&mut self, look: &Look<'_>, first: usize) -> Result<(), Retry> {
        for word in self.words.iter_mut().skip(first) {
            if !Word(*word).leads() {
                continue;
            }
            let Some(at) = Word(*word).as_blob() else {
                *word = Word::of_reference(self.references.add(look.hold(Word(*word))?)).0;
                continue;
            };
            let blob = look.blob(at)?;
            let place = self.bytes.len();
            *word = Word::of_blob(place as u64).0;
            look.append_blob(at, blob, &mut self.bytes)?;
        }
        Ok(())
    }
}
