//! Which spans are a container's own, as this process knows it: who writes to no others damages nobody, whatever an
//! offset in the container says.
//!
//! A bit per span of the data area, in leaves of [`LEAF_SPANS`] that are made when their first span comes.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use super::layout::SPAN;
use super::objects::Row;
use super::spans;
use crate::primitive::{AtomicU64, Ordering};

const LEAF_WORDS: usize = 512;
/// Spans of a leaf, which is a page: 2 GiB of the data area.
const LEAF_SPANS: u64 = LEAF_WORDS as u64 * 64;

type Leaf = [AtomicU64; LEAF_WORDS];

/// In [`OwnSpans::last`]: none. No span has this number.
const NONE: u64 = u64::MAX;

/// A set of spans.
pub(super) struct OwnSpans {
    leaves: Box<[OnceLock<Box<Leaf>>]>,
    /// The one of them that a writer asked about last, or [`NONE`]. Writers ask about the same one again, and right behind
    /// the lock they wait for each of the loads that lead to a bit.
    last: AtomicU64,
}

impl OwnSpans {
    /// None of `span_count` spans.
    pub(super) fn new(span_count: u64) -> Self {
        let leaves = span_count.div_ceil(LEAF_SPANS);
        Self {
            leaves: (0..leaves).map(|_| OnceLock::new()).collect(),
            last: AtomicU64::new(NONE),
        }
    }

    /// Whether the byte at `offset` of the data area lies in one of the spans.
    #[inline]
    pub(super) fn have(&self, offset: u64) -> bool {
        let span = offset / SPAN;
        let leaf = self.leaves.get((span / LEAF_SPANS) as usize);
        let word = leaf
            .and_then(OnceLock::get)
            .and_then(|leaf| leaf.get(word_of(span)));
        // Relaxed: changed and asked under the container's lock.
        word.is_some_and(|word| word.load(Ordering::Relaxed) & bit_of(span) != 0)
    }

    /// The same, for the holder of the container's lock.
    #[inline]
    pub(super) fn have_locked(&self, offset: u64) -> bool {
        // Relaxed: see `have`. Whoever takes a span out has seen to it that no writer is led there any more.
        self.last.load(Ordering::Relaxed) == offset / SPAN || self.find_locked(offset)
    }

    #[inline(never)]
    fn find_locked(&self, offset: u64) -> bool {
        let is_own = self.have(offset);
        if is_own {
            // Relaxed: see `have`.
            self.last.store(offset / SPAN, Ordering::Relaxed);
        }
        is_own
    }

    /// Adds the spans of a row.
    pub(super) fn add(&self, row: &Row) {
        self.add_run(row.first, row.len);
    }

    /// Adds the spans of `len` bytes from span `first` on.
    pub(super) fn add_run(&self, first: u64, len: u64) {
        for span in spans_of(first, len) {
            let Some(leaf) = self.leaves.get((span / LEAF_SPANS) as usize) else {
                continue;
            };
            let leaf = leaf.get_or_init(|| Box::new([const { AtomicU64::new(0) }; LEAF_WORDS]));
            if let Some(word) = leaf.get(word_of(span)) {
                // Relaxed: see `have`.
                word.fetch_or(bit_of(span), Ordering::Relaxed);
            }
        }
    }

    /// Takes the spans of a row out.
    pub(super) fn remove(&self, row: &Row) {
        for span in spans_of(row.first, row.len) {
            let leaf = self.leaves.get((span / LEAF_SPANS) as usize);
            let word = leaf
                .and_then(OnceLock::get)
                .and_then(|leaf| leaf.get(word_of(span)));
            if let Some(word) = word {
                // Relaxed: see `have`.
                word.fetch_and(!bit_of(span), Ordering::Relaxed);
            }
        }
        // Relaxed: see `have`.
        self.last.store(NONE, Ordering::Relaxed);
    }

    /// Takes all out.
    pub(super) fn clear(&self) {
        // Relaxed: see `have`.
        self.last.store(NONE, Ordering::Relaxed);
        for word in self
            .leaves
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|leaf| leaf.iter())
        {
            // Relaxed: see `have`.
            word.store(0, Ordering::Relaxed);
        }
    }
}

fn spans_of(first: u64, len: u64) -> std::ops::Range<u64> {
    first..first.saturating_add(spans::spans_of(len))
}

const fn word_of(span: u64) -> usize {
    (span % LEAF_SPANS / 64) as usize
}

const fn bit_of(span: u64) -> u64 {
    1 << (span % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ObjectId;
    use crate::store::objects::State;

    fn offset(span: u64) -> u64 {
        span.saturating_mul(SPAN)
    }

    fn row(first: u64, spans: u64) -> Row {
        Row {
            id: ObjectId {
                index: 0,
                generation: 1,
            },
            state: State::Chunk,
            owner: 0,
            first,
            len: offset(spans),
            count: 0,
            tag: 0,
            next: None,
        }
    }

    #[test]
    fn spans_come_and_go_over_the_edges_of_words_and_leaves() {
        let spans = OwnSpans::new(3 * LEAF_SPANS);
        let runs = [(60, 10), (LEAF_SPANS - 2, 4), (3 * LEAF_SPANS - 1, 1)];
        for (first, n) in runs {
            spans.add(&row(first, n));
            let has = |span: u64| {
                let is_there = spans.have(span * SPAN) && spans.have(span * SPAN + SPAN - 1);
                // The first answer is looked up, the second remembered.
                let is_known = [0, 1].map(|_| spans.have_locked(span * SPAN));
                assert_eq!(is_known, [is_there; 2]);
                is_there
            };
            assert!((first..first + n).all(has));
            assert!(!has(first - 1) && !has(first + n));
        }
        assert!(spans.have_locked(61 * SPAN));
        spans.remove(&row(61, 1));
        assert!(!spans.have_locked(61 * SPAN));
        assert!(spans.have(60 * SPAN) && !spans.have(61 * SPAN) && spans.have(62 * SPAN));
        assert!(spans.have_locked(60 * SPAN));
        spans.clear();
        assert!(!spans.have_locked(60 * SPAN));
        assert!(runs.iter().all(|(first, _)| !spans.have(first * SPAN)));
        // Beyond the store nothing is anybody's.
        spans.add(&row(3 * LEAF_SPANS, 1));
        assert!(!spans.have(3 * LEAF_SPANS * SPAN) && !spans.have_locked(u64::MAX));
    }
}
