//! `Value`'s container: one value of any kind.
#![forbid(unsafe_code)]

use super::change::found;
use super::error::ContainerError;
use super::heap::Heap;
use super::layout::ROOT3;
use super::lock::Locked;
use super::look::Look;
use super::value::{Incoming, Sink, Word, read_value};

/// One value.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) heap: Heap,
}

/// The value's word.
const WORD: u64 = ROOT3;

impl Cell {
    /// The value.
    #[inline(always)]
    pub(crate) fn get<S: Sink>(&self, sink: &S) -> Result<Result<S::Made, S::Error>, ContainerError> {
        self.heap.read(|look| read_value(look, look.root(WORD), sink))
    }

    /// Replaces the value.
    #[inline(always)]
    pub(crate) fn set(&self, value: &Incoming<'_>) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        locked.replace(self.heap.head + WORD, value)
    }

    /// Adds to an int; the sum. `None` if the value is no int of 48 bits, or would not stay one: nothing has happened.
    #[inline(always)]
    pub(crate) fn add(&self, amount: i64) -> Result<Option<i64>, ContainerError> {
        let locked = self.heap.lock()?;
        let sum = Word(locked.root(WORD)).as_int().and_then(|old| old.checked_add(amount));
        let Some((sum, word)) = sum.and_then(|sum| Some((sum, Word::of_int(sum)?))) else {
            return Ok(None);
        };
        locked.set(self.heap.head + WORD, word.0)?;
        Ok(Some(sum))
    }

    /// What `read` makes of the value while nobody can change it.
    pub(crate) fn locked_get<S: Sink>(
        &self,
        locked: &Locked<'_>,
        sink: &S,
    ) -> Result<Result<S::Made, S::Error>, ContainerError> {
        let look = Look::locked(&self.heap);
        found(&self.heap, read_value(&look, locked.root(WORD), sink))
    }
}

impl Locked<'_> {
    /// Puts a value where another is; a blob that was there goes into limbo.
    ///
    /// # Errors
    /// No memory; nothing has happened then.
    #[inline(always)]
    pub(crate) fn replace(&self, at: u64, value: &Incoming<'_>) -> Result<(), ContainerError> {
        let old = Word(self.load(at)?);
        match (value, old.as_blob()) {
            (Incoming::Word(word), None) => self.set(at, word.0),
            (_, old) => self.replace_blob(at, old, value),
        }
    }

    #[inline(never)]
    fn replace_blob(&self, at: u64, old: Option<u64>, value: &Incoming<'_>) -> Result<(), ContainerError> {
        self.make_room_in_limbo()?;
        let mut change = self.change();
        let word = value.place(&mut change)?;
        change.put(at, word.0)?;
        if let Some(old) = old {
            change.retire(old)?;
        }
        change.commit(false)
    }
}
