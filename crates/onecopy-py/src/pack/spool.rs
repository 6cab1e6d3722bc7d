//! What has to be made only once: pickles, dtypes of arrays, and the real things behind views.
#![forbid(unsafe_code)]

use onecopy::image::BuildError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::error::Error;
use crate::image::objects;

/// What was made while measuring, in the order in which writing needs it.
#[derive(Default)]
pub(crate) struct Spool<'py> {
    made: Vec<Made<'py>>,
    next: usize,
    arrays: Option<Arrays<'py>>,
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
