//! The walk over the objects, which is the same while measuring and while writing.
//!
//! A node is placed as soon as its container is met, from a look at its elements alone, and filled at once; below
//! [`DEPTH`] levels it is put into a queue instead, so no nesting is too deep. Whatever more than one owner refers to is
//! remembered by identity: it becomes one node, and cycles end. An object with one owner cannot be met twice and is not
//! remembered.

use onecopy::image::{
    BuildError, ColumnCursor, ColumnKind, Container, Plan, Survey, Word, place_dict, place_set,
    put_dict, put_set, put_value,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PySet};

use super::flat::INT_WIDTH;
use super::known::{Known, node_word};
use super::packer::{Job, Packer};
use super::path::Step;
use super::source::{CHUNK_LEN, Repeats, Source, exact};
use crate::error::Error;
use crate::value::item::Item;
use crate::view::kinds;

/// Containers in containers that are filled at once; deeper ones wait in a queue.
pub(super) const DEPTH: usize = 64;

impl<'py> Packer<'_, '_, 'py> {
    /// Writes everything; returns the offset of the root node.
    pub(crate) fn root(&mut self, data: &Bound<'py, PyAny>) -> PyResult<u64> {
        let mut scratch = Vec::new();
        if let Some(scalar) = Item::of(data).scalar(&mut scratch) {
            let word = self.arena.blob(&scalar).map_err(Error::from)?;
            return Ok(put_value(self.arena, word).map_err(Error::from)?);
        }
        if kinds::is_view(data) {
            let real = self.spool.real(self.arena.is_measuring(), data)?;
            return self.root(&real);
        }
        let root = if let Some(node) = self.container(data, 0)? {
            node
        } else if let Some(node) = self.instance(data, 0)? {
            node
        } else {
            self.special_node(data)?
        };
        loop {
            while let Some(job) = self.queue.pop() {
                self.run(job)?;
            }
            match self.waiting.next() {
                Some(batch) => self.run_batch(batch)?,
                None => return Ok(root),
            }
        }
    }

    /// The word of any value. `extra` references of the walk itself hold it.
    pub(super) fn value(&mut self, object: &Bound<'py, PyAny>, extra: isize) -> PyResult<Word> {
        let mut scratch = Vec::new();
        let item = Item::of(object);
        if let Some(scalar) = item.scalar(&mut scratch) {
            return self.scalar(item, &scalar, extra);
        }
        if let Some(known) = self.recall(item, extra)? {
            return Ok(known);
        }
        if kinds::is_view(object) {
            let real = self.spool.real(self.arena.is_measuring(), object)?;
            let word = self.value(&real, 1)?;
            self.remember(object, extra, Known::Word(word));
            return Ok(word);
        }
        if let Some(node) = self.container(object, extra)? {
            return node_word(node);
        }
        if let Some(node) = self.instance(object, extra)? {
            return node_word(node);
        }
        let word = self.special(object)?;
        self.remember(object, extra, Known::Word(word));
        Ok(word)
    }

    /// The node of a list, tuple, dict, set or frozenset, or of an object that is one with a class of its own; `None` for
    /// anything else.
    fn container(&mut self, object: &Bound<'py, PyAny>, extra: isize) -> PyResult<Option<u64>> {
        self.depth += 1;
        let node = if let Some(container) = Source::container_of(object) {
            self.sequence(object, container, extra).map(Some)
        } else if let Ok(dict) = object.cast_exact::<PyDict>() {
            self.dict(dict, extra).map(Some)
        } else if object.is_exact_instance_of::<PySet>() {
            self.set(object, false, extra).map(Some)
        } else if object.is_exact_instance_of::<PyFrozenSet>() {
            self.set(object, true, extra).map(Some)
        } else {
            self.typed(object, extra)
        };
        self.depth -= 1;
        node
    }

    fn sequence(
        &mut self,
        object: &Bound<'py, PyAny>,
        container: Container,
        extra: isize,
    ) -> PyResult<u64> {
        if self.depth < DEPTH
            && let Some(node) = self.table(object, container, extra)?
        {
            return Ok(node);
        }
        let cursor = self.place_column(object, container, 0)?;
        let node = cursor.node;
        self.remember(object, extra, Known::Word(node_word(node)?));
        self.fill_or_wait(object, cursor, 0, None)?;
        Ok(node)
    }

    /// The node of the elements of a list that the walk itself has made, as a list or tuple.
    pub(super) fn sequence_of(
        &mut self,
        list: &Bound<'py, PyAny>,
        container: Container,
        extra: isize,
    ) -> PyResult<u64> {
        self.labelled(list, container, extra, None)
    }

    fn labelled(
        &mut self,
        list: &Bound<'py, PyAny>,
        container: Container,
        extra: isize,
        labels: Option<Bound<'py, PyList>>,
    ) -> PyResult<u64> {
        let cursor = self.place_column(list, container, extra)?;
        let node = cursor.node;
        self.fill_or_wait(list, cursor, extra, labels)?;
        Ok(node)
    }

    /// Places the node of a list or tuple, whose elements are still to be written.
    fn place_column(
        &mut self,
        object: &Bound<'py, PyAny>,
        container: Container,
        extra: isize,
    ) -> PyResult<ColumnCursor> {
        let plan = self.survey(object, container, extra)?;
        Ok(ColumnCursor::place(self.arena, &plan).map_err(Error::from)?)
    }

    fn fill_or_wait(
        &mut self,
        object: &Bound<'py, PyAny>,
        cursor: ColumnCursor,
        extra: isize,
        labels: Option<Bound<'py, PyList>>,
    ) -> PyResult<()> {
        if cursor.column() != ColumnKind::Words {
            return self.fill_plain(object, cursor);
        }
        if self.depth < DEPTH {
            return self.fill(object, cursor, extra, labels.as_ref());
        }
        let object = object.clone();
        self.queue.push(Job::Sequence {
            object,
            cursor,
            extra,
            labels,
        });
        Ok(())
    }

    /// Looks at the elements of a list or tuple and chooses the column.
    fn survey(
        &mut self,
        object: &Bound<'py, PyAny>,
        container: Container,
        extra: isize,
    ) -> PyResult<Plan> {
        let source = exact(object)?;
        let (mut survey, mut scratch) = (Survey::default(), Vec::new());
        let mut repeats = Repeats::default();
        let mut start = 0;
        while start < source.len() && !survey.needs_words() {
            for &item in source.chunk(start) {
                match item.scalar(&mut scratch) {
                    Some(scalar) => {
                        survey.observe(&scalar);
                        repeats.observe(item, &scalar, extra);
                    }
                    None => survey.observe_other(),
                }
                if survey.needs_words() {
                    break;
                }
            }
            start += CHUNK_LEN;
            if start < source.len() && self.reporter.step(self.py, CHUNK_LEN as u64)? {
                source.expect_same(start)?;
            }
        }
        self.reporter
            .step(self.py, (source.len() % CHUNK_LEN) as u64)?;
        source.expect_same(start)?;
        if repeats.pay(&survey) && survey.span_len() > 0 {
            survey.observe_other();
        }
        let plan = survey.plan(container, INT_WIDTH);
        Ok(Plan {
            count: source.len() as u64,
            ..plan
        })
    }

    /// Fills a column that leads nowhere.
    fn fill_plain(&mut self, object: &Bound<'py, PyAny>, mut cursor: ColumnCursor) -> PyResult<()> {
        if self.arena.is_measuring() {
            return Ok(());
        }
        let source = exact(object)?;
        let mut scratch = Vec::new();
        let mut start = 0;
        while start < source.len() {
            for (distance, &item) in source.chunk(start).iter().enumerate() {
                let index = (start + distance) as u64;
                let changed = || Error::from(BuildError::Changed { index });
                let scalar = item.scalar(&mut scratch).ok_or_else(changed)?;
                cursor.push(self.arena, &scalar).map_err(Error::from)?;
            }
            start += CHUNK_LEN;
            if start < source.len() {
                source.check(start)?;
            }
        }
        cursor.finish(self.arena).map_err(Error::from)?;
        Ok(())
    }

    /// Fills a column of words, and the nodes it leads to.
    fn fill(
        &mut self,
        object: &Bound<'py, PyAny>,
        mut cursor: ColumnCursor,
        extra: isize,
        labels: Option<&Bound<'py, PyList>>,
    ) -> PyResult<()> {
        let source = exact(object)?;
        let mut scratch = Vec::new();
        let mut start = 0;
        while start < source.len() {
            for (distance, &item) in source.chunk(start).iter().enumerate() {
                let index = start + distance;
                let word = if let Some(scalar) = item.scalar(&mut scratch) {
                    self.scalar(item, &scalar, extra)?
                } else {
                    let element = item.object(self.py);
                    let step = match labels {
                        Some(keys) => Step::Key(keys.get_item(index)?),
                        None => Step::Index(index),
                    };
                    self.path.push(step);
                    let word = self.value(&element, extra + 1)?;
                    self.path.pop();
                    // Pickling runs Python code.
                    source.expect_same(index)?;
                    word
                };
                cursor.push_word(self.arena, word).map_err(Error::from)?;
            }
            start += CHUNK_LEN;
            if start < source.len() {
                source.check(start)?;
            }
        }
        cursor.finish(self.arena).map_err(Error::from)?;
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>, extra: isize) -> PyResult<u64> {
        let node = place_dict(self.arena).map_err(Error::from)?;
        self.remember(dict.as_any(), extra, Known::Word(node_word(node)?));
        if self.depth < DEPTH {
            self.fill_dict(dict, node)?;
        } else {
            let object = dict.clone();
            self.queue.push(Job::Dict { object, node });
        }
        Ok(node)
    }

    fn fill_dict(&mut self, dict: &Bound<'py, PyDict>, node: u64) -> PyResult<()> {
        // Both at one moment, so that they belong together whatever happens to the dict.
        let (keys, values) = (dict.keys(), dict.values());
        self.fill_entries(&keys, values, node)
    }

    pub(super) fn fill_entries(
        &mut self,
        keys: &Bound<'py, PyList>,
        values: Bound<'py, PyList>,
        node: u64,
    ) -> PyResult<()> {
        let count = keys.len() as u64;
        let keys_node = self.keys(keys, Step::KeyItself)?;
        let (keys, values) = (keys.clone(), values.into_any());
        let values_node = self.labelled(&values, Container::List, 1, Some(keys))?;
        Ok(put_dict(self.arena, node, count, keys_node, values_node).map_err(Error::from)?)
    }

    fn set(&mut self, set: &Bound<'py, PyAny>, frozen: bool, extra: isize) -> PyResult<u64> {
        let node = place_set(self.arena).map_err(Error::from)?;
        self.remember(set, extra, Known::Word(node_word(node)?));
        if self.depth >= DEPTH {
            let object = set.clone();
            self.queue.push(Job::Set { object, node });
        } else {
            self.fill_set(set, node, frozen)?;
        }
        Ok(node)
    }

    fn fill_set(&mut self, set: &Bound<'py, PyAny>, node: u64, frozen: bool) -> PyResult<()> {
        let members = PyList::empty(self.py);
        for member in set.try_iter()? {
            members.append(member?)?;
        }
        let keys = self.keys(&members, Step::Member)?;
        let count = members.len() as u64;
        Ok(put_set(self.arena, node, count, frozen, keys).map_err(Error::from)?)
    }

    fn run(&mut self, job: Job<'py>) -> PyResult<()> {
        match job {
            Job::Sequence {
                object,
                cursor,
                extra,
                labels,
            } => self.fill(&object, cursor, extra, labels.as_ref()),
            Job::Dict { object, node } => self.fill_dict(&object, node),
            Job::Set { object, node } => {
                let frozen = object.is_exact_instance_of::<PyFrozenSet>();
                self.fill_set(&object, node, frozen)
            }
            Job::Typed { parts, node } => self.fill_typed(parts, node),
        }
    }
}
