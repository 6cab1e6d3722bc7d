//! What images hold without understanding it: the data of arrays, and pickled objects with their buffers.
//!
//! Objects are pickled once, while measuring, and their pickles kept until they are written; buffers are not copied
//! before that.
#![forbid(unsafe_code)]

use onecopy::image::{BuildError, Scalar, Section, Word, place_array, place_object};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyCFunction, PyFunction, PyMemoryView, PyString, PyType};

use super::known::node_word;
use super::packer::Packer;
use super::path;
use super::spool::Special;
use crate::error::{Error, Exceptions};
use crate::image::array::ArraySource;
use crate::image::copy;
use crate::view::run;

impl<'py> Packer<'_, '_, 'py> {
    /// The word of an object that is neither plain nor a container.
    pub(super) fn special(&mut self, object: &Bound<'py, PyAny>) -> PyResult<Word> {
        let content = self.content(object)?;
        if let Special::Pickle(pickle, buffers) = &content
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

    fn content(&mut self, object: &Bound<'py, PyAny>) -> PyResult<Special<'py>> {
        if !self.arena.is_measuring() {
            return self.spool.take(object);
        }
        let content = if let Some(dtype) = self.array_dtype(object)? {
            Special::Array(dtype)
        } else if let Some(name) = buffer_name(object)? {
            Special::Array(PyString::new(self.py, &name))
        } else {
            let helper = crate::cpython::module(self.py, "onecopy._pickle")?;
            let made = helper
                .call_method1("dumps", (object,))
                .map_err(|error| self.refused(object, &error))?;
            let (pickle, buffers): (Bound<'py, PyBytes>, Vec<Bound<'py, PyAny>>) =
                made.extract()?;
            let path = &self.path;
            let len = pickle.as_bytes().len() as u64;
            // What is pickled by its name alone is found again, and not rebuilt.
            let is_code = object.is_instance_of::<PyType>()
                || object.is_exact_instance_of::<PyFunction>()
                || object.is_exact_instance_of::<PyCFunction>();
            if !is_code {
                self.spool.count(object, len, || path::text(path));
            }
            Special::Pickle(pickle, buffers)
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

    fn place(&mut self, source: &Bound<'py, PyAny>, content: &Special<'py>) -> PyResult<u64> {
        match content {
            Special::Pickle(pickle, buffers) => {
                self.place_pickle(pickle, buffers, source.is_callable())
            }
            Special::Array(dtype) => self.place_array(source, dtype.to_str()?),
            Special::Real(_) => Err(Error::from(BuildError::Outgrown).into()),
        }
    }

    fn place_pickle(
        &mut self,
        pickle: &Bound<'py, PyBytes>,
        buffers: &[Bound<'py, PyAny>],
        callable: bool,
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
        let place =
            place_object(self.arena, bytes.len() as u64, &lens, callable).map_err(Error::from)?;
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

/// How an image names a buffer of Python's own that it takes as it lies; `None` for everything else.
fn buffer_name(object: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let class = object.get_type();
    let name = if class.is(object.py().get_type::<PyByteArray>()) {
        "bytearray".to_owned()
    } else if class.is(object.py().get_type::<PyMemoryView>()) {
        if !object.getattr("ndim")?.eq(1)? {
            return Ok(None);
        }
        let format: String = object.getattr("format")?.extract()?;
        format!("memoryview:{format}")
    } else {
        match class.fully_qualified_name()?.to_str()? {
            "array.array" => format!("array:{}", object.getattr("typecode")?),
            "mmap.mmap" => "mmap".to_owned(),
            _ => return Ok(None),
        }
    };
    Ok(run::Source::named(&name).map(|_| name))
}
