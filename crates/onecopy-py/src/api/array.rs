//! Arrays, apart from their data: what `NumPy` calls them, and what stands in the image's node.
#![forbid(unsafe_code)]

use onecopy::Store;
use onecopy::image::{ArrayLayout, ArraySpec};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::share::read_huge;
use crate::error::Error;
use crate::image::Image;
use crate::image::build_buffer::BuildBuffer;

/// Adds the functions to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(array_allocate, module)?)?;
    module.add_function(wrap_pyfunction!(array_geometry, module)?)
}

/// Takes memory for an array of `byte_len` bytes of data and describes it; the data are zero.
#[pyfunction]
fn array_allocate(
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
fn array_geometry<'py>(py: Python<'py>, image: &Image, node: u64) -> Result<Geometry<'py>, Error> {
    let array = image.array_at(node)?;
    Ok((
        array.spec.dtype,
        PyTuple::new(py, array.spec.shape)?,
        PyTuple::new(py, array.spec.strides)?,
        array.data_offset,
        array.data.len(),
    ))
}
