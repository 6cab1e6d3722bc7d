//! A list of writes {offset, value} in shared memory: the intent record, or the long one (change.rs).
#![forbid(unsafe_code)]

use super::number_map::NumberMap;
use super::words::Words;

/// A list of writes in shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Where the first write stands.
    pub(crate) at: u64,
    /// Writes.
    pub(crate) len: u64,
}

impl Record {
    /// No list.
    pub(crate) const EMPTY: Self = Self { at: 0, len: 0 };

    #[inline(always)]
    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The offset and value of a write; zeros for one beyond the store.
    #[inline(always)]
    pub(crate) fn write(self, words: &Words, index: u64) -> (u64, u64) {
        let at = self.at.wrapping_add(16 * index);
        (words.relaxed(at), words.relaxed(at.wrapping_add(8)))
    }

    /// The list by offsets, of which the last write counts; `None` without memory for it, or if it is longer than any.
    pub(super) fn index(self, words: &Words) -> Option<NumberMap<u64>> {
        if self.len > words.len() / 16 {
            return None;
        }
        let mut index = NumberMap::default();
        for number in 0..self.len {
            let (at, value) = self.write(words, number);
            index.try_reserve(1).ok()?;
            index.insert(at, value);
        }
        Some(index)
    }

    /// What the list says of a word.
    #[cold]
    pub(crate) fn find(self, words: &Words, at: u64) -> Option<u64> {
        let write = (0..self.len).rev().map(|index| self.write(words, index));
        write
            .into_iter()
            .find(|write| write.0 == at)
            .map(|write| write.1)
    }
}
