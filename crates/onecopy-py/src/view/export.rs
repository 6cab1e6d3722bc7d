//! Columns of numbers without a copy: the buffer protocol and `__array__`.
#![allow(unsafe_code, reason = "the buffer protocol is a raw structure to fill")]

use std::ffi::c_int;
use std::ptr;

use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMemoryView};

use super::level::Level;
use super::sequence;
use crate::column::{Elements, Format, Steps};
use crate::image::buffer::PrivateBuffer;

/// What an exported buffer points to for its length and stride.
struct Geometry {
    shape: [ffi::Py_ssize_t; 1],
    strides: [ffi::Py_ssize_t; 1],
}

/// Items of an image that can be handed out as they lie.
pub(super) struct Items<'a> {
    /// Where the first item of the column lies.
    pub(super) first: *const u8,
    pub(super) format: Format,
    pub(super) steps: &'a Steps,
}

/// Fills `buffer` with the view's numbers, or raises `BufferError`.
///
/// # Safety
/// - `buffer` is valid for writes.
pub(crate) unsafe fn fill_buffer(
    owner: &Bound<'_, PyAny>,
    view: &Elements,
    buffer: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    let Some(format) = view.format() else {
        // SAFETY: `buffer` is valid for writes, as this function asks. The protocol wants no owner in one that was not
        // filled.
        unsafe { (*buffer).obj = ptr::null_mut() };
        return Err(PyBufferError::new_err(
            "only a column of numbers without None has a buffer; view.tolist() gives the elements",
        ));
    };
    let (first, steps) = (view.parts.first(), &view.steps);
    let items = Items {
        first,
        format,
        steps,
    };
    // SAFETY: `buffer` is valid for writes, as this function asks. The column has items of this format (P1), as its codec
    // says, the steps stay inside it (S1), and the view keeps the image (P4).
    unsafe { fill(owner, &items, buffer, flags) }
}

/// Fills `buffer` with items that `owner` keeps, or raises `BufferError`.
///
/// # Safety
/// - `buffer` is valid for writes;
/// - items of this format lie at `first`, at least those that the steps name, and can be read as long as `owner` lives.
pub(super) unsafe fn fill(
    owner: &Bound<'_, PyAny>,
    items: &Items<'_>,
    buffer: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    // SAFETY: `buffer` is valid for writes, as this function asks. The protocol wants no owner in one that was not
    // filled.
    unsafe { (*buffer).obj = ptr::null_mut() };
    let format = items.format;
    if flags & ffi::PyBUF_WRITABLE != 0 {
        return Err(PyBufferError::new_err(
            "a view is read-only: onecopy.to_python(view) gives data of your own",
        ));
    }
    let Steps { start, len, .. } = *items.steps;
    let wants = |flag: c_int| flags & flag == flag;
    let item_size = format.item_size.cast_signed();
    let stride = stride(items.steps, item_size, flags)?;
    let geometry = Box::into_raw(Box::new(Geometry {
        shape: [len.cast_signed()],
        strides: [stride],
    }));
    // SAFETY: `start` is one of the items, or 0 where there are none, as this function asks: the address lies inside the
    // items or at their start.
    let first = unsafe { items.first.offset(start * item_size) };
    // SAFETY: the address of a field of a structure that was put into a box above and that nobody gives back before
    // `release_buffer`.
    let shape = unsafe { &raw mut (*geometry).shape }.cast();
    // SAFETY: the address of another field of the same structure.
    let strides = unsafe { &raw mut (*geometry).strides }.cast();
    let if_wanted = |flag, pointer| {
        if wants(flag) {
            pointer
        } else {
            ptr::null_mut()
        }
    };
    let letter = format.letter.as_ptr().cast_mut();
    let filled = ffi::Py_buffer {
        buf: first.cast_mut().cast(),
        obj: owner.clone().into_ptr(),
        len: len.cast_signed() * item_size,
        itemsize: item_size,
        readonly: 1,
        ndim: 1,
        format: if wants(ffi::PyBUF_FORMAT) {
            letter
        } else {
            ptr::null_mut()
        },
        shape: if_wanted(ffi::PyBUF_ND, shape),
        strides: if_wanted(ffi::PyBUF_STRIDES, strides),
        suboffsets: ptr::null_mut(),
        internal: geometry.cast(),
    };
    // SAFETY: `buffer` is valid for writes, as this function asks.
    unsafe { buffer.write(filled) };
    Ok(())
}

/// Bytes from one element to the next, or `BufferError` if somebody who wants them side by side cannot have them so.
fn stride(steps: &Steps, item_size: isize, flags: c_int) -> PyResult<isize> {
    if steps.step == 1 || steps.len <= 1 {
        return Ok(item_size);
    }
    let wants = |flag: c_int| flags & flag == flag;
    let only_contiguous = wants(ffi::PyBUF_C_CONTIGUOUS)
        || wants(ffi::PyBUF_F_CONTIGUOUS)
        || wants(ffi::PyBUF_ANY_CONTIGUOUS)
        || !wants(ffi::PyBUF_STRIDES);
    if only_contiguous {
        return Err(PyBufferError::new_err(
            "the elements of this slice do not lie side by side",
        ));
    }
    Ok(steps.step * item_size)
}

/// Gives back what [`fill`] allocated.
///
/// # Safety
/// - `buffer` was filled by [`fill`], and this is called once for it.
pub(crate) unsafe fn release_buffer(buffer: *mut ffi::Py_buffer) {
    // SAFETY: `fill` has filled the structure, as this function asks.
    let geometry = unsafe { (*buffer).internal }.cast::<Geometry>();
    if !geometry.is_null() {
        // SAFETY: came from `Box::into_raw` in `fill`, which filled the structure, and is given back once, as
        // this function asks.
        drop(unsafe { Box::from_raw(geometry) });
    }
}

/// `view.__array__(dtype, copy)`.
pub(crate) fn array<'py>(
    owner: &Bound<'py, PyAny>,
    view: &Elements,
    dtype: Option<&Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = owner.py();
    let numpy = crate::cpython::module(py, "numpy")?;
    let dtype = dtype.filter(|dtype| !dtype.is_none());
    if view.format().is_none() {
        if copy == Some(false) {
            return Err(PyValueError::new_err(
                "unable to avoid a copy: only a column of numbers without None is an array as it lies",
            ));
        }
        let _level = Level::of_array()?;
        py.check_signals()?;
        let list = view.to_builtin(py, view.container)?;
        let options = PyDict::new(py);
        if let Some(dtype) = dtype {
            options.set_item("dtype", dtype)?;
        }
        return numpy.call_method("array", (list,), Some(&options));
    }
    let plain = numpy.call_method1("asarray", (PyMemoryView::from(owner)?,))?;
    let same = match dtype {
        None => true,
        Some(dtype) => numpy
            .call_method1("dtype", (dtype,))?
            .eq(plain.getattr("dtype")?)?,
    };
    match (same, copy) {
        (true, Some(true)) => plain.call_method0("copy"),
        (true, _) => Ok(plain),
        (false, Some(false)) => Err(PyValueError::new_err(
            "unable to avoid a copy: the dtype asked for is not that of the column",
        )),
        (false, _) => plain.call_method1("astype", (dtype,)),
    }
}

/// Maps the image of a column of numbers copy-on-write and exports the items from the view's lowest to its highest.
#[pyfunction]
pub(crate) fn private_items(view: &Bound<'_, PyAny>) -> PyResult<PrivateBuffer> {
    let py = view.py();
    let Some((view, format)) = sequence::of(view).and_then(|view| Some((view, view.format()?)))
    else {
        return Err(PyTypeError::new_err(
            "view: only a view of numbers without None has items of its own",
        ));
    };
    let steps = &view.steps;
    let (first, last) = if steps.len == 0 {
        (0, 0)
    } else {
        (steps.at(0), steps.at(steps.len - 1))
    };
    let item_count = if steps.len == 0 {
        0
    } else {
        first.abs_diff(last) + 1
    };
    let image = view.image.get();
    let items = view.parts.first().addr() - image.bytes().as_ptr().addr();
    let mapping = image.private_mapping(py)?;
    let offset = items + first.min(last) * format.item_size;
    Ok(PrivateBuffer::new(
        mapping,
        offset,
        item_count * format.item_size,
    ))
}
