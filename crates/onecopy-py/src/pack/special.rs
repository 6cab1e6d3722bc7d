//! What images hold without understanding it: the data of arrays, and pickled objects with their buffers.
//!
//! Objects are pickled once, while measuring, and their pickles kept until they are written; buffers are not copied
//! before that.
#![allow(unsafe_code)] // Lends memory of the image to NumPy for the length of one call.

use onecopy::image::{ArrayShape, BuildError, Scalar, Section, Word, place_array, place_object};
use pyo3::buffer::PyBuffer;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::known::node_word;
use super::packer::Packer;
use super::path;
use crate::error::{Error, Exceptions};
use crate::image::{copy, objects};

/// What was made while measuring, in the order in which writing needs it.
#[derive(Default)]
pub(crate) struct Spool<'py> {
    made: Vec<Made<'py>>,
    next: usize,
}

struct Made<'py> {
    source: Bound<'py, PyAny>,
    content: Content<'py>,
}

#[derive(Clone)]
enum Content<'py> {
    /// A pickle and its buffers.
    Pickle(Bound<'py, PyBytes>, Vec<Bound<'py, PyAny>>),
    /// What `_array.plan_array` says of an array.
    Array(Bound<'py, PyTuple>),
    /// The real thing behind a view.
    Real(Bound<'py, PyAny>),
}

impl<'py> Spool<'py> {
    /// Begins again from the front.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
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
        node_word(self.place(&content)?)
    }

    /// The node of such an object: for a root.
    pub(super) fn special_node(&mut self, object: &Bound<'py, PyAny>) -> PyResult<u64> {
        let content = self.content(object)?;
        self.place(&content)
    }

    fn content(&mut self, object: &Bound<'py, PyAny>) -> PyResult<Content<'py>> {
        if !self.arena.is_measuring() {
            return self.spool.take(object);
        }
        let helper = self.py.import("onecopy._pickle")?;
        let array = helper.call_method1("array_plan", (object,))?;
        let content = if let Ok(plan) = array.cast_into::<PyTuple>() {
            Content::Array(plan)
        } else {
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

    fn place(&mut self, content: &Content<'py>) -> PyResult<u64> {
        match content {
            Content::Pickle(pickle, buffers) => self.place_pickle(pickle, buffers),
            Content::Array(plan) => self.place_array(plan),
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

    fn place_array(&mut self, plan: &Bound<'py, PyTuple>) -> PyResult<u64> {
        type Plan<'py> = (String, u32, Vec<u64>, Vec<i64>, u64, Bound<'py, PyAny>);
        let (dtype, item_size, shape, strides, len, source): Plan<'py> = plan.extract()?;
        let array = ArrayShape {
            dtype: &dtype,
            item_size,
            shape: &shape,
            strides: &strides,
            read_only: false,
        };
        let (node, Section { offset, len }) =
            place_array(self.arena, &array, len).map_err(Error::from)?;
        if let Some(room) = self.arena.slice_mut(offset, len).map_err(Error::from)?
            && !room.is_empty()
        {
            lend(self.py, room, |memory| {
                let helper = self.py.import("onecopy._array")?;
                helper.call_method1("fill_array", (memory, &source))?;
                Ok(())
            })?;
        }
        Ok(node)
    }
}

/// Lends memory to a function as a writable `memoryview`, which is released before the memory can go.
fn lend<'py>(
    py: Python<'py>,
    memory: &mut [u8],
    use_it: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let len = memory.len().cast_signed();
    let start = memory.as_mut_ptr().cast();
    // SAFETY: `len` bytes at `start` are this slice, borrowed for as long as this function runs; `release` below fails if
    // anybody still holds the view, and then the process must not go on.
    let view = unsafe { ffi::PyMemoryView_FromMemory(start, len, ffi::PyBUF_WRITE) };
    // SAFETY: null with an exception, or a new reference.
    let view = unsafe { Bound::from_owned_ptr_or_err(py, view) }?;
    let outcome = use_it(&view);
    if view.call_method0("release").is_err() {
        // Somebody could go on writing to memory that is about to be handed out as an image. A panic would be caught.
        // SAFETY: ends the process; the text is a constant that ends in a zero.
        unsafe {
            ffi::Py_FatalError(
                c"onecopy: memory of an image that is being written is still in use".as_ptr(),
            );
        }
    }
    outcome
}
