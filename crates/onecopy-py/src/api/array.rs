//! Arrays: into the store, and out of an image.
#![forbid(unsafe_code)]

use onecopy::Store;
use onecopy::image::{ArrayLayout, ArraySpec, BuildError};
use pyo3::prelude::*;

use super::share::read_huge;
use crate::error::Error;
use crate::image::Image;
use crate::image::array::{self, ArraySource, Shown};
use crate::image::build_buffer::BuildBuffer;

/// Adds the functions to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(array_share, module)?)?;
    module.add_function(wrap_pyfunction!(array_allocate, module)?)?;
    module.add_function(wrap_pyfunction!(array_shown, module)?)
}

/// Copies an array of elements that are called `dtype` into the store; returns what `NumPy` shows the image by.
#[pyfunction]
fn array_share<'py>(
    array: &Bound<'py, PyAny>,
    dtype: &str,
    huge: &Bound<'py, PyAny>,
) -> PyResult<Shown<'py>> {
    let py = array.py();
    let huge = read_huge(huge)?;
    let source = ArraySource::of(array, dtype)?;
    let (spec, elements) = (&source.spec, source.lent());
    let layout = ArrayLayout::new(&spec.as_shape(), source.len as u64).map_err(Error::from)?;
    let object = py.detach(|| -> Result<_, Error> {
        let mut building = Store::current()?.allocate(layout.image_len as usize, huge)?;
        let image = building.as_mut_slice();
        layout.write(&spec.as_shape(), image)?;
        let data = layout.data.offset as usize..(layout.data.offset + layout.data.len) as usize;
        if !elements.copy_to(&mut image[data]) {
            return Err(BuildError::Outgrown.into());
        }
        Ok(building.publish()?)
    })?;
    array::shown(&Bound::new(py, Image::new(object))?, 0)
}

/// Takes memory for an array without gaps, its axes in the order of Fortran or C, and describes it; the data are zero.
#[pyfunction]
#[allow(
    clippy::needless_pass_by_value,
    reason = "arguments of functions that Python calls are owned"
)]
fn array_allocate(
    py: Python<'_>,
    dtype: String,
    item_size: u32,
    shape: Vec<usize>,
    fortran: bool,
    huge: &Bound<'_, PyAny>,
) -> Result<BuildBuffer, Error> {
    let huge = read_huge(huge)?;
    let item = item_size as usize;
    let axes = 0..shape.len();
    let order: Vec<usize> = if fortran {
        axes.rev().collect()
    } else {
        axes.collect()
    };
    let spec = ArraySpec {
        dtype,
        item_size,
        strides: array::strides(&shape, item, &order),
        shape: shape.iter().map(|&len| len as u64).collect(),
        read_only: false,
    };
    let byte_len = shape
        .iter()
        .fold(item, |len, &axis| len.saturating_mul(axis)) as u64;
    let layout = ArrayLayout::new(&spec.as_shape(), byte_len)?;
    py.detach(|| {
        let building = Store::current()?.allocate(layout.image_len as usize, huge)?;
        BuildBuffer::new(building, layout, &spec)
    })
}

/// What `NumPy` shows the array at a node (0: the root) by: its memory, the text of its dtype, its shape and strides.
#[pyfunction]
fn array_shown<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Shown<'py>> {
    array::shown(image, node)
}
