//! How deep a call is in calls of its own kind: what leads back to itself, as only damaged or odd data do, must end in an
//! error and not at the end of the stack.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::thread::LocalKey;

use pyo3::exceptions::{PyRecursionError, PyValueError};
use pyo3::prelude::*;

/// `NumPy` gives an array no more dimensions.
const ARRAY_LEVELS: usize = 64;
/// Far fewer than the smallest stack of a thread holds.
const HASH_LEVELS: usize = 200;
/// As many as calls of Python functions may be nested by default; each takes about a KiB of the stack.
const COMPARISON_LEVELS: usize = 1000;

thread_local! {
    static ARRAYS: Cell<usize> = const { Cell::new(0) };
    static HASHES: Cell<usize> = const { Cell::new(0) };
    static COMPARISONS: Cell<usize> = const { Cell::new(0) };
}

/// One level, left when it is dropped.
pub(crate) struct Level(&'static LocalKey<Cell<usize>>);

impl Level {
    fn enter(levels: &'static LocalKey<Cell<usize>>, limit: usize) -> Option<Self> {
        let level = levels.get();
        (level < limit).then(|| {
            levels.set(level + 1);
            Self(levels)
        })
    }

    /// A list in a list that is being made an array: `NumPy` asks each for its own.
    pub(crate) fn of_array() -> PyResult<Self> {
        Self::enter(&ARRAYS, ARRAY_LEVELS).ok_or_else(|| {
            PyValueError::new_err(
                "lists are nested deeper than an array has dimensions, or in a cycle",
            )
        })
    }

    /// A tuple or frozenset in one that is being hashed.
    pub(crate) fn of_hash() -> PyResult<Self> {
        Self::enter(&HASHES, HASH_LEVELS)
            .ok_or_else(|| PyRecursionError::new_err("tuples are nested too deep to be hashed"))
    }

    /// Parts of views that are being compared.
    pub(crate) fn of_comparison() -> PyResult<Self> {
        Self::enter(&COMPARISONS, COMPARISON_LEVELS).ok_or_else(|| {
            PyRecursionError::new_err("maximum recursion depth exceeded in comparison")
        })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
