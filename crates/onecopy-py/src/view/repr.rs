//! `repr()` of views: short, as NumPy's is, and with an end where data have cycles. A view is made anew each time it is
//! read, so it is recognised by its node.
//!
//! A text of all that a large view shows would fill the terminal, or the log that an error is written to. So one `repr()`
//! shows [`SHOWN`] elements, of whatever depth; a list that does not fit in is shown by its ends.
#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::image::Image;
pub(super) use crate::value::repr::guarded;

/// Elements that one text shows before it gets short.
const SHOWN: usize = 1000;
/// Elements at each end of what is cut.
const EDGE: usize = 3;
/// Elements after which nothing more is shown but that there is something.
const MOST: usize = 2 * SHOWN;
/// Characters of a str or of bytes.
const TEXT: usize = 1000;
const CUT: &str = "...";

thread_local! {
    /// How many elements the text that is being made has; `None` outside of any.
    static SO_FAR: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Forgets the count when the outermost text is made, also where that failed.
struct Outermost(bool);

impl Drop for Outermost {
    fn drop(&mut self) {
        if self.0 {
            SO_FAR.set(None);
        }
    }
}

/// The texts of `len` elements, or of the first and last of them, with commas between.
pub(super) fn listed(
    len: usize,
    mut text_of: impl FnMut(usize) -> PyResult<String>,
) -> PyResult<String> {
    let before = SO_FAR.get();
    let _outermost = Outermost(before.is_none());
    let so_far = before.unwrap_or(0);
    SO_FAR.set(Some(so_far));
    if len > 0 && so_far >= MOST {
        return Ok(CUT.to_owned());
    }
    let is_cut = len > 2 * EDGE && so_far.saturating_add(len) > SHOWN;
    let edge = if is_cut { EDGE } else { len };
    SO_FAR.set(Some(so_far + if is_cut { 2 * EDGE } else { len }));
    let mut texts = (0..edge).map(&mut text_of).collect::<PyResult<Vec<_>>>()?;
    if is_cut {
        texts.push(CUT.to_owned());
        for index in len - EDGE..len {
            texts.push(text_of(index)?);
        }
    }
    Ok(texts.join(", "))
}

/// The text of an element: of a long str or bytes, its beginning and end.
pub(super) fn of(element: &Bound<'_, PyAny>) -> PyResult<String> {
    let text = element.repr()?.to_string();
    let is_text =
        element.is_exact_instance_of::<PyString>() || element.is_exact_instance_of::<PyBytes>();
    Ok(if is_text { short(text) } else { text })
}

/// A text, or its beginning and end if it is long.
pub(super) fn short(text: String) -> String {
    // Bytes are at least as many as characters.
    if text.len() <= TEXT || text.chars().count() <= TEXT {
        return text;
    }
    let half = TEXT / 2;
    let first: String = text.chars().take(half).collect();
    let last = text
        .char_indices()
        .nth_back(half - 1)
        .map_or("", |(at, _)| &text[at..]);
    format!("{first}{CUT}{last}")
}

/// What tells a row from others in [`guarded`]: no node has an odd offset, and no two rows of an image the same sum.
pub(super) fn row(image: &Py<Image>, table: u64, row: usize) -> (usize, u64) {
    (image.as_ptr().addr().wrapping_add(row), (table << 1) | 1)
}
