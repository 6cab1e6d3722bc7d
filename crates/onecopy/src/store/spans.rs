//! Spans: finding room in the store.
//!
//! ```text
//! word of 32 bits and its check (check.rs):  used (1) | n (31)    at the first span of a run of n
//! ```
//! Below `SpanHigh` the spans are divided into runs, used and free, one after the other; above it all are free and no
//! word means anything, nor do words inside a run. A run is found by walking from one head to the next, first fit;
//! there are no lists, so free neighbours join when one of them is taken. Free spans hold no pages: an object's pages
//! are punched out before its run is made free.
//!
//! **Invariants.** `I1`: walking from span 0 by the lengths of the runs lands on `SpanHigh`. `I2`: `SpanHint` is such
//! a boundary and no free run is below it. `I3`: used runs ↔ objects that are not FREE, one to one.
#![forbid(unsafe_code)]

use super::check;
use super::intent::Intent;
use super::layout::{Counter, Geometry, SPAN};
use super::locked::Locked;
use crate::error::{AllocateError, Corrupt};
use crate::sys::mapping::HUGE_PAGE;
use crate::sys::memory;

/// Bits of a word's value.
const BITS: u32 = 32;
/// Marks a run that an object uses.
const USED: u64 = 1 << 31;
/// Spans of one huge page.
const HUGE_SPANS: u64 = HUGE_PAGE / SPAN;

/// Spans between two boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) is_used: bool,
    pub(crate) n: u64,
}

/// A free stretch and where in it an object is to lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Where the stretch begins: a boundary.
    from: u64,
    /// The object's first span.
    pub(crate) first: u64,
    /// Its spans.
    n: u64,
    /// Where the stretch ends, or what is known of it: a boundary, unless it is the object's own end.
    end: u64,
    /// `SpanHigh` and `SpanHint` at that time.
    high: u64,
    hint: u64,
}

impl Room {
    /// The end of the object's spans.
    pub(crate) fn object_end(&self) -> u64 {
        self.first.saturating_add(self.n)
    }
}

/// Spans that `len` bytes need.
pub(crate) fn spans_of(len: u64) -> u64 {
    len.div_ceil(SPAN).max(1)
}

impl Locked<'_> {
    /// The run that begins at a boundary.
    pub(crate) fn run_at(&self, span: u64) -> Result<Run, Corrupt> {
        let at = self.file.geometry.span_word(span);
        let room = self.file.geometry.span_count.saturating_sub(span);
        let value = check::value(at, BITS, self.file.mem.get(at));
        let run = value.map(|value| Run {
            is_used: value & USED != 0,
            n: value & !USED,
        });
        run.filter(|run| run.n > 0 && run.n <= room).ok_or_else(|| {
            self.file
                .corrupt(at, "a span word that is no head of a run")
        })
    }

    /// Adds the head of a run to a change.
    pub(crate) fn set_run(&self, intent: &mut Intent, first: u64, run: Run) {
        let at = self.file.geometry.span_word(first);
        let used = if run.is_used { USED } else { 0 };
        intent.set(at, check::with(at, BITS, used | run.n));
    }

    /// The high-water mark and the hint.
    fn span_bounds(&self) -> Result<(u64, u64), Corrupt> {
        let high = self.high(Counter::SpanHigh)?;
        Ok((high, self.hint(Counter::SpanHint, high)?))
    }

    /// Finds `n` free spans in a row; objects of 2 MiB and more begin at a multiple of 2 MiB.
    pub(crate) fn find_room(&self, n: u64, len: u64) -> Result<Room, AllocateError> {
        let align = if len >= HUGE_PAGE { HUGE_SPANS } else { 1 };
        let count = self.file.geometry.span_count;
        let (high, hint) = self.span_bounds()?;
        let (mut span, mut from) = (hint, hint);
        let room = |from, first, end| Room {
            from,
            first,
            n,
            end,
            high,
            hint,
        };
        while span < high {
            let run = self.run_at(span)?;
            let end = span.saturating_add(run.n);
            if end > high {
                let at = self.file.geometry.span_word(span);
                return Err(self.file.corrupt(at, "a run past the last one").into());
            }
            span = end;
            if run.is_used {
                from = end;
                continue;
            }
            let first = from.next_multiple_of(align);
            if first.checked_add(n).is_some_and(|needed| needed <= end) {
                return Ok(room(from, first, end));
            }
        }
        // From `from` on everything is free, up to the end of the address range.
        let first = from.next_multiple_of(align);
        match first.checked_add(n) {
            Some(end) if end <= count => Ok(room(from, first, end.max(high))),
            _ => Err(self.no_room(first, n, len)),
        }
    }

    /// Why there is no room at the end: a store that was made under a limit of file sizes reaches little beyond it, any
    /// other ends with its address range.
    pub(super) fn no_room(&self, first: u64, n: u64, requested: u64) -> AllocateError {
        let Geometry { span_count, .. } = self.file.geometry;
        let from = self.file.geometry.span_data(first);
        let end = self.file.geometry.span_data(first.saturating_add(n));
        let (file_limit, capacity) = (
            memory::file_size_limit(),
            self.file.geometry.span_data(span_count),
        );
        let (reach, limit) = if end > file_limit {
            (file_limit, memory::FILE_SIZE_LIMIT)
        } else {
            (capacity, "the store's address range")
        };
        AllocateError::NoMemory {
            requested,
            available: reach.saturating_sub(from),
            limit,
        }
    }

    /// Adds the taking of a room to a change: at most three heads and two counters.
    pub(crate) fn take_room(&self, intent: &mut Intent, room: &Room) {
        let end = room.object_end();
        let mut free = |from: u64, to: u64| {
            if from < to {
                let n = to.saturating_sub(from);
                self.set_run(intent, from, Run { is_used: false, n });
            }
        };
        free(room.from, room.first);
        free(end, room.end);
        let n = room.n;
        self.set_run(intent, room.first, Run { is_used: true, n });
        let is_first = room.hint == room.first;
        intent
            .set_counter(Counter::SpanHigh, room.high.max(end))
            .set_counter(Counter::SpanHint, if is_first { end } else { room.hint });
    }

    /// Adds the freeing of an object's run to a change.
    pub(crate) fn free_run(&self, intent: &mut Intent, first: u64, n: u64) -> Result<(), Corrupt> {
        let (_, hint) = self.span_bounds()?;
        self.set_run(intent, first, Run { is_used: false, n });
        intent.set_counter(Counter::SpanHint, hint.min(first));
        Ok(())
    }
}
