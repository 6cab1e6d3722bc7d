//! What was met before: an object with more than one owner becomes one node, or one blob if it is long text.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use onecopy::image::{BuildError, Word};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::error::Error;

/// What an object that was met before has become.
#[derive(Clone, Copy)]
pub(crate) enum Known {
    /// A value that its word leads to.
    Word(Word),
    /// A row of a table, which has no node of its own so far.
    Row { table: u64, row: u64 },
}

/// Keys nodes by the identities of their keys. The keys are kept alive, so that no others can take their addresses.
#[derive(Default)]
pub(super) struct KnownKeys<'py> {
    pub(super) nodes: HashMap<Box<[usize]>, (Bound<'py, PyList>, u64)>,
    pub(super) scratch: Vec<usize>,
}

/// The word of a node.
pub(super) fn node_word(node: u64) -> PyResult<Word> {
    let too_large = BuildError::TooLarge { len: node };
    Ok(Word::node(node).ok_or_else(|| Error::from(too_large))?)
}
