//! A set of pages, by address divided by the page size: one bit each, in chunks, so that sparse address
//! spaces cost nothing and four GiB of small pages cost 128 KiB.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ops::Range;

/// Pages per chunk; 2 MiB where pages have 4 KiB.
const CHUNK: u64 = 512;
const WORDS: usize = CHUNK as usize / 64;

/// A set of page numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PageSet {
    chunks: HashMap<u64, [u64; WORDS]>,
}

impl PageSet {
    pub(crate) fn insert(&mut self, page: u64) {
        let (word, bit) = place(page);
        self.chunks.entry(page / CHUNK).or_default()[word] |= bit;
    }

    pub(crate) fn insert_all(&mut self, pages: Range<u64>) {
        let mut page = pages.start;
        while page < pages.end {
            let (word, _) = place(page);
            // The rest of the word's 64 pages at once.
            let last = (page | 63).min(pages.end - 1);
            let bits = u64::MAX >> (63 - (last - page)) << (page % 64);
            self.chunks.entry(page / CHUNK).or_default()[word] |= bits;
            page = last + 1;
        }
    }

    pub(crate) fn contains(&self, page: u64) -> bool {
        let (word, bit) = place(page);
        self.chunks
            .get(&(page / CHUNK))
            .is_some_and(|chunk| chunk[word] & bit != 0)
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        for (number, words) in &other.chunks {
            let chunk = self.chunks.entry(*number).or_default();
            for (word, more) in chunk.iter_mut().zip(words) {
                *word |= more;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(crate) fn len(&self) -> u64 {
        let words = self.chunks.values().flatten();
        words.map(|word| u64::from(word.count_ones())).sum()
    }

    /// The pages, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        let mut numbers: Vec<u64> = self.chunks.keys().copied().collect();
        numbers.sort_unstable();
        numbers.into_iter().flat_map(|number| {
            (0..CHUNK)
                .map(move |index| number * CHUNK + index)
                .filter(|page| self.contains(*page))
        })
    }
}

fn place(page: u64) -> (usize, u64) {
    let index = page % CHUNK;
    ((index / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_kept_in_order_and_joined() {
        let mut set = PageSet::default();
        assert!(set.is_empty());
        for page in [512, 3, 511, 1 << 40] {
            set.insert(page);
            set.insert(page);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 511, 512, 1 << 40]);
        assert!(set.contains(511) && !set.contains(510));
        let mut run = PageSet::default();
        run.insert_all(60..200);
        run.insert_all(200..200);
        run.insert_all(1024..1025);
        assert_eq!(
            run.iter().collect::<Vec<_>>(),
            (60..200).chain([1024]).collect::<Vec<_>>()
        );
        let mut other = PageSet::default();
        other.insert(4);
        other.extend(&set);
        assert_eq!((other.len(), set.len()), (5, 4));
    }
}
