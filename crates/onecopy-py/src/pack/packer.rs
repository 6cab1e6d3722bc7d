//! The state of a walk over the objects, and what it remembers of them.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use onecopy::image::{
    Arena, ColumnCursor, FORMAT_VERSION, NESTED_VERSION, Scalar, Text, Word, put_row,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::classes::Layouts;
use super::known::{Known, KnownKeys, node_word};
use super::path::Step;
use super::progress::Reporter;
use super::source::LONG_LEN;
use super::spool::Spool;
use super::waiting::Waiting;
use super::ways::Parts;
use crate::error::Error;
use crate::value::item::Item;

/// A placed node whose content is still to be written.
pub(super) enum Job<'py> {
    Sequence {
        object: Bound<'py, PyAny>,
        cursor: ColumnCursor,
        extra: isize,
        labels: Option<Bound<'py, PyList>>,
    },
    Dict {
        object: Bound<'py, PyDict>,
        node: u64,
    },
    Set {
        object: Bound<'py, PyAny>,
        node: u64,
    },
    Typed {
        parts: Parts<'py>,
        node: u64,
    },
}

/// One walk over the objects.
pub(crate) struct Packer<'w, 'm, 'py> {
    pub(super) py: Python<'py>,
    pub(super) arena: &'w mut Arena<'m>,
    pub(super) spool: &'w mut Spool<'py>,
    pub(super) reporter: Reporter<'py>,
    pub(super) path: Vec<Step<'py>>,
    pub(super) known_keys: KnownKeys<'py>,
    /// By identity; each is kept alive, so that no other object can take its address.
    pub(super) known: HashMap<usize, (Bound<'py, PyAny>, Known)>,
    pub(super) queue: Vec<Job<'py>>,
    pub(super) layouts: Layouts<'py>,
    pub(super) waiting: Waiting<'py>,
    pub(super) depth: usize,
    /// Blobs of the names of classes.
    pub(super) class_names: HashMap<String, u64>,
    /// Whether there are typed nodes, which readers of older versions do not know.
    pub(super) has_typed: bool,
}

impl<'w, 'm, 'py> Packer<'w, 'm, 'py> {
    pub(crate) fn new(
        py: Python<'py>,
        arena: &'w mut Arena<'m>,
        spool: &'w mut Spool<'py>,
        reporter: Reporter<'py>,
    ) -> Self {
        Self {
            py,
            arena,
            spool,
            reporter,
            path: Vec::new(),
            known_keys: KnownKeys::default(),
            known: HashMap::new(),
            queue: Vec::new(),
            layouts: Layouts::default(),
            waiting: Waiting::default(),
            depth: 0,
            class_names: HashMap::new(),
            has_typed: false,
        }
    }

    /// Steps so far.
    pub(crate) fn steps(&self) -> u64 {
        self.reporter.done()
    }

    /// The version of the readers that know all nodes so far.
    pub(crate) const fn version(&self) -> u32 {
        if self.has_typed {
            FORMAT_VERSION
        } else {
            NESTED_VERSION
        }
    }

    /// Reports the end of a phase.
    pub(crate) fn done(&self) -> PyResult<()> {
        self.reporter.report(self.py)
    }
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
