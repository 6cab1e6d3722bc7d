//! `repr()` of data with cycles: a view is made anew each time it is read, so it is recognised by its node.
#![forbid(unsafe_code)]

use pyo3::prelude::*;

use crate::image::Image;
pub(super) use crate::value::repr::guarded;

/// What tells a row from others in [`guarded`]: no node has an odd offset, and no two rows of an image the same sum.
pub(super) fn row(image: &Py<Image>, table: u64, row: usize) -> (usize, u64) {
    (image.as_ptr().addr().wrapping_add(row), (table << 1) | 1)
}
