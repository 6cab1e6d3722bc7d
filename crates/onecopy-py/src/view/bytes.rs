//! What Python can do with a `BytesView` and an `ArrayView`.
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

use std::ffi::c_int;

use memchr::memmem;
use pyo3::basic::CompareOp;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyMemoryView, PyString, PyTuple};

use super::methods::view_methods;
use super::run::{ArrayView, BytesView, Run, Source};
use super::{export, missing, repr, text};
use crate::value::index;

/// An argument as `bytes.find` takes it: bytes, or one of them as a number.
fn needle(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if value.is_instance_of::<PyInt>() {
        let byte: u8 = value
            .extract()
            .map_err(|_| PyValueError::new_err("byte must be in range(0, 256)"))?;
        return Ok(vec![byte]);
    }
    PyBuffer::<u8>::get(value)?.to_vec(value.py())
}

/// Whether bytes have one of some other bytes at an end.
fn ends(
    bytes: &[u8],
    ends: &Bound<'_, PyAny>,
    has: impl Fn(&[u8], &[u8]) -> bool,
) -> PyResult<bool> {
    let Ok(tuple) = ends.cast::<PyTuple>() else {
        return Ok(has(bytes, &needle(ends)?));
    };
    for end in tuple {
        if has(bytes, &needle(&end)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

type Limit<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// The first or last place of bytes between two limits, which may be too far apart.
fn find(
    run: &Run,
    value: &Bound<'_, PyAny>,
    limits: (Limit<'_, '_>, Limit<'_, '_>),
    is_last: bool,
) -> PyResult<Option<usize>> {
    let (bytes, needle) = (run.bytes(), needle(value)?);
    let Some(range) = text::limits(limits.0, limits.1, bytes.len())? else {
        return Ok(None);
    };
    let start = range.start;
    let part = bytes.get(range).unwrap_or_default();
    let found = if is_last {
        memmem::rfind(part, &needle)
    } else {
        memmem::find(part, &needle)
    };
    Ok(found.map(|at| start + at))
}

fn not_found() -> PyErr {
    PyValueError::new_err("subsection not found")
}

fn read_only(class: &str, what: &str) -> PyErr {
    missing::read_only(class, what)
}

fn as_answer(found: Option<usize>) -> isize {
    found.map_or(-1, usize::cast_signed)
}

macro_rules! run_methods {
    ($class:ident $(($generic:ident))?, $kind:literal, { $($extra:tt)* }) => {
        view_methods!($class $($generic)? {
            /// Bytes of the image that it is a part of.
            #[getter]
            fn nbytes(&self) -> usize {
                self.0.image_len()
            }

            fn __len__(&self) -> usize {
                self.0.steps.len
            }

            fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.subscript(key, $kind)
            }

            fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(read_only(stringify!($class), "does not support item assignment"))
            }

            fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(read_only(stringify!($class), "does not support item deletion"))
            }

            fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                Ok(PyMemoryView::from(slf.as_any())?.try_iter()?.into_any())
            }

            /// Yields the items from the last to the first.
            fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                Ok(self.0.reversed(py)?.try_iter()?.into_any())
            }

            /// Returns the items as they lie in memory, as real bytes.
            fn tobytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
                PyBytes::new(py, &self.0.bytes())
            }

            /// Returns a real list of the items.
            fn tolist<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                PyMemoryView::from(slf.as_any())?.call_method0("tolist")
            }

            fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<Bound<'py, PyAny>>> {
                missing::names(slf.as_any())
            }

            fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
                self.0.reduce(py)
            }

            #[allow(unsafe_code, reason = "the protocol hands over a raw structure to fill")]
            unsafe fn __getbuffer__(
                slf: &Bound<'_, Self>,
                buffer: *mut ffi::Py_buffer,
                flags: c_int,
            ) -> PyResult<()> {
                let run = &slf.get().0;
                let items = export::Items { first: run.first(), format: run.format, steps: &run.steps };
                // SAFETY: the interpreter calls this slot with a structure to fill, which is valid for writes. The items lie
                // where `first` says, as the run's invariant says, and the view keeps their image.
                unsafe { export::fill(slf.as_any(), &items, buffer, flags) }
            }

            #[allow(unsafe_code, reason = "the protocol hands over the raw structure that was filled")]
            unsafe fn __releasebuffer__(&self, buffer: *mut ffi::Py_buffer) {
                // SAFETY: the interpreter calls this slot once for each structure that the slot above, and so `fill`, has
                // filled.
                unsafe { export::release_buffer(buffer) }
            }

            $($extra)*
        });
    };
}

run_methods!(BytesView, "bytes", {
    fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(find(&self.0, value, (None, None), false)?.is_some())
    }

    fn __richcmp__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if matches!(op, CompareOp::Eq | CompareOp::Ne) {
            return PyMemoryView::from(slf.as_any())?.rich_compare(other, op);
        }
        let Ok(other) = needle_of_bytes(other) else {
            return Ok(py.NotImplemented().into_bound(py));
        };
        let answer = op.matches(slf.get().0.bytes().as_ref().cmp(other.as_slice()));
        Ok(answer.into_pyobject(py)?.to_owned().into_any())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        match self.0.source {
            Source::Bytes | Source::MemoryView(_) => self.0.hash(py),
            source => Err(PyTypeError::new_err(format!(
                "unhashable type: a view of a {}, which is none either",
                source.name()
            ))),
        }
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.bytes())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "BytesView({})",
            repr::of(PyBytes::new(py, &self.0.bytes()).as_any())?
        ))
    }

    fn __add__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        PyBytes::new(other.py(), &self.0.bytes()).add(other)
    }

    fn __radd__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        other.add(PyBytes::new(other.py(), &self.0.bytes()))
    }

    fn __mul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        PyBytes::new(count.py(), &self.0.bytes()).mul(count)
    }

    fn __rmul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        PyBytes::new(count.py(), &self.0.bytes()).mul(count)
    }

    // Python asks only where the class has no such name.
    fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let text = name.to_string_lossy();
        if text.starts_with('_') || !name.py().get_type::<PyBytes>().hasattr(name)? {
            return Err(PyAttributeError::new_err(format!(
                "'BytesView' object has no attribute '{}'",
                onecopy::printable(&text)
            )));
        }
        PyBytes::new(name.py(), &self.0.bytes()).getattr(name)
    }

    /// Returns where `value`, bytes or a byte, is found first between `start` and `stop`; −1 if it is not there.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn find(
        &self,
        value: &Bound<'_, PyAny>,
        start: Limit<'_, '_>,
        stop: Limit<'_, '_>,
    ) -> PyResult<isize> {
        find(&self.0, value, (start, stop), false).map(as_answer)
    }

    /// Returns where `value`, bytes or a byte, is found last between `start` and `stop`; −1 if it is not there.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn rfind(
        &self,
        value: &Bound<'_, PyAny>,
        start: Limit<'_, '_>,
        stop: Limit<'_, '_>,
    ) -> PyResult<isize> {
        find(&self.0, value, (start, stop), true).map(as_answer)
    }

    /// Returns where `value` is found first; raises ValueError if it is not there.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn index(
        &self,
        value: &Bound<'_, PyAny>,
        start: Limit<'_, '_>,
        stop: Limit<'_, '_>,
    ) -> PyResult<usize> {
        find(&self.0, value, (start, stop), false)?.ok_or_else(not_found)
    }

    /// Returns where `value` is found last; raises ValueError if it is not there.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn rindex(
        &self,
        value: &Bound<'_, PyAny>,
        start: Limit<'_, '_>,
        stop: Limit<'_, '_>,
    ) -> PyResult<usize> {
        find(&self.0, value, (start, stop), true)?.ok_or_else(not_found)
    }

    /// Returns how often `value`, bytes or a byte, is found between `start` and `stop`, side by side.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn count(
        &self,
        value: &Bound<'_, PyAny>,
        start: Limit<'_, '_>,
        stop: Limit<'_, '_>,
    ) -> PyResult<usize> {
        let (bytes, needle) = (self.0.bytes(), needle(value)?);
        let range = text::limits(start, stop, bytes.len())?;
        let part = range.and_then(|range| bytes.get(range));
        Ok(part.map_or(0, |part| memmem::find_iter(part, &needle).count()))
    }

    /// Returns whether the bytes between `start` and `stop` begin with `prefix`, or with one of a tuple.
    #[pyo3(signature = (prefix, start = None, stop = None, /), text_signature = "($self, prefix, start=0, stop=sys.maxsize, /)")]
    fn startswith(
        &self,
        prefix: &Bound<'_, PyAny>,
        start: Limit<'_, '_>,
        stop: Limit<'_, '_>,
    ) -> PyResult<bool> {
        let bytes = self.0.bytes();
        let range = text::limits(start, stop, bytes.len())?;
        match range.and_then(|range| bytes.get(range)) {
            Some(part) => ends(part, prefix, <[u8]>::starts_with),
            None => Ok(false),
        }
    }

    /// Returns whether the bytes between `start` and `stop` end with `suffix`, or with one of a tuple.
    #[pyo3(signature = (suffix, start = None, stop = None, /), text_signature = "($self, suffix, start=0, stop=sys.maxsize, /)")]
    fn endswith(
        &self,
        suffix: &Bound<'_, PyAny>,
        start: Limit<'_, '_>,
        stop: Limit<'_, '_>,
    ) -> PyResult<bool> {
        let bytes = self.0.bytes();
        let range = text::limits(start, stop, bytes.len())?;
        match range.and_then(|range| bytes.get(range)) {
            Some(part) => ends(part, suffix, <[u8]>::ends_with),
            None => Ok(false),
        }
    }
});

/// The bytes of an argument that has some; not of a number.
fn needle_of_bytes(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    PyBuffer::<u8>::get(value)?.to_vec(value.py())
}

run_methods!(ArrayView(generic), "array", {
    /// The letter of the items' type, as `array.array` and `struct` have it.
    #[getter]
    fn typecode(&self) -> String {
        self.0.format.letter.to_string_lossy().into_owned()
    }

    /// Bytes of one item.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.format.item_size
    }

    fn __contains__(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        PyMemoryView::from(slf.as_any())?.contains(value)
    }

    fn __richcmp__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        if matches!(op, CompareOp::Eq | CompareOp::Ne) {
            return PyMemoryView::from(slf.as_any())?.rich_compare(other, op);
        }
        let py = slf.py();
        let other = match other.cast_exact::<Self>() {
            Ok(other) => other.get().0.real(py)?,
            Err(_) => other.clone(),
        };
        slf.get().0.real(py)?.rich_compare(other, op)
    }

    fn __hash__(&self) -> PyResult<isize> {
        Err(PyTypeError::new_err(
            "unhashable type: an array of numbers is none",
        ))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let len = self.0.steps.len;
        let items = repr::listed(len, |index| Ok(self.0.at(py, index)?.repr()?.to_string()))?;
        Ok(format!("ArrayView('{}', [{items}])", self.typecode()))
    }

    /// Returns the index of the first item that equals `value`, between `start` and `stop`.
    ///
    /// Raises ValueError if there is none.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn index(
        &self,
        value: &Bound<'_, PyAny>,
        start: Limit<'_, '_>,
        stop: Limit<'_, '_>,
    ) -> PyResult<usize> {
        for at in index::range(start, stop, self.0.steps.len)? {
            if self.0.at(value.py(), at)?.eq(value)? {
                return Ok(at);
            }
        }
        Err(PyValueError::new_err("ArrayView.index(x): x not in view"))
    }

    /// Returns how many items equal `value`.
    #[pyo3(signature = (value, /))]
    fn count(&self, value: &Bound<'_, PyAny>) -> PyResult<usize> {
        let mut count = 0;
        for at in 0..self.0.steps.len {
            count += usize::from(self.0.at(value.py(), at)?.eq(value)?);
        }
        Ok(count)
    }
});
