//! `repr()` of what may hold itself: objects are made anew each time they are read, so one is recognised by its place.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;

/// As many as calls of Python functions may be nested by default; each takes about a KiB of the stack.
const LEVELS: usize = 1000;

thread_local! {
    /// Nodes whose text is being made, by the address of their image and their offset.
    static OPEN: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) };
}

/// Makes the text of a node, or gives `again` if that is what is being made already.
pub(crate) fn guarded(
    image: usize,
    node: u64,
    again: &str,
    make: impl FnOnce() -> PyResult<String>,
) -> PyResult<String> {
    let met = OPEN.with_borrow(|open| open.contains(&(image, node)));
    if met {
        return Ok(again.to_owned());
    }
    if OPEN.with_borrow(Vec::len) >= LEVELS {
        return Err(PyRecursionError::new_err(
            "maximum recursion depth exceeded while getting the repr of an object",
        ));
    }
    OPEN.with_borrow_mut(|open| open.push((image, node)));
    let text = make();
    OPEN.with_borrow_mut(Vec::pop);
    text
}
