//! Nodes of objects of classes that add to a container; `ways` takes the objects apart.
#![forbid(unsafe_code)]

use std::rc::Rc;

use onecopy::image::{BuildError, Word, place_dict, place_typed, put_typed};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use super::known::{Known, node_word};
use super::nodes::DEPTH;
use super::packer::{Job, Packer};
use super::path::Step;
use super::ways::{Parts, Way};
use crate::error::Error;

impl<'py> Packer<'_, '_, 'py> {
    /// The node of an object that is shared by its content; `None` for what has to be pickled.
    pub(super) fn typed(
        &mut self,
        object: &Bound<'py, PyAny>,
        extra: isize,
    ) -> PyResult<Option<u64>> {
        let Some(way) = self.spool.ways.of(object)? else {
            return Ok(None);
        };
        let Some(parts) = Parts::of(way, object)? else {
            return Ok(None);
        };
        let node = place_typed(self.arena).map_err(Error::from)?;
        self.has_typed = true;
        self.remember(object, extra, Known::Word(node_word(node)?));
        if self.depth < DEPTH {
            self.fill_typed(parts, node)?;
        } else {
            self.queue.push(Job::Typed { parts, node });
        }
        Ok(Some(node))
    }

    pub(super) fn fill_typed(&mut self, parts: Parts<'py>, node: u64) -> PyResult<()> {
        let Parts {
            way,
            content,
            values,
            argument,
            state,
        } = parts;
        let class = self.class_name(&way)?;
        let content = if let Some(values) = values {
            let dict = place_dict(self.arena).map_err(Error::from)?;
            let keys = content.cast_into::<PyList>()?;
            self.fill_entries(&keys, values, dict)?;
            dict
        } else {
            let word = self.value(&content, 1)?;
            // A builtin container always becomes a node.
            let changed = || Error::from(BuildError::Changed { index: 0 });
            word.node_offset().ok_or_else(changed)?
        };
        let argument = self.beside(way.argument.clone(), &argument)?;
        let state = self.beside(PyString::new(self.py, "__dict__"), &state)?;
        let put = put_typed(self.arena, node, class, content, argument, state);
        Ok(put.map_err(Error::from)?)
    }

    /// The word of what an object has beside its content.
    fn beside(&mut self, name: Bound<'py, PyString>, object: &Bound<'py, PyAny>) -> PyResult<Word> {
        self.path.push(Step::Attribute(name.into_any()));
        let word = self.value(object, 1)?;
        self.path.pop();
        Ok(word)
    }

    /// The blob of a class's name, which objects of the class share.
    fn class_name(&mut self, way: &Rc<Way<'py>>) -> PyResult<u64> {
        if let Some(&offset) = self.class_names.get(&way.name) {
            return Ok(offset);
        }
        let offset = self.arena.class_blob(&way.name).map_err(Error::from)?;
        self.class_names.insert(way.name.clone(), offset);
        Ok(offset)
    }
}
