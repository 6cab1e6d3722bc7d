//! Spans: finding room in the store.
//!
//! The word of a run's *first* span is the only truth: `HEAD | n` while n spans are in use, 0 when
//! free. Words inside a run stay 0. A run is found by walking from one head to the next, first fit;
//! there are no lists, so free neighbours join by themselves. Free spans hold no pages: an object's
//! pages are punched out before its head is cleared.
//!
//! **Invariants.** `I1`: walking from span 0 by `n` for a head and by 1 for a free span never lands
//! inside a run. `I2`: `SpanHint` is such a boundary and no free span is below it. `I3`: no head is at
//! or above `SpanHigh`.
#![forbid(unsafe_code)]

use super::file::Locked;
use super::layout::{Counter, SPAN};
use crate::error::{AccessError, AllocateError};
use crate::sys::mapping::HUGE_PAGE;

/// Marks the first span of a run.
const HEAD: u64 = 1 << 63;
/// Spans of one huge page.
const HUGE_SPANS: u64 = HUGE_PAGE / SPAN;

/// The word of a run of `n` spans.
pub(crate) const fn head(n: u64) -> u64 {
    HEAD | n
}

/// Spans that `len` bytes need.
pub(crate) fn spans_of(len: u64) -> u64 {
    len.div_ceil(SPAN).max(1)
}

impl Locked<'_> {
    /// The run that begins at a boundary: 0 if the span is free.
    pub(crate) fn run_at(&self, span: u64) -> Result<u64, AccessError> {
        let at = self.file.geometry.span_word(span);
        let word = self.file.mem.get(at);
        if word == 0 {
            return Ok(0);
        }
        let n = word & !HEAD;
        let room = self.file.geometry.span_count.saturating_sub(span);
        if word & HEAD == 0 || n == 0 || n > room {
            return Err(self
                .file
                .corrupt(at, "a span word that is neither free nor a head")
                .into());
        }
        Ok(n)
    }

    /// Finds `n` free spans in a row; objects of 2 MiB and more begin at a multiple of 2 MiB.
    pub(crate) fn find_run(&self, n: u64, len: u64) -> Result<u64, AllocateError> {
        let align = if len >= HUGE_PAGE { HUGE_SPANS } else { 1 };
        let count = self.file.geometry.span_count;
        let high = self.counter(Counter::SpanHigh).min(count);
        let mut span = self.counter(Counter::SpanHint).min(high);
        let mut start = span.next_multiple_of(align);
        while span < high {
            let used = self.run_at(span)?;
            if used > 0 {
                span = span.saturating_add(used);
                start = span.next_multiple_of(align);
            } else {
                span = span.saturating_add(1);
                if span >= start && span.saturating_sub(start) >= n {
                    return Ok(start);
                }
            }
        }
        // From `start` on everything is free, up to the end of the address range.
        if start.checked_add(n).is_some_and(|end| end <= count) {
            return Ok(start);
        }
        Err(AllocateError::Full {
            store: self.file.uuid,
            what: "run of spans",
            capacity: count,
        })
    }

    /// Where `SpanHint` stands after the run `first..first + n` was taken.
    pub(crate) fn hint_after_take(&self, first: u64, n: u64) -> u64 {
        let hint = self.counter(Counter::SpanHint);
        if first == hint {
            first.saturating_add(n)
        } else {
            hint
        }
    }
}
