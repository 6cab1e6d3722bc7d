//! The elements of a list or tuple in an image, or some of them: their column, and the image kept beside it.
#![allow(unsafe_code, reason = "calls the decoders, which give raw objects")]

use std::sync::OnceLock;

use onecopy::image::{Container, Sequence};
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PySlice;

use super::codec::{self, Codec, Getter};
use super::decode::Format;
use super::iterator::Rest;
use super::parts::Parts;
use super::steps::Steps;
use crate::cpython::items;
use crate::error::{Error, corrupt};
use crate::image::Image;

/// Some elements of one list or tuple.
///
/// **Invariant.** `S1` (see [`Steps`]) holds for `steps` and the image; `P1` to `P4` hold for `parts`, as `image` is kept.
pub(crate) struct Elements {
    pub(crate) image: Py<Image>,
    /// Offset of the list or tuple in the image.
    pub(crate) node: u64,
    pub(crate) container: Container,
    /// Elements of the image.
    pub(crate) count: usize,
    pub(crate) parts: Parts,
    pub(crate) codec: &'static Codec,
    /// The codec's getter, one step nearer.
    pub(crate) get: Getter,
    pub(crate) steps: Steps,
    pub(crate) hash: OnceLock<isize>,
}

impl Elements {
    /// The whole list or tuple at `node`.
    pub(crate) fn of_node(image: &Bound<'_, Image>, node: u64) -> Result<Self, Error> {
        let sequence = image.get().open()?.sequence_at(node)?;
        Ok(Self::of_sequence(image, &sequence))
    }

    /// The whole of a list or tuple of this image.
    pub(crate) fn of_sequence(image: &Bound<'_, Image>, sequence: &Sequence<'_>) -> Self {
        let node = sequence.offset();
        let (parts, codec) = codec::of(image, sequence);
        let (container, len) = (sequence.container(), sequence.len());
        let steps = Steps {
            start: 0,
            step: 1,
            len,
        };
        let hash = OnceLock::new();
        Self {
            image: image.clone().unbind(),
            node,
            container,
            count: len,
            parts,
            codec,
            get: codec.get,
            steps,
            hash,
        }
    }

    /// Other elements of the same image; the steps must stay inside it (S1).
    pub(crate) fn with_steps(&self, py: Python<'_>, steps: Steps) -> Self {
        Self {
            image: self.image.clone_ref(py),
            parts: self.parts.again(),
            steps,
            hash: OnceLock::new(),
            ..*self
        }
    }

    /// What the builtin is called.
    pub(crate) fn kind(&self) -> &'static str {
        match self.container {
            Container::List => "list",
            Container::Tuple => "tuple",
        }
    }

    /// The object of element `at` of the column, whatever the steps are.
    #[inline]
    pub(crate) fn at<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyAny>> {
        // Positions of keys are kept for all views of them, and another process may have changed their number meanwhile.
        if at >= self.count {
            return Err(corrupt(self.node, "an element that is not there"));
        }
        // SAFETY: `get` is the getter of the codec that `codec::of` gave with the parts; they hold, as `image` is kept
        // (P1 to P4). `at` is below the number of elements, and `py` shows that the thread is attached.
        let object = unsafe { (self.get)(&self.parts, at) };
        // SAFETY: a decoder gives a new reference, or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(py, object) }
    }

    /// The object of element `index`, of which there must be one.
    #[inline]
    pub(crate) fn get<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        debug_assert!(index < self.steps.len);
        self.at(py, self.steps.at(index))
    }

    /// Whether elements may be containers or pickled objects.
    pub(crate) fn lead_on(&self) -> bool {
        self.codec.leads_on()
    }

    /// How the elements lie, if they are numbers that can be handed out.
    pub(crate) fn format(&self) -> Option<Format> {
        self.codec.format()
    }

    /// Whether these are all elements in order.
    pub(crate) fn is_whole(&self) -> bool {
        self.steps.start == 0 && self.steps.step == 1 && self.steps.len == self.count
    }

    /// An iterator over `steps` of the view that `owner` is, and that has these elements.
    pub(crate) fn iterate<'py>(
        &self,
        owner: &Bound<'py, PyAny>,
        steps: &Steps,
        rest: Rest,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.codec
            .iterator
            .iterate(owner, self.parts.again(), steps, rest)
    }

    /// The elements of a slice.
    pub(crate) fn slice(&self, slice: &Bound<'_, PySlice>) -> PyResult<Self> {
        Ok(self.with_steps(slice.py(), self.steps.of_slice(slice)?))
    }

    /// A real list or tuple of the elements, made at its full length.
    pub(crate) fn to_builtin<'py>(
        &self,
        py: Python<'py>,
        container: Container,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Steps { len, .. } = self.steps;
        let size = len.cast_signed();
        let object = match container {
            // SAFETY: takes a length, which is not negative; `py` shows that the thread is attached.
            Container::List => unsafe { ffi::PyList_New(size) },
            // SAFETY: takes a length, which is not negative; `py` shows that the thread is attached.
            Container::Tuple => unsafe { ffi::PyTuple_New(size) },
        };
        // SAFETY: both functions give a new reference, or null with an exception set.
        let bound = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
        if len == 0 {
            return Ok(bound);
        }
        let (items, _) = match container {
            // SAFETY: `PyList_New` gave a list that is exact and of this length; `py` shows that the thread is
            // attached.
            Container::List => unsafe { items::of_list(object) },
            // SAFETY: `PyTuple_New` gave a tuple that is exact and of this length; `py` shows that the thread is
            // attached.
            Container::Tuple => unsafe { items::of_tuple(object) },
        };
        // SAFETY: `fill` is that of the codec that `codec::of` gave with the parts; they hold, as `image` is kept (P1
        // to P4), and the steps stay inside the column (S1). `items` has room for `len` pointers, null so far, of an
        // object that nobody else has seen. If it stops early, the rest stays null, which the object's deallocation
        // allows. Attached: `py`.
        let made = unsafe { (self.codec.fill)(&self.parts, &self.steps, items) };
        if made == len {
            return Ok(bound);
        }
        Err(PyErr::take(py)
            .unwrap_or_else(|| PyRuntimeError::new_err("an element could not be made")))
    }
}
