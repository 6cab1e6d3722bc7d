//! Arrays on their way into an image, and what NumPy needs to show one.
//!
//! An image has an array without gaps, its axes in the order in which they lie in memory where it comes from, so that
//! most arrays are copied in one piece. An axis of stride 0 repeats one element: it is stored once and repeated by the
//! view as well. What the elements are is NumPy's business: here they are bytes, and their type is a text.
#![allow(
    unsafe_code,
    reason = "reads memory that another object lends by the buffer protocol"
)]

use std::cmp::Reverse;
use std::marker::PhantomData;
use std::slice;

use onecopy::image::{Array, ArraySpec, BuildError};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::buffer::ImageBuffer;
use super::copy::{Address, Axis, Strided};
use super::owner::Image;
use crate::error::Error;

/// An array of this process: where its elements lie, and how they will lie in an image.
pub(crate) struct ArraySource<'py> {
    lent: Lent<'py>,
    elements: Strided,
    /// Bytes of an image that the elements fill.
    pub(crate) len: usize,
    /// What the image says of it.
    pub(crate) spec: ArraySpec,
}

impl<'py> ArraySource<'py> {
    /// Asks an array of elements that are called `dtype` where it lies.
    pub(crate) fn of(array: &Bound<'py, PyAny>, dtype: &str) -> PyResult<Self> {
        let lent = Lent::by(array)?;
        let (shape, steps) = (lent.shape(), lent.strides());
        let item = lent.view.itemsize.unsigned_abs();
        let repeats = |axis: usize| steps[axis] == 0 && shape[axis] > 1;
        let stored: Vec<usize> = (0..shape.len())
            .map(|axis| {
                if repeats(axis) {
                    1
                } else {
                    shape[axis].unsigned_abs()
                }
            })
            .collect();
        let mut order: Vec<usize> = (0..stored.len()).collect();
        if !is_c_contiguous(&stored, steps, item) {
            order.sort_by_key(|&axis| Reverse(steps[axis].unsigned_abs()));
        }
        let mut strides = strides(&stored, item, &order);
        for (axis, stride) in strides.iter_mut().enumerate() {
            if repeats(axis) {
                *stride = 0;
            }
        }
        let len = stored
            .iter()
            .try_fold(item, |len, &axis| len.checked_mul(axis));
        let len =
            len.ok_or_else(|| PyValueError::new_err("an array larger than any address space"))?;
        let fastest_first = order.iter().rev().map(|&axis| Axis {
            len: stored[axis],
            step: steps[axis],
        });
        let elements = Strided::new(Address(lent.view.buf.cast()), item, fastest_first);
        let spec = ArraySpec {
            dtype: dtype.to_owned(),
            item_size: u32::try_from(item)?,
            shape: shape.iter().map(|&len| len.unsigned_abs() as u64).collect(),
            strides,
            read_only: false,
        };
        Ok(Self {
            lent,
            elements,
            len,
            spec,
        })
    }

    /// Whether its elements are exactly the `len` bytes at `address`, each once.
    pub(crate) fn is_whole(&self, address: Address, len: usize) -> bool {
        self.elements.lie_together()
            && self.lent.view.buf.addr() == address.0.addr()
            && self.len == len
            && self.lent.view.len.unsigned_abs() == len
    }

    /// Copies all elements to memory of an image that is being built; without the interpreter's lock if they are many.
    pub(crate) fn copy_to(&self, py: Python<'py>, image: &mut [u8]) -> PyResult<()> {
        let elements = self.lent();
        let fits = if self.elements.are_many() {
            py.detach(|| elements.copy_to(image))
        } else {
            elements.copy_to(image)
        };
        fits.then_some(())
            .ok_or_else(|| Error::from(BuildError::Outgrown).into())
    }

    /// The elements, for copying without the interpreter's lock.
    pub(crate) fn lent(&self) -> LentElements<'_> {
        LentElements(&self.elements)
    }
}

/// Strided of an array that is borrowed, and which therefore stay where they are.
#[derive(Clone, Copy)]
pub(crate) struct LentElements<'a>(&'a Strided);

impl LentElements<'_> {
    /// Copies all elements to memory of an image that is being built, which has been lent to nobody; `false` if they are
    /// not as many bytes.
    #[must_use]
    pub(crate) fn copy_to(self, image: &mut [u8]) -> bool {
        if self.0.byte_len() != image.len() {
            return false;
        }
        // SAFETY: the elements are those that an exporter has described, and it keeps them readable until they are given
        // back by `Lent`, which the borrow that this value has keeps from going; `image` is exclusively borrowed and as
        // long, as was checked. An image that is being built is lent to nobody, so they do not overlap.
        unsafe { self.0.copy_to(Address(image.as_mut_ptr())) };
        true
    }
}

/// The memory of an array, lent by the buffer protocol until this goes.
///
/// **Invariant.** `view` was filled by a successful request with [`ffi::PyBUF_STRIDES`] and has not been released.
struct Lent<'py> {
    // In a box, as the protocol lets an exporter point into the structure.
    view: Box<ffi::Py_buffer>,
    attached: PhantomData<Python<'py>>,
}

impl<'py> Lent<'py> {
    /// Asks for the memory without a description of its elements, which some types of elements do not have.
    fn by(array: &Bound<'py, PyAny>) -> PyResult<Self> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: `array` is a live object and shows that the thread is attached; `view` is a structure in a box, valid
        // for writes and in place until it is released.
        let status =
            unsafe { ffi::PyObject_GetBuffer(array.as_ptr(), &raw mut *view, ffi::PyBUF_STRIDES) };
        if status != 0 {
            return Err(PyErr::fetch(array.py()));
        }
        Ok(Self {
            view,
            attached: PhantomData,
        })
    }

    fn shape(&self) -> &[ffi::Py_ssize_t] {
        self.numbers(self.view.shape)
    }

    fn strides(&self) -> &[ffi::Py_ssize_t] {
        self.numbers(self.view.strides)
    }

    /// One number for each dimension: its shape or its strides.
    fn numbers(&self, first: *const ffi::Py_ssize_t) -> &[ffi::Py_ssize_t] {
        if first.is_null() {
            return &[];
        }
        // SAFETY: not null, so with PyBUF_STRIDES, which `by` asked for, an array of `ndim` numbers (Python/C API,
        // "Buffer Protocol"). It stays as it is until the buffer is released, which needs this value whole.
        unsafe { slice::from_raw_parts(first, self.view.ndim.unsigned_abs() as usize) }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // SAFETY: filled by a successful request and released once, here, by a thread that is attached: this value cannot
        // leave the one that was, as `attached` says.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.view) };
    }
}

/// Whether elements lie as in C, which lengths of 1 and empty arrays always do.
fn is_c_contiguous(shape: &[usize], steps: &[isize], item: usize) -> bool {
    let mut next = item.cast_signed();
    for (&len, &step) in shape.iter().zip(steps).rev() {
        if len != 1 && step != next && !shape.contains(&0) {
            return false;
        }
        next = next.wrapping_mul(len.cast_signed());
    }
    true
}

/// The strides of an array without gaps whose axes lie in memory in this order, the slowest first.
pub(crate) fn strides(shape: &[usize], item: usize, order: &[usize]) -> Vec<i64> {
    let mut strides = vec![0; shape.len()];
    let mut step = item;
    for &axis in order.iter().rev() {
        strides[axis] = i64::try_from(step).unwrap_or(i64::MAX);
        step = step.saturating_mul(shape[axis].max(1));
    }
    strides
}

/// What NumPy shows an array by: its memory, the text of its dtype, its shape and strides.
pub(crate) type Shown<'py> = (
    Bound<'py, ImageBuffer>,
    String,
    Bound<'py, PyTuple>,
    Bound<'py, PyTuple>,
);

/// The array at a node of an image; 0 is the root.
pub(crate) fn shown<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Shown<'py>> {
    shown_as(image, image.get().array_at(node)?, node)
}

/// An array of an image, which lies at a node; 0 is the root.
pub(crate) fn shown_as<'py>(
    image: &Bound<'py, Image>,
    array: Array<'_>,
    node: u64,
) -> PyResult<Shown<'py>> {
    let py = image.py();
    let offset = usize::try_from(array.data_offset)?;
    let memory = Image::buffer(image, offset, array.data.len(), node)?;
    Ok((
        Bound::new(py, memory)?,
        array.spec.dtype,
        PyTuple::new(py, array.spec.shape)?,
        PyTuple::new(py, array.spec.strides)?,
    ))
}
