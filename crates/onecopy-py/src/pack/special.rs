//! What images hold without understanding it: the data of arrays, and pickled objects with their buffers.
//!
//! Objects are pickled once, while measuring, and their pickles kept until they are written; buffers are not copied
//! before that.
#![forbid(unsafe_code)]

use onecopy::image::{BuildError, Scalar, Section, Word, place_array, place_object};
use pyo3::buffer::PyBuffer;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::known::node_word;
use super::packer::Packer;
use super::path;
use crate::error::{Error, Exceptions};
use crate::image::array::ArraySource;
use crate::image::{copy, objects};

/// What was made while measuring, in the order in which writing needs it.
#[derive(Default)]
pub(crate) struct Spool<'py> {
    made: Vec<Made<'py>>,
    next: usize,
    arrays: Option<Arrays<'py>>,
}

/// How an array is told from other objects, once NumPy has been imported.
struct Arrays<'py> {
    class: Bound<'py, PyAny>,
    /// `_array.text_of`.
    text_of: Bound<'py, PyAny>,
}

struct Made<'py> {
    source: Bound<'py, PyAny>,
    content: Content<'py>,
}

#[derive(Clone)]
enum Content<'py> {
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
    fn arrays(&mut self, py: Python<'py>) -> PyResult<Option<&Arrays<'py>>> {
        if self.arrays.is_none() {
            let modules = py.import("sys")?.getattr(intern!(py, "modules"))?;
            let Some(numpy) = modules
                .cast_into::<PyDict>()?
                .get_item(intern!(py, "numpy"))?
            else {
                return Ok(None);
            };
            self.arrays = Some(Arrays {
                class: numpy.getattr("ndarray")?,
                text_of: py.import("onecopy._array")?.getattr("text_of")?,
            });
        }
        Ok(self.arrays.as_ref())
    }

    fn put(&mut self, source: &Bound<'py, PyAny>, content: Content<'py>) {
        let source = source.clone();
        self.made.push(Made { source, content });
    }

    fn take(&mut self, source: &Bound<'py, PyAny>) -> PyResult<Content<'py>> {
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
                Content::Real(real) => Ok(real),
                _ => Err(Error::from(BuildError::Outgrown).into()),
            };
        }
        let real = objects::real(view)?;
        self.put(view, Content::Real(real.clone()));
        Ok(real)
    }
}

impl<'py> Packer<'_, '_, 'py> {
    /// The word of an object that is neither plain nor a container.
    pub(super) fn special(&mut self, object: &Bound<'py, PyAny>) -> PyResult<Word> {
        let content = self.content(object)?;
        if let Content::Pickle(pickle, buffers) = &content
            && buffers.is_empty()
        {
            let word = self.arena.blob(&Scalar::Pickle(pickle.as_bytes()));
            return Ok(word.map_err(Error::from)?);
        }
        node_word(self.place(object, &content)?)
    }

    /// The node of such an object: for a root.
    pub(super) fn special_node(&mut self, object: &Bound<'py, PyAny>) -> PyResult<u64> {
        let content = self.content(object)?;
        self.place(object, &content)
    }

    fn content(&mut self, object: &Bound<'py, PyAny>) -> PyResult<Content<'py>> {
        if !self.arena.is_measuring() {
            return self.spool.take(object);
        }
        let content = if let Some(dtype) = self.array_dtype(object)? {
            Content::Array(dtype)
        } else {
            let helper = self.py.import("onecopy._pickle")?;
            let made = helper
                .call_method1("dumps", (object,))
                .map_err(|error| self.refused(object, &error))?;
            let (pickle, buffers): (Bound<'py, PyBytes>, Vec<Bound<'py, PyAny>>) =
                made.extract()?;
            Content::Pickle(pickle, buffers)
        };
        self.spool.put(object, content.clone());
        Ok(content)
    }

    /// The text of an array's dtype; `None` for what has to be pickled.
    fn array_dtype(
        &mut self,
        object: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        let Some(arrays) = self.spool.arrays(self.py)? else {
            return Ok(None);
        };
        if !object.is_instance(&arrays.class)? {
            return Ok(None);
        }
        let text = arrays.text_of.call1((object,))?;
        Ok(text.cast_into::<PyString>().ok())
    }

    /// The error for an object that cannot be pickled, with the way to it.
    fn refused(&self, object: &Bound<'py, PyAny>, error: &PyErr) -> PyErr {
        if !error.is_instance_of::<pyo3::exceptions::PyException>(self.py)
            || error.is_instance_of::<pyo3::exceptions::PyMemoryError>(self.py)
        {
            return error.clone_ref(self.py);
        }
        let class = object.get_type();
        let name = class
            .qualname()
            .map_or_else(|_| "object".into(), |name| name.to_string());
        let reason = error.value(self.py).to_string();
        let text = format!("{}: cannot share {name}: {reason}", path::text(&self.path));
        match Exceptions::get(self.py) {
            Ok(types) => {
                let refused = PyErr::from_type(types.unsupported.bind(self.py).clone(), text);
                refused.set_cause(self.py, Some(error.clone_ref(self.py)));
                refused
            }
            Err(error) => error,
        }
    }

    fn place(&mut self, source: &Bound<'py, PyAny>, content: &Content<'py>) -> PyResult<u64> {
        match content {
            Content::Pickle(pickle, buffers) => self.place_pickle(pickle, buffers),
            Content::Array(dtype) => self.place_array(source, dtype.to_str()?),
            Content::Real(_) => Err(Error::from(BuildError::Outgrown).into()),
        }
    }

    fn place_pickle(
        &mut self,
        pickle: &Bound<'py, PyBytes>,
        buffers: &[Bound<'py, PyAny>],
    ) -> PyResult<u64> {
        let buffers: Vec<PyBuffer<u8>> = buffers
            .iter()
            .map(|buffer| PyBuffer::get(buffer))
            .collect::<PyResult<_>>()?;
        let lens: Vec<u64> = buffers
            .iter()
            .map(|buffer| buffer.len_bytes() as u64)
            .collect();
        let bytes = pickle.as_bytes();
        let place = place_object(self.arena, bytes.len() as u64, &lens).map_err(Error::from)?;
        self.arena
            .put(place.pickle.offset, bytes)
            .map_err(Error::from)?;
        for (section, buffer) in place.buffers.iter().zip(&buffers) {
            let room = self.arena.slice_mut(section.offset, section.len);
            if let Some(room) = room.map_err(Error::from)? {
                copy::from_buffer(self.py, buffer, room)?;
            }
        }
        Ok(place.node)
    }

    fn place_array(&mut self, array: &Bound<'py, PyAny>, dtype: &str) -> PyResult<u64> {
        let source = ArraySource::of(array, dtype)?;
        let (node, Section { offset, len }) =
            place_array(self.arena, &source.spec.as_shape(), source.len as u64)
                .map_err(Error::from)?;
        if let Some(room) = self.arena.slice_mut(offset, len).map_err(Error::from)? {
            source.copy_to(self.py, room)?;
        }
        Ok(node)
    }
}
