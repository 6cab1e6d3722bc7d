//! What was met before: an object with more than one owner becomes one node, or one blob if it is long text.
#![forbid(unsafe_code)]

use onecopy::image::{BuildError, Scalar, Text, Word, put_row};
use pyo3::prelude::*;

use super::packer::Packer;
use super::source::LONG_LEN;
use crate::error::Error;
use crate::value::item::Item;

/// What an object that was met before has become.
#[derive(Clone, Copy)]
pub(crate) enum Known {
    /// A value that its word leads to.
    Word(Word),
    /// A row of a table, which has no node of its own so far.
    Row { table: u64, row: u64 },
}

impl<'py> Packer<'_, '_, 'py> {
    /// The word of a plain value; long text that several owners refer to is written once.
    #[inline]
    pub(super) fn scalar(
        &mut self,
        item: Item,
        scalar: &Scalar<'_>,
        extra: isize,
    ) -> PyResult<Word> {
        let (Scalar::Str(Text { bytes, .. }) | Scalar::Bytes(bytes)) = scalar else {
            return Ok(self.arena.blob(scalar).map_err(Error::from)?);
        };
        if bytes.len() < LONG_LEN || !item.is_shared(extra) {
            return Ok(self.arena.blob(scalar).map_err(Error::from)?);
        }
        if let Some(word) = self.recall(item, extra)? {
            return Ok(word);
        }
        let word = self.arena.blob(scalar).map_err(Error::from)?;
        self.remember(&item.object(self.py), extra + 1, Known::Word(word));
        Ok(word)
    }

    /// What an object has become, if it was met before.
    pub(super) fn recall(&mut self, item: Item, extra: isize) -> PyResult<Option<Word>> {
        if !item.is_shared(extra) {
            return Ok(None);
        }
        let Some((object, known)) = self.known.get(&item.address()) else {
            return Ok(None);
        };
        match *known {
            Known::Word(word) => Ok(Some(word)),
            Known::Row { table, row } => {
                let object = object.clone();
                let node = put_row(self.arena, table, row).map_err(Error::from)?;
                let word = node_word(node)?;
                self.remember(&object, isize::MIN / 2, Known::Word(word));
                Ok(Some(word))
            }
        }
    }

    /// Whether an object is a row or node already.
    pub(super) fn is_known(&self, item: Item, extra: isize) -> bool {
        item.is_shared(extra) && self.known.contains_key(&item.address())
    }

    /// Remembers an object if it can be met again.
    pub(super) fn remember(&mut self, object: &Bound<'py, PyAny>, extra: isize, known: Known) {
        let item = Item::of(object);
        if item.is_shared(extra) {
            self.known.insert(item.address(), (object.clone(), known));
        }
    }
}

/// The word of a node.
pub(super) fn node_word(node: u64) -> PyResult<Word> {
    let too_large = BuildError::TooLarge { len: node };
    Ok(Word::node(node).ok_or_else(|| Error::from(too_large))?)
}
