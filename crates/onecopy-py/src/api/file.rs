//! Images in files and in other people's buffers.
#![allow(
    clippy::needless_pass_by_value,
    reason = "arguments are extracted from Python objects"
)]

use std::path::{Path, PathBuf};

use onecopy::file::{Purpose, write};
use onecopy::image::validate;
use onecopy::{FileBuilder, FileIdentity, FileImage, printable_path};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

use crate::error::{Error, not_attached};
use crate::image::Image;
use crate::image::buffer::ImageBuffer;
use crate::pack;
use crate::view::{self, kinds};

/// Adds the functions to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(save_graph, module)?)?;
    module.add_function(wrap_pyfunction!(open_file, module)?)?;
    module.add_function(wrap_pyfunction!(open_buffer, module)?)?;
    module.add_function(wrap_pyfunction!(image_of_view, module)?)?;
    module.add_function(wrap_pyfunction!(_image_behind, module)?)?;
    module.add_function(wrap_pyfunction!(_file_image, module)?)?;
    module.add_function(wrap_pyfunction!(_buffer_image, module)?)?;
    module.add_function(wrap_pyfunction!(_write_report, module)?)
}

/// Writes the image of any object to a file, by way of a temporary file beside it.
#[pyfunction]
#[pyo3(signature = (data, path, progress = None))]
fn save_graph<'py>(
    data: &Bound<'py, PyAny>,
    path: PathBuf,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<()> {
    let py = data.py();
    let mut builder;
    if let Some(image) = whole_image(data)? {
        let image = image.get();
        let len = image.bytes().len() as u64;
        builder = py
            .detach(|| FileBuilder::create(&path, len))
            .map_err(Error::from)?;
        let out = builder.as_mut_slice();
        py.detach(|| out.copy_from_slice(image.bytes()));
    } else {
        let mut planned = pack::measure(data, progress)?;
        let len = planned.image_len as u64;
        builder = py
            .detach(|| FileBuilder::create(&path, len))
            .map_err(Error::from)?;
        planned.write(builder.as_mut_slice(), progress)?;
    }
    py.detach(|| builder.commit()).map_err(Error::from)?;
    Ok(())
}

/// Writes a file for this user alone, or with the rights of the one that it replaces.
#[pyfunction]
fn _write_report(py: Python<'_>, path: PathBuf, text: &[u8]) -> Result<(), Error> {
    Ok(py.detach(|| write(&path, Purpose::Report, text))?)
}

/// The image of a view that shows the whole of one.
fn whole_image<'py>(data: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Image>>> {
    let Some((image, node)) = kinds::shown(data).filter(|_| !kinds::is_part(data)) else {
        return Ok(None);
    };
    let image = image.into_bound(data.py());
    let whole = image.get().open()?.root_offset() == node;
    Ok(whole.then_some(image))
}

/// The image that a view shows the whole of.
#[pyfunction]
fn image_of_view<'py>(view: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Image>>> {
    whole_image(view)
}

/// The image that a view shows, or shows a part of.
#[pyfunction]
fn _image_behind<'py>(view: &Bound<'py, PyAny>) -> Option<Bound<'py, Image>> {
    let (image, _) = kinds::shown(view)?;
    Some(image.into_bound(view.py()))
}

/// Maps the image in a file and returns a view of it.
#[pyfunction]
fn open_file(
    py: Python<'_>,
    path: PathBuf,
    allow_pickle: bool,
    full: bool,
    copy: bool,
) -> PyResult<Bound<'_, PyAny>> {
    let file = map(py, &path)?;
    let open = || {
        let image = if copy {
            // Before much is copied that is no image.
            let opened = onecopy::image::Image::open(file.bytes())?;
            Image::copy_of(py, opened.bytes(), allow_pickle)?
        } else {
            Image::of_file(file, allow_pickle)
        };
        checked(py, image, full)
    };
    Ok(open().map_err(|error| error.of_file(&path))?)
}

fn map(py: Python<'_>, path: &Path) -> PyResult<FileImage> {
    // SAFETY: nobody changes or shortens the file as long as the mapping lives, which is what `open` asks: files that `save`
    // writes are replaced and never changed, and of other files the documentation of `onecopy.open` asks the same of whoever
    // calls it.
    #[allow(unsafe_code)]
    let file = py.detach(|| unsafe { FileImage::open(path) });
    Ok(file.map_err(Error::from)?)
}

/// Shows the image in a buffer.
#[pyfunction]
fn open_buffer<'py>(
    buffer: &Bound<'py, PyAny>,
    allow_pickle: bool,
    full: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = buffer.py();
    let held = PyBuffer::<u8>::get(buffer)?;
    if !held.is_c_contiguous() {
        return Err(PyBufferError::new_err(
            "buffer: its bytes do not lie side by side; give bytes(buffer)",
        ));
    }
    // What somebody could change while it is read is copied, and so is what no number can be read from in place.
    let held = if never_changes(buffer)? && held.buf_ptr().addr().is_multiple_of(8) {
        held
    } else {
        let copy = PyBytes::new_with(py, held.len_bytes(), |out| held.copy_to_slice(py, out))?;
        PyBuffer::get(copy.as_any())?
    };
    Ok(checked(py, Image::of_buffer(held, allow_pickle), full)?)
}

/// Whether a buffer is that of an object which nobody can change: a buffer that is only read-only may show what its owner
/// writes to.
fn never_changes(buffer: &Bound<'_, PyAny>) -> PyResult<bool> {
    let mut owner = buffer.clone();
    while owner.is_exact_instance_of::<PyMemoryView>() {
        owner = owner.getattr("obj")?;
    }
    Ok(owner.is_exact_instance_of::<PyBytes>() || owner.is_exact_instance_of::<ImageBuffer>())
}

fn checked(py: Python<'_>, image: Image, full: bool) -> Result<Bound<'_, PyAny>, Error> {
    image.open()?;
    if full {
        py.detach(|| validate(image.bytes()))?;
    }
    Ok(view::root_object(&Bound::new(py, image)?)?)
}

/// Unpickles the image of a file: maps it again, if it is the same.
#[pyfunction]
fn _file_image(
    py: Python<'_>,
    path: PathBuf,
    identity: (u64, u64, i64),
    allow_pickle: bool,
) -> PyResult<Image> {
    let file = map(py, &path).map_err(|error| not_attached(py, error))?;
    let (len, inode, modified_ns) = identity;
    let expected = FileIdentity {
        len,
        inode,
        modified_ns,
    };
    if file.identity() != expected {
        return Err(PyValueError::new_err(format!(
            "{}: the file was replaced or changed since the view was pickled; open it again",
            printable_path(&path)
        )));
    }
    let image = Image::of_file(file, allow_pickle);
    image
        .open()
        .map(drop)
        .map_err(|error| error.of_file(&path))?;
    Ok(image)
}

/// Unpickles the image of a buffer, which travels by its content.
#[pyfunction]
fn _buffer_image(content: &Bound<'_, PyBytes>, allow_pickle: bool) -> PyResult<Image> {
    // Another class may give another buffer.
    let content = if content.is_exact_instance_of::<PyBytes>() {
        content.clone()
    } else {
        PyBytes::new(content.py(), content.as_bytes())
    };
    let image = Image::of_buffer(PyBuffer::get(content.as_any())?, allow_pickle);
    image.open()?;
    Ok(image)
}
