//! Which elements of a column, in which order.
#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PySlice;

/// Which elements of an image, in which order: element `i` is element `start + i * step` of the column.
///
/// **Invariant.** `S1`: that lies in the column for every `i < len`.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) start: isize,
    pub(crate) step: isize,
    pub(crate) len: usize,
}

impl Steps {
    /// Checks that the steps stay inside a sequence of `count` elements.
    pub(crate) fn checked(start: isize, step: isize, len: usize, count: usize) -> Option<Self> {
        let inside = |at: isize| usize::try_from(at).is_ok_and(|at| at < count);
        let steps = Self { start, step, len };
        if len == 0 {
            return Some(Self {
                start: 0,
                step: 1,
                len: 0,
            });
        }
        let last = isize::try_from(len - 1)
            .ok()?
            .checked_mul(step)?
            .checked_add(start)?;
        (inside(start) && inside(last)).then_some(steps)
    }

    /// The image's index of element `index`, which must be below `len`.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> usize {
        // By S1 this does not wrap. The product, which hardly anybody needs, would be waited for.
        let distance = if self.step == 1 {
            index.cast_signed()
        } else {
            index.cast_signed().wrapping_mul(self.step)
        };
        self.start.wrapping_add(distance).cast_unsigned()
    }

    /// The image's index of an element counted from the front, or from the end if negative.
    #[inline]
    pub(crate) fn position(&self, index: isize) -> Option<usize> {
        let from_front = if index < 0 {
            index.wrapping_add(self.len.cast_signed())
        } else {
            index
        };
        let index = from_front.cast_unsigned();
        (index < self.len).then(|| self.at(index))
    }

    /// Elements of these: `len` of them from `start` on, `step` apart, all of which exist.
    fn slice(&self, start: isize, step: isize, len: usize) -> Self {
        let (start, step) = match len {
            0 => (0, 1),
            // A single element may come with any step, which would overflow.
            1 => (self.at(start.unsigned_abs()).cast_signed(), 1),
            _ => (
                self.at(start.unsigned_abs()).cast_signed(),
                self.step * step,
            ),
        };
        Self { start, step, len }
    }

    /// The elements of these that a slice object asks for.
    pub(crate) fn of_slice(&self, slice: &Bound<'_, PySlice>) -> PyResult<Self> {
        let part = slice.indices(self.len.cast_signed())?;
        Ok(self.slice(part.start, part.step, part.slicelength))
    }

    /// The same elements from the last to the first.
    pub(crate) fn reversed(&self) -> Self {
        if self.len == 0 {
            return *self;
        }
        let start = self.at(self.len - 1).cast_signed();
        Self {
            start,
            step: self.step.wrapping_neg(),
            len: self.len,
        }
    }
}
