//! Arrays, apart from their data: what `NumPy` calls them, and what stands in the image's node.
#![forbid(unsafe_code)]

use onecopy::Store;
use onecopy::image::{ArrayLayout, ArraySpec};
use onecopy::store::Huge;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString, PyTuple};

use crate::error::Error;
use crate::image::Image;
use crate::image::build_buffer::BuildBuffer;

/// Takes memory for an array of `byte_len` bytes of data and describes it; the data are zero.
#[pyfunction]
pub(crate) fn array_allocate(
    py: Python<'_>,
    dtype: String,
    item_size: u32,
    shape: Vec<u64>,
    strides: Vec<i64>,
    byte_len: u64,
    huge: &Bound<'_, PyAny>,
) -> Result<BuildBuffer, Error> {
    let huge = read_huge(huge)?;
    let spec = ArraySpec {
        dtype,
        item_size,
        shape,
        strides,
        read_only: false,
    };
    let layout = ArrayLayout::new(&spec.as_shape(), byte_len)?;
    py.detach(|| {
        let building = Store::current()?.allocate(layout.image_len as usize, huge)?;
        BuildBuffer::new(building, layout, &spec)
    })
}

/// What `array_geometry` returns.
type Geometry<'py> = (String, Bound<'py, PyTuple>, Bound<'py, PyTuple>, u64, usize);

/// What the image says of the array at a node (0: its root): dtype, shape, strides, offset of the data in the image, bytes of data.
#[pyfunction]
pub(crate) fn array_geometry<'py>(
    py: Python<'py>,
    image: &Image,
    node: u64,
) -> Result<Geometry<'py>, Error> {
    let array = image.array_at(node)?;
    Ok((
        array.spec.dtype,
        PyTuple::new(py, array.spec.shape)?,
        PyTuple::new(py, array.spec.strides)?,
        array.data_offset,
        array.data.len(),
    ))
}

/// Reads the argument `huge`: `"auto"`, `True` or `False`.
pub(crate) fn read_huge(value: &Bound<'_, PyAny>) -> PyResult<Huge> {
    if let Ok(flag) = value.cast_exact::<PyBool>() {
        return Ok(if flag.is_true() {
            Huge::Always
        } else {
            Huge::Never
        });
    }
    let Ok(text) = value.cast::<PyString>() else {
        let found = value.get_type();
        return Err(PyTypeError::new_err(format!(
            "huge must be \"auto\", True or False, not {}",
            found.name()?
        )));
    };
    if text.to_str()? == "auto" {
        return Ok(Huge::Auto);
    }
    Err(PyValueError::new_err(format!(
        "huge must be \"auto\", True or False, not {}",
        text.repr()?
    )))
}
