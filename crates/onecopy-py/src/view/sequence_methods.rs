//! What Python can do with a `ListView` and a `TupleView`.
#![deny(unsafe_code)]
#![allow(
    unsafe_op_in_unsafe_fn,
    reason = "in what #[pymethods] generates around the buffer protocol"
)]
#![allow(
    clippy::doc_markdown,
    reason = "docstrings are written for Python's help()"
)]
#![allow(
    clippy::unused_self,
    reason = "methods that refuse do so whatever they are called on"
)]

use onecopy::image::Container;
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple};

use super::methods::view_methods;
use super::sequence::{ListView, TupleView};
use super::sequential::Sequential;
use super::{export, missing, ops, peek, sequence};
use crate::value::index;

fn read_only(kind: &str, what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "{what}: a shared {kind} never changes; onecopy.to_python(view) gives a real {kind}, \
         onecopy.private(view) a writable copy-on-write array of its numbers"
    ))
}

macro_rules! sequence_methods {
    ($class:ident, $kind:literal, { $($extra:tt)* }) => {
        view_methods!($class generic {
            fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<Bound<'py, PyAny>>> {
                missing::names(slf.as_any())
            }

            fn __len__(&self) -> usize {
                self.0.steps.len
            }

            fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                sequence::subscript(&self.0, key)
            }

            fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(read_only($kind, concat!("'", stringify!($class), "' object does not support item assignment")))
            }

            fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(read_only($kind, concat!("'", stringify!($class), "' object does not support item deletion")))
            }

            fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                let view = &slf.get().0;
                sequence::iterate(slf.as_any(), view, &view.steps)
            }

            /// Yields the elements from the last to the first.
            fn __reversed__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                let view = &slf.get().0;
                sequence::iterate(slf.as_any(), view, &view.steps.reversed())
            }

            fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
                Ok(ops::find(&self.0, value, 0..self.0.len())?.is_some())
            }

            fn __richcmp__<'py>(
                slf: &Bound<'py, Self>,
                other: &Bound<'py, PyAny>,
                op: CompareOp,
            ) -> PyResult<Bound<'py, PyAny>> {
                if slf.is(other) {
                    // A list equals itself whatever its elements say of themselves.
                    let answer = matches!(op, CompareOp::Eq | CompareOp::Le | CompareOp::Ge);
                    return Ok(PyBool::new(other.py(), answer).to_owned().into_any());
                }
                ops::compare(&slf.get().0, other, op)
            }

            fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
                ops::text(slf.py(), &slf.get().0, stringify!($class))
            }

            fn __concat__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                ops::concat(slf.as_any(), other, &slf.get().0)
            }

            fn __radd__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                ops::reflected_concat(other, slf.as_any(), &slf.get().0)
            }

            fn __repeat__<'py>(slf: &Bound<'py, Self>, count: isize) -> PyResult<Bound<'py, PyAny>> {
                ops::repeat(slf.py(), &slf.get().0, count)
            }

            /// Returns the index of the first element that equals `value`, between `start` and `stop`.
            ///
            /// Raises ValueError if there is none.
            #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
            fn index(
                &self,
                value: &Bound<'_, PyAny>,
                start: Option<&Bound<'_, PyAny>>,
                stop: Option<&Bound<'_, PyAny>>,
            ) -> PyResult<usize> {
                let found = ops::index(&self.0, value, start, stop)?;
                found.ok_or_else(|| ops::not_in(self.0.container, value))
            }

            /// Returns element `index` where it lies: a str as a `StrView`, bytes as a `BytesView`, of whatever size;
            /// anything else as `view[index]`.
            #[pyo3(signature = (index, /))]
            fn peek<'py>(&self, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                let position = missing::subscript(index, $kind)?;
                let at = self.0.steps.position(position).ok_or_else(|| index::out_of_range($kind))?;
                match peek::element(index.py(), &self.0, at)? {
                    Some(view) => Ok(view),
                    None => self.0.at(index.py(), at),
                }
            }

            /// Returns how many elements equal `value`.
            #[pyo3(signature = (value, /))]
            fn count(&self, value: &Bound<'_, PyAny>) -> PyResult<usize> {
                ops::count(&self.0, value)
            }

            /// Returns the cells of a field of all rows, where these are no table: a real list, made anew.
            ///
            /// Raises KeyError if no row has such a field, and TypeError if an element is no row.
            #[pyo3(signature = (name, /))]
            fn column<'py>(slf: &Bound<'py, Self>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                crate::cpython::module(slf.py(), "onecopy._views")?.getattr("column")?.call1((slf, name))
            }

            /// Bytes of the image that it is a part of.
            #[getter]
            fn nbytes(&self) -> usize {
                self.0.image.get().bytes().len()
            }

            /// Returns a real list of the elements; containers among them stay views.
            fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.0.to_builtin(py, Container::List)
            }

            /// Returns what pickle needs to attach the same memory in another process: a token, no data.
            fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
                sequence::reduce(py, &self.0)
            }

            /// Returns the elements as a NumPy array: without copying if they are numbers without None.
            #[pyo3(signature = (dtype = None, copy = None))]
            fn __array__<'py>(
                slf: &Bound<'py, Self>,
                dtype: Option<&Bound<'py, PyAny>>,
                copy: Option<bool>,
            ) -> PyResult<Bound<'py, PyAny>> {
                export::array(slf.as_any(), &slf.get().0, dtype, copy)
            }

            #[allow(unsafe_code, reason = "the protocol hands over a raw structure to fill")]
            unsafe fn __getbuffer__(
                slf: &Bound<'_, Self>,
                buffer: *mut ffi::Py_buffer,
                flags: std::ffi::c_int,
            ) -> PyResult<()> {
                // SAFETY: the interpreter calls this slot with a structure to fill, which is valid for writes.
                unsafe { export::fill_buffer(slf.as_any(), &slf.get().0, buffer, flags) }
            }

            #[allow(unsafe_code, reason = "the protocol hands over the raw structure that was filled")]
            unsafe fn __releasebuffer__(&self, buffer: *mut ffi::Py_buffer) {
                // SAFETY: the interpreter calls this slot once for each structure that the slot above, and so
                // `fill_buffer`, has filled.
                unsafe { export::release_buffer(buffer) }
            }

            $($extra)*
        });
    };
}

sequence_methods!(ListView, "list", {
    /// Returns a real list of the elements; containers among them stay views.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.to_builtin(py, Container::List)
    }

    fn __iadd__(&self, _other: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(read_only(
            "list",
            "cannot extend in place (use view + other)",
        ))
    }

    fn __imul__(&self, _count: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(read_only(
            "list",
            "cannot repeat in place (use view * count)",
        ))
    }
});

sequence_methods!(TupleView, "tuple", {
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        ops::hash(py, &self.0)
    }
});
