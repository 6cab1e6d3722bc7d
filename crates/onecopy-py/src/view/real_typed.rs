//! Real objects of classes that add to a container. `python/onecopy/_typed.py` knows how an empty one is made, and what of
//! it is set when.
#![forbid(unsafe_code)]

use std::sync::Arc;

use onecopy::image::{Element, Node, Word};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyTuple};

use super::real::{Hashed, Job, Real};
use super::table_core::TableCore;
use super::typed::{Family, typed_at};
use super::word::word_object;
use crate::column::Elements;
use crate::error::{Error, corrupt};

/// The class of an object, how it gets its content, and whether it may be hashed.
type Class<'py> = (Bound<'py, PyAny>, u8, bool);

impl<'py> Real<'py> {
    pub(super) fn typed(&mut self, offset: u64) -> PyResult<Bound<'py, PyAny>> {
        let image = self.image.clone();
        let helper = crate::cpython::module(self.py(), "onecopy._typed")?;
        let (content, found) = typed_at(&image, offset, |typed| {
            let name = typed.class_name().map_err(Error::from)?;
            let found = helper.call_method1("real_class", (&image, name))?;
            Ok((typed.content, found))
        })?;
        let (class, family, hashable): Class<'py> = found.extract()?;
        let family = Family::of(family, offset)?;
        let made = if family == Family::Frozen {
            let members = self.members(content)?;
            // A cycle through it has come back to it meanwhile.
            if let Some(made) = self.made.get(&offset) {
                return Ok(made.clone());
            }
            self.complete()?;
            helper.call_method1("blank", (class, members))?
        } else {
            helper.call_method1("blank", (class,))?
        };
        self.made.insert(offset, made.clone());
        self.queue.push(Job::Typed(offset, family, made.clone()));
        let hashed = match family {
            Family::Dict => Hashed::Dict(content, made.cast::<PyDict>()?.clone()),
            Family::Set => Hashed::Set(content, made.cast::<PySet>()?.clone()),
            _ => return Ok(made),
        };
        if hashable {
            // It may be a key of what is filled before.
            self.enter()?;
            self.complete()?;
            self.fill_hashed(hashed)?;
            self.depth -= 1;
        } else {
            self.hashed.push(hashed);
        }
        Ok(made)
    }

    /// Gives an object what it has beside its entries or members.
    pub(super) fn fill_typed(
        &mut self,
        offset: u64,
        family: Family,
        object: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let (py, image) = (self.py(), self.image.clone());
        let (content, argument, state) = typed_at(&image, offset, |typed| {
            Ok((typed.content, typed.argument, typed.state))
        })?;
        let content = match family {
            Family::List => self.members(content)?.into_any(),
            Family::Holder => self.node(content)?,
            _ => py.None().into_bound(py),
        };
        let argument = self.beside(offset, argument)?;
        let state = self.state(offset, state)?;
        let helper = crate::cpython::module(py, "onecopy._typed")?;
        helper.call_method1("complete", (object, content, argument, state))?;
        Ok(())
    }

    fn beside(&mut self, at: u64, word: Word) -> PyResult<Bound<'py, PyAny>> {
        match self.word(word)? {
            Some(special) => Ok(special),
            None => word_object(&self.image.clone(), word, at),
        }
    }

    /// The state of an object: `None`, attributes, or a tuple of attributes and slots.
    fn state(&mut self, at: u64, word: Word) -> PyResult<Bound<'py, PyAny>> {
        let (py, image) = (self.py(), self.image.clone());
        let Some(node) = word.node_offset() else {
            return self.beside(at, word);
        };
        let opened = image.get().open()?;
        let mut parts = Vec::new();
        match opened.node(node).map_err(Error::from)? {
            Node::Sequence(both) => {
                for index in 0..both.len().min(2) {
                    parts.push(match both.get(index).map_err(Error::from)? {
                        Some(Element::Node(node)) => self.attributes(node)?,
                        _ => py.None().into_bound(py),
                    });
                }
            }
            // Two dicts are rows of a table.
            Node::Table(table) => {
                let core = TableCore::of(&image, node)?;
                for row in 0..table.rows.min(2) {
                    parts.push(self.filled_row(&core, row)?);
                }
            }
            _ => return self.attributes(node),
        }
        Ok(PyTuple::new(py, parts)?.into_any())
    }

    /// Attributes, complete at once but for what they lead to: an object that is hashed may need them.
    fn attributes(&mut self, node: u64) -> PyResult<Bound<'py, PyAny>> {
        if let Some(made) = self.made.get(&node) {
            return Ok(made.clone());
        }
        let image = self.image.clone();
        let opened = image.get().open()?;
        match opened.node(node).map_err(Error::from)? {
            Node::Dict(found) => {
                let dict = PyDict::new(self.py());
                self.made.insert(node, dict.clone().into_any());
                let keys = Elements::of_sequence(&image, &found.keys.items);
                let values = Elements::of_sequence(&image, &found.values);
                for index in 0..found.keys.len() {
                    let key = self.element(&keys, &found.keys.items, index)?;
                    dict.set_item(key, self.element(&values, &found.values, index)?)?;
                }
                Ok(dict.into_any())
            }
            Node::Row(row) => {
                let core = TableCore::of(&image, row.table)?;
                self.filled_row(&core, row.row)
            }
            _ => self.node(node),
        }
    }

    fn filled_row(&mut self, core: &Arc<TableCore>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        let made = self.row(core, row)?;
        self.fill_row(core, row, &made)?;
        Ok(made)
    }

    /// The real elements of a list, tuple, table, set or frozenset.
    fn members(&mut self, content: u64) -> PyResult<Bound<'py, PyList>> {
        let (py, image) = (self.py(), self.image.clone());
        let opened = image.get().open()?;
        match opened.node(content).map_err(Error::from)? {
            Node::Sequence(sequence) => PyList::new(py, self.elements(&sequence)?),
            Node::Set(set) => PyList::new(py, self.elements(&set.keys.items)?),
            Node::Table(_) => {
                let core = TableCore::of(&image, content)?;
                let list = PyList::empty(py);
                for row in 0..core.table.rows {
                    list.append(self.row(&core, row)?)?;
                }
                Ok(list)
            }
            _ => Err(corrupt(content, "elements were expected")),
        }
    }
}
