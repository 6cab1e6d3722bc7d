//! Objects of classes that add to a container, taken apart: subclasses of the builtins, and the types of `collections`.
//!
//! `python/onecopy/_typed.py` says which classes are shared by their content, and takes an object of one apart into the
//! content as the builtin, what the class has beside it, and its attributes. What it says of a class is kept for all
//! objects that are shared together.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::rc::Rc;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyType};

use super::source::is_of_heap_type;

/// How objects of a class are taken apart.
pub(super) struct Way<'py> {
    /// `module:qualname`.
    pub(super) name: String,
    /// `(content, values, argument, state)` of an object, or None: it is pickled all the same.
    take: Bound<'py, PyAny>,
    /// What the argument is called in messages.
    pub(super) argument: Bound<'py, PyString>,
}

/// What was decided of each class, by its address; the class is kept, so that no other can take it.
#[derive(Default)]
pub(super) struct Ways<'py>(HashMap<usize, (Bound<'py, PyType>, Option<Rc<Way<'py>>>)>);

impl<'py> Ways<'py> {
    /// How objects of this one's class are taken apart; `None` if they are pickled.
    pub(super) fn of(&mut self, object: &Bound<'py, PyAny>) -> PyResult<Option<Rc<Way<'py>>>> {
        let class = object.get_type();
        let address = class.as_ptr().addr();
        if let Some((_, known)) = self.0.get(&address) {
            return Ok(known.clone());
        }
        let helper = crate::cpython::module(object.py(), "onecopy._typed")?;
        let found = helper.call_method1("way", (&class, is_of_heap_type(object)))?;
        let way = if found.is_none() {
            None
        } else {
            let (name, take, argument) = found.extract()?;
            Some(Rc::new(Way {
                name,
                take,
                argument,
            }))
        };
        self.0.insert(address, (class, way.clone()));
        Ok(way)
    }
}

/// An object, taken apart.
pub(super) struct Parts<'py> {
    pub(super) way: Rc<Way<'py>>,
    /// The builtin with its content, or the keys.
    pub(super) content: Bound<'py, PyAny>,
    /// The values, if the content are keys.
    pub(super) values: Option<Bound<'py, PyList>>,
    pub(super) argument: Bound<'py, PyAny>,
    pub(super) state: Bound<'py, PyAny>,
}

impl<'py> Parts<'py> {
    /// The parts of an object; `None` if it is pickled, whatever its class is.
    pub(super) fn of(way: Rc<Way<'py>>, object: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let taken = way.take.call1((object,))?;
        if taken.is_none() {
            return Ok(None);
        }
        let (content, values, argument, state) = taken.extract()?;
        Ok(Some(Self {
            way,
            content,
            values,
            argument,
            state,
        }))
    }
}
