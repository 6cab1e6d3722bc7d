//! Which classes' instances are rows, and where they keep their attributes: asked once for each class and walk.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::rc::Rc;

use onecopy::image::RowKind;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};

use super::source::{Source, is_of_heap_type};

/// What `_records.layout` says: kind of rows, names, what reads slots, whether there is a dict.
type Found<'py> = (
    u8,
    Bound<'py, PyTuple>,
    Option<Vec<Bound<'py, PyAny>>>,
    bool,
);

/// How instances of a class are rows.
pub(super) struct Layout<'py> {
    pub(super) class: Bound<'py, PyType>,
    pub(super) kind: RowKind,
    /// The fields of a namedtuple; else the slots.
    pub(super) names: Vec<Bound<'py, PyAny>>,
    /// What reads each slot, where the class would answer for one that is not set.
    getters: Option<Vec<Bound<'py, PyAny>>>,
    /// Whether instances have attributes in a dict.
    pub(super) has_dict: bool,
}

impl<'py> Layout<'py> {
    fn of(class: &Bound<'py, PyType>) -> PyResult<Option<Self>> {
        let helper = crate::cpython::module(class.py(), "onecopy._records")?;
        let found = helper.call_method1("layout", (class,))?;
        let Some((kind, names, getters, has_dict)) = found.extract::<Option<Found<'py>>>()? else {
            return Ok(None);
        };
        Ok(Some(Self {
            class: class.clone(),
            kind: if kind == RowKind::NamedTuple as u8 {
                RowKind::NamedTuple
            } else {
                RowKind::Instance
            },
            names: names.iter().collect(),
            getters,
            has_dict,
        }))
    }

    /// The value of a slot; `None` if it is not set.
    pub(super) fn slot(
        &self,
        object: &Bound<'py, PyAny>,
        index: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = match &self.getters {
            Some(getters) => getters[index].call1((object, &self.class)),
            None => object.getattr(self.names[index].cast::<PyString>()?),
        };
        match found {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_instance_of::<PyAttributeError>(object.py()) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The layouts of the classes that a walk has met, by their addresses. Each class is kept alive by its layout, or beside it.
#[derive(Default)]
pub(super) struct Layouts<'py> {
    known: HashMap<usize, (Bound<'py, PyType>, Option<Rc<Layout<'py>>>)>,
}

impl<'py> Layouts<'py> {
    /// How an object is a row; `None` if it is none.
    pub(super) fn of(&mut self, object: &Bound<'py, PyAny>) -> PyResult<Option<Rc<Layout<'py>>>> {
        if Source::container_of(object).is_some() {
            return Ok(None);
        }
        let class = object.get_type();
        let address = class.as_ptr().addr();
        if let Some((_, layout)) = self.known.get(&address) {
            return Ok(layout.clone());
        }
        let layout = if is_of_heap_type(object) || is_namespace(&class)? {
            Layout::of(&class)?.map(Rc::new)
        } else {
            None
        };
        self.known.insert(address, (class, layout.clone()));
        Ok(layout)
    }
}

/// Whether a class is `types.SimpleNamespace`, which no `class` statement has made.
fn is_namespace(class: &Bound<'_, PyType>) -> PyResult<bool> {
    Ok(class.name()? == "SimpleNamespace")
}
