//! What `onecopy.Array` is made of: memory that NumPy writes to in place, with a lock and `add`.
//!
//! **Invariants.** `B1`: the bytes an exporter points to stay mapped, writable and in place as long as the exporter lives.
//! `NumPy` gives a buffer back as soon as it has the address and keeps only the exporter alive, so counting exports would
//! protect nothing; hence there is no `__releasebuffer__`. `B2`: they are nobody's image: what other processes write to them
//! at any time is what they are for.
#![allow(unsafe_code, reason = "the buffer protocol hands out addresses")]

use std::ffi::c_int;

use onecopy::shared::{Number, RawArray, Sum};
use pyo3::IntoPyObjectExt as _;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::handle;
use super::lock::WriterLock;
use super::methods::methods;
use crate::cpython::export::export;
use crate::error::Error;

/// The elements of a writable array in the store, the same memory in every process.
#[pyclass(frozen, module = "onecopy._onecopy", weakref)]
pub(crate) struct ArrayMemory {
    pub(super) raw: RawArray,
}

methods!(ArrayMemory, [same], {
    /// Takes memory for elements of `item_bytes` each; they are zeros. `description` is kept with them if it is short.
    #[new]
    fn new(py: Python<'_>, byte_len: u64, item_bytes: u64, description: Vec<u8>) -> PyResult<Self> {
        let store = handle::store()?;
        let raw = py.detach(|| -> Result<_, Error> {
            Ok(RawArray::create(&store, byte_len, item_bytes)?)
        })?;
        raw.describe(&description);
        Ok(Self { raw })
    }

    /// What was said of the elements; empty if it was too long.
    #[getter]
    fn description<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.raw.description())
    }

    /// Turns a token into the memory.
    #[staticmethod]
    fn attach(token: &[u8]) -> PyResult<Self> {
        let raw = RawArray::attach(&handle::token(token)?).map_err(Error::from)?;
        Ok(Self { raw })
    }

    /// A token for another process.
    fn token<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let token = self.raw.token().map_err(Error::from)?;
        Ok(PyBytes::new(py, &token.to_bytes()))
    }

    /// Address of the first byte.
    #[getter]
    fn address(&self) -> PyResult<usize> {
        Ok(self.raw.address().map_err(Error::from)?.addr().get())
    }

    /// Number of bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.raw.byte_len()
    }

    /// The lock.
    #[getter]
    fn lock(&self) -> WriterLock {
        WriterLock::new(self.raw.writer_lock())
    }

    /// Adds to an element of an array with axes that shows this memory, in one step, and returns the sum.
    fn add<'py>(
        &self,
        array: &Bound<'py, PyAny>,
        indices: &Bound<'py, PyTuple>,
        amount: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = array.py();
        let (number, at) = self.element(array, indices)?;
        let sum = match number {
            Number::Float(_) => self.raw.add_float(at, number, amount.extract()?),
            _ => self.raw.add_int(at, number, integer(amount)?),
        };
        match sum.map_err(Error::from)? {
            Sum::Int(sum) => sum.into_bound_py_any(py),
            Sum::Float(sum) => sum.into_bound_py_any(py),
            Sum::TooLarge => Err(PyOverflowError::new_err(
                "the sum does not fit the array's dtype; the element is as it was",
            )),
            Sum::NoElement => Err(PyTypeError::new_err(
                "add() needs elements that are aligned to their size, as those of a new array are",
            )),
        }
    }

    /// Replaces the bits of the element at a byte if they are `old`; whether they were.
    fn replace(&self, at: u64, width: u8, old: u64, new: u64) -> PyResult<bool> {
        let replaced = self.raw.compare_exchange(at, width, old, new);
        let replaced = replaced.map_err(Error::from)?;
        replaced.ok_or_else(|| PyValueError::new_err("no element lies there"))
    }

    /// Where an element of an array with axes lies.
    fn offset(&self, array: &Bound<'_, PyAny>, indices: &Bound<'_, PyTuple>) -> PyResult<u64> {
        let view = PyUntypedBuffer::get(array)?;
        self.offset_in(&view, indices)
    }

    unsafe fn __getbuffer__(
        slf: &Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let raw = &slf.get().raw;
        let address = raw.address().map_err(Error::from)?.as_ptr();
        let len = raw.byte_len() as usize;
        // SAFETY: the interpreter calls this slot with a structure to fill. The bytes are a container's elements, which
        // stay where they are, readable and writable, as long as `slf` holds it (B1), and which anybody may write to (B2).
        unsafe { export(view, flags, slf.as_any(), address, len, true) }
    }
});

impl ArrayMemory {
    /// What an element is, and the byte at which it lies.
    fn element(
        &self,
        array: &Bound<'_, PyAny>,
        indices: &Bound<'_, PyTuple>,
    ) -> PyResult<(Number, u64)> {
        let no_number = || {
            let dtype = array.getattr("dtype").and_then(|dtype| dtype.str());
            let dtype = dtype.map_or_else(|_| "this".to_owned(), |text| text.to_string());
            PyTypeError::new_err(format!(
                "add() adds to ints and floats of 1, 2, 4 or 8 bytes in the machine's byte order, not to dtype {dtype}"
            ))
        };
        // What the protocol has no letter for (dates) is no number either.
        let view = PyUntypedBuffer::get(array).map_err(|_| no_number())?;
        let number = number(view.format().to_bytes(), view.item_size()).ok_or_else(no_number)?;
        Ok((number, self.offset_in(&view, indices)?))
    }

    /// The byte at which an element of an array with axes lies.
    fn offset_in(&self, view: &PyUntypedBuffer, indices: &Bound<'_, PyTuple>) -> PyResult<u64> {
        let (first, shape, strides) = (self.address()?, view.shape(), view.strides());
        if indices.len() != shape.len() {
            return Err(PyIndexError::new_err(format!(
                "the index of one element of this array is {} ints, not {}",
                shape.len(),
                indices.len()
            )));
        }
        let mut address = view.buf_ptr().addr();
        for (axis, (index, (&len, &stride))) in
            indices.iter().zip(shape.iter().zip(strides)).enumerate()
        {
            let asked: isize = index.extract()?;
            let from_front = if asked < 0 {
                asked.saturating_add(len as isize)
            } else {
                asked
            };
            if from_front < 0 || from_front >= len as isize {
                return Err(PyIndexError::new_err(format!(
                    "index {asked} is out of bounds for axis {axis} with size {len}"
                )));
            }
            address = address.wrapping_add_signed(from_front.wrapping_mul(stride));
        }
        Ok(address.wrapping_sub(first) as u64)
    }
}

/// An int as it is, or whatever stands for one; no float.
fn integer(amount: &Bound<'_, PyAny>) -> PyResult<i128> {
    amount.extract()
}

/// The number that a format of the `struct` module means, in this machine's byte order.
fn number(format: &[u8], bytes: usize) -> Option<Number> {
    let own_order = if cfg!(target_endian = "little") {
        b'<'
    } else {
        b'>'
    };
    let (letter, order) = format.split_last()?;
    let is_own = match order {
        [] | [b'@' | b'=' | b'^'] => true,
        [order] => *order == own_order,
        _ => false,
    };
    let width = u8::try_from(bytes).ok()?;
    match letter {
        _ if !is_own || !matches!(width, 1 | 2 | 4 | 8) => None,
        b'b' | b'h' | b'i' | b'l' | b'q' => Some(Number::Signed(width)),
        b'B' | b'H' | b'I' | b'L' | b'Q' => Some(Number::Unsigned(width)),
        b'f' | b'd' => Some(Number::Float(width)),
        _ => None,
    }
}
