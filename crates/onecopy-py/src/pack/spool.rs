//! What has to be made only once: pickles, dtypes of arrays, and the real things behind views.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use onecopy::image::BuildError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyType};

use super::ways::Ways;
use crate::error::Error;
use crate::image::objects;

/// What was made while measuring, in the order in which writing needs it.
#[derive(Default)]
pub(crate) struct Spool<'py> {
    made: Vec<Made<'py>>,
    next: usize,
    arrays: Option<Arrays<'py>>,
    /// What every process makes anew, by the address of its class.
    rebuilt: HashMap<usize, Rebuilt<'py>>,
    /// Which classes are shared by their content.
    pub(super) ways: Ways<'py>,
}

/// Objects of one class that were pickled.
pub(crate) struct Rebuilt<'py> {
    pub(crate) class: Bound<'py, PyType>,
    /// The way to the first of them.
    pub(crate) path: String,
    pub(crate) count: u64,
    /// Bytes of their pickles, without the buffers beside them.
    pub(crate) bytes: u64,
}

/// How an array is told from other objects, once NumPy has been imported.
pub(super) struct Arrays<'py> {
    pub(super) class: Bound<'py, PyAny>,
    /// `_array.text_of`.
    pub(super) text_of: Bound<'py, PyAny>,
}

struct Made<'py> {
    source: Bound<'py, PyAny>,
    content: Special<'py>,
}

#[derive(Clone)]
pub(super) enum Special<'py> {
    /// A pickle and its buffers.
    Pickle(Bound<'py, PyBytes>, Vec<Bound<'py, PyAny>>),
    /// The text of an array's dtype.
    Array(Bound<'py, PyString>),
    /// The real thing behind a view.
    Real(Bound<'py, PyAny>),
}

impl<'py> Spool<'py> {
    /// Begins again from the front.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
    }

    /// `None` while there cannot be an array, because nobody has imported NumPy.
    pub(super) fn arrays(&mut self, py: Python<'py>) -> PyResult<Option<&Arrays<'py>>> {
        if self.arrays.is_none() {
            let modules = crate::cpython::module(py, "sys")?.getattr(intern!(py, "modules"))?;
            let Some(numpy) = modules
                .cast_into::<PyDict>()?
                .get_item(intern!(py, "numpy"))?
            else {
                return Ok(None);
            };
            self.arrays = Some(Arrays {
                class: numpy.getattr("ndarray")?,
                text_of: crate::cpython::module(py, "onecopy._array")?.getattr("text_of")?,
            });
        }
        Ok(self.arrays.as_ref())
    }

    /// Counts an object that was pickled to so many bytes; `path` is the way to it.
    pub(super) fn count(
        &mut self,
        object: &Bound<'py, PyAny>,
        bytes: u64,
        path: impl FnOnce() -> String,
    ) {
        let class = object.get_type();
        let entry = self.rebuilt.entry(class.as_ptr().addr());
        let rebuilt = entry.or_insert_with(|| Rebuilt {
            class,
            path: path(),
            count: 0,
            bytes: 0,
        });
        rebuilt.count += 1;
        rebuilt.bytes += bytes;
    }

    /// What was pickled, by class: first what takes most.
    pub(crate) fn rebuilt(&self) -> Vec<&Rebuilt<'py>> {
        let mut all: Vec<_> = self.rebuilt.values().collect();
        all.sort_by(|one, other| (other.bytes, &one.path).cmp(&(one.bytes, &other.path)));
        all
    }

    pub(super) fn put(&mut self, source: &Bound<'py, PyAny>, content: Special<'py>) {
        let source = source.clone();
        self.made.push(Made { source, content });
    }

    pub(super) fn take(&mut self, source: &Bound<'py, PyAny>) -> PyResult<Special<'py>> {
        let index = self.next;
        self.next += 1;
        match self.made.get(index) {
            Some(made) if made.source.is(source) => Ok(made.content.clone()),
            _ => Err(Error::from(BuildError::Outgrown).into()),
        }
    }

    /// The real thing behind a view that is part of the data.
    pub(super) fn real(
        &mut self,
        measuring: bool,
        view: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if !measuring {
            return match self.take(view)? {
                Special::Real(real) => Ok(real),
                _ => Err(Error::from(BuildError::Outgrown).into()),
            };
        }
        let real = objects::real(view)?;
        self.put(view, Special::Real(real.clone()));
        Ok(real)
    }
}
