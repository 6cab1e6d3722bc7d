//! Arrays, apart from their data: what `NumPy` calls them, and what stands in the image's node.
#![forbid(unsafe_code)]

use onecopy::Store;
use onecopy::image::{ArrayLayout, ArrayShape};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::buffer::BuildBuffer;
use crate::error::Error;
use crate::object::{self, Image};

/// An array's description, owned.
pub(crate) struct ArraySpec {
    pub(crate) dtype: String,
    pub(crate) item_size: u32,
    pub(crate) shape: Vec<u64>,
    pub(crate) strides: Vec<i64>,
}

impl ArraySpec {
    /// The same, borrowed, as the image's node has it.
    pub(crate) fn shape(&self) -> ArrayShape<'_> {
        ArrayShape {
            dtype: &self.dtype,
            item_size: self.item_size,
            shape: &self.shape,
            strides: &self.strides,
            read_only: false,
        }
    }
}

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
    let huge = object::huge(huge)?;
    let spec = ArraySpec {
        dtype,
        item_size,
        shape,
        strides,
    };
    let layout = ArrayLayout::new(&spec.shape(), byte_len)?;
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
        array.shape.dtype.to_owned(),
        PyTuple::new(py, array.shape.shape)?,
        PyTuple::new(py, array.shape.strides)?,
        array.data_offset,
        array.data.len(),
    ))
}
