//! `Value`'s container: one value of any kind.
#![forbid(unsafe_code)]

use super::error::ContainerError;
use super::head::Inside;
use super::heap::Heap;
use super::layout::{Header, ROOT3};
use super::lock::{Locked, WriterLock};
use super::look::{Look, found};
use super::reference::Reference;
use super::stored::{Stored, handed_over};
use super::value::{Incoming, Outside, Sink, Word, read_value};
use crate::store::{Container, Store, Token};

/// One value as containers keep it: it comes as [`Incoming`] and goes through a [`Sink`].
#[derive(Debug)]
pub struct Cell {
    pub(crate) heap: Heap,
}

/// The value's word.
const WORD: u64 = ROOT3;

/// What the store calls this kind of container.
pub(crate) const KIND: u8 = 3;

handed_over!(Cell, "value");

impl Stored for Cell {
    const KIND: u8 = KIND;
    const INSIDE: Inside = Inside { each_word, renew };

    fn of(heap: Heap) -> Self {
        Self { heap }
    }

    fn heap(&self) -> &Heap {
        &self.heap
    }
}

impl Cell {
    /// The writers' lock.
    #[must_use]
    pub fn writer_lock(&self) -> WriterLock {
        WriterLock::of(&self.heap)
    }

    /// A new container that holds `None`.
    ///
    /// # Errors
    /// No memory.
    pub fn create(store: &Store) -> Result<Self, ContainerError> {
        let heap = Heap::create(store, KIND, Self::INSIDE)?;
        heap.words.store(heap.head + WORD, Word::NONE.0);
        Ok(Self { heap })
    }

    /// Where the value begins in its store: two handles with the same are of the same value.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.heap.head
    }

    /// The value.
    #[inline(always)]
    pub fn get<S: Sink>(&self, sink: &S) -> Result<Result<S::Made, S::Error>, ContainerError> {
        self.heap
            .read(|look| read_value(look, look.root(WORD), sink))
    }

    /// Replaces the value.
    #[inline(always)]
    pub fn set(&self, value: &Incoming<'_>) -> Result<(), ContainerError> {
        let outside = Outside::of(&self.heap, value)?;
        let locked = self.heap.lock()?;
        locked.replace(self.heap.head + WORD, &outside.or(value))
    }

    /// Adds to an int; the sum. `None` if the value is no int of 48 bits, or would not stay one: nothing has happened.
    #[inline(always)]
    pub fn add(&self, amount: i64) -> Result<Option<i64>, ContainerError> {
        let locked = self.heap.lock()?;
        let sum = Word(locked.root(WORD))
            .as_int()
            .and_then(|old| old.checked_add(amount));
        let Some((sum, word)) = sum.and_then(|sum| Some((sum, Word::of_int(sum)?))) else {
            return Ok(None);
        };
        locked.set_root(WORD, word.0);
        Ok(Some(sum))
    }

    /// Replaces the value if it is `old`: of the same type and, for a pickle, made of the same bytes.
    ///
    /// # Errors
    /// As in [`Cell::set`].
    pub fn compare_exchange(
        &self,
        old: &Incoming<'_>,
        new: &Incoming<'_>,
    ) -> Result<bool, ContainerError> {
        let outside = Outside::of(&self.heap, new)?;
        let locked = self.heap.lock()?;
        if !locked.is_same(Word(locked.root(WORD)), old)? {
            return Ok(false);
        }
        locked.replace(self.heap.head + WORD, &outside.or(new))?;
        Ok(true)
    }

    /// Checks every invariant of the value's memory.
    ///
    /// # Errors
    /// [`ContainerError::Corrupt`] with the place and the broken invariant.
    pub fn verify(&self) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        locked.verify(|census| census.value(locked.root(WORD)))
    }
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "as of containers of many words, which may be damaged"
)]
fn each_word(heap: &Heap, take: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    take(heap.words.relaxed(heap.head + WORD));
    Ok(())
}

/// Makes the value anew in as little memory as it needs.
fn renew(heap: &Heap) -> Result<(), ContainerError> {
    let locked = Locked::of_holder(heap);
    let word = locked.root(WORD);
    if Word(word).as_blob().is_none() {
        return locked.empty(|change| change.put_root(WORD, word));
    }
    let mut generation = locked.begin_generation(0)?;
    let moved = generation.move_over(word)?;
    generation.commit(|change| change.put_root(WORD, moved.0))
}

impl Locked<'_> {
    /// Whether a word of the container is this value: of the same type and, for a pickle, made of the same bytes.
    pub(crate) fn is_same(&self, word: Word, value: &Incoming<'_>) -> Result<bool, ContainerError> {
        Ok(match (value, word.as_blob()) {
            (Incoming::Word(other), None) => word == *other,
            (Incoming::Blob(kind, bytes), Some(at)) => {
                let header = Header(self.load(at)?);
                header.kind() == *kind as u8
                    && header.len() == bytes.len() as u64
                    && self.heap.words.same(at.wrapping_add(8), bytes) == Some(true)
            }
            (Incoming::Reference(reference), None) => self.is_reference_to(word, reference)?,
            (Incoming::Large(_) | Incoming::Blob(..), None) if word.is_large() => {
                let held = found(self.heap, Look::locked(self.heap).hold_large(word))??;
                match *value {
                    Incoming::Blob(kind, bytes) => (kind, bytes) == (held.kind(), held.bytes()),
                    _ => *value == Incoming::Large(&held),
                }
            }
            _ => false,
        })
    }

    /// Puts a value where another is; a blob that was there goes into limbo.
    ///
    /// # Errors
    /// No memory; nothing has happened then.
    #[inline(always)]
    pub(crate) fn replace(&self, at: u64, value: &Incoming<'_>) -> Result<(), ContainerError> {
        let old = Word(self.load(at)?);
        match value {
            Incoming::Word(word) if !old.leads() => self.set(at, word.0),
            _ => self.replace_slowly(at, old, value),
        }
    }

    #[inline(never)]
    fn replace_slowly(
        &self,
        at: u64,
        old: Word,
        value: &Incoming<'_>,
    ) -> Result<(), ContainerError> {
        self.make_room_in_limbo()?;
        let mut change = self.change();
        let word = value.place(&mut change)?;
        change.put_seen(at, word.0)?;
        if let Some(blob) = old.as_blob() {
            change.retire(blob)?;
        }
        change.drops(old)?;
        change.commit(false)?;
        self.after_retiring();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
